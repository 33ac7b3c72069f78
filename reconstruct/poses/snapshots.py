"""Cameras while they are being found: COLMAP's mapper leaves a model now and then, and whoever listens hears of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.colmap import read_model
from diorama.capture.errors import InputError
from diorama.capture.events import Mapped, MapSnapshot, OnEvent
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene

SNAPSHOTS = "snapshots"
SNAPSHOT_COUNT = 20
"""About so many in one solution: each costs the writing of a model, a few megabytes for a hundred pictures."""


class SnapshotWatch:
    """Tells of new snapshots in an attempt's folder, and removes them when they have been told of."""

    def __init__(self, output: Path, names: Mapping[str, str], stage: str, on_event: OnEvent) -> None:
        """`names`: the frames' names by those that COLMAP knows them by."""
        self._folder = output / SNAPSHOTS
        self._names = names
        self._stage = stage
        self._on_event = on_event

    def look(self, registered: int, total: int) -> None:
        try:
            found = sorted(p for p in self._folder.iterdir() if p.is_dir())
        except OSError:
            return
        if len(found) < 2:  # the newest may still be being written
            return
        self._on_event(Mapped(self._stage, registered, total, partial(_read, found[-2], self._names)))
        for folder in found[:-1]:
            shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path, names: Mapping[str, str]) -> MapSnapshot | None:
    try:
        model = read_model(folder)
    except InputError:
        return None
    poses = {names.get(image.name, image.name): image.cam_from_world for image in model.images}
    return _snapshot(poses, model.xyz, model.rgb_srgb)


def final_snapshot(scene: PosedScene) -> MapSnapshot:
    """The cameras and points of a scene that is solved."""
    return _snapshot(scene.cam_from_world, scene.points.xyz, scene.points.rgb_srgb)


def _snapshot(
    cam_from_world: Mapping[str, Pose], xyz: npt.NDArray[np.float64], rgb: npt.NDArray[np.uint8]
) -> MapSnapshot:
    poses = cam_from_world.values()
    return MapSnapshot(
        tuple(cam_from_world),
        np.array([pose.origin_in_source for pose in poses]).reshape(-1, 3),
        np.array([pose.rotation[2] for pose in poses]).reshape(-1, 3),
        np.array([-pose.rotation[1] for pose in poses]).reshape(-1, 3),
        xyz,
        rgb,
    )
