"""Undistortion against the camera's own formula, resizing against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.camera import Camera, CameraModel
from diorama.capture.undistort import _mesh, resize_area, source_pixels, undistort, undistorted_camera

LENSES: list[tuple[CameraModel, tuple[float, ...]]] = [
    ("SIMPLE_RADIAL", (450, 251, 148, -0.08)),
    ("SIMPLE_RADIAL", (450, 251, 148, 0.08)),
    ("RADIAL", (450, 240, 160, -0.2, 0.05)),
    ("OPENCV", (450, 455, 260, 145, -0.25, 0.06, 0.001, -0.002)),
    ("FULL_OPENCV", (450, 455, 260, 145, 0.1, 0.06, 0.001, -0.002, 0.01, 0.3, 0.02, 0.0)),
    ("OPENCV_FISHEYE", (300, 300, 250, 150, -0.01, 0.002, 0.0, 0.0)),
    ("SIMPLE_RADIAL_FISHEYE", (300, 250, 150, 0.01)),
    ("RADIAL_FISHEYE", (300, 260, 150, 0.01, -0.002)),
]


def lens(model: CameraModel, params: tuple[float, ...]) -> Camera:
    return Camera(model, 500, 300, params)


def smooth(camera: Camera) -> np.ndarray:
    """A smooth picture (H, W) float32 that is known between its pixels too."""
    y, x = np.mgrid[0 : camera.height_px, 0 : camera.width_px] + 0.5
    return wave(x, y).astype(np.float32)


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 100 + 50 * np.sin(x / 17) + 40 * np.cos(y / 13)


@pytest.mark.parametrize(("model", "params"), LENSES)
def test_each_pixel_shows_what_the_lens_formula_says(model: CameraModel, params: tuple[float, ...]) -> None:
    camera = lens(model, params)
    target = undistorted_camera(camera)
    straight = undistort(smooth(camera), camera, target)
    y, x = np.mgrid[0 : target.height_px, 0 : target.width_px] + 0.5
    rays = np.stack([(x - target.cx) / target.fx, (y - target.cy) / target.fy, np.ones_like(x)], -1)
    seen = camera.project(rays)
    error = np.abs(straight - wave(seen[..., 0], seen[..., 1]))
    # The wave's slope is at most 50/17 + 40/13 = 6 per pixel, 0.02 px of the grid makes 0.12; linear interpolation of
    # its curvature, (50/17^2 + 40/13^2) / 8, makes 0.05.
    assert np.max(error[2:-2, 2:-2]) < 0.17


@pytest.mark.parametrize(("model", "params"), LENSES)
def test_no_pixel_is_blank_and_little_is_lost(model: CameraModel, params: tuple[float, ...]) -> None:
    camera = lens(model, params)
    target = undistorted_camera(camera)
    ones = undistort(np.full((300, 500), 255, np.uint8), camera, target, nearest=True)
    assert ones.all()
    assert (target.fx, target.fy) == (camera.fx, camera.fy)
    # The principal ray goes to the same place: straight on.
    assert np.allclose(source_pixels(camera, target, [target.cx, target.cy]), [camera.cx, camera.cy])
    # One more pixel on some side would be blank, or the bound is reached: each border touches the photo's rim.
    border = np.array([[target.cx, 0.0], [target.cx, target.height_px], [0, target.cy], [target.width_px, target.cy]])
    gap = [source_pixels(camera, target, b) for b in border]
    assert min(gap[0][1], 300 - gap[1][1], gap[2][0], 500 - gap[3][0]) < 4


def test_a_lens_that_folds_back_shows_nothing_twice() -> None:
    camera = Camera("SIMPLE_RADIAL", 1000, 600, (500.0, 500.0, 300.0, -0.3))  # r (1 - 0.3 r^2) turns back at r = 1.05
    target = Camera.pinhole(1600, 600, 500.0, 500.0, 800.0, 300.0)
    ones = undistort(np.full((600, 1000), 255, np.uint8), camera, target, nearest=True)
    x = np.flatnonzero(ones[300])
    assert (x[0] + 0.5 - 800) / 500 == pytest.approx(-1.054, abs=0.02)
    assert not ones[:, :200].any()


def test_a_pinhole_stays_itself() -> None:
    camera = Camera("SIMPLE_PINHOLE", 40, 30, (50.0, 21.0, 14.0))
    target = undistorted_camera(camera)
    assert target == Camera.pinhole(40, 30, 50.0, 50.0, 21.0, 14.0)
    image = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(30, 40, 3)
    assert np.array_equal(undistort(image, camera, target), image)


def test_an_extreme_fisheye_is_bounded() -> None:
    camera = Camera("SIMPLE_RADIAL_FISHEYE", 1000, 1000, (318.0, 500.0, 500.0, 0.0))  # 180 degrees across
    target = undistorted_camera(camera)
    assert target.width_px <= 2000
    assert target.height_px <= 2000


def test_wrong_sizes_and_targets_are_refused() -> None:
    camera = lens(*LENSES[0])
    with pytest.raises(ValueError, match="size"):
        undistort(np.zeros((10, 10), np.uint8), camera, undistorted_camera(camera))
    with pytest.raises(ValueError, match="pinhole"):
        undistort(np.zeros((300, 500), np.uint8), camera, camera)


def test_area_resize_is_the_mean_of_what_is_covered() -> None:
    image = np.array([[0, 30, 90, 10], [60, 90, 240, 30]], np.uint8)
    assert np.array_equal(resize_area(image, 2, 1), [[45, 93]])  # 92.5 rounds up
    assert np.allclose(resize_area(image.astype(np.float32), 1, 1), image.mean())


@pytest.mark.parametrize("width", [500, 434, 333, 200, 97])
def test_area_resize_moves_nothing(width: int) -> None:
    ramp = np.tile(np.arange(1000, dtype=np.float32) + 0.5, (4, 1))
    expected = (np.arange(width) + 0.5) * 1000 / width
    assert np.allclose(resize_area(ramp, width, 2)[0, 3:-3], expected[3:-3], atol=0.05 * 1000 / width)


def test_area_resize_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.ptp(resize_area(stripes, 16, 16)) <= 1


@pytest.mark.parametrize(("k", "cell"), [(-0.001, 64), (-0.01, 32), (-0.02, 16), (-0.5, 8)])
def test_the_grid_is_as_wide_as_the_lens_allows(k: float, cell: int) -> None:
    """f (x, y) (1 + k r^2) has second derivatives k / f (6x, 2y) and k / f (2x, 6y), which over cells of c bend by
    c^2 / 8 of their lengths: at the corner (250, 150) / 450 by 0.00158 k c^2 in all, so that 0.02 px allow cells of
    112, 36, 25 and 5 pixels."""
    camera = Camera("SIMPLE_RADIAL", 500, 300, (450, 250, 150, k))
    mesh = _mesh(camera, undistorted_camera(camera))
    left, top, right, bottom = mesh[0][0]
    assert (left, top, right, bottom) == (0, 0, cell, cell)
