"""A posed scene whose cameras and points are the truth: what trainers and their benchmarks start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints

from .scene import SyntheticScene


def posed_scene(
    scene: SyntheticScene,
    camera: Camera,
    cam_from_world: Sequence[Pose],
    folder: Path,
    *,
    points: int = 5_000,
    noise: float = 0.01,
    seed: int = 0,
    samples: int = 16,
) -> PosedScene:
    """Photos `frame_0001.png`, ... of a place in `folder/images`, their true poses, and points on what they see.

    Args:
        points: in all, spread evenly over the photos' pixels. noise: standard deviation of their places, a share of the
            depth, as that of triangulated points would be.
        samples: rays per pixel of the photos, a square number.
    """
    import PIL.Image

    rng = np.random.default_rng([seed, 11])
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    each = -(-points // len(cam_from_world))
    frames, poses, places, colors = [], {}, [], []
    for index, pose in enumerate(cam_from_world, start=1):
        rgb, depth = scene.render(camera, pose, samples)
        name = f"frame_{index:04d}.png"
        PIL.Image.fromarray(rgb).save(images / name)
        frames.append(Frame(name, 1))
        poses[name] = pose
        rows, columns = rng.integers(camera.height_px, size=each), rng.integers(camera.width_px, size=each)
        rays = camera.rays(np.stack([columns + 0.5, rows + 0.5], -1))
        if camera.lens in ("pinhole", "opencv"):  # where depth is z
            rays = rays / rays[:, 2:]
        z = depth[rows, columns] * (1.0 + noise * rng.standard_normal(each))
        places.append(pose.inverse().apply(rays * z[:, None])[z > 0])
        colors.append(rgb[rows, columns][z > 0])
    xyz, rgb_srgb = np.concatenate(places), np.concatenate(colors)
    sparse = SparsePoints(xyz, rgb_srgb, np.full(len(xyz), 0.5), np.full(len(xyz), 3, np.int32))
    capture = Capture(images, folder / "masks", "synthetic", {1: camera}, {1: True}, tuple(frames))
    return PosedScene(capture, {1: camera}, poses, sparse, PoseSummary("truth", 0.0, 1))
