"""Training with Mip-Splatting's filters: the 3D filter's size, its end in the splats, and what a break does to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diorama import kernels
from diorama.kernels import View, twin
from diorama.reconstruct.train import Start, TrainConfig, train_splats
from diorama.reconstruct.train.backends import Shot, StepSettings, Target, open_backend
from diorama.reconstruct.train.smoothing import EVERY, Smoother, bake, smoothing_of
from diorama.reconstruct.train.table import COLUMNS, LOG_SCALE, LOGIT_OPACITY, Floats
from diorama.render.rasterize import available_backends, rasterize, view_of

from .conftest import SplatScene
from .test_train_resume import Stop, as_bytes

BACKENDS = available_backends()
CONFIG = TrainConfig(
    steps=80,
    max_size_px=None,
    hold_out="none",
    max_splats=80,
    antialiased=True,
    start=Start(min_points=60),
    checkpoint_every=30,
    log_every=40,
)


def some_rows(count: int) -> Floats:
    rng = np.random.default_rng(4)
    rows = np.zeros((count, COLUMNS), np.float32)
    rows[:, :3] = rng.uniform(-1, 1, (count, 3)) + [0, 0, 3]
    rows[:, 3:7] = rng.normal(size=(count, 4))
    rows[:, LOG_SCALE] = rng.normal(-3, 0.7, (count, 3))
    rows[:, LOGIT_OPACITY] = rng.normal(0, 4, (count, 1))
    return rows


def views() -> list[View]:
    near, far = np.eye(3, 4, dtype=np.float32), np.eye(3, 4, dtype=np.float32)
    far[2, 3] = 3.0
    return [View(40, 30, 36.0, 36.0, 20.0, 15.0, m) for m in (near, far)]


def test_the_filter_is_a_part_of_the_finest_pixel() -> None:
    """Sampled 0.1 apart: variance 0.2 squared pixels of 0.1. Unseen splats are as coarse as the coarsest seen."""
    found = smoothing_of(np.array([0.1, np.inf, 0.3], np.float32))
    assert np.allclose(found, np.sqrt(0.2) * np.array([0.1, 0.3, 0.3]))
    assert not smoothing_of(np.array([np.inf], np.float32)).any()
    assert smoothing_of(np.zeros(0, np.float32)).shape == (0,)


def test_baking_is_the_twins_filter() -> None:
    rows, smoothing = some_rows(50), np.random.default_rng(1).random(50).astype(np.float32) * 0.2
    smoothing[:5] = 0.0
    rows[5, LOGIT_OPACITY], rows[6, LOGIT_OPACITY] = 30.0, -30.0
    baked = bake(rows, smoothing)
    t = torch.tensor(rows).double()
    scales, opacities = twin.smoothed(t[:, LOG_SCALE].exp(), torch.sigmoid(t[:, 10]), torch.tensor(smoothing).double())
    assert np.allclose(np.exp(baked[:, LOG_SCALE]), scales, rtol=1e-5)
    assert np.allclose(1 / (1 + np.exp(-baked[:, 10].astype(np.float64))), opacities, rtol=1e-5)
    assert np.array_equal(baked[:5], rows[:5]), "without smoothing nothing changes"
    assert np.isfinite(baked).all()
    others = np.ones(COLUMNS, bool)
    others[LOG_SCALE] = others[LOGIT_OPACITY] = False
    assert np.array_equal(baked[:, others], rows[:, others])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_steps_and_draws_with_the_filters(backend: str) -> None:
    """Against the kernels and the twin called by hand; edits keep the filter in line with the rows."""
    rows = some_rows(40)
    photo = (np.random.default_rng(0).random((30, 40, 3)) * 255).astype(np.uint8)
    targets = [Target(view, photo, None) for view in views()]
    table = open_backend(backend, rows, targets, 60, statistics=True, antialiased=True)
    table.smooth(views())
    smoothing = smoothing_of(kernels.sampling_intervals(kernels.blocks_from_rows(rows), 40, views()))
    assert np.allclose(table.state()["smoothing"], smoothing, rtol=1e-5)
    blocks = kernels.blocks_from_rows(rows)
    expected = kernels.render(blocks, 40, views()[0], antialiased=True, low_pass_px2=0.1, smoothing=smoothing).rgb
    assert np.allclose(table.picture(views()[0], 3), expected, atol=1e-3)
    plain = kernels.render(blocks, 40, views()[0]).rgb
    assert np.abs(expected - plain).max() > 0.02, "the filters are seen"

    settings = StepSettings(1, *[1e-9] * 6, 3, 0.2, (0.0, 0.0, 0.0), 0.0, 0.0)
    table.step([Shot(0, views()[0])], settings)
    native = kernels.Photo(photo)
    loss, d_rgb = kernels.photo_loss(expected, native)
    assert table.take_loss() == pytest.approx(loss, abs=1e-4)
    drawn = kernels.render(blocks, 40, views()[0], antialiased=True, low_pass_px2=0.1, smoothing=smoothing)
    gradient = kernels.rows_from_blocks(kernels.render_backward(drawn.context, d_rgb), 40)
    cut = 2**-7  # moments are kept as bfloat16
    assert np.allclose(10 * table.state()["exp_avg"], gradient, rtol=cut, atol=1e-3 * np.abs(gradient).max())

    before = table.edits
    table.append(some_rows(3))
    assert len(table.state()["smoothing"]) == 43
    table.keep(np.arange(5, 43))
    assert np.allclose(table.state()["smoothing"][:35], smoothing[5:], rtol=1e-5)
    table.replace(np.array([0]), some_rows(1))
    assert table.edits - before >= 3


def test_the_filter_follows_edits_and_the_hundredth_step() -> None:
    seen: list[str] = []

    class Table:
        edits = 0

        def smooth(self, views: object) -> None:
            seen.append("smooth")

    table, smoother = Table(), Smoother(views())
    smoother.start(table, resumed=False)  # type: ignore[arg-type]
    for step in (1, 2, EVERY, EVERY + 1):
        smoother.after_step(table, step)  # type: ignore[arg-type]
    assert seen == ["smooth"] * 2
    table.edits += 1
    smoother.after_step(table, EVERY + 2)  # type: ignore[arg-type]
    smoother.after_step(table, EVERY + 3)  # type: ignore[arg-type]
    assert seen == ["smooth"] * 3
    Smoother(views()).start(table, resumed=True)  # type: ignore[arg-type]
    assert seen == ["smooth"] * 3, "the checkpoint has it"


def test_the_splats_that_come_out_draw_what_training_saw(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=5, width=24, height=18)
    result = train_splats(scene, tmp_path / "out", replace(CONFIG, backend="cpu", background="black"))
    assert result.splats.is_antialiased
    frame = scene.registered[(len(scene.registered) - 1)]
    drawn = rasterize(result.splats, scene.camera(frame), scene.cam_from_world[frame.name]).rgb
    unfiltered = replace(result.splats, is_antialiased=False)
    assert np.abs(rasterize(unfiltered, scene.camera(frame), scene.cam_from_world[frame.name]).rgb - drawn).max() > 0.01
    # No splat is thinner than the filter of the nearest photo.
    poses = [scene.cam_from_world[f.name] for f in scene.registered]
    cameras = [view_of(scene.camera(f), pose) for f, pose in zip(scene.registered, poses, strict=True)]
    intervals = twin.sampling_intervals(torch.tensor(result.splats.means).double(), cameras).numpy()
    least = smoothing_of(intervals.astype(np.float32))
    assert (result.splats.scales.min(axis=1) >= 0.9 * least).all(), "centres moved a little since the last look"


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "gsplat"])  # see test_train_resume.py
def test_a_break_does_not_show(
    splat_scene: SplatScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr("diorama.reconstruct.train.loop.PROGRESS_EVERY_S", 0.0)
    scene = splat_scene(views=4, width=16, height=12)
    config = replace(CONFIG, backend=backend)  # type: ignore[arg-type]
    whole = train_splats(scene, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train_splats(scene, tmp_path / "broken", config, on_event=Stop(47))
    resumed = train_splats(scene, tmp_path / "broken", config)
    assert resumed.resumed_from == 47
    assert as_bytes(resumed) == as_bytes(whole)
