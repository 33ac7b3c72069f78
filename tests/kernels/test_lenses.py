"""Lenses beyond the pinhole: the twin against geometry, the native kernels against the twin, on every SIMD level."""

from __future__ import annotations

import math
from collections.abc import Callable

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
    render,
    render_backward,
    train_step,
    twin,
    twin_outputs,
    unpack,
)
from diorama.kernels._lens import LensModel, fisheye_radius, lens_limits, opencv_radius
from diorama.kernels.twin_lens import project_points

from .scenes import Floats, assert_close_where, assert_slopes, cloud, one_splat, tensors
from .test_picture import BACKGROUND, compare, twin_picture


def lens_rotation(turn: float) -> Floats:
    c, s = math.cos(turn), math.sin(turn)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


PLACE = np.array([0.1, -0.2, 0.3], np.float32)
STRONG = (-0.25, 0.06, 0.004, -0.006)
FISH = (0.03, -0.01, 0.004, -0.001)
AT_THE_CAMERA = -lens_rotation(0.1).T @ PLACE
LENSES: tuple[LensModel, ...] = ("opencv", "fisheye", "equirectangular")


def lens_view(model: LensModel, width: int = 101, height: int = 83, *, turn: float = 0.1) -> View:
    """Off-centre, unequal focal lengths, turned about the vertical and moved a little; sizes that no tile divides."""
    matrix = np.concatenate([lens_rotation(turn), PLACE[:, None]], axis=1).astype(np.float32)
    if model == "equirectangular":
        return View.equirectangular(width, height, matrix)
    scale, k = (0.75, STRONG) if model == "opencv" else (0.3, FISH)
    lens = (scale * width, 1.1 * scale * width, width / 2 + 1, height / 2 - 2)
    return View(width, height, *lens, matrix, model, k)


def all_around(count: int, seed: int = 5) -> SplatArrays:
    """Splats in every direction from the camera, none near a pole or the camera."""
    splats = cloud(count, seed)
    rng = np.random.default_rng(seed)
    azimuth, up = rng.uniform(-math.pi, math.pi, count), rng.uniform(-1.0, 1.0, count)
    distance = rng.uniform(1.5, 5.0, count)
    rays = np.stack([np.sin(azimuth) * np.cos(up), np.sin(up), np.cos(azimuth) * np.cos(up)], 1)
    splats.means[:] = rays * distance[:, None]
    return splats


def at(point: tuple[float, float, float], scale: float = 0.05) -> SplatArrays:
    splats = one_splat(0.9, scale)
    splats.means[0] = point
    return splats


def upright(model: LensModel, width: int = 64, height: int = 32, focal: float = 12.0, *k: float) -> View:
    """At the origin, looking along +z."""
    if model == "equirectangular":
        return View.equirectangular(width, height, np.eye(3, 4))
    return View(width, height, focal, focal, width / 2, height / 2, np.eye(3, 4, dtype=np.float32), model, k)


def brightest(picture: Floats) -> tuple[int, int]:
    y, x = np.unravel_index(picture.argmax(), picture.shape)
    return int(x), int(y)


# The native kernels against the twin, forward and backward


@pytest.mark.parametrize("model", LENSES)
def test_cloud(level: str, model: LensModel) -> None:
    compare(cloud(300), lens_view(model), 2)


@pytest.mark.parametrize("model", ["fisheye", "equirectangular"])
@pytest.mark.parametrize("size", [(101, 83), (8, 64), (3, 130), (200, 20), (1, 1)])
def test_all_around(level: str, model: LensModel, size: tuple[int, int]) -> None:
    compare(all_around(200), lens_view(model, *size), 1)


@pytest.mark.parametrize("model", LENSES)
def test_large_splats_that_reach_around_the_camera(level: str, model: LensModel) -> None:
    """Sigma points behind the camera, beyond the fold and, in a panorama, more than half a picture away."""
    splats = all_around(60)
    splats.log_scales[:] += 2.5
    # Ellipses of hundreds of pixels: float32 loses digits of their determinants.
    compare(splats, lens_view(model), 1, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("model", LENSES)
def test_needles(level: str, model: LensModel) -> None:
    splats = cloud(200)
    splats.log_scales[:] = np.log([0.9, 0.003, 0.003])
    # As with the pinhole, and besides everything goes through rounded sigma points: 6e-4 of alpha, times depths of 6.
    compare(splats, lens_view(model), 0, rtol=3e-3, atol=6e-3)


@pytest.mark.parametrize("model", LENSES)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.means.__setitem__(0, np.nan),
        lambda s: s.means.__setitem__(0, np.inf),
        lambda s: s.quats.__setitem__(0, 0.0),
        lambda s: s.log_scales.__setitem__((0, 1), np.nan),
        lambda s: s.log_scales.__setitem__(0, 60.0),
        lambda s: s.means.__setitem__(0, AT_THE_CAMERA),
        lambda s: s.logit_opacities.__setitem__(0, -20.0),
    ],
    ids=["nan mean", "inf mean", "zero quat", "nan scale", "monstrous scale", "at the camera", "transparent"],
)
def test_a_bad_splat_is_as_if_it_were_not_there(
    level: str, model: LensModel, spoil: Callable[[SplatArrays], None]
) -> None:
    splats = all_around(20)
    without = SplatArrays(*(a[1:] for a in splats))
    expected = render(pack(*without), 19, lens_view(model))
    spoil(splats)
    picture = render(pack(*splats), 20, lens_view(model))
    assert_close_where(picture.rgb, expected.rgb, 1e-6, reason="the same splats in other lanes")
    gradients = unpack(render_backward(picture.context, np.ones_like(picture.rgb)), 20)
    for values in gradients:
        assert np.isfinite(values).all() and not values[0].any()


@pytest.mark.parametrize("model", LENSES)
def test_no_splats_one_splat_and_a_splat_without_size(level: str, model: LensModel) -> None:
    view = lens_view(model, 20, 9)
    picture = render(kernels.zero_blocks(0), 0, view, background=BACKGROUND)
    assert np.array_equal(picture.rgb, np.broadcast_to(np.float32(BACKGROUND), (9, 20, 3)))
    lone = one_splat(0.6)
    lone.log_scales[:] += [0.2, 0.0, -0.2]  # a ball would not care how it is turned: all would be rounding
    compare(lone, view, 0, rtol=1e-3)
    dot = one_splat(0.9)
    dot.log_scales[:] = -60.0
    compare(dot, view, 0, rtol=1e-3)


@pytest.mark.parametrize("model", LENSES)
def test_filters_and_the_gradient_by_the_camera(level: str, model: LensModel) -> None:
    """Both of Mip-Splatting's filters, and the pose's gradient by automatic differentiation of the twin."""
    splats, view = all_around(150), lens_view(model)
    smoothing = np.full(150, 0.03, np.float32)
    picture = render(pack(*splats), 150, view, sh_degree=1, antialiased=True, smoothing=smoothing)
    p, twist = tensors(splats, requires_grad=True), torch.zeros(6, dtype=torch.float64, requires_grad=True)
    whole = torch.eye(4, dtype=torch.float64)
    whole[:3] = torch.as_tensor(view.cam_from_world)
    moved = (twin.exp_twist(twist) @ whole)[:3]
    soft = torch.tensor(smoothing, dtype=torch.float64)
    rgb, alpha, depth = twin.rasterize(
        *(*p, view, 1),
        antialiased=True,
        smoothing=soft,
        cam_from_world=moved,  # type: ignore[arg-type]
    )
    d = [np.random.default_rng(3).standard_normal(a.shape).astype(np.float32) for a in (rgb, alpha, depth)]
    total = sum((torch.tensor(g) * a).sum() for g, a in zip(d, (rgb, alpha, depth), strict=True))
    total.backward()  # type: ignore[union-attr]
    assert_close_where(picture.rgb, rgb.detach(), 4e-5, reason="float32 against float64")
    gradients = unpack(render_backward(picture.context, *d), 150, 3)
    for name, a, tensor in zip(SplatArrays._fields, gradients, p, strict=True):
        assert tensor.grad is not None
        scale = float(tensor.grad.abs().max())
        assert_close_where(a, tensor.grad, 4e-4 * scale, reason=f"{name}: sums of thousands of float32 terms")
    assert twist.grad is not None
    assert_close_where(
        picture.context.d_camera, twist.grad, 1e-3 * float(twist.grad.abs().max()), reason="a sum over all splats"
    )


@pytest.mark.parametrize("model", LENSES)
def test_a_step_follows_the_gradient(level: str, model: LensModel) -> None:
    """The fused step: with a target photo that differs, the loss falls."""
    splats, view = all_around(200), lens_view(model)
    target = render(pack(*all_around(200)), 200, view).rgb
    photo = Photo((np.clip(target, 0, 1) * 255).astype(np.uint8))
    splats.sh[:] = 0.0
    blocks, first, second = pack(*splats), kernels.zero_blocks(200), kernels.zero_blocks(200)
    losses = [
        train_step(blocks, first, second, 200, view, photo, StepConfig(step=i, lr_sh0=0.02)).loss for i in range(1, 30)
    ]
    assert losses[-1] < 0.7 * losses[0]


# The twin against geometry


@pytest.mark.parametrize("model", LENSES)
def test_the_twins_gradient_by_finite_differences(model: LensModel) -> None:
    view = lens_view(model, 24, 20)
    splats = SplatArrays(*(a[:6] for a in all_around(40)))
    p = tensors(splats, requires_grad=True)
    weights = torch.linspace(-1, 1, 24 * 20 * 3, dtype=torch.float64).reshape(20, 24, 3)

    def value() -> torch.Tensor:
        rgb, alpha, depth = twin.rasterize(*p, view, 1)  # type: ignore[arg-type]
        total: torch.Tensor = (rgb * weights).sum() + (alpha * weights[..., 0]).sum() + 0.1 * depth.sum()
        return total

    assert_slopes(value, p)


def test_a_weak_lens_is_nearly_a_pinhole() -> None:
    """Small splats: the unscented transform and the linear one differ by the perspective's curvature within a splat."""
    splats = cloud(200, log_scale=-4.5)
    pinhole = View(101, 83, 80.0, 85.0, 51.0, 40.0, np.eye(3, 4, dtype=np.float32))
    opencv = View(101, 83, 80.0, 85.0, 51.0, 40.0, np.eye(3, 4, dtype=np.float32), "opencv", (0.0, 0.0))
    a, b = (render(pack(*splats), 200, v).rgb for v in (pinhole, opencv))
    assert_close_where(a, b, 0.02, reason="curvature within splats of a pixel or two")
    assert np.abs(a - b).mean() < 2e-4


def test_points_against_opencvs_formula() -> None:
    """OpenCV's documentation, by hand: k1 = -0.2, p1 = 0.01 at (x/z, y/z) = (0.5, -0.25)."""
    view = upright("opencv", 64, 32, 10.0, -0.2, 0.0, 0.01)
    r2 = 0.25 + 0.0625
    factor = 1 - 0.2 * r2
    expected = (
        32 + 10 * (0.5 * factor + 2 * 0.01 * 0.5 * -0.25),
        16 + 10 * (-0.25 * factor + 0.01 * (r2 + 2 * 0.0625)),
    )
    found = project_points(torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64), view)
    assert np.allclose(found[0], expected, atol=1e-12)


def test_a_fisheye_sees_behind_its_image_plane(level: str) -> None:
    """Equidistant, f = 12 px: 110 degrees to the right are 12 * 1.92 = 23 px from the middle."""
    angle = math.radians(110)
    picture = render(pack(*at((math.sin(angle), 0.0, math.cos(angle)))), 1, upright("fisheye"))
    assert brightest(picture.alpha) == (int(32 + 12 * angle), 15)
    assert np.isclose((picture.depth.sum() / picture.alpha.sum()), 1.0, atol=1e-5), "depth is the distance"


@pytest.mark.parametrize(
    ("point", "pixel"),
    [
        ((0, 0, 2), (32, 16)),
        ((2, 0, 0), (48, 16)),
        ((-2, 0, 0), (16, 16)),
        ((0, -2, 2), (32, 8)),
        ((0, 2, 2), (32, 24)),
        ((2, 0, -2), (56, 16)),
    ],
)
def test_where_a_panorama_shows_things(level: str, point: tuple[float, float, float], pixel: tuple[int, int]) -> None:
    """64 x 32 px for 360 x 180 degrees: an eighth of a turn is 8 px; up is -y."""
    alpha = render(pack(*at(point, 0.1)), 1, upright("equirectangular")).alpha
    ys, xs = np.mgrid[:32, :64] + 0.5
    assert np.allclose([(alpha * xs).sum() / alpha.sum(), (alpha * ys).sum() / alpha.sum()], pixel, atol=0.05)


def test_a_splat_on_the_seam_appears_on_both_sides(level: str) -> None:
    """Straight behind: the picture shifted by half its width shows the same as straight ahead."""
    view = upright("equirectangular")
    behind = render(pack(*at((0.0, 0.1, -2.0), 0.4)), 1, view)
    ahead = render(pack(*at((0.0, 0.1, 2.0), 0.4)), 1, view)
    assert behind.alpha[16, 0] > 0.5 and behind.alpha[16, 63] > 0.5
    assert_close_where(np.roll(behind.alpha, 32, axis=1), ahead.alpha, 1e-5, reason="float32 azimuths of pi")


@pytest.mark.parametrize("turn", [0.0, math.pi / 2, math.pi])
def test_a_panorama_turned_about_the_vertical_is_rolled(level: str, turn: float) -> None:
    """Wherever the seam lies, the picture is the same but for where it starts (the order turns by quarters)."""
    splats, steps = all_around(150), round(turn / (2 * math.pi) * 96)
    turned = lens_view("equirectangular", 96, 48, turn=0.1 + steps / 96 * 2 * math.pi)
    # The translation stands in the camera: turn it too.
    turned.cam_from_world[:, 3] = (
        turned.cam_from_world[:, :3] @ lens_view("equirectangular", 96, 48).cam_from_world[:, :3].T @ PLACE
    )
    a = render(pack(*splats), 150, lens_view("equirectangular", 96, 48)).rgb
    b = render(pack(*splats), 150, turned).rgb
    assert_close_where(np.roll(a, steps, axis=1), b, 2e-4, reason="float32 angles; strips of 8 px divide 96")


def test_a_splat_at_a_pole_is_a_band_that_stays_finite(level: str) -> None:
    for offset in (0.0, 1e-6, 0.01, 0.2):
        splats = at((offset, -2.0, 0.0), 0.3)
        picture = render(pack(*splats), 1, upright("equirectangular"))
        assert np.isfinite(picture.rgb).all() and picture.alpha[0].max() > 0.3 and picture.alpha[16:].max() < 0.01
        for values in unpack(render_backward(picture.context, np.ones_like(picture.rgb)), 1):
            assert np.isfinite(values).all()


def test_what_a_lens_folds_back_is_not_drawn(level: str) -> None:
    """k1 = -0.3: the distorted radius r (1 - 0.3 r^2) turns back at r = 1 / sqrt(0.9) = 1.054."""
    view = upright("opencv", 64, 64, 40.0, -0.3)
    assert np.isclose(view.limits[0], 1 / math.sqrt(0.9))
    inside, beyond = at((2.0, 0.0, 2.0)), at((3.4, 0.0, 2.0))
    assert render(pack(*inside), 1, view).alpha.max() > 0.2
    folded = 32 + 40 * 1.7 * (1 - 0.3 * 1.7**2)
    assert 32 < folded < 64, "the formula alone would show it in the picture"
    assert render(pack(*beyond), 1, view).alpha.max() == 0
    assert len(twin_picture(beyond, view, 0)[1][1].nonzero()) == 0


@pytest.mark.parametrize(
    ("model", "k", "limit"),
    [
        ("opencv", (0, 0, 0, 0, 0, 0, 0, 0), math.inf),
        ("opencv", (0.1, 0, 0, 0, 0, 0, 0, 0), math.inf),
        ("opencv", (-0.1, 0, 0, 0, 0, 0, 0, 0), math.sqrt(1 / 0.3)),
        ("opencv", (0, 0, 0, 0, 0, -0.25, 0, 0), 2.0),
        ("fisheye", (0, 0, 0, 0), 1.15 * 0.8),
        ("fisheye", (-0.4, 0, 0, 0), math.sqrt(1 / 1.2)),
    ],
)
def test_how_far_a_lens_reaches(model: LensModel, k: tuple[float, ...], limit: float) -> None:
    found, hold = lens_limits(model, k, 0.8)
    assert math.isclose(found, limit, rel_tol=1e-9) if math.isfinite(limit) else found == limit
    radius = opencv_radius if model == "opencv" else fisheye_radius
    assert hold <= found and (math.isclose(hold, limit) or math.isclose(radius(k, hold), 1.15 * 0.8, rel_tol=1e-9))


def test_views_that_cannot_be() -> None:
    eye = np.eye(3, 4, dtype=np.float32)
    with pytest.raises(ValueError, match="model is 'lens'"):
        View(8, 8, 5, 5, 4, 4, eye, "lens")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fisheye takes at most 4"):
        View(8, 8, 5, 5, 4, 4, eye, "fisheye", (0.1,) * 5)
    with pytest.raises(ValueError, match="pinhole takes none"):
        View(8, 8, 5, 5, 4, 4, eye, "pinhole", (0.1,))
    with pytest.raises(ValueError, match="finite"):
        View(8, 8, 5, 5, 4, 4, eye, "opencv", (math.nan,))
    with pytest.raises(ValueError, match="360 x 180"):
        View(8, 8, 5, 5, 4, 4, eye, "equirectangular")


@pytest.mark.parametrize("model", LENSES)
def test_other_outputs_of_a_picture(level: str, model: LensModel) -> None:
    """Features, their gradient, median depth and contribution, seam included."""
    splats, view = all_around(120), lens_view(model)
    features = np.random.default_rng(2).standard_normal((120, 3)).astype(np.float32)
    context = render(pack(*splats), 120, view, sh_degree=1).context
    p = tensors(splats, requires_grad=True)
    seen = twin.project(*p, view, 1)  # type: ignore[arg-type]
    drawn = twin_outputs.render_features(seen, view, torch.tensor(features, dtype=torch.float64))
    assert_close_where(kernels.render_features(context, features), drawn.detach(), 4e-5, reason="float32 and float64")
    expected = twin_outputs.median_depth(seen, view).numpy()
    same = np.isclose(kernels.median_depth(context), expected, atol=1e-4)
    assert same.mean() > 0.995, "a pixel whose light is at one half may take the next splat"
    total = twin_outputs.contribution(seen, view, 120).total
    scale = float(total.max())
    assert_close_where(kernels.contribution(context).total, total, 1e-4 * scale, reason="sums of thousands of terms")


def test_how_finely_lenses_sample(level: str) -> None:
    splats = all_around(100)
    views = [lens_view(model) for model in LENSES]
    for chosen in (*([v] for v in views), views):
        found = kernels.sampling_intervals(pack(*splats), 100, chosen)
        expected = twin.sampling_intervals(torch.tensor(splats.means, dtype=torch.float64), chosen)
        assert np.array_equal(np.isfinite(found), expected.isfinite().numpy())
        seen = np.isfinite(found)
        assert np.allclose(found[seen], expected.numpy()[seen], rtol=1e-5)
    panorama = kernels.sampling_intervals(pack(*splats), 100, [views[2]])
    assert np.isfinite(panorama).all(), "a panorama sees everything"


def test_rows_of_a_panorama_weigh_their_solid_angle() -> None:
    weights = View.equirectangular(200, 100, np.eye(3, 4)).row_weights
    assert weights is not None and weights.shape == (100,) and weights.min() > 0
    pixel = (2 * math.pi / 200) * (math.pi / 100)  # at the horizon
    # The midpoint rule on 100 rows of a half turn is off by (pi / 100)^2 / 24 of the sphere.
    assert abs(200 * float(weights.sum()) * pixel / (4 * math.pi) - 1) < 1e-4
    assert np.allclose(weights, weights[::-1]) and np.argmax(weights) in (49, 50)
    assert upright("fisheye").row_weights is None


@pytest.mark.parametrize("bad", [[1.0, -0.1], [1.0, math.nan], [1.0]])
def test_weights_of_rows_must_fit(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="row_weights"):
        Photo(np.zeros((2, 3, 3), np.uint8), row_weights=np.array(bad, np.float32))
