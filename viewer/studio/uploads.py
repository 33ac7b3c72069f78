"""Files on their way in: each may come in as many pieces as the connection needs, and goes on after a restart.

    uploads/ID/upload.json   name, size, when, the checksum that was promised
    uploads/ID/data          what has arrived so far; its size is where to go on

Nothing is taken on trust: sizes are bounded before the first byte, names are made safe (see names.py) and never become
paths here, and nobody can write past the size that was announced.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import anyio

from diorama.capture.errors import InputError
from diorama.capture.files import write_json

from ..jobs import ConflictError, NotFoundError
from ..names import safe_name

MAX_UPLOAD_BYTES = 64 << 30
RESERVE_BYTES = 1 << 30
"""Left free on the disk whatever is uploaded: the system and running jobs need room, too."""
MAX_UPLOADS = 10_000
KEEP_S = 7 * 86400.0
"""An unfinished upload that nobody went on with for so long is deleted."""
PIECE_BYTES = 1 << 20
_ID = re.compile(r"[0-9a-f]{32}")


class TooLargeError(InputError):
    """More than fits on the disk, or than was announced."""


@dataclass(frozen=True)
class Upload:
    """A file on its way. offset: bytes that have arrived. sha256: what they shall hash to, when it was promised."""

    id: str
    name: str
    size: int
    offset: int
    created: float
    sha256: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.offset == self.size


@dataclass
class _Slot:
    """What is known of an upload here; `turn` counts requests to write, of which only the latest may.

    reading: ends the request that is being read.
    """

    upload: Upload
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn: int = 0
    reading: anyio.CancelScope | None = None

    def take_over(self) -> int:
        """Ends whoever writes now; the number of the turn that may write next."""
        self.turn += 1
        if self.reading is not None:
            self.reading.cancel()
        return self.turn


class UploadStore:
    """The uploads in a folder. Call from one event loop.

    Args:
        free_bytes: how much room there is; asked before each upload.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = MAX_UPLOAD_BYTES, free_bytes: Callable[[Path], int] | None = None
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._free_bytes = free_bytes or (lambda path: shutil.disk_usage(path).free)
        folder.mkdir(parents=True, exist_ok=True)
        self._slots = {upload.id: _Slot(upload) for upload in _found(folder)}
        self.clean()

    @property
    def room(self) -> int:
        """Bytes that a new upload may have."""
        promised = sum(s.upload.size - s.upload.offset for s in self._slots.values())
        return max(0, min(self._max_bytes, self._free_bytes(self._folder) - RESERVE_BYTES - promised))

    def all(self) -> list[Upload]:
        """All uploads, the oldest first."""
        return sorted((s.upload for s in self._slots.values()), key=lambda u: u.created)

    def get(self, upload: str) -> Upload:
        return self._slot(upload).upload

    def create(self, name: str, size: int, sha256: str | None = None) -> Upload:
        """A new upload of exactly `size` bytes. Raises TooLargeError or ConflictError."""
        self.clean()
        if len(self._slots) >= MAX_UPLOADS:
            raise ConflictError(f"{MAX_UPLOADS} uploads are waiting already: use or delete some first.")
        if size > self.room:
            raise TooLargeError(
                f"{safe_name(name)} is too large ({size / 1e9:.1f} GB): there is room for {self.room / 1e9:.1f} GB."
            )
        upload = Upload(secrets.token_hex(16), safe_name(name), size, 0, time.time(), sha256)
        place = self._folder / upload.id
        place.mkdir()
        (place / "data").touch()
        # Last: without this file it was never there, see `_found`.
        write_json(place / "upload.json", {k: v for k, v in asdict(upload).items() if k != "offset"})
        self._slots[upload.id] = _Slot(upload)
        return upload

    async def write(self, upload: str, offset: int, pieces: AsyncIterator[bytes]) -> Upload:
        """Appends pieces that begin at `offset`. What came is kept when they break off.

        A second request takes over from a first that has not noticed yet that its client is gone.

        Raises ConflictError when `offset` is not where it goes on, TooLargeError when more comes than was announced,
        InputError when the whole is not what the checksum promised; it then begins anew.
        """
        slot = self._slot(upload)
        turn = slot.take_over()
        async with slot.lock:
            self._slot(upload)  # it may have been deleted while we waited
            now = slot.upload
            if slot.turn != turn or offset != now.offset:
                raise ConflictError(f"This upload goes on at byte {now.offset}, not at {offset}: go on from there.")
            with (self._folder / upload / "data").open("r+b") as file:
                await self._append(slot, file, pieces)
            if slot.upload.is_whole and slot.upload.sha256:
                await self._check(slot)
        return slot.upload

    async def _append(self, slot: _Slot, file: BinaryIO, pieces: AsyncIterator[bytes]) -> None:
        buffer = bytearray()
        file.truncate(slot.upload.offset)
        file.seek(slot.upload.offset)
        try:
            with anyio.CancelScope() as slot.reading:
                async for piece in pieces:
                    if slot.upload.offset + len(buffer) + len(piece) > slot.upload.size:
                        raise TooLargeError(f"More came than the {slot.upload.size} bytes that were announced.")
                    buffer += piece
                    if len(buffer) >= PIECE_BYTES:
                        await self._flush(slot, file, buffer)
            if slot.reading.cancelled_caught:
                raise ConflictError("This upload goes on in another request.")
        finally:
            slot.reading = None
            # Also when the connection broke off: the less is sent twice. Not to be cut short by the request's end.
            with anyio.CancelScope(shield=True):
                await self._flush(slot, file, buffer)

    async def _flush(self, slot: _Slot, file: BinaryIO, buffer: bytearray) -> None:
        data = bytes(buffer)
        buffer.clear()
        await anyio.to_thread.run_sync(_write_through, file, data)
        now = slot.upload
        slot.upload = Upload(**{**vars(now), "offset": now.offset + len(data)})

    async def _check(self, slot: _Slot) -> None:
        now = slot.upload
        path = self._folder / now.id / "data"
        if await anyio.to_thread.run_sync(_sha256, path) != now.sha256:
            path.write_bytes(b"")
            slot.upload = Upload(**{**vars(now), "offset": 0})
            raise InputError(f"{now.name} did not arrive as it was sent (its checksum differs): upload it again.")

    def delete(self, upload: str) -> None:
        """Forgets an upload and what came of it."""
        self._slot(upload).take_over()
        del self._slots[upload]
        shutil.rmtree(self._folder / upload, ignore_errors=True)

    def whole(self, uploads: Sequence[str]) -> list[tuple[str, Path]]:
        """(name, file) of uploads that have arrived. Raises NotFoundError, ConflictError when one has not."""
        if len(set(uploads)) != len(uploads):
            raise InputError("The same upload is named twice.")
        found = [self.get(upload) for upload in uploads]
        for upload in found:
            if not upload.is_whole:
                raise ConflictError(f"{upload.name} has not arrived yet ({upload.offset} of {upload.size} bytes).")
        return [(u.name, self._folder / u.id / "data") for u in found]

    def clean(self) -> None:
        """Deletes what nobody went on with."""
        for upload in [s.upload for s in self._slots.values() if not s.lock.locked()]:
            if time.time() - _last_touched(self._folder / upload.id) > KEEP_S:
                self.delete(upload.id)

    def _slot(self, upload: str) -> _Slot:
        try:
            return self._slots[upload]
        except KeyError:
            raise NotFoundError("There is no such upload: it was used, deleted, or given up long ago.") from None


def _found(folder: Path) -> list[Upload]:
    """The uploads that a server before us left; what cannot be read is deleted."""
    found = []
    for place in folder.iterdir():
        try:
            facts = json.loads((place / "upload.json").read_text(encoding="utf-8"))
            offset = (place / "data").stat().st_size
            upload = Upload(
                place.name, safe_name(facts["name"]), int(facts["size"]), offset, float(facts["created"]),
                facts["sha256"],
            )  # fmt: skip
            is_ours = _ID.fullmatch(place.name) and offset <= upload.size
        except (OSError, ValueError, KeyError, TypeError):
            is_ours = None
        if is_ours:
            found.append(upload)
        else:
            shutil.rmtree(place, ignore_errors=True)
    return found


def _last_touched(place: Path) -> float:
    with contextlib.suppress(OSError):
        return (place / "data").stat().st_mtime
    return 0.0


def _write_through(file: BinaryIO, data: bytes) -> None:
    # Into the system's hands, so that the file's size is the offset whatever happens to this process.
    file.write(data)
    file.flush()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
