"""Pictures of splats and their gradients, one operation at a time. Training goes through `train_step` instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from . import _native
from ._blocks import Floats, zero_blocks
from ._checks import LOW_PASS_PX2, require_array, require_low_pass
from ._view import View


@dataclass(frozen=True, eq=False)
class Context:
    """What `render_backward` needs of a picture. Holds scratch memory; let go of it when it is not needed."""

    native: _native.Context
    blocks: Floats
    count: int
    size: tuple[int, int]
    """Height and width of the picture."""
    d_camera: Floats = field(default_factory=lambda: np.zeros(6, np.float32))
    """(6,): the loss's gradient by the camera, from the last `render_backward` or
    `render_features_backward`; see `StepStats.d_camera`."""

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """(count,): which splats reach into the picture."""
        flags = np.empty(self.count, np.uint8)
        _native.visible(self.native, flags)
        return flags.astype(np.bool_)

    def ellipses(self) -> tuple[Floats, Floats]:
        """Centres (count, 2) in pixels, and half sizes (count, 2) of the box outside of which alpha is below
        `twin.MIN_ALPHA`, 1e-4 of them wider for rounding's sake; zeros for splats out of sight."""
        centres, extents = np.zeros((self.count, 2), np.float32), np.zeros((self.count, 2), np.float32)
        _native.ellipses(self.native, centres, extents)
        return centres, extents


@dataclass(frozen=True, eq=False)
class Rendered:
    """A picture: rgb (H, W, 3) with the background blended in, not held to 0..1; alpha (H, W) in 0 to 1; depth (H, W),
    the sum of weight times z, or times the distance as `View` says (divide by alpha for the expected depth)."""

    rgb: Floats
    alpha: Floats
    depth: Floats
    context: Context


def native_camera(view: View) -> _native.Camera:
    lens = (view.fx, view.fy, view.cx, view.cy)
    return _native.camera(
        view.width, view.height, *lens, view.cam_from_world, view.model, list(view.distortion), *view.limits
    )


def three_channels(background: Sequence[float] | Floats) -> tuple[float, float, float]:
    """Raises ValueError where `background` is not three numbers."""
    if len(background) != 3:
        raise ValueError(f"background has {len(background)} values, expected 3")
    return float(background[0]), float(background[1]), float(background[2])


def render(
    blocks: Floats,
    count: int,
    view: View,
    *,
    sh_degree: int = 3,
    background: Sequence[float] | Floats = (0.0, 0.0, 0.0),
    antialiased: bool = False,
    low_pass_px2: float = LOW_PASS_PX2,
    smoothing: Floats | None = None,
) -> Rendered:
    """The picture of the first `count` splats of `blocks` (B, 59, 16); `twin.rasterize` says what it shows.

    Args:
        blocks: see `pack`. Not copied, and not to be changed before `render_backward`.
        view: the camera.
        sh_degree: 0 to 3; higher coefficients are not read.
        background: three sRGB values.
        low_pass_px2: variance that is added to every ellipse, more than 0; with `antialiased` Mip-Splatting takes
            `MIP_LOW_PASS_PX2`.
        antialiased: opacities make up for the low-pass: Mip-Splatting's 2D Mip filter, see `twin.project`.
        smoothing: (count,) float32 standard deviations in world units, by which each splat is blurred: Mip-Splatting's
            3D filter, see `twin.smoothed`. None for none.

    Raises:
        TypeError, ValueError: an array of another kind, dtype, shape or layout, or a count beyond the blocks.
    """
    require_array(blocks, "blocks")
    require_low_pass(low_pass_px2)
    rgb = np.empty((view.height, view.width, 3), np.float32)
    alpha = np.empty((view.height, view.width), np.float32)
    depth = np.empty((view.height, view.width), np.float32)
    if smoothing is not None:
        require_array(smoothing, "smoothing")
    native = _native.render(
        blocks,
        count,
        native_camera(view),
        sh_degree,
        *three_channels(background),
        rgb,
        alpha,
        depth,
        antialiased,
        low_pass_px2,
        smoothing,
    )
    return Rendered(rgb, alpha, depth, Context(native, blocks, count, (view.height, view.width)))


def render_backward(
    context: Context,
    d_rgb: Floats,
    d_alpha: Floats | None = None,
    d_depth: Floats | None = None,
    *,
    d_centres: Floats | None = None,
    abs_d_centres: Floats | None = None,
) -> Floats:
    """The loss's gradient by the splats, in blocks like theirs, from its gradient by a picture.

    Args:
        context: of the picture. May be used several times.
        d_rgb: (H, W, 3). d_alpha, d_depth: (H, W), None for zero.
        d_centres: (count, 2) or None, changed: receives the gradient by the centres in the picture, in pixels, of the
            splats in sight.
        abs_d_centres: like it, with each pixel's share counted without its sign; see `SplatStatistics`.

    Returns:
        (B, 59, 16) float32; zero for splats out of sight, coefficients above the picture's SH degree and padding. Sets
        `context.d_camera` beside.
    """
    require_array(d_rgb, "d_rgb")
    for array, name in ((d_centres, "d_centres"), (abs_d_centres, "abs_d_centres")):
        if array is not None:
            require_array(array, name, writable=True)
    d_blocks = zero_blocks(len(context.blocks) * context.blocks.shape[2])
    _native.render_backward(
        context.native, context.blocks, d_rgb, d_alpha, d_depth, d_blocks, context.d_camera, d_centres, abs_d_centres
    )
    return d_blocks
