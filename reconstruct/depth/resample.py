"""A depth map as another lens in the same place would have it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap
from diorama.capture.undistort import source_pixels

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

ONE_SURFACE = 0.03
"""Neighbouring depths that differ by less, relatively, are taken for one surface and interpolated between."""


def depth_in_view(map_: DepthMap, taken: Camera, shown: Camera) -> DepthMap:
    """The map at the pixels of `shown`: z is that of the same optical axis, so only its place in the picture changes.

    Within a surface the inverse depth is interpolated, as it is linear over a plane; at an edge the nearest pixel
    counts, because the mean of two depths is a place where nothing is.

    Args:
        map_: of any size, covering what `taken` saw. taken, shown: cameras of one photo, straightened or not; one of
            them is a pinhole, or both are the same lens.

    Returns:
        A map of the size of `shown`, 0 where `taken` did not see.
    """
    height, width = map_.depth.shape
    taken = taken.scaled(width, height)
    if taken == shown:
        return map_
    pixels, inside = _places(taken, shown)
    depth = _interpolated(map_.depth, pixels) * inside
    row, column = _nearest(pixels, map_.depth.shape)
    confidence = None if map_.confidence is None else map_.confidence[row, column] * inside
    normals = None if map_.normals is None else map_.normals[row, column] * inside[..., None]
    return DepthMap(depth, confidence, normals)


@lru_cache(maxsize=4)
def _places(taken: Camera, shown: Camera) -> tuple[Array, npt.NDArray[np.bool_]]:
    """For the pixels (H, W) of `shown`: where `taken` saw them (H, W, 2), and whether it did."""
    x, y = np.meshgrid(np.arange(shown.width_px) + 0.5, np.arange(shown.height_px) + 0.5)
    pixels: Array = np.stack([x, y], axis=-1)
    same = shown.model == taken.model and (taken.scaled(shown.width_px, shown.height_px) == shown)
    if same:
        pixels = pixels * [taken.width_px / shown.width_px, taken.height_px / shown.height_px]
    elif shown.is_pinhole:
        pixels = source_pixels(taken, shown, pixels)
    else:
        pixels = taken.project(shown.rays(pixels))
    with np.errstate(invalid="ignore"):
        inside: npt.NDArray[np.bool_] = np.all((pixels >= 0) & (pixels <= [taken.width_px, taken.height_px]), axis=-1)
    return np.where(inside[..., None], pixels, 0.0), inside


def _nearest(pixels: Array, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    place = np.floor(pixels).astype(np.int64)
    return np.clip(place[..., 1], 0, shape[0] - 1), np.clip(place[..., 0], 0, shape[1] - 1)


def _interpolated(depth: Floats, pixels: Array) -> Floats:
    height, width = depth.shape
    at = np.clip(pixels - 0.5, 0.0, [width - 1, height - 1])
    low = np.minimum(np.floor(at).astype(np.int64), [max(width - 2, 0), max(height - 2, 0)])
    share = at - low
    x0, y0 = low[..., 0], low[..., 1]
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    taps = np.stack([depth[y0, x0], depth[y0, x1], depth[y1, x0], depth[y1, x1]])
    u, v = share[..., 0], share[..., 1]
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    nearest_depth = depth[_nearest(pixels, depth.shape)]
    smooth = (taps.min(0) > 0) & (taps.max(0) < (1 + ONE_SURFACE) * taps.min(0))
    inverse = (weights / np.where(taps > 0, taps, 1.0)).sum(0)
    return np.where(smooth, 1.0 / inverse, nearest_depth).astype(np.float32)
