"""Zip archives from elsewhere, read within bounds: few members, plain names, nothing that grows without limit."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from diorama.capture.errors import InputError

from .common import CHANGES, opened

ZIP = b"PK\x03\x04"
MAX_MEMBERS = 256
MAX_EXPANSION = 64
FREE_EXPANSION = 1 << 20


def is_plain_name(name: object) -> bool:
    """Whether a name from a file stays in its folder on every system."""
    return (
        isinstance(name, str)
        and 0 < len(name) < 200
        and not any(c in name for c in '/\\:\0<>|"?*')
        and name not in (".", "..")
    )


def first_name(head: bytes) -> bytes:
    """The name of an archive's first member, from the file's first bytes."""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].lower()


class Members:
    """The members of an archive, by name."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, size: int) -> None:
        self._archive, self._path, self._size = archive, path, size
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise InputError(f"{path} holds {len(infos)} files where at most {MAX_MEMBERS} belong; {CHANGES}.")
        self.names = [info.filename for info in infos]
        if len(set(self.names)) < len(self.names):
            raise InputError(f"{path} holds two files of one name; {CHANGES}.")

    def read(self, name: str) -> bytes:
        """A member's bytes. Raises InputError when it is missing, damaged or grows out of proportion."""
        if name not in self.names:
            raise InputError(f"{self._path} is damaged: it has no {name[:80]!r} inside; {CHANGES}.")
        info = self._archive.getinfo(name)
        limit = max(FREE_EXPANSION, MAX_EXPANSION * self._size)
        if info.flag_bits & 1:
            raise InputError(f"{self._path} is encrypted; save it without a password.")
        if info.file_size > limit:
            raise InputError(f"{self._path} is damaged or hostile: {name[:80]!r} inside claims {info.file_size} bytes.")
        try:
            with self._archive.open(info) as member:
                data = member.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError) as error:
            raise InputError(f"{self._path} is damaged at {name[:80]!r} inside; copy it again.") from error
        if len(data) != info.file_size:
            raise InputError(f"{self._path} is damaged: {name[:80]!r} inside is of another size than it says.")
        return data


@contextmanager
def opened_zip(path: Path) -> Iterator[Members]:
    """An archive's members; InputError when it is none or hostile."""
    with opened(path) as (file, size):
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, EOFError, ValueError, OverflowError, NotImplementedError, UnicodeError) as error:
            raise InputError(f"{path} is no readable zip archive; {CHANGES}.") from error
        with archive:
            yield Members(archive, path, size)


def stored_zip(file: BinaryIO, members: dict[str, bytes]) -> None:
    """Writes an archive of members that are compressed already; the bytes depend on nothing else."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
