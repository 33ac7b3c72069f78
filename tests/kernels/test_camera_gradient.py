"""The gradient by the camera's place: the twin by finite differences, the kernels against the twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diorama import kernels
from diorama.kernels import Photo, SplatArrays, StepConfig, pack, photo_loss, render, render_backward, train_step, twin
from diorama.kernels import zero_blocks as zeros

from .scenes import Floats, assert_close_where, camera, cloud, tensors

BACKGROUND = (0.3, 0.6, 0.1)
REASON = "sums over all splats of float32 gradients that are right to 1e-5 of the largest"


def moved(twist: torch.Tensor) -> torch.Tensor:
    """camera()'s cam_from_world (3, 4) with exp(twist) before it."""
    matrix = torch.eye(4, dtype=twist.dtype)
    matrix[:3] = torch.tensor(camera().cam_from_world)
    return (twin.exp_twist(twist) @ matrix)[:3]


def test_a_twist_is_a_rigid_motion() -> None:
    twist = torch.tensor([0.3, -0.2, 0.1, 0.5, -0.4, 0.2], dtype=torch.float64)
    motion = twin.exp_twist(twist)
    assert torch.allclose(motion[:3, :3] @ motion[:3, :3].T, torch.eye(3, dtype=torch.float64))
    small = twin.exp_twist(1e-6 * twist)[:3]
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    step = small[:, :3] @ x + small[:, 3] - x
    assert torch.allclose(step, 1e-6 * (twist[:3] + torch.linalg.cross(twist[3:], x)), atol=1e-11)
    quarter = twin.exp_twist(torch.tensor([0, 0, 0, 0, 0, np.pi / 2], dtype=torch.float64))
    assert torch.allclose(quarter[:3, :3] @ x, torch.tensor([-2.0, 1.0, 3.0], dtype=torch.float64))


def test_the_twins_gradient_by_finite_differences() -> None:
    splats = tensors(cloud(6, seed=5, log_scale=-0.3))
    splats[3].mul_(0.3).sub_(1.0)
    view = camera(7, 6)

    def picture(twist: torch.Tensor) -> tuple[torch.Tensor, ...]:
        matrix = moved(twist)
        return twin.rasterize(*splats, view, 3, BACKGROUND, 4, antialiased=True, cam_from_world=matrix)

    twist = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(picture, [twist], eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 3])
def test_the_kernels_agree_with_the_twin(level: str, degree: int, antialiased: bool) -> None:
    splats = cloud(300)
    splats.means[:20, 0] += 3.0  # beside the picture, where the Jacobian is held
    smoothing = np.full(300, 0.02, np.float32) if antialiased else None
    options = {"sh_degree": degree, "background": BACKGROUND, "antialiased": antialiased}
    picture = render(pack(*splats), 300, camera(), smoothing=smoothing, **options)  # type: ignore[arg-type]
    twist = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    smooth = None if smoothing is None else torch.tensor(smoothing).double()
    expected = twin.rasterize(
        *tensors(splats),
        camera(),
        cam_from_world=moved(twist),
        smoothing=smooth,
        **options,  # type: ignore[arg-type]
    )
    rng = np.random.default_rng(7)
    actual = (picture.rgb, picture.alpha, picture.depth)
    d = [rng.standard_normal(a.shape).astype(np.float32) for a in actual]
    sum((torch.tensor(g) * b).sum() for g, b in zip(d, expected, strict=True)).backward()  # type: ignore[union-attr]
    assert twist.grad is not None
    render_backward(picture.context, *d)
    scale = twist.grad.abs().max().item()
    assert_close_where(picture.context.d_camera, twist.grad, 5e-5 * scale, reason=REASON)


def step(splats: SplatArrays, photo: Photo, **options: object) -> tuple[kernels.StepStats, Floats]:
    count = len(splats.means)
    blocks = pack(*splats)
    config = StepConfig(step=1, background=BACKGROUND, deterministic=True, **options)  # type: ignore[arg-type]
    stats = train_step(blocks, zeros(count), zeros(count), count, camera(), photo, config)
    return stats, blocks


def test_a_step_gives_the_losss_gradient_on_any_thread_count(level: str, threads: None) -> None:
    splats = cloud(700)
    splats.means[:9] = np.nan
    photo = Photo((np.random.default_rng(3).random((83, 101, 3)) * 255).astype(np.uint8))
    picture = render(pack(*splats), 700, camera(), background=BACKGROUND)
    render_backward(picture.context, photo_loss(picture.rgb, photo)[1])
    results = []
    for count in (1, 2, 5):
        kernels.set_thread_count(count)
        stats, blocks = step(splats, photo, pose_gradient=True)
        assert stats.d_camera is not None and stats.d_camera.shape == (6,)
        results.append((stats.d_camera.tobytes(), blocks.tobytes()))
    assert results[0] == results[1] == results[2]
    scale = np.abs(stats.d_camera).max()
    assert_close_where(picture.context.d_camera, stats.d_camera, 1e-5 * scale, reason="sums in another order")
    plain, blocks = step(splats, photo)
    assert plain.d_camera is None
    assert blocks.tobytes() == results[0][1], "asking for it changes nothing else"


def test_nothing_in_sight_pulls_at_nothing(level: str) -> None:
    splats = cloud(20)
    splats.means[:, 2] = -5.0
    photo = Photo(np.zeros((83, 101, 3), np.uint8))
    for some in (splats, SplatArrays(*(a[:0] for a in splats))):
        stats, _ = step(some, photo, pose_gradient=True)
        assert stats.d_camera is not None and not stats.d_camera.any()


def test_following_the_gradient_finds_the_camera_back(level: str) -> None:
    """Splats held still, the camera put aside by 0.02 and 0.6 degrees: plain descent along the twist returns it."""
    splats = cloud(300, log_scale=-1.5)
    blocks, view = pack(*splats), camera()
    rgb = render(blocks, 300, view).rgb
    photo = Photo(np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8))
    still = dict.fromkeys(("lr_means", "lr_quats", "lr_log_scales", "lr_opacities", "lr_sh0", "lr_sh_rest"), 0.0)
    truth = np.eye(4)
    truth[:3] = view.cam_from_world
    start = torch.tensor([0.02, -0.02, 0.02, 0.01, -0.01, 0.01], dtype=torch.float64)
    now, m, v = twin.exp_twist(start).numpy() @ truth, np.zeros(6), np.zeros(6)
    for k in range(1, 161):
        there = kernels.View(view.width, view.height, view.fx, view.fy, view.cx, view.cy, now[:3])
        config = StepConfig(step=k, pose_gradient=True, **still)  # type: ignore[arg-type]
        d = train_step(blocks, zeros(300), zeros(300), 300, there, photo, config).d_camera
        assert d is not None
        m, v = 0.8 * m + 0.2 * d, 0.9 * v + 0.1 * d * d
        move = -2e-3 * 0.98**k * (m / (1 - 0.8**k)) / np.sqrt(v / (1 - 0.9**k))
        now = twin.exp_twist(torch.tensor(move)).numpy() @ now
    left = now @ np.linalg.inv(truth) - np.eye(4)
    assert np.abs(left).max() < 1e-3, "a twentieth of the way is left"
