"""Camera paths: exact where the curve is known, smooth and where the cameras were otherwise; hostile files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose, rotation_from_quaternion
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.render.paths import CameraPath, capture_path, look_at, orbit_path, path_camera, read_path, write_path

CAMERA = Camera.pinhole(64, 48, 50.0, 50.0, 32.0, 24.0)


def scene_of(poses: Sequence[Pose], names: Sequence[str] | None = None, *, times: bool = True) -> PosedScene:
    names = names or [f"f{i}.jpg" for i in range(len(poses))]
    frames = tuple(Frame(n, 1, time_s=i / 10 if times else None) for i, n in enumerate(names))
    capture = Capture(Path(), Path(), "video", {1: CAMERA}, {1: True}, frames)
    summary = PoseSummary("test", None, 1)
    return PosedScene(capture, {1: CAMERA}, dict(zip(names, poses, strict=True)), SparsePoints.empty(), summary)


def ring(count: int, start: float = 0.0, end: float = 2 * math.pi, seed: int | None = None) -> list[Pose]:
    """Cameras about the point (0, 0, 1), 3 m away and 1.5 m high, looking at it; shaken with a seed."""
    rng = np.random.default_rng(seed)
    shake = 0.0 if seed is None else 0.05
    poses = []
    for angle in np.linspace(start, end, count, endpoint=end - start < 6):
        eye = np.array([3 * math.cos(angle), 3 * math.sin(angle), 1.5]) + shake * rng.normal(size=3)
        poses.append(look_at(eye, np.array([0, 0, 1.0]) + shake * rng.normal(size=3), 0.5 * shake * rng.normal()))
    return poses


def centres(poses: Sequence[Pose]) -> np.ndarray:
    return np.array([p.origin_in_source for p in poses])


def steps(poses: Sequence[Pose]) -> np.ndarray:
    return np.linalg.norm(np.diff(centres(poses), axis=0), axis=1)


def turns(poses: Sequence[Pose]) -> np.ndarray:
    return np.array([
        math.acos(np.clip((np.trace(a.rotation @ b.rotation.T) - 1) / 2, -1, 1))
        for a, b in pairwise(poses)
    ])  # fmt: skip


def test_look_at_by_hand() -> None:
    """From (0, -2, 0) towards the origin: forward is +y, right +x, down -z."""
    pose = look_at([0, -2, 0], [0, 0, 0])
    assert np.allclose(pose.rotation, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert np.allclose(pose.apply([0, 0, 0]), [0, 0, 2])
    with pytest.raises(ValueError, match="straight"):
        look_at([0, 0, 2], [0, 0, 0])


def test_frames_pass_through_keyframes_and_straight_lines_stay_straight() -> None:
    times = np.array([0.0, 0.5, 2.0, 3.0])
    rotation = rotation_from_quaternion([0.9, 0.1, -0.3, 0.2])
    line = [Pose(rotation, -rotation @ np.array([t, 2 * t, -t])) for t in times]
    path = CameraPath(times, tuple(line), CAMERA, 10)
    assert len(path) == 31 == len(path.frames())
    at = np.arange(31) / 10
    assert np.allclose(centres(path.frames()), np.stack([at, 2 * at, -at], 1), atol=1e-12)
    bent = CameraPath(times, tuple(ring(4, end=2.0)), CAMERA, 10)
    for time, pose in zip(times, bent.cam_from_world, strict=True):
        assert np.allclose(bent.frames()[round(time * 10)].matrix(), pose.matrix(), atol=1e-9)


def test_quaternions_of_either_sign_do_not_flip() -> None:
    """A camera that turns all the way round crosses w = 0, where the stored quaternion changes its sign."""
    poses = [
        Pose.from_quaternion([math.cos(a / 2), 0, 0, math.sin(a / 2)], np.zeros(3)) for a in np.linspace(0, 6.2, 32)
    ]
    path = CameraPath(np.arange(32.0), tuple(poses), CAMERA, 10)
    # 0.2 rad a key, 10 frames a key; the spline's own wobble is far under 10 %.
    assert np.allclose(turns(path.frames()), 0.02, rtol=0.1)


def test_the_ends_and_one_keyframe() -> None:
    single = CameraPath(np.zeros(1), (Pose.identity(),), CAMERA, 30)
    assert len(single) == len(single.frames()) == 1
    two = CameraPath(np.array([1.0, 1.95]), tuple(ring(2, end=0.1)), CAMERA, 10)
    assert len(two) == len(two.frames()) == 10


def test_an_orbit_is_round_level_and_of_constant_speed() -> None:
    path = orbit_path(scene_of(ring(24)))
    poses = path.frames()
    at = centres(poses)
    assert np.allclose(np.hypot(at[:, 0], at[:, 1]), 3, atol=1e-3) and np.allclose(at[:, 2], 1.5, atol=1e-3)
    step = steps(poses)
    assert np.ptp(step) < 1e-3 * step.mean()
    # The last frame is one step before the first: it loops.
    assert np.linalg.norm(at[0] - at[-1]) == pytest.approx(step.mean(), rel=1e-3)
    for pose in poses:
        assert abs(pose.rotation[0, 2]) < 1e-12 and pose.rotation[1, 2] < 0  # right is level, down is down
        assert np.allclose(pose.apply([0, 0, 1])[:2], 0, atol=0.02)


def test_an_orbit_stays_where_the_cameras_were() -> None:
    """Cameras on 120 degrees alone, shaken: the orbit swings over those and comes back."""
    given = ring(20, 0.3, 0.3 + 2.1, seed=4)
    poses = orbit_path(scene_of(given)).frames()
    at = centres(poses)
    angle = np.arctan2(at[:, 1], at[:, 0])
    assert angle.min() > 0.2 and angle.max() < 2.5 and np.ptp(angle) > 1.8
    away = np.linalg.norm(at[:, None] - centres(given)[None], axis=2).min(1)
    assert away.max() < 0.35
    speed = steps(poses)
    assert np.abs(np.diff(speed)).max() < 0.05 * speed.max()
    assert np.linalg.norm(at[0] - at[-1]) < 2 * speed.max()


def test_looking_outwards_there_is_no_orbit() -> None:
    """From a small circle in a room towards its walls: the path goes along the cameras instead."""
    poses = [
        look_at([0.4 * math.cos(a), 0.4 * math.sin(a), 1.5], [4 * math.cos(a), 4 * math.sin(a), 1.5])
        for a in np.linspace(0, 5.5, 30)
    ]
    path = orbit_path(scene_of(poses)).frames()
    assert np.hypot(*centres(path)[:, :2].T).max() < 0.5
    forward = np.array([p.rotation[2] for p in path])
    assert ((forward * centres(path)).sum(1) > 0).all()


def test_a_flight_along_the_capture_is_smooth_and_near_it() -> None:
    given = ring(60, 0, 5.0, seed=2)
    path = capture_path(scene_of(given))
    poses = path.frames()
    at = centres(poses)
    assert np.linalg.norm(at[0] - given[0].origin_in_source) < 0.2
    assert np.linalg.norm(at[-1] - given[-1].origin_in_source) < 0.2
    assert np.linalg.norm(at[:, None] - centres(given)[None], axis=2).min(1).max() < 0.3
    # Moving and turning together keep an even pace: here the turn is 1/3 rad a metre of way and counts half of 3 m.
    pace = np.hypot(steps(poses), 0.5 * 3 * turns(poses))
    assert np.ptp(pace) < 0.08 * pace.mean()
    # No jerks: the shake of 5 cm a key would be an acceleration of several steps a frame.
    assert np.linalg.norm(np.diff(at, 2, axis=0), axis=1).max() < 0.25 * steps(poses).mean()
    assert turns(poses).max() < 3 * turns(poses).mean()


def test_the_order_is_that_of_time_else_of_numbers_in_names() -> None:
    given = ring(12, 0, 4.0)
    names = [f"IMG_{i}.jpg" for i in range(1, 13)]
    shuffled = [3, 0, 11, 7, 1, 2, 9, 4, 10, 5, 8, 6]
    scene = scene_of([given[i] for i in shuffled], [names[i] for i in shuffled], times=False)
    at = centres(capture_path(scene).frames())
    angle = np.unwrap(np.arctan2(at[:, 1], at[:, 0]))
    assert (np.diff(angle) > -1e-3).all() and np.ptp(angle) > 3.5


def test_cameras_on_one_spot_and_too_few_of_them() -> None:
    same = scene_of([look_at([1, 2, 3], [0, 0, 0])] * 5)
    assert len(capture_path(same).frames()) == 1
    turning = scene_of([look_at([0, 0, 1], [math.cos(a), math.sin(a), 1]) for a in np.linspace(0, 3, 10)])
    poses = capture_path(turning).frames()
    assert len(poses) > 100 and np.allclose(centres(poses), [0, 0, 1], atol=1e-9)
    assert np.ptp(turns(poses)[5:-5]) < 0.1 * turns(poses).mean()
    for make in (capture_path, orbit_path):
        with pytest.raises(InputError, match="two known cameras"):
            make(scene_of(ring(1)))
        for wrong in ({"fps": 0.0}, {"fps": math.nan}, {"seconds": 0.0}, {"seconds": 1e9}, {"seconds": math.nan}):
            with pytest.raises(InputError, match="film"):
                make(scene_of(ring(4)), **wrong)
        assert len(make(scene_of(ring(8)), seconds=1.5, fps=20).frames()) == 30
    with pytest.raises(InputError, match="No camera"):
        path_camera(scene_of([]))


def test_the_film_camera_is_even_and_keeps_its_angle() -> None:
    scene = scene_of(ring(3))
    small = path_camera(scene, 33)
    assert (small.width_px % 2, small.height_px % 2) == (0, 0) and max(small.width_px, small.height_px) <= 33
    assert small.width_px / small.fx == pytest.approx(CAMERA.width_px / CAMERA.fx, rel=0.04)
    assert path_camera(scene).width_px == 64  # never up
    for wrong in (-5, 0, 100_000):
        with pytest.raises(InputError, match="film"):
            path_camera(scene, wrong)


def test_writing_and_reading_back(tmp_path: Path) -> None:
    path = CameraPath(np.array([0.0, 1.5, 2.0]), tuple(ring(3)), CAMERA, 24)
    write_path(path, tmp_path / "path.json")
    read = read_path(tmp_path / "path.json")
    assert read.camera == CAMERA and read.fps == 24 and np.array_equal(read.times_s, path.times_s)
    for a, b in zip(read.cam_from_world, path.cam_from_world, strict=True):
        assert np.allclose(a.matrix(), b.matrix(), atol=1e-12)
    assert [p.name for p in tmp_path.iterdir()] == ["path.json"]


KEY = {"time_s": 0, "quaternion_wxyz": [1, 0, 0, 0], "translation": [0, 0, 0]}
GOOD: dict[str, Any] = {
    "format": "diorama-camera-path",
    "version": 1,
    "fps": 30,
    "camera": {"width_px": 64, "height_px": 48, "fx": 50, "fy": 50, "cx": 32, "cy": 24},
    "keyframes": [KEY, {**KEY, "time_s": 1}],
}
HOSTILE: dict[str, Any] = {
    "not json": b"\xff\xfe{",
    "deep": b"[" * 200_000,
    "another format": {**GOOD, "format": "x"},
    "a later version": {**GOOD, "version": 2},
    "a list": [GOOD],
    "no keyframes": {**GOOD, "keyframes": []},
    "keyframes of another kind": {**GOOD, "keyframes": 7},
    "times that stand still": {**GOOD, "keyframes": [KEY, KEY]},
    "a day": {**GOOD, "keyframes": [KEY, {**KEY, "time_s": 86400}]},
    "an endless time": {**GOOD, "keyframes": [KEY, {**KEY, "time_s": 1e308}]},
    "no number": {**GOOD, "keyframes": [{**KEY, "time_s": float("nan")}]},
    "a zero quaternion": {**GOOD, "keyframes": [{**KEY, "quaternion_wxyz": [0, 0, 0, 0]}]},
    "three of four": {**GOOD, "keyframes": [{**KEY, "quaternion_wxyz": [1, 0, 0]}]},
    "far away": {**GOOD, "keyframes": [{**KEY, "translation": [1e300, 0, 0]}]},
    "infinitely far": {**GOOD, "keyframes": [{**KEY, "translation": [float("inf"), 0, 0]}]},
    "fps": {**GOOD, "fps": 1e9},
    "a huge picture": {**GOOD, "camera": {**GOOD["camera"], "width_px": 10**9}},
    "half a pixel": {**GOOD, "camera": {**GOOD["camera"], "width_px": 64.5}},
    "a flat lens": {**GOOD, "camera": {**GOOD["camera"], "fx": 0}},
    "no camera": {k: v for k, v in GOOD.items() if k != "camera"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_path_gets_a_sentence(tmp_path: Path, name: str) -> None:
    file = tmp_path / "flight.json"
    file.write_text(json.dumps(GOOD))
    assert len(read_path(file)) == 31
    content = HOSTILE[name]
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(InputError, match=r"flight\.json") as caught:
        read_path(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_missing_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_path(tmp_path / "flight.json")
