"""Training: photos, their loss, and whole steps in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import _native
from ._blocks import LANES, BFloats, Floats, zero_blocks
from ._checks import LOW_PASS_PX2, require_array, require_low_pass
from ._picture import native_camera, three_channels
from ._view import View

PHASES = ("project", "sort", "bin", "forward", "loss", "backward", "update")
"""What a step spends its time on, in order; see `StepStats.phase_ms`."""


UNSEEN = np.float32(1e38)
"""What the kernels give as the sampling interval of a splat that no camera sees is more than this."""


class Photo:
    """A photo to train on, with what the loss needs of it kept between steps while it fits (see `set_photo_memory`).

    Arrays are held, not copied, and must not be changed.

    Args:
        rgb: (H, W, 3) uint8 sRGB.
        mask: (H, W) uint8 or None; pixels where it is 0 do not count.
        depth: (H, W) float32 or None: z along the optical axis in the splats' units where it is known, elsewhere 0 or
            not a number; see `twin_geometry.depth_loss`. Pixels that the mask hides are not known.
        confidence: (H, W) float32 or None: weights of the depth, 0 or less for unknown; None for 1.
        keep: False for a photo that is used once: nothing is kept of it.
        empty: (H, W) uint8 or None; where it is not 0 nothing is to be seen, see `twin_geometry.empty_loss`. The mask
            should hide these pixels, as their colour is the background's.
        row_weights: (H,) float32 or None: what a pixel of each row counts for in the loss, at least 0, such as
            `View.row_weights`; None for 1.

    Raises:
        TypeError, ValueError: arrays of another dtype, shape or layout.
    """

    def __init__(
        self,
        rgb: npt.NDArray[np.uint8],
        mask: npt.NDArray[np.uint8] | None = None,
        depth: Floats | None = None,
        *,
        confidence: Floats | None = None,
        empty: npt.NDArray[np.uint8] | None = None,
        row_weights: Floats | None = None,
        keep: bool = True,
    ) -> None:
        require_array(rgb, "rgb")
        named = {"mask": mask, "depth": depth, "confidence": confidence, "empty": empty, "row_weights": row_weights}
        for name, array in named.items():
            if array is not None:
                require_array(array, name)
        if row_weights is not None and not (np.isfinite(row_weights) & (row_weights >= 0)).all():
            raise ValueError("row_weights must be finite and at least 0")
        self.native = _native.photo(rgb, **named, keep=keep)
        self._arrays = (rgb, *named.values())  # the native photo looks into them
        self.height, self.width = rgb.shape[:2]


def photo_loss(rgb: Floats, photo: Photo, ssim_weight: float = 0.2) -> tuple[float, Floats]:
    """`twin.photo_loss` of a picture (H, W, 3) float32, and its gradient (H, W, 3) by the picture."""
    require_array(rgb, "rgb")
    d_rgb = np.empty((photo.height, photo.width, 3), np.float32)
    return _native.photo_loss(rgb, photo.native, ssim_weight, d_rgb), d_rgb


@dataclass(frozen=True, eq=False)
class GeometryLoss:
    """depth, empty: `twin_geometry.depth_loss` and `twin_geometry.empty_loss`. d_depth, d_alpha: (H, W) gradients of
    their weighted sum by the picture's depth plane and alpha."""

    depth: float
    empty: float
    d_depth: Floats
    d_alpha: Floats


def geometry_loss(
    depth: Floats, alpha: Floats, photo: Photo, depth_weight: float = 1.0, empty_weight: float = 1.0
) -> GeometryLoss:
    """What the photo knows besides colours against depth (H, W), the sum of weight times z, and alpha (H, W)."""
    require_array(depth, "depth")
    require_array(alpha, "alpha")
    d_depth, d_alpha = (np.empty((photo.height, photo.width), np.float32) for _ in range(2))
    by_depth, by_emptiness = _native.geometry_loss(
        depth, alpha, photo.native, depth_weight, empty_weight, d_depth, d_alpha
    )
    return GeometryLoss(by_depth, by_emptiness, d_depth, d_alpha)


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """One training step.

    step: its number, 1 for the first; Adam's bias correction depends on it.
    lr_means ... lr_sh_rest: learning rates per kind of parameter; means in world units.
    sh_degree: 0 to 3; coefficients above it are neither read nor changed.
    ssim_weight: share of 1 - SSIM in the loss, the rest is L1.
    depth_weight, empty_weight: of `twin_geometry.depth_loss` and `twin_geometry.empty_loss`, for photos that know
        something; a step with neither costs nothing more.
    background: three sRGB values.
    opacity_reg, scale_reg: weights of `twin.regularizer`. needle_reg, max_needle: of `twin_geometry.needle_loss`.
    dense_adam: also move splats that the view does not show, by their old momentum, as 3DGS does.
    deterministic: bitwise the same result whatever the thread count; a few per cent slower, and 0.4 kB more per splat.
        Without it the result is the same every time on one thread only.
    tight_tiles: False takes the box around an ellipse for the ellipse: the same picture, slower, for measuring.
    antialiased, low_pass_px2: see `render`.
    pose_gradient: give `StepStats.d_camera` too.
    """

    step: int
    lr_means: float = 1.6e-4
    lr_quats: float = 1e-3
    lr_log_scales: float = 5e-3
    lr_opacities: float = 5e-2
    lr_sh0: float = 2.5e-3
    lr_sh_rest: float = 1.25e-4
    sh_degree: int = 3
    ssim_weight: float = 0.2
    depth_weight: float = 0.0
    empty_weight: float = 0.0
    background: Sequence[float] | Floats = (0.0, 0.0, 0.0)
    opacity_reg: float = 0.0
    scale_reg: float = 0.0
    needle_reg: float = 0.0
    max_needle: float = 1.5
    dense_adam: bool = True
    deterministic: bool = False
    tight_tiles: bool = True
    antialiased: bool = False
    low_pass_px2: float = LOW_PASS_PX2
    pose_gradient: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-15

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"step is {self.step}, but steps count from 1")
        if not 0.0 <= self.ssim_weight <= 1.0:
            raise ValueError(f"ssim_weight is {self.ssim_weight}, expected 0 to 1")
        require_low_pass(self.low_pass_px2)
        if not (0.0 <= self.depth_weight < math.inf and 0.0 <= self.empty_weight < math.inf):
            raise ValueError("depth_weight and empty_weight must be at least 0")
        if not (self.max_needle >= 1.0 and math.isfinite(self.needle_reg)):
            raise ValueError("max_needle must be at least 1 and needle_reg finite")
        if not (0.0 <= self.beta1 < 1.0 and 0.0 <= self.beta2 < 1.0):
            raise ValueError("beta1 and beta2 must be at least 0 and below 1")

    def to_native(self) -> _native.StepOptions:
        options = _native.StepOptions()
        options.step = self.step
        options.sh_degree = self.sh_degree
        options.deterministic = self.deterministic
        options.tight_tiles = self.tight_tiles
        options.antialiased = self.antialiased
        options.low_pass = self.low_pass_px2
        options.pose_gradient = self.pose_gradient
        options.set_learning_rates(
            self.lr_means, self.lr_quats, self.lr_log_scales, self.lr_opacities, self.lr_sh0, self.lr_sh_rest
        )
        options.set_adam(self.beta1, self.beta2, self.epsilon, self.dense_adam)
        regularizers = (self.opacity_reg, self.scale_reg, self.needle_reg, math.log(self.max_needle))
        options.set_loss(self.ssim_weight, *regularizers)
        options.set_geometry_loss(self.depth_weight, self.empty_weight)
        options.set_background(*three_channels(self.background))
        return options


@dataclass(frozen=True)
class StepStats:
    """What a step saw.

    loss: of the picture, regularizers, depth and emptiness not included. l1, ssim: its two terms, means over the kept
        pixels. depth, empty: `twin_geometry.depth_loss` and `twin_geometry.empty_loss`, 0 where they do not count.
    visible: splats that reach into the picture. pairs: of splats and tiles, which time and memory grow with.
    phase_ms: milliseconds per phase, see `PHASES`.
    d_camera: (6,) float32 gradient of the loss at the twist (v, w) = 0, when `exp((v, w))` is put before
        `cam_from_world`: a point x in the camera then moves by v + w x x (v in world units, w in radians). None unless
        asked for.
    d_exposure: (3, 4) float32, the loss's gradient by the exposure; None where the step had none.
    """

    loss: float
    l1: float
    ssim: float
    visible: int
    pairs: int
    phase_ms: tuple[float, ...]
    d_camera: Floats | None = None
    d_exposure: Floats | None = None
    depth: float = 0.0
    empty: float = 0.0


@dataclass(frozen=True, eq=False)
class SplatStatistics:
    """What densification watches, summed over the steps it is handed to; float32 (count,) each.

    gradient_norms: norms of the loss's gradient by the centre in the picture, counted in half pictures (gsplat's and
        3DGS's units: a threshold of 2e-4 carries over).
    views: how many pictures showed the splat.
    max_radii_px: the largest radius in any, three standard deviations of the longer axis.
    abs_gradient_norms: like `gradient_norms`, but each pixel's gradient counts without its sign, x and y apart, so that
        pulls to opposite sides do not cancel (AbsGS, Ye et al. 2024, eq. 5; gsplat's `absgrad`). None: not worked out,
        at no cost.
    """

    gradient_norms: Floats
    views: Floats
    max_radii_px: Floats
    abs_gradient_norms: Floats | None = None

    @staticmethod
    def zeros(count: int, *, absolute: bool = False) -> SplatStatistics:
        return SplatStatistics(*(np.zeros(count, np.float32) for _ in range(4 if absolute else 3)))


def train_step(
    blocks: Floats,
    exp_avg: Floats | BFloats,
    exp_avg_sq: Floats | BFloats,
    count: int,
    view: View,
    photo: Photo,
    config: StepConfig,
    statistics: SplatStatistics | None = None,
    *,
    smoothing: Floats | None = None,
    opacity_factors: Floats | None = None,
    exposure: Floats | None = None,
) -> StepStats:
    """Picture, loss, gradients and Adam in one go, in place.

    Args:
        blocks: (B, 59, 16) parameters of `count` splats, changed.
        exp_avg, exp_avg_sq: Adam's moments, like `blocks`, changed; zeros at first (`zero_blocks`), or bfloat16
            (`zero_moments`), which are rounded up or down by chance (`twin_moments`).
        view: of the photo's size.
        statistics: added to when given.
        smoothing: (count,) float32 or None, see `render`. Regularizers see the scales and opacities without it.
        opacity_factors: (count,) float32 or None: each splat's opacity is multiplied by it for this picture; 0 leaves a
            splat out. Regularizers see the opacities without it.
        exposure: (3, 4) float32: the loss compares the photo with `twin.expose` of the picture.

    Raises:
        TypeError, ValueError: arrays or sizes that do not fit; nothing is changed then.
    """
    require_array(blocks, "blocks", writable=True)
    require_array(exp_avg, "exp_avg", writable=True)
    require_array(exp_avg_sq, "exp_avg_sq", writable=True)
    result = _native.train_step(
        blocks,
        exp_avg,
        exp_avg_sq,
        count,
        native_camera(view),
        photo.native,
        config.to_native(),
        *_native_statistics(statistics),
        _checked(smoothing, "smoothing"),
        _checked(opacity_factors, "opacity_factors"),
        _checked(exposure, "exposure"),
    )
    return _stats(result)


@dataclass(frozen=True, eq=False)
class GradientSums:
    """Gradients added up over the views of one step: `accumulate_step` adds, `apply_step` uses them up.

    gradients: (B, 59, 16) float32, like the blocks. seen: (B * 16,) uint8, 1 for splats that any of the views shows.
    """

    gradients: Floats
    seen: npt.NDArray[np.uint8]

    @staticmethod
    def zeros(count: int) -> GradientSums:
        gradients = zero_blocks(count)
        return GradientSums(gradients, np.zeros(len(gradients) * LANES, np.uint8))


def accumulate_step(
    sums: GradientSums,
    blocks: Floats,
    count: int,
    view: View,
    photo: Photo,
    config: StepConfig,
    statistics: SplatStatistics | None = None,
    *,
    smoothing: Floats | None = None,
    opacity_factors: Floats | None = None,
    exposure: Floats | None = None,
) -> StepStats:
    """`train_step` as far as the gradients of the photo's loss, which are added to `sums`; the splats stay.

    With `apply_step` after all views of a step: Adam on the mean of their losses.
    """
    require_array(blocks, "blocks")
    require_array(sums.gradients, "gradients", writable=True)
    require_array(sums.seen, "seen", writable=True)
    result = _native.accumulate_step(
        sums.gradients,
        sums.seen,
        blocks,
        count,
        native_camera(view),
        photo.native,
        config.to_native(),
        *_native_statistics(statistics),
        _checked(smoothing, "smoothing"),
        _checked(opacity_factors, "opacity_factors"),
        _checked(exposure, "exposure"),
    )
    return _stats(result)


def apply_step(
    sums: GradientSums,
    blocks: Floats,
    exp_avg: Floats | BFloats,
    exp_avg_sq: Floats | BFloats,
    count: int,
    views: int,
    config: StepConfig,
) -> None:
    """Adam by the mean gradient of the `views` views in `sums` and the regularizers; `sums` is zero afterwards.

    Raises:
        TypeError, ValueError: arrays or sizes that do not fit; nothing is changed then.
    """
    require_array(blocks, "blocks", writable=True)
    require_array(exp_avg, "exp_avg", writable=True)
    require_array(exp_avg_sq, "exp_avg_sq", writable=True)
    require_array(sums.gradients, "gradients", writable=True)
    require_array(sums.seen, "seen", writable=True)
    _native.apply_step(blocks, exp_avg, exp_avg_sq, sums.gradients, sums.seen, count, views, config.to_native())


def _native_statistics(
    statistics: SplatStatistics | None,
) -> tuple[Floats | None, Floats | None, Floats | None, Floats | None]:
    if statistics is None:
        return None, None, None, None
    s = statistics
    return s.gradient_norms, s.views, s.max_radii_px, s.abs_gradient_norms


def _checked(array: Floats | None, name: str) -> Floats | None:
    if array is not None:
        require_array(array, name)
        if name == "exposure" and not np.isfinite(array).all():  # the loss and all gradients would be NaN
            raise ValueError("exposure holds values that are not finite")
    return array


def _stats(result: _native.StepResult) -> StepStats:
    return StepStats(
        result.loss,
        result.l1,
        result.ssim,
        result.visible,
        result.pairs,
        tuple(result.phase_ms),
        np.array(result.d_camera, np.float32) if result.d_camera else None,
        np.array(result.d_exposure, np.float32).reshape(3, 4) if result.d_exposure else None,
        result.depth,
        result.empty,
    )


def sampling_intervals(blocks: Floats, count: int, views: Sequence[View]) -> Floats:
    """`twin.sampling_intervals` of the first `count` splats of `blocks` (B, 59, 16): (count,) float32."""
    require_array(blocks, "blocks")
    intervals = np.empty(count, np.float32)
    _native.sampling_intervals(blocks, count, [native_camera(view) for view in views], intervals)
    return np.where(intervals < UNSEEN, intervals, np.float32(np.inf))


def add_mcmc_noise(blocks: Floats, count: int, amount: float, seed: int, step: int) -> None:
    """Moves splats at random, the more transparent the further: `twin_noise.mcmc_noise`, in place.

    The normal numbers depend on seed, step and the splat's index alone, whatever the thread count and SIMD level.

    Args:
        blocks: (B, 59, 16), changed. amount: 3DGS-MCMC's learning rate of the means times its noise rate (5e5).
        seed: 0 to 2^64 - 1. step: number of the step.
    """
    require_array(blocks, "blocks", writable=True)
    _native.add_mcmc_noise(blocks, count, amount, seed, step)
