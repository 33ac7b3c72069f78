"""Every op on every kind of input on every SIMD level, forward and backward, against the twin.

The ops: the picture with its gradient, and the whole fused step (loss, regularizers, backward, Adam, statistics).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from diorama.kernels import (
    Photo,
    SplatArrays,
    SplatStatistics,
    StepConfig,
    add_mcmc_noise,
    pack,
    render,
    render_backward,
    train_step,
    twin,
    unpack,
    zero_blocks,
)

from .scenes import assert_close_where, axis_view, camera, cloud, one_splat, tensors

BACKGROUND = (0.3, 0.6, 0.1)
RATES = {
    "lr_means": 1e-3,
    "lr_quats": 2e-3,
    "lr_log_scales": 3e-3,
    "lr_opacities": 4e-3,
    "lr_sh0": 5e-3,
    "lr_sh_rest": 6e-3,
}
LARGE_EPSILON = 1e-3
"""Adam's sign of a gradient turns rounding into whole steps; with an epsilon above the gradients a step is theirs."""


@dataclass(frozen=True)
class Input:
    """Splats, the view's half size, and how far float32 may be from float64.

    picture: absolute. gradient: relative to the largest of its kind.
    """

    splats: SplatArrays
    picture: float = 4e-5
    gradient: float = 5e-5


def _with(change: Callable[[SplatArrays], None], count: int = 40) -> SplatArrays:
    splats = cloud(count)
    change(splats)
    return splats


def _huge(s: SplatArrays) -> None:
    s.log_scales[::2] = 2.0


def _behind(s: SplatArrays) -> None:
    s.means[::3, 2] = -4.0
    s.means[1::3, 2] = np.linspace(-0.31, -0.27, len(s.means[1::3]))  # to both sides of the camera's plane


def _nan(s: SplatArrays) -> None:
    s.means[0], s.quats[5, 2], s.log_scales[10, 1], s.logit_opacities[17], s.sh[23, 3, 1] = (np.nan,) * 5
    s.means[31, 0], s.log_scales[33, 1] = np.inf, np.inf


def _zero_scale(s: SplatArrays) -> None:
    s.log_scales[::2] = -60.0
    s.log_scales[1::4, 1] = -60.0  # flat ones


def _zero_quat(s: SplatArrays) -> None:
    s.quats[3:9] = 0.0


def _opaque(s: SplatArrays) -> None:
    s.logit_opacities[:] = 7.0  # 1 - opacity is 1e-3 and has four digits in float32
    s.log_scales[:] += 1.5


INPUTS: dict[str, Input] = {
    "ordinary": Input(cloud(40)),
    "empty": Input(cloud(0)),
    "one": Input(one_splat(0.6, 0.4)),
    "huge": Input(_with(_huge), 2e-4, 1e-3),
    "behind": Input(_with(_behind), 1e-4, 1e-3),
    "nan": Input(_with(_nan)),
    "zero scale": Input(_with(_zero_scale)),
    "zero quaternion": Input(_with(_zero_quat)),
    "opaque": Input(_with(_opaque), 1e-4, 1e-3),
}


@pytest.fixture(params=INPUTS)
def case(request: pytest.FixtureRequest) -> Input:
    return INPUTS[request.param]


@pytest.fixture(autouse=True)
def _every_level(level: str) -> None:
    pass


def _gradients(params: list[torch.Tensor]) -> list[npt.NDArray[np.float64]]:
    return [np.zeros(p.shape) if p.grad is None else p.grad.numpy() for p in params]


def _compare(actual: SplatArrays, expected: list[npt.NDArray[np.float64]], rtol: float, what: str) -> None:
    for name, a, b in zip(SplatArrays._fields, actual, expected, strict=True):
        atol = rtol * float(np.abs(b).max(initial=0.0)) + 3e-6  # a ball's quaternion: terms of size 1 that cancel
        assert_close_where(a, b, atol, reason=f"{what} of {name}: float32 against float64, relative to the largest")


def test_picture_and_gradient(case: Input) -> None:
    count, view = len(case.splats.means), camera(37, 45)
    picture = render(pack(*case.splats), count, view, background=BACKGROUND)
    params = tensors(case.splats, requires_grad=True)
    degree = twin.degree_of(params[4])
    expected = twin.rasterize(*params, view, degree, BACKGROUND)  # type: ignore[arg-type]
    actual = (picture.rgb, picture.alpha, picture.depth)
    for a, b in zip(actual, expected, strict=True):
        assert_close_where(a, b.detach(), case.picture, reason="float32 against float64")
    rng = np.random.default_rng(7)
    d = [rng.standard_normal(a.shape).astype(np.float32) for a in actual]
    loss = sum((torch.tensor(g) * b).sum() for g, b in zip(d, expected, strict=True))
    if loss.requires_grad:  # type: ignore[union-attr]
        loss.backward()  # type: ignore[union-attr]
    gradients = unpack(render_backward(picture.context, *d), count, degree)
    _compare(gradients, _gradients(params), case.gradient, "gradient")


@pytest.mark.parametrize("masked", [False, True])
def test_fused_step(case: Input, masked: bool) -> None:
    """Two dense steps with regularizers, so that moments count; splats that the twin drops obey the regularizers."""
    count, view = len(case.splats.means), camera(37, 45)
    rng = np.random.default_rng(3)
    photo = rng.integers(0, 256, (45, 37, 3), dtype=np.uint8)
    mask = (rng.random((45, 37)) > 0.3).astype(np.uint8) if masked else None
    degree = twin.degree_of(torch.tensor(case.splats.sh))
    blocks, m, v = pack(*case.splats), zero_blocks(count), zero_blocks(count)
    statistics = SplatStatistics.zeros(count)
    params = tensors(case.splats)
    rates = list(RATES.values())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in params]
    for step in (1, 2):
        config = StepConfig(
            step=step,
            background=BACKGROUND,
            sh_degree=degree,
            opacity_reg=0.3,
            scale_reg=0.2,
            epsilon=LARGE_EPSILON,
            **RATES,
        )  # type: ignore[arg-type]
        stats = train_step(blocks, m, v, count, view, Photo(photo, mask), config, statistics)
        params = [p.detach().requires_grad_() for p in params]
        rgb, _, _ = twin.rasterize(*params, view, degree, BACKGROUND)  # type: ignore[arg-type]
        data = twin.photo_loss(rgb, torch.tensor(photo) / 255.0, None if mask is None else torch.tensor(mask))
        assert_close_where(stats.loss, data.item(), 1e-5, reason="float32 against float64")
        (data + twin.regularizer(params[2], params[3], 0.3, 0.2)).backward()  # type: ignore[no-untyped-call]
        for k, gradient in enumerate(_gradients(params)):
            lr: torch.Tensor | float = rates[k]
            if k == 4:
                lr = torch.full_like(params[4], rates[5])
                lr[:, :1] = rates[4]
            new, *moments[k] = twin.adam_step(  # type: ignore[call-overload]
                params[k].detach(), torch.tensor(gradient), *moments[k], step, lr, eps=LARGE_EPSILON
            )
            params[k] = new
    ours = unpack(blocks, count, degree)
    before = [np.asarray(a, np.float64) for a in case.splats]
    for name, a, b, start in zip(SplatArrays._fields, ours, params, before, strict=True):
        known = np.isfinite(start)
        moved, expected = a[known] - start[known], b.numpy()[known] - start[known]
        scale = float(np.abs(expected).max(initial=0.0))
        rounding = float(np.spacing(np.float32(np.abs(start[known]).max(initial=0.0))))
        reason = f"{name}: steps relative to the largest, and the rounding of the parameter itself"
        assert_close_where(moved, expected, case.gradient * scale + 2 * rounding, reason=reason)
    assert all(np.isfinite(s).all() for s in (statistics.gradient_norms, statistics.views, statistics.max_radii_px))


def test_noise_moves_only_what_is_a_splat(case: Input) -> None:
    """The random numbers are checked elsewhere; here: nothing that was a number stops being one."""
    splats = SplatArrays(*(a.copy() for a in case.splats))
    splats.logit_opacities[np.isfinite(splats.logit_opacities)] = -8.0
    count = len(splats.means)
    blocks = pack(*splats)
    add_mcmc_noise(blocks, count, 1e-2, 1, 1)
    moved = unpack(blocks, count, twin.degree_of(torch.tensor(splats.sh)))
    assert (np.isfinite(moved.means) == np.isfinite(splats.means)).all()
    for name in ("quats", "log_scales", "logit_opacities", "sh"):
        assert np.array_equal(getattr(moved, name), getattr(splats, name), equal_nan=True)


def test_one_splat_fills_the_twins_pixels_on_its_edges() -> None:
    """A view of one row and one of one column, and a splat that only a corner shows."""
    for size in ((1, 30), (30, 1), (9, 9)):
        splats = one_splat(0.8, 0.05)
        splats.means[0, :2] = -0.1 * size[0] / 30, -0.1 * size[1] / 30
        picture = render(pack(*splats), 1, axis_view(*size), sh_degree=0)
        _, alpha, _ = twin.rasterize(*tensors(splats), axis_view(*size), 0)  # type: ignore[arg-type]
        assert_close_where(picture.alpha, alpha, 4e-5, reason="float32 against float64")
