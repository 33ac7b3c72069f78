"""Rigid and similarity transforms between frames.

A variable holding one is named `target_from_source`; it maps `x_in_source` to `x_in_target`. Composition reads like
the names: `c_from_a = c_from_b @ b_from_a`. Rotations are float64 3x3 matrices; quaternions are wxyz, unit, w >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def rotation_from_quaternion(wxyz: npt.ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4), which need not be unit."""
    q = np.asarray(wxyz, dtype=np.float64)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    if not np.all(norm > 0):
        raise ValueError("a quaternion of length zero is no rotation")
    w, x, y, z = np.moveaxis(q / norm, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_from_rotation(rotation: npt.ArrayLike) -> Array:
    """Unit quaternion wxyz (4,), w >= 0, of one rotation matrix (3, 3).

    Bar-Itzhack's method: the eigenvector of the largest eigenvalue of a symmetric 4x4 matrix, which is stable for
    every angle and gives the nearest rotation where the matrix is slightly off.
    """
    m = np.asarray(rotation, dtype=np.float64)
    k = np.array(
        [
            [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
        ]
    )
    _, vectors = np.linalg.eigh(k)
    q: Array = vectors[:, -1]
    return -q if q[0] < 0 else q


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid transform: `x_in_target = rotation @ x_in_source + translation`."""

    rotation: Array
    translation: Array

    @staticmethod
    def identity() -> Pose:
        return Pose(np.eye(3), np.zeros(3))

    @staticmethod
    def from_quaternion(wxyz: npt.ArrayLike, translation: npt.ArrayLike) -> Pose:
        return Pose(rotation_from_quaternion(wxyz), np.asarray(translation, dtype=np.float64))

    @staticmethod
    def from_matrix(matrix: npt.ArrayLike) -> Pose:
        """From a 3x4 or 4x4 matrix."""
        m = np.asarray(matrix, dtype=np.float64)
        return Pose(m[:3, :3].copy(), m[:3, 3].copy())

    @property
    def quaternion(self) -> Array:
        """Unit quaternion wxyz (4,), w >= 0."""
        return quaternion_from_rotation(self.rotation)

    @property
    def origin_in_source(self) -> Array:
        """The target frame's origin in source coordinates: of a `cam_from_world`, the camera's centre."""
        return -self.rotation.T @ self.translation

    def matrix(self) -> Array:
        """The 4x4 matrix."""
        m = np.eye(4)
        m[:3, :3] = self.rotation
        m[:3, 3] = self.translation
        return m

    def apply(self, points: npt.ArrayLike) -> Array:
        """Points (..., 3) in the source frame to points in the target frame."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation

    def inverse(self) -> Pose:
        return Pose(self.rotation.T, self.origin_in_source)

    def __matmul__(self, other: Pose) -> Pose:
        if not isinstance(other, Pose):
            return NotImplemented
        return Pose(self.rotation @ other.rotation, self.rotation @ other.translation + self.translation)


@dataclass(frozen=True, eq=False)
class Sim3:
    """A similarity: `x_in_target = scale * rotation @ x_in_source + translation`, scale > 0."""

    scale: float
    rotation: Array
    translation: Array

    @staticmethod
    def identity() -> Sim3:
        return Sim3(1.0, np.eye(3), np.zeros(3))

    def matrix(self) -> Array:
        """The 4x4 matrix."""
        m = np.eye(4)
        m[:3, :3] = self.scale * self.rotation
        m[:3, 3] = self.translation
        return m

    def apply(self, points: npt.ArrayLike) -> Array:
        """Points (..., 3) in the source frame to points in the target frame."""
        return self.scale * (np.asarray(points, dtype=np.float64) @ self.rotation.T) + self.translation

    def inverse(self) -> Sim3:
        return Sim3(1.0 / self.scale, self.rotation.T, -(self.rotation.T @ self.translation) / self.scale)

    def transform_camera(self, cam_from_source: Pose) -> Pose:
        """`cam_from_target` of a camera given as `cam_from_source`; camera coordinates take the target's scale."""
        rotation = cam_from_source.rotation @ self.rotation.T
        centre_in_target = self.apply(cam_from_source.origin_in_source)
        return Pose(rotation, -rotation @ centre_in_target)

    @overload
    def __matmul__(self, other: Sim3) -> Sim3: ...
    @overload
    def __matmul__(self, other: Pose) -> Sim3: ...
    def __matmul__(self, other: Sim3 | Pose) -> Sim3:
        if not isinstance(other, Sim3 | Pose):
            return NotImplemented
        other_scale = other.scale if isinstance(other, Sim3) else 1.0
        return Sim3(self.scale * other_scale, self.rotation @ other.rotation, self.apply(other.translation))

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "rotation_wxyz": quaternion_from_rotation(self.rotation).tolist(),
            "translation": self.translation.tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Sim3:
        return Sim3(
            float(value["scale"]),
            rotation_from_quaternion(value["rotation_wxyz"]),
            np.asarray(value["translation"], dtype=np.float64),
        )


def umeyama(source: npt.ArrayLike, target: npt.ArrayLike, *, with_scale: bool = True) -> Sim3:
    """The `target_from_source` that brings points (N, 3) nearest to their partners in least squares.

    Umeyama 1991, equations 34 to 43. Needs three points that are not on one line for a unique rotation.
    """
    x, y = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] != 3 or len(x) < 3:
        raise ValueError("umeyama needs two equal (N, 3) arrays of at least three points")
    mean_x, mean_y = x.mean(0), y.mean(0)
    dx, dy = x - mean_x, y - mean_y
    u, d, vt = np.linalg.svd(dy.T @ dx / len(x))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = u @ np.diag(sign) @ vt
    variance = float((dx**2).sum() / len(x))
    scale = float((d * sign).sum() / variance) if with_scale and variance > 0 else 1.0
    return Sim3(scale, rotation, mean_y - scale * rotation @ mean_x)
