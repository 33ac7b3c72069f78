"""Mip-Splatting's two filters: by hand, by finite differences, and native against twin on each SIMD level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from diorama import kernels
from diorama.kernels import (
    Photo,
    SplatArrays,
    StepConfig,
    View,
    pack,
    photo_loss,
    render,
    render_backward,
    train_step,
    twin,
    unpack,
    zero_blocks,
)

from .scenes import Floats, assert_close_where, assert_gradients_match, axis_view, camera, cloud, one_splat, tensors

FLOAT32 = "float32 against float64; the worst seen over levels and seeds is 1e-5 for depths up to 6, 3e-6 otherwise"
GRADIENTS = "sums of thousands of float32 terms; the worst seen is 1e-5 of the largest"
BACKGROUND = (0.3, 0.6, 0.1)


def some_smoothing(count: int) -> Floats:
    """From nothing to twice a splat of `cloud`."""
    values = np.random.default_rng(2).random(count).astype(np.float32) * 0.1
    values[::7] = 0.0
    return values


def compare(
    splats: SplatArrays,
    view: View,
    smoothing: Floats | None,
    *,
    low_pass_px2: float = 0.3,
    rtol: float = 4e-5,
    atol: float = 4e-5,
) -> None:
    """Picture, alpha, depth and the gradients by random picture gradients, with the 2D filter on."""
    count = len(splats.means)
    filters: dict[str, Any] = {"antialiased": True, "low_pass_px2": low_pass_px2}
    picture = render(pack(*splats), count, view, background=BACKGROUND, smoothing=smoothing, **filters)
    p = tensors(splats, requires_grad=True)
    smooth = None if smoothing is None else torch.tensor(smoothing, dtype=torch.float64)
    expected = twin.rasterize(*p, view, 3, BACKGROUND, smoothing=smooth, **filters)  # type: ignore[arg-type]
    actual = (picture.rgb, picture.alpha, picture.depth)
    for a, b in zip(actual, expected, strict=True):
        assert_close_where(a, b.detach(), atol, reason=FLOAT32)
    rng = np.random.default_rng(7)
    d = [rng.standard_normal(a.shape).astype(np.float32) for a in actual]
    sum((torch.tensor(g) * b).sum() for g, b in zip(d, expected, strict=True)).backward()  # type: ignore[union-attr]
    gradients = unpack(render_backward(picture.context, *d), count)
    assert_gradients_match(gradients, p, rtol, reason=GRADIENTS)


def test_a_ball_keeps_its_light_in_the_twin() -> None:
    """scale 0.1 at depth 2 under focal length 50 has a variance of 6.25 px^2, at focal length 4 of 0.04 px^2: with the
    filter the sum of alpha falls with the ball's area; without, the low-pass holds it up."""
    for focal, variance in ((50.0, 6.25), (4.0, 0.04)):
        view = axis_view(21, 21, focal)
        alpha = [
            twin.rasterize(*tensors(one_splat(0.5)), view, 0, antialiased=a)[1][10, 10].item() for a in (True, False)
        ]
        assert np.isclose(alpha[0], 0.5 * variance / (variance + 0.3), rtol=1e-6)
        assert np.isclose(alpha[1], 0.5, rtol=1e-6)


def test_smoothing_by_hand_in_the_twin() -> None:
    scales, opacities = torch.tensor([[3.0, 4.0, 12.0]]).double(), torch.tensor([0.5]).double()
    blurred, faded = twin.smoothed(scales, opacities, torch.tensor([5.0]).double())
    assert np.allclose(blurred, [[34**0.5, 41**0.5, 13.0]])
    assert np.allclose(faded, 0.5 * 3 * 4 * 12 / (34**0.5 * 41**0.5 * 13))
    same = twin.smoothed(scales, opacities, torch.zeros(1).double())
    assert torch.equal(same[0], scales) and torch.equal(same[1], opacities)


def test_gradients_by_finite_differences() -> None:
    """Splats so wide and faint that no pixel crosses a threshold within the step."""
    splats = tensors(cloud(4, seed=5, log_scale=-0.3, sh_degree=1), requires_grad=True)
    with torch.no_grad():
        splats[3].mul_(0.3).sub_(1.0)
    smoothing = torch.tensor([0.0, 0.1, 0.3, 0.5], dtype=torch.float64)

    def picture(*p: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return twin.rasterize(*p, camera(5, 4), 1, tile_px=5, antialiased=True, smoothing=smoothing)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(picture, splats, eps=1e-6, atol=1e-5, rtol=1e-4)


def test_splats_too_flat_for_the_filter_have_finite_gradients_in_the_twin() -> None:
    splats = cloud(5)
    splats.log_scales[1] = -60.0
    for smoothing in (None, torch.zeros(5).double()):
        p = tensors(splats, requires_grad=True)
        with torch.no_grad():
            p[2][0] = -400.0  # the square of its scale is 0 in float64
        rgb, alpha, _ = twin.rasterize(*p, camera(), antialiased=True, smoothing=smoothing)  # type: ignore[arg-type]
        (rgb.sum() + alpha.sum()).backward()
        assert all(t.grad is not None and t.grad.isfinite().all() and not t.grad[:2].any() for t in p)


@pytest.mark.parametrize("low_pass_px2", [0.1, 0.3, 2.0])
@pytest.mark.parametrize("smooth", [False, True])
def test_cloud(level: str, smooth: bool, low_pass_px2: float) -> None:
    compare(cloud(400), camera(), some_smoothing(400) if smooth else None, low_pass_px2=low_pass_px2)


def test_cloud_below_a_pixel(level: str) -> None:
    compare(cloud(400, log_scale=-4.5), camera(), None)


def test_needles(level: str) -> None:
    """As in test_picture: a conic with a condition number of 1e4 costs float32 four digits."""
    splats = cloud(200, seed=3)  # with others a pixel crosses MIN_ALPHA by rounding
    splats.log_scales[:] = np.log([0.9, 0.003, 0.003])
    compare(splats, camera(), None, rtol=3e-3, atol=3e-4)
    compare(splats, camera(), some_smoothing(200), rtol=1e-3, atol=1e-4)


def test_smoothing_draws_what_the_smoothed_splats_draw(level: str) -> None:
    """Baked into scales and opacities, the filter gives the same picture: files need nothing special."""
    splats, smoothing = cloud(100), some_smoothing(100)
    p = tensors(splats)
    scales, opacities = twin.smoothed(p[2].exp(), torch.sigmoid(p[3]), torch.tensor(smoothing).double())
    baked = SplatArrays(
        splats.means, splats.quats, scales.log().float().numpy(), torch.logit(opacities).float().numpy(), splats.sh
    )
    a = render(pack(*splats), 100, camera(), smoothing=smoothing).rgb
    assert_close_where(a, render(pack(*baked), 100, camera()).rgb, 1e-5, reason="float32")
    assert np.array_equal(
        render(pack(*splats), 100, camera(), smoothing=np.zeros(100, np.float32)).rgb,
        render(pack(*splats), 100, camera()).rgb,
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_splat_with_bad_smoothing_is_as_if_it_were_not_there(level: str, value: float) -> None:
    splats, smoothing = cloud(20), some_smoothing(20)
    smoothing[0] = value
    picture = render(pack(*splats), 20, camera(), antialiased=True, smoothing=smoothing)
    without = SplatArrays(*(a[1:] for a in splats))
    expected = render(pack(*without), 19, camera(), antialiased=True, smoothing=smoothing[1:].copy())
    assert_close_where(picture.rgb, expected.rgb, 1e-6, reason="the same splats in other lanes")
    gradients = unpack(render_backward(picture.context, np.ones_like(picture.rgb)), 20)
    assert all(np.isfinite(g).all() and not g[0].any() for g in gradients)


@pytest.mark.parametrize("log_scale", [-60.0, -25.0, 60.0])
def test_scales_at_the_ends_of_the_range(level: str, log_scale: float) -> None:
    """Without any size there is nothing to see; with smoothing a dot gives its light to a ball and keeps none."""
    splats = cloud(20)
    splats.log_scales[0] = log_scale
    without = SplatArrays(*(a[1:] for a in splats))
    expected = render(pack(*without), 19, camera(), antialiased=True)
    for smoothing in (None, np.full(20, 0.0, np.float32), np.r_[0.1, np.zeros(19)].astype(np.float32)):
        picture = render(pack(*splats), 20, camera(), antialiased=True, smoothing=smoothing)
        assert_close_where(picture.rgb, expected.rgb, 1e-6, reason="the same splats in other lanes")
        gradients = unpack(render_backward(picture.context, np.ones_like(picture.rgb)), 20)
        assert all(np.isfinite(g).all() and not g[0].any() for g in gradients)


def test_no_splats(level: str) -> None:
    nothing = np.zeros(0, np.float32)
    picture = render(zero_blocks(0), 0, axis_view(10, 6), background=BACKGROUND, antialiased=True, smoothing=nothing)
    assert np.array_equal(picture.rgb, np.broadcast_to(np.float32(BACKGROUND), (6, 10, 3)))


def test_filters_are_forgotten_with_their_picture(level: str) -> None:
    """Scratch memory is reused: the next picture without filters must not see them, and a context keeps its own."""
    blocks, d = pack(*cloud(100)), np.ones((83, 101, 3), np.float32)
    plain = render(blocks, 100, camera()).rgb
    smoothing = some_smoothing(100)
    filtered = render(blocks, 100, camera(), antialiased=True, smoothing=smoothing)
    smoothing[:] = 9.0  # a copy was taken
    first = render_backward(filtered.context, d)
    assert np.array_equal(render(blocks, 100, camera()).rgb, plain)
    again = render(blocks, 100, camera(), antialiased=True, smoothing=some_smoothing(100))
    assert_close_where(render_backward(again.context, d), first, 1e-3, reason="order of sums between threads")


def test_the_fused_step_has_the_gradients_of_the_composed_one(level: str) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    count, smoothing = 150, some_smoothing(150)
    photo = Photo((np.random.default_rng(3).random((83, 101, 3)) * 255).astype(np.uint8))
    picture = render(pack(*cloud(count)), count, camera(), antialiased=True, smoothing=smoothing)
    gradients = render_backward(picture.context, photo_loss(picture.rgb, photo)[1])
    blocks, m, v = pack(*cloud(count)), zero_blocks(count), zero_blocks(count)
    config = StepConfig(step=1, antialiased=True)
    train_step(blocks, m, v, count, camera(), photo, config, smoothing=smoothing)
    scale = np.abs(gradients).max(axis=(0, 2), keepdims=True)
    assert_close_where(m / scale, 0.1 * gradients / scale, 1e-5, reason="the same kernels, sums in another order")


def test_sampling_intervals(level: str) -> None:
    """Two cameras of different focal lengths, splats in front of, beside and behind them, one not a number."""
    splats = cloud(500)
    splats.means[:50, 2] -= 4.0
    splats.means[50:90, 0] *= 3.0
    splats.means[100] = np.nan
    near, far = camera(), axis_view(60, 40, 90.0)
    for views in ([near], [far], [near, far], [near, far] * 40):
        found = kernels.sampling_intervals(pack(*splats), 500, views)
        expected = twin.sampling_intervals(torch.tensor(splats.means).double(), views).numpy()
        assert np.array_equal(np.isinf(found), np.isinf(expected)) and 0 < np.isinf(found).sum() < 400
        seen = np.isfinite(found)
        assert_close_where(found[seen], expected[seen], 1e-6, reason="float32, intervals up to 0.1")
    assert np.isinf(kernels.sampling_intervals(pack(*splats), 500, [])).all()
    assert kernels.sampling_intervals(zero_blocks(0), 0, [near]).shape == (0,)


def test_sampling_interval_by_hand() -> None:
    """Depth 2 under a focal length of 50 pixels: two neighbouring rays are 1/25 apart."""
    assert np.isclose(twin.sampling_intervals(torch.tensor([[0.0, 0.0, 2.0]]), [axis_view(20, 16)]).item(), 0.04)


def test_a_low_pass_that_is_no_variance_is_refused() -> None:
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="low_pass_px2"):
            render(pack(*cloud(20)), 20, camera(), low_pass_px2=wrong)
        with pytest.raises(ValueError, match="low_pass_px2"):
            StepConfig(step=1, low_pass_px2=wrong)


def test_smoothing_of_another_kind_is_refused() -> None:
    blocks = pack(*cloud(20))
    for wrong, error in ((np.zeros(19, np.float32), ValueError), (np.zeros(20), TypeError), ([0.0] * 20, TypeError)):
        with pytest.raises(error, match="smoothing"):
            render(blocks, 20, camera(), smoothing=wrong)  # type: ignore[arg-type]
        with pytest.raises(error, match="smoothing"):
            photo = Photo(np.zeros((83, 101, 3), np.uint8))
            arguments = (blocks, zero_blocks(20), zero_blocks(20), 20, camera(), photo, StepConfig(step=1))
            train_step(*arguments, smoothing=wrong)  # type: ignore[arg-type]
    assert kernels.simd_level()
