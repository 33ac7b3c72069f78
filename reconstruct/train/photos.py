"""The photos of a training at the sizes that its steps ask for."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from diorama.capture.undistort import resize_area

Bytes = npt.NDArray[np.uint8]

KEPT = 250
"""A pixel that is hidden in part holds some of what is hidden: only those that are whole, up to rounding, count."""


class PhotoSource(Protocol):
    """A picture, uint8 (H, W, 3) sRGB, and its mask, uint8 (H, W), 0 hides, or None."""

    @property
    def rgb(self) -> Bytes: ...
    @property
    def mask(self) -> Bytes | None: ...


def photo_at(photo: PhotoSource, width: int, height: int) -> tuple[Bytes, Bytes | None]:
    """The photo and its mask at a smaller or equal size; each pixel is the mean of what it covers."""
    rgb, mask = photo.rgb, photo.mask
    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb), mask
    if mask is not None:
        whole = np.where(mask > 0, 255, 0).astype(np.uint8)
        mask = np.where(resize_area(whole, width, height) >= KEPT, 255, 0).astype(np.uint8)
    return resize_area(rgb, width, height), mask
