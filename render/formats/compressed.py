"""PlayCanvas' compressed PLY: 16 bytes per splat in chunks of 256 with their bounds, harmonics in 8 bits.

Elements: `chunk` (18 floats: bounds of centres, log-scales and colours; files before 2024 have no colour bounds, which
are then 0..1), `vertex` (4 x uint32: centre 11-10-11 bits, rotation 2 bits that name the largest component and 3 x 10
of the others, log-scale 11-10-11, colour and opacity 4 x 8), `sh` (`f_rest_*` in 8 bits from -4 to 4, channel-major).
The frame and the comments are those of an uncompressed PLY (`ply`).

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned

from ..splats import SH_C0, Floats, Splats
from .common import (
    BLOCK,
    SH_DEGREES,
    Bytes,
    Format,
    cleaned,
    empty_splats,
    opacity_bytes,
    opacity_logits,
    opened,
    require_splats,
    to_byte,
    written_whole,
)
from .order import morton_order
from .ply_header import Element, Header, bad, header_start, parse_header

MEMORY_FACTOR = 12
MEMORY_CONSTANT = 32 << 20
CHUNK = 256
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
BOUNDS = [f"{end}_{what}{axis}" for what in ("", "scale_") for end in ("min", "max") for axis in "xyz"]
COLOUR_BOUNDS = [f"{end}_{channel}" for end in ("min", "max") for channel in "rgb"]
HALF_BITS = (11, 10, 11)
LOG_SCALE_LIMIT = 20.0
SH_RANGE = 8.0

Words = npt.NDArray[np.uint32]


def unpack_unit(words: Words, bits: tuple[int, ...]) -> Floats:
    """Fractions 0..1 (n, len(bits)) from words (n,), the first in the highest bits."""
    out = np.empty((len(words), len(bits)), np.float32)
    shift = 32
    for i, count in enumerate(bits):
        shift -= count
        out[:, i] = ((words >> np.uint32(shift)) & np.uint32((1 << count) - 1)) / np.float32((1 << count) - 1)
    return out


def pack_unit(values: npt.NDArray[np.floating], bits: tuple[int, ...]) -> Words:
    words = np.zeros(len(values), np.uint32)
    for i, count in enumerate(bits):
        top = (1 << count) - 1
        words = (words << np.uint32(count)) | np.clip(np.rint(values[:, i] * top), 0, top).astype(np.uint32)
    return words


def unpack_rotation(words: Words) -> Floats:
    """Quaternions wxyz (n, 4): the largest component is left out, the others are 10 bits of -1/sqrt 2 to 1/sqrt 2."""
    largest = (words >> np.uint32(30)).astype(np.intp)
    three = (unpack_unit(words << np.uint32(2), (10, 10, 10)) - np.float32(0.5)) * np.float32(math.sqrt(2))
    return with_largest(three, largest)


def with_largest(three: Floats, largest: npt.NDArray[np.intp]) -> Floats:
    """Quaternions (n, 4) from all components but the largest, in their order, and that one's index."""
    rows, quats = np.arange(len(three)), np.empty((len(three), 4), np.float32)
    others = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    quats[rows[:, None], others] = three
    quats[rows, largest] = np.sqrt(np.maximum(0, 1 - (three * three).sum(1)))
    quats /= np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), np.float32(1e-6))
    return quats


def without_largest(quats: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """The reverse of `with_largest`, of unit quaternions."""
    rows, largest = np.arange(len(quats)), np.abs(quats).argmax(1)
    others = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    sign = np.where(quats[rows, largest] < 0, np.float32(-1), np.float32(1))
    return quats[rows[:, None], others] * sign[:, None], largest


def _elements(header: Header, path: Path) -> tuple[Element, Element, Element | None]:
    """chunk, vertex and sh, which follow one another in that order."""
    found = {e.name: e for e in header.elements}
    names = [e.name for e in header.elements]
    if names not in (["chunk", "vertex"], ["chunk", "vertex", "sh"]) or header.byte_order != "<":
        raise bad(path, "a compressed PLY has the elements chunk, vertex and sh, little-endian, and this one has not")
    chunk, vertex, sh = found["chunk"], found["vertex"], found.get("sh")
    packed = [name for name, _ in vertex.properties]
    if sorted(packed) != sorted(PACKED) or any(kind != "u4" for _, kind in vertex.properties):
        raise bad(path, "its vertices are not packed as in a compressed PLY")
    bounds = [name for name, _ in chunk.properties]
    if sorted(bounds) not in (sorted(BOUNDS), sorted(BOUNDS + COLOUR_BOUNDS)) or any(
        kind != "f4" for _, kind in chunk.properties
    ):
        raise bad(path, "its chunks do not have the bounds of a compressed PLY")
    if chunk.count != -(-vertex.count // CHUNK):
        raise bad(path, f"it has {chunk.count} chunks for {vertex.count} splats, {CHUNK} of which share one")
    if sh is not None:
        names, count = [name for name, _ in sh.properties], len(sh.properties)
        wanted = [f"f_rest_{i}" for i in range(count)]
        if sh.count != vertex.count or names != wanted or count % 3 or count // 3 not in SH_DEGREES:
            raise bad(path, "its harmonics do not fit its splats")
        if any(kind != "u1" for _, kind in sh.properties):
            raise bad(path, "its harmonics are not of 8 bits")
    return chunk, vertex, sh


def read_body(file: BinaryIO, size: int, header: Header, path: Path, on_event: OnEvent) -> Splats:
    """The splats of a compressed PLY whose header has been read."""
    if any(e.has_lists for e in header.elements):
        raise bad(path, "it has lists among its splats")
    chunk, vertex, sh = _elements(header, path)
    require_splats(path, vertex.count)
    need = sum(e.count * e.stride for e in (chunk, vertex, sh) if e is not None)
    if header.size + need > size:
        raise InputError(
            f"{path} is cut short: its header announces {vertex.count} splats, which take {need} bytes, and "
            f"{max(0, size - header.size)} follow; copy it again."
        )
    rest = 0 if sh is None else len(sh.properties) // 3
    splats = empty_splats(vertex.count, min(rest, 15), is_antialiased=header.is_antialiased, up=header.up)
    file.seek(header.size)
    bounds = {
        name: column
        for (name, _), column in zip(chunk.properties, _rows(file, chunk, chunk.count, path).T, strict=True)
    }
    for start in range(0, vertex.count, BLOCK):
        rows = _rows(file, vertex, min(BLOCK, vertex.count - start), path)
        _decode(splats, start, {name: rows[:, i] for i, (name, _) in enumerate(vertex.properties)}, bounds)
    for start in range(0, vertex.count if sh is not None else 0, BLOCK):
        assert sh is not None
        rows = _rows(file, sh, min(BLOCK, vertex.count - start), path)
        channels = SH_VALUE[rows].reshape(len(rows), 3, rest)[:, :, : min(rest, 15)]
        splats.sh[start : start + len(rows), 1:] = channels.transpose(0, 2, 1)
    if rest > 15:
        on_event(Warned("import", f"{path.name}: spherical harmonics of degree 4 were cut to degree 3."))
    return cleaned(splats, path, on_event)


def _rows(file: BinaryIO, element: Element, count: int, path: Path) -> npt.NDArray[Any]:
    """`count` rows of an element whose properties are all of one type."""
    raw = file.read(count * element.stride)
    if len(raw) < count * element.stride:
        raise bad(path, "it became shorter while it was read")
    return np.frombuffer(raw, "<" + element.properties[0][1]).reshape(count, -1)


def _decode(splats: Splats, start: int, words: dict[str, Words], bounds: dict[str, Floats]) -> None:
    count = len(words["packed_position"])
    part, chunk = slice(start, start + count), np.arange(start, start + count) // CHUNK

    def between(unit: Floats, names: list[str]) -> Floats:
        low, high = (np.stack([bounds[f"{end}_{n}"] for n in names], 1)[chunk] for end in ("min", "max"))
        with np.errstate(invalid="ignore", over="ignore"):  # bounds that are no numbers: dropped afterwards
            mixed: Floats = low * (1 - unit) + high * unit
        return mixed

    splats.means[part] = between(unpack_unit(words["packed_position"], HALF_BITS), list("xyz"))
    splats.log_scales[part] = between(unpack_unit(words["packed_scale"], HALF_BITS), ["scale_x", "scale_y", "scale_z"])
    splats.quats[part] = unpack_rotation(words["packed_rotation"])
    colour = unpack_unit(words["packed_color"], (8, 8, 8))
    if "min_r" in bounds:
        colour = between(colour, list("rgb"))
    splats.sh[part, 0] = (colour - np.float32(0.5)) / np.float32(SH_C0)
    splats.logit_opacities[part] = opacity_logits((words["packed_color"] & np.uint32(255)).astype(np.uint8))


def _sh_values() -> Floats:
    """What a byte of harmonics stands for: the middle of its 256th of -4 to 4, the ends themselves."""
    middle = (np.arange(256) + 0.5) / 256
    middle[[0, 255]] = 0, 1
    return ((middle - 0.5) * SH_RANGE).astype(np.float32)


SH_VALUE = _sh_values()


def sh_bytes(sh: Floats) -> Bytes:
    """Coefficients (n, K - 1, 3) as bytes (n, 3 (K - 1)), channel-major.

    No byte stands for zero: exact zeros alternate between the two that are nearest, so that they do not add up to a
    tint over all coefficients and splats.
    """
    channels = np.ascontiguousarray(sh.transpose(0, 2, 1)).reshape(len(sh), -1)
    result: Bytes = np.clip(np.floor((channels / np.float32(SH_RANGE) + np.float32(0.5)) * 256), 0, 255).astype(
        np.uint8
    )
    checks = (np.arange(len(sh))[:, None] + np.arange(channels.shape[1])) & 1
    result -= ((channels == 0) & (checks == 1)).astype(np.uint8)
    return result


def read(path: Path, on_event: OnEvent) -> Splats:
    with opened(path) as (file, size):
        return read_body(file, size, parse_header(file, path), path, on_event)


def write(splats: Splats, path: Path, on_event: OnEvent) -> None:
    """Splats are put in Morton order, so that the 256 of a chunk lie together and their bounds are tight."""
    count, rest = len(splats), 3 * (splats.sh.shape[1] - 1)
    lines = [*header_start(splats), f"element chunk {-(-count // CHUNK)}"]
    lines += [f"property float {name}" for name in BOUNDS + COLOUR_BOUNDS]
    lines += [f"element vertex {count}", *(f"property uint {name}" for name in PACKED)]
    lines += [f"element sh {count}", *(f"property uchar f_rest_{i}" for i in range(rest))] if rest else []
    order = morton_order(splats.means)
    bounds, words = [], []
    for start in range(0, count, BLOCK):
        limits, packed = _encode(splats.select(order[start : start + BLOCK]).normalized())
        bounds.append(limits)
        words.append(packed)
    with written_whole(path) as file:
        file.write("\n".join([*lines, "end_header", ""]).encode("ascii"))
        for rows in (*bounds, *words):
            file.write(rows.data)
        for start in range(0, count if rest else 0, BLOCK):
            file.write(sh_bytes(splats.sh[order[start : start + BLOCK], 1:]).data)


def _encode(splats: Splats) -> tuple[npt.NDArray[np.float32], Words]:
    """Bounds (chunks, 18) and packed words (n, 4) of splats whose number is a whole chunk but for the file's last."""
    colour = np.float32(0.5) + np.float32(SH_C0) * splats.sh[:, 0]
    units, limits = [], []
    starts = np.arange(0, len(splats), CHUNK)
    chunk = np.arange(len(splats)) // CHUNK
    for values in (splats.means, np.clip(splats.log_scales, -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT), colour):
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        span = np.where(high > low, high - low, np.float32(1))
        units.append((values - low[chunk]) / span[chunk])
        limits += [low, high]
    three, largest = without_largest(splats.quats)
    unit = three * np.float32(math.sqrt(0.5)) + np.float32(0.5)
    rotation = (largest.astype(np.uint32) << np.uint32(30)) | pack_unit(unit, (10, 10, 10))
    rgba = [*to_byte(255 * units[2]).T, opacity_bytes(splats.logit_opacities)]
    colours = sum(c.astype(np.uint32) << np.uint32(24 - 8 * i) for i, c in enumerate(rgba))
    words = [pack_unit(units[0], HALF_BITS), rotation, pack_unit(units[1], HALF_BITS), colours]
    return np.concatenate(limits, 1).astype("<f4"), np.stack(words, 1).astype("<u4")


FORMAT = Format(
    name="compressed.ply",
    extension=".compressed.ply",
    description="PlayCanvas' compressed PLY, about a quarter of the PLY; opens in SuperSplat, PlayCanvas and Spark",
    matches=lambda head: False,  # it begins as any PLY; `ply.read` hands it over
    read=read,
    write=write,
    max_loss_db=0.5,
)
