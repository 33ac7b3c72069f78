"""gsplat's CUDA rasterizer (https://github.com/nerfstudio-project/gsplat), 1.5 and later; optional."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.kernels import View

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
    antialiased: bool = False,
    smoothing: Tensor | None = None,
    cam_from_world: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """Premultiplied rgb (H, W, 3) over black, alpha (H, W), accumulated depth (H, W) and gsplat's record of the pass.

    Tensors are float32 on the GPU, shaped as in `Splats`; differentiable by all of them. The last three are as in
    `kernels.twin.project`.
    """
    import torch
    from gsplat import rasterization

    from diorama.kernels.twin import LOW_PASS_PX2, NEAR, smoothed

    scales, opacities = torch.exp(log_scales), torch.sigmoid(logit_opacities)
    if smoothing is not None:
        scales, opacities = smoothed(scales, opacities, smoothing)
    if cam_from_world is None:
        cam_from_world = torch.from_numpy(np.array(view.cam_from_world)).to(means.device)
    matrix = torch.cat([cam_from_world, torch.tensor([[0.0, 0.0, 0.0, 1.0]], device=means.device)])
    intrinsics = torch.tensor([[view.fx, 0.0, view.cx], [0.0, view.fy, view.cy], [0.0, 0.0, 1.0]], device=means.device)
    drawn, alpha, record = rasterization(
        means,
        quats,
        scales,
        opacities,
        sh,
        matrix[None],
        intrinsics[None],
        view.width,
        view.height,
        near_plane=NEAR,
        eps2d=LOW_PASS_PX2,
        sh_degree=sh_degree,
        packed=False,
        rasterize_mode="antialiased" if antialiased else "classic",
        render_mode="RGB+D",
    )
    return drawn[0, ..., :3], alpha[0, ..., 0], drawn[0, ..., 3], record


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
            )
            back = torch.tensor(list(background), dtype=torch.float32, device=rgb.device)
            over = rgb + (1.0 - alpha[..., None]) * back
        return over.cpu().numpy(), alpha.cpu().numpy(), depth.cpu().numpy()
