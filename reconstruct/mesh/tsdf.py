"""Volumetric fusion of depth pictures (Curless and Levoy 1996) in sparse blocks, by Open3D's VoxelBlockGrid.

Open3D keeps the blocks and averages distances; the surface is taken out by marching.py, because Open3D's own extraction
leaves gaps and edges of three faces between blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Progressed
from diorama.render.mesh import Mesh

from . import marching
from .config import FusionConfig
from .region import Bounds
from .views import STAGE, DepthView

Floats = npt.NDArray[np.float32]
SIDE = marching.SIDE

PROBES = 200_000
"""Points of all depth pictures together by which the size of the surface is estimated."""

MIN_WEIGHT = 1.5
"""A voxel that fewer pictures than two have seen is not known."""

FREE = 0.999
"""A mean distance at the truncation: all pictures saw free space."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Blocks (B, 3), and in each the mean distance (B, 8, 8, 8), axes x, y, z, in truncations, positive outside, NaN
    where not known. Voxel (x, y, z) of block b stands at `origin + voxel * (SIDE * b + (x, y, z))` in the world."""

    blocks: npt.NDArray[np.int64]
    values: Floats
    voxel: float
    origin: npt.NDArray[np.float64]


def voxel_size(
    views: Sequence[DepthView], bounds: Bounds, config: FusionConfig, difference: float = 0.0, least: float = 0.0
) -> float:
    """What a pixel covers at the object, the median over the pixels within the bounds, times `voxel_factor`; larger
    where views differ by more (`difference`, relative to depth), or the surface would need more than `max_voxels`; not
    smaller than `least`.

    Raises InputError when no depth lies within the bounds.
    """
    points, footprint, depth = _probe(views, bounds)
    if not len(points):
        raise InputError(
            "No depth that several pictures confirm lies within the region to make a surface of; "
            "check the depth maps or the splats, or give another --crop."
        )
    if config.voxel is not None:
        return config.voxel
    noise = config.noise_voxels * difference * float(np.median(depth))
    voxel = max(config.voxel_factor * float(np.median(footprint)), noise, least, bounds.size / 4_000)
    # How many cells of a coarse grid hold surface, times what each holds in voxels.
    coarse = bounds.size / 128
    cells = len(np.unique(np.floor((points - bounds.low) / coarse).astype(np.int64), axis=0))
    band = 2 * (config.truncation + SIDE / 2)
    most = float(np.sqrt(cells * coarse**2 * band / config.max_voxels))
    return max(voxel, most)


def _probe(views: Sequence[DepthView], bounds: Bounds) -> tuple[npt.NDArray[np.float64], Floats, Floats]:
    """Points within the bounds, what a pixel covers there, and their depth."""
    found, covers, depths = [], [], []
    each = max(1, PROBES // max(len(views), 1))
    for view in views:
        flat = np.flatnonzero(view.depth > 0)
        flat = flat[:: max(1, len(flat) // each)]
        points = view.points().reshape(-1, 3)[flat]
        inside = bounds.holds(points)
        found.append(points[inside])
        depth = view.depth.reshape(-1)[flat][inside]
        covers.append(depth / np.float32(view.camera.fx))
        depths.append(depth)
    if not found:
        return np.zeros((0, 3)), np.zeros(0, np.float32), np.zeros(0, np.float32)
    return np.concatenate(found), np.concatenate(covers), np.concatenate(depths)


def fuse(views: Sequence[DepthView], bounds: Bounds, voxel: float, config: FusionConfig, on_event: OnEvent) -> Volume:
    """The mean of the views' signed distances.

    Every view is averaged into every block that it sees, also where it only saw free space: that carves away what few
    views show and others look through.
    """
    import open3d as o3d

    core, origin = o3d.core, bounds.low.copy()
    device = core.Device("CPU:0")
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight"), (core.float32, core.float32), ((1,), (1,)), voxel, SIDE, 1 << 14, device
    )
    prepared = []
    for done, view in enumerate(views, start=1):
        image, intrinsic, extrinsic, far = _for_open3d(view, bounds, origin, o3d)
        if far > 0:
            keys = grid.compute_unique_block_coordinates(image, intrinsic, extrinsic, 1.0, far, config.truncation)
            grid.hashmap().activate(keys)
            prepared.append((view, image, intrinsic, extrinsic, far))
        on_event(Progressed(STAGE, done, 2 * len(views), "laying out voxels"))
    hashmap = grid.hashmap()
    blocks = hashmap.key_tensor().numpy()[hashmap.active_buf_indices().numpy()]
    for done, (view, image, intrinsic, extrinsic, far) in enumerate(prepared, start=len(views) + 1):
        seen = np.ascontiguousarray(blocks[_in_view(view, blocks, voxel, origin, far)])
        if len(seen):
            grid.integrate(core.Tensor(seen), image, intrinsic, extrinsic, 1.0, far * 1.01, config.truncation)
        on_event(Progressed(STAGE, done, len(views) + len(prepared), "fusing depth"))
    return _volume(grid, voxel, origin)


def _for_open3d(view: DepthView, bounds: Bounds, origin: npt.NDArray[np.float64], o3d: Any) -> tuple[Any, ...]:
    """Depth within the bounds as an image, the camera's matrices (its world begins at `origin`), and the depth beyond
    which nothing is. Open3D's kernels take pixel (0, 0) to reach from 0 to 1, as COLMAP does."""
    inside = bounds.holds(view.points())
    depth = np.ascontiguousarray(np.where(inside, view.depth, 0).astype(np.float32))
    camera = view.camera
    intrinsic = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    extrinsic = view.cam_from_world.matrix()
    extrinsic[:3, 3] += view.cam_from_world.rotation @ origin
    image = o3d.t.geometry.Image(o3d.core.Tensor(depth))
    return image, o3d.core.Tensor(intrinsic), o3d.core.Tensor(extrinsic), float(depth.max(initial=0.0))


def _in_view(
    view: DepthView, blocks: npt.NDArray[np.int32], voxel: float, origin: npt.NDArray[np.float64], far: float
) -> npt.NDArray[np.bool_]:
    """Blocks whose bounding sphere meets the view's pyramid, up to its furthest depth."""
    camera, side = view.camera, voxel * SIDE
    radius = side * np.sqrt(3) / 2
    centres = view.cam_from_world.apply(origin + side * (blocks + 0.5))
    x, y, z = centres.T
    inside = (z > -radius) & (z < far + 2 * radius)
    for along, focal, middle, size in (
        (x, camera.fx, camera.cx, camera.width_px),
        (y, camera.fy, camera.cy, camera.height_px),
    ):
        for limit, sign in ((-middle / focal, 1.0), ((size - middle) / focal, -1.0)):
            inside &= sign * (along - limit * z) / np.hypot(1.0, limit) > -radius
    found: npt.NDArray[np.bool_] = inside
    return found


def _volume(grid: Any, voxel: float, origin: npt.NDArray[np.float64]) -> Volume:
    hashmap = grid.hashmap()
    active = hashmap.active_buf_indices().numpy()
    blocks = hashmap.key_tensor().numpy()[active].astype(np.int64)
    # Open3D's voxels lie with z slowest.
    values = grid.attribute("tsdf").numpy()[active].reshape(-1, SIDE, SIDE, SIDE).transpose(0, 3, 2, 1)
    weights = grid.attribute("weight").numpy()[active].reshape(-1, SIDE, SIDE, SIDE).transpose(0, 3, 2, 1)
    return Volume(blocks, np.where(weights > MIN_WEIGHT, values, np.float32(np.nan)), voxel, origin)


def filled(volume: Volume, steps: int) -> Volume:
    """Unknown voxels beside known ones take the mean of these, `steps` times (volumetric diffusion, Davis et al. 2002).

    Not beside free space alone: the surface would grow nothing there, but the unknown behind a wall would be declared
    free.
    """
    values = volume.values.copy()
    for _ in range(steps):
        padded = _padded(volume.blocks, values)
        total, count = np.zeros_like(values), np.zeros(values.shape, np.int8)
        near_surface = np.zeros(values.shape, bool)
        for axis in range(3):
            for step in (0, 2):
                window = [slice(None), slice(1, -1), slice(1, -1), slice(1, -1)]
                window[axis + 1] = slice(step, step + SIDE)
                part = padded[tuple(window)]
                known = ~np.isnan(part)
                total += np.where(known, part, 0)
                count += known
                with np.errstate(invalid="ignore"):
                    near_surface |= np.abs(part) < FREE
        take = np.isnan(values) & (count >= 2) & near_surface
        values[take] = total[take] / count[take]
    return Volume(volume.blocks, values, volume.voxel, volume.origin)


def _padded(blocks: npt.NDArray[np.int64], values: Floats) -> Floats:
    """(B, 10, 10, 10): each block with one layer all around, edges and corners left unknown."""
    padded = np.full((len(blocks), SIDE + 2, SIDE + 2, SIDE + 2), np.nan, np.float32)
    padded[:, 1:-1, 1:-1, 1:-1] = values
    for axis in range(3):
        for step, into, part in ((1, SIDE + 1, 0), (-1, 0, SIDE - 1)):
            other, there = marching.find_blocks(blocks, blocks + step * np.eye(3, dtype=np.int64)[axis])
            target: list[Any] = [there, slice(1, -1), slice(1, -1), slice(1, -1)]
            source: list[Any] = [other[there], slice(None), slice(None), slice(None)]
            target[axis + 1], source[axis + 1] = into, part
            padded[tuple(target)] = values[tuple(source)]
    return padded


def surface(volume: Volume) -> Mesh:
    """Where the distance is zero."""
    vertices, faces = marching.extract(volume.blocks, volume.values)
    placed = volume.origin + volume.voxel * vertices.astype(np.float64)
    return Mesh(placed.astype(np.float32), faces)
