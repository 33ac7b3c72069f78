"""Pose refinement: its parts by hand, what it gives to the result, and what a break does to it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from diorama import kernels
from diorama.capture.transforms import Pose, Sim3
from diorama.kernels import View, twin
from diorama.reconstruct.train import Start, TrainConfig, train_splats
from diorama.reconstruct.train.backends import Shot, StepSettings, Target, open_backend
from diorama.reconstruct.train.pose_refinement import PoseRefinement, alignment, exp_twist, unit_motions
from diorama.render.rasterize import available_backends
from diorama.render.synthetic import compare_cameras

from .conftest import SplatScene
from .test_train_antialiasing import some_rows
from .test_train_resume import Stop, as_bytes

BACKENDS = available_backends()
CONFIG = TrainConfig(
    steps=80,
    max_size_px=None,
    hold_out="none",
    max_splats=80,
    refine_poses=True,
    start=Start(min_points=60),
    checkpoint_every=30,
    log_every=40,
)
VIEW = View(40, 30, 36.0, 36.0, 20.0, 15.0, np.eye(3, 4, dtype=np.float32))
POINTS = np.random.default_rng(3).uniform([-1, -1, 2], [1, 1, 5], (200, 3))


def bench(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [0.0, 1e-8, 1e-3, 1.0, 3.0])
def test_a_twist_is_the_twins(size: float) -> None:
    twist = np.array([0.3, -0.2, 0.5, 0.6, -0.48, 0.64]) * size
    assert np.allclose(exp_twist(twist), twin.exp_twist(torch.tensor(twist)).numpy(), atol=1e-12)


def test_unit_motions_move_the_picture_by_its_longer_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """By differences: a thousandth of each motion moves the points by about a thousandth of 40 pixels, root mean
    square, and two motions' displacements are nearly uncorrelated."""
    monkeypatch.setattr("diorama.reconstruct.train.pose_refinement.DAMPING", 1e-3)
    motions = unit_motions(VIEW, POINTS)

    def pixels(twist: np.ndarray) -> np.ndarray:
        moved = exp_twist(twist)
        x, y, z = (POINTS @ moved[:3, :3].T + moved[:3, 3]).T
        seen = (np.abs(POINTS[:, 0] / POINTS[:, 2]) < 20 / 36) & (np.abs(POINTS[:, 1] / POINTS[:, 2]) < 15 / 36)
        return (36.0 * np.stack([x / z, y / z], -1))[seen].ravel()

    shifts = np.array([pixels(1e-3 * motion) - pixels(np.zeros(6)) for motion in motions.T]) / 0.04
    gram = shifts @ shifts.T / (shifts.shape[1] / 2)
    assert (np.abs(np.diag(gram) - 1.0) < 0.35).all(), "rays beside the axis turn less than their pixels move"
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 0.25
    assert np.isfinite(unit_motions(VIEW, np.zeros((0, 3)))).all(), "no point in sight"


def test_adam_walks_against_the_gradient_once_warmed_up() -> None:
    poses = PoseRefinement(replace(CONFIG, steps=100), [VIEW, VIEW], POINTS)
    push = np.array([1.0, 0, 0, 0, 0, 0], np.float32)
    poses.update(0, push, 1)
    assert np.array_equal(poses.value(0), VIEW.cam_from_world), "too early"
    poses.update(0, np.full(6, np.nan, np.float32), 50)
    assert np.array_equal(poses.value(0), VIEW.cam_from_world), "no number moves nothing"
    poses.update(0, push, 50)
    assert poses.value(0)[0, 3] < 0
    assert np.array_equal(poses.value(1), VIEW.cam_from_world)
    other = PoseRefinement(replace(CONFIG, steps=100), [VIEW, VIEW], POINTS)
    other.restore(poses.state())
    for it in (poses, other):
        it.update(0, push, 51)
    assert np.array_equal(poses.value(0), other.value(0))
    with pytest.raises(ValueError, match="2 photos"):
        PoseRefinement(CONFIG, [VIEW], POINTS).restore(poses.state())


def ring(count: int, radius: float = 2.0) -> list[Pose]:
    poses = []
    for i in range(count):
        turn = exp_twist(np.array([0, 0, 0, 0.1 * i, 2 * np.pi * i / count, 0.05]))[:3, :3]
        poses.append(Pose(turn, -turn @ (radius * np.array([np.cos(i), np.sin(i), 0.1 * i]))))
    return poses


def test_alignment_undoes_a_motion_of_all() -> None:
    moved = Sim3(1.7, exp_twist(np.array([0, 0, 0, 0.3, -0.5, 0.2]))[:3, :3], np.array([1.0, 2.0, -3.0]))
    before = ring(7)
    back = alignment(before, [moved.transform_camera(pose) for pose in before])
    assert np.allclose((back @ moved).matrix(), np.eye(4), atol=1e-9)
    one_spot = [Pose(pose.rotation, np.zeros(3)) for pose in before]
    turned = [Pose(pose.rotation @ moved.rotation.T, np.zeros(3)) for pose in one_spot]
    assert np.allclose(alignment(one_spot, turned).rotation, moved.rotation.T, atol=1e-9)
    assert alignment(one_spot[:1], turned[:1]).scale == 1.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_give_the_kernels_gradient(backend: str) -> None:
    rows = some_rows(40)
    photo = (np.random.default_rng(0).random((30, 40, 3)) * 255).astype(np.uint8)
    table = open_backend(backend, rows, [Target(VIEW, photo, None)], 60, statistics=False)
    settings = StepSettings(1, *[1e-9] * 6, 3, 0.2, (0.1, 0.2, 0.3), 0.0, 0.0, pose_gradient=True)
    drawn = kernels.render(kernels.blocks_from_rows(rows), 40, VIEW, background=(0.1, 0.2, 0.3))
    kernels.render_backward(drawn.context, kernels.photo_loss(drawn.rgb, kernels.Photo(photo))[1])
    expected = drawn.context.d_camera
    for shots in ([Shot(0, VIEW)], [Shot(0, VIEW)] * 2):
        for gradients in table.step(shots, settings):
            assert gradients.camera is not None
            assert np.allclose(gradients.camera, expected, atol=2e-3 * np.abs(expected).max())
    assert table.step([Shot(0, VIEW)], replace(settings, pose_gradient=False))[0].camera is None


@pytest.mark.parametrize("backend", BACKENDS)
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
    assert resumed.refined_poses is not None and whole.refined_poses is not None
    assert list(whole.refined_poses) == list(whole.trained)
    for name, pose in whole.refined_poses.items():
        assert np.array_equal(pose.matrix(), resumed.refined_poses[name].matrix())
        assert not np.array_equal(pose.matrix(), scene.cam_from_world[name].matrix()), "it moved"
    told = json.loads((tmp_path / "whole" / "training.json").read_text())["refined_poses"]
    assert np.allclose(told[whole.trained[0]], whole.refined_poses[whole.trained[0]].matrix()[:3])
    # The world stays: all cameras together are where they were.
    back = alignment([scene.cam_from_world[n] for n in whole.trained], [whole.refined_poses[n] for n in whole.trained])
    assert np.allclose(back.matrix(), np.eye(4), atol=1e-5 * 30), "the scene is 30 units from the origin"


def test_small_errors_become_smaller(splat_scene: SplatScene, tmp_path: Path) -> None:
    """A tiny scene of 80 x 60 pixels; held-out cameras keep what they were given. Measured: 0.4 of the errors in places
    are left after 600 steps. The few blobs say too little about turns; the slow test below looks at those."""
    scene = splat_scene(views=12, width=80, height=60)
    truth = dict(scene.cam_from_world)
    start = bench("pose_refinement").disturbed(truth, 1.0, 0.02)
    config = replace(CONFIG, steps=600, max_splats=150, hold_out="view_05", backend="cpu", background="black")
    trained = train_splats(replace(scene, cam_from_world=start), tmp_path / "out", config)
    assert trained.refined_poses is not None and "view_05.png" not in trained.refined_poses
    before, after = compare_cameras(start, truth), compare_cameras(trained.refined_poses, truth)
    assert after.median_position < 0.6 * before.median_position


@pytest.mark.slow
def test_disturbed_cameras_come_back_to_a_tenth() -> None:
    _, after, _ = bench("pose_refinement").recover(steps=1_500)
    assert np.degrees(after.median_rotation_rad) <= 0.05
    assert after.median_position <= 0.001


@pytest.mark.slow
def test_a_model_trained_with_filters_holds_at_an_eighth() -> None:
    found = bench("antialiasing").compare("minimal", 192, 24, 1_000, 12_000)
    assert found[True][0.125] - found[False][0.125] >= 3.0
    assert found[True][1.0] - found[False][1.0] >= -1.0
