"""How splats are trained: one frozen dataclass, its parts as nested ones, and named presets."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import Literal, get_args

from diorama.capture.errors import InputError

from ..views import LensMode

Strategy = Literal["mcmc", "classic", "fast"]
Backend = Literal["auto", "cpu", "torch", "gsplat"]
Background = Literal["random", "black", "white"]
Exposure = Literal["none", "affine"]
Sky = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class LearningRates:
    """Adam's step sizes: 3DGS's values (its opacities' are the later, smaller ones) but for the means.

    means: at the first step, in the normalised frame, where the cameras are about 1 apart; it falls exponentially to
        `means_final` at the last. Three times 3DGS's: trainings here are shorter than its 30,000 steps.
    settle, settle_after, settled: from this share of all steps on, but not before every photo was seen so often, the
        rates of colours and opacities fall exponentially, too, to the share `settled` of themselves at the last step.
        Few photos, seen again and again, are learnt by heart otherwise (brighton_beach: 0.1 to 0.15 dB); where they are
        many there is still something to learn (0.05 to 0.1 dB lost on two videos). With scales held back as well the
        terrace lost 0.1 dB.
    """

    means: float = 4.8e-4
    means_final: float = 4.8e-6
    quats: float = 1e-3
    log_scales: float = 5e-3
    logit_opacities: float = 2.5e-2
    sh0: float = 2.5e-3
    sh_rest: float = 1.25e-4
    settle: float = 0.5
    settle_after: int = 100
    settled: float = 0.1


@dataclass(frozen=True)
class Start:
    """The first splats, one per sparse point.

    opacity: of each. scale: of each, times the distance to its nearest neighbours.
    cover_cells: where a photo shows something but a cell of it holds no point (sky, water, blank walls), one large
        splat is put behind; so many cells along the longer side, 0 for none.
    sky: of these, those that show the sky are put on a shell far behind the scene (see sky.py): where nothing is
        overhead (auto), always, or never.
    min_points: where the scene has fewer sparse points, random ones within its bounds make up for them.
    depth_share: where depth maps are sure and the sparse points thin, splats are put on the surface (see seed.py), with
        the others up to this share of the cap; 0 for none.
    """

    opacity: float = 0.1
    scale: float = 1.0
    cover_cells: int = 12
    sky: Sky = "auto"
    min_points: int = 5_000
    depth_share: float = 0.5


@dataclass(frozen=True)
class ResolutionConfig:
    """Small photos at first (see resolution.py).

    start: the first size as a share of the full one; 1 for full size throughout.
    until: share of all steps after which the photos have their full size.
    min_px: the longer side of the largest photo is never made smaller than this: below it little time is gained,
        and brighton_beach lost 0.3 dB.
    """

    start: float = 0.25
    until: float = 0.3
    min_px: int = 640


@dataclass(frozen=True)
class DepthConfig:
    """Depth maps, where the frames have any, as a part of the loss (kernels/twin_geometry.py says which).

    weight: at the first step, 0 to leave depth maps alone. weight_final: at the last; it falls exponentially.
    """

    weight: float = 0.05
    weight_final: float = 0.03

    def of_weight(self, weight: float) -> DepthConfig:
        """The same fall, from another weight."""
        return DepthConfig(weight, self.weight_final / self.weight * weight if weight > 0 else self.weight_final)

    @property
    def wanted(self) -> bool:
        """Whether a training looks at depth maps at all."""
        return self.weight > 0


@dataclass(frozen=True)
class McmcConfig:
    """3DGS-MCMC (Kheradmand et al. 2024): splats as samples, moved by noise, dead ones put where there are many.

    start, stop: shares of all steps between which splats are relocated and added.
    every: steps between, fewer where a short training would refine less than `least_times` otherwise.
    growth: how many more splats each time, until the cap.
    min_opacity: a splat below is dead. noise: times the means' learning rate.
    max_needle: a splat's longest axis over its second longest is kept to this.
    needle_reg: weight in the loss of what is beyond `max_needle` (kernels/twin_geometry.py); above 0 it takes the place
        of shortening needles outright. Off: shortening was 0.3 to 1 dB better on lund_door, elsewhere the same.
    max_thickness: a splat's shortest axis over its second longest is pulled towards this; 1 leaves it alone.
    opacity_reg, scale_reg: weights of the mean opacity and mean scale in the loss.
    """

    start: float = 0.05
    stop: float = 0.7
    every: int = 100
    least_times: int = 40
    growth: float = 0.1
    min_opacity: float = 0.005
    noise: float = 5e5
    max_needle: float = 1.5
    needle_reg: float = 0.0
    max_thickness: float = 1.0
    opacity_reg: float = 0.01
    scale_reg: float = 0.01


@dataclass(frozen=True)
class ClassicConfig:
    """Clone, split and prune by the gradient on screen (Kerbl et al. 2023).

    start, stop: shares of all steps between which splats are refined. every: steps between.
    absolute: count each pixel's gradient by the projected centre without its sign, so that pulls to opposite sides do
        not cancel under a splat that is too large (AbsGS, Ye et al. 2024); see `SplatStatistics.abs_gradient_norms`.
    grad, absolute_grad: mean norm of that gradient, in half picture sizes, above which a splat is refined, without and
        with `absolute`.
    clone_scale: above it, in the normalised frame, a splat is split instead of cloned.
    prune_scale, min_opacity: larger or fainter splats are removed; the first only after the first opacity reset.
    reset_every: steps between opacity resets; a multiple of `every`.
    """

    start: float = 0.02
    stop: float = 0.5
    every: int = 100
    absolute: bool = True
    grad: float = 2e-4
    absolute_grad: float = 8e-4
    clone_scale: float = 0.01
    prune_scale: float = 0.1
    min_opacity: float = 0.005
    reset_every: int = 3_000


@dataclass(frozen=True)
class FastConfig:
    """Growth and pruning where several views agree, to a budget (see strategies/fast.py).

    start, stop: shares of all steps between which splats are added and removed. every: steps between, fewer where a
        short training would refine less than `least_times` otherwise.
    prune_stop, prune_every: after `stop` splats are still removed, each so many times `every`, up to this share.
    views: training views looked at each time.
    error: mean absolute difference from the photo, 0 to 1, above which a pixel is wrong.
    min_score: blending weight over wrong pixels, in pixels per view, below which a splat is left alone.
    grad: mean norm of the absolute gradient by the projected centre (see `ClassicConfig`) below which it is too.
    clone_scale: above it, in the normalised frame, a splat is split instead of cloned.
    min_opacity: fainter splats are removed. min_weight: so are those worth less, in pixels, in each view that shows
        them.
    noise, max_needle, opacity_reg, scale_reg: as in `McmcConfig`.
    """

    start: float = 0.05
    stop: float = 0.7
    every: int = 100
    least_times: int = 20
    prune_stop: float = 0.9
    prune_every: int = 5
    views: int = 6
    error: float = 0.05
    min_score: float = 0.1
    grad: float = 2e-4
    clone_scale: float = 0.01
    min_opacity: float = 0.005
    min_weight: float = 0.02
    noise: float = 5e5
    max_needle: float = 1.5
    opacity_reg: float = 0.01
    scale_reg: float = 0.01


@dataclass(frozen=True)
class DropoutConfig:
    """Splats left out of a step at random where few photos see the same place (see dropout.py).

    share: of all splats, at its most. few: of photos of which the places in the middle are seen by so many it is all
        of `share`; many: by so many, nothing; in between it falls linearly.
    """

    share: float = 0.2
    few: int = 4
    many: int = 12


@dataclass(frozen=True)
class FloaterConfig:
    """What is taken out at the end of a training, before export (see floaters.py).

    remove: False keeps every splat.
    min_weight: blending weight, in pixels, that a splat must have in some training view.
    view_weight: blending weight, in pixels, from which on a view sees a splat.
    error, error_factor: a splat is suspect whose pixels are off by more than this, 0 to 1, and by more than so many
        times what is usual in the views, in every view that sees it.
    few_views, few_share, nearness: so is one that at most so many views, or this share of all, see, in each of them at
        less than this share of the depth that its pixels show.
    max_loss: by how much the mean error of such a splat's pixels may grow without it, 0 to 1.
    """

    remove: bool = True
    min_weight: float = 0.02
    view_weight: float = 0.5
    error: float = 0.1
    error_factor: float = 3.0
    few_views: int = 2
    few_share: float = 0.05
    nearness: float = 0.5
    max_loss: float = 0.004


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what comes out of a training; `backend` and `seed` included.

    steps: of Adam. batch: photos per step, on whose mean loss it is taken; step sizes grow with its square root.
    max_size_px: longer side of the photos; None keeps their size.
    hold_out: frames never trained on: every:N, none, or names. max_splats: hard cap.
    sh_degree: of the view-dependent colour; one degree is added each `sh_every` of all steps.
    ssim_weight: of 1 - SSIM in the loss, the rest is L1.
    mask_weight: of alpha where masks hide, for masks that cut out an object: nothing is left standing around it. 0 for
        masks that hide passers-by.
    background: what is seen through the splats while training; random keeps surfaces opaque.
    lens: train on photos as they were taken (original), with distortion removed (straight), or (auto) straight for
        mild lenses and original for fisheyes and panoramas.
    refine_poses: learn where the photos were taken from, see pose_refinement.py; the scene's own poses are kept.
    antialiased: with both of Mip-Splatting's filters (Yu et al. 2024): the model holds from afar and from near.
    exposure: affine learns a map of colours for every photo (see exposure.py). For photos that were metered anew each
        time: without such differences it costs up to 1 dB at new places, and nothing of what colours are corrected for.
    sparse_adam: splats that no photo of a step shows keep still, instead of going on by their old momentum.
    photo_memory_mb: that decoded photos, and what the cpu backend works out of them, may take; None for half of what
        is free. Photos that do not fit are decoded again each time, ahead of their use.
    checkpoint_every, log_every: steps.
    """

    steps: int = 7_000
    batch: int = 1
    max_size_px: int | None = 1_280
    hold_out: str = "every:8"
    max_splats: int = 300_000
    strategy: Strategy = "mcmc"
    backend: Backend = "auto"
    seed: int = 0
    sh_degree: int = 3
    sh_every: float = 0.12
    ssim_weight: float = 0.2
    mask_weight: float = 0.0
    background: Background = "random"
    lens: LensMode = "auto"
    antialiased: bool = False
    refine_poses: bool = False
    exposure: Exposure = "none"
    sparse_adam: bool = False
    photo_memory_mb: int | None = None
    checkpoint_every: int = 500
    log_every: int = 100
    learning_rates: LearningRates = field(default_factory=LearningRates)
    start: Start = field(default_factory=Start)
    resolution: ResolutionConfig = field(default_factory=ResolutionConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    mcmc: McmcConfig = field(default_factory=McmcConfig)
    classic: ClassicConfig = field(default_factory=ClassicConfig)
    fast: FastConfig = field(default_factory=FastConfig)
    dropout: DropoutConfig = field(default_factory=DropoutConfig)
    floaters: FloaterConfig = field(default_factory=FloaterConfig)

    def __post_init__(self) -> None:
        """Raises InputError when a value cannot be trained with."""
        bounds = {
            "steps": (self.steps >= 1, "at least 1"),
            "batch": (1 <= self.batch <= 64, "1 to 64"),
            "max_size_px": (self.max_size_px is None or self.max_size_px >= 16, "at least 16"),
            "max_splats": (self.max_splats >= 1, "at least 1"),
            "sh_degree": (0 <= self.sh_degree <= 3, "0 to 3"),
            "ssim_weight": (0.0 <= self.ssim_weight <= 1.0, "0 to 1"),
            "mask_weight": (0.0 <= self.mask_weight < math.inf, "at least 0"),
            "mcmc.needle_reg": (0.0 <= self.mcmc.needle_reg < math.inf, "at least 0"),
            "depth.weight": (0.0 <= self.depth.weight < math.inf, "at least 0"),
            "depth.weight_final": (0.0 < self.depth.weight_final < math.inf, "above 0"),
            "start.depth_share": (0.0 <= self.start.depth_share <= 1.0, "0 to 1"),
            "mcmc.max_thickness": (0.0 < self.mcmc.max_thickness <= 1.0, "above 0, at most 1"),
            "learning_rates.settle": (0.0 <= self.learning_rates.settle <= 1.0, "0 to 1"),
            "learning_rates.settle_after": (self.learning_rates.settle_after >= 0, "at least 0"),
            "learning_rates.settled": (0.0 < self.learning_rates.settled <= 1.0, "above 0, at most 1"),
            "dropout.share": (0.0 <= self.dropout.share <= 0.9, "0 to 0.9"),
            "dropout.few": (1 <= self.dropout.few < self.dropout.many, "at least 1, below dropout.many"),
            "seed": (0 <= self.seed < 2**31, "0 to 2147483647"),
            "photo_memory_mb": (self.photo_memory_mb is None or self.photo_memory_mb >= 0, "at least 0"),
            "checkpoint_every": (self.checkpoint_every >= 1, "at least 1"),
            "log_every": (self.log_every >= 1, "at least 1"),
            "start.sky": (self.start.sky in get_args(Sky), "auto, on or off"),
            "exposure": (self.exposure in get_args(Exposure), "none or affine"),
            "resolution.start": (0.0 < self.resolution.start <= 1.0, "above 0, at most 1"),
            "resolution.until": (0.0 <= self.resolution.until <= 1.0, "0 to 1"),
            "resolution.min_px": (self.resolution.min_px >= 1, "at least 1"),
            "strategy": (self.strategy in get_args(Strategy), "mcmc, classic or fast"),
            "lens": (self.lens in get_args(LensMode), "auto, straight or original"),
            "background": (self.background in get_args(Background), "random, black or white"),
        }
        for name, (right, wanted) in bounds.items():
            if not right:
                value = operator.attrgetter(name)(self)
                raise InputError(f"Cannot train with {name} = {value!r}; it must be {wanted}.")


PRESETS: dict[str, TrainConfig] = {
    "preview": TrainConfig(steps=3_000, max_size_px=640, max_splats=40_000),
    "standard": TrainConfig(steps=7_000, max_size_px=1_600, max_splats=150_000),
    "high": TrainConfig(steps=30_000, max_size_px=1_920, max_splats=1_000_000),
    "surface": TrainConfig(
        steps=7_000,
        max_size_px=1_280,
        max_splats=150_000,
        sh_degree=2,
        depth=DepthConfig(0.2, 0.1),
        mcmc=McmcConfig(max_thickness=0.1),
    ),
}
"""`preview` is for on set: less than a minute on two cores with its poses; `standard` is for work: less than five
minutes, at 1,600 px, to which the field scales photos; `high` is for a GPU or an evening. `surface` is for a mesh:
splats become discs, which lie on surfaces (as PGSR's, Chen et al. 2024), depth maps count more, and colours may depend
less on where one stands, which is how splats get away with lying in the wrong place."""
