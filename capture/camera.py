"""Cameras: COLMAP's models, names and parameter order.

Camera axes are OpenCV's: +x right, +y down, +z forward. Pixel coordinates are COLMAP's: the first pixel's centre is
(0.5, 0.5). Depth is z along the optical axis; where a lens may see what is behind it (fisheye, equirectangular), the
distance from the camera.
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
    "EQUIRECTANGULAR",
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
    "EQUIRECTANGULAR": ("w", "h"),
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
    "EQUIRECTANGULAR": 17,
}

Lens = Literal["pinhole", "opencv", "fisheye", "equirectangular"]
"""Families of models that share a formula: radial and tangential; by the angle from the axis; the whole sphere."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics: a model, an image size in pixels and the model's parameters in COLMAP's order.

    EQUIRECTANGULAR shows 360 by 180 degrees, +z in the middle, -y at the top; its parameters are the image size once
    more, as COLMAP has them.

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
        if self.model == "EQUIRECTANGULAR" and self.params != (self.width_px, self.height_px):
            raise ValueError("the parameters of an equirectangular camera are its image size")

    @staticmethod
    def pinhole(width_px: int, height_px: int, fx: float, fy: float, cx: float, cy: float) -> Camera:
        return Camera("PINHOLE", width_px, height_px, (fx, fy, cx, cy))

    @staticmethod
    def equirectangular(width_px: int, height_px: int) -> Camera:
        return Camera("EQUIRECTANGULAR", width_px, height_px, (float(width_px), float(height_px)))

    def param(self, name: str, default: float = 0.0) -> float:
        names = PARAM_NAMES[self.model]
        return self.params[names.index(name)] if name in names else default

    @property
    def fx(self) -> float:
        """Pixels per tangent (fisheye, equirectangular: per radian) at the principal point, across."""
        return self.width_px / (2 * math.pi) if self.model == "EQUIRECTANGULAR" else self.params[0]

    @property
    def fy(self) -> float:
        if self.model == "EQUIRECTANGULAR":
            return self.height_px / math.pi
        return self.params[1] if PARAM_NAMES[self.model][1] == "fy" else self.params[0]

    @property
    def cx(self) -> float:
        return self.param("cx", self.width_px / 2)

    @property
    def cy(self) -> float:
        return self.param("cy", self.height_px / 2)

    @property
    def lens(self) -> Lens:
        if self.model == "EQUIRECTANGULAR":
            return "equirectangular"
        if "FISHEYE" in self.model:
            return "fisheye"
        return "pinhole" if self.is_pinhole else "opencv"

    @property
    def is_pinhole(self) -> bool:
        """True when straight lines stay straight: no distortion parameter, or all of them zero."""
        if "FISHEYE" in self.model or self.model == "EQUIRECTANGULAR":
            return False
        return not any(self.params[PARAM_NAMES[self.model].index("cy") + 1 :])

    def scaled(self, width_px: int, height_px: int) -> Camera:
        """The same lens photographed at another size; exact under the (0.5, 0.5) pixel convention."""
        sx, sy = width_px / self.width_px, height_px / self.height_px
        factors = {"f": (sx + sy) / 2, "fx": sx, "fy": sy, "cx": sx, "cy": sy}
        if self.model == "EQUIRECTANGULAR":
            return Camera.equirectangular(width_px, height_px)
        params = tuple(p * factors.get(n, 1.0) for n, p in zip(PARAM_NAMES[self.model], self.params, strict=True))
        return Camera(self.model, width_px, height_px, params)

    def fitted(self, max_size_px: int) -> Camera:
        """Scaled down so that the longer side is at most `max_size_px`; never up."""
        factor = min(1.0, max_size_px / max(self.width_px, self.height_px))
        return self.scaled(max(1, round(self.width_px * factor)), max(1, round(self.height_px * factor)))

    def distort(self, xy: npt.ArrayLike) -> Array:
        """Ideal image-plane points (..., 2) = (x/z, y/z) to distorted ones, still in units of focal length.

        Raises ValueError for an equirectangular camera, which has no image plane.
        """
        self._require_plane()
        uv = np.asarray(xy, dtype=np.float64)
        u, v = uv[..., 0], uv[..., 1]
        k1, k2, k3, k4 = self._radial()
        if "FISHEYE" in self.model:
            r = np.hypot(u, v)
            theta = np.arctan(r)
            factor = np.where(r > 1e-12, self._fisheye_radius(theta) / np.maximum(r, 1e-12), 1.0)
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
        """Points (..., 3) in the camera frame to pixels (..., 2).

        NaN for points the lens cannot see: at or behind the camera; for a fisheye, beyond the angle at which its
        polynomial turns back; for an equirectangular camera, at its centre.
        """
        p = np.asarray(points_in_cam, dtype=np.float64)
        if self.model == "EQUIRECTANGULAR":
            level, far = np.hypot(p[..., 0], p[..., 2]), np.where(np.any(p != 0, axis=-1), 1.0, np.nan)
            angles = np.stack([np.arctan2(p[..., 0], p[..., 2]) * far, np.arctan2(p[..., 1], level) * far], axis=-1)
            around: Array = angles * [self.fx, self.fy] + [self.cx, self.cy]
            return around
        if self.lens == "fisheye":
            r = np.hypot(p[..., 0], p[..., 1])
            angle = np.where((r > 0) | (p[..., 2] > 0), np.arctan2(r, p[..., 2]), np.nan)
            seen = np.where(angle < self._fisheye_limit(), self._fisheye_radius(angle), np.nan)
            stretch = np.where(r > 0, seen / np.maximum(r, 1e-300), 1.0 / np.maximum(p[..., 2], 1e-300))
            wide: Array = p[..., :2] * stretch[..., None] * [self.fx, self.fy] + [self.cx, self.cy]
            return wide
        z = np.where(p[..., 2] > 0, p[..., 2], np.nan)
        xy = self.distort(p[..., :2] / z[..., None])
        pixels: Array = xy * np.array([self.fx, self.fy]) + np.array([self.cx, self.cy])
        return pixels

    def unproject(self, pixels: npt.ArrayLike) -> Array:
        """Pixels (..., 2) to ideal image-plane points (..., 2) = (x/z, y/z): the inverse of `distort`.

        Newton's method on a numerical Jacobian; exact to 1e-9 within the lens's working range. `rays` knows directions
        at 90 degrees and beyond too. Raises ValueError for an equirectangular camera, which has no image plane.
        """
        self._require_plane()
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

    def rays(self, pixels: npt.ArrayLike) -> Array:
        """Pixels (..., 2) to unit directions (..., 3) in the camera: the inverse of `project`.

        NaN where a fisheye's pixel lies beyond the angle at which its polynomial turns back.
        """
        px = np.asarray(pixels, dtype=np.float64)
        plane: Array = (px - [self.cx, self.cy]) / [self.fx, self.fy]
        if self.model == "EQUIRECTANGULAR":
            across, down = plane[..., 0], plane[..., 1]
            level = np.cos(down)
            around: Array = np.stack([np.sin(across) * level, np.sin(down), np.cos(across) * level], axis=-1)
            return around
        if self.lens == "fisheye":
            radius = np.linalg.norm(plane, axis=-1)
            angle = self._fisheye_angle(radius)
            sideways: Array = plane * (np.sin(angle) / np.maximum(radius, 1e-300))[..., None]
            return np.concatenate([sideways, np.cos(angle)[..., None]], axis=-1)
        xy = self.unproject(px)
        rays = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
        unit: Array = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return unit

    def _require_plane(self) -> None:
        if self.model == "EQUIRECTANGULAR":
            raise ValueError("an equirectangular picture has no image plane; use rays and project")

    def _radial(self) -> tuple[float, ...]:
        return tuple(self.param(n) for n in ("k1", "k2", "k3", "k4"))

    def _fisheye_radius(self, angle: Array) -> Array:
        """Distorted radius in focal lengths of an angle from the axis."""
        k1, k2, k3, k4 = self._radial()
        t2 = angle * angle
        radius: Array = angle * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        return radius

    def _fisheye_limit(self) -> float:
        """The angle at which the radius stops growing, at most 180 degrees."""
        angles = np.linspace(0, math.pi, 4001)
        falling = np.flatnonzero(np.diff(self._fisheye_radius(angles)) <= 0)
        return float(angles[falling[0]]) if len(falling) else math.pi

    def _fisheye_angle(self, radius: Array) -> Array:
        """The inverse of `_fisheye_radius` up to its limit, by bisection; NaN beyond."""
        limit = self._fisheye_limit()
        low, high = np.zeros_like(radius), np.full_like(radius, limit)
        for _ in range(52):
            middle = (low + high) / 2
            below = self._fisheye_radius(middle) < radius
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(radius <= self._fisheye_radius(np.full((), limit)), (low + high) / 2, np.nan)
