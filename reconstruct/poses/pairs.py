"""Which pairs of frames are compared. Frames are numbers in the capture's order; pairs are (i, j), i < j, sorted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Pair = tuple[int, int]


def exhaustive_pairs(count: int) -> list[Pair]:
    """Every pair."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def sequential_pairs(count: int, overlap: int) -> list[Pair]:
    """Each frame with the next `overlap` ones, and with those 2^k further on, k up to `overlap`.

    The far ones tie a slow pass together at little cost, as COLMAP's quadratic overlap does.
    """
    steps = set(range(1, overlap + 1)) | {1 << k for k in range(overlap) if (1 << k) < count}
    return [(i, i + s) for i in range(count) for s in sorted(steps) if i + s < count]


def spatial_pairs(positions_m: Sequence[tuple[float, float, float] | None], nearest: int) -> list[Pair]:
    """Each frame with its `nearest` neighbours on the ground; frames without a position with everything."""
    known = [i for i, p in enumerate(positions_m) if p is not None]
    pairs = {_ordered(i, j) for i, p in enumerate(positions_m) if p is None for j in range(len(positions_m)) if i != j}
    xy = np.array([positions_m[i] for i in known], dtype=np.float64).reshape(-1, 3)[:, :2]
    for row, i in enumerate(known):
        near = np.argsort(np.linalg.norm(xy - xy[row], axis=1), kind="stable")[: nearest + 1]
        pairs |= {_ordered(i, known[k]) for k in near if k != row}
    return sorted(pairs)


def similar_pairs(ranked: Sequence[Sequence[int]], count: int, min_gap: int = 1) -> list[Pair]:
    """Each frame with the first `count` of those ranked for it (best first) at least `min_gap` apart in order."""
    pairs: set[Pair] = set()
    for i, alike in enumerate(ranked):
        apart = [j for j in alike if abs(i - j) >= max(min_gap, 1)]
        pairs |= {_ordered(i, j) for j in apart[:count]}
    return sorted(pairs)


def _ordered(i: int, j: int) -> Pair:
    return (i, j) if i < j else (j, i)
