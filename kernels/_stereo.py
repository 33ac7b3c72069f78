"""PatchMatch stereo between posed pictures: one sweep over a picture at a time; `twin_stereo` is the readable twin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._checks import require_array

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

HIDDEN = np.float32(-1e4)
"""Grey of what the window must not look at: beyond the picture, or masked."""

MISSING = 1.0
"""Cost of a view that does not see a place; as much as no likeness at all."""


def window(radius_px: int = 5, step_px: int = 2) -> Ints:
    """Offsets (K, 2) of a square window's samples, dx and dy, from `-radius_px` on."""
    along = np.arange(-radius_px, radius_px + 1, step_px, dtype=np.int32)
    dy, dx = np.meshgrid(along, along, indexing="ij")
    return np.stack([dx.ravel(), dy.ravel()], axis=1)


def regions(near: bool = True, far: bool = True) -> Ints:
    """Offsets (R, 5, 2) of the pixels of each region, of which the best plane is taken over.

    Four wedges close by and four strips farther away, after Xu and Tao 2019 (adaptive checkerboard sampling).
    """
    up_near = [(0, -1), (-1, -2), (1, -2), (-2, -3), (2, -3)]
    up_far = [(0, -5), (0, -9), (0, -13), (0, -18), (0, -24)]
    up = np.array(([up_near] if near else []) + ([up_far] if far else []), np.int32).reshape(-1, 5, 2)
    quarter = np.array([[0, -1], [1, 0]], np.int32)
    turned = [up]
    for _ in range(3):
        turned.append(turned[-1] @ quarter)
    return np.ascontiguousarray(np.concatenate(turned))


@dataclass(frozen=True, eq=False)
class StereoView:
    """A picture to compare with.

    gray: uint8 (h, w), the same wherever nothing may be compared (a flat patch is like nothing).
    warp: (3, 4): the reference's pixel (x, y) at inverse depth rho is seen at `warp @ (x, y, 1, rho)`, homogeneous.
        Pixels count from the first one's centre, which is (0, 0), on both sides.
    inverse_depth: float32 (h, w) in the reference's unit, 0 for unknown, and `back` (3, 4), the way back; or None.
    """

    gray: Bytes
    warp: npt.NDArray[Any]
    inverse_depth: Floats | None = None
    back: npt.NDArray[Any] | None = None
    native: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        require_array(self.gray, "gray")
        back = None if self.back is None else np.ascontiguousarray(self.back, np.float32)
        warp = np.ascontiguousarray(self.warp, np.float32)
        object.__setattr__(self, "native", _native.stereo_view(quads(self.gray), warp, self.inverse_depth, back))


def quads(gray: Bytes) -> npt.NDArray[np.uint32]:
    """For each pixel (h, w) its own byte, then those to the right, below, and below right, the lowest first."""
    wide = np.pad(gray, ((0, 1), (0, 1)), mode="edge").astype(np.uint32)
    byte = np.uint32(8)
    packed: npt.NDArray[np.uint32] = wide[1:, :-1] | wide[1:, 1:] << byte
    packed = wide[:-1, :-1] | wide[:-1, 1:] << byte | packed << np.uint32(16)
    return packed


@dataclass(frozen=True, eq=False)
class StereoField:
    """What is known of each pixel after a sweep.

    planes: float32 (3, H, W): inverse depth, and its change per pixel to the right and down.
    cost: float32 (H, W), the views' costs by their weights. view_costs: float32 (V, H, W), 1 - NCC each.
    """

    planes: Floats
    cost: Floats
    view_costs: Floats

    @staticmethod
    def start(planes: Floats, views: int) -> StereoField:
        """Planes of which no cost is known yet: the first sweep must be `fresh`."""
        shape = planes.shape[1:]
        return StereoField(planes, np.full(shape, MISSING, np.float32), np.full((views, *shape), MISSING, np.float32))


@dataclass(frozen=True)
class SweepConfig:
    """How one sweep goes.

    rho_low, rho_high: inverse depths are kept between these; 0 < rho_low <= rho_high.
    focal_px: of the reference.
    step_rho, step_slope: half widths of random steps, in inverse depth and in inverse depth per pixel.
    color_sigma, space_sigma_px: of the window's bilateral weights: grey levels, pixels.
    noise: grey levels of a picture's noise; windows flatter than that are like nothing.
    geometric_weight: cost of a pixel of disagreement with a view's own inverse depth.
    refinements: random planes tried per pixel, 0 to 16: another depth, another slope, both, anything; then again.
    fresh: the costs of the planes are not known yet.
    seed, sweep: random numbers depend on these, the pixel and the try alone.
    """

    rho_low: float
    rho_high: float
    focal_px: float
    step_rho: float
    step_slope: float
    color_sigma: float = 12.0
    space_sigma_px: float = 5.0
    noise: float = 2.0
    geometric_weight: float = 0.0
    refinements: int = 3
    fresh: bool = False
    seed: int = 0
    sweep: int = 0

    def native(self) -> _native.StereoOptions:
        if not 0 <= self.refinements <= 16:
            raise ValueError(f"refinements is {self.refinements}, expected 0 to 16")
        o = _native.StereoOptions()
        o.rho_low, o.rho_high, o.focal = self.rho_low, self.rho_high, self.focal_px
        o.step_rho, o.step_slope = self.step_rho, self.step_slope
        o.color_sigma, o.space_sigma, o.noise = self.color_sigma, self.space_sigma_px, self.noise
        o.geometric_weight, o.refinements, o.fresh = self.geometric_weight, self.refinements, self.fresh
        o.seed, o.sweep = self.seed & 0xFFFFFFFF, self.sweep & 0x3FFFFFF
        return o


def padded(gray: Bytes, keep: Bytes | None, samples: Ints) -> tuple[Floats, int]:
    """The reference with a hidden border as wide as the window, and its width."""
    pad = int(np.abs(samples).max(initial=0))
    wide = np.full((gray.shape[0] + 2 * pad, gray.shape[1] + 2 * pad + 16), HIDDEN, np.float32)
    inner = wide[pad : pad + gray.shape[0], pad : pad + gray.shape[1]]
    inner[:] = gray.astype(np.float32) + np.float32(1.0)  # 0 and below are hidden
    if keep is not None:
        inner[keep == 0] = HIDDEN
    return wide, pad


def stereo_sweep(
    gray: Bytes,
    keep: Bytes | None,
    views: list[StereoView],
    before: StereoField,
    config: SweepConfig,
    *,
    samples: Ints,
    regions: Ints,
) -> StereoField:
    """One sweep of PatchMatch: every pixel tries planes of others and random steps from its own, and keeps the best.

    Args:
        gray: uint8 (H, W), the reference. keep: uint8 (H, W) or None; pixels of 0 are neither compared nor changed.
        views: 1 to 16 pictures to compare with.
        samples, regions: see `window` and `regions`.

    Returns:
        A new field. The same on any number of threads.

    Raises:
        TypeError, ValueError: an array of another dtype, shape or layout, or a setting out of its range.
    """
    require_array(gray, "gray")
    if keep is not None and keep.shape != gray.shape:
        raise ValueError(f"keep is {keep.shape}, but gray {gray.shape}")
    wide, pad = padded(gray, keep, samples)
    after = StereoField(np.empty_like(before.planes), np.empty_like(before.cost), np.empty_like(before.view_costs))
    _native.stereo_sweep(
        wide,
        pad,
        keep,
        [view.native for view in views],
        samples,
        regions,
        config.native(),
        before.planes,
        before.cost,
        before.view_costs,
        after.planes,
        after.cost,
        after.view_costs,
    )
    return after
