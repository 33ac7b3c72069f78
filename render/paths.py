"""Camera paths: where a camera flies, as data.

A path is a list of keyframes that a smooth curve passes through. Its file is JSON:

    {
      "format": "diorama-camera-path", "version": 1, "fps": 30,
      "camera": {"width_px": 960, "height_px": 540, "fx": 700, "fy": 700, "cx": 480, "cy": 270},
      "keyframes": [
        {"time_s": 0.0, "quaternion_wxyz": [1, 0, 0, 0], "translation": [0, 0, 4]},
        {"time_s": 2.5, "quaternion_wxyz": [0.9, 0, 0.1, 0], "translation": [0.5, 0, 4]}
      ]
    }

Quaternion and translation are those of `cam_from_world` (OpenCV camera axes, x_in_cam = R x_in_world + t), as in
COLMAP's files, in the scene's world; the camera is a pinhole with the first pixel's centre at (0.5, 0.5).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.capture.types import Frame, PosedScene

Array = npt.NDArray[np.float64]

FORMAT, VERSION = "diorama-camera-path", 1
MAX_FILE_BYTES = 32 << 20
MAX_FRAMES = 100_000
MIN_FPS, MAX_FPS = 1, 240
MIN_SIDE_PX, MAX_SIDE_PX = 16, 8192
MAX_ABS_COORDINATE = 1e9

_DENSE = 4000
_ORBIT_GAP_RAD = math.radians(75)
_ORBIT_BLUR_RAD = math.radians(20)


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Keyframes and how to film them.

    times_s: (K,) strictly increasing. cam_from_world: K poses. camera: a pinhole. fps: frames per second.

    Raises ValueError when these do not make a path, or make one of more than `MAX_FRAMES` frames.
    """

    times_s: Array
    cam_from_world: tuple[Pose, ...]
    camera: Camera
    fps: float

    def __post_init__(self) -> None:
        times = self.times_s
        if times.ndim != 1 or len(times) < 1 or len(times) != len(self.cam_from_world):
            raise ValueError("a path needs at least one keyframe and as many times as poses")
        if not (np.abs(times) <= MAX_ABS_COORDINATE).all() or not (np.diff(times) > 0).all():
            raise ValueError("keyframe times must be finite and increase")
        if not MIN_FPS <= self.fps <= MAX_FPS:
            raise ValueError(f"{self.fps:g} frames per second are not between {MIN_FPS} and {MAX_FPS}")
        if (times[-1] - times[0]) * self.fps >= MAX_FRAMES:
            raise ValueError(f"the path has more than {MAX_FRAMES} frames")
        if not self.camera.is_pinhole or max(self.camera.width_px, self.camera.height_px) > MAX_SIDE_PX:
            raise ValueError(f"a path's camera is a pinhole of at most {MAX_SIDE_PX} px a side")
        for pose in self.cam_from_world:
            numbers = np.concatenate([pose.rotation.ravel(), pose.translation])
            if not np.isfinite(numbers).all() or np.abs(numbers).max() > MAX_ABS_COORDINATE:
                raise ValueError("keyframe poses must be finite")

    def __len__(self) -> int:
        """Count of frames."""
        return math.floor(float(self.times_s[-1] - self.times_s[0]) * self.fps + 1e-6) + 1

    def frames(self) -> list[Pose]:
        """The `cam_from_world` of every frame, the first at the first keyframe's time.

        Camera centres and quaternions follow a Catmull-Rom spline over time (cubic, through the keyframes, continuous
        velocity); quaternions are brought to one hemisphere before and to unit length after.
        """
        if len(self.times_s) == 1:
            return [self.cam_from_world[0]]
        at = np.minimum(self.times_s[0] + np.arange(len(self)) / self.fps, self.times_s[-1])
        centres, quats = _centres_and_quats(self.cam_from_world)
        values = _catmull_rom(self.times_s, np.concatenate([centres, quats], 1), at)
        return _poses(values[:, :3], values[:, 3:])


def read_path(path: str | Path) -> CameraPath:
    """A camera path from its JSON file. Raises InputError when it is none."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path} is larger than a camera path can be ({MAX_FILE_BYTES >> 20} MiB).")
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f'no "format": "{FORMAT}"')
        if data["version"] != VERSION:
            raise InputError(f"{path} is a camera path of version {data['version']}; this Diorama reads {VERSION}.")
        keys: list[dict[str, Any]] = data["keyframes"]
        if not 1 <= len(keys) <= MAX_FRAMES:
            raise ValueError(f"{len(keys)} keyframes; there may be 1 to {MAX_FRAMES}")
        c = data["camera"]
        numbers = [float(c[name]) for name in ("fx", "fy", "cx", "cy")]
        camera = Camera.pinhole(_whole(c["width_px"]), _whole(c["height_px"]), *numbers)
        poses = tuple(
            Pose.from_quaternion(_floats(k["quaternion_wxyz"], 4), _floats(k["translation"], 3)) for k in keys
        )
        return CameraPath(np.array([float(k["time_s"]) for k in keys]), poses, camera, float(data["fps"]))
    except FileNotFoundError as error:
        raise InputError(f"The camera path {path} does not exist; give orbit, capture or a JSON file.") from error
    except KeyError as error:
        raise InputError(f"{path} is not a camera path: {error} is missing.") from error
    except (OSError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} is not a camera path: {error}.") from error


def write_path(camera_path: CameraPath, path: str | Path) -> None:
    """Write the JSON that `read_path` reads."""
    path = Path(path)
    camera = camera_path.camera
    numbers = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
    data = {
        "format": FORMAT,
        "version": VERSION,
        "fps": camera_path.fps,
        "camera": {"width_px": camera.width_px, "height_px": camera.height_px, **numbers},
        "keyframes": [
            {"time_s": float(t), "quaternion_wxyz": p.quaternion.tolist(), "translation": p.translation.tolist()}
            for t, p in zip(camera_path.times_s, camera_path.cam_from_world, strict=True)
        ],
    }
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(data, indent=1))
    partial.replace(path)


def path_camera(scene: PosedScene, max_size_px: int = 960) -> Camera:
    """A pinhole to film with: the lens most frames were taken with, centred, of even size.

    Raises InputError when no camera is known or nobody could film at that size.
    """
    if not MIN_SIDE_PX <= max_size_px <= MAX_SIDE_PX:
        raise InputError(f"A film of {max_size_px} px cannot be made; give {MIN_SIDE_PX} to {MAX_SIDE_PX}.")
    counts = Counter(f.camera_id for f in scene.registered)
    if not counts:
        raise InputError("No camera of this scene is known; estimate the poses first.")
    lens = scene.cameras[counts.most_common(1)[0][0]]
    factor = min(1.0, max_size_px / max(lens.width_px, lens.height_px))
    width, height = (max(2, 2 * round(side * factor / 2)) for side in (lens.width_px, lens.height_px))
    return Camera.pinhole(width, height, lens.fx * factor, lens.fy * factor, width / 2, height / 2)


def capture_path(
    scene: PosedScene, *, camera: Camera | None = None, seconds: float | None = None, fps: float = 30.0
) -> CameraPath:
    """A smooth flight along the cameras of the capture, in the order they were taken, at a constant pace.

    Shake is smoothed away. The pace counts moving and turning together: a turn on the spot takes its time too.
    seconds: how long it takes; by default it depends on how far the way is compared with the distance to the subject.
    Raises InputError when fewer than two cameras are known or nobody could watch the film.
    """
    _check_film(seconds, fps)
    frames = sorted(scene.registered, key=_taken)
    if len(frames) < 2:
        raise InputError("A path along the capture needs at least two known cameras; add footage or use a path file.")
    centres, quats = _centres_and_quats([scene.cam_from_world[f.name] for f in frames])
    distance = _subject_distance(scene)
    way = _way(centres, quats, distance)
    fresh = np.concatenate([[True], np.diff(way) > 1e-4 * max(way[-1], 1e-12)])
    centres, quats, way = centres[fresh], quats[fresh], way[fresh]
    if len(way) < 2:
        return CameraPath(np.zeros(1), tuple(_poses(centres, quats)), camera or path_camera(scene), fps)
    dense = _catmull_rom(way, np.concatenate([centres, quats], 1), np.linspace(0, way[-1], _DENSE))
    dense = _smoothed(dense, share=float(np.clip(0.7 / (len(way) - 1), 0.02, 0.08)))
    total = _way(dense[:, :3], dense[:, 3:], distance)[-1]
    seconds = seconds or float(np.clip(total / (0.4 * distance), 6, 40))
    poses = _at_constant_pace(dense[:, :3], dense[:, 3:], distance, max(2, round(seconds * fps)))
    return CameraPath(np.arange(len(poses)) / fps, tuple(poses), camera or path_camera(scene), fps)


def orbit_path(
    scene: PosedScene, *, camera: Camera | None = None, seconds: float | None = None, fps: float = 30.0
) -> CameraPath:
    """A level orbit about what the cameras look at, as far away and as high as the cameras were on each side.

    Where the cameras left more than 75 degrees of the round open, the orbit swings to and fro over the part they saw.
    A capture that looks outwards has nothing to orbit; it gets `capture_path`.
    Raises InputError when fewer than two cameras are known or nobody could watch the film.
    """
    _check_film(seconds, fps)
    if len(scene.registered) < 2:
        raise InputError("An orbit needs at least two known cameras; add footage or use a path file.")
    focus = _focus(scene)
    if focus is None:
        return capture_path(scene, camera=camera, seconds=seconds, fps=fps)
    offset = _centres(scene) - focus
    azimuth = np.arctan2(offset[:, 1], offset[:, 0])
    angles, is_round = _covered_angles(azimuth)
    radius = _by_azimuth(angles, azimuth, np.hypot(offset[:, 0], offset[:, 1]))
    height = _by_azimuth(angles, azimuth, offset[:, 2])
    radius = np.maximum(radius, 0.15 * np.abs(height))
    eyes = focus + np.stack([radius * np.cos(angles), radius * np.sin(angles), height], 1)
    seconds = seconds or max(6.0, 12.0 * float(np.ptp(angles)) / (2 * math.pi) * (1 if is_round else 2))
    count = max(2, round(seconds * fps))
    if is_round:
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(eyes, axis=0), axis=1))])
        along = np.arange(count) / count * length[-1]
        places = np.stack([np.interp(along, length, eyes[:, i]) for i in range(3)], 1)
    else:
        swing = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(count) / count)
        places = np.stack([np.interp(swing * (len(eyes) - 1), np.arange(len(eyes)), eyes[:, i]) for i in range(3)], 1)
    poses = tuple(look_at(place, focus) for place in places)
    return CameraPath(np.arange(count) / fps, poses, camera or path_camera(scene), fps)


def look_at(eye: npt.ArrayLike, target: npt.ArrayLike, roll_rad: float = 0.0) -> Pose:
    """The `cam_from_world` of a camera at `eye` (3,) that looks at `target` (3,), upright but for a roll.

    Raises ValueError when the two coincide or lie above one another, where upright means nothing.
    """
    start = np.asarray(eye, dtype=np.float64)
    forward = np.asarray(target, dtype=np.float64) - start
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(forward):
        raise ValueError("a camera that looks straight up or down has no upright")
    forward = forward / np.linalg.norm(forward)
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = math.cos(roll_rad), math.sin(roll_rad)
    rotation = np.stack([c * right + s * down, c * down - s * right, forward])
    return Pose(rotation, -rotation @ start)


def _check_film(seconds: float | None, fps: float) -> None:
    if not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"{fps:g} frames per second cannot be filmed; give {MIN_FPS} to {MAX_FPS}.")
    if seconds is not None and not 0 < seconds * fps < MAX_FRAMES:
        raise InputError(f"A film of {seconds:g} s cannot be made; give more than 0 s and at most {MAX_FRAMES} frames.")


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIDE_PX:
        raise ValueError(f"a size of {value!r} is not a whole number from 1 to {MAX_SIDE_PX}")
    return value


def _floats(values: Any, count: int) -> Array:
    array = np.array([float(v) for v in values])
    if array.shape != (count,) or not (np.abs(array) <= MAX_ABS_COORDINATE).all():
        raise ValueError(f"{values!r:.60} are not {count} numbers")
    return array


def _taken(frame: Frame) -> tuple[float, str, list[tuple[int, int | str]]]:
    """Sorts by time in the video, else by the photo's time, else by name with numbers as numbers."""
    parts = [(0, int(p)) if p.isdigit() else (1, p) for p in re.split(r"(\d+)", frame.name) if p]
    return frame.time_s if frame.time_s is not None else 0.0, frame.exif.taken_at or "", parts


def _centres(scene: PosedScene) -> Array:
    return np.array([scene.cam_from_world[f.name].origin_in_source for f in scene.registered])


def _centres_and_quats(poses: Sequence[Pose]) -> tuple[Array, Array]:
    """Centres (K, 3) and quaternions (K, 4) with each on the same side as the one before."""
    centres = np.array([p.origin_in_source for p in poses])
    quats = np.array([p.quaternion for p in poses])
    turns = np.sign((quats[1:] * quats[:-1]).sum(1))
    quats[1:] *= np.cumprod(np.where(turns < 0, -1.0, 1.0))[:, None]
    return centres, quats


def _poses(centres: Array, quats: Array) -> list[Pose]:
    poses = []
    for centre, quat in zip(centres, quats, strict=True):
        rotation = Pose.from_quaternion(quat, np.zeros(3)).rotation
        poses.append(Pose(rotation, -rotation @ centre))
    return poses


def _catmull_rom(at_keys: Array, keys: Array, at: Array) -> Array:
    """The cubic spline through `keys` (K, D) at uneven places `at_keys`, evaluated at `at`; tangents are parabolic."""
    if len(keys) == 2:
        share = ((at - at_keys[0]) / (at_keys[1] - at_keys[0]))[:, None]
        straight: Array = keys[0] + share * (keys[1] - keys[0])
        return straight
    step = np.diff(at_keys)[:, None]
    slope = np.diff(keys, axis=0) / step
    inner = (slope[:-1] * step[1:] + slope[1:] * step[:-1]) / (step[1:] + step[:-1])
    tangent = np.concatenate([2 * slope[:1] - inner[:1], inner, 2 * slope[-1:] - inner[-1:]])
    i = np.clip(np.searchsorted(at_keys, at, side="right") - 1, 0, len(step) - 1)
    h = step[i]
    s = (at - at_keys[i])[:, None] / h
    curve: Array = (
        (1 + 2 * s) * (1 - s) ** 2 * keys[i]
        + s * (1 - s) ** 2 * h * tangent[i]
        + s * s * (3 - 2 * s) * keys[i + 1]
        + s * s * (s - 1) * h * tangent[i + 1]
    )
    return curve


def _way(centres: Array, quats: Array, distance: float) -> Array:
    """How far one has come at each sample: metres moved, and angle turned times half the distance to the subject."""
    moved = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    turned = 2 * np.arcsin(np.clip(np.linalg.norm(np.diff(unit, axis=0), axis=1) / 2, 0, 1)) * 2
    return np.concatenate([[0.0], np.cumsum(np.hypot(moved, 0.5 * distance * turned))])


def _smoothed(samples: Array, share: float) -> Array:
    """A Gaussian of `share` of the samples along the way; the ends stay where they are."""
    from scipy.ndimage import gaussian_filter1d

    # Mirroring about the end point (not the end value) keeps the ends fixed and the speed there.
    reach = min(len(samples) - 1, int(4 * share * len(samples)))
    before = 2 * samples[0] - samples[reach:0:-1]
    after = 2 * samples[-1] - samples[-2 : -reach - 2 : -1]
    extended = np.concatenate([before, samples, after])
    smooth: Array = gaussian_filter1d(extended, share * len(samples), axis=0, mode="nearest")
    return smooth[reach : reach + len(samples)]


def _at_constant_pace(centres: Array, quats: Array, distance: float, count: int) -> list[Pose]:
    way = _way(centres, quats, distance)
    at = np.linspace(0, way[-1], count)
    columns = np.concatenate([centres, quats], 1).T
    values = np.stack([np.interp(at, way, column) for column in columns], 1)
    return _poses(values[:, :3], values[:, 3:])


def _subject_distance(scene: PosedScene) -> float:
    """A typical distance from the cameras to what they see, in world units; positive."""
    centres = _centres(scene)
    subject = np.median(scene.points.xyz, axis=0) if len(scene.points) else _focus(scene)
    if subject is None:
        subject = centres.mean(0)
    distance = float(np.median(np.linalg.norm(centres - subject, axis=1)))
    return max(distance, 1e-3 * float(np.ptp(centres, axis=0).max()), 1e-6)


def _focus(scene: PosedScene) -> Array | None:
    """The point nearest to all optical axes, in front of the cameras; None when they look outwards.

    A slight pull towards the scene's points decides where the axes are nearly parallel.
    """
    poses = [scene.cam_from_world[f.name] for f in scene.registered]
    centres = np.array([p.origin_in_source for p in poses])
    forward = np.array([p.rotation[2] for p in poses])
    spread = float(np.linalg.norm(np.ptp(centres, axis=0)))
    guess = np.median(scene.points.xyz, axis=0) if len(scene.points) else (centres + spread * forward).mean(0)
    off_axis = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    pull = 0.02 * len(poses)
    left = off_axis.sum(0) + pull * np.eye(3)
    right = (off_axis @ centres[:, :, None]).sum(0)[:, 0] + pull * guess
    focus: Array = np.linalg.solve(left, right)
    towards = focus - centres
    distance = np.linalg.norm(towards, axis=1)
    aimed = (towards * forward).sum(1) > 0.5 * distance
    return focus if aimed.mean() > 0.6 else None


def _covered_angles(azimuth: Array) -> tuple[Array, bool]:
    """Dense angles to orbit over, ascending, and whether they are a full round."""
    order = np.sort(np.mod(azimuth, 2 * math.pi))
    gaps = np.diff(np.concatenate([order, order[:1] + 2 * math.pi]))
    widest = int(gaps.argmax())
    start = order[(widest + 1) % len(order)]
    if gaps[widest] < _ORBIT_GAP_RAD:
        return start + np.linspace(0, 2 * math.pi, _DENSE), True
    return start + np.linspace(0, 2 * math.pi - gaps[widest], _DENSE), False


def _by_azimuth(angles: Array, azimuth: Array, values: Array) -> Array:
    """The cameras' values near each angle, averaged with a Gaussian over the angle."""
    away = np.angle(np.exp(1j * (angles[:, None] - azimuth[None])))
    weight = np.exp(-0.5 * (away / _ORBIT_BLUR_RAD) ** 2) + 1e-9
    average: Array = (weight * values).sum(1) / weight.sum(1)
    return average
