"""gsplat's CUDA rasterizer (https://github.com/nerfstudio-project/gsplat), 1.5 and later; optional.

Every argument given here is one that both 1.5 and 1.6 have; defaults that differ between them (`eps2d`, `packed`) are
always spelled out, and of the record only `means2d` with its gradients and `radii` are read.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.kernels import LOW_PASS_PX2, View

from ..splats import Splats

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]


@functools.cache
def cuda_missing() -> str | None:
    """What this machine lacks to run gsplat, or None. Imports torch only when gsplat is installed."""
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed; with an NVIDIA GPU and a CUDA build of torch: pip install 'diorama[cuda]'"
    import torch

    if not torch.cuda.is_available():
        return "gsplat needs an NVIDIA GPU and a CUDA build of torch, and torch finds none (torch.cuda.is_available())"
    return None


def draw_tensors(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    logit_opacities: Tensor,
    sh: Tensor,
    view: View,
    sh_degree: int,
    *,
    absgrad: bool = False,
    **filters: Any,
) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """Premultiplied rgb (H, W, 3) over black, alpha (H, W), accumulated depth (H, W) and gsplat's record of the pass.

    Tensors are float32 on the GPU, shaped as in `Splats`; differentiable by all of them. `filters` are `antialiased`,
    `smoothing`, `opacity_factors` and `cam_from_world` as in `kernels.twin.project`. With `absgrad` the record's
    `means2d` has gsplat's attribute of that name after the backward pass.
    """
    options: dict[str, Any] = {"sh_degree": sh_degree, "render_mode": "RGB+D", "absgrad": absgrad}
    drawn, alpha, record = _rasterization(means, quats, log_scales, logit_opacities, sh, view, **options, **filters)
    return drawn[0, ..., :3], alpha[0, ..., 0], drawn[0, ..., 3], record


def weight_sums(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    logit_opacities: Tensor,
    view: View,
    maps: Tensor,
    **filters: Any,
) -> Tensor:
    """(K, N): sums over pixels of each splat's blending weight times maps (K, H, W); `filters` as in `draw_tensors`.

    They are the gradient of the sum of map times picture by the colours that the picture is blended from.
    """
    import torch

    if not len(maps):  # gsplat refuses to blend nothing
        return torch.zeros(0, len(means), device=means.device)
    colors = torch.zeros(len(means), len(maps), device=means.device, requires_grad=True)
    with torch.enable_grad():
        drawn, _, _ = _rasterization(means, quats, log_scales, logit_opacities, colors, view, **filters)
        (sums,) = torch.autograd.grad((drawn[0].permute(2, 0, 1) * maps).sum(), colors)
    return sums.T


def lens_options(view: View, device: Any = None) -> dict[str, Any]:
    """gsplat's arguments for a view's lens, none for a pinhole.

    Lenses go through the unscented transform (3DGUT), whose projection has no backward pass in gsplat: the splats are
    then evaluated in space (`with_eval3d`), which has one. There the centres in the picture get no gradient (the
    classic strategy cannot work), nor do the means get one by depth (gsplat's issues 711 and 870).

    Raises:
        InputError: a lens that gsplat does not have.
    """
    import torch

    if view.model == "pinhole":
        return {}
    if view.model == "equirectangular":
        raise InputError("gsplat has no equirectangular camera; train and draw panoramas with --backend cpu.")
    k = torch.tensor([list(view.distortion)], dtype=torch.float32, device=device)
    through_space = {"with_ut": True, "with_eval3d": True}
    if view.model == "fisheye":
        return {"camera_model": "fisheye", "radial_coeffs": k, **through_space}
    radial, tangential = k[:, [0, 1, 4, 5, 6, 7]].contiguous(), k[:, [2, 3]].contiguous()
    return {"camera_model": "pinhole", "radial_coeffs": radial, "tangential_coeffs": tangential, **through_space}


def _rasterization(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    logit_opacities: Tensor,
    colors: Tensor,
    view: View,
    *,
    antialiased: bool = False,
    low_pass_px2: float = LOW_PASS_PX2,
    smoothing: Tensor | None = None,
    opacity_factors: Tensor | None = None,
    cam_from_world: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """gsplat's result for one view by the picture model of `kernels.twin`.

    Raises:
        InputError: a lens that gsplat does not have, or one together with anti-aliasing.
    """
    import torch
    from gsplat import rasterization

    from diorama.kernels.twin import NEAR, smoothed

    lens = lens_options(view, means.device)
    if lens and antialiased:
        raise InputError("gsplat cannot draw anti-aliased splats through a distorting lens; straighten the photos.")
    scales, opacities = torch.exp(log_scales), torch.sigmoid(logit_opacities)
    if smoothing is not None:
        scales, opacities = smoothed(scales, opacities, smoothing)
    if opacity_factors is not None:
        opacities = opacities * opacity_factors
    given = np.zeros((2, 4, 4), np.float32)  # one transfer
    given[0, 3, 3], given[0, :3] = 1.0, view.cam_from_world
    given[1, :3, :3] = [[view.fx, 0.0, view.cx], [0.0, view.fy, view.cy], [0.0, 0.0, 1.0]]
    matrix, intrinsics = torch.from_numpy(given).to(means.device)
    intrinsics = intrinsics[:3, :3].contiguous()
    if cam_from_world is not None:
        matrix = torch.cat([cam_from_world, matrix[3:]])
    result: tuple[Tensor, Tensor, dict[str, Any]] = rasterization(
        means,
        quats,
        scales,
        opacities,
        colors,
        matrix[None],
        intrinsics[None],
        view.width,
        view.height,
        near_plane=NEAR,
        eps2d=low_pass_px2,
        packed=False,
        rasterize_mode="antialiased" if antialiased else "classic",
        **lens,
        **options,
    )
    return result


class GsplatRasterizer:
    name = "gsplat"

    def missing(self) -> str | None:
        return cuda_missing()

    def draw(self, splats: Splats, view: View, background: Sequence[float]) -> tuple[Floats, Floats, Floats]:
        import torch

        if len(splats) == 0:
            shape = (view.height, view.width)
            empty = np.broadcast_to(np.asarray(background, np.float32), (*shape, 3)).copy()
            return empty, np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        arrays = (splats.means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
        with torch.no_grad():
            tensors = [torch.from_numpy(np.ascontiguousarray(a)).cuda() for a in arrays]
            means, quats, log_scales, logit_opacities, sh = tensors
            rgb, alpha, depth, _ = draw_tensors(
                *(means, quats, log_scales, logit_opacities, sh, view, splats.sh_degree),
                antialiased=splats.is_antialiased,
                low_pass_px2=splats.low_pass_px2,
            )
            back = torch.tensor(list(background), dtype=torch.float32, device=rgb.device)
            over = rgb + (1.0 - alpha[..., None]) * back
        return over.cpu().numpy(), alpha.cpu().numpy(), depth.cpu().numpy()
