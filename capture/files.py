"""Reading files that may be hostile and writing files that are never half there."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from .errors import InputError

MAX_JSON_BYTES = 64 << 20
"""Larger JSON files are refused: 50,000 frames need about 40 MB. Parsed JSON takes at most about 50 times the file."""


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The whole file; InputError when it is missing, unreadable or larger than `max_bytes`."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path} is not a file.")
        if size > max_bytes:
            raise InputError(f"{path} has {size:,} bytes, more than the {max_bytes:,} that are read of such a file.")
        with path.open("rb") as file:
            return file.read(size)  # asking for more would allocate it at once
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """A JSON object; InputError for anything else, NaN and infinities and endless nesting included."""
    data = read_bytes(path, max_bytes)
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError(f"{path} is not usable: its brackets are nested without end.") from None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {str(error)[:200]}.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.")
    return value


class Fields:
    """Typed access to one JSON object of a file; every surprise is an InputError that names file and field."""

    def __init__(self, path: Path, value: Any, where: str = "") -> None:
        self.path = path
        self.where = where
        if not isinstance(value, Mapping):
            raise InputError(f"{path}: {where or 'the file'} is not an object.")
        self.value: Mapping[str, Any] = value

    def fail(self, name: str, problem: str) -> InputError:
        return InputError(f"{self.path}: {self.where + '.' if self.where else ''}{name} {problem}.")

    def has(self, name: str) -> bool:
        return self.value.get(name) is not None

    def number(self, name: str, default: float | None = None) -> float:
        found = self.optional_number(name)
        if found is None:
            if default is None:
                raise self.fail(name, "is missing")
            return default
        return found

    def optional_number(self, name: str) -> float | None:
        value = self.value.get(name)
        if value is None:
            return None
        return finite(value, lambda problem: self.fail(name, problem))

    def integer(self, name: str, low: int, high: int) -> int:
        number = self.number(name)
        if number != int(number) or not low <= number <= high:
            raise self.fail(name, f"is {number:g}, not a whole number from {low} to {high}")
        return int(number)

    def text(self, name: str, default: str | None = None) -> str:
        found = self.optional_text(name)
        if found is None:
            if default is None:
                raise self.fail(name, "is missing")
            return default
        return found

    def optional_text(self, name: str) -> str | None:
        value = self.value.get(name)
        if value is not None and not isinstance(value, str):
            raise self.fail(name, "is not a text")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.value.get(name, default)
        if not isinstance(value, bool):
            raise self.fail(name, "is neither true nor false")
        return value

    def items(self, name: str) -> list[Any]:
        value = self.value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fail(name, "is not a list")
        return value

    def objects(self, name: str) -> Iterator[Fields]:
        prefix = f"{self.where}.{name}" if self.where else name
        for i, item in enumerate(self.items(name)):
            yield Fields(self.path, item, f"{prefix}[{i}]")

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.items(name)
        if not all(isinstance(v, str) for v in values):
            raise self.fail(name, "holds something that is not a text")
        return tuple(values)

    def numbers(self, name: str, count: int | None = None) -> tuple[float, ...]:
        values = self.items(name)
        if count is not None and len(values) != count:
            raise self.fail(name, f"holds {len(values)} numbers instead of {count}")
        return tuple(finite(v, lambda problem: self.fail(name, problem)) for v in values)


def finite(value: Any, fail: Callable[[str], InputError]) -> float:
    """A JSON value as a finite float; booleans are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fail("is not a number")
    try:
        number = float(value)
    except OverflowError:
        raise fail("is too large") from None
    if not math.isfinite(number):
        raise fail("is not a finite number")
    return number


def is_inside_name(name: str) -> bool:
    """Whether a relative POSIX path names something inside its folder: not empty, not absolute, no `..`."""
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and not name.startswith("/")
        and ".." not in parts
        and not any(ord(c) < 32 or c == "\\" for c in name)
        and ":" not in parts[0]
    )


def inside(folder: Path, name: str, *, named_in: Path, root: Path | None = None) -> Path:
    """The path `folder/name`, which must not lead out of `root` (by default `folder`), by links either.

    Raises InputError that names `named_in`, the file in which the name was found.
    """
    if "\0" in name or len(name) > 4096:
        raise InputError(f"{named_in} names a file whose name cannot exist.")
    root = (root or folder).resolve()
    try:
        target = (folder / name.replace("\\", "/")).resolve()
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{named_in} names {name[:200]!r}, which cannot be followed.") from None
    if target != root and root not in target.parents:
        raise InputError(
            f"{named_in} names {name[:200]!r}, which lies outside {root}; "
            "copy the files into the folder and name them relative to it."
        )
    return target


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes `path`'s place when the block ends well and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`; it takes the place of `path`, whatever that held, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
    try:
        yield beside
        beside.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.old.", dir=path.parent))
            path.replace(old / "was")
            beside.replace(path)
            shutil.rmtree(old)
        else:
            beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """JSON with finite numbers only (ValueError otherwise), written beside and renamed."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with writing(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def link_or_copy(source: Path, target: Path) -> None:
    """`target` becomes a hard link of `source`, or its copy where the file system allows no link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
