"""Rasterizing through every backend this machine has; truth by hand for one splat."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from diorama.capture.camera import PARAM_NAMES, Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.render.rasterize import (
    available_backends,
    backend_status,
    camera_of,
    choose_backend,
    rasterize,
    view_of,
)
from diorama.render.splats import SH_C0, Splats

BACKENDS = available_backends()
CAMERA = Camera.pinhole(33, 25, 40.0, 40.0, 16.5, 12.5)


def one_splat(depth: float, scale: float, opacity: float, color: tuple[float, float, float]) -> Splats:
    sh = ((np.array(color) - 0.5) / SH_C0).reshape(1, 1, 3)
    logit = math.log(opacity / (1 - opacity))
    arrays = ([[0, 0, depth]], [[1, 0, 0, 0]], np.full((1, 3), math.log(scale)), [logit], sh)
    return Splats(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_round_splat_is_a_bell(backend: str) -> None:
    drawn = rasterize(
        one_splat(4.0, 0.3, 0.6, (0.9, 0.5, 0.1)), CAMERA, Pose.identity(), backend=backend, background=(0, 0, 1)
    )
    y, x = np.mgrid[0:25, 0:33] + 0.5
    variance = (40.0 * 0.3 / 4.0) ** 2 + 0.3  # the splat in pixels and the low-pass
    alpha = 0.6 * np.exp(-((x - 16.5) ** 2 + (y - 12.5) ** 2) / (2 * variance))
    alpha[alpha < 1 / 255] = 0
    sure = np.abs(alpha - 1 / 255) > 1e-4  # on the threshold rounding decides
    assert np.allclose(drawn.alpha[sure], alpha[sure], atol=1e-4)
    rgb = alpha[..., None] * [0.9, 0.5, 0.1] + (1 - alpha[..., None]) * [0, 0, 1]
    assert np.allclose(drawn.rgb[sure], rgb[sure], atol=1e-4)
    assert np.allclose(drawn.depth[alpha > 0.01], 4.0, atol=1e-3)
    assert not drawn.depth[alpha == 0].any()
    assert drawn.rgb.dtype == drawn.alpha.dtype == drawn.depth.dtype == np.float32


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_near_one_covers_the_far_one(backend: str) -> None:
    near, far = one_splat(2.0, 0.2, 0.75, (1, 0, 0)), one_splat(6.0, 0.6, 0.5, (0, 1, 0))
    names = ("means", "quats", "log_scales", "logit_opacities", "sh")
    both = Splats(*(np.concatenate([getattr(s, name) for s in (far, near)]) for name in names))
    drawn = rasterize(both, CAMERA, Pose.identity(), backend=backend)
    # Centre pixel: alpha 0.75, then 0.5 of the rest; depth is the mean by weight.
    assert np.allclose(drawn.rgb[12, 16], [0.75, 0.125, 0], atol=2e-4)
    assert drawn.alpha[12, 16] == pytest.approx(0.875, abs=2e-4)
    assert drawn.depth[12, 16] == pytest.approx((0.75 * 2 + 0.125 * 6) / 0.875, abs=2e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_splat_shows_the_background(backend: str) -> None:
    drawn = rasterize(Splats.empty(), CAMERA, Pose.identity(), backend=backend, background=(0.2, 0.4, 0.6))
    assert np.allclose(drawn.rgb, [0.2, 0.4, 0.6])
    assert not drawn.alpha.any()
    assert not drawn.depth.any()


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "torch"])
def test_backends_draw_the_twins_picture(backend: str) -> None:
    rng = np.random.default_rng(2)
    count = 300
    arrays = (
        rng.uniform([-1, -1, 2], [1, 1, 5], (count, 3)),
        rng.normal(size=(count, 4)),
        np.log(rng.uniform(0.01, 0.2, (count, 3))),
        rng.normal(size=count),
        rng.normal(0, 0.3, (count, 16, 3)),
    )
    splats = Splats(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))
    truth = rasterize(splats, CAMERA, Pose.identity(), backend="torch")
    drawn = rasterize(splats, CAMERA, Pose.identity(), backend=backend)
    # Splats at the 1/255 threshold may fall either way: one grey level in few pixels.
    gap = np.abs(drawn.rgb - truth.rgb)
    assert np.mean(gap < 1e-3) > 0.99
    assert gap.max() < 0.02
    assert np.mean(np.abs(drawn.depth - truth.depth) < 0.01) > 0.99


def test_every_lens_is_drawn() -> None:
    """A small splat 30 degrees to the right shows where each camera projects its centre, on both backends."""
    splats, place = one_splat(2.0, 0.05, 0.9, (1, 1, 1)), [1.0, 0.0, math.sqrt(3.0)]
    splats.means[0] = place
    for model, count in {m: len(p) for m, p in PARAM_NAMES.items()}.items():
        params = (20.0, 20.0, 32.0, 16.0) if "fx" in PARAM_NAMES[model] else (20.0, 32.0, 16.0)
        params += (0.01,) * (count - len(params))
        camera = Camera(model, 64, 32, params) if model != "EQUIRECTANGULAR" else Camera.equirectangular(64, 32)
        expected = camera.project(place)
        assert camera_of(view_of(camera, Pose.identity())).project(place) == pytest.approx(expected)
        for backend in ("cpu", "torch"):
            alpha = rasterize(splats, camera, Pose.identity(), backend=backend).alpha
            y, x = np.mgrid[:32, :64] + 0.5
            centre = [(alpha * x).sum() / alpha.sum(), (alpha * y).sum() / alpha.sum()]
            assert centre == pytest.approx(expected, abs=0.05), (model, backend)


def test_choosing() -> None:
    status = backend_status()
    assert set(status) == {"cpu", "torch", "gsplat"}
    assert choose_backend("torch") == "torch"
    assert status[choose_backend("auto")] is None
    with pytest.raises(InputError, match="choose auto, cpu, torch, gsplat"):
        choose_backend("vulkan")


@pytest.mark.skipif("gsplat" in BACKENDS, reason="CUDA works here")
def test_forcing_what_is_missing_says_what_to_do() -> None:
    with pytest.raises(InputError, match="GPU"):
        choose_backend("gsplat")
    assert choose_backend("auto") != "gsplat"


@pytest.mark.parametrize("backend", BACKENDS)
def test_antialiased_splats_give_for_the_low_pass(backend: str) -> None:
    """Half a pixel wide: variance 0.25 px^2 of its own and 0.1 of the low-pass, so 0.25 / 0.35 of the opacity stay."""
    splats = dataclasses.replace(one_splat(4.0, 0.05, 0.6, (0.9, 0.5, 0.1)), is_antialiased=True)
    drawn = rasterize(splats, CAMERA, Pose.identity(), backend=backend)
    assert drawn.alpha[12, 16] == pytest.approx(0.6 * 0.25 / 0.35, rel=1e-4)
