"""The page on this machine: a small web server on 127.0.0.1 for one scene and one person.

Serves the built page, `scene.json`, the splat file (with HTTP ranges) and the photos; nothing else is reachable. Who
may ask is decided in security.py.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from diorama.capture.errors import InputError

from .bundle import bundle_files, require_bundle
from .keys import Keys
from .scene_data import ViewerScene
from .scene_site import PageFiles, SceneSite
from .security import Guard

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from .certificate import Certificate

LOOPBACK = "127.0.0.1"
MESSAGE_BYTES = 1 << 20
"""The longest WebSocket message that is taken from a page; none of ours comes near it."""


Routes = Callable[["FastAPI"], None]
"""Adds routes of its own to an application."""
Again = Callable[[], ViewerScene | None]
"""Asked whenever the page is opened: the scene to show from now on, or None when it is the same as before."""


def serve_scene(
    scene: ViewerScene,
    *,
    port: int | None,
    open_browser: bool,
    on_ready: Callable[[str], None],
    again: Again | None = None,
    routes: Sequence[Routes] = (),
) -> None:
    """Serves the page until Ctrl-C.

    Args:
        port: the port to use; None takes a free one.
        open_browser: also open the link in the person's browser.
        on_ready: gets the link, token included, once it can be opened.
        again, routes: see `create_app`.

    Raises InputError when the port is taken, the page was not built or the splats cannot be shown.
    """
    bundle = require_bundle()
    with tempfile.TemporaryDirectory(prefix="diorama-view-") as folder, listen(port) as listener:
        token = secrets.token_urlsafe(32)
        actual_port = int(listener.getsockname()[1])
        app = create_app(scene, bundle, token=token, port=actual_port, scratch=Path(folder), again=again, routes=routes)
        url = f"http://{LOOPBACK}:{actual_port}/?token={token}"
        on_ready(url)
        if open_browser:
            show_in_browser(url)
        with contextlib.suppress(KeyboardInterrupt):  # the way out
            web_server(app).run(sockets=[listener])


def web_server(app: ASGIApp, *, certificate: Certificate | None = None) -> uvicorn.Server:
    """Uvicorn as we want it: quiet, blind to what proxies say, gone a second after it is asked to go.

    With a certificate it speaks HTTPS, by TLS 1.2 or newer as Python's own default is.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        loop="asyncio",
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    return uvicorn.Server(config)


def listen(port: int | None, address: str = LOOPBACK) -> socket.socket:
    """A listening socket; of "::" also for IPv4. Raises InputError when the port cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if ":" in address:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port or 0))
        listener.listen(256)
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"Port {port} cannot be used ({getattr(error, 'strerror', None) or error}): give another --port, or leave "
            "it out to take a free one."
        ) from error
    return listener


def create_app(
    scene: ViewerScene,
    bundle: Path,
    *,
    token: str,
    port: int,
    scratch: Path,
    again: Again | None = None,
    routes: Sequence[Routes] = (),
) -> ASGIApp:
    """The application behind its guard.

    Args:
        bundle: the folder of the built page.
        token: the secret of the link.
        port: the port in the Host headers that are accepted.
        scratch: a folder for a converted splat file, kept as long as the application.
        again: for scenes that change while they are served.
        routes: what else the application answers, behind the same guard.
    """
    return Guard(_app(scene, bundle, scratch, again, routes), Keys(str(port), link=token), port=port)


def _app(scene: ViewerScene, bundle: Path, scratch: Path, again: Again | None, routes: Sequence[Routes]) -> FastAPI:
    from fastapi import FastAPI
    from starlette.responses import Response

    app = FastAPI(title="Diorama", docs_url=None, redoc_url=None, openapi_url=None)
    for add in routes:
        add(app)
    files = PageFiles(bundle_files(bundle))
    site = SceneSite(scene, files, scratch)

    def renew() -> SceneSite:
        changed = None if again is None else again()
        return site if changed is None else SceneSite(changed, files, scratch)

    @app.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def page(path: str) -> Response:
        nonlocal site
        if path == "" and again is not None:
            site = await anyio.to_thread.run_sync(renew)
        return await site.answer(path)

    return app


def show_in_browser(url: str) -> None:
    """Opens the link without waiting: a browser in the terminal would never come back."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
