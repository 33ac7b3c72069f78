"""Splats in another frame look the same from a camera that moved along."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diorama.capture.transforms import Sim3, rotation_from_quaternion
from diorama.render import Splats
from diorama.render.transform import sh_basis, sh_rotation, swap_axes, transform_splats

Array = npt.NDArray[np.float64]
EPS = 1e-5  # float32 storage of values up to about 30

numbers = st.floats(-1, 1)
rotations = st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: sum(v * v for v in q) > 0.01)
sims = st.builds(
    lambda s, q, t: Sim3(s, rotation_from_quaternion(q), np.array(t)),
    st.floats(0.05, 20),
    rotations,
    st.tuples(*[st.floats(-10, 10)] * 3),
)


def make_splats(degree: int, count: int = 20) -> Splats:
    rng = np.random.default_rng(3)
    return Splats(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.normal(size=(count, 3)).astype(np.float32) - 3,
        rng.normal(size=count).astype(np.float32),
        rng.normal(size=(count, (degree + 1) ** 2, 3)).astype(np.float32),
    ).normalized()


def directions(count: int = 30) -> Array:
    d = np.random.default_rng(5).normal(size=(count, 3))
    unit: Array = d / np.linalg.norm(d, axis=1, keepdims=True)
    return unit


def colours(splats: Splats, along: Array) -> Array:
    """(directions, splats, 3)."""
    result: Array = 0.5 + np.einsum("dk,nkc->dnc", sh_basis(along, splats.sh_degree), splats.sh.astype(np.float64))
    return result


def covariances(splats: Splats) -> Array:
    half = rotation_from_quaternion(splats.quats) * splats.scales[:, None].astype(np.float64)
    return half @ half.transpose(0, 2, 1)


def assert_same_scene(a: Splats, b: Splats, matrix: Array, scale: float) -> None:
    """b shows in the frame reached by `matrix` (orthogonal) and `scale` what a shows in its own."""
    d = directions()
    assert np.abs(colours(a, d) - colours(b, d @ matrix.T)).max() < EPS
    wanted = scale**2 * matrix @ covariances(a) @ matrix.T
    assert np.abs(covariances(b) - wanted).max() <= EPS * np.abs(wanted).max()
    assert np.array_equal(a.logit_opacities, b.logit_opacities)
    for name in ("means", "quats", "log_scales", "sh"):
        assert getattr(b, name).flags.c_contiguous


def test_the_basis_is_orthonormal_and_has_the_reference_signs() -> None:
    """Gauss-Legendre in z and even steps around it integrate products of degree 6 exactly."""
    z, weight = np.polynomial.legendre.leggauss(8)
    phi = np.arange(16) * np.pi / 8
    r = np.sqrt(1 - z * z)[:, None]
    d = np.stack([r * np.cos(phi), r * np.sin(phi), np.broadcast_to(z[:, None], (8, 16))], -1).reshape(-1, 3)
    b = sh_basis(d, 3)
    gram = np.einsum("dk,dl,d->kl", b, b, np.repeat(weight, 16) * np.pi / 8)
    assert np.abs(gram - np.eye(16)).max() < 1e-12
    # 3DGS: degree 1 is (-y, z, -x).
    assert np.allclose(sh_basis(np.eye(3), 1)[:, 1:] / 0.4886025119029199, [[0, 0, -1], [-1, 0, 0], [0, 1, 0]])


@settings(max_examples=40, deadline=None)
@given(sim=sims, degree=st.integers(0, 3))
def test_the_scene_looks_the_same_from_the_moved_camera(sim: Sim3, degree: int) -> None:
    splats = make_splats(degree)
    moved = transform_splats(splats, sim)
    assert np.abs(moved.means - sim.apply(splats.means)).max() < 1e-5 * (1 + np.abs(moved.means).max())
    assert_same_scene(splats, moved, sim.rotation, sim.scale)
    assert (moved.quats[:, 0] >= 0).all() and np.abs(np.linalg.norm(moved.quats, axis=1) - 1).max() < 1e-6


def test_identity_changes_nothing() -> None:
    splats = make_splats(3)
    same = transform_splats(splats, Sim3.identity())
    for name in ("means", "log_scales", "logit_opacities"):
        assert np.array_equal(getattr(splats, name), getattr(same, name))
    assert np.abs(splats.sh - same.sh).max() < 1e-6 and np.abs(splats.quats - same.quats).max() < 1e-6


@settings(max_examples=25, deadline=None)
@given(a=sims, b=sims)
def test_two_steps_are_one(a: Sim3, b: Sim3) -> None:
    splats = make_splats(3)
    once, twice = transform_splats(splats, b @ a), transform_splats(transform_splats(splats, a), b)
    assert np.abs(once.means - twice.means).max() < EPS * (1 + np.abs(once.means).max())
    assert np.abs(once.log_scales - twice.log_scales).max() < EPS
    assert np.abs(once.sh - twice.sh).max() < EPS
    assert np.abs((once.quats * twice.quats).sum(1)).min() > 1 - 1e-6


@settings(max_examples=25, deadline=None)
@given(a=rotations, b=rotations)
def test_wigner_blocks_are_a_representation(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    ra, rb = rotation_from_quaternion(a), rotation_from_quaternion(b)
    da, db = sh_rotation(ra, 3), sh_rotation(rb, 3)
    assert np.abs(da @ da.T - np.eye(16)).max() < 1e-12
    assert np.abs(db @ da - sh_rotation(rb @ ra, 3)).max() < 1e-12


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_axes_are_swapped_and_mirrored(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
    splats = make_splats(3)
    other = swap_axes(splats, matrix)
    assert np.allclose(other.means, splats.means @ matrix.T)
    assert_same_scene(splats, other, matrix, 1.0)


def test_only_axes_are_swapped() -> None:
    for matrix in (np.eye(3) * 2, np.ones((3, 3)), rotation_from_quaternion([1, 0.1, 0, 0])):
        with pytest.raises(ValueError, match="permutation"):
            swap_axes(make_splats(0), matrix)


def test_no_splats_are_moved_too() -> None:
    assert len(transform_splats(Splats.empty(), Sim3.identity())) == 0
