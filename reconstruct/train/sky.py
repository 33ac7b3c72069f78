"""Where the sky is: which directions lead out of an outdoor scene, and how far away their first splats are put.

Structure from motion finds no points in the sky. Put at the depth of what stands in front of it, as other cells without
points are (cover.py), it hangs from the roofs; put far away, it has no parallax, as it should.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose

Array = npt.NDArray[np.float64]

FAR = 4.0
"""The shell's radius in distances of the farthest points (outliers left out) from the cameras' middle."""

MIN_RADIUS = 10.0
"""And at least so many times the cameras' extent, which is 1 in the training frame."""

MIN_ELEVATION = np.sin(np.radians(2.0))
MAX_CONTRAST = 0.06
"""Standard deviation of a sky cell's brightness: clouds have less, leaves and ceilings with lamps have more."""

MIN_BRIGHTNESS = 0.35

OVERHEAD = np.sin(np.radians(50.0))
MAX_OVERHEAD = 0.003
"""Share of the points that may lie steeply above the cameras: more of them are a ceiling's or a canopy's."""


@dataclass(frozen=True, eq=False)
class Shell:
    """A sphere around the cameras: middle (3,), radius, and the direction up (3,), all in the training frame."""

    middle: Array
    radius: float
    up: Array


def sky_shell(points: Array, cameras: Sequence[Pose], up: Array) -> Shell | None:
    """The shell around cameras (`cam_from_train`) that see `points` (P, 3); None without either. up: (3,) unit."""
    if not len(points) or not cameras:
        return None
    centres = np.array([pose.origin_in_source for pose in cameras])
    middle = centres.mean(axis=0)
    reach = float(np.percentile(np.linalg.norm(points - middle, axis=1), 98))
    extent = float(np.linalg.norm(centres - middle, axis=1).max(initial=0.0))
    return Shell(middle, max(FAR * reach, MIN_RADIUS * max(extent, 1e-6)), up)


def is_open_above(points: Array, shell: Shell) -> bool:
    """Whether nearly no point (P, 3) lies steeply above the cameras."""
    offsets = points - shell.middle
    steep = offsets @ shell.up > OVERHEAD * np.maximum(np.linalg.norm(offsets, axis=1), 1e-12)
    return bool(steep.mean() <= MAX_OVERHEAD)


def is_sky(shell: Shell, directions: Array, brightness: Array, contrast: Array) -> npt.NDArray[np.bool_]:
    """Which cells without points are sky: they look up, are bright and smooth.

    Args:
        directions: (M, 3) unit, in the training frame. brightness, contrast: (M,) mean and standard deviation, 0 to 1.
    """
    looks_up = directions @ shell.up > MIN_ELEVATION
    result: npt.NDArray[np.bool_] = looks_up & (brightness > MIN_BRIGHTNESS) & (contrast < MAX_CONTRAST)
    return result


def distance_to_shell(shell: Shell, origin: Array, directions: Array) -> Array:
    """From `origin` (3,) within the sphere along unit directions (M, 3) to it, (M,)."""
    offset = origin - shell.middle
    along = directions @ offset
    distance: Array = -along + np.sqrt(np.maximum(along**2 + shell.radius**2 - offset @ offset, 0.0))
    return distance
