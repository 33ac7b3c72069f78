"""Every camera model against COLMAP's own, and both ways."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diorama.capture.camera import MODEL_IDS, PARAM_NAMES, Camera, CameraModel
from diorama.capture.undistort import undistort, undistorted_camera

LENSES: list[tuple[CameraModel, tuple[float, ...]]] = [
    ("PINHOLE", (450, 455, 251, 148)),
    ("SIMPLE_RADIAL", (450, 251, 148, -0.08)),
    ("OPENCV", (450, 455, 260, 145, -0.25, 0.06, 0.001, -0.002)),
    ("FULL_OPENCV", (450, 455, 260, 145, 0.1, 0.06, 0.001, -0.002, 0.01, 0.3, 0.02, 0.0)),
    ("OPENCV_FISHEYE", (150, 151, 250, 150, -0.01, 0.002, 0.0, 0.0)),
    ("SIMPLE_RADIAL_FISHEYE", (150, 250, 150, 0.01)),
    ("EQUIRECTANGULAR", (500, 300)),
]


def lens(model: CameraModel, params: tuple[float, ...]) -> Camera:
    return Camera(model, 500, 300, params)


def pixels() -> np.ndarray:
    return np.random.default_rng(4).uniform([5, 5], [495, 295], (200, 2))


@pytest.mark.parametrize(("model", "params"), LENSES)
def test_numbers_and_formula_are_colmaps(model: CameraModel, params: tuple[float, ...]) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    theirs = pycolmap.Camera(model=model, width=500, height=300, params=params)
    assert int(theirs.model.value) == MODEL_IDS[model]
    assert len(theirs.params) == len(PARAM_NAMES[model])
    rays = lens(model, params).rays(pixels())
    found = np.array([theirs.img_from_cam(ray) for ray in rays if model == "EQUIRECTANGULAR" or ray[2] > 0.05])
    expected = pixels() if model == "EQUIRECTANGULAR" else pixels()[rays[:, 2] > 0.05]
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("model", "params"), LENSES)
def test_rays_and_project_are_inverse(model: CameraModel, params: tuple[float, ...]) -> None:
    camera = lens(model, params)
    rays = camera.rays(pixels())
    assert np.allclose(np.linalg.norm(rays, axis=1), 1)
    assert np.allclose(camera.project(3 * rays), pixels(), atol=1e-6)
    assert np.allclose(camera.project([0.0, 0.0, 1.0]), [camera.cx, camera.cy])


def test_a_fisheye_sees_beyond_90_degrees_and_not_beyond_its_fold() -> None:
    camera = Camera("OPENCV_FISHEYE", 400, 400, (100, 100, 200, 200, 0, 0, 0, 0))
    angle = math.radians(110)
    assert np.allclose(camera.project([math.sin(angle), 0, math.cos(angle)]), [200 + 100 * angle, 200])
    folds = Camera("OPENCV_FISHEYE", 400, 400, (100, 100, 200, 200, -0.1, 0, 0, 0))  # at sqrt(1 / 0.3) = 104.6 degrees
    assert np.isnan(folds.project([math.sin(angle), 0, math.cos(angle)])).all()
    assert np.isnan(folds.rays([399.0, 200.0])).all()


def test_a_panorama() -> None:
    camera = Camera.equirectangular(800, 400)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (800 / (2 * math.pi), 400 / math.pi, 400, 200)
    assert camera.scaled(200, 100) == Camera.equirectangular(200, 100)
    assert camera.fitted(400) == Camera.equirectangular(400, 200)
    assert not camera.is_pinhole and camera.lens == "equirectangular"
    assert np.allclose(camera.project([[1, 0, 0], [0, -1, 1], [0, 0, -1]]), [[600, 200], [400, 100], [800, 200]])
    assert np.isnan(camera.project([0, 0, 0])).all()
    with pytest.raises(ValueError, match="no image plane"):
        camera.unproject([3.0, 3.0])
    with pytest.raises(ValueError, match="image size"):
        Camera("EQUIRECTANGULAR", 800, 400, (400.0, 200.0))


def test_what_is_ahead_in_a_panorama_as_a_pinhole() -> None:
    camera = Camera.equirectangular(400, 200)
    target = undistorted_camera(camera)
    assert (target.width_px, target.height_px, target.fx) == (100, 100, 50)
    x = np.broadcast_to(np.arange(400, dtype=np.float32) + 0.5, (200, 400))
    ahead = undistort(np.ascontiguousarray(x), camera, target)
    angle = np.arctan((np.arange(100) + 0.5 - 50) / 50)
    # The map is linear between points 8 px apart, the arc tangent is not: 8^2 / 8 * 400 / 2 pi * 0.65 / 50^2.
    assert np.abs(ahead[50] - (200 + 400 / (2 * np.pi) * angle)).max() < 0.14
