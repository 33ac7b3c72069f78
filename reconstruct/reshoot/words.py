"""A proposal in words that a person on set can follow: what is missing and where, where to stand and to look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene

from .looks import Array, Look
from .quality import WORDS, Kind
from .surface import look_at_points

SAME_PLACE = 0.3
"""Nearer to a photo's place than this many steps between photos one stands where it was taken."""


@dataclass(frozen=True)
class Reason:
    """what: which surfaces are weak, and where a photo shows them. do: where to stand and to look."""

    what: str
    do: str


def explain(
    scene: PosedScene,
    looks: Sequence[Look],
    cam_from_level: Pose,
    target: Array,
    shares: dict[Kind, float],
    only_photo: str | None,
    area: float,
) -> Reason:
    """shares: of the gain, by what is wrong with the surfaces. only_photo: the one that sees most of what one photo
    sees. area: of what is weak, square units. target: (3,) the middle of it."""
    names = [f.name for f in scene.registered]
    main = max(shares, key=lambda k: shares[k])
    said = WORDS[main]
    if main == Kind.ONE and only_photo is not None:
        said = f"seen by one photo only ({only_photo})"
    others = [WORDS[k] for k, share in sorted(shares.items(), key=lambda x: -x[1]) if k != main and share > 0.2]
    size = f"About {_two_digits(area)} m\u00b2" if scene.is_metric and area >= 0.05 else "A part"
    also = f", some of it {' and '.join(others[:2])}" if others else ""
    what = f"{size} of the scene is {said}{also}; {_where(looks, names, target)}."
    return Reason(what, _do(scene, cam_from_level))


def _two_digits(value: float) -> str:
    """0.53, 1.3, 69, 690."""
    return f"{value:.2g}" if value < 10 else f"{round(value, 1 - math.floor(math.log10(value))):.0f}"


def _where(looks: Sequence[Look], names: Sequence[str], target: Array) -> str:
    """Where a place lies, told by the photo that shows it best, or comes nearest to showing it."""
    best: tuple[float, str] | None = None
    for look in looks:
        z, column, row = look_at_points(look, target[None])
        if z[0] <= 0:
            continue
        camera = look.camera
        in_cam = look.cam_from_level.apply(target)
        x = (camera.fx * in_cam[0] / in_cam[2] + camera.cx) / camera.width_px
        y = (camera.fy * in_cam[1] / in_cam[2] + camera.cy) / camera.height_px
        outside = max(0.0, abs(x - 0.5) - 0.5, abs(y - 0.5) - 0.5)
        depth = look.depth[row[0], column[0]] if column[0] >= 0 else 0.0
        hidden = depth > 0 and z[0] > 1.1 * depth
        name = names[look.index]
        if outside > 0:
            words = f"it lies {_beyond(x, y)} of what {name} shows"
        elif hidden:
            words = f"in {name} it is hidden behind what stands {_part(x, y)}"
        else:
            words = f"it is {_part(x, y)} of {name}"
        rank = 10 * outside + (1.0 if hidden else 0.0) + max(abs(x - 0.5), abs(y - 0.5))
        if best is None or rank < best[0]:
            best = (rank, words)
    return best[1] if best is not None else "no photo looks that way"


def _part(x: float, y: float) -> str:
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    up = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
    if not across and not up:
        return "in the middle"
    if across and up:
        return f"in the {up} {across} part"
    return f"in the {across or up} part"


def _beyond(x: float, y: float) -> str:
    if abs(x - 0.5) >= abs(y - 0.5):
        return "to the left" if x < 0 else "to the right"
    return "above the top" if y < 0 else "below the bottom"


def usual_step(scene: PosedScene) -> float:
    """The median distance from a camera to the nearest other one."""
    from scipy.spatial import cKDTree

    centres = np.array([scene.cam_from_world[f.name].origin_in_source for f in scene.registered])
    if len(centres) < 2:
        return 0.0
    return float(np.median(cKDTree(centres).query(centres, k=2)[0][:, 1]))


def _do(scene: PosedScene, pose: Pose) -> str:
    """From the nearest photo's place: how far to which side, how high, and how to turn."""
    frames = scene.registered
    place = pose.origin_in_source
    centres = np.array([scene.cam_from_world[f.name].origin_in_source for f in frames])
    # Of photos about as near, the one that looked most the same way is the easiest to start from.
    ahead = np.array([scene.cam_from_world[f.name].rotation[2] for f in frames])
    far = np.linalg.norm(centres - place, axis=1)
    nearest = int(np.argmin(far * (1.2 - 0.2 * ahead @ pose.rotation[2])))
    name, start = frames[nearest].name, scene.cam_from_world[frames[nearest].name]
    step = usual_step(scene)
    unit = 1.0 if scene.is_metric else max(step, 1e-9)
    forward, right, up = _level_axes(start)
    offset = place - centres[nearest]
    if np.linalg.norm(offset) < SAME_PLACE * step:
        stand = f"Stand where {name} was taken"
    else:
        overhead = abs(start.rotation[2, 2]) > 0.82
        ways = _ways(offset, forward, right, up, unit, scene.is_metric, overhead)
        seen = "" if overhead else ", facing as it did"
        stand = f"From where {name} was taken{seen}, go {ways}"
    return f"{stand}; {_aim(start, pose)}."


def _level_axes(pose: Pose) -> tuple[Array, Array, Array]:
    """Forward and right on the level, and up; of a camera that looks straight down, forward is its picture's top."""
    forward = pose.rotation[2] if abs(pose.rotation[2, 2]) < 0.95 else -pose.rotation[1]
    forward = np.array([forward[0], forward[1], 0.0])
    forward /= max(float(np.linalg.norm(forward)), 1e-12)
    return forward, np.array([forward[1], -forward[0], 0.0]), np.array([0.0, 0.0, 1.0])


def _ways(offset: Array, forward: Array, right: Array, up: Array, unit: float, metric: bool, overhead: bool) -> str:
    ahead_words = ("towards the top of the picture", "towards the bottom of the picture") if overhead else (
        "forward", "back")  # fmt: skip
    found = []
    for axis, (plus, minus) in ((right, ("to the right", "to the left")), (forward, ahead_words), (up, ("up", "down"))):
        along = float(offset @ axis)
        if abs(along) > 0.15 * float(np.linalg.norm(offset)):
            found.append((abs(along), f"{_length(abs(along) / unit, metric)} {plus if along > 0 else minus}"))
    found.sort(reverse=True)
    words = [w for _, w in found]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _length(units: float, metric: bool) -> str:
    if metric:
        return f"{units:.0f} m" if units >= 10 else f"{units:.1f} m" if units >= 0.95 else f"{units * 100:.0f} cm"
    if units < 0.75:
        return "half a step"
    return "one step" if units < 1.25 else f"{units:.1f} steps" if units < 3 else f"{units:.0f} steps"


def _aim(start: Pose, pose: Pose) -> str:
    """How to turn from the way that a photo looked."""
    forward, right, _ = _level_axes(start)
    new, _, _ = _level_axes(pose)
    turn = math.degrees(math.atan2(float(new @ right), float(new @ forward)))
    tilt = math.degrees(math.asin(float(np.clip(pose.rotation[2, 2], -1, 1))))
    before = math.degrees(math.asin(float(np.clip(start.rotation[2, 2], -1, 1))))
    parts = []
    steep = tilt < -72
    if abs(turn) > 15 and not steep:
        parts.append(
            "turn round"
            if abs(turn) > 155
            else f"turn {_round(abs(turn))}\u00b0 to the {'right' if turn > 0 else 'left'}"
        )
    if steep:
        parts.append("look straight down")
    elif abs(tilt - before) > 8:
        parts.append(f"tilt {_round(abs(tilt - before))}\u00b0 {'up' if tilt > before else 'down'}")
    return " and ".join(parts) if parts else "look the same way"


def _round(degrees: float) -> int:
    return max(5, 5 * round(degrees / 5))
