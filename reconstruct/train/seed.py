"""Splats where depth maps know a surface and structure from motion found no points: blank walls, sparse captures.

Depth is put back into space on a grid of each photo's pixels and thinned: a place is taken only where neither a sparse
point nor an earlier place is nearer than the grid's spacing there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.undistort import resize_area
from diorama.kernels import View

from .backends import Target
from .cover import Cover
from .pixels import Array, pose_of, rays_of

MIN_CONFIDENCE = 0.5
"""Depth that is less sure puts splats where nothing is."""

OVERLAP = 3.0
"""About so many photos see a place: the grids of all photos together have so many cells per splat that may be added."""

MIN_CELL_PX = 2.0


def seed_from_depth(points: Array, targets: Sequence[Target], most: int) -> Cover:
    """At most `most` places with the photos' colours where their depth maps are sure and `points` (P, 3) are thin.

    Photos without a depth map add nothing. Everything is in the training frame.
    """
    from scipy.spatial import cKDTree

    seen = [i for i, target in enumerate(targets) if _has_depth(target)]
    added, colors, radii = np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)
    if not seen or most <= 0:
        return Cover(added, colors, radii)
    cell_px = _cell_px([targets[i].view for i in seen], most)
    for index in seen:
        places, rgb, spacing = _grid(targets[index], cell_px)
        there = np.concatenate([points, added])
        if len(places) and len(there):
            gap, _ = cKDTree(there).query(places, distance_upper_bound=float(spacing.max()))
            free = gap > 0.75 * spacing
            places, rgb, spacing = places[free], rgb[free], spacing[free]
        added, colors = np.concatenate([added, places]), np.concatenate([colors, rgb])
        radii = np.concatenate([radii, 0.5 * spacing])
    if len(added) > most:  # evenly, so that no photo goes short
        kept = np.linspace(0, len(added) - 1, most).astype(np.int64)
        added, colors, radii = added[kept], colors[kept], radii[kept]
    return Cover(added, colors, radii)


def _has_depth(target: Target) -> bool:
    return target.geometry is not None and target.geometry.depth is not None


def _cell_px(views: Sequence[View], most: int) -> float:
    pixels = sum(v.width * v.height for v in views)
    return max(MIN_CELL_PX, math.sqrt(pixels / (OVERLAP * most)))


def _grid(target: Target, cell_px: float) -> tuple[Array, Array, Array]:
    """Places (M, 3), their colours (M, 3) in 0 to 1 and the distance (M,) from one to the next."""
    view, known = target.view, target.geometry
    columns, rows = max(1, round(view.width / cell_px)), max(1, round(view.height / cell_px))
    assert known is not None
    geometry = known.at(columns, rows)
    assert geometry.depth is not None
    sure = geometry.depth > 0
    if geometry.confidence is not None:
        sure &= geometry.confidence >= MIN_CONFIDENCE
    row, column = np.nonzero(sure)
    pixels = np.stack([(column + 0.5) * view.width / columns, (row + 0.5) * view.height / rows], axis=1)
    if target.mask is not None and len(pixels):
        x, y = pixels.astype(np.int64).T
        kept = target.mask[y, x] > 0
        row, column, pixels = row[kept], column[kept], pixels[kept]
    if not len(pixels):
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)
    depth = geometry.depth[row, column].astype(np.float64)
    rays = rays_of(pixels, view)
    rotation, translation = pose_of(view)
    places = (rays * depth[:, None] - translation) @ rotation
    small: npt.NDArray[np.uint8] = resize_area(target.rgb, columns, rows)
    return places, small[row, column] / 255.0, depth * cell_px / view.fx
