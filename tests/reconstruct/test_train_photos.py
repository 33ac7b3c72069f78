"""What a step does with its photos: several at once, their exposures, and the splats that none of them shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.types import PosedScene
from diorama.reconstruct.evaluate import correct_colours
from diorama.reconstruct.train import Start, TrainConfig, train_splats
from diorama.reconstruct.train.backends import Shot, ShotGradients, StepSettings, Target, open_backend
from diorama.reconstruct.train.exposure import IDENTITY, WARM_UP, Exposures
from diorama.reconstruct.train.learnt import Learnt
from diorama.reconstruct.train.schedule import views_at
from diorama.reconstruct.train.table import rows_from_splats
from diorama.render.rasterize import available_backends, rasterize, view_of

from .conftest import SplatScene, true_splats

BACKENDS = available_backends()
SETTINGS = StepSettings(1, 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3, 1.25e-4, 3, 0.2, (0.2, 0.5, 0.7), 0.01, 0.01)
TINT = np.array([[1.1, 0.02, 0, 0.03], [0, 0.85, 0.05, 0], [0.01, 0, 1.2, -0.04]], np.float32)


def targets_of(scene: PosedScene) -> list[Target]:
    return [
        Target(
            view_of(scene.camera(f), scene.cam_from_world[f.name]),
            np.asarray(PIL.Image.open(scene.capture.image_path(f))),
            None,
        )
        for f in scene.capture.frames
    ]


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the native kernels are not built")
@pytest.mark.parametrize("dense", [True, False])
def test_native_and_twin_take_the_same_steps_on_several_photos(splat_scene: SplatScene, dense: bool) -> None:
    targets = targets_of(splat_scene(views=3))
    rng = np.random.default_rng(1)
    rows = rows_from_splats(true_splats(40))
    rows += rng.normal(0, 0.05, rows.shape).astype(np.float32)
    rows[:8, :3] += 100.0  # out of every picture
    shots = [Shot(0, targets[0].view, TINT), Shot(1, targets[1].view), Shot(2, targets[2].view, TINT)]
    native, twin = (open_backend(name, rows, targets, 64, statistics=True) for name in ("cpu", "torch"))
    for step in range(1, 5):
        settings = replace(SETTINGS, step=step, dense_adam=dense)
        ours, theirs = (backend.step(shots, settings) for backend in (native, twin))
        for a, b in zip(ours, theirs, strict=True):
            assert (a.exposure is None) == (b.exposure is None)
            if a.exposure is not None and b.exposure is not None:
                assert np.allclose(a.exposure, b.exposure, rtol=1e-3, atol=1e-4 * np.abs(b.exposure).max())
    assert native.take_loss() == pytest.approx(twin.take_loss(), rel=1e-4)
    gap = np.abs(native.state()["rows"] - twin.state()["rows"])
    limit = np.full(59, 1.25e-4)
    limit[:3], limit[3:7], limit[7:10], limit[10], limit[11:14] = 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3
    # As for one photo: Adam moves by a whole step where a gradient vanishes, so nearly all agree and none is far off.
    assert np.mean(gap < 0.02 * limit) > 0.97
    assert np.all(gap <= 8 * limit)
    assert np.allclose(native.statistics().visible, twin.statistics().visible, atol=1)
    still = (native.state()["rows"][:8] == rows[:8]).all()
    assert still != dense  # the regularizers move a splat that nobody sees, unless Adam is sparse


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_photo_twice_is_the_photo_once(splat_scene: SplatScene, backend: str) -> None:
    targets = targets_of(splat_scene(views=1))
    rows = rows_from_splats(true_splats(20))
    once, twice = (open_backend(backend, rows, targets, 64, statistics=False) for _ in range(2))
    shot = Shot(0, targets[0].view, TINT)
    (single,), both = once.step([shot], SETTINGS), twice.step([shot, shot], SETTINGS)
    assert single.exposure is not None and both[1].exposure is not None
    assert np.allclose(single.exposure, both[1].exposure, rtol=1e-5, atol=1e-7)
    a, b = once.state(), twice.state()
    scale = np.abs(a["exp_avg"]).max(axis=0) + 1e-12
    assert np.abs(a["exp_avg"] - b["exp_avg"]).max() <= 1e-5 * scale.max()
    assert once.take_loss() == pytest.approx(twice.take_loss(), rel=1e-6)


def test_batches_walk_through_the_same_shuffles() -> None:
    one, three = TrainConfig(seed=2), TrainConfig(seed=2, batch=3)
    singles = [views_at(one, step, 7)[0] for step in range(1, 22)]
    assert [v for step in range(1, 8) for v in views_at(three, step, 7)] == singles


# Exposure


def test_the_mean_of_the_maps_is_the_identity_whatever_is_learnt() -> None:
    config = TrainConfig(steps=40, exposure="affine")
    exposures = Exposures(config, 4)
    assert all(np.array_equal(exposures.value(t), IDENTITY) for t in range(4))
    rng = np.random.default_rng(0)
    for step in range(1, 41):
        exposures.update(step % 4, rng.normal(size=(3, 4)).astype(np.float32), step)
    assert np.abs(exposures.values() - IDENTITY).max() > 1e-3
    assert np.allclose(exposures.values().mean(0), IDENTITY, atol=1e-6)


def test_exposures_warm_up_slow_down_and_pass_over_what_is_no_number() -> None:
    config = TrainConfig(steps=1000, exposure="affine")
    exposures = Exposures(config, 100)
    assert exposures.rate(1) == 0.0
    warm = round(WARM_UP * 1000)
    assert 0 < exposures.rate(warm // 2) < exposures.rate(warm + 1) > exposures.rate(900) > 0
    exposures.update(3, np.full((3, 4), np.nan, np.float32), 500)
    assert np.array_equal(exposures.values(), np.repeat(IDENTITY[None], 100, 0))


def test_exposures_come_back_from_a_checkpoint() -> None:
    config = TrainConfig(steps=40, exposure="affine")
    rng = np.random.default_rng(0)
    gradients = [ShotGradients(g) for g in rng.normal(size=(40, 3, 4)).astype(np.float32)]
    shots = [Shot(step % 4, None, IDENTITY) for step in range(40)]  # type: ignore[arg-type]
    through, broken = learnt(config, 4), learnt(config, 4)
    for step in range(1, 41):
        through.update([shots[step - 1]], [gradients[step - 1]], step)
        if step <= 20:
            broken.update([shots[step - 1]], [gradients[step - 1]], step)
    again = learnt(config, 4)
    again.restore(broken.state())
    for step in range(21, 41):
        again.update([shots[step - 1]], [gradients[step - 1]], step)
    assert again.exposure is not None and through.exposure is not None
    assert np.array_equal(again.exposure.values(), through.exposure.values())
    with pytest.raises(ValueError, match="exposures of 4 photos"):
        learnt(config, 5).restore(broken.state())


def learnt(config: TrainConfig, count: int) -> Learnt:
    return Learnt(config, [None] * count, np.zeros((0, 3), np.float32))  # type: ignore[list-item]


def tinted(scene: PosedScene, spread: float) -> np.ndarray:
    """Puts a gain and an offset on every photo of the scene; returns the maps (frames, 3, 4)."""
    rng = np.random.default_rng(7)
    maps = np.repeat(IDENTITY[None], len(scene.capture.frames), 0)
    for frame, matrix in zip(scene.capture.frames, maps, strict=True):
        matrix[:, :3] = np.diag(rng.uniform(1 - spread, 1.0, 3))  # nothing is clipped
        matrix[:, 3] = rng.uniform(0, 0.25 * spread, 3)
        path = scene.capture.image_path(frame)
        rgb = np.asarray(PIL.Image.open(path)) / 255.0
        PIL.Image.fromarray(np.round((rgb @ matrix[:, :3].T + matrix[:, 3]) * 255).astype(np.uint8)).save(path)
    return maps


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the native kernels are not built")
def test_exposures_that_were_put_on_the_photos_are_found(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=16)
    maps = tinted(scene, 0.4)
    config = TrainConfig(
        steps=1500, max_size_px=None, hold_out="view_05", max_splats=150, start=Start(min_points=60), background="black"
    )
    scores = {}
    for exposure in ("none", "affine"):
        result = train_splats(scene, tmp_path / exposure, replace(config, exposure=exposure))  # type: ignore[arg-type]
        drawn = rasterize(result.splats, scene.camera(scene.capture.frame("view_05.png")),
                          scene.cam_from_world["view_05.png"], backend="cpu")  # fmt: skip
        truth = np.asarray(PIL.Image.open(scene.capture.images / "view_05.png")).astype(np.float32) / 255
        ours = correct_colours(np.clip(drawn.rgb, 0, 1), truth, np.ones(truth.shape[:2], bool))
        scores[exposure] = -10 * np.log10(np.mean((ours - truth) ** 2))
    assert result.exposures is not None
    assert np.allclose(result.exposures.mean(0), IDENTITY, atol=1e-5)
    # The gauge: one map G of the scene's colours c with E_t G c = T_t c for all t, found by least squares.
    whole = lambda m: np.concatenate([m, np.broadcast_to([[[0, 0, 0, 1]]], (len(m), 1, 4))], 1)  # noqa: E731
    true = whole(np.delete(maps, 5, axis=0))
    gauge = np.linalg.lstsq(whole(result.exposures).reshape(-1, 4), true.reshape(-1, 4), rcond=None)[0]
    colors = np.concatenate([np.random.default_rng(0).uniform(0.1, 0.9, (200, 3)), np.ones((200, 1))], 1)
    left = (whole(result.exposures) @ gauge - true)[:, :3] @ colors.T
    spread = (true - true.mean(0))[:, :3] @ colors.T
    # Measured: a fifth; what keeps the maps near the identity and 15 photos of a tiny scene leave that much.
    assert left.std() < 0.6 * spread.std(), (left.std(), spread.std())
    # Measured: 29.5 dB without, 33.3 with.
    assert scores["affine"] > scores["none"] + 2.0, scores
