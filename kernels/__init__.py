"""Native code: arrays in, arrays out. C++ for the CPU; `diorama.kernels.twin` is a readable torch twin of every op.

    blocks = pack(means, quats, log_scales, logit_opacities, sh)
    picture = render(blocks, len(means), View(640, 480, 500.0, 500.0, 320.0, 240.0, cam_from_world))
    stats = train_step(blocks, exp_avg, exp_avg_sq, len(means), view, Photo(rgb), StepConfig(step=1))

`DIORAMA_SIMD` (avx512, avx2, portable) and `DIORAMA_THREADS` overrule what is found on the machine.
"""

from ._blocks import (
    HARMONICS,
    LANES,
    LOG_SCALE,
    LOGIT_OPACITY,
    MEAN,
    PARAMETERS,
    QUATERNION,
    BFloats,
    SplatArrays,
    blocks_from_rows,
    from_bfloats,
    pack,
    rows_from_blocks,
    to_bfloats,
    unpack,
    zero_blocks,
    zero_moments,
)
from ._checks import LOW_PASS_PX2, MIP_LOW_PASS_PX2
from ._machine import (
    free_memory,
    photo_memory,
    set_photo_memory,
    set_simd_level,
    set_thread_count,
    simd_level,
    simd_levels,
    thread_count,
)
from ._outputs import Contribution, contribution, median_depth, render_features, render_features_backward
from ._picture import Context, Rendered, render, render_backward
from ._stereo import StereoField, StereoView, SweepConfig, stereo_sweep
from ._training import (
    PHASES,
    GeometryLoss,
    GradientSums,
    Photo,
    SplatStatistics,
    StepConfig,
    StepStats,
    accumulate_step,
    add_mcmc_noise,
    apply_step,
    geometry_loss,
    photo_loss,
    sampling_intervals,
    train_step,
)
from ._view import View

__all__ = [
    "HARMONICS",
    "LANES",
    "LOGIT_OPACITY",
    "LOG_SCALE",
    "LOW_PASS_PX2",
    "MEAN",
    "MIP_LOW_PASS_PX2",
    "PARAMETERS",
    "PHASES",
    "QUATERNION",
    "BFloats",
    "Context",
    "Contribution",
    "GeometryLoss",
    "GradientSums",
    "Photo",
    "Rendered",
    "SplatArrays",
    "SplatStatistics",
    "StepConfig",
    "StepStats",
    "StereoField",
    "StereoView",
    "SweepConfig",
    "View",
    "accumulate_step",
    "add_mcmc_noise",
    "apply_step",
    "blocks_from_rows",
    "contribution",
    "free_memory",
    "from_bfloats",
    "geometry_loss",
    "median_depth",
    "pack",
    "photo_loss",
    "photo_memory",
    "render",
    "render_backward",
    "render_features",
    "render_features_backward",
    "rows_from_blocks",
    "sampling_intervals",
    "set_photo_memory",
    "set_simd_level",
    "set_thread_count",
    "simd_level",
    "simd_levels",
    "stereo_sweep",
    "thread_count",
    "to_bfloats",
    "train_step",
    "unpack",
    "zero_blocks",
    "zero_moments",
]
