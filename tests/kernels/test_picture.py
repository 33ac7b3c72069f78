"""The native picture and its gradient against the twin, on every SIMD level of the machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from diorama import kernels
from diorama.kernels import SplatArrays, View, pack, render, render_backward, twin, unpack

from .scenes import (
    Floats,
    assert_close_where,
    assert_gradients_match,
    axis_view,
    camera,
    cloud,
    one_splat,
    tensors,
)

FLOAT32 = "float32 against float64; the worst seen over levels and seeds is 1.2e-5 for depths up to 6, 4e-6 otherwise"
GRADIENTS = "sums of thousands of float32 terms; the worst seen is 1e-5 of the largest"
BACKGROUND = (0.3, 0.6, 0.1)


def twin_picture(
    splats: SplatArrays, view: View, degree: int, background: tuple[float, float, float] = BACKGROUND
) -> tuple[list[torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    p = tensors(splats, requires_grad=True)
    return p, twin.rasterize(*p, view, degree, background)  # type: ignore[arg-type]


def compare(
    splats: SplatArrays, view: View, degree: int = 3, rtol: float = 4e-5, atol: float = 4e-5
) -> kernels.Rendered:
    """Picture, alpha, depth and the gradients by random picture gradients."""
    count = len(splats.means)
    picture = render(pack(*splats), count, view, sh_degree=degree, background=BACKGROUND)
    p, expected = twin_picture(splats, view, degree)
    actual = (picture.rgb, picture.alpha, picture.depth)
    for a, b in zip(actual, expected, strict=True):
        assert_close_where(a, b.detach(), atol, reason=FLOAT32)
    rng = np.random.default_rng(7)
    d = [rng.standard_normal(a.shape).astype(np.float32) for a in actual]
    sum((torch.tensor(g) * b).sum() for g, b in zip(d, expected, strict=True)).backward()  # type: ignore[union-attr]
    gradients = unpack(render_backward(picture.context, *d), count, kernels.twin.degree_of(p[4]))
    assert_gradients_match(gradients, p, rtol, reason=GRADIENTS)
    return picture


@pytest.fixture(autouse=True)
def _every_level(level: str) -> None:
    pass


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_cloud(degree: int) -> None:
    compare(cloud(400), camera(), degree)


@pytest.mark.parametrize("size", [(1, 1), (8, 64), (9, 65), (7, 3), (3, 130), (200, 2)])
def test_sizes_that_tiles_do_not_divide(size: tuple[int, int]) -> None:
    compare(cloud(150), camera(*size), 1)


def test_large_and_opaque_splats_fill_pixels() -> None:
    splats = cloud(300, log_scale=-0.5)
    splats.logit_opacities[:] = 6.0
    picture = compare(splats, camera(), 1, rtol=2e-4)  # few splats carry everything, so their terms cancel more
    assert picture.alpha.min() > 0.999


def test_needles() -> None:
    """Splats 300 times longer than wide, many pixels long and thinner than one."""
    splats = cloud(200)
    splats.log_scales[:] = np.log([0.9, 0.003, 0.003])
    # A needle's conic has a condition number of 1e4: in float32 the twin's alpha is off by 1e-3, its gradients by 3e-4.
    compare(splats, camera(), 0, rtol=3e-3, atol=3e-4)


def test_huge_splats_and_splats_beside_the_camera() -> None:
    splats = cloud(60)
    splats.log_scales[:20] = 3.0
    splats.means[20:40, 2] = np.linspace(0.0, 0.3, 20)
    picture = render(pack(*splats), 60, camera(), background=BACKGROUND)
    _, (rgb, alpha, _) = twin_picture(splats, camera(), 3)
    reason = "centres up to 1e5 px away lose float32 digits: 1e5 px * 6e-8 / a few px"
    assert_close_where(picture.rgb, rgb.detach(), 5e-3, reason=reason)
    assert_close_where(picture.alpha, alpha.detach(), 5e-3, reason=reason)


def test_no_splats() -> None:
    picture = render(kernels.zero_blocks(0), 0, axis_view(10, 6), background=BACKGROUND)
    assert np.array_equal(picture.rgb, np.broadcast_to(np.float32(BACKGROUND), (6, 10, 3)))
    assert not picture.alpha.any() and not picture.depth.any()
    assert render_backward(picture.context, np.ones((6, 10, 3), np.float32)).size == 0


def test_one_splat_by_hand() -> None:
    picture = render(pack(*one_splat(0.5)), 1, axis_view(20, 16), sh_degree=0)
    expected = 0.5 * np.exp(-0.25 / (2.5**2 + 0.3))
    assert np.isclose(picture.alpha[8, 10], expected, rtol=1e-5)
    assert np.allclose(picture.rgb[8, 10], 0.5 * expected, rtol=1e-5)
    assert np.isclose(picture.depth[8, 10], 2 * expected, rtol=1e-5)
    assert np.allclose(picture.alpha, picture.alpha[::-1, ::-1], atol=1e-6), "a ball on the axis is symmetric"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.means.__setitem__(0, np.nan),
        lambda s: s.means.__setitem__(0, np.inf),
        lambda s: s.quats.__setitem__((0, 2), np.nan),
        lambda s: s.quats.__setitem__(0, 0.0),
        lambda s: s.log_scales.__setitem__((0, 1), np.nan),
        lambda s: s.log_scales.__setitem__((0, 1), np.inf),
        lambda s: s.log_scales.__setitem__(0, 60.0),
        lambda s: s.logit_opacities.__setitem__(0, np.nan),
        lambda s: s.sh.__setitem__((0, 3, 1), np.nan),
        lambda s: s.sh.__setitem__((0, 0, 1), np.inf),
        lambda s: s.means.__setitem__((0, 2), -3.0),
        lambda s: s.logit_opacities.__setitem__(0, -20.0),
    ],
    ids=["nan mean", "inf mean", "nan quat", "zero quat", "nan scale", "inf scale", "monstrous scale", "nan opacity",
         "nan sh", "inf sh", "behind", "transparent"],
)  # fmt: skip
def test_a_bad_splat_is_as_if_it_were_not_there(spoil: Callable[[SplatArrays], None]) -> None:
    splats = cloud(20)
    without = SplatArrays(*(a[1:] for a in splats))
    expected = render(pack(*without), 19, camera())
    spoil(splats)
    picture = render(pack(*splats), 20, camera())
    assert_close_where(picture.rgb, expected.rgb, 1e-6, reason="the same splats in other lanes")
    assert not picture.context.visible[0]
    gradients = unpack(render_backward(picture.context, np.ones_like(picture.rgb)), 20)
    for values in gradients:
        assert np.isfinite(values).all() and not values[0].any()


def test_a_zero_scale_is_a_dot_of_the_low_pass() -> None:
    splats = one_splat(0.9)
    splats.log_scales[:] = -60.0
    compare(splats, axis_view(9, 9), 0)


def test_padding_lanes_are_never_seen() -> None:
    blocks = pack(*cloud(20))
    blocks[1, :, 4:] = blocks[0, :, :12]  # perfectly good splats beyond the count
    assert np.array_equal(render(blocks, 20, camera()).rgb, render(pack(*cloud(20)), 20, camera()).rgb)


def test_depth_order_ignores_the_order_of_splats() -> None:
    splats = cloud(100)
    shuffled = SplatArrays(*(a[::-1].copy() for a in splats))
    a, b = (render(pack(*s), 100, camera()).rgb for s in (splats, shuffled))
    assert_close_where(a, b, 1e-6, reason="the same sums in the same order")


def test_a_picture_twice_is_the_same_whatever_came_between() -> None:
    """Scratch memory is reused: other sizes and counts in between must leave nothing behind."""
    splats, d = pack(*cloud(200)), np.ones((83, 101, 3), np.float32)
    first = render(splats, 200, camera())
    gradients = render_backward(first.context, d)
    del first
    for size, count in (((300, 90), 700), ((5, 5), 3)):
        other = render(pack(*cloud(count)), count, camera(*size))
        render_backward(other.context, np.ones((size[1], size[0], 3), np.float32))
        del other
    again = render(splats, 200, camera())
    assert_close_where(render_backward(again.context, d), gradients, 1e-3, reason="order of sums between threads")
    assert_close_where(render_backward(again.context, d), gradients, 1e-3, reason="a context may be used twice")


def test_unused_coefficients_get_no_gradient() -> None:
    picture = render(pack(*cloud(50)), 50, camera(), sh_degree=1)
    gradients = unpack(render_backward(picture.context, np.ones_like(picture.rgb)), 50)
    assert gradients.sh[:, :4].any() and not gradients.sh[:, 4:].any()


def test_thread_counts_agree(threads: None) -> None:
    pictures: list[npt.NDArray[np.float32]] = []
    for count in (1, 2, 5):
        kernels.set_thread_count(count)
        pictures.append(render(pack(*cloud(300)), 300, camera()).rgb)
    assert np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[0], pictures[2])


def test_a_wrong_kernel_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of this file: a kernel wrong by 2 % in one kind of gradient, or by 1e-3 in the picture, must fail."""
    right_backward, right_render = render_backward, render

    def wrong_backward(context: kernels.Context, *d: Floats) -> Floats:
        gradients = right_backward(context, *d)
        gradients[:, kernels.QUATERNION : kernels.LOG_SCALE] *= 1.02
        return gradients

    def wrong_render(*args: object, **kwargs: object) -> kernels.Rendered:
        picture = right_render(*args, **kwargs)  # type: ignore[arg-type]
        picture.rgb[40, 50, 1] += 1e-3
        return picture

    monkeypatch.setitem(globals(), "render_backward", wrong_backward)
    with pytest.raises(AssertionError, match="quats"):
        compare(cloud(100), camera())
    monkeypatch.setitem(globals(), "render_backward", right_backward)
    monkeypatch.setitem(globals(), "render", wrong_render)
    with pytest.raises(AssertionError, match="40, 50, 1"):
        compare(cloud(100), camera())
