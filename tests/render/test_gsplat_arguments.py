"""What is asked of gsplat fits the signatures of 1.5 and 1.6: a stand-in with their names takes the call.

It shows nothing of the pictures: those are compared by the tests marked gpu.
"""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from diorama.capture.errors import InputError
from diorama.kernels import View
from diorama.render.backends.cuda import draw_tensors, lens_options, weight_sums

POSITIONAL = "means quats scales opacities colors viewmats Ks width height"
NAMES_1_5 = (
    "near_plane far_plane radius_clip eps2d sh_degree packed tile_size backgrounds render_mode sparse_grad absgrad "
    "rasterize_mode channel_chunk distributed camera_model segmented covars with_ut with_eval3d radial_coeffs "
    "tangential_coeffs thin_prism_coeffs ftheta_coeffs rolling_shutter viewmats_rs"
)
NAMES_1_6 = NAMES_1_5 + (
    " return_normals global_z_order rays lidar_coeffs external_distortion_coeffs ut_params extra_signals "
    "extra_signals_sh_degree renderer_config"
)


class StandIn:
    def __init__(self, names: str) -> None:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        required = [inspect.Parameter(n, kind) for n in POSITIONAL.split()]
        self.signature = inspect.Signature(
            [*required, *(inspect.Parameter(n, kind, default=None) for n in names.split())]
        )
        self.given: dict[str, Any] = {}

    def rasterization(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        self.given = dict(self.signature.bind(*args, **kwargs).arguments)
        height, width = self.given["height"], self.given["width"]
        colors = self.given["colors"]
        channels = 4 if self.given.get("render_mode") == "RGB+D" else colors.shape[-1]
        picture = torch.zeros(1, height, width, channels) + colors.sum() * 0
        means2d = torch.zeros(1, len(self.given["means"]), 2)
        return picture, torch.ones(1, height, width, 1), {"means2d": means2d, "radii": torch.ones(1, 3, 2)}


@pytest.fixture(params=[NAMES_1_5, NAMES_1_6], ids=["1.5", "1.6"])
def gsplat(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in, module = StandIn(request.param), types.ModuleType("gsplat")
    module.rasterization = stand_in.rasterization  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat", module)
    return stand_in


def splats() -> tuple[torch.Tensor, ...]:
    return torch.randn(3, 3), torch.randn(3, 4), torch.randn(3, 3), torch.randn(3), torch.randn(3, 16, 3)


def view(**lens: Any) -> View:
    return View(8, 6, 7.0, 7.5, 4.0, 3.0, np.eye(3, 4), **lens)


def test_a_pinhole_call(gsplat: StandIn) -> None:
    rgb, alpha, depth, record = draw_tensors(*splats(), view(), 2, absgrad=True, antialiased=True)
    assert rgb.shape == (6, 8, 3) and alpha.shape == depth.shape == (6, 8) and "means2d" in record
    given = gsplat.given
    assert given["viewmats"].shape == (1, 4, 4) and given["Ks"].shape == (1, 3, 3)
    assert (given["width"], given["height"], given["eps2d"], given["packed"]) == (8, 6, pytest.approx(0.3), False)
    assert given["rasterize_mode"] == "antialiased" and given["absgrad"] is True and given["sh_degree"] == 2
    assert "with_ut" not in given


def test_opacity_factors(gsplat: StandIn) -> None:
    means, quats, scales, logits, sh = splats()
    draw_tensors(means, quats, scales, logits, sh, view(), 0, opacity_factors=torch.tensor([0.0, 1.0, 1.25]))
    wanted = torch.sigmoid(logits) * torch.tensor([0.0, 1.0, 1.25])
    assert torch.equal(gsplat.given["opacities"], wanted)


def test_weights_are_a_gradient_by_colours(gsplat: StandIn) -> None:
    means, quats, scales, logits, _ = splats()
    sums = weight_sums(means, quats, scales, logits, view(), torch.ones(2, 6, 8))
    assert sums.shape == (2, 3) and gsplat.given["colors"].shape == (3, 2)


def test_lenses(gsplat: StandIn) -> None:
    draw_tensors(*splats(), view(model="opencv", distortion=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)), 0)
    given = gsplat.given
    assert given["camera_model"] == "pinhole" and given["with_ut"] and given["with_eval3d"]
    assert torch.allclose(given["radial_coeffs"], torch.tensor([[0.1, 0.2, 0.5, 0.6, 0.7, 0.8]]))
    assert torch.allclose(given["tangential_coeffs"], torch.tensor([[0.3, 0.4]]))
    draw_tensors(*splats(), view(model="fisheye", distortion=(0.1,)), 0)
    assert gsplat.given["camera_model"] == "fisheye"
    assert torch.allclose(gsplat.given["radial_coeffs"], torch.tensor([[0.1, 0.0, 0.0, 0.0]]))
    with pytest.raises(InputError, match="anti-aliased"):
        draw_tensors(*splats(), view(model="fisheye"), 0, antialiased=True)
    with pytest.raises(InputError, match="equirectangular"):
        lens_options(View.equirectangular(16, 8, np.eye(3, 4)))
