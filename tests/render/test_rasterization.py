"""gsplat's call on the CPU: truth by hand for one splat, by the float64 twin for many, and what it refuses."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from diorama.kernels import View, twin, twin_outputs
from diorama.render import rasterization

WIDTH, HEIGHT, COUNT = 45, 37, 80
NAMES = ("means", "quats", "scales", "opacities", "colors")


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cameras(count: int = 2) -> tuple[Tensor, Tensor]:
    """viewmats (C, 4, 4) turned and moved a little each, Ks (C, 3, 3) off-centre with unequal focal lengths."""
    viewmats, intrinsics = torch.eye(4).repeat(count, 1, 1), torch.eye(3).repeat(count, 1, 1)
    for c in range(count):
        angle = 0.1 + 0.3 * c
        viewmats[c, 0, 0] = viewmats[c, 2, 2] = math.cos(angle)
        viewmats[c, 0, 2], viewmats[c, 2, 0] = math.sin(angle), -math.sin(angle)
        viewmats[c, :3, 3] = torch.tensor([0.1 - c, -0.2, 0.3])
        intrinsics[c, 0] = torch.tensor([40.0 + 3 * c, 0.0, 23.5])
        intrinsics[c, 1] = torch.tensor([0.0, 44.0, 17.5])
    return viewmats, intrinsics


def scene(kind: str = "rgb", count: int = COUNT, seed: int = 5) -> dict[str, Tensor]:
    """Splats in front of `cameras`, with `colors` of one kind: rgb, rgb per camera, sh1 or sh3."""
    g = torch.Generator().manual_seed(seed)
    shapes = {"rgb": (count, 3), "rgb per camera": (2, count, 3), "sh1": (count, 4, 3), "sh3": (count, 16, 3)}
    colors = torch.rand(shapes[kind], generator=g)
    return {
        "means": torch.rand(count, 3, generator=g) * torch.tensor([3.0, 2.4, 3.0]) - torch.tensor([1.5, 1.2, -2.0]),
        "quats": torch.randn(count, 4, generator=g),
        "scales": torch.rand(count, 3, generator=g) * 0.2 + 0.02,
        "opacities": torch.rand(count, generator=g) * 0.9 + 0.05,
        "colors": colors if kind.startswith("rgb") else (colors - 0.5) * 0.6,
    }


def degree_of(kind: str) -> int | None:
    return {"sh1": 1, "sh3": 3}.get(kind)


def draw(splats: dict[str, Tensor], count: int = 2, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    viewmats, intrinsics = cameras(count)
    call: dict[str, Any] = {**splats, "viewmats": viewmats, "Ks": intrinsics, "width": WIDTH, "height": HEIGHT}
    return rasterization(**call, **options)


def draw_twin(
    splats: dict[str, Tensor], sh_degree: int | None, backgrounds: Tensor, shifts_px: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """rgb, alpha and depth (C, H, W, ...) of the twin, in the splats' dtype and by the definitions of gsplat."""
    colors = splats["colors"]
    pictures = []
    for c, (viewmat, k) in enumerate(zip(*cameras(len(backgrounds)), strict=True)):
        fx, fy, cx, cy = (float(k[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
        view = View(WIDTH, HEIGHT, fx, fy, cx, cy, viewmat[:3].numpy())
        sh = colors
        if sh_degree is None:
            sh = ((colors[c] if colors.dim() == 3 else colors) - 0.5)[:, None, :] / twin.C0
        pictures.append(
            twin.rasterize(
                splats["means"],
                splats["quats"],
                torch.log(splats["scales"]),
                torch.logit(splats["opacities"]),
                sh,
                view,
                sh_degree or 0,
                background=backgrounds[c],
                shifts_px=None if shifts_px is None else shifts_px[c],
            )
        )
    rgb, alpha, depth = (torch.stack(parts) for parts in zip(*pictures, strict=True))
    return rgb, alpha[..., None], depth[..., None]


def in_double(splats: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.detach().double().requires_grad_() for name, t in splats.items()}


def weights(channels: int, seed: int = 1) -> Tensor:
    """What a made-up loss multiplies pictures with; smooth, so that single pixels at a threshold weigh little."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(HEIGHT) / HEIGHT, torch.arange(WIDTH) / WIDTH, indexing="ij")
    phases = torch.rand(2, channels, generator=g) * 6.0
    return torch.cos(4.0 * x[None, ..., None] + 3.0 * y[None, ..., None] + phases[:, None, None, :])


def assert_gradients_close(ours: Tensor | None, truth: Tensor | None, rtol: float = 2e-4) -> None:
    """Relative to the largest. Float32 against float64 was off by 1.7e-5 at worst on 12 scenes; the rest is room for a
    splat at a pixel's 1/255 threshold, which may fall either way."""
    assert ours is not None
    assert truth is not None
    assert ours.shape == truth.shape
    assert ours.isfinite().all()
    scale = float(truth.abs().max())
    assert scale > 0
    assert float((ours - truth).abs().max()) < rtol * scale


# Pictures


def test_one_round_splat_by_hand() -> None:
    viewmats, intrinsics = torch.eye(4)[None], torch.tensor([[[40.0, 0, 16.5], [0, 40.0, 12.5], [0, 0, 1]]])
    splat = (
        torch.tensor([[0.0, 0.0, 4.0]]),
        torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        torch.full((1, 3), 0.3),
        torch.tensor([0.6]),
        torch.tensor([[0.9, 0.5, 0.1]]),
    )
    back = torch.tensor([[0.0, 0.0, 1.0]])
    picture, alphas, meta = rasterization(
        *splat, viewmats, intrinsics, 33, 25, backgrounds=back, render_mode="RGB+ED", packed=False
    )
    assert picture.shape == (1, 25, 33, 4)
    assert alphas.shape == (1, 25, 33, 1)
    y, x = torch.meshgrid(torch.arange(25) + 0.5, torch.arange(33) + 0.5, indexing="ij")
    variance = (40.0 * 0.3 / 4.0) ** 2 + 0.3  # the splat in pixels and eps2d
    alpha = 0.6 * torch.exp(-((x - 16.5) ** 2 + (y - 12.5) ** 2) / (2 * variance))
    alpha[alpha < 1 / 255] = 0
    sure = (alpha - 1 / 255).abs() > 1e-4  # on the threshold rounding decides
    assert torch.allclose(alphas[0, ..., 0][sure], alpha[sure], atol=1e-4)
    rgb = alpha[..., None] * splat[4] + (1 - alpha[..., None]) * back
    assert torch.allclose(picture[0, ..., :3][sure], rgb[sure], atol=1e-4)
    assert torch.allclose(picture[0, ..., 3][alpha > 0.01], torch.tensor(4.0), atol=1e-3)
    assert not picture[0, ..., 3][alpha == 0].any()

    assert torch.allclose(meta["means2d"], torch.tensor([[[16.5, 12.5]]]))
    assert meta["depths"].tolist() == [[4.0]]
    radius = math.ceil(math.sqrt(2 * math.log(0.6 * 255) * variance))  # alpha is 1/255 there
    assert meta["radii"].tolist() == [[[radius, radius]]]
    assert (meta["width"], meta["height"], meta["n_cameras"], meta["gaussian_ids"]) == (33, 25, 1, None)


@pytest.mark.parametrize("kind", ["rgb", "rgb per camera", "sh1", "sh3"])
def test_two_cameras_see_the_twins_pictures(kind: str) -> None:
    splats, backgrounds = scene(kind), torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.0, 0.4]])
    truth = draw_twin({n: t.double() for n, t in splats.items()}, degree_of(kind), backgrounds)
    picture, alpha, _ = draw(splats, sh_degree=degree_of(kind), backgrounds=backgrounds, render_mode="RGB+D")
    for ours, twins in zip((picture[..., :3], alpha, picture[..., 3:]), truth, strict=True):
        gap = (ours - twins).abs()
        assert float((gap < 1e-3).double().mean()) > 0.99
        assert gap.max() < 0.03  # 1/255 of a splat at depth up to 5


def test_modes_are_columns_of_one_picture() -> None:
    splats = scene()
    whole, alpha, _ = draw(splats, render_mode="RGB+D")
    expected = whole[..., 3:] / alpha.clamp(min=1e-10)
    modes = {"RGB": whole[..., :3], "D": whole[..., 3:], "ED": expected}
    modes["RGB+ED"] = torch.cat([modes["RGB"], expected], -1)
    for mode, columns in modes.items():
        assert torch.equal(draw(splats, render_mode=mode)[0], columns), mode


def test_lower_sh_degree_leaves_higher_coefficients_out() -> None:
    splats = scene("sh3")
    low = {**splats, "colors": splats["colors"][:, :4]}
    assert torch.equal(draw(splats, sh_degree=1)[0], draw(low, sh_degree=1)[0])
    odd = {**splats, "colors": splats["colors"][:, :6]}
    assert torch.equal(draw(odd, sh_degree=1)[0], draw(low, sh_degree=1)[0])


def test_planes_and_radius_leave_out_the_same_splats_as_removing_them() -> None:
    splats = scene()
    _, _, meta = draw(splats, 1, packed=False)
    depths, radii = meta["depths"][0], meta["radii"][0]
    seen = (radii > 0).all(-1)
    near, far, clip = float(depths[seen].quantile(0.2)), float(depths[seen].quantile(0.8)), 6.0
    for options, inside in (
        ({"near_plane": near}, depths >= near),
        ({"far_plane": far}, depths <= far),
        ({"radius_clip": clip}, (radii > clip).any(-1)),
    ):
        kept = inside & seen
        assert 5 < int(kept.sum()) < int(seen.sum()) - 5, options
        less, _, record = draw(splats, 1, **options)
        removed = draw({n: t[kept] for n, t in splats.items()}, 1)[0]
        assert torch.allclose(less, removed, atol=1e-6), options  # the darkest colour may be another: rounding
        assert record["gaussian_ids"].tolist() == torch.nonzero(kept).squeeze(-1).tolist()


def test_colors_need_not_be_positive() -> None:
    splats = scene()
    splats["colors"] = splats["colors"] - 0.4  # in gsplat RGB values are whatever is to be blended
    twice = draw({**splats, "colors": 2.0 * splats["colors"]})[0]
    assert twice.min() < -0.1
    assert torch.allclose(twice, 2.0 * draw(splats)[0], atol=1e-5)
    above = draw({**splats, "colors": splats["colors"] + 0.5})
    assert torch.allclose(above[0] - 0.5 * above[1], draw(splats)[0], atol=1e-5)


def test_no_splats_show_the_background() -> None:
    splats = {name: t[:0].requires_grad_() for name, t in scene().items()}
    back = torch.tensor([[0.2, 0.4, 0.6], [0.0, 0.0, 0.0]])
    picture, alpha, meta = draw(splats, backgrounds=back)
    assert torch.equal(picture, back[:, None, None, :].expand(2, HEIGHT, WIDTH, 3))
    assert not alpha.any()
    assert meta["means2d"].shape == (0, 2)
    picture.sum().backward()  # type: ignore[no-untyped-call]
    assert splats["means"].grad is not None


# Gradients


@pytest.mark.parametrize("kind", ["rgb", "rgb per camera", "sh3"])
def test_gradients_are_the_twins(kind: str) -> None:
    splats = {n: t.requires_grad_() for n, t in scene(kind).items()}
    backgrounds = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.0, 0.4]], requires_grad=True)
    picture, alpha, _ = draw(splats, sh_degree=degree_of(kind), backgrounds=backgrounds, render_mode="RGB+ED")
    ((picture * weights(4)).sum() + (alpha * weights(1)).sum()).backward()  # type: ignore[no-untyped-call]

    truth, truth_back = in_double(splats), backgrounds.detach().double().requires_grad_()
    rgb, twin_alpha, depth = draw_twin(truth, degree_of(kind), truth_back)
    whole = torch.cat([rgb, depth / twin_alpha.clamp(min=1e-10)], -1)
    ((whole * weights(4)).sum() + (twin_alpha * weights(1)).sum()).backward()  # type: ignore[no-untyped-call]
    for name in NAMES:
        assert_gradients_close(splats[name].grad, truth[name].grad)
    assert_gradients_close(backgrounds.grad, truth_back.grad)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["rgb", "sh3"])
def test_the_centres_gradient_is_the_twins(packed: bool, kind: str) -> None:
    splats = {n: t.requires_grad_() for n, t in scene(kind).items()}
    picture, _, meta = draw(splats, sh_degree=degree_of(kind), packed=packed, render_mode="RGB+D")
    meta["means2d"].retain_grad()
    (picture * weights(4)).sum().backward()  # type: ignore[no-untyped-call]
    ours = meta["means2d"].grad
    if packed:
        whole = torch.zeros(2, COUNT, 2)
        whole[meta["camera_ids"], meta["gaussian_ids"]] = ours
        ours = whole

    truth, shifts = in_double(splats), torch.zeros(2, COUNT, 2, dtype=torch.float64, requires_grad=True)
    rgb, _, depth = draw_twin(truth, degree_of(kind), torch.zeros(2, 3, dtype=torch.float64), shifts)
    (torch.cat([rgb, depth], -1) * weights(4)).sum().backward()  # type: ignore[no-untyped-call]
    assert_gradients_close(ours, shifts.grad)
    for name in NAMES:  # taking the centres' part out and putting it back changes nothing
        assert_gradients_close(splats[name].grad, truth[name].grad)


def test_means2d_is_a_part_of_the_graph() -> None:
    def means_grad(change: Callable[[Tensor], Any], *, picture_too: bool = True) -> Tensor:
        splats = scene()
        splats["means"].requires_grad_()
        picture, _, meta = draw(splats)
        extra = change(meta["means2d"])
        loss = (picture * weights(3)).sum() if picture_too else 0.0
        (loss + (extra if isinstance(extra, Tensor) else 0.0)).backward()  # type: ignore[union-attr]
        assert splats["means"].grad is not None
        return splats["means"].grad

    plain = means_grad(lambda centres: None)
    assert_gradients_close(means_grad(lambda centres: centres.retain_grad()), plain, 1e-5)
    moved = means_grad(lambda centres: (centres * 0.1).sum(), picture_too=False)
    assert_gradients_close(means_grad(lambda centres: (centres * 0.1).sum()), plain + moved, 1e-5)
    # what the ellipses' shapes leave
    stopped = means_grad(lambda centres: centres.register_hook(torch.zeros_like))  # type: ignore[no-untyped-call]
    assert float((stopped - plain).abs().max()) > 0.1 * float(plain.abs().max())


@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize("per_camera", [False, True])
def test_colours_of_any_number_of_channels(channels: int, per_camera: bool) -> None:
    """Column by column what the twin draws as red; gradients by everything, the centres in the picture included."""
    splats = scene()
    g = torch.Generator().manual_seed(2)
    shape = (2, COUNT, channels) if per_camera else (COUNT, channels)
    splats["colors"] = torch.rand(shape, generator=g) + 0.1  # the twin clamps below 0
    splats = {n: t.requires_grad_() for n, t in splats.items()}
    backgrounds = torch.rand(2, channels, generator=g)
    picture, alpha, meta = draw(splats, backgrounds=backgrounds, render_mode="RGB+D", packed=False)
    assert picture.shape == (2, HEIGHT, WIDTH, channels + 1)
    meta["means2d"].retain_grad()
    ((picture * weights(channels + 1)).sum() + (alpha * weights(1)).sum()).backward()  # type: ignore[no-untyped-call]

    truth, shifts = in_double(splats), torch.zeros(2, COUNT, 2, dtype=torch.float64, requires_grad=True)
    columns = []
    for k in range(channels):
        red = {**truth, "colors": truth["colors"][..., k : k + 1].expand(*truth["colors"].shape[:-1], 3)}
        back = backgrounds[:, k : k + 1].double().expand(2, 3)
        rgb, twin_alpha, depth = draw_twin(red, None, back, shifts)
        columns.append(rgb[..., :1])
    whole = torch.cat([*columns, depth], -1)
    ((whole * weights(channels + 1)).sum() + (twin_alpha * weights(1)).sum()).backward()  # type: ignore[no-untyped-call]
    gap = (picture - whole).abs()
    assert float((gap < 1e-3).double().mean()) > 0.99  # but for pixels at a splat's 1/255
    assert_gradients_close(meta["means2d"].grad, shifts.grad)
    for name in NAMES:
        assert_gradients_close(splats[name].grad, truth[name].grad)


def test_absgrad_is_the_twins() -> None:
    splats = {n: t.requires_grad_() for n, t in scene().items()}
    picture, _, meta = draw(splats, 1, absgrad=True)
    d_rgb = weights(3)[:1]
    (picture * d_rgb).sum().backward()  # type: ignore[no-untyped-call]
    s = {n: t.detach().double() for n, t in splats.items()}
    viewmats, k = cameras(1)
    fx, fy, cx, cy = (float(k[0][i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    view = View(WIDTH, HEIGHT, fx, fy, cx, cy, viewmats[0, :3].numpy())
    sh = (s["colors"] - 0.5)[:, None, :] / twin.C0
    seen = twin.project(s["means"], s["quats"], s["scales"].log(), s["opacities"].logit(), sh, view, 0)
    expected = twin_outputs.absolute_pulls(seen, view, COUNT, torch.zeros(3), d_rgb[0])
    assert_gradients_close(meta["means2d"].absgrad, expected[meta["gaussian_ids"]])
    with pytest.raises(NotImplementedError, match="absgrad"):
        draw({**scene(), "colors": torch.rand(COUNT, 4)}, absgrad=True)


@pytest.mark.parametrize("channels", [3, 5])
def test_the_gradient_by_viewmats_is_that_of_rigid_motions(channels: int) -> None:
    """Against central differences along each of the six motions exp(xi) viewmat, by splats whose edges lie outside."""
    g = torch.Generator().manual_seed(4)
    splats = scene(count=12) | {
        "scales": torch.full((12, 3), 4.0),
        "colors": torch.rand(12, channels, generator=g) + 0.2,
    }
    viewmats, intrinsics = cameras(2)

    def loss(matrices: Tensor) -> Tensor:
        call: dict[str, Any] = {**splats, "viewmats": matrices, "Ks": intrinsics, "width": WIDTH, "height": HEIGHT}
        picture, _, _ = rasterization(**call, render_mode="RGB+D")
        return (picture * weights(channels + 1)).double().sum()

    held = viewmats.clone().requires_grad_()
    loss(held).backward()  # type: ignore[no-untyped-call]
    assert held.grad is not None
    step = 4e-3
    for motion in range(6):
        generator = torch.zeros(4, 4, dtype=torch.float64)
        if motion < 3:
            generator[motion, 3] = 1.0
        else:
            i, j = (motion - 2) % 3, (motion - 1) % 3
            generator[j, i], generator[i, j] = 1.0, -1.0
        sides = []
        for sign in (1.0, -1.0):
            moved = viewmats.clone()
            moved[1] = (torch.linalg.matrix_exp(sign * step * generator) @ viewmats[1].double()).float()
            sides.append(loss(moved))
        slope = (sides[0] - sides[1]) / (2 * step)
        ours = (held.grad[1].double() * (generator @ viewmats[1].double())).sum()
        assert float((ours - slope).abs()) < 0.02 * float(slope.abs()) + 0.2, (motion, ours, slope)


def test_antialiased_splats_are_the_twins() -> None:
    splats = scene()
    splats["scales"] *= 0.1  # thinner than a pixel: the low-pass matters
    soft, _, _ = draw(splats, 1, rasterize_mode="antialiased")
    sharp, _, _ = draw(splats, 1)
    assert float(soft.sum()) < 0.8 * float(sharp.sum())
    s = {n: t.double() for n, t in splats.items()}
    viewmats, k = cameras(1)
    fx, fy, cx, cy = (float(k[0][i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    view = View(WIDTH, HEIGHT, fx, fy, cx, cy, viewmats[0, :3].numpy())
    sh = (s["colors"] - 0.5)[:, None, :] / twin.C0
    truth = twin.rasterize(
        s["means"], s["quats"], s["scales"].log(), s["opacities"].logit(), sh, view, 0, antialiased=True
    )[0]
    assert float(((soft[0] - truth).abs() < 1e-3).double().mean()) > 0.99


def test_finite_differences_of_one_splat() -> None:
    """The public function itself, float32: steps beyond its rounding, a splat that reaches beyond the picture."""
    start = {
        "means": torch.tensor([[0.15, -0.1, 3.0]]),
        "quats": torch.tensor([[0.9, 0.3, -0.2, 0.4]]),
        "scales": torch.tensor([[1.5, 1.0, 1.25]]),
        "opacities": torch.tensor([0.7]),
        "colors": torch.tensor([[0.3, 0.0, -0.2]]),
    }

    def loss(splats: dict[str, Tensor]) -> Tensor:
        picture, alpha, _ = draw(splats, 1, render_mode="RGB+D")
        return ((picture * weights(4)[:1]).double().sum() + (alpha * weights(1)[:1]).double().sum()) / 100.0

    splats = {n: t.clone().requires_grad_() for n, t in start.items()}
    loss(splats).backward()  # type: ignore[no-untyped-call]
    step = 1.6e-2
    for name, value in start.items():
        slopes = torch.zeros(value.numel(), dtype=torch.float64)
        for i in range(value.numel()):
            sides = []
            for sign in (1.0, -1.0):
                moved = value.clone()
                moved.view(-1)[i] += sign * step
                sides.append(loss({**start, name: moved}))
            slopes[i] = (sides[0] - sides[1]) / (2 * step)
        # Off by 0.3 % at worst: rounding of the pictures, 2e-6 a pixel, over the step (it shrinks as steps grow).
        assert_gradients_close(splats[name].grad, slopes.reshape(value.shape), 1e-2)


def test_values_at_their_limits() -> None:
    """Scale 0, a mirrored scale, opacity 1 and 0, and broken splats: as gsplat draws them, with finite gradients."""
    splats = scene(count=16)
    plain = {n: t.clone() for n, t in splats.items()}
    splats["scales"][0, 0] *= -1.0
    splats["scales"][1] = 0.0
    plain["scales"][1] = 1e-6
    splats["opacities"][2] = 1.0
    plain["opacities"][2] = 0.99999
    splats["opacities"][3] = 0.0
    splats["means"][4, 0] = math.nan
    splats["colors"][5, 1] = math.inf
    splats["quats"][6] = 0.0
    for name in NAMES:
        splats[name].requires_grad_()
        plain[name] = torch.cat([plain[name][:3], plain[name][7:]])
    picture = draw(splats)[0]
    assert torch.allclose(picture, draw(plain)[0], atol=1e-4)
    picture.sum().backward()  # type: ignore[no-untyped-call]
    grads = {name: splats[name].grad for name in NAMES}
    sound = torch.tensor([i not in (4, 5, 6) for i in range(16)])
    assert all(g is not None and g[sound].isfinite().all() for g in grads.values())
    assert grads["opacities"][2] != 0  # type: ignore[index]
    mirrored = {n: t.detach().clone() for n, t in splats.items()}
    mirrored["scales"] = mirrored["scales"].abs().requires_grad_()
    draw(mirrored)[0].sum().backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(grads["scales"][0, 0], -mirrored["scales"].grad[0, 0])  # type: ignore[index]


def test_fifty_steps_of_adam() -> None:
    with torch.no_grad():
        target = draw(scene(seed=9))[0]
    splats = {n: t.requires_grad_() for n, t in scene(seed=5).items()}
    rates = dict(zip(NAMES, (1e-2, 1e-2, 5e-3, 1e-2, 2e-2), strict=True))
    adam = torch.optim.Adam([{"params": [splats[n]], "lr": lr} for n, lr in rates.items()])
    losses = []
    for _ in range(50):
        loss = (draw({**splats, "opacities": splats["opacities"].clamp(0.01, 1.0)})[0] - target).abs().mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses[::10]


def test_second_derivatives_are_refused() -> None:
    splats = scene()
    splats["means"].requires_grad_()
    (first,) = torch.autograd.grad((draw(splats)[0] ** 2).sum(), splats["means"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()  # type: ignore[no-untyped-call]


# What it takes


def test_names_order_and_defaults_are_gsplats() -> None:
    """As gsplat 1.5.3 has them; its rolling_shutter defaults to an enum member that stands for none."""
    required = ["means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "width", "height"]
    optional: dict[str, Any] = {
        **{"near_plane": 0.01, "far_plane": 1e10, "radius_clip": 0.0, "eps2d": 0.3, "sh_degree": None, "packed": True},
        **{"tile_size": 16, "backgrounds": None, "render_mode": "RGB", "sparse_grad": False, "absgrad": False},
        **{"rasterize_mode": "classic", "channel_chunk": 32, "distributed": False, "camera_model": "pinhole"},
        **{"segmented": False, "covars": None, "with_ut": False, "with_eval3d": False, "radial_coeffs": None},
        **{"tangential_coeffs": None, "thin_prism_coeffs": None, "ftheta_coeffs": None, "rolling_shutter": None},
        "viewmats_rs": None,
    }
    parameters = inspect.signature(rasterization).parameters
    assert list(parameters) == [*required, *optional]
    assert {name: parameters[name].default for name in optional} == optional


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("eps2d", 0.1),
        ("near_plane", 0.001),
        ("sh_degree", 4),
        ("sparse_grad", True),
        ("distributed", True),
        ("camera_model", "fisheye"),
        ("camera_model", "ortho"),
        ("covars", torch.eye(3).repeat(COUNT, 1, 1)),
        ("with_ut", True),
        ("with_eval3d", True),
        ("radial_coeffs", torch.zeros(2, 6)),
        ("tangential_coeffs", torch.zeros(2, 2)),
        ("thin_prism_coeffs", torch.zeros(2, 4)),
        ("ftheta_coeffs", object()),
        ("rolling_shutter", "ROLLING_TOP_TO_BOTTOM"),
        ("viewmats_rs", torch.eye(4).repeat(2, 1, 1)),
        ("means", torch.rand(1, COUNT, 3)),
        ("means", torch.rand(COUNT, 3, device="meta")),
        ("Ks", torch.eye(3).repeat(2, 1, 1).requires_grad_()),
    ],
)
def test_what_gsplat_can_and_this_cannot(argument: str, value: Any) -> None:
    viewmats, intrinsics = cameras()
    call = {**scene(), "viewmats": viewmats, "Ks": intrinsics, "width": WIDTH, "height": HEIGHT}
    with pytest.raises(NotImplementedError, match=f"^{argument} "):
        rasterization(**{**call, argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("means", torch.rand(COUNT, 2)),
        ("means", torch.rand(COUNT, 3).double()),
        ("means", [[0.0, 0.0, 1.0]]),
        ("quats", torch.rand(COUNT, 3)),
        ("scales", torch.rand(COUNT - 1, 3)),
        ("opacities", torch.rand(COUNT, 1)[:, 0] + 1.0),
        ("colors", torch.rand(COUNT)),
        ("backgrounds", torch.rand(3)),
        ("backgrounds", torch.rand(2, 4)),
        ("rasterize_mode", "sharp"),
        ("viewmats", torch.eye(4)),
        ("viewmats", 2.0 * torch.eye(4).repeat(2, 1, 1)),
        ("viewmats", torch.zeros(0, 4, 4)),
        ("Ks", torch.eye(3).repeat(3, 1, 1)),
        ("render_mode", "rgb"),
    ],
)
def test_wrong_arguments(argument: str, value: Any) -> None:
    viewmats, intrinsics = cameras()
    call = {**scene(), "viewmats": viewmats, "Ks": intrinsics, "width": WIDTH, "height": HEIGHT}
    if argument == "viewmats" and len(value) == 0:
        call["Ks"] = torch.zeros(0, 3, 3)
    with pytest.raises(ValueError, match=f"^{argument} "):
        rasterization(**{**call, argument: value})


def test_too_few_coefficients() -> None:
    with pytest.raises(ValueError, match="colors hold 4 SH coefficients"):
        draw(scene("sh1"), sh_degree=2)


def test_torch_is_imported_on_first_use_and_the_name_stays_a_function() -> None:
    code = """
import sys
import diorama.render
assert "torch" not in sys.modules
import diorama.render.rasterization  # the file first: the module takes the name
try:
    diorama.render.rasterization(*[None] * 9)
except ValueError as error:
    assert "means" in str(error)
from diorama.render.rasterization import rasterization
import torch
ones = torch.ones(1, 3, requires_grad=True)
eye = torch.eye(4)[None]
graph = rasterization(ones, torch.ones(1, 4), ones, ones[:, 0], ones, eye, eye[:, :3, :3], 8, 8)  # alive at exit
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert not done.stderr  # nanobind reports there what native code leaks
    assert inspect.isfunction(rasterization)
