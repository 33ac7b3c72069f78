"""Where a picture is taken from: the camera as the kernels see it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_SIZE_PX = 16000
"""Longest side of a picture the kernels draw."""


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera at a place.

    width, height: picture size in pixels, 1 to 16000.
    fx, fy, cx, cy: focal lengths and principal point in pixels; the first pixel's centre is (0.5, 0.5).
    cam_from_world: (3, 4) float32 rotation and translation, camera axes OpenCV's (+x right, +y down, +z forward);
        anything of that shape is converted.

    Raises ValueError when the size, the lens or the matrix cannot be a camera's.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    cam_from_world: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        matrix = np.ascontiguousarray(self.cam_from_world, dtype=np.float32)
        if matrix.shape != (3, 4):
            raise ValueError(f"cam_from_world has shape {matrix.shape}, expected (3, 4)")
        if not (1 <= self.width <= MAX_SIZE_PX and 1 <= self.height <= MAX_SIZE_PX):
            raise ValueError(f"a picture of {self.width}x{self.height} pixels; each side must be 1 to {MAX_SIZE_PX}")
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)) or self.fx <= 0 or self.fy <= 0:
            raise ValueError("focal lengths must be positive and the principal point finite")
        if not np.isfinite(matrix).all():
            raise ValueError("cam_from_world holds values that are not finite")
        object.__setattr__(self, "cam_from_world", matrix)
