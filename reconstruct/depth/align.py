"""A network's depth brought to the scale of the cameras, by the sparse points that each photo sees.

A network says `1 / z` or `z` up to a scale and a shift (Ranftl et al. 2022, eq. 4), or metres, which need a scale where
the scene is not metric. Both are fitted in the space that the network speaks, but by relative errors of depth, so that
near points do not decide alone: with d for what the network says,

    disparity:  minimise |z (a d + b) - 1|        depth:  minimise |(a d + b) / z - 1|

Points that were triangulated wrongly, or that the network sees elsewhere, are left out: the start is the best of many
lines through two points each (by the median error), then least squares is repeated on what lies near the last line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.depth import DepthMap
from diorama.capture.types import Frame, PosedScene, SparsePoints

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Says = Literal["metres", "depth", "disparity"]

HELD_OUT_EVERY = 5
"""One in so many sparse points is kept out of every alignment, in all photos, and only measured against."""

MIN_POINTS = 12
"""Fewer points cannot tell a good fit from a lucky one."""

MAX_REACH = 2.0
"""Depths beyond so many times the farthest point of the photo are called unknown: nothing ties them down."""

REACHES = (0.2, 0.08, 0.03)
PRIOR = 3.0

_TRIES = 300
_REFITS = 8
_NEAR = 2.5
"""Points within so many median errors of a line count as lying on it."""


@dataclass(frozen=True, eq=False)
class SparseDepths:
    """What a photo's sparse points say of depth.

    xy: (S, 2) places in the photo, 0 to 1 from its upper left corner. z: (S,) depth in the frame in which poses were
    solved. held_out: (S,) points that alignments must not use.
    """

    xy: Array
    z: Array
    held_out: npt.NDArray[np.bool_]

    def used(self) -> tuple[Array, Array]:
        return self.xy[~self.held_out], self.z[~self.held_out]


@dataclass(frozen=True)
class Alignment:
    """`z` or `1 / z` is `scale * said + shift`.

    error: median relative error of depth over the points it was fitted to, wrong ones included. count: of those points.
    far: depth beyond which nothing is said.
    """

    says: Says
    scale: float
    shift: float
    error: float
    count: int
    far: float

    def depth(self, said: Floats) -> Floats:
        """Depth, 0 where it is not known, of what the network said, NaN where it said nothing."""
        line = said.astype(np.float64) * self.scale + self.shift
        with np.errstate(divide="ignore", invalid="ignore"):
            z = 1.0 / line if self.says == "disparity" else line
            known = np.isfinite(z) & (line > 0) & (z <= self.far)
        return np.where(known, z, 0.0).astype(np.float32)


def sparse_depths(scene: PosedScene, frame: Frame) -> SparseDepths:
    """Of the points that the frame sees; where nobody noted which, of those that nothing in front of them hides."""
    camera, pose = scene.camera(frame), scene.cam_from_world[frame.name]
    seen = scene.visible.get(frame.name)
    is_noted = scene.has_tracks and seen is not None
    index = np.asarray(seen if is_noted else np.arange(len(scene.points)), np.int64)
    in_camera = pose.apply(scene.points.xyz[index])
    z = in_camera[:, 2] if len(index) else np.zeros(0)
    pixels = camera.project(in_camera) if len(index) else np.zeros((0, 2))
    xy = pixels / [camera.width_px, camera.height_px]
    with np.errstate(invalid="ignore"):
        inside = np.isfinite(xy).all(axis=1) & ((xy >= 0) & (xy < 1)).all(axis=1) & (z > 1e-9)
    index, xy, z = index[inside], xy[inside], z[inside]
    if not is_noted:
        in_front = _not_hidden(xy, z)
        index, xy, z = index[in_front], xy[in_front], z[in_front]
    return SparseDepths(xy, z / scene.world_from_input.scale, is_held_out(index))


def is_held_out(index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the scene's points are only measured against: the same ones in all photos, spread over the list."""
    mixed = (index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    held_out: npt.NDArray[np.bool_] = mixed % np.uint64(HELD_OUT_EVERY) == 0
    return held_out


def without_held_out(scene: PosedScene) -> PosedScene:
    """The scene as an estimator may see it: the points that are only measured against are not in it."""
    kept = ~is_held_out(np.arange(len(scene.points)))
    place = np.cumsum(kept) - 1
    visible = {name: place[seen[kept[seen]]].astype(np.int32) for name, seen in scene.visible.items()}
    old = scene.points
    points = SparsePoints(old.xyz[kept], old.rgb_srgb[kept], old.error_px[kept], old.track_length[kept])
    return replace(scene, points=points, visible=visible)


def at_places(values: Floats, xy: Array) -> Floats:
    """Values (S,) of the pixels of a map (h, w) at places (S, 2) in 0 to 1."""
    height, width = values.shape
    column = np.clip((xy[:, 0] * width).astype(np.int64), 0, width - 1)
    row = np.clip((xy[:, 1] * height).astype(np.int64), 0, height - 1)
    taken: Floats = values[row, column]
    return taken


def align(said: Floats, z: Array, says: Says, weights: Array | None = None, seed: int = 0) -> Alignment | None:
    """The line that fits what the network said (S,) at points of depth `z` (S,); None where there is none.

    weights: (S,) of the points; None for 1. None is also returned where the network says the opposite of the points.
    """
    values = said.astype(np.float64)
    known = np.isfinite(values) & np.isfinite(z) & (z > 0)
    values, z = values[known], z[known]
    weights = np.ones(len(z)) if weights is None else weights[known]
    if len(z) < MIN_POINTS:
        return None
    # Both spaces are one regression: `slope * scale + offset * shift` should be 1, and what is missing is the error.
    slope, offset = (values * z, z) if says == "disparity" else (values / z, 1.0 / z)
    line = _scale_only(slope) if says == "metres" else _best_of_many(slope, offset, seed)
    for _ in range(_REFITS):
        off = np.abs(slope * line[0] + offset * line[1] - 1.0)
        near = off <= max(_NEAR * _median(off, weights), 1e-9)
        line = _refit(slope[near], offset[near], weights[near], line, says)
    if not line[0] > 0 or not np.isfinite(line).all():
        return None
    far = MAX_REACH * float(np.quantile(z, 0.99))
    fit = Alignment(says, line[0], line[1], 0.0, len(z), far)
    fitted = fit.depth(values.astype(np.float32)).astype(np.float64)
    error = np.where(fitted > 0, np.abs(fitted / z - 1.0), 1.0)
    return Alignment(says, line[0], line[1], _median(error, weights), len(z), far)


def correct_locally(depth: Floats, xy: Array, z: Array, reaches: tuple[float, ...] = REACHES) -> Floats:
    """Depth with what is left of the error at points (S, 2) of depth (S,) taken out around them, from wide to near.

    The logarithm of the ratio, limited to what is usual, is averaged over neighbours by a Gaussian of standard
    deviation `reach` (a share of the longer side) against `PRIOR` points that say nothing is wrong: far from all points
    the map stays as it is.
    """
    known = z > 0
    xy, z = xy[known], z[known]
    for reach in reaches:
        at = at_places(depth, xy)
        known = at > 0
        if known.sum() < MIN_POINTS:
            return depth
        ratio = np.log(z[known] / at[known])
        limit = _NEAR * max(float(np.median(np.abs(ratio))), 1e-6)
        field = spread(xy[known], np.clip(ratio, -limit, limit), depth.shape, reach, 0.0)
        depth = (depth * np.exp(field)).astype(np.float32)
    return depth


def spread(xy: Array, values: Array, shape: tuple[int, ...], reach: float, otherwise: float) -> Array:
    """A smooth map (h, w) of values (S,) at places (S, 2): Gaussian averages against `PRIOR` times `otherwise`."""
    import PIL.Image
    from scipy.ndimage import gaussian_filter

    height, width = shape
    cell = max(max(height, width) * reach / 3.0, 1.0)  # the field is smooth: a coarse grid holds it
    rows, columns = max(2, round(height / cell)), max(2, round(width / cell))
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    place = (xy * [columns, rows]).astype(np.int64).clip(0, [columns - 1, rows - 1])
    np.add.at(total, (place[:, 1], place[:, 0]), values)
    np.add.at(count, (place[:, 1], place[:, 0]), 1.0)
    sigma = reach * max(rows, columns)
    area = 2.0 * np.pi * sigma**2
    total, count = (gaussian_filter(v, sigma, mode="constant") * area for v in (total, count))
    coarse = PIL.Image.fromarray(((total + PRIOR * otherwise) / (count + PRIOR)).astype(np.float32))
    field: Array = np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BILINEAR), np.float64)
    return field


@dataclass(frozen=True)
class PointErrors:
    """Relative errors of a map against sparse points: `count` of them where it knows depth, of `points` in all.

    median, p90: None where it knows none. within_5: share of the counted ones that are off by at most 5 %.
    """

    points: int
    count: int
    median: float | None
    p90: float | None
    within_5: float | None


def held_out_errors(map_: DepthMap, sparse: SparseDepths) -> Array:
    """|z / true - 1| (S,) at the held-out points; NaN where the map knows nothing."""
    true = sparse.z[sparse.held_out]
    found = at_places(map_.depth, sparse.xy[sparse.held_out]).astype(np.float64)
    return np.where(found > 0, np.abs(found / true - 1.0), np.nan)


def summarise(errors: Array) -> PointErrors:
    """Of one frame's errors, or of those of all frames in one array."""
    known = errors[np.isfinite(errors)]
    if not len(known):
        return PointErrors(len(errors), 0, None, None, None)
    median, p90 = np.quantile(known, [0.5, 0.9])
    return PointErrors(len(errors), len(known), float(median), float(p90), float((known <= 0.05).mean()))


def _not_hidden(xy: Array, z: Array, cells: int = 40) -> npt.NDArray[np.bool_]:
    """Points that are not behind the nearest ones of their part of the picture."""
    column, row = (xy * cells).astype(np.int64).T
    cell = column + cells * row
    nearest = np.full(cells * cells, np.inf)
    np.minimum.at(nearest, cell, z)
    in_front: npt.NDArray[np.bool_] = z <= 1.1 * nearest[cell]
    return in_front


def _median(values: Array, weights: Array) -> float:
    if not len(values):
        return 0.0
    order = np.argsort(values)
    along = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(along, 0.5 * along[-1])])


def _scale_only(slope: Array) -> tuple[float, float]:
    return float(1.0 / max(np.median(slope), 1e-30)), 0.0


def _best_of_many(slope: Array, offset: Array, seed: int) -> tuple[float, float]:
    """The line through two points each time that has the least median error over all; must rise."""
    rng = np.random.default_rng([seed, len(slope)])
    first, second = rng.integers(len(slope), size=(2, _TRIES))
    det = slope[first] * offset[second] - slope[second] * offset[first]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (offset[second] - offset[first]) / det
        shift = (slope[first] - slope[second]) / det
    good = np.isfinite(scale) & np.isfinite(shift) & (scale > 0)
    if not good.any():
        return -1.0, 0.0
    scale, shift = scale[good], shift[good]
    some = rng.permutation(len(slope))[:400]  # enough to rank lines, however many points there are
    off = np.abs(np.outer(scale, slope[some]) + np.outer(shift, offset[some]) - 1.0)
    best = int(np.argmin(np.median(off, axis=1)))
    return float(scale[best]), float(shift[best])


def _refit(slope: Array, offset: Array, weights: Array, last: tuple[float, float], says: Says) -> tuple[float, float]:
    """Least squares; the last line where the points do not determine one, or one that falls."""
    if says == "metres":
        below = float((weights * slope * slope).sum())
        return (float((weights * slope).sum()) / below, 0.0) if below > 0 else last
    ss, so, oo = (float((weights * a * b).sum()) for a, b in ((slope, slope), (slope, offset), (offset, offset)))
    s1, o1 = float((weights * slope).sum()), float((weights * offset).sum())
    det = ss * oo - so * so
    if det <= 1e-12 * ss * oo:
        return last
    line = (oo * s1 - so * o1) / det, (ss * o1 - so * s1) / det
    return line if line[0] > 0 else last
