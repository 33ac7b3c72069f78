"""The order in which splats are written, and how much an error of each would show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..splats import Floats, Splats

BITS = 16
BLOCK = 1 << 16
_SPREAD = ((32, 0x00FF00000000FFFF), (16, 0x00FF0000FF0000FF), (8, 0xF00F00F00F00F00F))
_SPREAD_LOW = ((4, 0x30C30C30C30C30C3), (2, 0x9249249249249249))


def visibility(splats: Splats) -> Floats:
    """How much the squared error of a picture grows with that of a splat's colour (N,), relative to the median splat.

    A pixel takes opacity times the colour's error, and there are as many pixels as the ellipsoid's largest face has;
    what hides it and how far away it is are unknown. Within e^-9 and e^9, so that no splat counts for all or nothing.
    """
    faces = splats.log_scales.sum(1, dtype=np.float64) - splats.log_scales.min(1)
    logs = 2 * np.log(np.maximum(splats.opacities, 1e-3)) + faces
    result: Floats = np.exp(np.clip(logs - np.median(logs), -9, 9)).astype(np.float32)
    return result


def morton_order(means: Floats) -> npt.NDArray[np.intp]:
    """Indices (N,) that sort centres (N, 3) along a Morton curve of 2^16 cells a side; ties stay in order.

    The cells span where most splats are (1st to 99th percentile); what lies further out falls into the outermost
    ones, so that one stray splat does not put all others into a single cell.
    """
    if len(means) == 0:
        return np.zeros(0, np.intp)
    sample = means[:: max(1, len(means) // 100_000)]
    low, high = np.percentile(sample.astype(np.float64), (1, 99), axis=0)
    cells = 1 << BITS
    scale = cells / np.maximum(high - low, 1e-12)
    codes = np.empty(len(means), np.uint64)
    for start in range(0, len(means), BLOCK):
        part = slice(start, start + BLOCK)
        cell = np.clip((means[part] - low) * scale, 0, cells - 1).astype(np.uint64)
        codes[part] = sum(_spread(cell[:, axis]) << np.uint64(axis) for axis in range(3))
    return np.argsort(codes, kind="stable")


def _spread(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Two zero bits after every bit of numbers below 2^21."""
    for shift, mask in (*_SPREAD, *_SPREAD_LOW):
        x = (x | (x << np.uint64(shift))) & np.uint64(mask)
    return x
