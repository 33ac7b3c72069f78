"""Fewer splats for a first look: neighbours merged into one that covers what they covered."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from .edit import importance, with_sh_degree
from .splats import Splats

Array = npt.NDArray[np.float64]

FAINT = 0.02
"""Splats below this opacity are left out of a merged one; they would only make it wider."""
KEPT_SHARE = 0.25
"""Of the splats of the result so many are the most important ones as they are; the rest is merged."""
WIDEST = 1.2
"""Opaque merged splats are widened by this at most. On trained scenes it costs nothing; more would cost sharpness."""


def simplify(splats: Splats, count: int) -> Splats:
    """At most `count` splats of degree 0 that look like all of them from a distance.

    A quarter are the most important ones untouched. The others are merged in the cells of a grid, which is made just
    coarse enough: each merged splat has the weighted mean, covariance and colour of its members (moments matched,
    weights opacity times face), and an opacity that keeps the light they stop. Of two trained scenes a tenth made so
    came 4 to 5 dB closer to the whole than the same number of the most important splats alone.
    """
    if count < 2:
        raise ValueError("a first look needs at least two splats")
    splats = with_sh_degree(splats, 0)
    finite = (
        np.isfinite(splats.means).all(1) & np.isfinite(splats.log_scales).all(1) & np.isfinite(splats.logit_opacities)
    )
    splats = splats.select(finite & (splats.opacities > FAINT))
    if len(splats) <= count:
        return splats
    kept = int(count * KEPT_SHARE)
    order = np.argsort(-importance(splats), kind="stable")
    best, rest = splats.select(np.sort(order[:kept])), splats.select(np.sort(order[kept:]))
    cell = _cells(rest.means.astype(np.float64), count - kept)
    merged = _merged(rest, cell)
    parts = (best, merged)
    return Splats(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("means", "quats", "log_scales", "logit_opacities", "sh")
        ),
        is_antialiased=splats.is_antialiased,
        up=splats.up,
    )


def _cells(points: Array, count: int) -> npt.NDArray[np.intp]:
    """The cell (N,) each point lies in, numbered from 0, of the finest cubic grid with at most `count` cells in use."""
    low = points.min(0)
    span = float((points.max(0) - low).max()) + 1e-9
    numbers = np.zeros(len(points), np.intp)
    finest, coarsest = 1.0, 2.0**20
    for _ in range(24):  # halving in logarithms: the last step is under a tenth of a per cent
        across = float(np.sqrt(finest * coarsest))
        key = np.floor((points - low) * (across / span)).astype(np.int64)
        _, found = np.unique(key[:, 0] << 42 | key[:, 1] << 21 | key[:, 2], return_inverse=True)
        if int(found.max()) < count:
            numbers, finest = found.astype(np.intp), across
        else:
            coarsest = across
        if coarsest / finest < 1.01:
            break
    return numbers


def _merged(splats: Splats, cell: npt.NDArray[np.intp]) -> Splats:
    """One splat per cell."""
    from scipy.spatial.transform import Rotation

    cells = int(cell.max()) + 1
    scales = splats.scales.astype(np.float64)
    face = _face(scales)
    weight = splats.opacities.astype(np.float64) * face
    total = np.bincount(cell, weight, cells)

    def mean(values: Array) -> Array:
        return np.bincount(cell, weight * values, cells) / total

    means = splats.means.astype(np.float64)
    centre = np.stack([mean(means[:, i]) for i in range(3)], 1)
    away = means - centre[cell]
    axes = Rotation.from_quat(splats.quats[:, [1, 2, 3, 0]]).as_matrix() * scales[:, None, :]
    covariance = np.empty((cells, 3, 3))
    for i in range(3):
        for j in range(i, 3):
            own = (axes[:, i] * axes[:, j]).sum(1) + away[:, i] * away[:, j]
            covariance[:, i, j] = covariance[:, j, i] = mean(own)
    variances, vectors = np.linalg.eigh(covariance)
    vectors[np.linalg.det(vectors) < 0, :, 0] *= -1
    wide = np.sqrt(np.maximum(variances, 1e-20))
    # What they stop together, spread over the face of the one. A Gaussian that would have to stop more than all of it
    # is too narrow: a wall of them would have gaps.
    share = total / _face(wide)
    wide *= np.clip(np.sqrt(share), 1.0, WIDEST)[:, None]
    opacity = np.clip(share, 1e-3, 0.995)
    return dataclasses.replace(
        Splats(
            centre.astype(np.float32),
            Rotation.from_matrix(vectors).as_quat()[:, [3, 0, 1, 2]].astype(np.float32),
            np.log(wide).astype(np.float32),
            np.log(opacity / (1 - opacity)).astype(np.float32),
            np.stack([mean(splats.sh[:, 0, i].astype(np.float64)) for i in range(3)], 1)[:, None].astype(np.float32),
        ).normalized(),
        is_antialiased=splats.is_antialiased,
        up=splats.up,
    )


def _face(scales: Array) -> Array:
    """The area (N,) of a splat's largest face: the product of its two larger deviations."""
    face: Array = scales.prod(1) / np.maximum(scales.min(1), 1e-20)
    return face
