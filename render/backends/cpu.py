"""The project's own rasterizer: native code, SIMD, every core."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama import kernels
from diorama.kernels import View

from ..splats import Splats

Floats = npt.NDArray[np.float32]


@functools.cache
def native_missing() -> str | None:
    """Why the native kernels cannot be loaded, or None."""
    try:
        from diorama.kernels import render  # noqa: F401
    except ImportError as error:
        return f"the native kernels do not load ({error}); install Diorama again with a C++17 compiler at hand"
    return None


class NativeRasterizer:
    name = "cpu"

    def missing(self) -> str | None:
        return native_missing()

    def draw(self, splats: Splats, view: View, background: Sequence[float]) -> tuple[Floats, Floats, Floats]:
        arrays = (splats.means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
        blocks = kernels.pack(*(np.ascontiguousarray(a) for a in arrays))
        drawn = kernels.render(
            blocks,
            len(splats),
            view,
            sh_degree=splats.sh_degree,
            background=tuple(background),
            antialiased=splats.is_antialiased,
            low_pass_px2=splats.low_pass_px2,
        )
        return drawn.rgb, drawn.alpha, drawn.depth
