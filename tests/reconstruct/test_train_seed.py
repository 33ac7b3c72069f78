"""Splats from depth maps: on the surface, where points are missing, with the photo's colours, within the cap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.reconstruct.depth import save_depth_map
from diorama.reconstruct.train import PRESETS
from diorama.reconstruct.train.backends import Target
from diorama.reconstruct.train.geometry import KnownGeometry
from diorama.reconstruct.train.prepare import prepare
from diorama.reconstruct.train.seed import seed_from_depth
from diorama.reconstruct.train.table import MEAN
from diorama.render.rasterize import rasterize, view_of

from .conftest import true_splats

SIZE = 40


def wall(confidence: float = 1.0, z: float = 5.0, colour: tuple[int, int, int] = (200, 100, 50)) -> Target:
    """A wall at z = 5 seen head on; its left half is red, say, its right half black."""
    camera = Camera.pinhole(SIZE, SIZE, SIZE, SIZE, SIZE / 2, SIZE / 2)
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    rgb[:, : SIZE // 2] = colour
    depth = DepthMap(np.full((SIZE, SIZE), z, np.float32), np.full((SIZE, SIZE), confidence, np.float32))
    pose = Pose(np.eye(3), np.zeros(3))
    return Target(view_of(camera, pose), rgb, None, KnownGeometry(depth, camera, camera))


def test_seeds_lie_on_the_surface_in_the_photos_colours() -> None:
    seeds = seed_from_depth(np.zeros((0, 3)), [wall()], 30)
    # 40x40 pixels over three cells per splat: a grid of 9 or 10 a side, and not more than was asked for.
    assert 25 <= len(seeds.points) <= 30
    np.testing.assert_allclose(seeds.points[:, 2], 5.0)
    left = seeds.points[:, 0] < -0.3
    np.testing.assert_allclose(seeds.colors[left], np.broadcast_to([200 / 255, 100 / 255, 50 / 255], (left.sum(), 3)))
    assert (seeds.colors[seeds.points[:, 0] > 0.3] == 0).all()


def test_where_points_are_there_is_nothing_to_add() -> None:
    x, y = np.meshgrid(np.linspace(-2.5, 0, 60), np.linspace(-2.5, 2.5, 120))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 5.0)], 1)
    seeds = seed_from_depth(points, [wall()], 1_000)
    assert len(seeds.points) > 100 and (seeds.points[:, 0] > 0).all()


def test_a_second_photo_of_the_same_wall_adds_nothing() -> None:
    one, two = (seed_from_depth(np.zeros((0, 3)), [wall()] * n, 10_000) for n in (1, 2))
    assert len(two.points) == len(one.points) == (SIZE // 2) ** 2, "every other pixel, the finest grid"


def test_unsure_depth_masked_pixels_and_photos_without_depth_add_nothing() -> None:
    assert not len(seed_from_depth(np.zeros((0, 3)), [wall(0.4)], 100).points)
    assert not len(seed_from_depth(np.zeros((0, 3)), [wall(z=0.0)], 100).points)
    hidden = dataclasses.replace(wall(), mask=np.zeros((SIZE, SIZE), np.uint8))
    assert not len(seed_from_depth(np.zeros((0, 3)), [hidden], 100).points)
    assert not len(seed_from_depth(np.zeros((0, 3)), [dataclasses.replace(wall(), geometry=None)], 100).points)
    assert not len(seed_from_depth(np.zeros((0, 3)), [wall()], 0).points)


def test_a_training_starts_with_them(splat_scene: Callable[..., PosedScene], tmp_path: Path) -> None:
    """Not with a weight of 0, a share of 0, or without maps; and never beyond the cap's share."""
    scene = splat_scene(views=6, points=30)
    for frame in scene.registered:
        picture = rasterize(true_splats(40), scene.camera(frame), scene.cam_from_world[frame.name], backend="torch")
        depth = np.where(picture.alpha > 0.9, picture.depth / np.maximum(picture.alpha, 1e-6), 0.0)
        save_depth_map(tmp_path / "maps", frame.name, DepthMap(depth.astype(np.float32)))
    config = dataclasses.replace(PRESETS["preview"], max_splats=1_000, backend="cpu", hold_out="none")
    config = dataclasses.replace(config, start=dataclasses.replace(config.start, min_points=0, cover_cells=0))
    with_maps = prepare(scene, config, tmp_path / "maps")
    assert 30 < len(with_maps.rows) <= 500
    assert len(prepare(scene, config).rows) == 30
    for other in (
        dataclasses.replace(config, depth=config.depth.of_weight(0.0)),
        dataclasses.replace(config, start=dataclasses.replace(config.start, depth_share=0.0)),
    ):
        assert len(prepare(scene, other, tmp_path / "maps").rows) == 30
    # The scene's splats fill a cube of 1.2 across around the middle, in units of the truth.
    places = with_maps.frame.inverse().apply(with_maps.rows[:, MEAN].astype(np.float64))
    off = np.abs((places - [30.0, -12.0, 4.0]) / 7.0).max(axis=1)
    assert np.median(off) < 0.8
