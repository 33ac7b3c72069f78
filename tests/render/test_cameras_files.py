"""Cameras in glTF and USD: a world point seen by the file's camera lands on the pixel where our camera has it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import rotation_from_quaternion
from diorama.render.formats.cameras import Shot, write_cameras_blender, write_cameras_glb, write_cameras_usd
from diorama.render.formats.gltf import read_gltf
from diorama.render.formats.meshes import Y_UP_FROM_Z_UP
from diorama.render.paths import CameraPath, look_at

Array = npt.NDArray[np.float64]

LENS = Camera.pinhole(400, 300, 420.0, 410.0, 190.0, 160.0)
CENTRED = Camera.pinhole(320, 180, 300.0, 300.0, 160.0, 90.0)
POINTS = np.array([[0.1, 0.2, 0.3], [-0.4, 0.1, 0.5], [0.3, -0.3, 0.0]])


def shots() -> list[Shot]:
    poses = [look_at([3, -2, 1.5], [0, 0, 0.3], 0.2), look_at([-2, -3, 1], [0, 0, 0.2])]
    panorama = Camera.equirectangular(400, 200)
    return [Shot("a/1.jpg", LENS, poses[0]), Shot("a 1.jpg", LENS, poses[1]), Shot("pano", panorama, poses[0])]


def flight() -> CameraPath:
    angles = np.linspace(0, 2.5, 6)
    poses = tuple(look_at([3 * math.sin(a), -3 * math.cos(a), 1 + a / 3], [0, 0, 0.2]) for a in angles)
    return CameraPath(np.arange(6) / 2, poses, CENTRED, 12.0)


def seen(rotation: Array, place: Array, tan_x: float, tan_y: float, axes: Array = Y_UP_FROM_Z_UP) -> Array:
    """Where `POINTS` are in the picture of a camera that looks along its -z, in -1 to 1, x right and y up."""
    local = (POINTS @ axes.T - place) @ rotation
    return np.stack([local[:, 0] / -local[:, 2] / tan_x, local[:, 1] / -local[:, 2] / tan_y], axis=1)


def expected(camera: Camera, pose: object, *, centred: bool) -> Array:
    pixels = camera.project(pose.apply(POINTS))  # type: ignore[attr-defined]
    x0, y0 = (camera.cx, camera.cy) if centred else (camera.width_px / 2, camera.height_px / 2)
    return np.stack([(pixels[:, 0] - x0) / camera.width_px, (y0 - pixels[:, 1]) / camera.height_px], axis=1) * 2


def test_gltf_cameras_see_what_ours_see(tmp_path: Path) -> None:
    write_cameras_glb(shots(), flight(), tmp_path / "c.glb")
    top = read_gltf(tmp_path / "c.glb").top.value
    assert [n["name"] for n in top["nodes"]] == ["a/1.jpg", "a 1.jpg", "pano", "camera_path"]
    assert len(top["cameras"]) == 2 and "camera" not in top["nodes"][2], "one per lens; a panorama has no glTF camera"
    assert top["nodes"][2]["extras"]["lens"]["model"] == "EQUIRECTANGULAR"
    for shot, node in zip(shots()[:2], top["nodes"], strict=False):
        lens = top["cameras"][node["camera"]]["perspective"]
        tan_y = math.tan(lens["yfov"] / 2)
        x, y, z, w = node["rotation"]
        got = seen(
            rotation_from_quaternion([w, x, y, z]), np.array(node["translation"]), tan_y * lens["aspectRatio"], tan_y
        )
        # glTF has no principal point, so ours is compared about its own
        np.testing.assert_allclose(got, expected(LENS, shot.cam_from_world, centred=True), atol=1e-9)


def test_gltf_path_is_animated(tmp_path: Path) -> None:
    path = flight()
    write_cameras_glb([], path, tmp_path / "c.glb")
    source = read_gltf(tmp_path / "c.glb")
    animation = source.top.value["animations"][0]
    values = {c["target"]["path"]: animation["samplers"][c["sampler"]] for c in animation["channels"]}
    times = source.accessor(values["translation"]["input"])[:, 0]
    np.testing.assert_allclose(times, np.arange(len(path)) / 12.0, atol=1e-6)
    turns = source.accessor(values["rotation"]["output"])
    assert ((turns[1:] * turns[:-1]).sum(1) > 0).all(), "neighbours on one hemisphere, or players spin round"
    for i, pose in enumerate(path.frames()):
        x, y, z, w = turns[i].astype(np.float64)
        place = source.accessor(values["translation"]["output"])[i].astype(np.float64)
        got = seen(rotation_from_quaternion([w, x, y, z]), place, 160 / 300, 90 / 300)
        np.testing.assert_allclose(got, expected(CENTRED, pose, centred=True), atol=2e-6)


@pytest.mark.parametrize("suffix", ["usda", "usdz"])
def test_usd_cameras_see_what_ours_see(tmp_path: Path, suffix: str) -> None:
    from pxr import Usd, UsdGeom

    write_cameras_usd(shots(), flight(), tmp_path / f"c.{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == [f"c.{suffix}"]
    stage = Usd.Stage.Open(str(tmp_path / f"c.{suffix}"))
    names = [p.GetName() for p in stage.GetDefaultPrim().GetChildren()]
    assert names == ["a_1_jpg", "a_1_jpg_", "pano", "camera_path"]
    for shot, name in zip(shots()[:2], names, strict=False):
        camera = UsdGeom.Camera(stage.GetPrimAtPath(f"/c/{name}")).GetCamera(0)
        np.testing.assert_allclose(projected(camera), expected(LENS, shot.cam_from_world, centred=False), atol=1e-6)
    assert (
        stage.GetStartTimeCode() == 1 and stage.GetEndTimeCode() == len(flight()) and stage.GetFramesPerSecond() == 12
    )
    moving = UsdGeom.Camera(stage.GetPrimAtPath("/c/camera_path"))
    for i, pose in enumerate(flight().frames(), start=1):
        np.testing.assert_allclose(projected(moving.GetCamera(i)), expected(CENTRED, pose, centred=False), atol=1e-6)


def projected(camera: object) -> Array:
    """`POINTS` through USD's own idea of a camera, whole projection matrix included."""
    frustum = camera.frustum  # type: ignore[attr-defined]
    matrix = np.array(frustum.ComputeViewMatrix()) @ np.array(frustum.ComputeProjectionMatrix())
    points = np.concatenate([POINTS @ Y_UP_FROM_Z_UP.T, np.ones((3, 1))], axis=1) @ matrix
    result: Array = points[:, :2] / points[:, 3:]
    return result


def test_no_cameras_no_file(tmp_path: Path) -> None:
    for write in (write_cameras_glb, write_cameras_usd, write_cameras_blender):
        with pytest.raises(InputError, match="no cameras"):
            write([], None, tmp_path / "c")


def test_the_script_holds_any_name(tmp_path: Path) -> None:
    nasty = Shot("'''\"\"\"\\n__DATA__\n.jpg", LENS, shots()[0].cam_from_world)
    write_cameras_blender([nasty], None, tmp_path / "c.py")
    compile((tmp_path / "c.py").read_text(), "c.py", "exec")
