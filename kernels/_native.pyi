"""What binding.cpp offers. Arrays are checked there: TypeError for a dtype, ValueError for a shape or a layout."""

from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

class Camera: ...
class Context: ...
class Photo: ...

class StepOptions:
    step: int
    sh_degree: int
    deterministic: bool
    tight_tiles: bool
    antialiased: bool
    low_pass: float
    pose_gradient: bool
    def set_learning_rates(
        self, means: float, quats: float, log_scales: float, opacities: float, sh0: float, sh_rest: float, /
    ) -> None: ...
    def set_adam(self, beta1: float, beta2: float, epsilon: float, dense: bool, /) -> None: ...
    def set_geometry_loss(self, depth_weight: float, empty_weight: float, /) -> None: ...
    def set_loss(
        self, ssim_weight: float, opacity_reg: float, scale_reg: float, needle_reg: float, log_needle: float, /
    ) -> None: ...
    def set_background(self, red: float, green: float, blue: float, /) -> None: ...

class StepResult:
    loss: float
    l1: float
    ssim: float
    depth: float
    empty: float
    visible: int
    pairs: int
    phase_ms: list[float]
    d_camera: list[float]
    d_exposure: list[float]

def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def set_simd_level(name: str, /) -> None: ...
def thread_count() -> int: ...
def set_thread_count(count: int, /) -> None: ...
def photo_memory() -> int: ...
def photo_preparations() -> int: ...
def set_photo_memory(size: int, /) -> None: ...
def free_workspaces() -> None: ...
def camera(
    width: int,
    height: int,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    cam_from_world: npt.NDArray[np.float32],
    model: str,
    distortion: list[float],
    limit: float,
    hold: float,
    /,
) -> Camera: ...
def photo(
    rgb: _Array,
    mask: _Array | None,
    depth: _Array | None,
    confidence: _Array | None,
    empty: _Array | None,
    row_weights: _Array | None,
    keep: bool,
) -> Photo: ...
def render(
    blocks: _Array,
    count: int,
    camera: Camera,
    sh_degree: int,
    red: float,
    green: float,
    blue: float,
    rgb: _Array,
    alpha: _Array,
    depth: _Array,
    antialiased: bool,
    low_pass: float,
    smoothing: _Array | None,
) -> Context: ...
def visible(context: Context, out: _Array, /) -> None: ...
def render_backward(
    context: Context,
    blocks: _Array,
    d_rgb: _Array,
    d_alpha: _Array | None,
    d_depth: _Array | None,
    d_blocks: _Array,
    d_camera: _Array,
    d_centres: _Array | None,
    abs_d_centres: _Array | None,
) -> None: ...
def render_features(context: Context, features: _Array, picture: _Array, /) -> None: ...
def render_features_backward(
    context: Context,
    blocks: _Array,
    features: _Array,
    d_picture: _Array,
    d_features: _Array,
    d_blocks: _Array,
    d_camera: _Array,
    d_centres: _Array | None,
) -> None: ...
def contribution(context: Context, weight_map: _Array | None, total: _Array, most: _Array, pixels: _Array) -> None: ...
def median_depth(context: Context, picture: _Array, /) -> None: ...
def ellipses(context: Context, centres: _Array, extents: _Array, /) -> None: ...
def photo_loss(rgb: _Array, photo: Photo, ssim_weight: float, d_rgb: _Array, /) -> float: ...
def geometry_loss(
    depth: _Array,
    alpha: _Array,
    photo: Photo,
    depth_weight: float,
    empty_weight: float,
    d_depth: _Array,
    d_alpha: _Array,
    /,
) -> list[float]: ...
def train_step(
    blocks: _Array,
    exp_avg: _Array,
    exp_avg_sq: _Array,
    count: int,
    camera: Camera,
    photo: Photo,
    options: StepOptions,
    gradient_norms: _Array | None,
    views: _Array | None,
    max_radii: _Array | None,
    abs_gradient_norms: _Array | None,
    smoothing: _Array | None,
    opacity_factors: _Array | None,
    exposure: _Array | None,
) -> StepResult: ...
def accumulate_step(
    gradients: _Array,
    seen: _Array,
    blocks: _Array,
    count: int,
    camera: Camera,
    photo: Photo,
    options: StepOptions,
    gradient_norms: _Array | None,
    views: _Array | None,
    max_radii: _Array | None,
    abs_gradient_norms: _Array | None,
    smoothing: _Array | None,
    opacity_factors: _Array | None,
    exposure: _Array | None,
) -> StepResult: ...
def apply_step(
    blocks: _Array,
    exp_avg: _Array,
    exp_avg_sq: _Array,
    gradients: _Array,
    seen: _Array,
    count: int,
    views: int,
    options: StepOptions,
    /,
) -> None: ...
def sampling_intervals(blocks: _Array, count: int, cameras: list[Camera], out: _Array, /) -> None: ...
def put_columns(blocks: _Array, table: _Array, first: int, /) -> None: ...
def add_mcmc_noise(blocks: _Array, count: int, amount: float, seed: int, step: int, /) -> None: ...
def philox(c0: int, c1: int, c2: int, c3: int, key: int, /) -> list[int]: ...

class StereoView: ...

class StereoOptions:
    rho_low: float
    rho_high: float
    focal: float
    step_rho: float
    step_slope: float
    color_sigma: float
    space_sigma: float
    noise: float
    geometric_weight: float
    refinements: int
    fresh: bool
    seed: int
    sweep: int

def stereo_view(quads: _Array, warp: _Array, inverse_depth: _Array | None, back: _Array | None) -> StereoView: ...
def stereo_sweep(
    gray: _Array,
    pad: int,
    keep: _Array | None,
    views: list[StereoView],
    samples: _Array,
    regions: _Array,
    options: StereoOptions,
    planes: _Array,
    cost: _Array,
    view_costs: _Array,
    new_planes: _Array,
    new_cost: _Array,
    new_view_costs: _Array,
) -> None: ...
