"""Splats in a panorama, at its poles above all: against a pinhole that looks straight at them, and against the twin."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from diorama import kernels
from diorama.kernels import SplatArrays, View, pack, render, twin, twin_outputs

from .scenes import assert_close_where, assert_slopes, cloud, one_splat, tensors
from .test_picture import compare

Array = npt.NDArray[np.float64]
DIRECTIONS = {
    "above": (0.0, -1.0, 0.0),
    "below": (0.0, 1.0, 0.0),
    "beside the pole": (0.03, -1.0, -0.02),
    "steep": (0.3, 1.0, 0.4),
    "level": (0.4, 0.1, 1.0),
    "behind": (0.0, -0.2, -1.0),
}


def panorama(width: int = 96) -> View:
    """At the origin, +z in the middle: width / 2 pi pixels per radian."""
    return View.equirectangular(width, width // 2, np.eye(3, 4))


def rays_of(view: View) -> Array:
    """(H, W, 3), by the definition of an equirectangular picture: x right, y down, z ahead."""
    y, x = np.mgrid[: view.height, : view.width] + 0.5
    azimuth, latitude = (x / view.width - 0.5) * 2 * math.pi, (y / view.height - 0.5) * math.pi
    rays = [np.cos(latitude) * np.sin(azimuth), np.sin(latitude), np.cos(latitude) * np.cos(azimuth)]
    return np.stack(rays, -1)


def looking(direction: Array, focal: float) -> View:
    """A pinhole at the origin with a splat's direction in the middle."""
    right = np.cross([0.6, 0.0, 0.8] if abs(direction[1]) > 0.5 else [0.0, 1.0, 0.0], direction)
    right /= np.linalg.norm(right)
    matrix = np.zeros((3, 4), np.float32)
    matrix[:, :3] = [right, np.cross(direction, right), direction]
    return View(400, 400, focal, focal, 200.0, 200.0, matrix)


def everywhere(count: int, seed: int = 3) -> SplatArrays:
    """Splats in all directions, one at each pole and some next to them."""
    splats, rng = cloud(count, seed), np.random.default_rng(seed)
    rays = rng.standard_normal((count, 3))
    rays[:8] *= [1e-2, 1.0, 1e-2]
    rays[:2] = [[0, -1, 0], [0, 1, 0]]
    splats.means[:] = rays / np.linalg.norm(rays, axis=1, keepdims=True) * rng.uniform(1.5, 5.0, (count, 1))
    return splats


@pytest.mark.parametrize("towards", DIRECTIONS)
@pytest.mark.parametrize("scales", [(0.3, 0.1, 0.05), (1.5, 0.8, 0.4)], ids=["small", "large"])
def test_a_splat_looks_as_in_a_pinhole_that_looks_at_it(
    level: str, towards: str, scales: tuple[float, float, float]
) -> None:
    """Pixel by pixel through the rays: both draw the same Gaussian of where a ray meets the plane around the splat."""
    direction = np.array(DIRECTIONS[towards]) / np.linalg.norm(DIRECTIONS[towards])
    splats = one_splat(0.9)
    splats.means[0], splats.quats[0], splats.log_scales[0] = 2 * direction, [0.8, 0.3, -0.4, 0.2], np.log(scales)
    view = panorama()
    pinhole = looking(direction, view.width / (2 * math.pi))
    seen = twin.project(*tensors(splats), pinhole, 0)  # type: ignore[arg-type]
    rays = rays_of(view) @ pinhole.cam_from_world[:, :3].astype(np.float64).T
    ahead = rays[..., 2] > 0.01
    x, y = (
        pinhole.fx * rays[..., i] / np.where(ahead, rays[..., 2], 1.0) + 200.0 - float(seen.means_px[0, i])
        for i in (0, 1)
    )
    xx, xy, yy = seen.conics[0].tolist()
    alpha = np.where(ahead, 0.9 * np.exp(-0.5 * (xx * x * x + yy * y * y) - xy * x * y), 0.0)
    drawn = render(pack(*splats), 1, view, sh_degree=0).alpha
    sure = np.abs(alpha - 1 / 255) > 1e-5  # beside the threshold rounding decides
    expected = np.where(alpha >= 1 / 255, alpha, 0.0)
    assert_close_where(drawn[sure], expected[sure], 2e-5, reason="float32 angles and 3e-6 of the exponential")
    assert drawn.max() > 0.5


def test_native_and_twin_agree_in_all_directions(level: str) -> None:
    compare(everywhere(200), panorama(), 1)


def test_needles_in_all_directions(level: str) -> None:
    """Which are looked for in the rows and tiles where they are."""
    splats = everywhere(150)
    splats.log_scales[:] = np.log([0.7, 0.01, 0.01])
    compare(splats, panorama(), 0, rtol=3e-3, atol=1e-3)  # 40 to 1: float32 loses digits of their determinants


def test_other_outputs_at_the_poles(level: str) -> None:
    splats, view = everywhere(100), panorama(64)
    features = np.random.default_rng(2).standard_normal((100, 3)).astype(np.float32)
    context = render(pack(*splats), 100, view, sh_degree=1).context
    seen = twin.project(*tensors(splats), view, 1)  # type: ignore[arg-type]
    drawn = twin_outputs.render_features(seen, view, torch.tensor(features, dtype=torch.float64))
    assert_close_where(kernels.render_features(context, features), drawn, 4e-5, reason="float32 and float64")
    total = twin_outputs.contribution(seen, view, 100).total
    assert_close_where(kernels.contribution(context).total, total, 1e-4 * float(total.max()), reason="float32 sums")


def test_the_twins_gradient_by_finite_differences() -> None:
    """At the poles and beside them, the gradient by the centres in the picture included."""
    view, splats = panorama(24), SplatArrays(*(a[:6] for a in everywhere(40)))
    p = [*tensors(splats, requires_grad=True), torch.zeros(6, 2, dtype=torch.float64, requires_grad=True)]
    weights = torch.linspace(-1, 1, 24 * 12 * 3, dtype=torch.float64).reshape(12, 24, 3)

    def value() -> torch.Tensor:
        rgb, alpha, depth = twin.rasterize(*p[:5], view, 1, shifts_px=p[5])  # type: ignore[misc]
        total: torch.Tensor = (rgb * weights).sum() + (alpha * weights[..., 0]).sum() + 0.1 * depth.sum()
        return total

    assert_slopes(value, p)


def test_the_same_place_upside_down(level: str) -> None:
    """A camera that hangs from its feet takes the same picture, turned by half a turn: no pole is special."""
    splats = everywhere(150)
    splats.means[:2, 0] += 1e-3  # at a pole's very place east may be anything
    over = np.diag([-1.0, -1.0, 1.0]) @ np.eye(3, 4)
    upright = render(pack(*splats), 150, panorama(), sh_degree=1).rgb
    hanging = render(pack(*splats), 150, View.equirectangular(96, 48, over), sh_degree=1).rgb
    assert_close_where(hanging[::-1, ::-1], upright, 2e-4, reason="float32 angles")
