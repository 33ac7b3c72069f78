"""What the page is told about a posed scene."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.capture.undistort import undistorted_camera
from diorama.render.formats import write_splats
from diorama.render.splats import Splats
from diorama.viewer.scene_data import ViewerCamera, home_view, manifest, photo_files, scene_bounds, viewer_scene
from diorama.viewer.splat_files import PageSplats, SplatFile

from .conftest import looking_at


def grid_splats(logit: float = 5.0) -> Splats:
    """11 x 11 splats one unit apart on the ground around the origin."""
    x, y = np.meshgrid(np.arange(-5, 6), np.arange(-5, 6))
    means = np.stack([x.ravel(), y.ravel(), np.zeros(121)], 1).astype(np.float32)
    return Splats(
        means,
        np.tile(np.array([1, 0, 0, 0], np.float32), (121, 1)),
        np.full((121, 3), -3, np.float32),
        np.full(121, logit, np.float32),
        np.zeros((121, 1, 3), np.float32),
    )


def camera_at(position: tuple[float, float, float], target: tuple[float, float, float]) -> ViewerCamera:
    pose = looking_at(position, target)
    return ViewerCamera("a", 100, 80, 90, 90, 50, 40, tuple(tuple(map(float, r)) for r in pose.matrix()[:3]))


@pytest.fixture
def posed(tmp_path: Path) -> PosedScene:
    """Three photos of a distorting camera; the photo's red tells the column."""
    width, height = 200, 150
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)
    frames = []
    for name in ("a.png", "b.png", "c.png"):
        PIL.Image.fromarray(ramp).save(tmp_path / name)
        frames.append(Frame(name, 1))
    camera = Camera("SIMPLE_RADIAL", width, height, (180.0, 101.0, 77.0, -0.12))
    capture = Capture(tmp_path, tmp_path, "photos", {1: camera}, {1: False}, tuple(frames))
    poses = {f.name: looking_at((6.0, i - 1.0, 2.0), (0.0, 0.0, 0.0)) for i, f in enumerate(frames[:2])}
    return PosedScene(capture, {1: camera}, poses, SparsePoints.empty(), PoseSummary("test", None, 1), is_metric=True)


def test_a_posed_scene_becomes_pinholes_with_straight_photos(posed: PosedScene, tmp_path: Path) -> None:
    path = tmp_path / "splats.ply"
    write_splats(grid_splats(), path)
    scene = viewer_scene(posed, path, title="Room", photo_size_px=100)
    assert [c.name for c in scene.cameras] == ["a.png", "b.png"]  # c.png has no pose
    expected = undistorted_camera(posed.cameras[1]).fitted(100)
    camera = scene.cameras[0]
    assert camera.camera == expected
    assert camera.photo is not None
    photo = PIL.Image.open(io.BytesIO(camera.photo(100)))
    assert photo.size == (expected.width_px, expected.height_px)
    small = PIL.Image.open(io.BytesIO(camera.photo(40)))
    assert max(small.size) == 40
    # The photo's left edge shows what its pinhole sees there: the ramp's value at the distorted pixel.
    row = np.asarray(photo.convert("RGB"), float)[expected.height_px // 2, :, 0]
    pixels = np.stack(
        [np.arange(expected.width_px) + 0.5, np.full(expected.width_px, expected.height_px // 2 + 0.5)], 1
    )
    source = posed.cameras[1].project(np.c_[expected.unproject(pixels), np.ones(len(pixels))])
    truth = (source[:, 0] - 0.5) / 199 * 255
    assert np.abs(row - truth)[3:-3].max() < 6  # 8-bit JPEG; a wrong principal point would be off by more than 10


def test_the_manifest_is_what_the_page_reads(posed: PosedScene, tmp_path: Path) -> None:
    path = tmp_path / "splats.ply"
    write_splats(grid_splats(), path)
    scene = viewer_scene(posed, path, title="Room")
    told = manifest(scene, PageSplats(SplatFile(path, "ply", 121)))
    assert told["title"] == "Room" and told["is_metric"] is True
    assert told["splats"] == {
        "url": "scene.ply",
        "format": "ply",
        "count": 121,
        "sh_degree": 0,
        "is_antialiased": False,
        "bytes": path.stat().st_size,
        "preview": None,
    }
    assert "server" not in told and "mesh" not in told and told["viewpoints"] == told["annotations"] == []
    assert np.allclose(told["cameras"][1]["cam_from_world"], posed.cam_from_world["b.png"].matrix()[:3])
    urls = {c[kind] for c in told["cameras"] for kind in ("photo", "thumbnail")}
    assert urls == set(photo_files(scene))


def test_the_first_view_is_the_middle_camera_s() -> None:
    splats = grid_splats()
    cameras = [camera_at((9, y, 3), (0, 0, 0)) for y in (-1.0, 0.0, 1.0)]
    low, high = scene_bounds(splats, cameras)
    position, target, up = home_view(splats, cameras, low, high)
    assert np.allclose(position, (9, 0, 3))
    assert np.allclose(up, (0, 0, 1))
    # The target lies on the line to the origin, at the depth of the splats in view.
    assert np.allclose(np.cross(target - position, position), 0, atol=1e-6)
    assert 0.5 < np.linalg.norm(target - position) / np.linalg.norm(position) < 1.5


def test_a_view_straight_down_keeps_the_photo_s_up() -> None:
    splats = grid_splats()
    # Right is +x and down in the picture is -y, so the photo's up is +y.
    rows = ((1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 0.0), (0.0, 0.0, -1.0, 8.0))
    cameras = [ViewerCamera("a", 100, 80, 90, 90, 50, 40, rows)]
    position, target, up = home_view(splats, cameras, *scene_bounds(splats, cameras))
    assert np.allclose(position, (0, 0, 8)) and np.allclose(target, (0, 0, 0)) and np.allclose(up, (0, 1, 0))


def test_without_cameras_the_scene_is_seen_from_outside() -> None:
    splats = grid_splats()
    low, high = scene_bounds(splats, [])
    position, target, _ = home_view(splats, [], low, high)
    assert np.allclose(target, (low + high) / 2)
    assert (position > high).any() or (position < low).any()
    assert position[2] > high[2]


def test_bounds_leave_strays_and_ghosts_out_and_cameras_in() -> None:
    splats = grid_splats()
    means = splats.means.copy()
    means[0] = (1000, 1000, 1000)
    stray = Splats(means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
    low, high = scene_bounds(stray, [camera_at((0, 20, 3), (0, 0, 0))])
    assert np.all(high <= [5.01, 20.01, 3.01]) and high[1] == pytest.approx(20)
    # All but invisible splats, and one place for all, still give a box with a size.
    low, high = scene_bounds(grid_splats(-9.0), [])
    assert np.all(high > low)
    low, high = scene_bounds(Splats.empty(0), [])
    assert np.all(high > low) and np.isfinite([low, high]).all()
