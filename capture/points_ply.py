"""Point clouds in PLY files: positions and colours, what other programs put beside their cameras.

Splat files are read in `diorama.render.formats`; this knows only the points a capture brings along.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .files import read_bytes, writing
from .types import SparsePoints

MAX_PLY_BYTES = 2 << 30
MAX_HEADER_BYTES = 64 << 10

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}


def read_points(path: Path) -> SparsePoints:
    """The `vertex` element's x, y, z and red, green, blue (grey where missing); points that are not finite are dropped.

    Raises InputError when the file is no PLY, claims more vertices than it holds or begins with another element.
    """
    data = read_bytes(path, MAX_PLY_BYTES)
    form, count, fields, body = _header(path, data)
    dtype = np.dtype([(name, form + kind if form != "a" else "f8") for name, kind in fields])
    if form == "a":
        vertices = _ascii_vertices(path, data[body:], count, dtype)
    else:
        if count * dtype.itemsize > len(data) - body:
            raise InputError(f"{path} claims {count:,} points, more than its {len(data):,} bytes can hold.")
        vertices = np.frombuffer(data, dtype, count, body)
    xyz = np.stack([vertices[axis].astype(np.float64) for axis in "xyz"], axis=1)
    rgb = np.full((count, 3), 128, np.uint8)
    kinds = dict(fields)
    for i, channel in enumerate(("red", "green", "blue")):
        if channel in kinds:
            scale = {"f4": 255.0, "f8": 255.0, "u2": 1 / 257}.get(kinds[channel], 1.0)
            values = np.nan_to_num(vertices[channel].astype(np.float64)) * scale
            rgb[:, i] = np.clip(np.rint(values), 0, 255)
    keep = np.all(np.abs(xyz) < 1e30, axis=1)
    kept = int(keep.sum())
    return SparsePoints(xyz[keep], rgb[keep], np.full(kept, -1.0), np.zeros(kept, np.int32))


def _header(path: Path, data: bytes) -> tuple[str, int, list[tuple[str, str]], int]:
    """Byte order (`<`, `>` or `a` for ASCII), vertex count, (name, type) of its properties, where the data begins."""
    end = data.find(b"end_header", 0, MAX_HEADER_BYTES)
    newline = data.find(b"\n", end, end + 16) if end >= 0 else -1
    if not data.startswith(b"ply") or newline < 0:
        raise InputError(f"{path} is not a PLY file.")
    form, count, fields, elements = "", -1, list[tuple[str, str]](), 0
    for line in data[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        if words[:1] == ["format"] and len(words) > 1:
            form = {"ascii": "a", "binary_little_endian": "<", "binary_big_endian": ">"}.get(words[1], "")
        elif words[:1] == ["element"] and len(words) == 3:
            elements += 1
            if elements == 1 and words[1] == "vertex" and words[2].isdigit() and len(words[2]) < 16:
                count = int(words[2])
        elif words[:1] == ["property"] and elements == 1:
            if len(words) != 3 or words[1] not in _TYPES or words[2] in dict(fields):
                raise InputError(f"{path} has a vertex property that is not a plain number: {line[:80]!r}.")
            fields.append((words[2], _TYPES[words[1]]))
    if not form or count < 0 or not {"x", "y", "z"} <= set(dict(fields)):
        raise InputError(f"{path} is a PLY file without points (a first element `vertex` with x, y and z).")
    return form, count, fields, newline + 1


def _ascii_vertices(path: Path, body: bytes, count: int, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    width = len(dtype.names or ())
    if count * width * 2 > len(body) + 1:
        raise InputError(f"{path} claims {count:,} points, more than its {len(body):,} bytes can hold.")
    rows = np.zeros((count, width))
    lines = iter(body.split(b"\n"))
    for i in range(count):
        words = next(lines, b"").split()
        if len(words) != width:
            raise InputError(f"{path} has a point of {len(words)} numbers where {width} are due.")
        try:
            rows[i] = [float(w) for w in words]
        except ValueError:
            raise InputError(f"{path} holds something other than numbers where a point is due.") from None
    return rows.view(dtype)[:, 0] if count else np.zeros(0, dtype)


def write_points(points: SparsePoints, path: Path) -> None:
    """Binary little-endian PLY with float positions and byte colours."""
    dtype = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertices = np.zeros(len(points), dtype)
    vertices["xyz"] = points.xyz
    vertices["rgb"] = points.rgb_srgb
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    with writing(path) as beside:
        beside.write_bytes("\n".join([*header, "end_header", ""]).encode() + vertices.tobytes())
