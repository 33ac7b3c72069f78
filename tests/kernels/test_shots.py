"""Exposure, and steps on several views, against the twin, on every SIMD level of the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from diorama import kernels
from diorama.kernels import (
    GradientSums,
    Photo,
    SplatStatistics,
    StepConfig,
    accumulate_step,
    apply_step,
    pack,
    photo_loss,
    render,
    render_backward,
    train_step,
    twin,
    zero_blocks,
)

from .scenes import Floats, assert_close_where, camera, cloud
from .test_training import BACKGROUND, COUNT, RATES, some_mask, some_photo

EXPOSURE = np.array([[1.2, 0.05, -0.02, 0.03], [-0.03, 0.8, 0.04, -0.05], [0.01, 0.02, 1.1, 0.02]], np.float32)
CONFIG = StepConfig(step=1, background=BACKGROUND, deterministic=True, **RATES)  # type: ignore[arg-type]


def shoot(blocks: Floats, photo: Photo, exposure: Floats | None, size: tuple[int, int] = (83, 101)):  # type: ignore[no-untyped-def]
    """One view's gradients alone."""
    sums = GradientSums.zeros(COUNT)
    view = camera(size[1], size[0])
    return accumulate_step(sums, blocks, COUNT, view, photo, CONFIG, exposure=exposure), sums


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(83, 101), (5, 3), (33, 64)])
def test_exposure(level: str, size: tuple[int, int], masked: bool) -> None:
    """Loss and both gradients, the twin starting from the native picture so that only the exposure is compared."""
    blocks, bytes_, mask = pack(*cloud(COUNT)), some_photo(*size), some_mask(*size) if masked else None
    photo = Photo(bytes_, mask)
    shoot(blocks, Photo(some_photo(97, 120)), EXPOSURE, (97, 120))  # leaves something in the workspace's borders
    stats, sums = shoot(blocks, photo, EXPOSURE, size)
    picture = render(blocks, COUNT, camera(size[1], size[0]), background=BACKGROUND)
    rgb = torch.tensor(picture.rgb, dtype=torch.float64, requires_grad=True)
    matrix = torch.tensor(EXPOSURE, dtype=torch.float64, requires_grad=True)
    loss = twin.photo_loss(
        twin.expose(rgb, matrix), torch.tensor(bytes_) / 255.0, None if mask is None else torch.tensor(mask)
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert rgb.grad is not None and matrix.grad is not None and stats.d_exposure is not None
    assert_close_where(stats.loss, loss.item(), 2e-6, reason="float32 pictures and loss")
    scale = matrix.grad.abs().max().item()
    assert_close_where(stats.d_exposure, matrix.grad, 2e-5 * scale, reason="float32 sums over a strip of 16 rows")
    expected = render_backward(picture.context, rgb.grad.to(torch.float32).numpy())
    scale = np.abs(expected).max(axis=(0, 2), keepdims=True) + 1e-12
    assert_close_where(sums.gradients / scale, expected / scale, 5e-5, reason="float32 gradients of the loss")


def test_an_exposure_of_identity_changes_nothing(level: str) -> None:
    blocks, photo = pack(*cloud(COUNT)), Photo(some_photo(), some_mask())
    plain, without = shoot(blocks, photo, None)
    stats, sums = shoot(blocks, photo, np.eye(3, 4, dtype=np.float32))
    assert plain.d_exposure is None
    assert stats.loss == plain.loss
    assert np.array_equal(sums.gradients, without.gradients)


def test_exposure_by_finite_differences() -> None:
    """Of the twin in float64: every entry of the matrix, through the loss."""
    rng = np.random.default_rng(0)
    rgb, photo = (torch.tensor(rng.random((14, 13, 3))) for _ in range(2))
    matrix = torch.tensor(EXPOSURE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: twin.photo_loss(twin.expose(rgb, m), photo), matrix)


@pytest.mark.parametrize("threads_used", [1, 2])
def test_exposure_sums_do_not_depend_on_threads(level: str, threads: None, threads_used: int) -> None:
    blocks, photo = pack(*cloud(COUNT)), Photo(some_photo())
    kernels.set_thread_count(3)
    before, _ = shoot(blocks, photo, EXPOSURE)
    kernels.set_thread_count(threads_used)
    after, _ = shoot(blocks, photo, EXPOSURE)
    assert np.array_equal(before.d_exposure, after.d_exposure)  # type: ignore[arg-type]


def test_a_fused_step_takes_an_exposure_too(level: str) -> None:
    photo = Photo(some_photo())
    blocks, m, v = pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)
    stats = train_step(blocks, m, v, COUNT, camera(), photo, CONFIG, exposure=EXPOSURE)
    alone, sums = shoot(pack(*cloud(COUNT)), photo, EXPOSURE)
    assert stats.loss == alone.loss
    assert np.array_equal(stats.d_exposure, alone.d_exposure)  # type: ignore[arg-type]
    scale = np.abs(sums.gradients).max()
    assert_close_where(m, 0.1 * sums.gradients, 1e-7 * scale, reason="one rounding of (1 - beta1) times the gradient")


@pytest.mark.parametrize("wrong", [np.eye(3, dtype=np.float32), np.eye(3, 4), np.full((3, 4), np.nan, np.float32)])
def test_an_exposure_that_cannot_be_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises((TypeError, ValueError), match="exposure"):
        shoot(pack(*cloud(COUNT)), Photo(some_photo()), wrong)


# Several views per step

VIEWS = tuple(dataclasses.replace(camera(), cx=40.0 + 9 * k) for k in range(3))


@pytest.mark.parametrize("dense", [True, False])
def test_one_view_in_two_calls_is_the_fused_step(level: str, dense: bool) -> None:
    config = dataclasses.replace(CONFIG, dense_adam=dense, opacity_reg=0.01, scale_reg=0.02)
    photo = Photo(some_photo())
    fused = [pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)]
    apart = [a.copy() for a in fused]
    pulls, other = SplatStatistics.zeros(COUNT), SplatStatistics.zeros(COUNT)
    sums = GradientSums.zeros(COUNT)
    for step in range(1, 4):
        now = dataclasses.replace(config, step=step)
        train_step(*fused, COUNT, VIEWS[step % 3], photo, now, pulls)
        accumulate_step(sums, apart[0], COUNT, VIEWS[step % 3], photo, now, other)
        apply_step(sums, *apart, COUNT, 1, now)
    assert not sums.gradients.any() and not sums.seen.any()
    reason = "the same sums, fused by the compiler in another way: 1e-7 of a parameter up to 4 per step"
    for a, b in zip(fused, apart, strict=True):
        assert_close_where(a, b, 3e-6, reason=reason)
    assert np.array_equal(pulls.views, other.views)


def test_a_step_on_views_is_adam_on_their_mean_gradient(level: str) -> None:
    blocks, m, v = pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)
    before = blocks.copy()
    photos = [Photo(some_photo(seed=k)) for k in range(3)]
    config = dataclasses.replace(CONFIG, opacity_reg=0.01, scale_reg=0.02)
    sums, mean = GradientSums.zeros(COUNT), np.zeros_like(blocks)
    for view, photo in zip(VIEWS, photos, strict=True):
        accumulate_step(sums, blocks, COUNT, view, photo, config)
        picture = render(blocks, COUNT, view, background=BACKGROUND)
        mean += render_backward(picture.context, photo_loss(picture.rgb, photo)[1]) / 3
    assert np.array_equal(blocks, before)
    apply_step(sums, blocks, m, v, COUNT, 3, config)
    splats = cloud(COUNT)
    scales = torch.tensor(splats.log_scales, dtype=torch.float64, requires_grad=True)
    opacities = torch.tensor(splats.logit_opacities, dtype=torch.float64, requires_grad=True)
    twin.regularizer(scales, opacities, 0.01, 0.02).backward()  # type: ignore[no-untyped-call]
    rows = kernels.rows_from_blocks(mean, COUNT)
    rows[:, kernels.LOG_SCALE : kernels.LOGIT_OPACITY] += scales.grad.numpy()  # type: ignore[union-attr]
    rows[:, kernels.LOGIT_OPACITY] += opacities.grad.numpy()  # type: ignore[union-attr]
    scale = np.abs(rows).max(axis=0)
    ours = kernels.rows_from_blocks(m, COUNT)
    assert_close_where(ours / scale, 0.1 * rows / scale, 1e-5, reason="float32 sums in another order")


def test_sparse_adam_moves_what_any_view_shows(level: str) -> None:
    blocks, m, v = pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)
    m[:], v[:] = 0.1, 1.0  # old momentum, by which everybody would move
    before = blocks.copy()
    narrow = [dataclasses.replace(camera(20, 20), fx=80.0, fy=80.0, cx=x) for x in (-20.0, 40.0)]
    config = dataclasses.replace(CONFIG, dense_adam=False)
    sums = GradientSums.zeros(COUNT)
    seen = np.zeros(COUNT, bool)
    for view in narrow:
        accumulate_step(sums, blocks, COUNT, view, Photo(some_photo(20, 20)), config)
        seen |= render(blocks, COUNT, view).context.visible
    assert 0 < seen.sum() < COUNT
    assert np.array_equal(sums.seen[:COUNT] > 0, seen)
    apply_step(sums, blocks, m, v, COUNT, 2, config)
    moved = (kernels.rows_from_blocks(blocks, COUNT) != kernels.rows_from_blocks(before, COUNT)).any(axis=1)
    assert np.array_equal(moved, seen)


def test_sums_of_another_size_are_refused() -> None:
    blocks = pack(*cloud(COUNT))
    with pytest.raises(ValueError, match="gradients"):
        accumulate_step(GradientSums.zeros(COUNT + 64), blocks, COUNT, camera(), Photo(some_photo()), CONFIG)
    with pytest.raises(ValueError, match="views"):
        apply_step(GradientSums.zeros(COUNT), blocks, zero_blocks(COUNT), zero_blocks(COUNT), COUNT, 0, CONFIG)


# What is kept of photos


def uses(photos: list[Photo], order: list[int], picture: Floats) -> list[int]:
    """How often planes were computed at each use."""
    from diorama.kernels import _native

    counts = []
    for index in order:
        before = _native.photo_preparations()
        photo_loss(picture, photos[index])
        counts.append(_native.photo_preparations() - before)
    return counts


@pytest.fixture
def room_for_photos() -> Iterator[Callable[[int], None]]:
    """Sets the photos' memory to so many photos of 101x83: 45 planes of 101 + 80 columns, rounded up."""
    before = kernels.photo_memory()
    yield lambda count: kernels.set_photo_memory(count * 9 * 4 * 208 * 93 // (1 << 20) + 1)
    kernels.set_photo_memory(before >> 20)


def test_photos_that_fit_are_computed_once_whatever_the_order(room_for_photos: Callable[[int], None]) -> None:
    picture = np.zeros((83, 101, 3), np.float32)
    room_for_photos(40)
    photos = [Photo(some_photo(seed=k)) for k in range(20)]
    rng = np.random.default_rng(0)
    order = [int(i) for _ in range(4) for i in rng.permutation(20)]
    assert sum(uses(photos, order, picture)) == 20


def test_photos_that_do_not_fit_leave_the_others_alone(room_for_photos: Callable[[int], None]) -> None:
    picture = np.zeros((83, 101, 3), np.float32)
    room_for_photos(30)
    photos = [Photo(some_photo(seed=k)) for k in range(60)]
    rng = np.random.default_rng(0)
    rounds = [sum(uses(photos, [int(i) for i in rng.permutation(60)], picture)) for _ in range(4)]
    # Half fit, give or take one for rounding: the other half is computed in every round, and no more than it.
    assert rounds[0] == 60
    assert all(28 <= count <= 31 for count in rounds[1:]), rounds


def test_planes_of_photos_that_are_not_used_any_more_make_room(room_for_photos: Callable[[int], None]) -> None:
    picture = np.zeros((83, 101, 3), np.float32)
    room_for_photos(30)
    old, new = ([Photo(some_photo(seed=k)) for k in range(30)] for _ in range(2))
    uses(old, list(range(30)), picture)
    for _ in range(5):
        last = sum(uses(new, list(range(30)), picture))
    assert last <= 2, last  # one at the edge of the memory
    passing = [Photo(some_photo(), keep=False) for _ in range(2)]
    assert uses([*passing, new[0]], [0, 0, 2, 0, 1, 0], picture) == [1, 0, 0, 0, 1, 1]  # one set of spare planes
