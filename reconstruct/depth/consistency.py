"""Whether photos agree on depth: each pixel's point is looked up in other maps and brought back.

A point that another map confirms comes back to where it started. Errors are random where matching failed, so that two
maps rarely agree on a wrong place (Schoenberger et al. 2016, section 4.5; Galliani et al. 2015, section 4.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

ONE_PIXEL = 1.0
"""Pixels of disagreement at which a view's vote has fallen to exp(-1/2)."""

ONE_PERCENT = 0.01

_ONE_SURFACE = 0.03


@dataclass(frozen=True, eq=False)
class OtherMap:
    """A neighbour's inverse depths (h, w) float32, 0 for unknown; there: (3, 4) from the reference's pixel (x, y, 1,
    inverse depth) to its homogeneous pixel, back: the reverse. Pixels count from the first one's centre."""

    inverse_depth: Floats
    there: Array
    back: Array


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the other maps say of each pixel (H, W).

    votes: sum over the maps of exp(-d^2 / 2), d the pixels between a pixel and where it comes back to.
    seen: maps that see the point, know a depth there and do not have something nearer in front of it.
    confirmed: maps that agree to 1 pixel and to 1 % of the depth.
    rho: the mean of the pixel's own inverse depth and what the maps say it is, weighed by votes.
    spread: standard deviation of those around their mean, as a share of it; 0 where only the pixel itself speaks.
    """

    votes: Floats
    seen: Floats
    confirmed: Floats
    rho: Floats
    spread: Floats


def agreement(planes: Floats, others: Iterable[OtherMap]) -> Agreement:
    """Holds planes (3, H, W) (inverse depth and its change per pixel) against other maps."""
    rho, gx, gy = planes
    height, width = rho.shape
    y, x = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
    votes, seen, confirmed = np.zeros((3, height, width), np.float32)
    total, square = rho.copy(), np.zeros_like(rho)
    for other in others:
        u, v, z = _applied(other.there, x, y, rho)
        there = _lookup(other.inverse_depth, u, v)
        back_x, back_y, back_z = _applied(other.back, u, v, there)
        with np.errstate(all="ignore"):
            apart = (back_x - x) ** 2 + (back_y - y) ** 2
            # z is in units of the reference's depth: inverse depths along the reference's rays.
            its_rho = there / back_z - gx * (back_x - x) - gy * (back_y - y)
            own_there = rho / z
            known = (there > 0) & (z > 0) & (back_z > 0)
        vote = np.where(known, np.exp(np.nan_to_num(apart, nan=1e9) * np.float32(-0.5 / ONE_PIXEL**2)), 0)
        vote = vote.astype(np.float32)
        votes += vote
        # Something much nearer hides the point: that map has no say about it.
        seen += known & ((vote > 0.1) | ~(there > own_there * 1.05))
        its_rho = np.where(vote > 0, np.nan_to_num(its_rho), 0)
        confirmed += known & (apart <= ONE_PIXEL**2) & (np.abs(its_rho - rho) <= ONE_PERCENT * rho)
        total += vote * its_rho
        square += vote * (its_rho - rho) ** 2
    mean = total / (1 + votes)
    variance = np.maximum(square / (1 + votes) - (mean - rho) ** 2, 0)
    return Agreement(votes, seen, confirmed, mean, np.sqrt(variance) / np.maximum(mean, np.float32(1e-30)))


def _applied(matrix: Array, x: Floats, y: Floats, rho: Floats) -> tuple[Floats, Floats, Floats]:
    u, v, z = (row[0] * x + row[1] * y + row[2] + row[3] * rho for row in matrix.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return u / z, v / z, z


def _lookup(values: Floats, u: Floats, v: Floats) -> Floats:
    """Inverse depth at places: between pixels of one surface, the nearest pixel's at an edge, 0 outside."""
    height, width = values.shape
    with np.errstate(invalid="ignore"):
        inside = (u > -0.5) & (v > -0.5) & (u < width - 0.5) & (v < height - 0.5)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    x0 = np.clip(np.floor(u).astype(np.int32), 0, max(width - 2, 0))
    y0 = np.clip(np.floor(v).astype(np.int32), 0, max(height - 2, 0))
    right, down = (x0 + 1 < width).astype(np.int32), (y0 + 1 < height).astype(np.int32) * np.int32(width)
    flat, at = values.ravel(), y0 * np.int32(width) + x0
    taps = [flat[at], flat[at + right], flat[at + down], flat[at + down + right]]
    fu, fv = np.clip(u - x0, 0, 1), np.clip(v - y0, 0, 1)
    above, below = taps[0] + fu * (taps[1] - taps[0]), taps[2] + fu * (taps[3] - taps[2])
    low = np.minimum(np.minimum(taps[0], taps[1]), np.minimum(taps[2], taps[3]))
    high = np.maximum(np.maximum(taps[0], taps[1]), np.maximum(taps[2], taps[3]))
    nearest = np.where(fv < 0.5, np.where(fu < 0.5, taps[0], taps[1]), np.where(fu < 0.5, taps[2], taps[3]))
    mixed = np.where((low > 0) & (high < low * (1 + _ONE_SURFACE)), above + fv * (below - above), nearest)
    return np.where(inside, mixed, 0).astype(np.float32)
