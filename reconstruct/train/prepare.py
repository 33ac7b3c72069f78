"""What a training starts from: who is trained on, the photos, the first splats, and what a checkpoint belongs to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diorama.capture.errors import InputError
from diorama.capture.transforms import Sim3
from diorama.capture.types import PosedScene
from diorama.render.rasterize import choose_backend, view_of

from ..coverage import level_scene
from ..views import hold_out_names, load_views, view_camera
from .backends import Target
from .config import TrainConfig
from .frame import train_from_world
from .geometry import known_geometry
from .initialize import first_rows
from .photos import BYTES_SHARE, PhotoStore, memory_for_photos
from .seed import seed_from_depth
from .table import Floats

BESIDE = ("checkpoint_every", "log_every", "photo_memory_mb", "floaters")
"""Parts of a config that change nothing about the training."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a training starts from, all of it derived from the scene and the config.

    trained, held_out: names of frames. frame: `train_from_world`. photos: of the trained frames, in that order.
    rows: the first splats. fingerprint: of all of this. memory_bytes: for photos, of which decoded ones take a part.
    """

    config: TrainConfig
    backend: str
    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    frame: Sim3
    photos: PhotoStore
    rows: Floats
    fingerprint: str
    memory_bytes: int


def prepare(scene: PosedScene, config: TrainConfig, depth_maps: Path | None = None) -> Prepared:
    """Decodes every photo once, and keeps those that fit.

    depth_maps: folder of depth maps; None for those that came with the capture.

    Raises:
        InputError: no frame to train on, an unreadable photo or map, an option or backend that cannot be used.
    """
    backend = choose_backend(config.backend)
    names = [frame.name for frame in scene.registered]
    if not names:
        raise InputError("No frame of this scene has a camera pose, so there is nothing to train on; run pose first.")
    held_out = hold_out_names(names, config.hold_out)
    trained = [name for name in names if name not in set(held_out)]
    poses = [scene.cam_from_world[name] for name in trained]
    frame = train_from_world(poses, scene.points.xyz)
    cameras = [frame.transform_camera(pose) for pose in poses]
    frames = {f.name: f for f in scene.registered}
    if config.lens == "straight" and any(scene.camera(frames[name]).lens == "equirectangular" for name in trained):
        raise InputError(
            "A panorama that is straightened loses five sixths of its picture: train with lens auto or original."
        )
    lenses = [view_camera(scene.camera(frames[name]), config.max_size_px, config.lens) for name in trained]
    views = [view_of(lens, camera) for lens, camera in zip(lenses, cameras, strict=True)]

    def load(index: int) -> Target:
        name = trained[index]
        view = load_views(scene, [name], config.max_size_px, config.lens)[0]
        (known,) = known_geometry(scene, [name], [view.camera], [view.empty], config, frame.scale, depth_maps)
        return Target(views[index], view.rgb, view.mask, known)

    memory_bytes = memory_for_photos(config.photo_memory_mb)
    photos = PhotoStore(views, load, int(BYTES_SHARE * memory_bytes))
    digest = hashlib.blake2b(digest_size=8)
    outcome: dict[str, Any] = {k: v for k, v in dataclasses.asdict(config).items() if k not in BESIDE}
    digest.update(json.dumps([outcome, backend], sort_keys=True).encode())
    for name, lens, pose in zip(trained, lenses, poses, strict=True):
        digest.update(f"{name} {lens}".encode())
        digest.update(pose.matrix().tobytes())
    up = level_scene(scene)[1][2] if config.start.sky != "off" else None  # +z of the level world, in this one
    points, seeds = frame.apply(scene.points.xyz), None
    room = int(config.start.depth_share * config.max_splats) - len(points)
    if config.depth.wanted and room > 0:
        seeds = seed_from_depth(points[np.isfinite(points).all(axis=1)], photos, room)
    passing = _noted(photos, digest)
    rows = first_rows(points, scene.points.rgb_srgb, cameras, config, passing, up, seeds)
    for _ in passing:  # those that the first splats did not need
        pass
    digest.update(rows.tobytes())
    names_of = (tuple(trained), tuple(held_out))
    return Prepared(config, backend, *names_of, frame, photos, rows, digest.hexdigest(), memory_bytes)


def _noted(photos: PhotoStore, digest: hashlib.blake2b) -> Iterator[Target]:
    """The photos one after the other, each put into the digest as decoded."""
    for target in photos:
        digest.update(target.rgb.tobytes())
        digest.update(b"" if target.mask is None else target.mask.tobytes())
        digest.update(b"" if target.geometry is None else target.geometry.digest())
        yield target
