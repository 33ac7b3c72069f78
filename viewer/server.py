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
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from diorama.capture.errors import InputError

from .bundle import INDEX, bundle_files, require_bundle
from .scene_data import SplatFormat, ViewerCamera, ViewerScene, data_files, manifest, photo_files
from .security import Guard

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI
    from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".glb": "model/gltf-binary",
}
PHOTO_CACHE_BYTES = 128 << 20
PHOTOS_AT_ONCE = 2
"""Each photo being made takes a few times its pixels in memory; a browser asks for many at once."""


def serve_scene(scene: ViewerScene, *, port: int | None, open_browser: bool, on_ready: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C.

    Args:
        port: the port to use; None takes a free one.
        open_browser: also open the link in the person's browser.
        on_ready: gets the link, token included, once it can be opened.

    Raises InputError when the port is taken, the page was not built or the splats cannot be shown.
    """
    bundle = require_bundle()
    with tempfile.TemporaryDirectory(prefix="diorama-view-") as folder, listen(port) as listener:
        token = secrets.token_urlsafe(32)
        actual_port = int(listener.getsockname()[1])
        app = create_app(scene, bundle, token=token, port=actual_port, scratch=Path(folder))
        url = f"http://{LOOPBACK}:{actual_port}/?token={token}"
        on_ready(url)
        if open_browser:
            _open_browser(url)
        with contextlib.suppress(KeyboardInterrupt):  # the way out
            web_server(app).run(sockets=[listener])


def web_server(app: ASGIApp) -> uvicorn.Server:
    """Uvicorn as we want it: quiet, without WebSockets, gone a second after it is asked to go."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def listen(port: int | None) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises InputError when the port cannot be had."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port or 0))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"Port {port} cannot be used ({getattr(error, 'strerror', None) or error}): give another --port, or leave "
            "it out to take a free one."
        ) from error
    return listener


def create_app(scene: ViewerScene, bundle: Path, *, token: str, port: int, scratch: Path) -> ASGIApp:
    """The application behind its guard.

    Args:
        bundle: the folder of the built page.
        token: the secret of the link.
        port: the port in the Host headers that are accepted.
        scratch: a folder for a converted splat file, kept as long as the application.
    """
    return Guard(_app(scene, bundle, scratch), token=token, port=port)


def _app(scene: ViewerScene, bundle: Path, scratch: Path) -> FastAPI:
    from fastapi import FastAPI
    from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
    from starlette.requests import Request

    app = FastAPI(title="Diorama", docs_url=None, redoc_url=None, openapi_url=None)
    pages = bundle_files(bundle)
    splats, splat_format = page_splats(scene, scratch)
    splats_url = f"scene.{splat_format}"
    description = manifest(scene, splats_url, splat_format, splats.stat().st_size)
    photos = PhotoStore(photo_files(scene))
    data = data_files(scene)
    fresh = {"Cache-Control": "no-store"}

    @app.exception_handler(404)
    async def missing(request: Request, error: Exception) -> Response:
        return PlainTextResponse("There is no such file here.", 404)

    @app.api_route("/scene.json", methods=["GET", "HEAD"])
    def scene_json() -> Response:
        return JSONResponse(description, headers=fresh)

    @app.api_route(f"/{splats_url}", methods=["GET", "HEAD"])
    def splat_file() -> Response:
        # An own name for the type: some programs between here and the browser would unpack or rewrite known ones.
        return FileResponse(splats, media_type="application/octet-stream", headers={"Cache-Control": "no-cache"})

    @app.api_route("/{folder}/{name}.jpg", methods=["GET", "HEAD"])
    def picture(folder: str, name: str) -> Response:
        try:
            data = photos.get(f"{folder}/{name}.jpg")
        except InputError as error:
            return PlainTextResponse(str(error), 404)
        if data is None:
            return PlainTextResponse("There is no such file here.", 404)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @app.api_route("/{path:path}", methods=["GET", "HEAD"])
    def page(path: str) -> Response:
        # A look-up in lists made at the start: no request ever becomes a path.
        file = pages.get(path or INDEX) or data.get(path)
        if file is None:
            return PlainTextResponse("There is no such file here.", 404)
        hashed = path.startswith("assets/")
        headers = {"Cache-Control": "private, max-age=31536000, immutable"} if hashed else fresh
        return FileResponse(file, media_type=MEDIA_TYPES.get(file.suffix, "application/octet-stream"), headers=headers)

    return app


def page_splats(scene: ViewerScene, scratch: Path) -> tuple[Path, SplatFormat]:
    """A splat file that the page's renderer reads: the scene's own when it does, else a PLY made in `scratch`."""
    kind = readable_format(scene.splats)
    if kind is not None:
        return scene.splats, kind
    from diorama.render.formats import read_splats, write_splats

    path = scratch / "scene.ply"
    write_splats(read_splats(scene.splats), path, "ply")
    return path, "ply"


def readable_format(path: Path) -> SplatFormat | None:
    """The format of a file when the page's renderer reads it: not SPZ v4, which begins with its magic in the open."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:3] == b"ply":
        return "ply"
    if head[:2] == b"\x1f\x8b":
        return "spz"
    return "splat" if path.suffix.lower() == ".splat" else None


class PhotoStore:
    """Photos made when they are first asked for, the latest kept in memory."""

    def __init__(self, files: dict[str, tuple[ViewerCamera, int]]) -> None:
        self._files = files
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._places = threading.Semaphore(PHOTOS_AT_ONCE)

    def get(self, name: str) -> bytes | None:
        """The JPEG, or None when no camera has a photo of that name. Raises InputError when it cannot be read."""
        if name not in self._files:
            return None
        with self._lock:
            if name in self._made:
                self._made.move_to_end(name)
                return self._made[name]
        camera, size_px = self._files[name]
        with self._places:
            if camera.photo is None:
                return None
            data = camera.photo(size_px)
        with self._lock:
            if name not in self._made:
                self._made[name] = data
                self._size += len(data)
            while self._size > PHOTO_CACHE_BYTES and len(self._made) > 1:
                self._size -= len(self._made.popitem(last=False)[1])
        return data


def _open_browser(url: str) -> None:
    """Opens the link without waiting: a browser in the terminal would never come back."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
