"""The torch twin against arithmetic by hand and finite differences: it is the definition the rest is held to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from diorama.kernels import View, twin

from .scenes import axis_view, camera, cloud, one_splat, tensors

CENTRE = (8, 10)  # pixel whose centre (10.5, 8.5) is half a pixel from the axis of a 20 x 16 picture


def test_one_splat_by_hand() -> None:
    """scale 0.1 at depth 2 under focal length 50: a standard deviation of 2.5 px, plus the low-pass."""
    rgb, alpha, depth = twin.rasterize(*tensors(one_splat(0.5)), axis_view(20, 16), 0, (0.0, 0.0, 1.0))
    variance = 2.5**2 + 0.3
    expected = 0.5 * np.exp(-0.5 * (0.5**2 + 0.5**2) / variance)
    assert np.isclose(alpha[CENTRE].item(), expected, rtol=1e-7)  # the log scale is float32
    assert np.isclose(depth[CENTRE].item(), 2 * expected, rtol=1e-7)
    assert np.allclose(rgb[CENTRE].numpy(), [0.5 * expected, 0.5 * expected, 0.5 * expected + 1 - expected], rtol=1e-7)


def test_two_splats_blend_front_to_back() -> None:
    near, far = one_splat(0.5, 0.5, 1.0), one_splat(0.5, 0.5, 3.0)
    both = [torch.cat([a, b]) for a, b in zip(tensors(far), tensors(near), strict=True)]
    both[4][0, 0, 0] = 1.0 / twin.C0  # the far one is red, 1.5
    view = axis_view(3, 3)
    near_alpha, far_alpha = (twin.rasterize(*tensors(s), view, 0)[1][1, 1].item() for s in (near, far))
    rgb, alpha, _ = twin.rasterize(*both, view, 0)
    assert np.isclose(alpha[1, 1].item(), near_alpha + (1 - near_alpha) * far_alpha)
    assert np.isclose(rgb[1, 1, 0].item(), 0.5 * near_alpha + 1.5 * (1 - near_alpha) * far_alpha)


def test_alpha_below_a_step_of_eight_bits_is_passed_over() -> None:
    _, alpha, _ = twin.rasterize(*tensors(one_splat(0.5, 0.02)), axis_view(20, 16), 0)
    least = alpha[alpha > 0].min().item()
    assert least >= 1 / 255 and (alpha == 0).any()


def test_a_full_pixel_ends_the_walk() -> None:
    """Three splats of alpha 0.999 leave 1e-3, then 1e-6; the third is behind a full pixel and has no gradient."""
    splats = [torch.cat([a] * 3) for a in tensors(one_splat(0.9999, 5.0))]
    splats[0][:, 2] = torch.tensor([2.0, 2.1, 2.2])
    colors = splats[4].clone().requires_grad_()
    rgb, alpha, _ = twin.rasterize(*splats[:4], colors, axis_view(1, 1), 0)
    assert np.isclose(alpha.item(), 1 - 1e-6, atol=1e-9)
    rgb.sum().backward()
    assert colors.grad is not None
    assert colors.grad[1].abs().sum() > 0 and colors.grad[2].abs().sum() == 0


def test_spherical_harmonics_are_orthonormal() -> None:
    """The mean over the sphere of b_i b_j is delta_ij / 4 pi. A Fibonacci lattice of 4000 points is exact to 1e-4."""
    k = torch.arange(4000, dtype=torch.float64)
    z, phi = 1 - (2 * k + 1) / 4000, k * (np.pi * (3 - 5**0.5))
    r = torch.sqrt(1 - z * z)
    basis = twin.sh_basis(torch.stack([r * torch.cos(phi), r * torch.sin(phi), z], -1), 3)
    gram = 4 * np.pi * basis.T @ basis / 4000
    assert torch.allclose(gram, torch.eye(16, dtype=torch.float64), atol=2e-3)


def test_gradients_by_finite_differences() -> None:
    """Splats so wide and faint that no pixel crosses a threshold within the step."""
    splats = tensors(cloud(6, seed=5, log_scale=-0.3), requires_grad=True)
    with torch.no_grad():
        splats[3].mul_(0.3).sub_(1.0)
    view = camera(7, 6)

    def picture(*p: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return twin.rasterize(*p, view, 3, (0.3, 0.2, 0.1), tile_px=4)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(picture, splats, eps=1e-6, atol=1e-5, rtol=1e-4)


def _one(s: list[torch.Tensor]) -> None:
    for i, values in enumerate(s):
        s[i] = values[:1].clone()


def _flat(s: list[torch.Tensor]) -> None:
    s[2][:, 1] = -40.0


def _dots(s: list[torch.Tensor]) -> None:
    s[2][:] = -40.0
    s[0][:, :2] *= 0.01
    s[0][:, 2] += 40.0


def _huge(s: list[torch.Tensor]) -> None:
    s[2][:] = 2.0


def _near(s: list[torch.Tensor]) -> None:
    s[0][::2, 2] = -0.15  # 0.15 in front of the camera


@pytest.mark.parametrize("change", [_one, _flat, _dots, _huge, _near],
                         ids=["one", "zero width", "zero scale", "huge", "near"])  # fmt: skip
def test_gradients_of_degenerate_splats_by_finite_differences(change: Callable[[list[torch.Tensor]], None]) -> None:
    splats = tensors(cloud(3, seed=5, log_scale=0.3, sh_degree=1))
    splats[3].mul_(0.3).sub_(1.0)
    change(splats)
    view = camera(3, 3)
    if change is _dots:
        view = View(3, 3, 2.0, 2.0, 1.5, 1.5, np.eye(3, 4, dtype=np.float32))  # the low-pass alone fills the picture
    for values in splats:
        values.requires_grad_()

    def picture(*p: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return twin.rasterize(*p, view, 1, (0.3, 0.2, 0.1))  # type: ignore[arg-type]

    assert picture(*splats)[1].max() > 0.02, "somebody is seen"
    assert torch.autograd.gradcheck(picture, splats, eps=1e-6, atol=1e-5, rtol=1e-4)


def test_regularizer_gradient_by_finite_differences_and_by_hand() -> None:
    splats = tensors(cloud(5), requires_grad=True)

    def weighted(log_scales: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return twin.regularizer(log_scales, logits, 0.3, 0.2)

    assert torch.autograd.gradcheck(weighted, [splats[2], splats[3]], eps=1e-6, atol=1e-8)
    one, empty = tensors(one_splat(0.5, 0.1)), tensors(cloud(0))
    assert np.isclose(weighted(one[2], one[3]).item(), 0.3 * 0.5 + 0.2 * 0.1)
    assert weighted(empty[2], empty[3]).item() == 0


def test_loss_gradient_by_finite_differences() -> None:
    rng = np.random.default_rng(0)
    rgb = torch.tensor(rng.random((9, 13, 3)), requires_grad=True)
    photo, mask = torch.tensor(rng.random((9, 13, 3))), torch.tensor(rng.random((9, 13)) > 0.3)
    assert torch.autograd.gradcheck(lambda x: twin.photo_loss(x, photo, mask, 0.4), [rgb], eps=1e-6, atol=1e-7)


def test_loss_of_equal_pictures_is_zero_and_masked_pixels_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    photo = torch.tensor(rng.random((20, 20, 3)))
    assert twin.photo_loss(photo, photo).item() == 0
    mask = torch.ones(20, 20)
    mask[3:6, 4:9] = 0
    spoilt = photo.clone()
    spoilt[3:6, 4:9] = 7.0
    assert twin.photo_loss(spoilt, photo, mask).item() == 0
    assert twin.photo_loss(spoilt, photo, torch.zeros(20, 20)).item() == 0


def test_adam_agrees_with_torch() -> None:
    rng = np.random.default_rng(0)
    param = torch.tensor(rng.standard_normal(5))
    theirs = param.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.01, eps=1e-15)
    m, v = torch.zeros_like(param), torch.zeros_like(param)
    for step in range(1, 6):
        grad = torch.tensor(rng.standard_normal(5))
        theirs.grad = grad.clone()
        optimizer.step()
        param, m, v = twin.adam_step(param, grad, m, v, step, 0.01)
    assert torch.allclose(param, theirs.detach(), atol=1e-14)


def test_view_refuses_what_is_no_camera() -> None:
    eye = np.eye(3, 4)
    for width, focal, matrix in (
        (0, 1.0, eye),
        (16001, 1.0, eye),
        (4, 0.0, eye),
        (4, 1.0, np.eye(4)),
        (4, 1.0, eye * np.nan),
    ):
        try:
            View(width, 4, focal, 1.0, 0.0, 0.0, matrix)
        except ValueError:
            continue
        raise AssertionError((width, focal))
