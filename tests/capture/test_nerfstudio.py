"""transforms.json: the axes, every way intrinsics are given, and files that lie."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture import Camera, InputError, Pose, Sim3
from diorama.capture.nerfstudio import read_transforms, write_transforms

POSE = np.eye(4)


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """`dataset(frames, **top)`: a transforms.json with two small pictures beside it."""
    from PIL import Image

    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48), (90, 120, 30)).save(tmp_path / "images" / name)

    def make(frames: list[dict[str, Any]] | Any = None, **top: Any) -> Path:
        if frames is None:
            frames = [{"file_path": f"images/{n}.png", "transform_matrix": POSE.tolist()} for n in "ab"]
        path = tmp_path / "transforms.json"
        path.write_text(json.dumps({"fl_x": 50.0, "w": 64, "h": 48, "frames": frames} | top))
        return path

    return make


def test_axes_are_flipped_once(dataset: Callable[..., Path]) -> None:
    """A camera at (1, 2, 3) with OpenGL axes along the world's looks along -z: what lies there is in front of it."""
    matrix = np.eye(4)
    matrix[:3, 3] = [1, 2, 3]
    path = dataset([{"file_path": "images/a.png", "transform_matrix": matrix.tolist()}])
    pose = read_transforms(path).frames[0].cam_from_world
    np.testing.assert_allclose(pose.origin_in_source, [1, 2, 3])
    np.testing.assert_allclose(pose.apply([1, 2, -2]), [0, 0, 5])  # five ahead
    np.testing.assert_allclose(pose.apply([1, 3, 3]), [0, -1, 0])  # the world's +y is up in the picture


def camera_of(path: Path) -> Camera:
    return read_transforms(path).frames[0].intrinsics.camera(64, 48)


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ({}, Camera("PINHOLE", 64, 48, (50.0, 50.0, 32.0, 24.0))),
        ({"fl_y": 52, "cx": 30, "cy": 20}, Camera("PINHOLE", 64, 48, (50.0, 52.0, 30.0, 20.0))),
        ({"camera_model": "EQUIRECTANGULAR"}, Camera.equirectangular(64, 48)),
        ({"camera_model": "SIMPLE_PINHOLE"}, Camera("SIMPLE_PINHOLE", 64, 48, (50.0, 32.0, 24.0))),
        ({"k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4}, Camera("OPENCV", 64, 48, (50, 50, 32, 24, 0.1, 0.2, 0.3, 0.4))),
        ({"camera_model": "SIMPLE_RADIAL", "k1": 0.1}, Camera("SIMPLE_RADIAL", 64, 48, (50, 32, 24, 0.1))),
        (
            {"camera_model": "SIMPLE_RADIAL", "k1": 0.1, "p1": 0.2},
            Camera("OPENCV", 64, 48, (50, 50, 32, 24, 0.1, 0, 0.2, 0)),
        ),
        ({"k1": 0.1, "k3": 0.2}, Camera("FULL_OPENCV", 64, 48, (50, 50, 32, 24, 0.1, 0, 0, 0, 0.2, 0, 0, 0))),
        (
            {"camera_model": "OPENCV_FISHEYE", "k4": 0.4},
            Camera("OPENCV_FISHEYE", 64, 48, (50, 50, 32, 24, 0, 0, 0, 0.4)),
        ),
        ({"camera_model": "FISHEYE"}, Camera("OPENCV_FISHEYE", 64, 48, (50, 50, 32, 24, 0, 0, 0, 0))),
        ({"fl_x": None, "camera_angle_x": 2 * math.atan(0.5)}, Camera("PINHOLE", 64, 48, (64, 64, 32, 24))),
        ({"fl_x": None, "camera_angle_y": 2 * math.atan(0.5)}, Camera("PINHOLE", 64, 48, (48, 48, 32, 24))),
        ({"w": None, "h": None}, Camera("PINHOLE", 64, 48, (50.0, 50.0, 32.0, 24.0))),
    ],
)
def test_intrinsics(dataset: Callable[..., Path], top: dict[str, Any], expected: Camera) -> None:
    camera = camera_of(dataset(None, **top))
    assert (camera.model, camera.width_px, camera.height_px) == (expected.model, expected.width_px, expected.height_px)
    # tan(atan(x)) rounds in the last place.
    np.testing.assert_allclose(camera.params, expected.params, rtol=1e-12)


def test_a_frames_own_intrinsics_win(dataset: Callable[..., Path]) -> None:
    frames = [{"file_path": "images/a.png", "transform_matrix": POSE.tolist(), "fl_x": 70.0, "k1": 0.5}]
    assert camera_of(dataset(frames)).params[:2] == (70.0, 70.0)


def test_file_paths_without_extension_as_in_blender_sets(dataset: Callable[..., Path]) -> None:
    path = dataset([{"file_path": "./images/a", "transform_matrix": POSE.tolist()}])
    assert read_transforms(path).frames[0].name == "images/a.png"


def test_missing_pictures_are_listed(dataset: Callable[..., Path]) -> None:
    frames = [{"file_path": f"images/{n}.png", "transform_matrix": POSE.tolist()} for n in "axb"]
    read = read_transforms(dataset(frames))
    assert [f.name for f in read.frames] == ["images/a.png", "images/b.png"] and read.missing == ("images/x.png",)


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/hostname", "images/../../a", "images\\..\\..\\a", "\0", "", "link.png"]
)
def test_no_path_leaves_the_folder(dataset: Callable[..., Path], name: str, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("/etc/hostname")
    path = dataset([{"file_path": name, "transform_matrix": POSE.tolist()}])
    if name == "":
        assert read_transforms(path).missing == ("",)
        return
    with pytest.raises(InputError, match=r"outside|cannot exist"):
        read_transforms(path)
    with pytest.raises(InputError, match=r"outside|cannot exist"):
        read_transforms(dataset(None, ply_file_path=name))


@pytest.mark.parametrize(
    "matrix",
    [
        None,
        "x",
        [],
        [[1, 0, 0, 0]] * 2,
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1]],
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0]],
        [[0, 0, 0, 0]] * 3,
        [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]],
        [[1, 0, 0, "1"], [0, 1, 0, 0], [0, 0, 1, 0]],
        [[1, 0, 0, True], [0, 1, 0, 0], [0, 0, 1, 0]],
        [[1, 0, 0, 1e300], [0, 1, 0, 0], [0, 0, 1, 0]],
    ],
)
def test_matrices_that_are_no_poses_are_refused(dataset: Callable[..., Path], matrix: Any) -> None:
    with pytest.raises(InputError, match="transform_matrix"):
        read_transforms(dataset([{"file_path": "images/a.png", "transform_matrix": matrix}]))


def test_a_scale_left_in_the_rotation_is_taken_out(dataset: Callable[..., Path]) -> None:
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    pose = read_transforms(dataset([{"file_path": "images/a.png", "transform_matrix": matrix.tolist()}])).frames[0]
    np.testing.assert_allclose(pose.cam_from_world.rotation, np.diag([1, -1, -1]), atol=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"frames": 3}',
        '{"frames": [3]}',
        '{"frames": [{}]}',
        '{"a": NaN, "frames": []}',
        '{"frames": [], "applied_scale": -1}',
        '{"frames": [], "a": ' + "[" * 100_000,
        '{"frames": [{"file_path": 3}]}',
        "\xff",
        '{"fl_x": ' + "9" * 5000 + "}",
    ],
)
def test_files_that_are_no_transforms_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "transforms.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError):
        read_transforms(tmp_path / "transforms.json")


@pytest.mark.parametrize(
    "top", [{"fl_x": 1e400}, {"fl_x": -5}, {"fl_x": "50"}, {"camera_model": "VR180"}, {"w": 1e12}, {"cx": "x"}]
)
def test_impossible_intrinsics_are_refused(dataset: Callable[..., Path], top: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        camera_of(dataset(None, **top))


def test_round_trip(dataset: Callable[..., Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    poses = {n: Pose.from_quaternion(rng.normal(size=4), rng.normal(size=3)) for n in "ab"}
    cameras = {
        "a": Camera("FULL_OPENCV", 64, 48, (50.0, 51.0, 30.0, 20.0, 0.1, 0.2, 0.01, 0.02, 0.3, 0.0, 0.0, 0.0)),
        "b": Camera("RADIAL_FISHEYE", 64, 48, (50.0, 30.0, 20.0, 0.1, 0.2)),
    }
    dataset()
    applied = Sim3(2.0, Pose.from_quaternion([1, 2, 3, 4], [0, 0, 0]).rotation, np.array([1.0, 2.0, 3.0]))
    files = {n: f"images/{n}.png" for n in "ab"}
    write_transforms(tmp_path / "transforms.json", cameras, poses, files, world_from_original=applied)
    read = read_transforms(tmp_path / "transforms.json")
    for frame, name in zip(read.frames, "ab", strict=True):
        # The pose is inverted twice.
        np.testing.assert_allclose(frame.cam_from_world.matrix(), poses[name].matrix(), atol=1e-14)
        assert frame.intrinsics.camera(64, 48) == cameras[name]
    assert read.world_from_original is not None
    np.testing.assert_allclose(read.world_from_original.matrix(), applied.matrix(), atol=1e-14)


def test_a_real_blender_file(footage: Path) -> None:
    read = read_transforms(footage / "imports" / "brush_blender_mini" / "transforms.json")
    assert read.frames[0].name == "train/r_0.png"
    pose = read.frames[0].cam_from_world
    np.testing.assert_allclose(pose.origin_in_source, [-0.0537982, 3.8454705, 1.2080823], atol=1e-6)
    # The set's cameras look at the origin: it projects into the middle of the picture, in front.
    np.testing.assert_allclose(
        read.frames[0].intrinsics.camera(50, 50).project(pose.apply([0, 0, 0])), [25, 25], atol=0.1
    )
