"""Cropping, decimating and floater filters, by hand-made scenes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from diorama.capture.transforms import Sim3, rotation_from_quaternion
from diorama.render import Splats
from diorama.render import edit as e
from diorama.render.transform import sh_basis, transform_splats, with_up


def line(count: int = 10) -> Splats:
    """Splats at x = 0, 1, 2, ..., of size 0.1 and opacity one half."""
    means = np.zeros((count, 3), np.float32)
    means[:, 0] = np.arange(count)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    scales = np.full((count, 3), np.log(0.1), np.float32)
    return Splats(means, quats, scales, np.zeros(count, np.float32), np.zeros((count, 4, 3), np.float32))


def xs(splats: Splats) -> list[float]:
    return [float(x) for x in splats.means[:, 0]]


def test_crops_keep_what_lies_inside_and_on_the_border() -> None:
    assert xs(e.crop_box(line(), (2, -1, -1), (4, 1, 1))) == [2, 3, 4]
    assert xs(e.crop_box(line(), (2, 1, -1), (4, 2, 1))) == []
    assert xs(e.crop_sphere(line(), (5, 0, 0), 1.0)) == [4, 5, 6]


def test_decimate_keeps_opaque_and_large_splats_in_their_order() -> None:
    splats = line()
    splats.logit_opacities[[7, 2]] = 5.0
    splats.log_scales[4] = np.log(10.0)
    assert xs(e.decimate(splats, 3)) == [2, 4, 7]
    assert e.decimate(splats, 10) is splats
    with pytest.raises(ValueError, match="at least one"):
        e.decimate(splats, 0)


def test_importance_is_opacity_squared_times_the_width_of_the_largest_face() -> None:
    splats = line(2)
    splats.log_scales[1] = np.log([0.4, 0.4, 1e-9])  # its face is four times as wide, however thin it is
    assert np.isclose(np.diff(e.importance(splats))[0], np.log(4), atol=1e-5)
    splats = line(2)
    splats.logit_opacities[:] = np.log([1 / 3, 1])  # opacities 1/4 and 1/2
    assert np.isclose(np.diff(e.importance(splats))[0], np.log(4), atol=1e-5)


def test_filters_leave_out_faint_large_and_lonely_splats() -> None:
    splats = line(40)
    splats.logit_opacities[3] = -5.0
    assert 3 not in xs(e.without_faint(splats, 0.1)) and len(e.without_faint(splats, 0.5)) == 39
    splats.log_scales[5, 1] = np.log(3.0)
    assert 5 not in xs(e.without_large(splats, 1.0)) and len(e.without_large(splats, 3.001)) == 40
    splats = line(40)
    splats.means[39] = (0, 500, 0)
    assert len(e.without_isolated(splats, 10.0)) == 39
    splats.log_scales[39] = np.log(300.0)  # as large as the gap: a piece of sky, no floater
    assert len(e.without_isolated(splats, 10.0)) == 40
    assert len(e.without_isolated(line(5), 1.0)) == 5


def test_a_lower_degree_of_harmonics_is_a_prefix() -> None:
    splats = line()
    assert e.with_sh_degree(splats, 0).sh.shape == (10, 1, 3) and e.with_sh_degree(splats, 3) is splats


@pytest.mark.parametrize("up", ["+z", "-y", "+y"])
def test_with_up_turns_what_was_up_to_the_top_and_looks_the_same(up: str) -> None:
    """The splat's colour seen along a turned direction, and its ellipsoid, turn along; twice is there and back."""
    rng = np.random.default_rng(5)
    quats = rng.normal(size=(4, 4)).astype(np.float32)
    sh = rng.normal(size=(4, 16, 3)).astype(np.float32)
    means, scales = (rng.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
    splats = dataclasses.replace(Splats(means, quats, scales, np.zeros(4, np.float32), sh).normalized(), up=up)
    turned = with_up(splats, "+y")
    axis = {"+z": [0, 0, 1.0], "-y": [0, -1.0, 0], "+y": [0, 1.0, 0]}[up]
    height = splats.means @ np.array(axis, np.float32)
    assert np.allclose(turned.means[:, 1], height, atol=1e-6) and turned.up == "+y"
    back = with_up(turned, up)
    for name in ("means", "quats", "log_scales", "sh"):
        assert np.allclose(getattr(back, name), getattr(splats, name), atol=2e-6), name
    rotation = np.linalg.lstsq(splats.means.astype(float), turned.means.astype(float), rcond=None)[0].T
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    here = sh_basis(direction[None], 3) @ splats.sh[0]
    there = sh_basis((rotation @ direction)[None], 3) @ turned.sh[0]
    assert np.allclose(here, there, atol=1e-5)
    a, b = (rotation_from_quaternion(s.quats[0]) @ np.diag(s.scales[0]) for s in (splats, turned))
    assert np.allclose(rotation @ a @ a.T @ rotation.T, b @ b.T, rtol=1e-4, atol=1e-4 * float((b @ b.T).max()))


def test_up_goes_along_with_every_edit() -> None:
    splats = dataclasses.replace(line(), up="-y")
    moved = transform_splats(splats, Sim3(2.0, np.eye(3), np.zeros(3)))
    assert moved.up == e.decimate(splats, 2).up == splats.normalized().up == "-y"
