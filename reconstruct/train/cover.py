"""Splats for what photos show and the sparse points do not: sky, water, blank walls.

Structure from motion finds points on texture only. Where a photo's cell holds no point, one large splat of the cell's
colour is put behind it, so that training starts with every pixel covered and has something to move into place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .backends import Target
from .pixels import Array, pose_of, project, rays_of
from .sky import Shell, distance_to_shell, is_sky

NEIGHBOURS = 8
"""A cell is put as far away as the farthest of this many points nearest to it in the picture.

The surface most often goes on where its texture ends; of two candidates the farther is right, for it is behind.
"""


@dataclass(frozen=True, eq=False)
class Cover:
    """Positions (M, 3) in the training frame, sRGB colours (M, 3) in 0 to 1 and radii (M,) of the added splats."""

    points: Array
    colors: Array
    radii: Array


def cover_views(points: Array, targets: Iterable[Target], cells: int, most: int, shell: Shell | None = None) -> Cover:
    """At most `most` splats for the cells without points, `cells` along a photo's longer side.

    Views are taken in turn; what was added for one counts as covered for the next. Cells that show the sky are put on
    the shell, where there is one.
    """
    added, colors, radii = np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)
    is_solid = np.ones(
        len(points), bool
    )  # of points and added: not on the shell, so that it may say how far others are
    if not len(points) or cells < 1:
        return Cover(added, colors, radii)
    for target in targets:
        view = target.view
        cell_px = max(view.width, view.height) / cells
        pixels, depth = project(np.concatenate([points, added]), view)
        x, y = _empty_cells(pixels[depth > 0], target, cell_px)
        room, near = most - len(added), (depth > 0) & is_solid
        if not len(x) or room <= 0 or not near.any():
            continue
        x, y = x[:room], y[:room]
        rays = rays_of(np.stack([x, y], axis=1), view)
        far = _depth_around(np.stack([x, y], axis=1), pixels[near], depth[near])
        rotation, translation = pose_of(view)
        sky = np.zeros(len(x), bool)
        if shell is not None:
            lengths = np.linalg.norm(rays, axis=1)
            directions = rays / lengths[:, None] @ rotation
            sky = is_sky(shell, directions, *_cell_brightness(target, x, y, cell_px))
            far = np.where(sky, distance_to_shell(shell, -translation @ rotation, directions) / lengths, far)
        added = np.concatenate([added, (rays * far[:, None] - translation) @ rotation])
        is_solid = np.concatenate([is_solid, ~sky])
        colors = np.concatenate([colors, _cell_colors(target, x, y, cell_px)])
        radii = np.concatenate([radii, 0.5 * cell_px * far / view.fx])
    return Cover(added, colors, radii)


def _empty_cells(pixels: Array, target: Target, cell_px: float) -> tuple[Array, Array]:
    """Pixel centres of the cells that hold no point and are not hidden by the mask."""
    view = target.view
    columns, rows = max(1, round(view.width / cell_px)), max(1, round(view.height / cell_px))
    index = np.floor(pixels / [view.width / columns, view.height / rows])
    inside = ((index >= 0) & (index < [columns, rows])).all(axis=1)
    is_empty = np.ones((rows, columns), bool)
    column, row = index[inside].astype(np.int64).T
    is_empty[row, column] = False
    rows_at, columns_at = np.nonzero(is_empty)
    x, y = (columns_at + 0.5) * view.width / columns, (rows_at + 0.5) * view.height / rows
    if target.mask is not None:
        kept = target.mask[y.astype(np.int64), x.astype(np.int64)] > 0
        x, y = x[kept], y[kept]
    return x, y


def _depth_around(cells: Array, pixels: Array, depth: Array) -> Array:
    """Depth (M,) for cells at pixels (M, 2) from points seen at `pixels` (P, 2), P >= 1."""
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS, len(pixels))
    _, nearest = cKDTree(pixels).query(cells, k=count)
    around: Array = depth[nearest.reshape(len(cells), count)].max(axis=1)
    return around


def _cell_colors(target: Target, x: Array, y: Array, cell_px: float) -> Array:
    """Mean colours (M, 3) of the middle halves of cells."""
    patches = [_patch(target, column, row, cell_px / 4) for column, row in zip(x, y, strict=True)]
    return np.array([patch.reshape(-1, 3).mean(axis=0) for patch in patches]).reshape(-1, 3) / 255.0


def _cell_brightness(target: Target, x: Array, y: Array, cell_px: float) -> tuple[Array, Array]:
    """Mean and standard deviation (M,) of the brightness of whole cells, 0 to 1."""
    patches = [_patch(target, column, row, cell_px / 2).mean(axis=-1) / 255.0 for column, row in zip(x, y, strict=True)]
    return np.array([patch.mean() for patch in patches]), np.array([patch.std() for patch in patches])


def _patch(target: Target, x: float, y: float, reach_px: float) -> npt.NDArray[np.uint8]:
    reach, column, row = max(1, int(reach_px)), int(x), int(y)
    return target.rgb[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
