"""A textured wall in front of cameras, with its exact depth: photos on disk as a capture would have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose, Sim3
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints

Array = npt.NDArray[np.float64]

NORMAL, OFFSET = np.array([-0.35, 0.15, -1.0]) / np.linalg.norm([-0.35, 0.15, -1.0]), -4.0
"""The wall is where NORMAL . X = OFFSET: about 4 in front of the origin, turned by 20 degrees."""


@dataclass(frozen=True)
class Look:
    """How the wall looks: `contrast` in grey levels, 0 for a blank one."""

    contrast: float = 45.0
    seed: int = 0

    def gray(self, points: Array) -> Array:
        """Waves of many lengths and directions: something to match everywhere, at every size."""
        rng = np.random.default_rng(self.seed)
        waves = rng.normal(size=(40, 3)) * np.geomspace(1.5, 30, 40)[:, None]
        phases = rng.uniform(0, 2 * np.pi, 40)
        values = np.sin(points @ waves.T + phases).sum(-1) * np.sqrt(2 / 40)
        return np.clip(128 + self.contrast * values, 0, 255)


def wall_depth(camera: Camera, pose: Pose) -> npt.NDArray[np.float32]:
    """(H, W) exact z at pixel centres."""
    y, x = np.mgrid[0 : camera.height_px, 0 : camera.width_px] + 0.5
    return _hit(camera, pose, np.stack([x, y], -1))[1].astype(np.float32)


def _hit(camera: Camera, pose: Pose, pixels: Array) -> tuple[Array, Array]:
    rays = camera.rays(pixels)
    rays = rays / rays[..., 2:]
    world = rays @ pose.rotation
    centre = pose.origin_in_source
    depth: Array = (OFFSET - NORMAL @ centre) / (world @ NORMAL)
    return centre + world * depth[..., None], depth


def photo(camera: Camera, pose: Pose, look: Look) -> npt.NDArray[np.uint8]:
    """(H, W, 3), four rays per pixel."""
    y, x = np.mgrid[0 : camera.height_px, 0 : camera.width_px].astype(np.float64)
    total = sum(
        look.gray(_hit(camera, pose, np.stack([x + u, y + v], -1))[0]) for u in (0.25, 0.75) for v in (0.25, 0.75)
    )
    return np.repeat(np.rint(np.asarray(total) / 4).astype(np.uint8)[..., None], 3, -1)


def sideways(count: int, step: float = 0.35) -> list[Pose]:
    """Cameras side by side, two rows, all looking along +z."""
    return [Pose(np.eye(3), np.array([-(i // 2) * step, -(i % 2) * step, 0.0])) for i in range(count)]


def wall_scene(
    folder: Path,
    cameras: Sequence[Camera],
    poses: Sequence[Pose],
    *,
    look: Look | None = None,
    masks: Sequence[npt.NDArray[np.uint8] | None] | None = None,
    points: int = 150,
    scale: float = 1.0,
) -> PosedScene:
    """One photo per camera and pose, sparse points on the wall, and a world `scale` times larger than the input."""
    look = look or Look()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    frames, found, rng = [], [], np.random.default_rng(1)
    for i, (camera, pose) in enumerate(zip(cameras, poses, strict=True)):
        PIL.Image.fromarray(photo(camera, pose, look)).save(folder / "images" / f"{i}.png")
        mask = masks[i] if masks else None
        if mask is not None:
            PIL.Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
        frames.append(Frame(f"{i}.png", i, mask=None if mask is None else f"{i}.png"))
        if points:
            pixels = rng.uniform(0, [camera.width_px, camera.height_px], (max(points // len(poses), 1), 2))
            found.append(_hit(camera, pose, pixels)[0])
    xyz = np.concatenate(found) if found else np.zeros((0, 3))
    sparse = SparsePoints(
        xyz * scale, np.zeros((len(xyz), 3), np.uint8), np.zeros(len(xyz)), np.full(len(xyz), 3, np.int32)
    )
    by_id = dict(enumerate(cameras))
    known = dict.fromkeys(by_id, True)
    capture = Capture(folder / "images", folder / "masks", "synthetic", by_id, known, tuple(frames))
    placed = {f.name: Pose(p.rotation, p.translation * scale) for f, p in zip(frames, poses, strict=True)}
    to_world = Sim3(scale, np.eye(3), np.zeros(3))
    return PosedScene(capture, by_id, placed, sparse, PoseSummary("truth", 0.0, 1), world_from_input=to_world)
