"""What is known of a photo besides its colours: depth maps, and masks that say where there is nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap, read_depth
from diorama.capture.errors import InputError
from diorama.capture.types import PosedScene
from diorama.capture.undistort import resize_area, source_pixels

from .config import TrainConfig
from .photos import KEPT

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

SAME_SHAPE = 0.02
"""How far, relatively, a map's aspect ratio may be from its photo's: both cover the same view."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """At a photo's size: depth (H, W) as the kernels draw it, in training units, 0 for unknown, its weights, and 255
    where nothing is seen."""

    depth: Floats | None
    confidence: Floats | None
    empty: Bytes | None


@dataclass(frozen=True, eq=False)
class KnownGeometry:
    """One photo's, brought to the size that a step asks for.

    depth: the map as it was stored, in training units, or None. taken, shown: the camera that took the photo and the
    one whose picture is trained on. empty: uint8 (H, W) at the full training size or None.
    """

    depth: DepthMap | None
    taken: Camera
    shown: Camera
    empty: Bytes | None = None

    def digest(self) -> bytes:
        """Differs for different knowledge."""
        arrays = [self.empty] + ([] if self.depth is None else [self.depth.depth, self.depth.confidence])
        parts = [b"none" if a is None else a.tobytes() for a in arrays]
        return hashlib.blake2b(b"|".join(parts)).digest()

    def at(self, width: int, height: int) -> Geometry:
        empty = self.empty
        if empty is not None and empty.shape != (height, width):
            empty = np.where(resize_area(empty, width, height) >= KEPT, 255, 0).astype(np.uint8)
        if self.depth is None:
            return Geometry(None, None, empty)
        shown = self.shown.scaled(width, height)
        place = _nearest(self.depth.depth.shape, self.taken, shown)
        confidence = None if self.depth.confidence is None else _taken_at(self.depth.confidence, place)
        return Geometry(_taken_at(self.depth.depth, place) * _per_z(shown), confidence, empty)


def known_geometry(
    scene: PosedScene,
    names: Sequence[str],
    shown: Sequence[Camera],
    empty: Sequence[Bytes | None],
    config: TrainConfig,
    unit: float,
    folder: Path | None = None,
) -> list[KnownGeometry | None]:
    """For each photo what the config has a weight for; None where nothing is known.

    Args:
        names, shown, empty: the photos to train on, the cameras of their pictures, and where masks say "nothing".
        unit: length of a world unit in the training frame.
        folder: of the depth maps; None for those that came with the capture.

    Raises:
        InputError: a map that cannot be read or is not of its photo's shape.
    """
    frames = {frame.name: frame for frame in scene.registered}
    found: list[KnownGeometry | None] = []
    for name, camera, nothing in zip(names, shown, empty, strict=True):
        path = scene.capture.depth_path(frames[name]) if folder is None else folder / f"{name}.npz"
        depth = None
        taken = scene.camera(frames[name])
        if config.depth.weight > 0 and path.is_file():
            depth = _in_units(read_depth(path), unit * scene.world_from_input.scale)
            _check_shape(depth, taken, path)
        cut_out = nothing if config.mask_weight > 0 else None
        is_known = depth is not None or cut_out is not None
        found.append(KnownGeometry(depth, taken, camera, cut_out) if is_known else None)
    return found


def depth_weight_at(config: TrainConfig, step: int) -> float:
    """Falls exponentially from the first step to the last, as depth places what colours then refine."""
    depth = config.depth
    if depth.weight <= 0:
        return 0.0
    along = (step - 1) / max(config.steps - 1, 1)
    return float(depth.weight * (depth.weight_final / depth.weight) ** along)


def _in_units(map_: DepthMap, scale: float) -> DepthMap:
    return DepthMap(map_.depth * np.float32(scale), map_.confidence)


def _check_shape(map_: DepthMap, taken: Camera, path: Path) -> None:
    height, width = map_.depth.shape
    if abs(width / height / (taken.width_px / taken.height_px) - 1) > SAME_SHAPE:
        raise InputError(
            f"{path} is {width}x{height}, but its photo {taken.width_px}x{taken.height_px}: a depth map covers what "
            "its photo covers; replace it or take it away."
        )


def _nearest(shape: tuple[int, ...], taken: Camera, shown: Camera) -> tuple[npt.NDArray[np.int64], ...]:
    """Row, column and -1 for outside: the map's pixel that each pixel (H, W) of `shown` looks at.

    Nearest, because the mean of two depths at an edge is a place where nothing is.
    """
    height, width = shape
    x, y = np.meshgrid(np.arange(shown.width_px) + 0.5, np.arange(shown.height_px) + 0.5)
    pixels = np.stack([x, y], axis=-1)
    if taken.is_pinhole or not shown.is_pinhole:  # nothing was straightened
        pixels *= [width / shown.width_px, height / shown.height_px]
    else:
        pixels = source_pixels(taken, shown, pixels) * [width / taken.width_px, height / taken.height_px]
    column, row = np.floor(pixels).astype(np.int64).transpose(2, 0, 1)
    outside = (column < 0) | (row < 0) | (column >= width) | (row >= height)
    return np.where(outside, 0, row), np.where(outside, 0, column), outside.astype(np.int64)


def _per_z(shown: Camera) -> Floats:
    """What the kernels call depth, per z: 1, but the length of the ray (H, W) through a fisheye (see kernels.View)."""
    if "FISHEYE" not in shown.model:
        return np.ones((1, 1), np.float32)
    x, y = np.meshgrid(np.arange(shown.width_px) + 0.5, np.arange(shown.height_px) + 0.5)
    ideal = shown.unproject(np.stack([x, y], -1))
    per_z: Floats = np.sqrt(1.0 + (ideal**2).sum(axis=-1)).astype(np.float32)
    return per_z


def _taken_at(values: Floats, place: tuple[npt.NDArray[np.int64], ...]) -> Floats:
    row, column, outside = place
    return np.ascontiguousarray(np.where(outside > 0, np.float32(0.0), values[row, column]))
