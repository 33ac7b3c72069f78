"""A tiny scene with exact truth for the trainer's tests: coloured splats, drawn by the twin, photographed in a ring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.render.rasterize import rasterize
from diorama.render.splats import SH_C0, Splats

WORLD_SCALE, WORLD_OFFSET = 7.0, np.array([30.0, -12.0, 4.0])
"""The tiny world is neither at the origin nor of size 1, so that a frame that is not undone shows."""


def looking_at(centre: np.ndarray, focus: np.ndarray) -> Pose:
    """`cam_from_world` of a camera at `centre` that looks at `focus`, world +z up."""
    forward = (focus - centre) / np.linalg.norm(focus - centre)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ centre)


def true_splats(count: int, seed: int = 3) -> Splats:
    rng = np.random.default_rng(seed)
    means = rng.uniform(-0.6, 0.6, (count, 3)) * WORLD_SCALE + WORLD_OFFSET
    quats = rng.normal(size=(count, 4))
    log_scales = np.log(rng.uniform(0.08, 0.25, (count, 3)) * WORLD_SCALE)
    sh = np.zeros((count, 1, 3))
    sh[:, 0] = (rng.uniform(0.05, 0.95, (count, 3)) - 0.5) / SH_C0
    arrays = (means, quats, log_scales, np.full(count, 2.5), sh)
    return Splats(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))


SplatScene = Callable[..., PosedScene]


@pytest.fixture
def splat_scene(tmp_path: Path) -> SplatScene:
    """`splat_scene(views=8, width=40, height=30, points=60)`: the photos are on disk in `tmp_path/images`."""

    def make(views: int = 8, width: int = 40, height: int = 30, points: int = 60) -> PosedScene:
        splats = true_splats(40)
        camera = Camera.pinhole(width, height, 0.9 * width, 0.9 * width, width / 2, height / 2)
        images = tmp_path / "images"
        images.mkdir()
        frames, poses = [], {}
        for i in range(views):
            angle = 2 * np.pi * i / views
            spot = np.array([np.cos(angle), np.sin(angle), 0.4 + 0.1 * (i % 3)]) * 2.2
            pose = looking_at(spot * WORLD_SCALE + WORLD_OFFSET, WORLD_OFFSET)
            picture = rasterize(splats, camera, pose, backend="torch").rgb
            name = f"view_{i:02d}.png"
            PIL.Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(images / name)
            frames.append(Frame(name, 1))
            poses[name] = pose
        rng = np.random.default_rng(5)
        chosen = rng.integers(len(splats), size=points)
        xyz = splats.means[chosen] + rng.normal(0, 0.05 * WORLD_SCALE, (points, 3))
        rgb = np.clip((0.5 + SH_C0 * splats.sh[chosen, 0]) * 255, 0, 255).astype(np.uint8)
        sparse = SparsePoints(xyz, rgb, np.full(points, 0.5), np.full(points, 3, np.int32))
        capture = Capture(images, tmp_path / "masks", "synthetic", {1: camera}, {1: True}, tuple(frames))
        return PosedScene(capture, {1: camera}, poses, sparse, PoseSummary("truth", 0.0, 1))

    return make
