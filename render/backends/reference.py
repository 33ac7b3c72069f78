"""The torch twin as a rasterizer: slow and readable, the truth the others are held to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama.kernels import View

from ..splats import Splats

Floats = npt.NDArray[np.float32]


class TwinRasterizer:
    name = "torch"

    def missing(self) -> str | None:
        return None

    def draw(self, splats: Splats, view: View, background: Sequence[float]) -> tuple[Floats, Floats, Floats]:
        import torch

        from diorama.kernels import twin

        arrays = (splats.means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
        with torch.no_grad():
            tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
            means, quats, log_scales, logit_opacities, sh = tensors
            drawn = twin.rasterize(
                *(means, quats, log_scales, logit_opacities, sh, view, splats.sh_degree, tuple(background)),
                antialiased=splats.is_antialiased,
                low_pass_px2=splats.low_pass_px2,
            )
        rgb, alpha, depth = (np.ascontiguousarray(t.numpy()) for t in drawn)
        return rgb, alpha, depth
