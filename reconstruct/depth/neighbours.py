"""Which photos to compare a photo with, and between which depths to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene

Array = npt.NDArray[np.float64]

POINTS_PER_FRAME = 400
"""So many of a frame's sparse points vote for its neighbours."""

BEST_ANGLE_DEG, NARROW_DEG, WIDE_DEG = 8.0, 4.0, 10.0
"""Rays that meet at the best angle count most; weights fall off as two half bells, after MVSNet (Yao et al. 2018)."""

LEAST_ANGLE_DEG = 0.5
"""Pairs whose rays meet at less, in the median, tell nothing of depth."""

MARGIN_NEAR, MARGIN_FAR = 1.6, 2.0
"""How far the range of inverse depths reaches beyond that of the sparse points."""


@dataclass(frozen=True, eq=False)
class DepthRange:
    """Nearest and farthest depth to look at, in world units, and some known depths.

    pixels (K, 2) and depths (K,): where points are known to be, in a picture of the size `size_px` (2,).
    """

    near: float
    far: float
    pixels: Array
    depths: Array
    size_px: Array

    def with_known(self, pixels: npt.NDArray[Any], depths: npt.NDArray[Any]) -> DepthRange:
        """The same with more known depths, which it then reaches beyond as well."""
        if not len(depths):
            return self
        near, far = float(depths.min()) / MARGIN_NEAR, float(depths.max()) * MARGIN_FAR
        every = (np.concatenate([self.pixels, pixels]), np.concatenate([self.depths, depths]))
        return DepthRange(min(self.near, near), max(self.far, far), *every, self.size_px)


class Overlap:
    """What the frames of a scene see of its sparse points.

    Args:
        cameras: pinholes by frame name, in which points are looked for where tracks do not say who sees them.
    """

    def __init__(self, scene: PosedScene, cameras: dict[str, Camera]) -> None:
        self.names = list(cameras)
        self._cameras = cameras
        self._poses = {name: scene.cam_from_world[name] for name in self.names}
        self._points = scene.points.xyz[np.isfinite(scene.points.xyz).all(axis=1)]
        self._tracks = None
        if scene.has_tracks and len(self._points) == len(scene.points):
            self._tracks = {name: scene.visible.get(name, np.zeros(0, np.int32)) for name in self.names}
        self._centres = np.array([self._poses[name].origin_in_source for name in self.names])
        self._axes = np.array([self._poses[name].rotation[2] for name in self.names])

    def neighbours(self, name: str, count: int) -> list[str]:
        """The frames best suited to tell the depth of `name`'s pixels, best first; fewer where there are no more."""
        points = self._seen(name)
        index = self.names.index(name)
        scores = self._scores_by_points(index, points) if len(points) else self._scores_by_cameras(index)
        scores[index] = 0.0
        best = np.argsort(-scores, kind="stable")[:count]
        return [self.names[i] for i in best if scores[i] > 0]

    def depth_range(self, name: str) -> DepthRange:
        """From the sparse points that the frame sees; where it sees none, from where the cameras look and stand."""
        pose, camera = self._poses[name], self._cameras[name]
        inside, pixels, depths = _in_picture(pose, camera, self._points[self._indices(name)])
        pixels, depths = pixels[inside], depths[inside]
        size = np.array([camera.width_px, camera.height_px], np.float64)
        if len(depths) >= 4:
            near, far = np.percentile(depths, [1.0, 99.0])
            return DepthRange(float(near / MARGIN_NEAR), float(far * MARGIN_FAR), pixels, depths, size)
        near, far = self._range_by_cameras(name)
        return DepthRange(near, far, pixels, depths, size)

    def _indices(self, name: str) -> npt.NDArray[np.int64]:
        if self._tracks is not None and len(self._tracks[name]):
            return np.unique(self._tracks[name]).astype(np.int64)
        return np.arange(len(self._points))

    def _seen(self, name: str) -> Array:
        indices = self._indices(name)
        inside, _, _ = _in_picture(self._poses[name], self._cameras[name], self._points[indices])
        indices = indices[inside]
        if len(indices) > POINTS_PER_FRAME:  # evenly, the same each time
            indices = indices[np.linspace(0, len(indices) - 1, POINTS_PER_FRAME).astype(np.int64)]
        chosen: npt.NDArray[np.int64] = indices
        return self._points[chosen]

    def _scores_by_points(self, index: int, points: Array) -> Array:
        """Sum over the shared points of their angle's weight and of how alike the two scales are."""
        towards = points[None] - self._centres[:, None]
        distance = np.maximum(np.linalg.norm(towards, axis=-1), 1e-12)
        cosine = np.einsum("npk,pk->np", towards, towards[index]) / (distance * distance[index])
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        width = np.where(angle < BEST_ANGLE_DEG, NARROW_DEG, WIDE_DEG)
        weight = np.exp(-0.5 * ((angle - BEST_ANGLE_DEG) / width) ** 2)
        ratio = distance / distance[index]
        shared = np.stack([self._sees(name, points) for name in self.names])
        scores: Array = (shared * weight * np.minimum(ratio, 1 / ratio)).sum(axis=1)
        few = shared.sum(axis=1) < min(8, len(points))
        middle = np.nanmedian(np.where(shared | few[:, None], angle, np.nan), axis=1)
        return np.where(few | (middle < LEAST_ANGLE_DEG), 0.0, scores)

    def _sees(self, name: str, points: Array) -> npt.NDArray[np.bool_]:
        return _in_picture(self._poses[name], self._cameras[name], points)[0]

    def _scores_by_cameras(self, index: int) -> Array:
        """Without points: near cameras that look the same way."""
        apart = np.linalg.norm(self._centres - self._centres[index], axis=1)
        alike = self._axes @ self._axes[index]
        moved = apart > 1e-9 * max(float(apart.max()), 1e-12)
        typical = float(np.median(apart[moved])) if moved.any() else 1.0
        scores: Array = np.where(moved & (alike > 0.7), alike * typical / (apart + 0.1 * typical), 0.0)
        return scores

    def _range_by_cameras(self, name: str) -> tuple[float, float]:
        """Around the point that all optical axes pass closest by; else by how far cameras stand apart."""
        normal = np.eye(3) - np.einsum("ni,nj->nij", self._axes, self._axes)
        focus = np.linalg.lstsq(normal.sum(0), np.einsum("nij,nj->i", normal, self._centres), rcond=None)[0]
        z = float(self._poses[name].apply(focus)[2])
        apart = np.linalg.norm(self._centres - self._poses[name].origin_in_source, axis=1)
        step = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
        return (z / 6, z * 6) if z > step else (step, 50 * step)


def _in_picture(pose: Pose, camera: Camera, points: Array) -> tuple[npt.NDArray[np.bool_], Array, Array]:
    """Whether points (P, 3) are in front and in the picture, their pixels (P, 2) and depths (P,)."""
    in_camera = pose.apply(points)
    z = in_camera[:, 2]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pixels = in_camera[:, :2] / z[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        inside = (z > 0) & ((pixels >= 0) & (pixels < [camera.width_px, camera.height_px])).all(axis=1)
    return inside, pixels, z
