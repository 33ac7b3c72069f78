"""The sky's first splats: which cells show it, and how far away they are put."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.kernels import View
from diorama.reconstruct.train import Start, TrainConfig
from diorama.reconstruct.train.backends import Target
from diorama.reconstruct.train.cover import cover_views
from diorama.reconstruct.train.initialize import first_rows
from diorama.reconstruct.train.sky import FAR, distance_to_shell, is_open_above, is_sky, sky_shell
from diorama.reconstruct.train.table import MEAN

UP = np.array([0.0, -1.0, 0.0])
"""Cameras of this file stand upright in a world with +y down, as OpenCV's camera axes."""


def pose_at(*centre: float) -> Pose:
    return Pose(np.eye(3), -np.array(centre))


CAMERAS = [pose_at(-1.0, 0.0, 0.0), pose_at(1.0, 0.0, 0.0)]
GROUND = np.stack(np.meshgrid(np.linspace(-4, 4, 9), [1.0], np.linspace(2, 8, 9)), -1).reshape(-1, 3)


def photo(noise: float = 0.0) -> np.ndarray:
    """A bright upper half over a dark lower one, 60x40."""
    rgb = np.full((40, 60, 3), 60.0)
    rgb[:20] = 210.0
    rgb += np.random.default_rng(0).normal(0, noise, (40, 60, 1))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def view_at(x: float) -> View:
    matrix = np.eye(3, 4, dtype=np.float32)
    matrix[0, 3] = -x
    return View(60, 40, 40.0, 40.0, 30.0, 20.0, matrix)


def test_the_shell_is_far_behind_the_farthest_points_and_around_the_cameras() -> None:
    shell = sky_shell(GROUND, CAMERAS, UP)
    assert shell is not None
    assert np.allclose(shell.middle, 0)
    farthest = np.linalg.norm(GROUND, axis=1).max()
    assert 0.9 * FAR * farthest < shell.radius <= FAR * farthest
    assert sky_shell(np.zeros((0, 3)), CAMERAS, UP) is None
    origin, directions = np.array([0.5, 1.0, -2.0]), np.array([[0.0, 0.0, 1.0], [0.6, -0.8, 0.0]])
    ends = origin + distance_to_shell(shell, origin, directions)[:, None] * directions
    assert np.allclose(np.linalg.norm(ends, axis=1), shell.radius)


def test_sky_is_above_the_horizon_bright_and_smooth() -> None:
    shell = sky_shell(GROUND, CAMERAS, UP)
    assert shell is not None
    up, down = [0.0, -0.6, 0.8], [0.0, 0.6, 0.8]
    directions = np.array([up, down, up, up])
    assert is_sky(shell, directions, np.array([0.8, 0.8, 0.1, 0.8]), np.array([0.01, 0.01, 0.01, 0.3])).tolist() == [
        True, False, False, False,
    ]  # fmt: skip


def test_cells_of_the_sky_are_put_on_the_shell_and_others_at_their_neighbours_depth() -> None:
    shell = sky_shell(GROUND, CAMERAS, UP)
    assert shell is not None
    targets = [Target(view_at(x), photo(), None) for x in (-1.0, 1.0)]
    cover = cover_views(GROUND, targets, 12, 1000, shell)
    far = np.abs(np.linalg.norm(cover.points, axis=1) - shell.radius) < 1e-6 * shell.radius
    assert far.any()
    assert np.allclose(cover.colors[far], 210 / 255)
    assert (cover.points[far] @ UP > 0).all()
    assert (np.linalg.norm(cover.points[~far], axis=1) <= np.linalg.norm(GROUND, axis=1).max() * 1.5).all()
    noisy = [Target(t.view, photo(60.0), None) for t in targets]
    assert np.linalg.norm(cover_views(GROUND, noisy, 12, 1000, shell).points, axis=1).max() < shell.radius / 2
    assert np.linalg.norm(cover_views(GROUND, targets, 12, 1000).points, axis=1).max() < shell.radius / 2


def test_under_a_ceiling_there_is_no_sky_unless_asked_for() -> None:
    ceiling = GROUND * [0.2, -3.0, 0.2]
    shell = sky_shell(GROUND, CAMERAS, UP)
    assert shell is not None
    assert is_open_above(GROUND, shell)
    room = np.concatenate([GROUND, ceiling])
    assert not is_open_above(room, shell)
    targets = [Target(view_at(0.0), photo(), None)]
    reach = {}
    for sky in ("auto", "on", "off"):
        config = TrainConfig(start=Start(sky=sky, min_points=1))  # type: ignore[arg-type]
        rows = first_rows(room, np.zeros((len(room), 3), np.uint8), CAMERAS, config, targets, UP)
        reach[sky] = float(np.linalg.norm(rows[:, MEAN], axis=1).max())
    assert reach["on"] > 2 * reach["auto"] == 2 * reach["off"]
    with pytest.raises(InputError, match=r"start\.sky"):
        TrainConfig(start=Start(sky="blue"))  # type: ignore[arg-type]
