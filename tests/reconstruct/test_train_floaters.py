"""Floaters planted into a scene with exact truth go, and what the photos show stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.reconstruct.train import FloaterConfig, TrainConfig, train_splats
from diorama.reconstruct.train.backends import StepBackend, Target, open_backend
from diorama.reconstruct.train.floaters import find_floaters, remove_floaters
from diorama.reconstruct.train.table import COLUMNS, LOG_SCALE, LOGIT_OPACITY, MEAN, QUAT, SH, rows_from_splats
from diorama.render.rasterize import available_backends, view_of
from diorama.render.splats import SH_C0

from .conftest import WORLD_OFFSET, WORLD_SCALE, SplatScene, true_splats

BACKENDS = [name for name in available_backends() if name != "torch"]
CONFIG = FloaterConfig()


def planted(at: np.ndarray, scale: float, opacity: float, rgb: tuple[float, float, float]) -> np.ndarray:
    """A row (59,) for a round splat at a place in the world."""
    row = np.zeros(COLUMNS, np.float32)
    row[MEAN], row[QUAT.start], row[LOG_SCALE] = at, 1.0, np.log(scale)
    row[LOGIT_OPACITY] = np.log(opacity / (1 - opacity))
    row[SH.start : SH.start + 3] = (np.array(rgb) - 0.5) / SH_C0
    return row


def targets_of(splat_scene: SplatScene) -> list[Target]:
    scene = splat_scene(views=8)
    targets = []
    for frame in scene.capture.frames:
        rgb = np.asarray(PIL.Image.open(scene.capture.image_path(frame)))
        targets.append(Target(view_of(scene.camera(frame), scene.cam_from_world[frame.name]), rgb, None))
    return targets


def before(target: Target, share: float) -> np.ndarray:
    """A place in the world on the way from a camera to the scene's middle."""
    matrix = np.asarray(target.view.cam_from_world, np.float64)
    camera = -matrix[:, :3].T @ matrix[:, 3]
    return camera + share * (WORLD_OFFSET - camera)


def table_with(rows: list[np.ndarray], targets: list[Target], backend: str) -> tuple[StepBackend, int]:
    true = rows_from_splats(true_splats(40))
    everything = np.concatenate([true, *(r[None] for r in rows)])
    return open_backend(backend, everything, targets, 100, statistics=False), len(true)


@pytest.mark.parametrize("backend", BACKENDS)
def test_planted_floaters_go_and_the_scene_stays(backend: str, splat_scene: SplatScene) -> None:
    targets = targets_of(splat_scene)
    far_away = WORLD_OFFSET + [0, 0, 80 * WORLD_SCALE]  # above every picture
    floaters = [
        planted(far_away, 0.1 * WORLD_SCALE, 0.9, (1, 0, 0)),
        planted(before(targets[0], 0.15), 0.1 * WORLD_SCALE, 0.9, (0.0, 1.0, 0.0)),  # a wall before one camera
        planted(before(targets[3], 0.1), 0.05 * WORLD_SCALE, 0.5, (0.9, 0.9, 0.9)),  # haze before another
        planted(before(targets[5], 0.2), 0.02 * WORLD_SCALE, 0.3, (1.0, 0.0, 1.0)),  # a speck
        planted(np.full(3, np.nan), 1.0, 0.9, (1, 0, 0)),
    ]
    table, true = table_with(floaters, targets, backend)
    shown = [table.picture(t.view, 0) for t in targets]
    counts = remove_floaters(table, targets, 0, CONFIG)
    left = table.column(MEAN)
    assert np.array_equal(left[:true], true_splats(40).means[: len(left)])
    assert table.count == true, counts
    assert counts["unseen"] == 2
    assert sum(counts.values()) == len(floaters)
    for i, target in enumerate(targets):
        now = np.abs(table.picture(target.view, 0) - target.rgb / 255.0).max()
        assert now < 3e-3, f"view {i}"  # eight bits, and rounding
        assert now <= np.abs(shown[i] - target.rgb / 255.0).max()


def test_a_clean_scene_loses_nothing(splat_scene: SplatScene) -> None:
    targets = targets_of(splat_scene)
    table, true = table_with([], targets, BACKENDS[0])
    assert remove_floaters(table, targets, 0, CONFIG) == {"unseen": 0, "contradicted": 0, "floating": 0}
    assert table.count == true


def test_what_the_photos_show_is_no_floater_however_near(splat_scene: SplatScene) -> None:
    """The same haze is in the photo itself: few views see it, far before the surface, and it stays."""
    targets = targets_of(splat_scene)
    haze = planted(before(targets[3], 0.1), 0.05 * WORLD_SCALE, 0.5, (0.9, 0.9, 0.9))
    table, true = table_with([haze], targets, BACKENDS[0])
    photographed = [
        Target(t.view, (np.clip(table.picture(t.view, 0), 0, 1) * 255).round().astype(np.uint8), None) for t in targets
    ]
    assert not any(mask.any() for mask in find_floaters(table, photographed, 0, CONFIG).values())
    found = find_floaters(table, targets, 0, CONFIG)
    assert (found["floating"] | found["contradicted"]).nonzero()[0].tolist() == [true]


def test_training_records_what_it_removed(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=4)
    config = TrainConfig(steps=4, max_splats=300, hold_out="none", backend=BACKENDS[0])
    kept = train_splats(scene, tmp_path / "kept", replace(config, floaters=FloaterConfig(remove=False)))
    cleaned = train_splats(scene, tmp_path / "cleaned", config)
    record = json.loads((tmp_path / "cleaned" / "training.json").read_text())
    assert record["removed"] == dict(cleaned.removed)
    assert len(kept.splats) - len(cleaned.splats) == sum(cleaned.removed.values()) > 0
    assert json.loads((tmp_path / "kept" / "training.json").read_text())["removed"] == {}
