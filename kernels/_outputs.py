"""What else a drawn picture's lists can tell: blended features, median depth, and what each splat adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import _native
from ._blocks import Floats, zero_blocks
from ._checks import require_array
from ._picture import Context


@dataclass(frozen=True, eq=False)
class Contribution:
    """What each splat adds to a picture; (count,) each, zeros for what is out of sight or hidden.

    total: float32, sum over pixels of its blending weight, times the map where one is given.
    most: float32, its largest blending weight, the map left out.
    pixels: int32, pixels that took of it. Where the map is 0, neither `most` nor `pixels` look.
    """

    total: Floats
    most: Floats
    pixels: npt.NDArray[np.int32]


def render_features(context: Context, features: Floats) -> Floats:
    """Any values per splat, blended with the weights of a drawn picture; `twin_outputs.render_features`.

    Args:
        context: of the picture, whose splats must not have changed.
        features: (count, C) float32, C up to 4096.

    Returns:
        (H, W, C) float32, the sums of weight times value over black. Divide by alpha for the mean.

    Raises:
        TypeError, ValueError: an array of another dtype, shape or layout.
    """
    require_array(features, "features")
    channels = features.shape[1] if features.ndim == 2 else 0
    picture = np.empty((*context.size, channels), np.float32)
    _native.render_features(context.native, features, picture)
    return picture


def render_features_backward(
    context: Context, features: Floats, d_picture: Floats, *, d_centres: Floats | None = None
) -> tuple[Floats, Floats]:
    """The loss's gradient by the features and by the splats, from its gradient by `render_features`' picture.

    Args:
        context, features: as they were. d_picture: (H, W, C) float32.
        d_centres: (count, 2) or None, changed: receives the gradient by the centres, as in `render_backward`.

    Returns:
        d_features (count, C) and d_blocks (B, 59, 16), the gradient by positions, shapes and opacities (see
        `render_backward`; zero by SH). Sets `context.d_camera` beside. The sums are the same on any thread count.
    """
    require_array(features, "features")
    require_array(d_picture, "d_picture")
    if d_centres is not None:
        require_array(d_centres, "d_centres", writable=True)
    d_features = np.zeros(features.shape, np.float32)
    d_blocks = zero_blocks(len(context.blocks) * context.blocks.shape[2])
    _native.render_features_backward(
        context.native, context.blocks, features, d_picture, d_features, d_blocks, context.d_camera, d_centres
    )
    return d_features, d_blocks


def contribution(context: Context, weight_map: Floats | None = None) -> Contribution:
    """What each splat of a drawn picture adds to it; `twin_outputs.contribution`. Not differentiable.

    Args:
        context: of the picture, whose splats must not have changed.
        weight_map: (H, W) float32 or None for 1 everywhere: what a pixel counts for.
    """
    if weight_map is not None:
        require_array(weight_map, "weight_map")
    total, most = np.zeros(context.count, np.float32), np.zeros(context.count, np.float32)
    pixels = np.zeros(context.count, np.int32)
    _native.contribution(context.native, weight_map, total, most, pixels)
    return Contribution(total, most, pixels)


def median_depth(context: Context) -> Floats:
    """(H, W) float32: z of the splat behind which half of a pixel's light or less is left; 0 where more gets through.

    `twin_outputs.median_depth`. Not differentiable: it jumps from splat to splat.
    """
    picture = np.empty(context.size, np.float32)
    _native.median_depth(context.native, picture)
    return picture
