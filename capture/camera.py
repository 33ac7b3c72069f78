"""Cameras: COLMAP's models, names and parameter order.

Camera axes are OpenCV's: +x right, +y down, +z forward. Pixel coordinates are COLMAP's: the first pixel's centre is
(0.5, 0.5). Depth is z along the optical axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CameraModel = Literal[
    "SIMPLE_PINHOLE",
    "PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV",
    "OPENCV_FISHEYE",
    "FULL_OPENCV",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
]
CAMERA_MODELS: tuple[CameraModel, ...] = get_args(CameraModel)

PARAM_NAMES: dict[CameraModel, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
}

# COLMAP's numbers for the models in its binary files.
MODEL_IDS: dict[CameraModel, int] = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
    "FULL_OPENCV": 6,
    "SIMPLE_RADIAL_FISHEYE": 8,
    "RADIAL_FISHEYE": 9,
}


@dataclass(frozen=True)
class Camera:
    """Intrinsics: a model, an image size in pixels and the model's parameters in COLMAP's order.

    Raises ValueError when the count of parameters does not fit the model or a value cannot be a camera's.
    """

    model: CameraModel
    width_px: int
    height_px: int
    params: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.model not in PARAM_NAMES:
            raise ValueError(f"camera model {self.model!r} is not one of {', '.join(CAMERA_MODELS)}")
        names = PARAM_NAMES[self.model]
        if len(self.params) != len(names):
            raise ValueError(f"{self.model} takes {len(names)} parameters ({', '.join(names)})")
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"an image of {self.width_px}x{self.height_px} pixels has no camera")
        if not all(math.isfinite(p) for p in self.params) or self.fx <= 0 or self.fy <= 0:
            raise ValueError("camera parameters must be finite and focal lengths positive")

    @staticmethod
    def pinhole(width_px: int, height_px: int, fx: float, fy: float, cx: float, cy: float) -> Camera:
        return Camera("PINHOLE", width_px, height_px, (fx, fy, cx, cy))

    def param(self, name: str, default: float = 0.0) -> float:
        names = PARAM_NAMES[self.model]
        return self.params[names.index(name)] if name in names else default

    @property
    def fx(self) -> float:
        return self.params[0]

    @property
    def fy(self) -> float:
        return self.params[1] if PARAM_NAMES[self.model][1] == "fy" else self.params[0]

    @property
    def cx(self) -> float:
        return self.param("cx")

    @property
    def cy(self) -> float:
        return self.param("cy")

    @property
    def is_pinhole(self) -> bool:
        """True when straight lines stay straight: no distortion parameter, or all of them zero."""
        count = PARAM_NAMES[self.model].index("cy") + 1
        return "FISHEYE" not in self.model and not any(self.params[count:])

    def scaled(self, width_px: int, height_px: int) -> Camera:
        """The same lens photographed at another size; exact under the (0.5, 0.5) pixel convention."""
        sx, sy = width_px / self.width_px, height_px / self.height_px
        factors = {"f": (sx + sy) / 2, "fx": sx, "fy": sy, "cx": sx, "cy": sy}
        params = tuple(p * factors.get(n, 1.0) for n, p in zip(PARAM_NAMES[self.model], self.params, strict=True))
        return Camera(self.model, width_px, height_px, params)

    def fitted(self, max_size_px: int) -> Camera:
        """Scaled down so that the longer side is at most `max_size_px`; never up."""
        factor = min(1.0, max_size_px / max(self.width_px, self.height_px))
        return self.scaled(max(1, round(self.width_px * factor)), max(1, round(self.height_px * factor)))

    def distort(self, xy: npt.ArrayLike) -> Array:
        """Ideal image-plane points (..., 2) = (x/z, y/z) to distorted ones, still in units of focal length."""
        uv = np.asarray(xy, dtype=np.float64)
        u, v = uv[..., 0], uv[..., 1]
        k1, k2, k3, k4 = (self.param(n) for n in ("k1", "k2", "k3", "k4"))
        if "FISHEYE" in self.model:
            r = np.hypot(u, v)
            theta = np.arctan(r)
            t2 = theta * theta
            poly = 1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))
            factor = np.where(r > 1e-12, theta * poly / np.maximum(r, 1e-12), 1.0)
            fisheye: Array = uv * factor[..., None]
            return fisheye
        r2 = u * u + v * v
        factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        if self.model == "FULL_OPENCV":
            factor = factor / (1 + r2 * (k4 + r2 * (self.param("k5") + r2 * self.param("k6"))))
        p1, p2 = self.param("p1"), self.param("p2")
        du = 2 * p1 * u * v + p2 * (r2 + 2 * u * u)
        dv = 2 * p2 * u * v + p1 * (r2 + 2 * v * v)
        return np.stack([u * factor + du, v * factor + dv], axis=-1)

    def project(self, points_in_cam: npt.ArrayLike) -> Array:
        """Points (..., 3) in the camera frame to pixels (..., 2); NaN for points at or behind the camera."""
        p = np.asarray(points_in_cam, dtype=np.float64)
        z = np.where(p[..., 2] > 0, p[..., 2], np.nan)
        xy = self.distort(p[..., :2] / z[..., None])
        pixels: Array = xy * np.array([self.fx, self.fy]) + np.array([self.cx, self.cy])
        return pixels

    def unproject(self, pixels: npt.ArrayLike) -> Array:
        """Pixels (..., 2) to ideal image-plane points (..., 2) = (x/z, y/z): the inverse of `distort`.

        Newton's method on a numerical Jacobian; exact to 1e-9 within the lens's working range.
        """
        px = np.asarray(pixels, dtype=np.float64)
        target: Array = (px - np.array([self.cx, self.cy])) / np.array([self.fx, self.fy])
        if self.is_pinhole:
            return target
        xy = target.copy()
        if "FISHEYE" in self.model:
            r = np.minimum(np.linalg.norm(target, axis=-1, keepdims=True), 1.5)
            xy = target * np.where(r > 1e-12, np.tan(r) / np.maximum(r, 1e-12), 1.0)
        h = 1e-6
        for _ in range(20):
            error = self.distort(xy) - target
            ju = (self.distort(xy + [h, 0]) - self.distort(xy - [h, 0])) / (2 * h)
            jv = (self.distort(xy + [0, h]) - self.distort(xy - [0, h])) / (2 * h)
            det = ju[..., 0] * jv[..., 1] - jv[..., 0] * ju[..., 1]
            det = np.where(np.abs(det) > 1e-12, det, 1e-12)
            step_u = (jv[..., 1] * error[..., 0] - jv[..., 0] * error[..., 1]) / det
            step_v = (ju[..., 0] * error[..., 1] - ju[..., 1] * error[..., 0]) / det
            xy = xy - np.stack([step_u, step_v], axis=-1)
            if np.max(np.abs(error), initial=0.0) < 1e-12:
                break
        return xy
