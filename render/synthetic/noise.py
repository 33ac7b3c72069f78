"""Band-limited random patterns: the stuff procedural textures are made of.

Fractal noise is drawn in the frequency domain, so its wavelengths are exact: nothing is finer than asked for, which is
what keeps a rendered texture free of aliasing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def fractal(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    step_m: tuple[float, ...],
    coarse_m: float,
    fine_m: float,
    *,
    slope: float = 0.0,
    stretch: tuple[float, ...] | None = None,
) -> Floats:
    """Gaussian noise of mean 0 and variance 1 with wavelengths from `coarse_m` down to `fine_m`, periodic in `shape`.

    step_m: grid spacing along each axis.
    slope: 0 gives every octave the same strength, 1 halves it from octave to octave.
    stretch: elongates the pattern along an axis by that factor.
    """
    from scipy import fft

    stretch = stretch or (1.0,) * len(shape)
    squared = np.zeros((1,) * len(shape), np.float32)
    for axis, (count, step, factor) in enumerate(zip(shape, step_m, stretch, strict=True)):
        last = axis == len(shape) - 1
        k = (np.fft.rfftfreq(count, step) if last else np.fft.fftfreq(count, step)) * factor
        squared = squared + (k.astype(np.float32) ** 2).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    k = np.sqrt(squared)
    k[(0,) * len(shape)] = 1e-6
    # Equal strength per octave in D dimensions is amplitude k^(-D/2); the band's edges roll off over half an octave.
    envelope = k ** np.float32(-len(shape) / 2 - slope)
    envelope *= _ramp(np.log2(k * np.float32(coarse_m)) + 0.5) * _ramp(0.5 - np.log2(k * np.float32(fine_m)))
    spectrum = rng.standard_normal((*k.shape, 2), dtype=np.float32).view(np.complex64)[..., 0] * envelope
    field: Floats = fft.irfftn(spectrum, shape, overwrite_x=True).astype(np.float32)
    field -= field.mean()
    field /= max(float(field.std()), 1e-20)
    return field


def _ramp(x: Floats) -> Floats:
    """0 below 0, 1 above 0.5, smooth between."""
    return smoothstep(0.0, 0.5, x)


def smoothstep(low: float, high: float, x: npt.ArrayLike) -> Floats:
    """0 below `low`, 1 above `high`, a cubic between."""
    s = np.clip((np.asarray(x, np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    result: Floats = s * s * (3 - 2 * s)
    return result


def cells(rng: np.random.Generator, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Voronoi cells of about unit size around one jittered seed per lattice cell.

    points: (..., D) in units of a cell, D = 2 or 3.
    Returns the distance to the nearest seed, how much further the second nearest is (0 on a border between cells),
    and a random number in 0 to 1 that is the same within a cell.
    """
    dimensions = points.shape[-1]
    side = 64 if dimensions == 2 else 16
    jitter = rng.random((side**dimensions, dimensions), dtype=np.float32) * 0.8 + 0.1
    value = rng.random(side**dimensions, dtype=np.float32)
    flat = points.reshape(-1, dimensions)
    base = np.floor(flat).astype(np.int32)
    within = flat - base
    first = np.full(len(flat), 9.0, np.float32)
    second = first.copy()
    chosen = np.zeros(len(flat), np.int32)
    for offset in np.ndindex((3,) * dimensions):
        shift = np.array(offset, np.int32) - 1
        key = np.zeros(len(flat), np.int32)
        for axis in range(dimensions):
            key = key * side + (base[:, axis] + shift[axis]) % side
        distance = np.zeros(len(flat), np.float32)
        for axis in range(dimensions):
            distance += (jitter[key, axis] + np.float32(shift[axis]) - within[:, axis]) ** 2
        nearer = distance < first
        second = np.where(nearer, first, np.minimum(second, distance))
        chosen = np.where(nearer, key, chosen)
        first = np.minimum(first, distance)
    first, second = np.sqrt(first), np.sqrt(second)
    shape = points.shape[:-1]
    return first.reshape(shape), (second - first).reshape(shape), value[chosen].reshape(shape)
