"""A file as an answer: in ranges, with validators for caches, read piece by piece, so that its size does not matter.

RFC 9110: one range is answered with 206; several at once, malformed ones and those behind a stale `If-Range` with the
whole file, as a server may; one that lies beyond the end with 416.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import anyio
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

NOT_HERE = "There is no such file here."
CACHE_NEVER = "no-store"
CACHE_ASK = "private, no-cache"
"""Keep it, but ask each time whether it is still the same: an answer of some bytes when it is."""
CACHE_FOREVER = "private, max-age=31536000, immutable"
"""For names that change with the content."""

PIECE_BYTES = 256 << 10
READERS = 8
"""Threads that read files: as many pieces are on their way from the disk at most, whatever the number of clients."""
STALLED_S = 60.0
"""A client that takes nothing for so long is given up."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_readers = anyio.CapacityLimiter(READERS)


class FileAnswer(Response):
    """The file at `path` as it is when the request comes; 404 when there is none.

    Args:
        cache: the Cache-Control header.
        filename: offers it as a download under this name.
    """

    def __init__(
        self,
        path: Path,
        *,
        media_type: str,
        cache: str,
        filename: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._path = path
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        own = {"cache-control": cache, "accept-ranges": "bytes"}
        if filename is not None:
            own["content-disposition"] = f"attachment; filename*=utf-8''{quote(filename, safe='')}"
        self.init_headers({**own, **(headers or {})})
        # Set when the file is open; `init_headers` knows only of an empty body.
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            file, facts = await anyio.to_thread.run_sync(_open, self._path, limiter=_readers)
        except OSError:
            await PlainTextResponse(NOT_HERE, 404)(scope, receive, send)
            return
        try:
            # A client that leaves or stalls ends the transfer; what it had asked for is not read for nobody.
            transfer = asyncio.ensure_future(self._send(file, facts, scope, send))
            leaving = asyncio.ensure_future(_until_gone(receive))
            try:
                await asyncio.wait((transfer, leaving), return_when=asyncio.FIRST_COMPLETED)
                if transfer.done():
                    # Stalled, or the file became shorter: the connection ends before the promised length.
                    with contextlib.suppress(TimeoutError, OSError):
                        transfer.result()
            finally:
                transfer.cancel()
                leaving.cancel()
                await asyncio.gather(transfer, leaving, return_exceptions=True)
        finally:
            file.close()

    async def _send(self, file: BinaryIO, facts: os.stat_result, scope: Scope, send: Send) -> None:
        asked = Headers(scope=scope)
        tag = entity_tag(facts)
        self.headers["etag"] = tag
        self.headers["last-modified"] = formatdate(facts.st_mtime, usegmt=True)
        size = facts.st_size
        begin, end, status = 0, size, 200
        if is_unchanged(asked, tag, facts.st_mtime):
            begin, end, status = 0, 0, 304
            del self.headers["content-type"]
        elif scope["method"] == "GET" and _may_use_range(asked, tag, self.headers["last-modified"]):
            wanted = parse_range(asked.getlist("range"), size)
            if wanted is not None:
                begin, end = wanted
                status = 206 if begin < end else 416
                part = f"{begin}-{end - 1}" if begin < end else "*"
                self.headers["content-range"] = f"bytes {part}/{size}"
        if status != 304:
            self.headers["content-length"] = str(end - begin)
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            begin = end
        else:
            await anyio.to_thread.run_sync(file.seek, begin, limiter=_readers)
        while begin < end:
            piece = await anyio.to_thread.run_sync(file.read, min(PIECE_BYTES, end - begin), limiter=_readers)
            if not piece:
                raise OSError(f"{self._path} became shorter while it was sent")
            begin += len(piece)
            async with asyncio.timeout(STALLED_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def entity_tag(facts: os.stat_result) -> str:
    """A strong validator: every writer of ours puts a new file in the old one's place, so inode and time tell."""
    text = f"{facts.st_dev}-{facts.st_ino}-{facts.st_size}-{facts.st_mtime_ns}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


def is_unchanged(asked: Headers, tag: str, modified: float) -> bool:
    """Whether the client's copy is still good: If-None-Match, else If-Modified-Since."""
    tags = asked.getlist("if-none-match")
    if tags:
        known = [t.strip().removeprefix("W/") for t in ",".join(tags).split(",")]
        return tag in known or "*" in known
    since = asked.get("if-modified-since")
    if since is None:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def parse_range(headers: list[str], size: int) -> tuple[int, int] | None:
    """(begin, end) of the one range asked for, empty when the file ends before it; None for the whole file."""
    found = _RANGE.fullmatch(headers[0].strip().lower()) if len(headers) == 1 else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    begin = int(first)
    if last and int(last) < begin:
        return None
    return min(begin, size), min(int(last) + 1, size) if last else size


def _may_use_range(asked: Headers, tag: str, modified: str) -> bool:
    condition = asked.get("if-range")
    return condition is None or condition in (tag, modified)


def _open(path: Path) -> tuple[BinaryIO, os.stat_result]:
    # The size is asked of the open file: another may take its name at any moment.
    file = path.open("rb", buffering=0)
    facts = os.fstat(file.fileno())
    if not S_ISREG(facts.st_mode):
        file.close()
        raise FileNotFoundError(path)
    return file, facts


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
