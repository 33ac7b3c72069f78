"""Loss, Adam, the fused step, noise and statistics against the twin, on every SIMD level of the machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from diorama import kernels
from diorama.kernels import (
    Photo,
    SplatArrays,
    SplatStatistics,
    StepConfig,
    StepStats,
    add_mcmc_noise,
    pack,
    photo_loss,
    render,
    render_backward,
    rows_from_blocks,
    torch_loss,
    train_step,
    twin,
    twin_noise,
    unpack,
    zero_blocks,
)

from .scenes import Floats, assert_close_where, assert_gradients_match, camera, cloud, tensors

COUNT = 150
BACKGROUND = (0.2, 0.1, 0.4)
RATES = {
    "lr_means": 1e-3,
    "lr_quats": 2e-3,
    "lr_log_scales": 3e-3,
    "lr_opacities": 4e-3,
    "lr_sh0": 5e-3,
    "lr_sh_rest": 6e-3,
}


def some_photo(height: int = 83, width: int = 101, seed: int = 3) -> npt.NDArray[np.uint8]:
    """Smooth with noise on top, so that SSIM has something to see."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([np.sin(x / 9) * 80 + 120, np.cos(y / 7) * 80 + 120, (x + y) % 200], -1)
    return np.clip(smooth + rng.normal(0, 10, (height, width, 3)), 0, 255).astype(np.uint8)


def some_mask(height: int = 83, width: int = 101) -> npt.NDArray[np.uint8]:
    mask = (np.random.default_rng(4).random((height, width)) > 0.2).astype(np.uint8) * 255
    mask[20:60, 10:40] = 0
    return mask


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(83, 101), (1, 1), (4, 3), (130, 64), (121, 17), (11, 260)])
def test_photo_loss(level: str, size: tuple[int, int], masked: bool, weighted: bool) -> None:
    rgb = np.random.default_rng(1).random((*size, 3)).astype(np.float32) * 1.2 - 0.1
    photo, mask = some_photo(*size), some_mask(*size) if masked else None
    weights = np.random.default_rng(5).random(size[0], np.float32) if weighted else None
    loss, gradient = photo_loss(rgb, Photo(photo, mask, row_weights=weights), 0.3)
    x = torch.tensor(rgb, dtype=torch.float64, requires_grad=True)
    kept = None if mask is None else torch.tensor(mask)
    rows = None if weights is None else torch.tensor(weights)
    expected = twin.photo_loss(x, torch.tensor(photo, dtype=torch.float64) / 255, kept, 0.3, rows)
    expected.backward()
    assert x.grad is not None
    assert_close_where(loss, expected.item(), 1e-6, reason="float32 sums per block, added in float64; worst seen 4e-8")
    scale = x.grad.abs().max().item()
    assert_close_where(gradient, x.grad, 5e-6 * scale + 1e-9, reason="float32; the worst seen is 4e-7 of the largest")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(83, 101), (1, 1), (4, 3)])
def test_the_loss_for_gpus_is_the_twins(size: tuple[int, int], masked: bool, weighted: bool) -> None:
    """Both in float64: the gradient worked out by hand against autograd's."""
    x = torch.tensor(np.random.default_rng(1).random((*size, 3)) * 1.2 - 0.1, requires_grad=True)
    photo = torch.tensor(some_photo(*size))
    mask = torch.tensor(some_mask(*size)) if masked else None
    rows = torch.tensor(np.random.default_rng(5).random(size[0])) if weighted else None
    results = []
    for loss in (
        torch_loss.photo_loss(x, photo, mask, 0.3, rows),
        twin.photo_loss(x, photo.to(torch.float64) / 255, mask, 0.3, rows),
    ):
        (gradient,) = torch.autograd.grad(2.0 * loss, x)
        results.append((loss.item(), gradient))
    # 8-bit values become float32 before they become float64: 6e-8 of each pixel, far more of SSIM's smallest variances.
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    scale = results[1][1].abs().max().item()
    assert_close_where(results[0][1].numpy(), results[1][1].numpy(), 1e-5 * scale + 1e-12, reason="the same sums")


def test_the_regularizers_gradients_are_the_twins() -> None:
    rng = np.random.default_rng(2)
    log_scales = torch.tensor(rng.normal(size=(7, 3)), requires_grad=True)
    logits = torch.tensor(rng.normal(size=7), requires_grad=True)
    expected = torch.autograd.grad(twin.regularizer(log_scales, logits, 0.01, 0.02), [log_scales, logits])
    found = torch_loss.regularizer_gradients(log_scales.detach(), logits.detach(), 0.01, 0.02)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12)


def test_the_loss_for_gpus_of_a_photo_that_is_all_mask() -> None:
    x = torch.ones(5, 6, 3, requires_grad=True)
    loss = torch_loss.photo_loss(x, torch.tensor(some_photo(5, 6)), torch.zeros(5, 6))
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == 0 and not gradient.any()


def test_a_photo_that_is_all_mask_has_no_loss(level: str) -> None:
    loss, gradient = photo_loss(np.ones((5, 6, 3), np.float32), Photo(some_photo(5, 6), np.zeros((5, 6), np.uint8)))
    assert loss == 0 and not gradient.any()


def test_photo_loss_forgets_old_photos_and_comes_back_to_them(level: str) -> None:
    """With no memory for planes every photo is computed anew, in memory that another one used."""
    rgb = np.random.default_rng(1).random((83, 101, 3)).astype(np.float32)
    photos = [Photo(some_photo(seed=k), some_mask() if k == 1 else None) for k in range(3)]
    expected = [photo_loss(rgb, p)[0] for p in photos]
    kernels.set_photo_memory(0)
    try:
        assert [photo_loss(rgb, p)[0] for p in photos * 2] == expected * 2
    finally:
        kernels.set_photo_memory(2048)


def fused(steps: int, photo: Photo, **options: object) -> tuple[Floats, Floats, Floats, StepStats]:
    blocks, m, v = pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)
    for step in range(1, steps + 1):
        config = StepConfig(step=step, background=BACKGROUND, **RATES, **options)  # type: ignore[arg-type]
        stats = train_step(blocks, m, v, COUNT, camera(), photo, config)
    return blocks, m, v, stats


@pytest.mark.parametrize("masked", [False, True])
def test_first_step_is_render_loss_backward_adam(level: str, masked: bool) -> None:
    """Adam's first step has length lr whatever the gradient, so moments and parameters are compared where they are
    well above rounding."""
    photo = Photo(some_photo(), some_mask() if masked else None)
    blocks, m, v, stats = fused(1, photo, deterministic=True)
    before = pack(*cloud(COUNT))
    picture = render(before, COUNT, camera(), background=BACKGROUND)
    loss, d_rgb = photo_loss(picture.rgb, photo)
    gradients = render_backward(picture.context, d_rgb)
    scale = np.abs(gradients).max(axis=(0, 2), keepdims=True)
    reason = "the same kernels with sums in another order"
    assert_close_where(stats.loss, loss, 1e-6, reason=reason)
    assert_close_where(m / scale, 0.1 * gradients / scale, 1e-5, reason=reason)
    assert_close_where(v / scale**2, 0.001 * (gradients / scale) ** 2, 1e-6, reason=reason)
    rates = np.repeat(list(RATES.values()), [3, 4, 3, 1, 3, 45])[None, :, None]
    clear = np.abs(gradients) > 1e-2 * scale
    expected = before - rates * np.sign(gradients)
    assert_close_where(blocks[clear], expected[clear], 3e-5, reason="rounding of parameters up to 4, and of rsqrt")
    assert stats.visible == picture.context.visible.sum()


def with_factors(splats: SplatArrays, factors: Floats | None) -> tuple[kernels.GradientSums, StepStats]:
    count = len(splats.means)
    sums, blocks, photo = kernels.GradientSums.zeros(count), pack(*splats), Photo(some_photo())
    config = StepConfig(step=1, background=BACKGROUND, deterministic=True)
    return sums, kernels.accumulate_step(sums, blocks, count, camera(), photo, config, opacity_factors=factors)


def test_opacity_factors(level: str) -> None:
    """Some splats left out, the others a quarter more opaque, up to alphas beyond 1 which are held."""
    splats = cloud(COUNT)
    factors = np.where(np.random.default_rng(6).random(COUNT) < 0.2, 0.0, 1.25).astype(np.float32)
    sums, stats = with_factors(splats, factors)
    params = tensors(splats, requires_grad=True)
    exact = torch.tensor(factors, dtype=torch.float64)
    rgb, _, _ = twin.rasterize(*params, camera(), 3, BACKGROUND, opacity_factors=exact)
    loss = twin.photo_loss(rgb, torch.tensor(some_photo(), dtype=torch.float64) / 255)
    loss.backward()  # type: ignore[no-untyped-call]
    assert_close_where(stats.loss, loss.item(), 1e-5, reason="float32, and pixels whose alpha is just at 1/255")
    assert_gradients_match(unpack(sums.gradients, COUNT), params, 2e-3, reason="as the gradients of a picture")


def test_factors_of_nothing_are_as_if_the_splats_were_not_there(level: str) -> None:
    """And so are those that are no numbers; ones change nothing."""
    splats, gone = cloud(COUNT), np.arange(COUNT) % 5 == 0
    rest = SplatArrays(*(np.ascontiguousarray(a[~gone]) for a in splats))
    without, alone = with_factors(rest, None)
    for nothing in (0.0, -1.0, np.nan, np.inf):
        sums, stats = with_factors(splats, np.where(gone, nothing, 1.0).astype(np.float32))
        assert stats.loss == alone.loss
        assert stats.visible == alone.visible
        gradients = rows_from_blocks(sums.gradients, COUNT)
        assert not gradients[gone].any()
        scale = np.abs(gradients).max()
        expected = rows_from_blocks(without.gradients, len(rest.means))
        assert_close_where(gradients[~gone], expected, 1e-6 * scale, reason="float32 sums in another order")


def test_ten_steps_follow_the_twin(level: str) -> None:
    """Parameters drift apart where a gradient is near zero, as Adam takes its sign; the loss curve does not."""
    photo = some_photo()
    params = [t.requires_grad_() for t in tensors(cloud(COUNT))]
    rates = [RATES["lr_means"], RATES["lr_quats"], RATES["lr_log_scales"], RATES["lr_opacities"]]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(params[:4], rates, strict=True)]
    sh0, rest = params[4][:, :1].detach().requires_grad_(), params[4][:, 1:].detach().requires_grad_()
    groups += [{"params": [sh0], "lr": RATES["lr_sh0"]}, {"params": [rest], "lr": RATES["lr_sh_rest"]}]
    optimizer = torch.optim.Adam(groups, eps=1e-15)
    blocks, m, v = pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)
    native = Photo(photo)
    for step in range(1, 11):
        optimizer.zero_grad()
        rgb, _, _ = twin.rasterize(*params[:4], torch.cat([sh0, rest], 1), camera(), 3, BACKGROUND)
        data = twin.photo_loss(rgb, torch.tensor(photo, dtype=torch.float64) / 255)
        (data + twin.regularizer(params[2], params[3], 0.01, 0.02)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        config = StepConfig(step=step, background=BACKGROUND, opacity_reg=0.01, scale_reg=0.02, **RATES)  # type: ignore[arg-type]
        stats = train_step(blocks, m, v, COUNT, camera(), native, config)
        assert_close_where(stats.loss, data.item(), 2e-5, reason="float32 gradients near zero")
    ours = unpack(blocks, COUNT)
    for name, a, b in zip(("means", "quats", "scales", "opacities"), ours[:4], params[:4], strict=True):
        moved = np.abs(a - b.detach().numpy())
        assert np.median(moved) < 1e-5, name


def test_coefficients_above_the_degree_and_splats_out_of_sight_keep_still(level: str) -> None:
    splats = cloud(COUNT)
    splats.means[:10, 2] = -5.0
    before = pack(*splats)
    for dense in (True, False):
        blocks, m, v = before.copy(), zero_blocks(COUNT), zero_blocks(COUNT)
        m += 1e-3
        train_step(
            blocks, m, v, COUNT, camera(), Photo(some_photo()), StepConfig(step=1, sh_degree=1, dense_adam=dense)
        )
        assert np.array_equal(blocks[:, 11 + 12 :], before[:, 11 + 12 :])
        moved = (rows_from_blocks(blocks, COUNT) != rows_from_blocks(before, COUNT)).any(1)
        assert moved[10:].mean() > 0.5
        assert moved[:10].all() == dense, "their momentum moves them in a dense step only"


@pytest.mark.parametrize("masked", [False, True])
def test_deterministic_steps_are_the_same_bytes_on_any_thread_count(level: str, masked: bool, threads: None) -> None:
    results = []
    for count in (1, 2, 3, 7):
        kernels.set_thread_count(count)
        photo = Photo(some_photo(), some_mask() if masked else None)
        blocks, m, v, stats = fused(4, photo, deterministic=True)
        results.append((blocks.tobytes(), m.tobytes(), v.tobytes(), stats.loss))
    assert all(r == results[0] for r in results[1:])


def test_boxes_for_ellipses_change_nothing_but_the_pairs(level: str) -> None:
    tight, boxes = (fused(1, Photo(some_photo()), deterministic=True, tight_tiles=t) for t in (True, False))
    assert boxes[3].pairs > tight[3].pairs
    reason = "a recurrence that starts further up: 32 multiplications of float32 instead of some"
    assert_close_where(boxes[3].loss, tight[3].loss, 1e-6, reason=reason)
    scale = np.abs(tight[1]).max(axis=(0, 2), keepdims=True)
    assert_close_where(boxes[1] / scale, tight[1] / scale, 2e-5, reason=reason)


def test_statistics(level: str) -> None:
    statistics = SplatStatistics.zeros(COUNT)
    blocks = pack(*cloud(COUNT))
    photo = Photo(some_photo())
    frozen = dict.fromkeys(RATES, 0.0)
    for step in (1, 2):
        m, v = zero_blocks(COUNT), zero_blocks(COUNT)
        train_step(blocks, m, v, COUNT, camera(), photo, StepConfig(step=step, **frozen), statistics)  # type: ignore[arg-type]
    params = tensors(cloud(COUNT), requires_grad=True)
    seen = twin.project(*params, camera())  # type: ignore[arg-type]
    seen.means_px.retain_grad()
    ys, xs = torch.meshgrid(torch.arange(83) + 0.5, torch.arange(101) + 0.5, indexing="ij")
    pixels = torch.stack([xs, ys], -1).reshape(-1, 2).double()
    sums, _ = twin.blend(pixels[:, None] - seen.means_px, seen.conics, seen.opacities, seen.colors)
    twin.photo_loss(sums.reshape(83, 101, 3), torch.tensor(some_photo()).double() / 255).backward()  # type: ignore[no-untyped-call]
    assert seen.means_px.grad is not None
    norms = np.zeros(COUNT)
    norms[seen.index] = (seen.means_px.grad * torch.tensor([50.5, 41.5])).norm(dim=1).numpy()
    assert_close_where(statistics.gradient_norms, 2 * norms, 1e-4 * norms.max(), reason="float32 gradients")
    views = np.zeros(COUNT)
    views[seen.index] = 2
    assert np.array_equal(statistics.views, views)
    assert np.array_equal(statistics.max_radii_px > 0, views > 0)


def test_radius_of_a_ball() -> None:
    from .scenes import axis_view, one_splat

    statistics = SplatStatistics.zeros(1)
    blocks, m, v = pack(*one_splat(0.5)), zero_blocks(1), zero_blocks(1)
    photo = Photo(some_photo(16, 20))
    train_step(blocks, m, v, 1, axis_view(20, 16), photo, StepConfig(step=1, sh_degree=0), statistics)
    assert np.isclose(statistics.max_radii_px[0], 3 * np.sqrt(2.5**2 + 0.3), rtol=1e-4)


def test_training_reduces_the_loss(level: str) -> None:
    blocks, m, v = pack(*cloud(COUNT)), zero_blocks(COUNT), zero_blocks(COUNT)
    photo = Photo(some_photo())
    losses = [train_step(blocks, m, v, COUNT, camera(), photo, StepConfig(step=k + 1)).loss for k in range(60)]
    assert losses[-1] < 0.9 * losses[0]


def test_no_splats(level: str) -> None:
    stats = train_step(
        zero_blocks(0), zero_blocks(0), zero_blocks(0), 0, camera(), Photo(some_photo()), StepConfig(step=1)
    )
    assert stats.visible == 0 and stats.loss > 0


def test_philox_known_answers() -> None:
    """Known answers of Random123 1.14 (kat_vectors, philox4x32 10)."""
    from diorama.kernels import _native

    assert _native.philox(0, 0, 0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    assert _native.philox(ones, ones, ones, ones, 2**64 - 1) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_noise_is_the_twins_with_normal_numbers(threads: None) -> None:
    """One splat many times: the twin's step is linear in the normals, so they can be solved for and looked at."""
    count = 20000
    one = cloud(1)
    one.logit_opacities[:] = -6.0
    one.log_scales[:] = np.log([[0.5, 0.2, 0.1]])
    splats = type(one)(*(np.repeat(a, count, 0) for a in one))
    results = []
    for thread_count in (1, 3):
        kernels.set_thread_count(thread_count)
        blocks = pack(*splats)
        blocks[:, :3] = 0
        add_mcmc_noise(blocks, count, 0.1, 42, 7)
        results.append(blocks)
    assert np.array_equal(results[0], results[1])
    moved = rows_from_blocks(results[0], count)[:, :3].astype(np.float64)
    unit = torch.eye(3, dtype=torch.float64)
    _, quats, log_scales, logits, _ = tensors(type(one)(*(np.repeat(a, 3, 0) for a in one)))
    matrix = twin_noise.mcmc_noise(quats, log_scales, logits, unit, 0.1).numpy()
    normals = moved @ np.linalg.inv(matrix)
    twins = twin_noise.normals(count, 42, 7).numpy()
    assert_close_where(normals, twins, 1e-4, reason="float32 sines, and moves of 1e-6 read back")
    assert_close_where(normals.mean(0), np.zeros(3), 0.03, reason="four standard errors of 20000 numbers")
    assert_close_where(np.cov(normals.T), np.eye(3), 0.05, reason="five standard errors of 20000 numbers")
    assert 3.0 < np.abs(normals).max() < 6.5
    other = pack(*splats)
    other[:, :3] = 0
    add_mcmc_noise(other, count, 0.1, 42, 8)
    assert not np.array_equal(other, results[0]), "another step, other numbers"


def test_noise_leaves_opaque_splats_alone() -> None:
    splats = cloud(40)
    splats.logit_opacities[:] = 3.0
    blocks = pack(*splats)
    add_mcmc_noise(blocks, 40, 1e3, 1, 1)
    assert np.array_equal(blocks, pack(*splats))
