"""Which part of the world a surface is made of: bounds that neither a stray point nor the sky can stretch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.types import PosedScene

from ..coverage import find_centre
from .config import MeshConfig

Array = npt.NDArray[np.float64]

QUANTILE = 0.01
MARGIN = 0.1
FAR = 4.0
"""Points further from the middle than so many times the cameras' usual distance from it are background."""

REGION = 0.75
"""The region of interest reaches this share of the cameras' usual distance from what they look at: it ends before
them."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """An axis-aligned box in the world."""

    low: Array
    high: Array

    @property
    def size(self) -> float:
        """Its longest side."""
        return float((self.high - self.low).max())

    @property
    def diagonal(self) -> float:
        return float(np.linalg.norm(self.high - self.low))

    def holds(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Whether each point (..., 3) is inside; false for what is not finite."""
        inside: npt.NDArray[np.bool_] = np.all((points >= self.low) & (points <= self.high), axis=-1)
        return inside


def bounds_of(scene: PosedScene, config: MeshConfig) -> Bounds:
    """The box of `config.crop`.

    Raises InputError when the scene has no cameras, or there is nothing to say where things are.
    """
    if config.box is not None:
        return Bounds(np.array(config.box[0]), np.array(config.box[1]))
    poses = [scene.cam_from_world[frame.name] for frame in scene.registered]
    if not poses:
        raise InputError("No frame of this scene has a camera pose, so there is no surface to make; run pose first.")
    centres = np.array([pose.origin_in_source for pose in poses])
    axes = np.array([pose.rotation[2] for pose in poses])
    points = scene.points.xyz[np.isfinite(scene.points.xyz).all(axis=1)]
    middle = find_centre(centres, axes, points)
    reach = float(np.median(np.linalg.norm(centres - middle, axis=1)))
    if len(points):
        reach = max(reach, float(np.median(_nearest_camera(points, centres))))
    if not np.isfinite(reach) or reach <= 0:
        raise InputError(
            "The cameras stand in one place and nothing says how far things are; "
            "give the box to make a surface of with --crop x0,y0,z0,x1,y1,z1."
        )
    if config.crop == "region":
        return _around(middle, points, REGION * reach)
    near = points[_nearest_camera(points, centres) <= FAR * reach] if len(points) else points
    if len(near) < 20:
        return Bounds(middle - FAR * reach, middle + FAR * reach)
    low, high = np.quantile(near, [QUANTILE, 1 - QUANTILE], axis=0)
    margin = MARGIN * float((high - low).max())
    return Bounds(low - margin, high + margin)


def _around(middle: Array, points: Array, radius: float) -> Bounds:
    """A cube around the middle, but down only as far as points go: below the floor there is nothing."""
    low, high = middle - radius, middle + radius
    inside = points[np.all((points >= low) & (points <= high), axis=1)] if len(points) else points
    if len(inside) >= 20:
        floor, top = np.quantile(inside[:, 2], [QUANTILE, 1 - QUANTILE])
        margin = MARGIN * radius
        low[2], high[2] = max(low[2], floor - margin), min(high[2], top + margin)
    return Bounds(low, high)


def _nearest_camera(points: Array, centres: Array) -> Array:
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(centres).query(points)
    found: Array = np.asarray(distance, np.float64)
    return found
