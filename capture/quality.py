"""How good one picture is: sharpness, clipping, and sharpness against the pictures taken next to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .types import Quality

Grey = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

ANALYSIS_PX = 960
"""Longer side at which sharpness is judged: large enough to see blur that hurts, small enough for speed."""

BLURRED_BELOW = 0.6
"""Relative sharpness below which a picture counts as blurred for its place."""

NOISE_LEVELS = 1.0
"""Grey levels of noise that count as no detail."""


def _halved(grey: Grey) -> Grey:
    h, w = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    g = grey[:h, :w]
    half: Grey = (g[0::2, 0::2] + g[1::2, 0::2] + g[0::2, 1::2] + g[1::2, 1::2]) * np.float32(0.25)
    return half


def _structure(grey: Grey) -> npt.NDArray[np.float64]:
    """Mean structure tensor (2, 2): how much the picture changes along x and y."""
    gx = grey[:-1, 1:] - grey[:-1, :-1]
    gy = grey[1:, :-1] - grey[:-1, :-1]
    n = max(gx.size, 1)
    xx, xy, yy = float(np.vdot(gx, gx)), float(np.vdot(gx, gy)), float(np.vdot(gy, gy))
    return np.array([[xx, xy], [xy, yy]]) / n


def sharpness(grey: Image) -> float:
    """Fine over coarse detail in the direction where it is weakest, about 0 (blurred) to 1; grey is (H, W), 0 to 255.

    With the structure tensors F of the picture's finest detail (the picture less itself smoothed over 3x3 pixels) and
    C of the picture at a quarter of its size, this is the square root of the least u'Fu / u'Cu over directions u.
    Blur takes the finest detail first, so the ratio falls; contrast and the amount of texture cancel. The least
    direction is the one motion blur runs along. On photographs a Gaussian blur of 0.5, 0.8 and 1.2 px leaves 0.65,
    0.33 and 0.13 of it, a motion of 3 and 5 px 0.5 and 0.4.
    """
    g = np.ascontiguousarray(grey, dtype=np.float32)
    if min(g.shape) < 16:
        return 0.0
    rows = g[:-2] + 2 * g[1:-1] + g[2:]
    smooth = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)
    fine = _structure(g[1:-1, 1:-1] - smooth)
    # Generalised eigenvalues of two symmetric 2x2 matrices, by whitening with the coarse one and its noise.
    coarse = _structure(_halved(_halved(g))) + NOISE_LEVELS**2 * np.eye(2)
    values, vectors = np.linalg.eigh(coarse)
    white = vectors / np.sqrt(values)
    least = float(np.linalg.eigvalsh(white.T @ fine @ white)[0])
    return float(np.sqrt(max(least, 0.0)))


def clipped(grey: Image) -> tuple[float, float]:
    """Shares of pixels at the dark and at the bright end (grey up to 2 and from 253 of 255)."""
    return float(np.mean(grey <= 2)), float(np.mean(grey >= 253))


def relative_sharpness(values: npt.ArrayLike, radius: int) -> npt.NDArray[np.float64]:
    """Each value over the median of its neighbours, `radius` to either side, itself left out; 1 where it has none."""
    v = np.asarray(values, dtype=np.float64)
    result = np.ones(len(v))
    for i in range(len(v)):
        low = max(0, min(i - radius, len(v) - 2 * radius - 1))
        around = np.r_[v[low:i], v[i + 1 : max(i + radius + 1, 2 * radius + 1)]]
        middle = float(np.median(around)) if len(around) else 0.0
        result[i] = v[i] / middle if middle > 0 else 1.0
    return result


def judge(grey: Image) -> Quality:
    """Quality of a picture alone, from its grey version at about `ANALYSIS_PX`; neighbours are judged later."""
    dark, bright = clipped(grey)
    return Quality(sharpness(grey), 1.0, dark, bright)
