"""Training from photos to splats on a tiny scene, on every backend this machine has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Evaluated, Event, Finished, Progressed, Started
from diorama.capture.types import PosedScene, SparsePoints
from diorama.reconstruct.train import LearningRates, Start, TrainConfig, TrainingDivergedError, train_splats
from diorama.reconstruct.train.backends import Shot, StepSettings, Target, open_backend
from diorama.reconstruct.train.backends.native import NativeSteps
from diorama.reconstruct.train.dropout import Dropout
from diorama.render.rasterize import available_backends, rasterize, view_of

from .conftest import SplatScene, true_splats

BACKENDS = available_backends()
TINY = TrainConfig(
    steps=300,
    max_size_px=None,
    hold_out="none",
    max_splats=150,
    background="black",
    start=Start(min_points=60),
    checkpoint_every=100,
    log_every=50,
)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return -10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2))


def held_out_psnr(scene: PosedScene, result_splats: object, name: str) -> float:
    frame = scene.capture.frame(name)
    photo = np.asarray(PIL.Image.open(scene.capture.image_path(frame))) / 255.0
    drawn = rasterize(result_splats, scene.camera(frame), scene.cam_from_world[name], backend="torch")  # type: ignore[arg-type]
    return psnr(np.clip(drawn.rgb, 0, 1), photo)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("strategy", ["mcmc", "classic", "fast"])
def test_a_tiny_scene_is_learned(splat_scene: SplatScene, tmp_path: Path, backend: str, strategy: str) -> None:
    scene = splat_scene(views=12)
    events: list[Event] = []
    # A flat picture of the mean colour has 13.4 dB. Measured on the photo that was never shown: 28.3 to 28.9 dB after
    # 300 steps, 24.4 to 24.6 after 120, which is what the slow twin gets.
    steps, least_db = (120, 22.5) if backend == "torch" else (300, 26.5)
    least_db -= 2.5 if strategy == "fast" else 0.0  # 24.5: it grows slowly, and 300 steps are few for its opacities
    config = replace(TINY, backend=backend, strategy=strategy, hold_out="view_05", steps=steps)  # type: ignore[arg-type]
    result = train_splats(scene, tmp_path / "out", config, on_event=events.append)
    assert held_out_psnr(scene, result.splats, "view_05.png") > least_db
    assert result.held_out == ("view_05.png",)
    assert len(result.trained) == 11
    assert 60 <= len(result.splats) <= 150
    # World frame: where the truth is, 30 units from the origin.
    middle = true_splats(40).means.mean(0)
    assert np.linalg.norm(np.median(result.splats.means, axis=0) - middle) < 3

    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["iterations"] == steps
    logged = [*range(50, steps, 50), steps]
    assert record["history"]["step"] == logged
    assert {len(column) for column in record["history"].values()} == {len(logged)}
    assert record["history"]["loss"][-1] < record["history"]["loss"][0]
    assert record["history"]["psnr_db"][-1] > 20
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(e, Evaluated) for e in events) == len(logged)
    last = [e for e in events if isinstance(e, Progressed)][-1]
    assert (last.done, last.total) == (steps, steps)
    trained = len(result.splats) + sum(result.removed.values())
    assert last.detail == f"loss {record['history']['loss'][-1]:.3f}  {trained:,} splats"


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the native kernels are not built")
@pytest.mark.parametrize(("absolute", "with_dropout"), [(False, False), (True, False), (True, True)])
def test_native_and_twin_take_the_same_steps(splat_scene: SplatScene, absolute: bool, with_dropout: bool) -> None:
    scene = splat_scene(views=3)
    rng = np.random.default_rng(1)
    frames = scene.capture.frames
    targets = []
    for frame in frames:
        rgb = np.asarray(PIL.Image.open(scene.capture.image_path(frame)))
        mask = (rng.random(rgb.shape[:2]) > 0.1).astype(np.uint8) * 255
        targets.append(Target(view_of(scene.camera(frame), scene.cam_from_world[frame.name]), rgb, mask))
    from diorama.reconstruct.train.table import Drawn, rows_from_splats

    rows = rows_from_splats(true_splats(40, seed=3))
    rows += rng.normal(0, 0.05, rows.shape).astype(np.float32)
    native, twin = (
        open_backend(name, rows, targets, 64, statistics=True, absolute=absolute) for name in ("cpu", "torch")
    )
    for step in range(1, 11):
        settings = StepSettings(
            step, 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3, 1.25e-4, min(3, step // 2), 0.2, (0.2, 0.5, 0.7), 0.01, 0.01
        )
        for backend in (native, twin):
            dropout = Dropout(0.05 * step, 7, step) if with_dropout else None
            backend.step([Shot(step % 3, targets[step % 3].view, dropout=dropout)], settings)
    assert native.take_loss() == pytest.approx(twin.take_loss(), rel=1e-4)
    # Adam moves a parameter by its whole step whatever the gradient's size, so rounding of a vanishing gradient may
    # turn a few steps around: nearly all agree tightly, none is off by more than the steps taken.
    gap = np.abs(native.state()["rows"] - twin.state()["rows"])
    limit = np.full(59, 1.25e-4)
    limit[:3], limit[3:7], limit[7:10], limit[10], limit[11:14] = 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3
    assert np.mean(gap < 0.02 * limit) > 0.97
    assert np.all(gap <= 20 * limit)
    assert np.allclose(native.statistics().visible, twin.statistics().visible, atol=1)
    ours, theirs = native.statistics().grad_norm, twin.statistics().grad_norm
    assert np.allclose(ours, theirs, rtol=0.02, atol=0.01 * theirs.max())

    def weigh(drawn: Drawn) -> np.ndarray:
        return np.stack([np.ones_like(drawn.alpha), drawn.rgb[..., 0] - 0.3])

    native.restore(twin.state())
    totals = [backend.contribution(targets[0].view, 3, weigh) for backend in (native, twin)]
    assert totals[0].shape == (2, 40)
    assert np.allclose(totals[0], totals[1], atol=1e-4 * np.abs(totals[1]).max())  # float32 sums of up to 1200 pixels


@pytest.mark.gpu
@pytest.mark.skipif("gsplat" not in BACKENDS, reason="no GPU with gsplat here")
def test_gsplat_and_twin_take_the_same_steps(splat_scene: SplatScene) -> None:
    scene = splat_scene(views=3)
    from diorama.reconstruct.train.table import rows_from_splats

    targets = []
    for frame in scene.capture.frames:
        rgb = np.asarray(PIL.Image.open(scene.capture.image_path(frame)))
        targets.append(Target(view_of(scene.camera(frame), scene.cam_from_world[frame.name]), rgb, None))
    rows = rows_from_splats(true_splats(40))
    rows += np.random.default_rng(1).normal(0, 0.05, rows.shape).astype(np.float32)
    gpu, twin = (open_backend(name, rows, targets, 64, statistics=True) for name in ("gsplat", "torch"))
    for step in range(1, 11):
        settings = StepSettings(step, 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3, 1.25e-4, 3, 0.2, (0.2, 0.5, 0.7), 0.01, 0.01)
        for backend in (gpu, twin):
            backend.step([Shot(step % 3, targets[step % 3].view)], settings)
    assert gpu.take_loss() == pytest.approx(twin.take_loss(), rel=2e-3)
    gap = np.abs(gpu.state()["rows"] - twin.state()["rows"])
    limit = np.full(59, 1.25e-4)
    limit[:3], limit[3:7], limit[7:10], limit[10], limit[11:14] = 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3
    assert np.mean(gap < 0.1 * limit) > 0.95
    ours, theirs = gpu.statistics().grad_norm, twin.statistics().grad_norm
    assert np.allclose(ours, theirs, rtol=0.05, atol=0.02 * theirs.max())
    assert np.allclose(gpu.picture(targets[0].view, 3), twin.picture(targets[0].view, 3), atol=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_table_edits_what_it_says(backend: str, splat_scene: SplatScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diorama.reconstruct.train.backends.native.PART", 1)  # moments go through more than one
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(21, 59)).astype(np.float32)
    view = view_of(Camera.pinhole(8, 6, 8, 8, 4, 3), splat_scene(views=1).cam_from_world["view_00.png"])
    table = open_backend(backend, rows, [Target(view, np.zeros((6, 8, 3), np.uint8), None)], 64, statistics=True)
    state = {k: v.copy() for k, v in table.state().items()}
    for name in ("exp_avg", "exp_avg_sq", "grad_norm", "visible"):
        state[name] = rng.integers(0, 128, state[name].shape).astype(np.float32) / 128 + 1  # as bfloat16 can hold
    table.restore(state)
    assert all(np.array_equal(table.state()[k], state[k]) for k in state)
    assert np.array_equal(table.column(slice(7, 10)), rows[:, 7:10])

    index, new = np.array([20, 3]), rng.normal(size=(2, 59)).astype(np.float32)
    table.replace(index, new)
    assert np.array_equal(table.rows(index), new)
    assert np.array_equal(table.rows(np.array([4])), rows[[4]])
    assert not table.state()["exp_avg"][index].any()
    assert np.array_equal(table.state()["exp_avg"][4], state["exp_avg"][4])

    table.append(new)
    assert table.count == 23
    assert np.array_equal(table.rows(np.array([21, 22])), new)
    assert not table.state()["exp_avg_sq"][21:].any()
    assert np.array_equal(table.statistics().visible, np.append(state["visible"], [0, 0]).astype(np.float32))

    table.set_column(slice(10, 11), np.full((23, 1), -3, np.float32))
    assert np.array_equal(table.column(slice(10, 11)), np.full((23, 1), -3))
    assert not table.state()["exp_avg"][:, 10].any()
    assert table.state()["exp_avg"][4, 11] == state["exp_avg"][4, 11]

    left = np.array([0, 4, 5, 22])
    table.keep(left)
    assert table.count == 4
    assert np.array_equal(table.state()["rows"][:, :10], np.concatenate([rows[[0, 4, 5]], new[1:]])[:, :10])
    assert np.array_equal(table.statistics().grad_norm, np.append(state["grad_norm"][[0, 4, 5]], 0).astype(np.float32))
    table.clear_statistics()
    assert not table.statistics().grad_norm.any()

    before = table.column(slice(0, 3))
    table.add_noise(1.0, 3, 7)
    once = table.column(slice(0, 3))
    assert not np.array_equal(before, once)


@pytest.mark.parametrize("backend", BACKENDS)
def test_few_views_and_tiny_pictures_do_not_crash(splat_scene: SplatScene, tmp_path: Path, backend: str) -> None:
    scene = splat_scene(views=2, width=5, height=3, points=1)
    scene = replace(scene, points=SparsePoints.empty())
    config = replace(TINY, steps=30, backend=backend, hold_out="every:8")  # type: ignore[arg-type]
    result = train_splats(scene, tmp_path / "out", config)
    assert result.held_out == ()
    assert np.isfinite(result.splats.means).all()


def test_nothing_to_train_on_is_said(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = replace(splat_scene(views=2, width=5, height=3), cam_from_world={})
    with pytest.raises(InputError, match="nothing to train on"):
        train_splats(scene, tmp_path / "out", TINY)


@pytest.mark.parametrize("backend", BACKENDS)
def test_divergence_is_said(splat_scene: SplatScene, tmp_path: Path, backend: str) -> None:
    scene = splat_scene(views=2, width=8, height=6)
    rates = LearningRates(sh0=1e30)
    config = replace(TINY, backend=backend, learning_rates=rates, steps=100)  # type: ignore[arg-type]
    with pytest.raises(TrainingDivergedError, match="diverged before step 50"):
        train_splats(scene, tmp_path / "out", config)


def test_a_step_has_the_rates_of_its_time(
    splat_scene: SplatScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The means' falls from the first step to the last, others in the end; with four photos a step twice as large."""
    taken: list[StepSettings] = []
    step = NativeSteps.step

    def note(self: NativeSteps, shots: list[Shot], settings: StepSettings) -> object:
        taken.append(settings)
        return step(self, shots, settings)

    monkeypatch.setattr(NativeSteps, "step", note)
    rates = LearningRates(
        means=1e-3, means_final=1e-5, sh0=4e-3, sh_rest=1e-3, settle=0.5, settle_after=0, settled=0.01
    )
    config = replace(TINY, backend="cpu", steps=20, batch=4, learning_rates=rates)
    train_splats(splat_scene(views=2, width=8, height=6), tmp_path / "out", config)
    assert [s.lr_means for s in (taken[0], taken[-1])] == pytest.approx([2e-3, 2e-5])
    assert [s.lr_sh0 for s in (taken[0], taken[9], taken[14], taken[19])] == pytest.approx([8e-3, 8e-3, 8e-4, 8e-5])
    settling = ("lr_logit_opacities", "lr_sh0", "lr_sh_rest")
    assert [getattr(taken[19], name) / getattr(taken[0], name) for name in settling] == pytest.approx([0.01] * 3)
    assert all(getattr(taken[19], name) == getattr(taken[0], name) for name in ("lr_quats", "lr_log_scales"))
