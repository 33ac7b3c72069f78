"""Splat parameters in blocks of 16: the layout that the kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import _native

Floats = npt.NDArray[np.float32]
BFloats = npt.NDArray[np.uint16]
"""bfloat16, the upper halves of float32, which NumPy has no type for."""

LANES = 16
PARAMETERS = 59
MEAN, QUATERNION, LOG_SCALE, LOGIT_OPACITY, HARMONICS = 0, 3, 7, 10, 11
"""Where each kind of parameter starts among the 59; SH is coefficient-major, 11 + 3 * j + channel."""

_LINE_BYTES = 64


class SplatArrays(NamedTuple):
    """means (N, 3), quats (N, 4) wxyz, log_scales (N, 3), logit_opacities (N,) and sh (N, K, 3), float32."""

    means: Floats
    quats: Floats
    log_scales: Floats
    logit_opacities: Floats
    sh: Floats


def zero_blocks(count: int) -> Floats:
    """Zeros (B, 59, 16) for `count` splats, B = ceil(count / 16), each parameter row on a cache line of its own.

    Good for Adam's moments too: kernels run a little slower on blocks that start elsewhere.
    """
    return _zero_bytes(count, 4).view(np.float32).reshape(-1, PARAMETERS, LANES)


def zero_moments(count: int) -> BFloats:
    """Zeros like `zero_blocks` for Adam's moments as bfloat16: half the memory, and faster steps of large scenes."""
    return _zero_bytes(count, 2).view(np.uint16).reshape(-1, PARAMETERS, LANES)


def _zero_bytes(count: int, each: int) -> npt.NDArray[np.uint8]:
    if count < 0:
        raise ValueError(f"there are no {count} splats")
    size = (count + LANES - 1) // LANES * LANES * PARAMETERS * each
    raw = np.zeros(size + _LINE_BYTES, np.uint8)
    skip = -raw.ctypes.data % _LINE_BYTES
    return raw[skip : skip + size]


def to_bfloats(values: Floats) -> BFloats:
    """The nearest bfloat16 (halves upwards) of finite numbers, of any shape."""
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((words + np.uint32(0x8000)) >> np.uint32(16)).astype(np.uint16)


def from_bfloats(values: BFloats) -> Floats:
    """The numbers that bfloat16 stand for, exactly."""
    return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)


def blocks_from_rows(rows: npt.NDArray[np.floating]) -> Floats:
    """Rows (N, 59), one per splat, to blocks (B, 59, 16)."""
    if rows.ndim != 2 or rows.shape[1] != PARAMETERS:
        raise ValueError(f"rows have shape {rows.shape}, expected (N, {PARAMETERS})")
    blocks = zero_blocks(len(rows))
    _native.put_columns(blocks, np.ascontiguousarray(rows, np.float32), 0)
    return blocks


def rows_from_blocks(blocks: Floats, count: int) -> Floats:
    """Blocks (B, 59, 16) to rows (count, 59); the inverse of `blocks_from_rows`. Works for gradients and moments."""
    if blocks.ndim != 3 or blocks.shape[1:] != (PARAMETERS, LANES):
        raise ValueError(f"blocks have shape {blocks.shape}, expected (B, {PARAMETERS}, {LANES})")
    if not 0 <= count <= len(blocks) * LANES:
        raise ValueError(f"count is {count}, but blocks hold 0 to {len(blocks) * LANES} splats")
    return np.ascontiguousarray(blocks.swapaxes(1, 2).reshape(-1, PARAMETERS)[:count])


def pack(means: Floats, quats: Floats, log_scales: Floats, logit_opacities: Floats, sh: Floats) -> Floats:
    """Splat arrays (see `SplatArrays`, K in 1, 4, 9, 16; missing coefficients become 0) to blocks (B, 59, 16).

    Padding lanes of the last block are zero but for a unit quaternion; kernels never look at them.
    """
    count = len(means)
    k = sh.shape[1] if sh.ndim == 3 else -1
    parts = {
        "means": (means, (count, 3)),
        "quats": (quats, (count, 4)),
        "log_scales": (log_scales, (count, 3)),
        "logit_opacities": (logit_opacities, (count,)),
        "sh": (sh, (count, k, 3)),
    }
    for name, (array, shape) in parts.items():
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if k not in (1, 4, 9, 16):
        raise ValueError(f"{k} SH coefficients; expected 1, 4, 9 or 16")
    blocks = zero_blocks(count)
    tables = (means, quats, log_scales, logit_opacities.reshape(count, 1), sh.reshape(count, 3 * k))
    for first, table in zip((MEAN, QUATERNION, LOG_SCALE, LOGIT_OPACITY, HARMONICS), tables, strict=True):
        _native.put_columns(blocks, np.ascontiguousarray(table, np.float32), first)
    if count % LANES:
        blocks[-1, QUATERNION, count % LANES :] = 1.0
    return blocks


def unpack(blocks: Floats, count: int, sh_degree: int = 3) -> SplatArrays:
    """The first `count` splats of blocks as arrays of their own, SH up to `sh_degree`; the inverse of `pack`."""
    if sh_degree not in (0, 1, 2, 3):
        raise ValueError(f"sh_degree is {sh_degree}, expected 0 to 3")
    rows = rows_from_blocks(blocks, count)
    k = (sh_degree + 1) ** 2
    return SplatArrays(
        rows[:, MEAN:QUATERNION].copy(),
        rows[:, QUATERNION:LOG_SCALE].copy(),
        rows[:, LOG_SCALE:LOGIT_OPACITY].copy(),
        rows[:, LOGIT_OPACITY].copy(),
        rows[:, HARMONICS : HARMONICS + 3 * k].reshape(count, k, 3).copy(),
    )
