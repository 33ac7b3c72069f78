"""Features, median depth, contribution, AbsGS: by hand, by finite differences, and native against twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diorama import kernels
from diorama.kernels import (
    Photo,
    Rendered,
    SplatArrays,
    SplatStatistics,
    StepConfig,
    View,
    contribution,
    median_depth,
    pack,
    render,
    render_backward,
    render_features,
    render_features_backward,
    train_step,
    twin,
    twin_outputs,
    unpack,
    zero_blocks,
)

from .scenes import Floats, assert_close_where, assert_gradients_match, axis_view, camera, cloud, one_splat, tensors

FLOAT32 = "float32 against float64; the worst seen over levels and seeds is 4e-6 of the largest feature"
GRADIENTS = "sums of thousands of float32 terms; the worst seen is 1e-5 of the largest"


def drawn(splats: SplatArrays, view: View) -> Rendered:
    return render(pack(*splats), len(splats.means), view, sh_degree=kernels.twin.degree_of(torch.tensor(splats.sh)))


def seen_by_twin(splats: list[torch.Tensor], view: View) -> twin.Projected:
    return twin.project(*splats, view, twin.degree_of(splats[4]))  # type: ignore[arg-type]


def two_balls() -> SplatArrays:
    """A wide ball of opacity 0.4 at depth 2 before one of opacity 0.75 at depth 3."""
    balls = one_splat(0.4, 4.0, 2.0), one_splat(0.75, 6.0, 3.0)
    return SplatArrays(*(np.concatenate(pair) for pair in zip(*balls, strict=True)))


# The twin by hand


def test_features_median_and_contribution_by_hand() -> None:
    """One pixel on the axis: weights 0.4 and 0.6 * 0.75 = 0.45; 0.15 is left, so the second takes the half away."""
    view, splats = axis_view(1, 1), tensors(two_balls())
    seen = seen_by_twin(splats, view)
    features = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)
    expected = [0.4 * 1.0 - 0.45 * 3.0, 0.4 * 2.0 + 0.45 * 0.5]
    assert np.allclose(twin_outputs.render_features(seen, view, features)[0, 0].numpy(), expected, atol=1e-6)
    assert twin_outputs.median_depth(seen, view).item() == pytest.approx(3.0)
    found = twin_outputs.contribution(seen, view, 2, torch.tensor([[3.0]]))
    assert np.allclose(found.total.numpy(), [1.2, 1.35], atol=1e-6)
    assert np.allclose(found.most.numpy(), [0.4, 0.45], atol=1e-6)
    assert found.pixels.tolist() == [1, 1]
    hidden = twin_outputs.contribution(seen, view, 2, torch.zeros(1, 1))
    assert not (hidden.total.any() or hidden.most.any() or hidden.pixels.any())


def test_the_median_of_what_lets_most_through_is_nowhere() -> None:
    view = axis_view(1, 1)
    assert twin_outputs.median_depth(seen_by_twin(tensors(one_splat(0.4, 4.0)), view), view).item() == 0.0
    assert twin_outputs.median_depth(seen_by_twin(tensors(one_splat(0.6, 4.0)), view), view).item() == 2.0


def test_the_twins_feature_gradients_by_finite_differences() -> None:
    splats = tensors(cloud(6, seed=5, log_scale=-0.3, sh_degree=0), requires_grad=True)
    with torch.no_grad():
        splats[3].mul_(0.3).sub_(1.0)
    view = camera(7, 6)
    features = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def picture(means: torch.Tensor, quats: torch.Tensor, scales: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return twin_outputs.render_features(
            seen_by_twin([means, quats, scales, logits, splats[4]], view), view, features
        )

    assert torch.autograd.gradcheck(picture, splats[:4], eps=1e-6, atol=1e-5, rtol=1e-4)
    still = seen_by_twin([s.detach() for s in splats], view)
    assert torch.autograd.gradcheck(lambda f: twin_outputs.render_features(still, view, f), [features], eps=1e-6)


# Native against twin


def random_features(count: int, channels: int) -> Floats:
    return np.random.default_rng(channels).standard_normal((count, channels)).astype(np.float32)


def compare_features(splats: SplatArrays, view: View, channels: int, rtol: float = 4e-5) -> None:
    count = len(splats.means)
    features = random_features(count, channels)
    context = drawn(splats, view).context
    picture = render_features(context, features)
    assert picture.shape == (view.height, view.width, channels)
    p = tensors(splats, requires_grad=True)
    f = torch.tensor(features, dtype=torch.float64, requires_grad=True)
    expected = twin_outputs.render_features(seen_by_twin(p, view), view, f)
    assert_close_where(picture, expected.detach(), 4e-5, reason=FLOAT32)
    d_picture = np.random.default_rng(7).standard_normal(picture.shape).astype(np.float32)
    if count:
        (expected * torch.tensor(d_picture)).sum().backward()  # type: ignore[no-untyped-call]
    d_features, d_blocks = render_features_backward(context, features, d_picture)
    truth = np.zeros((count, channels)) if f.grad is None else f.grad.numpy()
    assert_close_where(d_features, truth, rtol * max(float(np.abs(truth).max(initial=0)), 1.0), reason=GRADIENTS)
    assert_gradients_match(unpack(d_blocks, count, twin.degree_of(p[4])), p, rtol, reason=GRADIENTS)


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 9, 21])
def test_any_number_of_channels(level: str, channels: int) -> None:
    compare_features(cloud(200, sh_degree=1), camera(61, 47), channels)


@pytest.mark.parametrize("size", [(1, 1), (9, 65), (3, 130), (70, 2)])
def test_features_in_pictures_that_tiles_do_not_divide(level: str, size: tuple[int, int]) -> None:
    compare_features(cloud(100, sh_degree=0), camera(*size), 3)


def test_colours_as_features_are_the_picture(level: str) -> None:
    """The same values through the other walk: the picture, its gradient by the splats but for their colours."""
    splats, view = cloud(300, sh_degree=0), camera()
    picture = drawn(splats, view)
    colors = np.maximum(0.5 + twin.C0 * splats.sh[:, 0], 0).astype(np.float32)
    assert_close_where(render_features(picture.context, colors), picture.rgb, 1e-5, reason="two sums of one thing")
    d_rgb = np.random.default_rng(0).standard_normal(picture.rgb.shape).astype(np.float32)
    ours = unpack(render_features_backward(picture.context, colors, d_rgb)[1], 300, 0)
    theirs = unpack(render_backward(picture.context, d_rgb), 300, 0)
    for name in ("means", "quats", "log_scales", "logit_opacities"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert_close_where(a, b, 2e-5 * float(np.abs(b).max()), reason=f"{name}: {GRADIENTS}")
    assert not ours.sh.any()
    again = unpack(render_backward(picture.context, d_rgb), 300, 0)  # nothing is left behind in the sums
    assert_close_where(again.sh, theirs.sh, 1e-5 * float(np.abs(theirs.sh).max()), reason="the order of threads")


def compare_contribution(splats: SplatArrays, view: View, weight_map: Floats | None) -> kernels.Contribution:
    count = len(splats.means)
    found = contribution(drawn(splats, view).context, weight_map)
    truth = twin_outputs.contribution(
        seen_by_twin(tensors(splats), view), view, count, None if weight_map is None else torch.tensor(weight_map)
    )
    scale = max(1.0, float(truth.total.abs().max())) if count else 1.0
    assert_close_where(found.total, truth.total, 4e-5 * scale, reason="float32 sums over a splat's pixels")
    assert_close_where(found.most, truth.most, 4e-5, reason=FLOAT32)
    # A pixel at alpha 1/255 falls to either side by rounding: one in some thousand.
    assert np.abs(found.pixels - truth.pixels.numpy()).sum() <= 2 + 1e-3 * found.pixels.sum()
    return found


@pytest.mark.parametrize("kind", ["none", "random", "half", "zero"])
def test_contribution(level: str, kind: str) -> None:
    view = camera(61, 47)
    rng = np.random.default_rng(3)
    maps = {
        "none": None,
        "random": rng.standard_normal((47, 61)).astype(np.float32),
        "half": (rng.random((47, 61)) > 0.5).astype(np.float32),
        "zero": np.zeros((47, 61), np.float32),
    }
    found = compare_contribution(cloud(250, sh_degree=0), view, maps[kind])
    assert found.pixels.dtype == np.int32
    assert (kind == "zero") == (not found.pixels.any())


def test_contributions_sum_to_alpha_and_do_not_depend_on_threads(level: str, threads: None) -> None:
    splats, view = cloud(400, sh_degree=0), camera()
    picture = drawn(splats, view)
    found = contribution(picture.context)
    assert found.total.sum(dtype=np.float64) == pytest.approx(picture.alpha.sum(dtype=np.float64), rel=1e-5)
    assert (found.most <= 1).all()
    assert np.array_equal(found.most > 0, found.pixels > 0)
    for count in (1, 3):
        kernels.set_thread_count(count)
        again = contribution(picture.context)
        for name in ("total", "most", "pixels"):
            assert np.array_equal(getattr(again, name), getattr(found, name)), name


@pytest.mark.parametrize("opacity", [0.0, 2.0])
def test_median_depth(level: str, opacity: float) -> None:
    splats, view = cloud(400, log_scale=-1.5, sh_degree=0), camera(61, 47)
    splats.logit_opacities[:] += opacity
    ours = median_depth(drawn(splats, view).context)
    truth = twin_outputs.median_depth(seen_by_twin(tensors(splats), view), view).numpy()
    assert (ours > 0).any()
    # Where the light is within rounding of one half, it may be the next splat; elsewhere it is the same one.
    assert np.mean(np.abs(ours - truth) > 1e-5) < 2e-3


def test_degenerate_splats(level: str) -> None:
    """NaN, behind the camera, zero scale, huge, none, one: what the twin says, and zeros for what is not seen."""
    view = camera(40, 30)
    splats = cloud(40, sh_degree=0)
    splats.means[0, 1] = np.nan
    splats.means[1, 2] = -5.0
    splats.log_scales[2] = -60.0
    splats.log_scales[3] = 4.0
    splats.quats[4] = 0.0
    splats.logit_opacities[5] = np.inf
    compare_features(splats, view, 2, rtol=2e-4)  # the huge one's terms cancel more
    found = compare_contribution(splats, view, None)
    assert not found.pixels[[0, 1, 4, 5]].any()
    for few in (cloud(0, sh_degree=0), cloud(1, log_scale=-1.0, sh_degree=0)):
        compare_features(few, view, 3)
        compare_contribution(few, view, None)
        truth = twin_outputs.median_depth(seen_by_twin(tensors(few), view), view).numpy()
        assert np.mean(np.abs(median_depth(drawn(few, view).context) - truth) > 1e-5) < 2e-3
    assert render_features(drawn(cloud(20), view).context, np.zeros((20, 0), np.float32)).shape == (30, 40, 0)


def test_wrong_arrays_are_refused() -> None:
    context = drawn(cloud(20), camera(20, 16)).context
    good = np.zeros((20, 3), np.float32)
    with pytest.raises(ValueError, match="features"):
        render_features(context, good[:19])
    with pytest.raises(TypeError, match="features is float64"):
        render_features(context, good.astype(np.float64))
    with pytest.raises(ValueError, match="features"):
        render_features(context, np.zeros(20, np.float32))
    with pytest.raises(ValueError, match="d_picture"):
        render_features_backward(context, good, np.zeros((16, 20, 2), np.float32))
    with pytest.raises(ValueError, match="weight_map"):
        contribution(context, np.ones((20, 16), np.float32))
    with pytest.raises(ValueError, match="abs_gradient_norms"):
        broken = SplatStatistics(*(np.zeros(20, np.float32) for _ in range(3)), np.zeros(19, np.float32))
        photo = Photo(np.zeros((16, 20, 3), np.uint8))
        train_step(*(zero_blocks(20) for _ in range(3)), 20, axis_view(20, 16), photo, StepConfig(step=1), broken)


# The centre's gradient, with and without its signs


def pulls(splats: SplatArrays, view: View, d_rgb: Floats) -> tuple[Floats, Floats]:
    """The twin's gradient by the centres (N, 2), and the sums of its pixels' absolute values, a pixel at a time."""
    p = tensors(splats)
    signed, absolute = np.zeros((2, len(p[0]), 2))
    shifts = torch.zeros(len(p[0]), 2, dtype=torch.float64, requires_grad=True)
    seen = twin.project(*p, view, 0, shifts_px=shifts)  # type: ignore[arg-type]
    for y in range(view.height):
        for x in range(view.width):
            pixel = torch.tensor([[x + 0.5, y + 0.5]], dtype=torch.float64)
            rgb, _ = twin.blend(pixel[:, None] - seen.means_px, seen.conics, seen.opacities, seen.colors)
            (d,) = torch.autograd.grad((rgb * torch.tensor(d_rgb[y, x])).sum(), shifts, retain_graph=True)
            signed += d.numpy()
            absolute += d.abs().numpy()
    return signed.astype(np.float32), absolute.astype(np.float32)


@pytest.fixture(scope="module")
def pulled() -> tuple[SplatArrays, View, Floats, Floats, Floats]:
    splats, view = cloud(30, log_scale=-2.0, sh_degree=0), camera(17, 13)
    d_rgb = np.random.default_rng(2).standard_normal((13, 17, 3)).astype(np.float32)
    return splats, view, d_rgb, *pulls(splats, view, d_rgb)


def test_centre_gradients(level: str, pulled: tuple[SplatArrays, View, Floats, Floats, Floats]) -> None:
    splats, view, d_rgb, signed, absolute = pulled
    context = drawn(splats, view).context
    ours, abs_ours = np.zeros((30, 2), np.float32), np.zeros((30, 2), np.float32)
    with_them = render_backward(context, d_rgb, d_centres=ours, abs_d_centres=abs_ours)
    assert_close_where(ours, signed, 4e-5 * float(np.abs(signed).max()), reason=GRADIENTS)
    assert_close_where(abs_ours, absolute, 4e-5 * float(absolute.max()), reason=GRADIENTS)
    assert (abs_ours >= np.abs(ours) - 1e-5).all()
    assert_close_where(
        render_backward(context, d_rgb), with_them, 1e-6 * float(np.abs(with_them).max()), reason="the order of threads"
    )


def test_the_twins_absolute_pulls(pulled: tuple[SplatArrays, View, Floats, Floats, Floats]) -> None:
    splats, view, d_rgb, _, absolute = pulled
    black = torch.zeros(3)
    found = twin_outputs.absolute_pulls(seen_by_twin(tensors(splats), view), view, 30, black, torch.tensor(d_rgb))
    assert_close_where(found, absolute, 1e-6, reason="the same sums in another order; the truth is float32")


def test_statistics_sum_absolute_gradients(level: str) -> None:
    """A step's pulls are those of its picture's gradient, in half pictures, summed over two steps that do not move."""
    splats, view = cloud(120, sh_degree=0), camera()
    photo = Photo(np.random.default_rng(0).integers(0, 256, (83, 101, 3), dtype=np.uint8))
    still = StepConfig(
        step=1, lr_means=0, lr_quats=0, lr_log_scales=0, lr_opacities=0, lr_sh0=0, lr_sh_rest=0, sh_degree=0
    )
    blocks, m, v = pack(*splats), zero_blocks(120), zero_blocks(120)
    plain, both = SplatStatistics.zeros(120), SplatStatistics.zeros(120, absolute=True)
    for _ in range(2):
        train_step(blocks, m, v, 120, view, photo, still, plain)
        train_step(blocks, m, v, 120, view, photo, still, both)
    picture = drawn(splats, view)
    _, d_rgb = kernels.photo_loss(picture.rgb, photo)
    abs_d = np.zeros((120, 2), np.float32)
    render_backward(picture.context, d_rgb, abs_d_centres=abs_d)
    expected = 2 * np.linalg.norm(abs_d * [101 / 2, 83 / 2], axis=1)
    assert plain.abs_gradient_norms is None
    assert both.abs_gradient_norms is not None
    assert_close_where(both.abs_gradient_norms, expected, 1e-4 * float(expected.max()), reason=GRADIENTS)
    assert_close_where(
        both.gradient_norms,
        plain.gradient_norms,
        1e-5 * float(plain.gradient_norms.max()),
        reason="the order of threads",
    )


def test_ellipses_are_the_twins(level: str) -> None:
    splats, view = cloud(60, sh_degree=0), camera()
    centres, extents = drawn(splats, view).context.ellipses()
    seen = seen_by_twin(tensors(splats), view)
    out_of_sight = np.setdiff1d(np.arange(60), seen.index)
    assert_close_where(centres[seen.index], seen.means_px, 1e-3, reason="pixels up to 100 in float32")
    ratio = extents[seen.index] / seen.extents_px.numpy()
    assert_close_where(ratio, np.full_like(ratio, 1.0001), 5e-5, reason="project.h widens reach by 2e-4 and 1e-4 more")
    assert len(out_of_sight)
    assert not centres[out_of_sight].any()
