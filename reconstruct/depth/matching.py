"""Planes for one photo's pixels: PatchMatch from the smallest size to the largest, then with the neighbours' depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.kernels import StereoField, StereoView, SweepConfig, stereo_sweep
from diorama.kernels._stereo import regions, window

from .neighbours import DepthRange
from .pictures import Level, Picture

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MvsConfig:
    """How multi-view stereo works.

    max_size_px: longer side of the pictures that are compared, and of the maps; photos are never enlarged.
    neighbours: photos each photo is compared with, 1 to 16.
    seed: of the random planes; the same seed gives the same maps on any number of threads.
    sweeps_coarse, sweeps_middle, sweeps_fine: of PatchMatch at the smallest size, those between and the largest.
    sweeps_geometric: at the largest size, with the neighbours' depth taken into account.
    window_px, window_step_px: half width of the compared window and the spacing of its samples.
    color_sigma: grey levels by which a window's pixel may differ from its centre and still count for exp(-1).
    noise: grey levels of noise; windows with less contrast are not matched.
    geometric_weight: cost of one pixel of disagreement with a neighbour's depth.
    """

    max_size_px: int = 640
    neighbours: int = 8
    seed: int = 0
    sweeps_coarse: int = 8
    sweeps_middle: int = 3
    sweeps_fine: int = 2
    sweeps_geometric: int = 2
    window_px: int = 4
    window_step_px: int = 2
    color_sigma: float = 12.0
    noise: float = 2.0
    geometric_weight: float = 0.1

    def __post_init__(self) -> None:
        ranges = {
            "max_size_px": (1, 4000), "neighbours": (1, 16), "sweeps_coarse": (1, 50), "sweeps_middle": (1, 50),
            "sweeps_fine": (1, 50), "sweeps_geometric": (1, 50), "window_px": (1, 20), "window_step_px": (1, 20),
            "color_sigma": (0.1, 1e4), "noise": (0.1, 1e3), "geometric_weight": (0.0, 100.0),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {low} to {high}")
        if self.window_px // self.window_step_px > 5:
            raise ValueError(f"a window of {self.window_px} px takes too many samples at {self.window_step_px} px")


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A photo to compare with, and its inverse depths (h, w) float32, 0 for unknown, at its largest size, or None."""

    picture: Picture
    inverse_depth: Floats | None = None


def shifted_intrinsics(camera: Camera) -> Array:
    """K for pixels that count from the first one's centre."""
    return np.array([[camera.fx, 0, camera.cx - 0.5], [0, camera.fy, camera.cy - 0.5], [0, 0, 1.0]])


def warp_between(from_camera: Camera, from_pose: Pose, to_camera: Camera, to_pose: Pose) -> Array:
    """(3, 4): pixel (x, y, 1, inverse depth) of one picture to the homogeneous pixel of another."""
    to_from = to_pose @ from_pose.inverse()
    k_to, k_from = shifted_intrinsics(to_camera), shifted_intrinsics(from_camera)
    rotation = k_to @ to_from.rotation @ np.linalg.inv(k_from)
    return np.concatenate([rotation, (k_to @ to_from.translation)[:, None]], axis=1)


def match(picture: Picture, neighbours: Sequence[Neighbour], limits: DepthRange, config: MvsConfig) -> StereoField:
    """Planes of `picture`'s largest size, from nothing but the photos and a few known depths."""
    field: StereoField | None = None
    for index in range(len(picture.levels) - 1, -1, -1):
        level = picture.levels[index]
        views = [_view(picture, index, n, limits, with_depth=False) for n in neighbours]
        coarsest = field is None
        planes = _first_planes(level, limits, config) if field is None else enlarged(field.planes, level.gray.shape)
        field = StereoField.start(planes, len(views))
        count = config.sweeps_coarse if coarsest else config.sweeps_middle if index else config.sweeps_fine
        pixel_rho, base = _rho_per_pixel(level, views, limits), _sweep_config(level, limits, config)
        # At the smallest size steps begin as wide as the picture, elsewhere with what an enlarged plane may be off.
        steps = np.geomspace(8.0 if coarsest else 1.0, 0.5 if coarsest else 0.25, max(count, 1))
        for i in range(count):
            sweep = _stepping(base, steps[i] * pixel_rho, config)
            sweep = replace(
                sweep, fresh=i == 0, sweep=100 * index + i, refinements=4 if coarsest and i < count - 2 else 3
            )
            field = _swept(level, views, field, sweep, config)
    assert field is not None
    return field


def agree(
    picture: Picture, neighbours: Sequence[Neighbour], field: StereoField, limits: DepthRange, config: MvsConfig
) -> StereoField:
    """The planes of `match` once more, now also held against what the neighbours' planes say."""
    level = picture.levels[0]
    views = [_view(picture, 0, n, limits, with_depth=True) for n in neighbours]
    base = _sweep_config(level, limits, config)
    pixel_rho = _rho_per_pixel(level, views, limits)
    field = StereoField(field.planes, field.cost, field.view_costs)
    for i in range(config.sweeps_geometric):
        sweep = _stepping(base, pixel_rho * 0.25 * 0.5**i, config)
        sweep = replace(sweep, fresh=i == 0, sweep=5000 + i, geometric_weight=config.geometric_weight)
        field = _swept(level, views, field, sweep, config, far=False)
    return field


def _swept(
    level: Level, views: list[StereoView], field: StereoField, sweep: SweepConfig, config: MvsConfig, far: bool = True
) -> StereoField:
    samples = window(config.window_px, config.window_step_px)
    return stereo_sweep(level.gray, level.keep, views, field, sweep, samples=samples, regions=regions(far=far))


def _sweep_config(level: Level, limits: DepthRange, config: MvsConfig) -> SweepConfig:
    return SweepConfig(
        rho_low=1 / limits.far,
        rho_high=1 / limits.near,
        focal_px=(level.camera.fx + level.camera.fy) / 2,
        step_rho=0.0,
        step_slope=0.0,
        color_sigma=config.color_sigma,
        space_sigma_px=float(config.window_px),
        noise=config.noise,
        seed=config.seed,
    )


def _stepping(sweep: SweepConfig, step_rho: float, config: MvsConfig) -> SweepConfig:
    return replace(sweep, step_rho=float(step_rho), step_slope=float(step_rho) / config.window_px)


def _rho_per_pixel(level: Level, views: Sequence[StereoView], limits: DepthRange) -> float:
    """The inverse depth that moves a match by about a pixel: in the middle of the picture, in the median view."""
    rho = 1 / float(np.median(limits.depths)) if len(limits.depths) else 2 / (limits.near + limits.far)
    height, width = level.gray.shape
    moved = []
    for view in views:
        ends = [view.warp @ np.array([width / 2, height / 2, 1.0, rho * f]) for f in (0.99, 1.01)]
        if all(e[2] > 1e-6 for e in ends):
            moved.append(float(np.hypot(*(ends[1][:2] / ends[1][2] - ends[0][:2] / ends[0][2]))) / (0.02 * rho))
    usable = [m for m in moved if m > 0]
    return 1 / float(np.median(usable)) if usable else rho * 0.01


def _view(picture: Picture, index: int, neighbour: Neighbour, limits: DepthRange, *, with_depth: bool) -> StereoView:
    """The neighbour at the size at which it shows the scene as finely as the reference does."""
    level, other = picture.levels[index], neighbour.picture
    z = float(np.median(limits.depths)) if len(limits.depths) else float(np.sqrt(limits.near * limits.far))
    ahead = picture.cam_from_world.inverse().apply([0.0, 0.0, z])
    its_z = float(other.cam_from_world.apply(ahead)[2])
    finer = other.levels[0].camera.fx / picture.levels[0].camera.fx * z / its_z if its_z > 0 else 1.0
    chosen = int(np.clip(index + round(np.log2(finer)), 0, len(other.levels) - 1))
    level_there = other.levels[0 if with_depth else chosen]
    warp = warp_between(level.camera, picture.cam_from_world, level_there.camera, other.cam_from_world)
    if not with_depth or neighbour.inverse_depth is None:
        return StereoView(level_there.gray, warp)
    back = warp_between(level_there.camera, other.cam_from_world, level.camera, picture.cam_from_world)
    return StereoView(level_there.gray, warp, neighbour.inverse_depth, back)


def _first_planes(level: Level, limits: DepthRange, config: MvsConfig) -> Floats:
    """Random planes; every other pixel starts at the depth of the nearest sparse point."""
    height, width = level.gray.shape
    rng = np.random.default_rng([config.seed, height, width])
    low, high = 1 / limits.far, 1 / limits.near
    rho = rng.uniform(low, high, (height, width))
    if len(limits.depths):
        known = _nearest_depth(level, limits)
        rho = np.where(rng.random((height, width)) < 0.5, 1 / known, rho)
    slopes = rng.uniform(-0.5, 0.5, (2, height, width)) * rho / level.camera.fx
    return np.concatenate([rho[None], slopes]).astype(np.float32)


def _nearest_depth(level: Level, limits: DepthRange) -> Array:
    from scipy.ndimage import distance_transform_edt

    height, width = level.gray.shape
    at = np.floor(limits.pixels * _size_ratio(level, limits)).astype(np.int64)
    column, row = np.clip(at[:, 0], 0, width - 1), np.clip(at[:, 1], 0, height - 1)
    depth = np.zeros((height, width))
    depth[row, column] = limits.depths
    nearest = distance_transform_edt(depth == 0, return_distances=False, return_indices=True)
    filled: Array = depth[tuple(nearest)]
    return filled


def _size_ratio(level: Level, limits: DepthRange) -> Array:
    return np.array([level.camera.width_px, level.camera.height_px]) / limits.size_px


def enlarged(planes: Floats, shape: tuple[int, ...]) -> Floats:
    """Planes (3, h, w) at a larger size: each pixel continues the plane of the one it lies in."""
    height, width = planes.shape[1:]
    sy, sx = height / shape[0], width / shape[1]
    y, x = (np.arange(shape[0]) + 0.5) * sy - 0.5, (np.arange(shape[1]) + 0.5) * sx - 0.5
    row = np.clip(np.rint(y), 0, height - 1).astype(np.int64)
    column = np.clip(np.rint(x), 0, width - 1).astype(np.int64)
    rho, gx, gy = planes[:, row[:, None], column[None]]
    rho = rho + gx * (x - column)[None] + gy * (y - row)[:, None]
    return np.ascontiguousarray(np.stack([rho, gx * sx, gy * sy]), dtype=np.float32)
