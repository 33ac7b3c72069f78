"""Where a picture is taken from: the camera as the kernels see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ._lens import COEFFICIENTS, LensModel, lens_limits

MAX_SIZE_PX = 16000
"""Longest side of a picture the kernels draw."""


@dataclass(frozen=True, eq=False)
class View:
    """A camera at a place.

    width, height: picture size in pixels, 1 to 16000.
    fx, fy, cx, cy: focal lengths and principal point in pixels; the first pixel's centre is (0.5, 0.5).
    cam_from_world: (3, 4) float32 rotation and translation, camera axes OpenCV's (+x right, +y down, +z forward);
        anything of that shape is converted.
    model: `pinhole`; `opencv`, radial and tangential; `fisheye`, by the angle from the axis, which may be beyond 90
        degrees; `equirectangular`, all around: 360 degrees across, 180 down, +z in the middle. The last one has
        fx = width / 2 pi, fy = height / pi and the middle as its principal point; see `View.equirectangular`.
    distortion: OpenCV's coefficients: none for a pinhole; k1 k2 p1 p2 k3 k4 k5 k6 for opencv; k1 k2 k3 k4 for fisheye;
        those left out at the end are 0.

    Depth is z for pinhole and opencv, the distance from the camera for fisheye and equirectangular. Splats are blended
    in the order of z, for the latter two of the largest of |x|, |y|, |z|. Of a panorama a splat's size and the
    gradient by its centre are in pixels at the horizon, wherever the splat is.

    Raises ValueError when the size, the lens or the matrix cannot be a camera's.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    cam_from_world: npt.NDArray[np.float32]
    model: LensModel = "pinhole"
    distortion: Sequence[float] = ()

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
        object.__setattr__(self, "distortion", self._coefficients())
        if self.model == "equirectangular":
            whole = _equirectangular(self.width, self.height)
            if not np.allclose((self.fx, self.fy, self.cx, self.cy), whole, rtol=1e-4):
                raise ValueError("an equirectangular picture covers 360 x 180 degrees; use View.equirectangular")

    def _coefficients(self) -> tuple[float, ...]:
        """All that the model has, zeros for those not given."""
        if self.model not in COEFFICIENTS:
            raise ValueError(f"model is {self.model!r}, expected one of {', '.join(COEFFICIENTS)}")
        names = COEFFICIENTS[self.model]
        given = tuple(float(k) for k in self.distortion)
        if len(given) > len(names) or not all(math.isfinite(k) for k in given):
            takes = f"at most {len(names)} finite numbers ({' '.join(names)})" if names else "none"
            raise ValueError(f"distortion is {given}, but {self.model} takes {takes}")
        return given + (0.0,) * (len(names) - len(given))

    @staticmethod
    def equirectangular(width: int, height: int, cam_from_world: npt.ArrayLike) -> View:
        """The whole sphere around the camera."""
        matrix = np.asarray(cam_from_world, np.float32)
        return View(width, height, *_equirectangular(width, height), matrix, "equirectangular")

    @property
    def depth_is_distance(self) -> bool:
        """Whether depth is the distance from the camera instead of z."""
        return self.model in ("fisheye", "equirectangular")

    @cached_property
    def row_weights(self) -> npt.NDArray[np.float32] | None:
        """(height,) solid angle of a pixel of each row, the largest being 1; None where it is about the same for all.

        A panorama shows what is straight above and below the camera in as many pixels as the horizon.
        """
        if self.model != "equirectangular":
            return None
        latitudes = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        weights: npt.NDArray[np.float32] = np.cos(latitudes).astype(np.float32)
        return weights

    @cached_property
    def limits(self) -> tuple[float, float]:
        """See `lens_limits`."""
        x, y = max(self.cx, self.width - self.cx) / self.fx, max(self.cy, self.height - self.cy) / self.fy
        return lens_limits(self.model, self.distortion, math.hypot(x, y))


def _equirectangular(width: int, height: int) -> tuple[float, float, float, float]:
    return width / (2 * math.pi), height / math.pi, width / 2, height / 2
