"""Text for the page, packed for browsers that take it so: a page's scripts are a quarter of their size by gzip."""

from __future__ import annotations

import asyncio
import gzip
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response

from .files import PIECE_BYTES, STALLED_S, FileAnswer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PACKABLE = (".js", ".css", ".html", ".json", ".svg", ".wasm")
LEVEL = 6
MIN_BYTES = 1_000
MAX_BYTES = 32 << 20


class PackedFiles:
    """Files of a page, each packed when it is first asked for and then kept; a page has a few megabytes of them."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, int], bytes] = {}
        self._lock = threading.Lock()

    def get(self, path: Path) -> bytes | None:
        """The file as gzip; None when it is not one of those that shrink."""
        facts = path.stat()
        if path.suffix not in PACKABLE or not MIN_BYTES <= facts.st_size <= MAX_BYTES:
            return None
        key = (str(path), facts.st_size, facts.st_mtime_ns)
        with self._lock:  # fifty pages that open at once wait for one packing
            if key not in self._made:
                self._made[key] = pack(path.read_bytes())
            return self._made[key]


class PageAnswer(FileAnswer):
    """A page's file, packed when the browser takes it so and asks for all of it."""

    def __init__(self, path: Path, packed: PackedFiles, *, media_type: str, cache: str) -> None:
        super().__init__(path, media_type=media_type, cache=cache, headers={"vary": "accept-encoding"})
        self._file, self._packed, self._cache = path, packed, cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope)
        data = None
        if takes_gzip(asked) and "range" not in asked and "if-none-match" not in asked:
            try:
                data = await anyio.to_thread.run_sync(self._packed.get, self._file)
            except OSError:
                data = None  # FileAnswer says what is to be said
        if data is None:
            await super().__call__(scope, receive, send)
        else:
            await packed_answer(data, str(self.media_type), self._cache)(scope, receive, send)


def packed_answer(data: bytes, media_type: str, cache: str) -> Response:
    """Bytes of gzip as an answer."""
    headers = {"content-encoding": "gzip", "vary": "accept-encoding", "cache-control": cache}
    return _InPieces(data, media_type=media_type, headers=headers)


class _InPieces(Response):
    """Handed on piece by piece: else each slow client has a copy of all of it waiting."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"" if scope["method"] == "HEAD" else bytes(self.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for begin in range(0, len(body), PIECE_BYTES):
            piece = body[begin : begin + PIECE_BYTES]
            async with asyncio.timeout(STALLED_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def pack(data: bytes) -> bytes:
    return gzip.compress(data, LEVEL, mtime=0)


def takes_gzip(asked: Headers) -> bool:
    """Whether the browser says so; `q=0` means that it does not."""
    for part in ",".join(asked.getlist("accept-encoding")).lower().split(","):
        name, _, weight = part.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.strip().replace(" ", "").rstrip("0.") != "q="
    return False
