"""mkkellogg's .ksplat, read only: sections of splats, quantised by level 0 (float32), 1 (16 bits) or 2 (harmonics 8).

A file header of 4,096 bytes, headers of 1,024 bytes for each section, then for each section: the lengths of its partly
filled buckets, the buckets' middles, and a record per splat: centre, scale (linear), rotation wxyz, colour and opacity
in 8 bits each, and harmonics of degree 0 to 2, by degree and then channel. At levels 1 and 2 a centre is 16 bits around
its bucket's middle, sizes and rotations are half floats.

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent

from ..splats import Floats, Splats
from .common import BLOCK, CHANGES, Format, cleaned, empty_splats, opacity_logits, opened, require_splats
from .dotsplat import CHANNEL

MEMORY_FACTOR = 8
MEMORY_CONSTANT = 48 << 20
HEADER, SECTION = 4096, 1024
BUCKET = 12  # bytes of a bucket's middle
COEFFICIENTS = (0, 3, 8, 15)
LEVELS = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))
"""By level: what a centre, a size or rotation, and a harmonic is stored as."""
DEFAULT_RANGE = 32767
SH_LIMIT = 1.5


def bad(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable .ksplat: {problem}; {CHANGES}.")


@dataclass(frozen=True)
class Section:
    """Where a section lies and how it is laid out; the offset is the file's."""

    offset: int
    count: int
    capacity: int
    bucket_size: int
    buckets: int
    block: float
    bucket_bytes: int
    steps: int
    full: int
    partial: int
    degree: int
    level: int

    @property
    def record(self) -> np.dtype[Any]:
        centre, real, harmonic = LEVELS[self.level]
        fields: list[Any] = [("mean", centre, 3), ("scale", real, 3), ("quat", real, 4), ("rgba", "u1", 4)]
        return np.dtype([*fields, ("sh", harmonic, 3 * COEFFICIENTS[self.degree])])

    @property
    def splats_at(self) -> int:
        return self.offset + 4 * self.partial + self.bucket_bytes * self.buckets

    @property
    def end(self) -> int:
        return self.splats_at + self.capacity * self.record.itemsize


def parse(file: BinaryIO, size: int, path: Path) -> tuple[list[Section], tuple[float, float]]:
    """The sections that hold splats, and the range of 8-bit harmonics."""
    head = file.read(HEADER)
    if len(head) < HEADER:
        raise bad(path, "its header is cut short")
    major, minor = head[0], head[1]
    slots, _, _, count, level = struct.unpack_from("<IIIIH", head, 4)
    if (major, minor < 1) != (0, False) or level >= len(LEVELS):
        raise bad(path, f"it is version {major}.{minor} of level {level}, and known are version 0.1 of levels 0 to 2")
    low, high = (value if np.isfinite(value) else 0.0 for value in struct.unpack_from("<ff", head, 36))
    require_splats(path, count)
    offset = HEADER + slots * SECTION
    if offset > size:
        raise bad(path, f"its {slots} section headers are cut short")
    sections = []
    for slot in range(slots):
        file.seek(HEADER + slot * SECTION)
        section = parse_section(file.read(48), offset, level, path)
        if section.end > size:
            raise InputError(f"{path} is cut short: it should have {section.end} bytes and has {size}; copy it again.")
        offset = section.end
        if section.count:
            sections.append(section)
    found = sum(s.count for s in sections)
    if found != count:
        raise bad(path, f"its header announces {count} splats and its sections {found}")
    return sections, (low or -SH_LIMIT, high or SH_LIMIT)


def parse_section(head: bytes, offset: int, level: int, path: Path) -> Section:
    count, capacity, bucket_size, buckets, block, bucket_bytes = struct.unpack_from("<IIIIfH", head)
    steps, _, full, partial, degree = struct.unpack_from("<IIIIH", head, 24)
    if degree >= len(COEFFICIENTS):
        raise bad(path, f"it has harmonics of degree {degree}")
    if count > capacity or (level and buckets and bucket_bytes < BUCKET) or partial + full > buckets:
        raise bad(path, "a section's counts contradict each other")
    return Section(
        *(offset, count, capacity, bucket_size, buckets, block, bucket_bytes),
        *(steps or DEFAULT_RANGE, full, partial, degree, level),
    )


def bucket_middles(file: BinaryIO, section: Section, path: Path) -> Floats:
    """The middle (n, 3) of each splat's bucket: full buckets come first, then those that list their length."""
    file.seek(section.offset)
    lengths = np.frombuffer(file.read(4 * section.partial), "<u4").astype(np.int64)
    raw = np.frombuffer(file.read(section.bucket_bytes * section.buckets), np.uint8)
    middles = np.ascontiguousarray(raw.reshape(section.buckets, section.bucket_bytes)[:, :BUCKET]).view("<f4")
    in_full = min(section.full * section.bucket_size, section.count)
    if in_full + int(lengths.sum()) < section.count:
        raise bad(path, "its buckets hold fewer splats than its sections")
    starts = section.full * section.bucket_size + np.cumsum(lengths)
    index = np.arange(section.count)
    bucket = np.where(index < in_full, index // max(1, section.bucket_size), 0)
    later = index[in_full:]
    bucket[in_full:] = section.full + np.searchsorted(starts, later, side="right")
    result: Floats = middles[bucket]
    return result


def read_section(
    file: BinaryIO, section: Section, splats: Splats, at: int, sh_range: tuple[float, float], path: Path
) -> None:
    """Fills splats `at` to `at + section.count`."""
    middles = bucket_middles(file, section, path) if section.level else None
    step = np.float32(section.block / 2 / section.steps)
    kept = COEFFICIENTS[section.degree]
    for start in range(0, section.count, BLOCK):
        count = min(BLOCK, section.count - start)
        file.seek(section.splats_at + start * section.record.itemsize)
        raw = file.read(count * section.record.itemsize)
        if len(raw) < count * section.record.itemsize:
            raise bad(path, "it became shorter while it was read")
        rows, part = np.frombuffer(raw, section.record), slice(at + start, at + start + count)
        with np.errstate(all="ignore"):  # what is no number is dropped afterwards
            means = rows["mean"].astype(np.float32)
            if middles is not None:
                means = (means - np.float32(section.steps)) * step + middles[start : start + count]
            splats.means[part] = means
            splats.log_scales[part] = np.log(rows["scale"].astype(np.float32))
            splats.quats[part] = rows["quat"]
            splats.sh[part, 0] = CHANNEL[rows["rgba"][:, :3]]
            splats.logit_opacities[part] = opacity_logits(rows["rgba"][:, 3])
            splats.sh[part, 1:] = 0
            splats.sh[part, 1 : 1 + kept] = harmonics(rows["sh"], section, sh_range)


def harmonics(stored: npt.NDArray[Any], section: Section, sh_range: tuple[float, float]) -> Floats:
    """Coefficients (n, K - 1, 3)."""
    values = stored.astype(np.float32)
    if section.level == 2:
        low, high = sh_range
        values = np.float32(low) + values * np.float32((high - low) / 255)
    parts, at = [], 0
    for degree in range(1, section.degree + 1):
        width = 2 * degree + 1
        parts.append(values[:, at : at + 3 * width].reshape(-1, 3, width).transpose(0, 2, 1))
        at += 3 * width
    return np.concatenate(parts, 1) if parts else np.empty((len(values), 0, 3), np.float32)


def read(path: Path, on_event: OnEvent) -> Splats:
    with opened(path) as (file, size):
        sections, sh_range = parse(file, size, path)
        count = sum(s.count for s in sections)
        splats = empty_splats(count, COEFFICIENTS[max(s.degree for s in sections)])
        at = 0
        for section in sections:
            read_section(file, section, splats, at, sh_range, path)
            at += section.count
    return cleaned(splats, path, on_event).normalized()


FORMAT = Format(
    name="ksplat",
    extension=".ksplat",
    description="mkkellogg's .ksplat of GaussianSplats3D, read only",
    matches=lambda head: False,  # it begins with two version bytes; the file's name says it
    read=read,
    write=None,
)
