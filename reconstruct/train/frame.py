"""The frame that training happens in: cameras around the origin, about 1 apart, so that step sizes fit every scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose, Sim3

Array = npt.NDArray[np.float64]

MIN_EXTENT_BY_DEPTH = 0.1
"""A scene filmed from nearly one place is measured by this share of its depth instead of by its cameras' spread."""


def train_from_world(cameras: Sequence[Pose], points_in_world: npt.ArrayLike) -> Sim3:
    """Moves the cameras' mean to the origin and scales their extent to 1; turns nothing, so that SH stay as they are.

    The extent is 3DGS's: 1.1 times the largest distance of a camera from the cameras' mean, but at least a share of
    the median distance of the points (panoramas, a single photo).
    """
    centres = np.array([pose.origin_in_source for pose in cameras]).reshape(-1, 3)
    points = np.asarray(points_in_world, dtype=np.float64).reshape(-1, 3)
    middle = centres.mean(axis=0) if len(centres) else np.zeros(3)
    extent = 1.1 * float(np.linalg.norm(centres - middle, axis=1).max(initial=0.0))
    if len(points):
        extent = max(extent, MIN_EXTENT_BY_DEPTH * float(np.median(np.linalg.norm(points - middle, axis=1))))
    scale = 1.0 / extent if extent > 1e-9 else 1.0
    return Sim3(scale, np.eye(3), -scale * middle)
