"""From points in the training frame to a view's pixels and back, through any lens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diorama.kernels import View
from diorama.render.rasterize import camera_of

Array = npt.NDArray[np.float64]


def pose_of(view: View) -> tuple[Array, Array]:
    matrix = np.asarray(view.cam_from_world, dtype=np.float64)
    return matrix[:, :3], matrix[:, 3]


def project(points: Array, view: View) -> tuple[Array, Array]:
    """Pixels (N, 2), meaningless where depth (N,), z or the distance as `View` has it, is not positive."""
    rotation, translation = pose_of(view)
    in_camera = points @ rotation.T + translation
    depth = np.linalg.norm(in_camera, axis=1) if view.depth_is_distance else in_camera[:, 2]
    pixels = camera_of(view).project(in_camera)
    seen = (depth > 1e-9) & np.isfinite(pixels).all(axis=1)
    return np.where(seen[:, None], pixels, -1.0), np.where(seen, depth, 0.0)


def rays_of(pixels: Array, view: View) -> Array:
    """Directions (M, 3) in the camera at depth 1."""
    rays = camera_of(view).rays(pixels)
    return rays if view.depth_is_distance else rays / rays[:, 2:]
