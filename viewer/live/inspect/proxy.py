"""viser under our own address: what it answers at its port, handed on behind our guard."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import http.client
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from ...scene_data import ViewerCamera
from ...security import TICKETS
from ..relay import LiveRelay
from .panel import InspectionPanel

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

PATH = "inspect"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""viser's page holds its scripts and styles in itself, and makes some of them while it runs."""
SHIM = """{
  const post = Worker.prototype.postMessage;
  const keyed = (v) => (typeof v === "string" && /^wss?:/.test(v) ? `${v}?token=TICKET` : v);
  Worker.prototype.postMessage = function (message, ...more) {
    if (message !== null && typeof message === "object" && Object.getPrototypeOf(message) === Object.prototype) {
      message = Object.fromEntries(Object.entries(message).map(([k, v]) => [k, keyed(v)]));
    }
    return post.call(this, message, ...more);
  };
}"""
MAX_PAGE = 32 << 20
MAX_MESSAGE = 64 << 20
KEPT = ("content-type", "content-encoding", "etag", "last-modified")

Find = Callable[[], Awaitable[tuple[LiveRelay, Sequence[ViewerCamera]] | None]]


class Inspector:
    """Keeps one panel: that of the training which runs when the page is opened."""

    def __init__(self, find: Find) -> None:
        """`find` gives the relay and the cameras of the training to inspect now, None when there is none."""
        self._find = find
        self._panel: InspectionPanel | None = None
        self._turn = asyncio.Lock()

    async def _renew(self) -> None:
        """The panel of what runs now; the last one as long as nothing else does."""
        async with self._turn:
            found = await self._find()
            if found is None or (self._panel is not None and self._panel.relay is found[0]):
                return
            if self._panel is not None:
                self._panel.close()
            make = functools.partial(InspectionPanel, *found, asyncio.get_running_loop())
            self._panel = await anyio.to_thread.run_sync(make)

    async def page(self, request: Request) -> Response:
        """GET: viser's page and its files."""
        from starlette.responses import PlainTextResponse, Response

        path = str(request.path_params.get("path", ""))
        if path == "" or self._panel is None:
            await self._renew()
        if self._panel is None:
            return PlainTextResponse("No training is running: start one, then open this again.", 404)
        try:
            status, headers, body = await anyio.to_thread.run_sync(_fetch, self._panel.port, path)
        except (OSError, http.client.HTTPException):
            return PlainTextResponse("The inspection panel does not answer.", 502)
        if headers.get("content-type", "").startswith("text/html"):
            body = with_ticket(_unpacked(body, headers), request.scope[TICKETS](f"/{PATH}"))
        return Response(body, status, {**headers, "Content-Security-Policy": POLICY, "Cache-Control": "no-store"})

    async def socket(self, websocket: WebSocket) -> None:
        """viser's WebSocket, message by message in both directions; whoever is slow is waited for."""
        from websockets.asyncio.client import connect

        if self._panel is None:
            await websocket.close(1013)
            return
        wanted: Any = websocket.scope.get("subprotocols") or None
        try:
            async with connect(
                f"ws://127.0.0.1:{self._panel.port}",
                subprotocols=wanted,
                max_size=MAX_MESSAGE,
                max_queue=4,
                compression=None,
                proxy=None,
            ) as behind:
                await websocket.accept(behind.subprotocol)
                tasks = [
                    asyncio.create_task(work) for work in (_to_viser(websocket, behind), _to_page(websocket, behind))
                ]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        with contextlib.suppress(Exception):
            await websocket.close()


def with_ticket(page: bytes, ticket: str) -> bytes:
    """viser's page connects from a worker, to which browsers give no strict cookie: its address gets a ticket."""
    return page.replace(b"<head>", b"<head><script>" + SHIM.replace("TICKET", ticket).encode() + b"</script>", 1)


def _unpacked(body: bytes, headers: dict[str, str]) -> bytes:
    return gzip.decompress(body) if headers.pop("content-encoding", "") == "gzip" else body


async def _to_viser(websocket: WebSocket, behind: Any) -> None:
    while (message := await websocket.receive())["type"] == "websocket.receive":
        data = message.get("bytes")
        await behind.send(data if data is not None else message.get("text", ""))


async def _to_page(websocket: WebSocket, behind: Any) -> None:
    async for data in behind:
        await (websocket.send_bytes(data) if isinstance(data, bytes) else websocket.send_text(data))


def _fetch(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    """One GET of viser's, without anything of the request that came to us: no cookie leaves the guard."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        # Only plain names: viser turns paths into file names.
        plain = "/".join(part for part in path.split("/") if part.strip(".") and part.isprintable() and " " not in part)
        connection.request("GET", f"/{plain}", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        headers = {name: value for name in KEPT if (value := answer.getheader(name))}
        return answer.status, headers, answer.read(MAX_PAGE)
    finally:
        connection.close()


def inspect_routes(inspector: Inspector) -> Callable[[FastAPI], None]:
    """Adds `/inspect/` and its WebSocket."""

    def add(app: FastAPI) -> None:
        from starlette.responses import RedirectResponse
        from starlette.routing import Route, WebSocketRoute

        async def without_slash(request: Request) -> Response:
            return RedirectResponse(f"/{PATH}/", 308)

        app.router.routes += [
            Route(f"/{PATH}", without_slash),
            Route(f"/{PATH}/{{path:path}}", inspector.page),
            WebSocketRoute(f"/{PATH}", inspector.socket),
            WebSocketRoute(f"/{PATH}/{{path:path}}", inspector.socket),
        ]

    return add
