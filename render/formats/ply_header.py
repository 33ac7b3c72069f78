"""The header of a PLY file, which splats come in by two layouts (`ply`, `compressed`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from diorama.capture.errors import InputError

from ..splats import Splats, Up
from .common import CHANGES, UP_IN_FILES, up_named

ANTIALIASED = "antialiased: opacities make up for a low-pass of 0.1 square pixels"
UP = "up axis:"
MAX_HEADER = 1 << 18
MAX_PROPERTIES = 2048

TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": None}


@dataclass
class Element:
    """An element of the header: its name, count and scalar properties (name, NumPy type without byte order)."""

    name: str
    count: int
    properties: list[tuple[str, str]]
    has_lists: bool = False

    @property
    def stride(self) -> int:
        return sum(int(kind[1]) for _, kind in self.properties)


@dataclass(frozen=True)
class Header:
    byte_order: str | None  # "<", ">" or None for text
    elements: list[Element]
    size: int  # bytes up to the first element
    is_antialiased: bool = False
    up: Up = UP_IN_FILES


def bad(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable PLY: {problem}; {CHANGES}.")


def parse_header(file: BinaryIO, path: Path) -> Header:
    """The header of a PLY whose first bytes are still unread."""
    start = file.read(MAX_HEADER)
    at = start.find(b"\nend_header")
    end = start.find(b"\n", at + 1)
    if not start.startswith(b"ply") or at < 0 or end < 0:
        raise bad(path, f"it has no complete header in its first {MAX_HEADER >> 10} KiB")
    byte_order: str | None = "?"
    elements: list[Element] = []
    is_antialiased, up = False, UP_IN_FILES
    for line in start[:at].decode("latin-1").splitlines()[1:]:
        words = line.split()
        is_antialiased |= words[1:] == ANTIALIASED.split()
        up = up_named(words[-1]) if words[1:-1] == UP.split() else up
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) >= 2 and words[1] in BYTE_ORDERS:
            byte_order = BYTE_ORDERS[words[1]]
        elif words[0] == "element" and len(words) == 3 and words[2].isdecimal() and len(words[2]) < 20:
            elements.append(Element(words[1], int(words[2]), []))
        elif words[0] == "property" and elements and len(words) >= 3 and words[1] == "list":
            elements[-1].has_lists = True
        elif words[0] == "property" and elements and len(words) == 3 and words[1] in TYPES:
            elements[-1].properties.append((words[2], TYPES[words[1]]))
        else:
            raise bad(path, f"its header line {line.strip()[:60]!r} makes no sense")
    if byte_order == "?":
        raise bad(path, "its header names no format")
    if any(len(e.properties) > MAX_PROPERTIES for e in elements):
        raise bad(path, f"an element has more than {MAX_PROPERTIES} properties")
    return Header(byte_order, elements, end + 1, is_antialiased, up)


def header_start(splats: Splats) -> list[str]:
    """The first lines of the header of a PLY of splats, with what Diorama says in comments.

    What every reader supposes is not said: some plugins of engines take no comments.
    """
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {UP} {splats.up}"] if splats.up != UP_IN_FILES else []
    return [*lines, f"comment {ANTIALIASED}"] if splats.is_antialiased else lines
