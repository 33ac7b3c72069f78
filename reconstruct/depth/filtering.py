"""Depth that several photos agree on, whoever estimated it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene

from .consistency import OtherMap, agreement
from .matching import warp_between
from .neighbours import Overlap
from .pictures import straight_camera
from .resample import depth_in_view

Floats = npt.NDArray[np.float32]

_ONE_SURFACE = 0.03


def filter_consistent(
    scene: PosedScene,
    maps: Mapping[str, DepthMap],
    names: Sequence[str] | None = None,
    *,
    neighbours: int = 8,
    min_views: int = 2,
    min_confidence: float = 0.0,
) -> Iterator[tuple[str, DepthMap]]:
    """The maps without what other photos' maps do not confirm; where they do, depth is the mean of all who agree.

    A pixel's point is looked up in the maps of the neighbouring photos; those that bring it back to within a pixel and
    1 % of its depth confirm it. Memory: a few maps at a time (see `load_depth_maps`), and 100 bytes per pixel.

    Args:
        maps: by frame name, of registered frames; panoramas are passed over.
        names: frames wanted, in that order; all that have a map when None.
        neighbours: photos asked per photo. min_views: how many of them must confirm a depth.
        min_confidence: depths of less are taken for unknown, in all maps.

    Raises:
        ValueError: `min_views` is below 1 or above `neighbours`.
    """
    if not 1 <= min_views <= neighbours:
        raise ValueError(f"min_views is {min_views}, expected 1 to {neighbours}, the neighbours that are asked")
    sizes = {f.name: scene.camera(f) for f in scene.registered if f.name in maps}
    sizes = {name: camera for name, camera in sizes.items() if camera.model != "EQUIRECTANGULAR"}
    overlap = Overlap(scene, {name: straight_camera(camera, 1 << 30) for name, camera in sizes.items()})

    def straight(name: str) -> tuple[Camera, Pose, DepthMap]:
        map_ = maps[name].above(min_confidence)
        camera = straight_camera(sizes[name], max(map_.depth.shape))
        return camera, scene.cam_from_world[name], depth_in_view(map_, sizes[name], camera)

    # Maps are in the frame of the poses as they were solved: world units are so many times larger.
    unit = np.float32(scene.world_from_input.scale)
    for name in sizes if names is None else [n for n in names if n in sizes]:
        camera, pose, own = straight(name)
        others = []
        for near in overlap.neighbours(name, neighbours):
            its_camera, its_pose, its = straight(near)
            here, there = (camera, pose), (its_camera, its_pose)
            others.append(OtherMap(inverse(its.depth * unit), warp_between(*here, *there), warp_between(*there, *here)))
        found = agreement(planes_of(own.depth * unit), others)
        kept = (found.confirmed >= min_views) & (own.depth > 0)
        depth = np.where(kept, inverse(found.rho) / unit, 0).astype(np.float32)
        confidence = None if own.confidence is None else own.confidence * kept
        normals = None if own.normals is None else own.normals * kept[..., None]
        height, width = maps[name].depth.shape
        yield name, depth_in_view(DepthMap(depth, confidence, normals), camera, sizes[name].scaled(width, height))


def inverse(depth: Floats) -> Floats:
    """One over it; 0 stays."""
    return np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0).astype(np.float32)


def planes_of(depth: Floats) -> Floats:
    """(3, H, W): inverse depth and its change per pixel, from the neighbours of the same surface on both sides."""
    rho = inverse(depth)
    return np.stack([rho, _slope(rho, 1), _slope(rho, 0)])


def _slope(rho: Floats, axis: int) -> Floats:
    steps = np.diff(rho, axis=axis)
    low = np.minimum(np.take(rho, range(1, rho.shape[axis]), axis), np.take(rho, range(rho.shape[axis] - 1), axis))
    same = (low > 0) & (np.abs(steps) < _ONE_SURFACE * low)
    edge = [(1, 0) if a == axis else (0, 0) for a in range(2)]
    other_edge = [(0, 1) if a == axis else (0, 0) for a in range(2)]
    total = np.pad(steps * same, edge) + np.pad(steps * same, other_edge)
    count = np.pad(same.astype(np.float32), edge) + np.pad(same.astype(np.float32), other_edge)
    slope: Floats = (total / np.maximum(count, 1)).astype(np.float32)
    return slope
