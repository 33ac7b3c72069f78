"""How much a request may bring, decided before anything reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 1 << 20
LARGE_BODY_BYTES = 64 << 20
"""Of what a person draws in the page: selections of splats, camera paths."""
LARGE = re.compile(r"/api/captures/[^/]+/(edits|versions|videos)(/.*)?")
STREAMED = re.compile(r"/api/uploads/[^/]+")
"""These bound themselves, see uploads.py."""
DRAIN_BYTES, DRAIN_S = 8 << 20, 2.0
"""Read and thrown away before the answer: who still sends when the line is cut never sees it."""
TOO_MUCH = b'{"error":"This request brings more than is taken here."}'


class BodyLimit:
    """ASGI middleware: 413 for bodies that are too long, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] == "PATCH" and STREAMED.fullmatch(scope["path"])):
            await self._app(scope, receive, send)
            return
        limit = LARGE_BODY_BYTES if LARGE.fullmatch(scope["path"]) else BODY_BYTES
        announced = next((v for k, v in scope["headers"] if k.lower() == b"content-length"), b"0")
        if not announced.isdigit() or int(announced[:19]) > limit:
            await _refuse(receive, send)
            return
        taken = 0
        has_begun = False

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _TooMuchError
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, bounded, watched)
        except _TooMuchError:
            if not has_begun:
                await _refuse(receive, send)


class _TooMuchError(BaseException):
    """Not an Exception, so that nothing on the way makes an answer of its own of it."""


async def _refuse(receive: Receive, send: Send) -> None:
    await _throw_away(receive)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(TOO_MUCH)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": TOO_MUCH})


async def _throw_away(receive: Receive) -> None:
    import anyio

    left = DRAIN_BYTES
    with anyio.move_on_after(DRAIN_S):
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
