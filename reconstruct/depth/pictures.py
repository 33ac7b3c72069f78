"""The photos as stereo sees them: grey, straightened, in sizes that halve, decoded when needed and forgotten again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.capture.undistort import resize_area

from ..views import load_views, view_camera

Bytes = npt.NDArray[np.uint8]

COARSEST_PX = 100
"""Sizes are halved while the longer side stays above this."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BLANK = 128


@dataclass(frozen=True, eq=False)
class Level:
    """One size of a photo.

    gray: uint8 (h, w), flat where nothing may be compared. keep: uint8 (h, w), 0 there, or None.
    camera: a pinhole of that size.
    """

    gray: Bytes
    keep: Bytes | None
    camera: Camera


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo in sizes that halve, the largest first."""

    name: str
    levels: tuple[Level, ...]
    cam_from_world: Pose


def straight_camera(camera: Camera, max_size_px: int) -> Camera:
    """The pinhole that stereo works with for photos of `camera`."""
    return view_camera(camera, max_size_px, "straight")


class Pictures:
    """Photos of a scene by name. The last ones used stay in memory, up to `memory_bytes`, at least one.

    Not for several threads at once.
    """

    def __init__(self, scene: PosedScene, max_size_px: int, memory_bytes: int = 256 << 20) -> None:
        self._scene, self._max_size_px, self._memory_bytes = scene, max_size_px, memory_bytes
        self._kept: OrderedDict[str, Picture] = OrderedDict()

    def __getitem__(self, name: str) -> Picture:
        """Raises InputError for a picture that cannot be read."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        picture = self._load(name)
        self._kept[name] = picture
        while len(self._kept) > 1 and sum(map(_bytes_of, self._kept.values())) > self._memory_bytes:
            self._kept.popitem(last=False)
        return picture

    def _load(self, name: str) -> Picture:
        (view,) = load_views(self._scene, [name], self._max_size_px, "straight")
        gray = np.rint(view.rgb.astype(np.float32) @ _LUMA).astype(np.uint8)
        levels = [_blanked(gray, view.mask, view.camera)]
        while max(gray.shape) / 2 > COARSEST_PX:
            camera = levels[-1].camera
            half = camera.scaled(max(1, round(camera.width_px / 2)), max(1, round(camera.height_px / 2)))
            size = (half.width_px, half.height_px)
            gray = resize_area(gray, *size)
            keep = levels[-1].keep
            # What is hidden in part is hidden.
            keep = None if keep is None else np.where(resize_area(keep, *size) >= 250, 255, 0).astype(np.uint8)
            levels.append(_blanked(gray, keep, half))
        return Picture(name, tuple(levels), view.cam_from_world)


def _blanked(gray: Bytes, keep: Bytes | None, camera: Camera) -> Level:
    if keep is None:
        return Level(gray, None, camera)
    return Level(np.where(keep > 0, gray, np.uint8(_BLANK)), keep, camera)


def _bytes_of(picture: Picture) -> int:
    return sum(level.gray.nbytes + (0 if level.keep is None else level.keep.nbytes) for level in picture.levels)
