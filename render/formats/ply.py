"""Standard 3DGS PLY: one vertex element, one property per parameter (Kerbl et al. 2023).

Coordinates are stored as they are: what we write is in our upright world frame (+z up), and nothing is turned on
reading. Scales are natural logarithms, opacity is a logit, quaternions are wxyz, `f_dc_*` is the constant SH
coefficient and `f_rest_*` the others channel-major (all red, then all green, then all blue). The header of splats to be
drawn with Mip-Splatting's 2D filter says so in a comment; files without it are taken to be classic. Another comment
says which axis points up; files without it are taken to be y down, as COLMAP's first camera and most files are.

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned

from ..splats import Floats, Splats
from . import compressed
from .common import BLOCK, SH_DEGREES, Format, cleaned, empty_splats, opened, require_splats, written_whole
from .ply_header import Element, Header, bad, header_start, parse_header

MEMORY_FACTOR = 6
MEMORY_CONSTANT = 32 << 20
READ_BYTES = 1 << 22
TEXT_BYTES = 1 << 18

MEANS = ("x", "y", "z")
NORMALS = ("nx", "ny", "nz")
DC = ("f_dc_0", "f_dc_1", "f_dc_2")
SCALES = ("scale_0", "scale_1", "scale_2")
QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")
REQUIRED = (*MEANS, *DC, "opacity", *SCALES, *QUATS)


def vertex_element(header: Header, path: Path) -> tuple[Element, list[Element]]:
    """The element that holds the splats, and the elements before it."""
    names = [e.name for e in header.elements]
    if "vertex" not in names:
        raise bad(path, "it has no vertex element")
    index = names.index("vertex")
    vertex, before = header.elements[index], header.elements[:index]
    properties = [name for name, _ in vertex.properties]
    missing = [name for name in REQUIRED if name not in properties]
    if missing:
        raise InputError(
            f"{path} is a PLY without Gaussian splats: its vertices have no {', '.join(missing[:4])}"
            f"{' and more' if len(missing) > 4 else ''}; give a file of trained splats."
        )
    if len(set(properties)) != len(properties):
        raise bad(path, "a property is listed twice")
    if vertex.has_lists or any(e.has_lists for e in before):
        raise bad(path, "it has lists among its splats")
    return vertex, before


def rest_count(vertex: Element, path: Path) -> int:
    """View-dependent SH coefficients per channel in the file, which may be of degree 4."""
    names = {name for name, _ in vertex.properties if name.startswith("f_rest_")}
    per_channel = len(names) // 3
    if 3 * per_channel != len(names) or per_channel not in SH_DEGREES:
        raise bad(path, f"{len(names)} f_rest properties fit no degree of spherical harmonics")
    if names != {f"f_rest_{i}" for i in range(len(names))}:
        raise bad(path, "its f_rest properties are not numbered from 0 on")
    return per_channel


class Target:
    """The arrays of a scene, filled block by block from rows of values."""

    def __init__(self, count: int, columns: dict[str, int], rest: int, header: Header) -> None:
        self.rest, self.kept = rest, min(rest, 15)  # degree 4 is cut to 3
        self.columns = {
            "means": [columns[n] for n in MEANS],
            "quats": [columns[n] for n in QUATS],
            "log_scales": [columns[n] for n in SCALES],
            "dc": [columns[n] for n in DC],
            "rest": [columns[f"f_rest_{i}"] for i in range(3 * rest)],
        }
        self.opacity = columns["opacity"]
        self.splats = empty_splats(count, self.kept, is_antialiased=header.is_antialiased, up=header.up)

    def put(self, start: int, rows: Floats) -> None:
        """Rows (n, P) of splats `start` to `start + n`."""
        s, part, n = self.splats, slice(start, start + len(rows)), len(rows)
        s.means[part] = rows[:, self.columns["means"]]
        s.quats[part] = rows[:, self.columns["quats"]]
        s.log_scales[part] = rows[:, self.columns["log_scales"]]
        s.logit_opacities[part] = rows[:, self.opacity]
        s.sh[part, 0] = rows[:, self.columns["dc"]]
        if self.rest:
            channels = rows[:, self.columns["rest"]].reshape(n, 3, self.rest)[:, :, : self.kept]
            s.sh[part, 1:] = channels.transpose(0, 2, 1)


def read_binary(file: BinaryIO, vertex: Element, order: str, target: Target, path: Path) -> None:
    dtype = np.dtype([(f"p{i}", order + kind) for i, (_, kind) in enumerate(vertex.properties)])
    plain = all(kind == "f4" for _, kind in vertex.properties)
    block = max(1, min(vertex.count, BLOCK, READ_BYTES // dtype.itemsize))
    rows = np.empty((block, len(vertex.properties)), np.float32)
    for start in range(0, vertex.count, block):
        count = min(block, vertex.count - start)
        raw = file.read(count * dtype.itemsize)
        if len(raw) < count * dtype.itemsize:
            raise bad(path, "it became shorter while it was read")
        if plain:
            rows[:count] = np.frombuffer(raw, order + "f4").reshape(count, -1)
        else:
            records = np.frombuffer(raw, dtype)
            with np.errstate(over="ignore", invalid="ignore"):  # doubles beyond float32 become inf and are dropped
                for i in range(rows.shape[1]):
                    rows[:count, i] = records[f"p{i}"]
        target.put(start, rows[:count])


def read_text(file: BinaryIO, vertex: Element, skip: int, target: Target, path: Path) -> None:
    """Values as text. `skip` counts the values of the elements before."""
    width = len(vertex.properties)
    values: list[float] = []
    start, rest = 0, b""
    while start < vertex.count:
        text = file.read(TEXT_BYTES)
        if len(rest) > 512:
            raise bad(path, "it has text that is no number")
        words = (rest + text).split()
        rest = words.pop() if text and not text[-1:].isspace() and words else b""
        try:
            values += map(float, words)
        except ValueError as error:
            raise bad(path, "it has text that is no number") from error
        drop = min(skip, len(values))
        values, skip = values[drop:], skip - drop
        count = min(len(values) // width, vertex.count - start) if not skip else 0
        if count:
            with np.errstate(over="ignore", invalid="ignore"):
                rows: Floats = np.array(values[: count * width], np.float64).astype(np.float32).reshape(count, width)
            target.put(start, rows)
            values, start = values[count * width :], start + count
        if not text and start < vertex.count:
            raise InputError(
                f"{path} is cut short: its header announces {vertex.count} splats and it holds {start}; copy it again."
            )


def read(path: Path, on_event: OnEvent) -> Splats:
    with opened(path) as (file, size):
        header = parse_header(file, path)
        if any(e.name == "chunk" for e in header.elements):
            return compressed.read_body(file, size, header, path, on_event)
        vertex, before = vertex_element(header, path)
        require_splats(path, vertex.count)
        rest = rest_count(vertex, path)
        if header.byte_order is None:
            offset = header.size
            skip = sum(e.count * len(e.properties) for e in before)
            need = 2 * (vertex.count * len(vertex.properties) + skip) - 1  # a digit and a space each
        else:
            skip = 0
            offset = header.size + sum(e.count * e.stride for e in before)
            need = vertex.count * vertex.stride
        if offset + need > size:
            raise InputError(
                f"{path} is cut short: its header announces {vertex.count} splats, which take {need} bytes, and "
                f"{max(0, size - offset)} follow; copy it again."
            )
        columns = {name: i for i, (name, _) in enumerate(vertex.properties)}
        target = Target(vertex.count, columns, rest, header)
        file.seek(offset)
        if header.byte_order is None:
            read_text(file, vertex, skip, target, path)
        else:
            read_binary(file, vertex, header.byte_order, target, path)
    if rest > 15:
        on_event(Warned("import", f"{path.name}: spherical harmonics of degree 4 were cut to degree 3."))
    return cleaned(target.splats, path, on_event)


def property_names(sh_degree: int) -> list[str]:
    """The reference implementation's properties in its order: 62 at degree 3."""
    rest = 3 * ((sh_degree + 1) ** 2 - 1)
    return [*MEANS, *NORMALS, *DC, *(f"f_rest_{i}" for i in range(rest)), "opacity", *SCALES, *QUATS]


def write(splats: Splats, path: Path, on_event: OnEvent) -> None:
    names = property_names(splats.sh_degree)
    lines = header_start(splats)
    lines.append(f"element vertex {len(splats)}")
    lines += [f"property float {name}" for name in names]
    header = "\n".join([*lines, "end_header", ""]).encode("ascii")
    rest = splats.sh.shape[1] - 1
    block = min(len(splats), BLOCK >> 2)
    rows: npt.NDArray[np.float32] = np.zeros((block, len(names)), "<f4")
    tail = 9 + 3 * rest
    with written_whole(path) as file:
        file.write(header)
        for start in range(0, len(splats), block):
            part = slice(start, min(start + block, len(splats)))
            n = part.stop - start
            rows[:n, 0:3] = splats.means[part]
            rows[:n, 6:9] = splats.sh[part, 0]
            rows[:n, 9:tail].reshape(n, 3, rest)[:] = splats.sh[part, 1:].transpose(0, 2, 1)
            rows[:n, tail] = splats.logit_opacities[part]
            rows[:n, tail + 1 : tail + 4] = splats.log_scales[part]
            rows[:n, tail + 4 :] = splats.quats[part]
            file.write(rows[:n].data)


FORMAT = Format(
    name="ply",
    extension=".ply",
    description="standard 3DGS PLY, lossless float32; opens in SuperSplat and in Unity and Unreal plugins",
    matches=lambda head: head.startswith((b"ply\n", b"ply\r\n")),
    read=read,
    write=write,
    max_loss_db=0.05,
)
