"""Captures whose holes are known: photos that were left out of a walk round a place, and what only they saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose

from ..paths import look_at
from .scene import SyntheticScene

Array = npt.NDArray[np.float64]

Hole = Literal["gap", "side", "lone"]
"""gap: a quarter of the round has no photo. side: half of it. lone: a third of it has one photo, in its middle."""

WIDTH_DEG: dict[Hole, float] = {"gap": 90.0, "side": 180.0, "lone": 120.0}

_SAME = 0.02
"""A point is seen by a camera where the first thing on its ray is this near to it, relative to its depth."""


@dataclass(frozen=True, eq=False)
class HoledCapture:
    """`cam_from_world` of photos: those taken, those left out, and others all round to measure by.

    middle_deg, width_deg: azimuths of the hole, round the scene's focus. is_across: for each of `held_out`, whether it
    stands in the hole.
    """

    taken: tuple[Pose, ...]
    left_out: tuple[Pose, ...]
    held_out: tuple[Pose, ...]
    is_across: tuple[bool, ...]
    middle_deg: float
    width_deg: float


def holed_capture(
    scene: SyntheticScene, hole: Hole, *, middle_deg: float, count: int = 40, held_out: int = 16
) -> HoledCapture:
    """`count` photos evenly round the focus, at the scene's heights in turn, but for the hole's."""
    half = WIDTH_DEG[hole] / 2

    def ring(many: int, shift: float) -> tuple[list[Pose], list[float]]:
        azimuths = (np.arange(many) + shift) * 360.0 / many
        focus, radius = np.array(scene.focus), float(np.mean(scene.stand_m))
        poses = []
        for index, azimuth in enumerate(np.radians(azimuths)):
            height = scene.heights_m[index % len(scene.heights_m)]
            eye = np.array([focus[0] + radius * math.cos(azimuth), focus[1] + radius * math.sin(azimuth), height])
            poses.append(look_at(eye, focus))
        away = np.abs((azimuths - middle_deg + 180) % 360 - 180)
        return poses, away.tolist()

    poses, away = ring(count, 0.0)
    missing = {i for i, a in enumerate(away) if a < half}
    if hole == "lone":
        missing.discard(int(np.argmin(away)))
    judges, judge_away = ring(held_out, 0.5)
    return HoledCapture(
        tuple(p for i, p in enumerate(poses) if i not in missing),
        tuple(p for i, p in enumerate(poses) if i in missing),
        tuple(judges),
        tuple(a < half for a in judge_away),
        middle_deg,
        2 * half,
    )


def seen_by(scene: SyntheticScene, camera: Camera, poses: Sequence[Pose], points: Array) -> npt.NDArray[np.int64]:
    """(M,): by how many cameras each of the points (M, 3) on surfaces is really seen."""
    count = np.zeros(len(points), np.int64)
    for pose in poses:
        in_cam = pose.apply(points)
        z = np.where(in_cam[:, 2] > 1e-6, in_cam[:, 2], np.nan)
        with np.errstate(invalid="ignore"):
            u, v = camera.fx * in_cam[:, 0] / z + camera.cx, camera.fy * in_cam[:, 1] / z + camera.cy
            inside = np.flatnonzero((u > 0) & (u < camera.width_px) & (v > 0) & (v < camera.height_px))
        x, y = in_cam[inside, 0] / z[inside], in_cam[inside, 1] / z[inside]
        depth = scene.trace(x[None], y[None], pose).depth
        count[inside] += np.abs(depth - z[inside]) < _SAME * z[inside]
    return count


def hole_points(scene: SyntheticScene, camera: Camera, capture: HoledCapture, *, most: int = 0) -> Array:
    """(M, 3): points on surfaces that photos left out show, and at most `most` of the taken ones."""
    small = camera.fitted(64)
    found = []
    for pose in capture.left_out:
        _, depth = scene.render(small, pose, samples=1)
        rows, columns = np.nonzero(depth > 0)
        rays = small.rays(np.stack([columns + 0.5, rows + 0.5], -1))
        found.append(pose.inverse().apply(rays / rays[:, 2:] * depth[rows, columns][:, None]))
    points = np.concatenate(found)
    hidden: Array = points[seen_by(scene, camera, capture.taken, points) <= most]
    return hidden
