"""Known depth and known emptiness as losses: by hand, finite differences, native against twin, within a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from diorama.kernels import (
    Photo,
    StepConfig,
    geometry_loss,
    pack,
    photo_loss,
    render,
    render_backward,
    train_step,
    twin_geometry,
    unpack,
    zero_blocks,
)

from .scenes import Floats, assert_close_where, axis_view, camera, cloud, one_splat

SIZES = [(83, 101), (1, 1), (4, 3), (130, 64), (17, 121)]
COUNT = 150


def planes(height: int, width: int, seed: int = 1) -> dict[str, npt.NDArray[Any]]:
    """A picture's depth and alpha, and what is known of it: holes, hidden pixels and nonsense among it."""
    rng = np.random.default_rng(seed)
    f = np.float32
    shape = (height, width)
    alpha = rng.random(shape).astype(f)
    known = (rng.random(shape) * 5 + 0.5).astype(f)
    for value in (0.0, -1.0, np.nan, np.inf):
        known[rng.random(shape) < 0.05] = value
    confidence = (rng.random(shape) * 2 - 0.2).astype(f)
    confidence[rng.random(shape) < 0.03] = np.nan
    return {
        "alpha": alpha,
        "depth": alpha * (rng.random(shape) * 5 + 0.5).astype(f),
        "known": known,
        "confidence": confidence,
        "mask": (rng.random(shape) > 0.3).astype(np.uint8),
        "empty": (rng.random(shape) > 0.5).astype(np.uint8) * 255,
        "rgb": rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
    }


def photo_of(p: dict[str, npt.NDArray[Any]], *, masked: bool = True, confident: bool = True) -> Photo:
    return Photo(
        p["rgb"],
        p["mask"] if masked else None,
        p["known"],
        confidence=p["confidence"] if confident else None,
        empty=p["empty"],
    )


def test_one_pixel_by_hand() -> None:
    """Expected depth 1.6 / 0.8 = 2 where 1 is known: log 2, with slopes 1 / depth and -1 / alpha."""
    one = np.ones((1, 1), np.float32)
    photo = Photo(np.zeros((1, 1, 3), np.uint8), None, one)
    loss = geometry_loss(1.6 * one, 0.8 * one, photo, 3.0)
    assert np.isclose(loss.depth, np.log(2)) and loss.empty == 0
    assert np.isclose(loss.d_depth.item(), 3 / 1.6) and np.isclose(loss.d_alpha.item(), -3 / 0.8)
    half_as_far = geometry_loss(0.4 * one, 0.8 * one, photo, 3.0)
    assert np.isclose(half_as_far.depth, np.log(2)) and half_as_far.d_depth.item() < 0
    fog = geometry_loss(0.8 * one, 0.4 * one, photo, 3.0)
    assert fog.depth == 0 and not fog.d_depth.any() and not fog.d_alpha.any()


def test_an_empty_pixel_by_hand() -> None:
    alpha = np.array([[0.5, 0.25, 1.0]], np.float32)
    photo = Photo(np.zeros((1, 3, 3), np.uint8), empty=np.array([[1, 7, 0]], np.uint8))
    loss = geometry_loss(np.ones_like(alpha), alpha, photo, 1.0, 4.0)
    assert np.isclose(loss.empty, 0.375) and loss.depth == 0
    assert np.allclose(loss.d_alpha, [[2.0, 2.0, 0.0]]) and not loss.d_depth.any()


@pytest.mark.parametrize("confident", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_native_is_the_twin(level: str, size: tuple[int, int], masked: bool, confident: bool) -> None:
    p = planes(*size)
    loss = geometry_loss(p["depth"], p["alpha"], photo_of(p, masked=masked, confident=confident), 0.3, 0.7)
    depth, alpha = (torch.tensor(p[n], dtype=torch.float64, requires_grad=True) for n in ("depth", "alpha"))
    confidence = torch.tensor(p["confidence"]) if confident else None
    mask = torch.tensor(p["mask"]) if masked else None
    by_depth = twin_geometry.depth_loss(depth, alpha, torch.tensor(p["known"]), confidence, mask)
    by_emptiness = twin_geometry.empty_loss(alpha, torch.tensor(p["empty"]))
    (0.3 * by_depth + 0.7 * by_emptiness).backward()  # type: ignore[no-untyped-call]
    assert_close_where(loss.depth, by_depth.item(), 1e-6, reason="float32 rows added in float64")
    assert_close_where(loss.empty, by_emptiness.item(), 1e-6, reason="float32 rows added in float64")
    for actual, plane in ((loss.d_depth, depth), (loss.d_alpha, alpha)):
        expected = np.zeros(size) if plane.grad is None else plane.grad.numpy()
        scale = np.abs(expected).max(initial=0.0)
        assert_close_where(actual, expected, 1e-6 * scale + 1e-12, reason="a quotient in float32")


def test_nothing_known_costs_nothing(level: str) -> None:
    p = planes(9, 14)
    photo = Photo(p["rgb"], None, np.zeros((9, 14), np.float32), empty=np.zeros((9, 14), np.uint8))
    loss = geometry_loss(p["depth"], p["alpha"], photo)
    assert loss.depth == loss.empty == 0 and not loss.d_depth.any() and not loss.d_alpha.any()
    blocks, bytes_of = [], []
    for known in (Photo(p["rgb"]), photo_of(p, masked=False)):
        blocks = [pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)]
        stats = train_step(*blocks, COUNT, camera(14, 9), known, StepConfig(step=1, deterministic=True))
        assert stats.depth == stats.empty == 0
        bytes_of.append([b.tobytes() for b in blocks])
    assert bytes_of[0] == bytes_of[1], "weights of 0 leave the step as it was"


def test_gradients_by_finite_differences() -> None:
    p = planes(5, 6)
    p["alpha"] = 0.6 + 0.4 * p["alpha"]  # away from the threshold; errors of 0 have no probability
    known, confidence, mask, empty = (torch.tensor(p[n]) for n in ("known", "confidence", "mask", "empty"))
    planes64 = [torch.tensor(p[n], dtype=torch.float64, requires_grad=True) for n in ("depth", "alpha")]
    assert torch.autograd.gradcheck(
        lambda d, a: (twin_geometry.depth_loss(d, a, known, confidence, mask), twin_geometry.empty_loss(a, empty)),
        planes64,
        eps=1e-7,
        atol=1e-6,
    )


def moments_of_a_step(photo: Photo, splats: Any, view: Any, count: int, **weights: float) -> tuple[Floats, Any]:
    blocks, m, v = pack(*splats), zero_blocks(count), zero_blocks(count)
    stats = train_step(blocks, m, v, count, view, photo, StepConfig(step=1, deterministic=True, **weights))  # type: ignore[arg-type]
    return m / 0.1, stats


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["cloud", "one", "empty", "nan"])
def test_a_fused_step_is_its_parts(level: str, kind: str, masked: bool) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    splats = {"cloud": cloud(COUNT), "one": one_splat(0.9, 0.5), "empty": cloud(0), "nan": cloud(40)}[kind]
    if kind == "nan":
        splats.means[3], splats.log_scales[20:30, 1], splats.quats[31] = np.nan, np.inf, 0.0
    count, view = len(splats.means), camera(101, 83) if kind != "one" else axis_view(101, 83)
    p = planes(83, 101)
    photo = photo_of(p, masked=masked)
    gradient, stats = moments_of_a_step(photo, splats, view, count, depth_weight=0.4, empty_weight=0.2)
    picture = render(pack(*splats), count, view)
    _, d_rgb = photo_loss(picture.rgb, photo)
    geometry = geometry_loss(picture.depth, picture.alpha, photo, 0.4, 0.2)
    expected = render_backward(picture.context, d_rgb, geometry.d_alpha, geometry.d_depth)
    if kind == "cloud":
        assert stats.depth > 0 and stats.empty > 0
    assert_close_where(stats.depth, geometry.depth, 1e-6, reason="the same kernels")
    assert_close_where(stats.empty, geometry.empty, 1e-6, reason="the same kernels")
    scale = np.abs(expected).max(axis=(0, 2), keepdims=True, initial=0.0) + 1e-12
    # One splat's own largest gradient is a sum in which the pulls of its halves cancel; 2.6e-5 of it was seen.
    tolerance = 6e-5 if kind == "one" else 2e-5
    assert_close_where(gradient / scale, expected / scale, tolerance, reason="the same kernels, sums in another order")


def test_depth_pulls_a_splat_into_place(level: str) -> None:
    """A ball of unknown distance, seen by one camera without parallax: colours cannot place it, depth does."""
    view, count = axis_view(40, 40), 1
    photo = Photo(np.full((40, 40, 3), 120, np.uint8), None, np.full((40, 40), 3.0, np.float32))
    blocks, m, v = pack(*one_splat(0.95, 0.6, 2.0)), zero_blocks(count), zero_blocks(count)
    for step in range(1, 150):
        rates = dict.fromkeys(("lr_quats", "lr_log_scales", "lr_opacities", "lr_sh0", "lr_sh_rest"), 0.0)
        train_step(blocks, m, v, count, view, photo, StepConfig(step=step, lr_means=1e-2, depth_weight=10.0, **rates))  # type: ignore[arg-type]
    assert abs(blocks[0, 2, 0] - 3.0) < 0.05


def test_wrong_maps_are_refused() -> None:
    rgb = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(TypeError, match="depth"):
        Photo(rgb, None, np.zeros((4, 5)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="depth"):
        Photo(rgb, None, np.zeros((5, 4), np.float32))
    with pytest.raises(ValueError, match="confidence"):
        Photo(rgb, None, np.zeros((4, 5), np.float32), confidence=np.zeros((4, 4), np.float32))
    with pytest.raises(TypeError, match="empty"):
        Photo(rgb, empty=np.zeros((4, 5), np.float32))  # type: ignore[arg-type]
    for weights in ({"depth_weight": -1.0}, {"empty_weight": float("nan")}):
        with pytest.raises(ValueError, match="at least 0"):
            StepConfig(step=1, **weights)  # type: ignore[arg-type]


def test_needles_by_hand_and_by_finite_differences() -> None:
    """One needle of 4 to 1, one disc, one ball: log(4 / 1.5) / 3, shared by nobody but the needle."""
    log_scales = torch.log(torch.tensor([[4.0, 1.0, 0.5], [2.0, 2.0, 0.1], [1.0, 1.0, 1.0]], dtype=torch.float64))
    log_scales.requires_grad_()
    loss = twin_geometry.needle_loss(log_scales, 1.5)
    assert loss.item() == pytest.approx(np.log(4 / 1.5) / 3)
    (gradient,) = torch.autograd.grad(loss, log_scales)
    assert torch.allclose(gradient * 3, torch.tensor([[1.0, -1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.float64))
    rng = np.random.default_rng(1)
    many = torch.tensor(rng.normal(size=(20, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: twin_geometry.needle_loss(s, 1.3), [many], eps=1e-6)
    assert twin_geometry.needle_loss(torch.zeros(0, 3), 1.5).item() == 0


@pytest.mark.parametrize("dense", [True, False])
def test_the_steps_pull_on_needles_is_the_twins(level: str, dense: bool) -> None:
    """Adam's first moments with and without it, seen splats only where the step is sparse; NaN and equal axes apart."""
    splats = cloud(COUNT)
    splats.log_scales[:5] = -2.0  # balls
    splats.log_scales[5:10, 1:] = -3.0  # the second longest twice: the first of them is pulled
    splats.log_scales[5:10, 0] = -1.0
    splats.log_scales[10, 1], splats.means[11] = np.nan, np.nan
    splats.means[100:120, 2] = -5.0
    photo = Photo(planes(83, 101)["rgb"])
    moments = []
    for weight in (0.0, 0.7):
        blocks, m, v = pack(*splats), zero_blocks(COUNT), zero_blocks(COUNT)
        config = StepConfig(step=1, deterministic=True, dense_adam=dense, needle_reg=weight, max_needle=1.4)
        train_step(blocks, m, v, COUNT, camera(), photo, config)
        moments.append(unpack(m, COUNT).log_scales / 0.1)
    log_scales = torch.tensor(splats.log_scales, dtype=torch.float64, requires_grad=True)
    (0.7 * twin_geometry.needle_loss(log_scales, 1.4)).backward()  # type: ignore[no-untyped-call]
    assert log_scales.grad is not None
    expected = log_scales.grad.numpy()
    expected[5:10] = 0.7 / COUNT * np.array([1.0, -1.0, 0.0])
    expected[10] = 0.0
    if not dense:
        expected[~render(pack(*splats), COUNT, camera()).context.visible] = 0.0
    assert_close_where(moments[1] - moments[0], expected, 1e-5, reason="the difference of two float32 gradients")
    assert np.abs(expected).max() > 1e-3


def test_impossible_needles_are_refused() -> None:
    with pytest.raises(ValueError, match="max_needle"):
        StepConfig(step=1, max_needle=0.9)
