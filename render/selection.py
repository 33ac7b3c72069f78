"""Which splats are meant: regions of space, of a picture, of opacity and of size, put together step by step.

A selection starts empty. Each step adds what lies in its region, takes it away, keeps only that, or turns it over
(`toggle` with `Everything` inverts). Regions speak of the world as it is when the selection is asked for, and never of
a splat's place in a file: the same words select the same splats whatever order a format keeps them in. The page does
the same with web/src/features/edit/selection.ts; tests hold the two to the same sets.

Distances and projections are computed in float64. A number that is not finite lies in no region but `Everything`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose, rotation_from_quaternion

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vec2 = tuple[float, float]
Vec3 = tuple[float, float, float]
Vec4 = tuple[float, float, float, float]

IDENTITY: Vec4 = (1.0, 0.0, 0.0, 0.0)
BLOCK = 1 << 18
"""Splats looked at together: bounds the memory that a stroke of many points takes."""


@dataclass(frozen=True, eq=False)
class Placed:
    """What regions look at: centres (N, 3) in the world, opacities (N,) in 0 to 1, largest standard deviations (N,)."""

    centres: Array
    opacities: Array
    sizes: Array


@dataclass(frozen=True)
class Everything:
    """Every splat."""

    def mask(self, at: Placed) -> Mask:
        return np.ones(len(at.centres), np.bool_)


@dataclass(frozen=True)
class Box:
    """Centres in a box, its faces included: `half` its size along its own axes, turned by `rotation_wxyz`."""

    centre: Vec3
    half: Vec3
    rotation_wxyz: Vec4 = IDENTITY

    def mask(self, at: Placed) -> Mask:
        away = at.centres - np.array(self.centre)
        if self.rotation_wxyz != IDENTITY:  # else exact: a face through a splat's centre keeps it
            away = away @ rotation_from_quaternion(self.rotation_wxyz)
        inside: Mask = (np.abs(away) <= np.array(self.half)).all(1)
        return inside


@dataclass(frozen=True)
class Sphere:
    """Centres at most `radius` from `centre`."""

    centre: Vec3
    radius: float

    def mask(self, at: Placed) -> Mask:
        away = at.centres - np.array(self.centre)
        inside: Mask = (away * away).sum(1) <= self.radius * self.radius
        return inside


@dataclass(frozen=True)
class Tube:
    """Centres at most `radius` from the line through `points`: a brush drawn on a surface."""

    points: tuple[Vec3, ...]
    radius: float

    def mask(self, at: Placed) -> Mask:
        return _near_line(at.centres, np.array(self.points), self.radius)


@dataclass(frozen=True)
class Stroke:
    """Centres in front of a pinhole whose pixels lie at most `radius_px` from the line through `points_px`: a brush
    drawn over a picture, through everything behind it.

    rotation_wxyz, translation: of `cam_from_world`, OpenCV axes. near, far: depths (z) between which splats are meant.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    rotation_wxyz: Vec4
    translation: Vec3
    points_px: tuple[Vec2, ...]
    radius_px: float
    near: float = 0.0
    far: float | None = None

    def mask(self, at: Placed) -> Mask:
        in_cam = Pose.from_quaternion(self.rotation_wxyz, self.translation).apply(at.centres)
        z = in_cam[:, 2]
        meant: Mask = (z > self.near) & (z <= (np.inf if self.far is None else self.far))
        pixels = np.full((len(z), 2), np.nan)
        pixels[meant] = in_cam[meant, :2] / z[meant, None] * [self.fx, self.fy] + [self.cx, self.cy]
        return _near_line(pixels, np.array(self.points_px), self.radius_px)


@dataclass(frozen=True)
class Opacity:
    """Opacities from `low` to `high`, both included."""

    low: float
    high: float

    def mask(self, at: Placed) -> Mask:
        meant: Mask = (at.opacities >= self.low) & (at.opacities <= self.high)
        return meant


@dataclass(frozen=True)
class Size:
    """Largest standard deviations from `low` to `high` world units, both included; None: no upper end."""

    low: float
    high: float | None = None

    def mask(self, at: Placed) -> Mask:
        meant: Mask = (at.sizes >= self.low) & (at.sizes <= (np.inf if self.high is None else self.high))
        return meant


Region = Everything | Box | Sphere | Tube | Stroke | Opacity | Size
Mode = Literal["add", "subtract", "intersect", "toggle"]


@dataclass(frozen=True)
class Step:
    """One step of a selection."""

    mode: Mode
    region: Region


def select(steps: Sequence[Step], at: Placed) -> Mask:
    """The selected splats (N,) after all steps, which start from none."""
    chosen = np.zeros(len(at.centres), np.bool_)
    for step in steps:
        found = step.region.mask(at)
        if step.mode == "add":
            chosen |= found
        elif step.mode == "subtract":
            chosen &= ~found
        elif step.mode == "intersect":
            chosen &= found
        else:
            chosen ^= found
    return chosen


def _near_line(points: Array, line: Array, reach: float) -> Mask:
    """Which `points` (N, D) are at most `reach` from the line through `line` (K, D), one point or more."""
    near = np.zeros(len(points), np.bool_)
    low, high = line.min(0) - reach, line.max(0) + reach
    starts, ends = (line, line) if len(line) == 1 else (line[:-1], line[1:])
    for begin in range(0, len(points), BLOCK):
        part = points[begin : begin + BLOCK]
        left = np.flatnonzero(((part >= low) & (part <= high)).all(1))
        for start, end in zip(starts, ends, strict=True):
            if not len(left):
                break
            along = end - start
            length = float(along @ along)
            away = part[left] - start
            share = np.clip(away @ along / length, 0.0, 1.0) if length > 0 else np.zeros(len(left))
            away = away - share[:, None] * along
            hit = (away * away).sum(1) <= reach * reach
            near[begin + left[hit]] = True
            left = left[~hit]
    return near
