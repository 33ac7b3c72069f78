"""How far from its axis a lens's distortion may be followed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

LensModel = Literal["pinhole", "opencv", "fisheye", "equirectangular"]

COEFFICIENTS: dict[LensModel, tuple[str, ...]] = {
    "pinhole": (),
    "opencv": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
    "equirectangular": (),
}
"""The distortion of each model, in OpenCV's order."""

MARGIN = 1.15
"""A distortion is followed out to this multiple of the distorted radius of the picture's farthest corner."""


def opencv_radius(k: Sequence[float], r: float) -> float:
    """Distorted radius of ideal radius `r`, both in focal lengths, the tangential part left out."""
    s = r * r
    above = 1.0 + s * (k[0] + s * (k[1] + s * k[4]))
    below = 1.0 + s * (k[5] + s * (k[6] + s * k[7]))
    return r * above / below


def fisheye_radius(k: Sequence[float], theta: float) -> float:
    """Distorted radius in focal lengths of the angle `theta` from the axis."""
    s = theta * theta
    return theta * (1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))))


def lens_limits(model: LensModel, k: Sequence[float], corner: float) -> tuple[float, float]:
    """(limit, hold) of a lens, as ideal radius x/z (opencv) or angle (fisheye); infinite for the others.

    limit: beyond it nothing is drawn. The radius where the distorted one stops growing, for what lies beyond would be
        folded back into the picture; for a fisheye `hold`, for a splat straight behind has no place in the picture.
    hold: where the distortion stops being followed, at most `limit`; beyond, its factor stays as it is there, so that
        the distorted radius goes on growing. It lies outside of the picture unless the fold is inside.

    Args:
        k: as many as the model has. corner: distorted radius of the picture's farthest corner in focal lengths.
    """
    if model == "opencv":
        limit = _opencv_fold(k)
        return limit, _inverse(lambda r: opencv_radius(k, r), MARGIN * corner, limit)
    if model == "fisheye":
        derivative = [1.0, 3 * k[0], 5 * k[1], 7 * k[2], 9 * k[3]]
        limit = min(math.pi, math.sqrt(_first_root(derivative)))
        hold = _inverse(lambda t: fisheye_radius(k, t), MARGIN * corner, limit)
        return hold, hold
    return math.inf, math.inf


def _opencv_fold(k: Sequence[float]) -> float:
    """Radius at which r P(r^2) / Q(r^2) stops growing or Q has a pole."""
    s = np.polynomial.Polynomial([0.0, 1.0])
    above = np.polynomial.Polynomial([1.0, k[0], k[1], k[4]])
    below = np.polynomial.Polynomial([1.0, k[5], k[6], k[7]])
    slope = (above + 2 * s * above.deriv()) * below - 2 * s * above * below.deriv()
    return math.sqrt(min(_first_root(list(slope.coef)), _first_root(list(below.coef))))


def _first_root(coefficients: Sequence[float]) -> float:
    """The smallest positive real root, infinite where there is none."""
    trimmed = np.trim_zeros(np.asarray(coefficients, np.float64), "b")
    roots = np.polynomial.Polynomial(trimmed).roots() if len(trimmed) > 1 else np.zeros(0)
    real = [float(r.real) for r in np.atleast_1d(roots) if abs(r.imag) < 1e-9 * max(1.0, abs(r)) and r.real > 0]
    return min(real, default=math.inf)


def _inverse(distorted: Callable[[float], float], wanted: float, limit: float) -> float:
    """Where a function that grows up to `limit` reaches `wanted`; `limit` where it does not."""
    high = min(limit, 1.0)
    while distorted(high) < wanted:
        if high >= limit or high > 1e6:
            return min(high, limit)
        high = min(limit, 2 * high)
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if distorted(middle) < wanted else (low, middle)
    return high
