"""Niantic's SPZ: quantised attributes, one gzip stream (v1 to v3) or a zstd stream per attribute (v4).

After the header come, in this order: centres (24-bit fixed point; v1 float16), opacities (8 bits), colours (8 bits,
6.67 wide around 0.5), log-scales (8 bits, sixteenths from -10), rotations (v1 and v2: xyz in 8 bits each; since v3:
the smallest three in 10 bits each), spherical harmonics (8 bits, 1/128, of which a writer uses as many as it likes).

Frames. SPZ's own frame is right-up-back, but the largest readers (PlayCanvas' splat-transform 3 and SuperSplat, Spark,
gaussforge) take the numbers as they are, like those of a PLY, and others (Niantic's library, Unreal importers) turn
them into the PLY's frame. Files may say which frame they hold in an extension record. So we store the numbers as they
are and say so in that record ("right-down-forward", SPZ's word for the frame PLY files are in): then both kinds of
reader place our SPZ and our PLY alike. Reading turns whatever a file says into the PLY's frame; files that say nothing
are right-up-back since v3, and as they are before, when no frame was defined.

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes, because a file that
grows more than `MAX_EXPANSION`-fold, and beyond `FREE_EXPANSION`, on decompression is refused.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned

from ..splats import Floats, Splats
from ..transform import swap_axes
from .common import (
    CHANGES,
    UP_IN_FILES,
    Bytes,
    Format,
    cleaned,
    opacity_bytes,
    opacity_logits,
    opened,
    require_splats,
    to_byte,
    written_whole,
)
from .order import morton_order, visibility

MAX_EXPANSION = 128
FREE_EXPANSION = 8 << 20
MEMORY_FACTOR = 10 * MAX_EXPANSION
MEMORY_CONSTANT = 10 * FREE_EXPANSION + (16 << 20)

MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
ANTIALIASED, HAS_EXTENSIONS, SPARK_LEVELS = 0x01, 0x02, 0x80
COORDINATE_SYSTEM = 0xADBE0003
MAX_EXTENSIONS = 1 << 20

SYSTEMS = (
    *("LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF"),
    *("LBD", "RBD", "LBU", "RBU", "LFD", "RFD", "LFU", "RFU"),
)
"""What the axes x, y, z of coordinate system 1, 2, ... point to: Left, Right, Up, Down, Forward, Back."""
PLY_SYSTEM = "RDF"
SPZ_SYSTEM = "RUB"

COLOR_SCALE = 0.15
LOG_SCALE_STEPS, LOG_SCALE_LOWEST = 16.0, -10.0
MAX_FIXED = (1 << 23) - 1
SMALLEST_THREE_STEP = math.sqrt(0.5) / 511
SH_COUNTS = (0, 3, 8, 15, 24)
GZIP_BLOCK = 1 << 20
SH_BLOCK = 1 << 12  # what a processor keeps at hand
ZSTD_LEVEL = 9
GZIP_LEVEL = 5  # twice as fast as 6 for a hundredth more bytes
ADAPTIVE_COUNT = 10_000
SAMPLE_RUNS, SAMPLE_RUN = 32, 512
TARGET_BYTES = 24.0  # per splat of degree 3, of which the PLY has 248
LEAST_SH_BYTES, MOST_SH_BYTES = 3.0, 7.5
STEPS = (4.0, 256.0)
BUCKET_EXPONENTS = (1, 8)
ORDER = ("centres", "opacities", "colours", "scales", "rotations", "harmonics")


def bad(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable SPZ file: {problem}; {CHANGES}.")


@dataclass(frozen=True)
class Head:
    """What every version's header says."""

    version: int
    count: int
    sh_degree: int
    fractional_bits: int
    flags: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes per splat of each attribute, in `ORDER`."""
        return (6 if self.version == 1 else 9, 1, 3, 3, 4 if self.version >= 3 else 3, 3 * SH_COUNTS[self.sh_degree])

    @property
    def packed(self) -> int:
        return self.count * sum(self.sizes)


def parse_head(data: bytes, path: Path, size: int) -> Head:
    """The first 16 bytes of a decompressed stream; `size` is the file's, which bounds what it may hold."""
    if len(data) < 16 or data[:4] != MAGIC:
        raise bad(path, "it does not begin as one")
    version, count, sh_degree, bits, flags = struct.unpack_from("<IIBBB", data, 4)
    if not 1 <= version <= 4:
        raise InputError(f"{path} is SPZ version {version}; Diorama reads versions 1 to 4, so save it as one of those.")
    if sh_degree >= len(SH_COUNTS) or bits > 30:
        raise bad(path, f"its header asks for SH degree {sh_degree} and {bits} fractional bits")
    if flags & SPARK_LEVELS:
        raise InputError(f"{path} holds Spark levels of detail, which Diorama does not read; give the file without.")
    require_splats(path, count)
    head = Head(version, count, sh_degree, bits, flags)
    if head.packed > max(FREE_EXPANSION, MAX_EXPANSION * size):
        raise InputError(
            f"{path} is damaged or hostile: its header announces {count} splats, which cannot be in its {size} bytes; "
            f"{CHANGES}."
        )
    return head


def stored_system(extensions: bytes, head: Head, path: Path) -> str:
    """The name of the coordinate system a file's numbers are in."""
    at = 0
    while head.flags & HAS_EXTENSIONS and at + 8 <= len(extensions):
        kind, length = struct.unpack_from("<II", extensions, at)
        at += 8
        if kind == COORDINATE_SYSTEM and length >= 4 and at + 4 <= len(extensions):
            system = int.from_bytes(extensions[at : at + 4], "little")
            if system > len(SYSTEMS):
                raise bad(path, f"it is in coordinate system {system}, which nobody defined")
            if system:
                return SYSTEMS[system - 1]
        at += length
    return SPZ_SYSTEM if head.version >= 3 else PLY_SYSTEM


def axes_in_ruf(system: str) -> npt.NDArray[np.float64]:
    """Columns: where x, y, z of a coordinate system point, along right, up and forward."""
    where = {"R": (1, 0, 0), "L": (-1, 0, 0), "U": (0, 1, 0), "D": (0, -1, 0), "F": (0, 0, 1), "B": (0, 0, -1)}
    return np.array([where[axis] for axis in system], np.float64).T


def inflate(data: bytes, path: Path) -> tuple[Head, bytes, bytes]:
    """A gzip stream's header, attributes and extension records; never more decompressed than the header needs."""
    stream = zlib.decompressobj(31)
    try:
        start = stream.decompress(data, 16)
        head = parse_head(start, path, len(data))
        if head.version == 4:
            raise bad(path, "version 4 is not compressed as a whole")
        body = stream.decompress(stream.unconsumed_tail, head.packed + 1)
        if len(body) < head.packed:
            raise cut_short(path, head, len(body))
        rest = body[head.packed :]
        if not stream.eof:
            rest += stream.decompress(stream.unconsumed_tail, MAX_EXTENSIONS)
    except zlib.error as error:
        raise bad(path, "its gzip stream is damaged") from error
    if not stream.eof:
        raise bad(path, "its gzip stream is cut short or holds more than its header says")
    return head, body, rest


def cut_short(path: Path, head: Head, size: int) -> InputError:
    return InputError(
        f"{path} is cut short: its header announces {head.count} splats, which take {head.packed} bytes, and it holds "
        f"{size}; copy it again."
    )


def unpack_streams(data: bytes, path: Path) -> tuple[Head, bytes, bytes]:
    """A version 4 file's header, attributes (joined, as in the versions before) and extension records."""
    import zstandard

    head = parse_head(data, path, len(data))
    if head.version != 4:
        body = data[16:]
        if len(body) < head.packed:
            raise cut_short(path, head, len(body))
        return head, body, body[head.packed :]
    if len(data) < 32:
        raise bad(path, "its header is cut short")
    streams, table = data[15], int.from_bytes(data[16:20], "little")
    sizes = [head.count * size for size in head.sizes if size]
    at = table + 16 * streams
    if streams != len(sizes) or table < 32 or at > len(data):
        raise bad(path, "its table of contents does not fit its header")
    parts = []
    for i, size in enumerate(sizes):
        packed, unpacked = struct.unpack_from("<QQ", data, table + 16 * i)
        if unpacked != size or packed > len(data) - at:
            raise bad(path, f"its {ORDER[i]} are cut short or of another count than its header says")
        decoder = zstandard.ZstdDecompressor(max_window_size=max(1 << 23, 1 << size.bit_length()))
        try:
            with decoder.stream_reader(data[at : at + packed]) as reader:
                part = reader.read(size + 1)
        except zstandard.ZstdError as error:
            raise bad(path, f"its {ORDER[i]} are damaged") from error
        if len(part) != size:
            raise bad(path, f"its {ORDER[i]} are of another count than its header says")
        parts.append(part)
        at += packed
    return head, b"".join(parts), data[32:table]


def decode_means(data: Bytes, head: Head) -> Floats:
    if head.version == 1:
        return data.view("<f2").reshape(-1, 3).astype(np.float32)
    words = np.zeros((3 * head.count, 4), np.uint8)
    words[:, 1:] = data.reshape(-1, 3)
    fixed = words.view("<i4").reshape(-1, 3) >> 8  # the sign comes down with the shift
    means: Floats = (fixed * 2.0**-head.fractional_bits).astype(np.float32)
    return means


def decode_quats(data: Bytes, head: Head) -> Floats:
    """Quaternions wxyz; stored are x, y, z with w >= 0, or all but the largest, which is positive."""
    n = head.count
    q = np.zeros((n, 4), np.float32)  # xyzw
    if head.version < 3:
        q[:, :3] = data.reshape(n, 3) / np.float32(127.5) - np.float32(1)
        largest = np.full(n, 3)
    else:
        word = data.view("<u4").copy()
        largest = (word >> 30).astype(np.intp)
        for i in (3, 2, 1, 0):
            here = largest != i
            value = (word & 511).astype(np.float32) * np.float32(SMALLEST_THREE_STEP)
            q[:, i] = np.where(here, np.where(word & 512, -value, value), 0)
            word = np.where(here, word >> 10, word)
    q[np.arange(n), largest] = np.sqrt(np.maximum(0, 1 - (q * q).sum(1)))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return np.ascontiguousarray(q[:, [3, 0, 1, 2]])


def decode(head: Head, body: bytes) -> Splats:
    parts, at = [], 0
    for size in head.sizes:
        parts.append(np.frombuffer(body, np.uint8, head.count * size, at))
        at += head.count * size
    means, alphas, colors, scales, rotations, rest = parts
    n, kept = head.count, SH_COUNTS[min(head.sh_degree, 3)]
    sh = np.empty((n, 1 + kept, 3), np.float32)
    sh[:, 0] = (colors.reshape(n, 3) / np.float32(255) - np.float32(0.5)) / np.float32(COLOR_SCALE)
    byte = np.arange(256, dtype=np.float32)
    sh[:, 1:] = ((byte - 128) / 128)[rest.reshape(n, SH_COUNTS[head.sh_degree], 3)[:, :kept]]
    return Splats(
        decode_means(means, head),
        decode_quats(rotations, head),
        (byte / np.float32(LOG_SCALE_STEPS) + np.float32(LOG_SCALE_LOWEST))[scales.reshape(n, 3)],
        opacity_logits(alphas),
        sh,
        is_antialiased=bool(head.flags & ANTIALIASED),
        up=UP_IN_FILES,
    )


def read(path: Path, on_event: OnEvent) -> Splats:
    with opened(path) as (file, _):
        data = file.read()
    head, body, extensions = inflate(data, path) if data[:2] == GZIP else unpack_streams(data, path)
    system = stored_system(extensions, head, path)
    del data
    splats = decode(head, body)
    del body
    if head.sh_degree > 3:
        on_event(Warned("import", f"{path.name}: spherical harmonics of degree 4 were cut to degree 3."))
    splats = cleaned(splats, path, on_event)
    if system != PLY_SYSTEM:
        splats = swap_axes(splats, axes_in_ruf(PLY_SYSTEM).T @ axes_in_ruf(system))
    return splats.normalized()


def fractional_bits(means: Floats) -> int:
    """Bits after the point of the 24 that a coordinate has.

    Twelve is what everybody writes (a quarter of a millimetre when units are metres). A scene that is small in its
    units gets more, until a step is 1/32768 of the size of its middle; one that reaches far gets as few as it must.
    """
    radius = np.abs(means - np.median(means, axis=0)).max(1)
    extent = float(np.quantile(radius, 0.9))
    reach = float(np.abs(means).max())
    wanted = max(12, math.ceil(math.log2(32768 / extent))) if extent > 1e-9 else 12
    fits = math.floor(math.log2(MAX_FIXED / reach)) if reach > 0 else 20
    return max(0, min(wanted, fits, 20))


def encode_means(means: Floats, bits: int) -> Bytes:
    fixed = np.clip(np.rint(means.astype(np.float64) * 2.0**bits), -MAX_FIXED, MAX_FIXED).astype("<i4", order="C")
    return np.ascontiguousarray(fixed.view(np.uint8).reshape(-1, 4)[:, :3]).reshape(-1)


def encode_quats(quats: Floats) -> Bytes:
    """Smallest three of unit quaternions wxyz."""
    q = quats[:, [1, 2, 3, 0]]
    rows = np.arange(len(q))
    largest = np.abs(q).argmax(1)
    q = q * np.where(q[rows, largest] < 0, np.float32(-1), np.float32(1))[:, None]
    word = largest.astype(np.uint32)
    for i in range(4):
        magnitude = np.minimum(np.rint(np.abs(q[:, i]) / SMALLEST_THREE_STEP), 511).astype(np.uint32)
        packed = (word << 10) | ((q[:, i] < 0).astype(np.uint32) << 9) | magnitude
        word = np.where(largest != i, packed, word)
    packed_words: Bytes = word.astype("<u4").view(np.uint8)
    return packed_words


def encode_sh(sh: Floats, buckets: npt.NDArray[np.float32]) -> Bytes:
    """Coefficients (N, K - 1, 3) as bytes, 1/128 each, rounded to `buckets` (N or 1, 2) of degree 1 and the rest."""
    result = np.empty(sh.shape, np.uint8)
    steps = np.broadcast_to(buckets, (len(sh), 2))[:, :, None, None]
    for start in range(0, len(sh), SH_BLOCK):
        rows = slice(start, start + SH_BLOCK)
        for part, step in ((slice(0, 3), steps[rows, 0]), (slice(3, None), steps[rows, 1])):
            result[rows, part] = to_byte(np.rint(sh[rows, part] * (np.float32(128) / step)) * step + np.float32(128))
    return result.reshape(-1)


def even_buckets(sh1_bits: int, sh_rest_bits: int) -> npt.NDArray[np.float32]:
    return np.array([[1 << (8 - sh1_bits), 1 << (8 - sh_rest_bits)]], np.float32)


def buckets_by_visibility(seen: Floats, step: float) -> npt.NDArray[np.float32]:
    """Powers of two (N, 2): `step` for the median splat, finer for what shows and coarser for what hardly does.

    For the least error at a given size the step goes with 1 / sqrt(visibility) (reverse water-filling); a weaker power
    measured better, as visibility is a guess. Degree 1 is a bit finer than the rest, as its sums are smoother.
    """
    wanted = np.log2(step) - 0.3 * np.log2(seen)
    exponents = np.rint(wanted[:, None] - np.array([0.7, 0.0]))
    buckets: Floats = np.exp2(np.clip(exponents, *BUCKET_EXPONENTS)).astype(np.float32)
    return buckets


def chosen_step(splats: Splats, seen: Floats, bits: int, order: npt.NDArray[np.intp]) -> float:
    """The finest step with which the file stays at a tenth of the PLY, by the packed size of a sample in file order.

    Degrees 1 and 2 get the bytes a coefficient that degree 3 gets, as their other attributes alone exceed a tenth.
    """
    rest, runs = splats.sh.shape[1] - 1, np.linspace(0, len(splats) - SAMPLE_RUN, SAMPLE_RUNS).astype(np.intp)
    some = order[(runs[:, None] + np.arange(SAMPLE_RUN)).reshape(-1)]
    sample, count = splats.select(some), len(some)
    others = sum(len(zlib.compress(part.data, GZIP_LEVEL)) for part in encode(sample, bits, even_buckets(8, 8))[:5])
    room = min(max(TARGET_BYTES - others / count, LEAST_SH_BYTES), MOST_SH_BYTES) * rest / SH_COUNTS[3]
    low, high = STEPS
    for _ in range(7):
        step = math.sqrt(low * high)
        packed = zlib.compress(encode_sh(sample.sh[:, 1:], buckets_by_visibility(seen[some], step)).data, GZIP_LEVEL)
        low, high = (low, step) if len(packed) <= room * count else (step, high)
    return high


def encode(splats: Splats, bits: int, buckets: npt.NDArray[np.float32]) -> list[Bytes]:
    """The attributes in `ORDER`."""
    return [
        encode_means(splats.means, bits),
        opacity_bytes(splats.logit_opacities),
        to_byte(splats.sh[:, 0] * np.float32(COLOR_SCALE * 255) + np.float32(127.5)).reshape(-1),
        to_byte((splats.log_scales - np.float32(LOG_SCALE_LOWEST)) * np.float32(LOG_SCALE_STEPS)).reshape(-1),
        encode_quats(splats.normalized().quats),
        encode_sh(splats.sh[:, 1:], buckets),
    ]


def gzip_blocks(data: bytes) -> Iterator[bytes]:
    """One gzip member, its blocks deflated in parallel as pigz does: each begins with the window of the one before.

    The bytes do not depend on the number of threads.
    """

    def deflate(start: int) -> bytes:
        last = start + GZIP_BLOCK >= len(data)
        window: dict[str, Any] = {"zdict": data[max(0, start - 32768) : start]} if start else {}
        stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -15, 9, **window)
        block = stream.compress(memoryview(data)[start : start + GZIP_BLOCK])
        return block + stream.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(deflate, range(0, len(data), GZIP_BLOCK))
    yield struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def zstd_streams(parts: list[Bytes]) -> list[bytes]:
    import zstandard

    def compress(part: Bytes) -> bytes:
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(part.data)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compress, parts))


def write(
    splats: Splats,
    path: Path,
    on_event: OnEvent,
    *,
    version: int = 3,
    sh1_bits: int | None = None,
    sh_rest_bits: int | None = None,
) -> None:
    """Version 3 opens everywhere; version 4 is a little smaller and decodes faster where it is known.

    sh1_bits, sh_rest_bits: bits kept of the coefficients of degree 1 and of the higher ones (1 to 8). Where neither is
    given, files of less than `ADAPTIVE_COUNT` splats keep 5 and 4, as others do; larger ones are put in Morton order
    and keep as many bits of each splat as it shows, so that the file is a tenth of the PLY.
    """
    if version not in (3, 4):
        raise InputError(f"SPZ is written as version 3 or 4, not {version}.")
    adaptive = sh1_bits is None and sh_rest_bits is None and len(splats) >= ADAPTIVE_COUNT
    sh1_bits, sh_rest_bits = 5 if sh1_bits is None else sh1_bits, 4 if sh_rest_bits is None else sh_rest_bits
    if not (1 <= sh1_bits <= 8 and 1 <= sh_rest_bits <= 8):
        raise InputError(f"SPZ keeps 1 to 8 bits of spherical harmonics, not {sh1_bits} and {sh_rest_bits}.")
    bits = fractional_bits(splats.means)
    if float(np.abs(splats.means).max()) * 2.0**bits > MAX_FIXED + 0.5:
        message = f"{path.name}: splats further out than {MAX_FIXED} units were moved there, the furthest SPZ can hold."
        on_event(Warned("export", message))
    buckets = even_buckets(sh1_bits, sh_rest_bits)
    if adaptive:
        order, seen = morton_order(splats.means), visibility(splats)
        buckets = buckets_by_visibility(seen, chosen_step(splats, seen, bits, order)) if splats.sh_degree else buckets
    parts = [part for part in encode(splats, bits, buckets) if part.size]
    if adaptive:  # bytes are put in order, not the splats: a fifth as many
        parts = [part.reshape(len(splats), -1)[order].reshape(-1) for part in parts]
    flags = HAS_EXTENSIONS | (ANTIALIASED if splats.is_antialiased else 0)
    head = MAGIC + struct.pack("<IIBBB", version, len(splats), splats.sh_degree, bits, flags)
    extension = struct.pack("<III", COORDINATE_SYSTEM, 4, 1 + SYSTEMS.index(PLY_SYSTEM))
    with written_whole(path) as file:
        if version == 3:
            data = b"".join([head, b"\0", *(part.tobytes() for part in parts), extension])
            for block in gzip_blocks(data):
                file.write(block)
            return
        streams = zstd_streams(parts)
        file.write(head + struct.pack("<BI12x", len(parts), 32 + len(extension)) + extension)
        for part, stream in zip(parts, streams, strict=True):
            file.write(struct.pack("<QQ", len(stream), part.size))
        for stream in streams:
            file.write(stream)


FORMAT = Format(
    name="spz",
    extension=".spz",
    description="Niantic SPZ, about a tenth of the PLY; opens in web viewers, SuperSplat and phone apps",
    matches=lambda head: head.startswith((MAGIC, GZIP)),
    read=read,
    write=write,
    max_loss_db=1.0,
)
