"""Masks: which pixels of a picture count. 0 hides a pixel, anything else keeps it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from .exif import BROKEN_FILE_ERRORS
from .photos import MAX_PIXELS

Mask = npt.NDArray[np.uint8]

ALPHA_KEEPS_FROM = 128
"""Alpha below half hides: the colour of a pixel that is mostly transparent is not the thing's own."""


def find_mask(name: str, folders: Sequence[Path]) -> Path | None:
    """The mask of the picture `name` (a relative POSIX path): `name.png` as COLMAP has it, or its stem with `.png`."""
    path = PurePosixPath(name)
    for folder in folders:
        for candidate in (f"{name}.png", f"{path.with_suffix('')}.png", f"{path.name}.png", f"{path.stem}.png"):
            if (folder / candidate).is_file():
                return folder / candidate
    return None


def read_mask(path: Path, full_size_px: tuple[int, int], orientation: int) -> Mask | None:
    """The mask as 0 or 255 at the upright picture's size (width, height), or None when it cannot belong to it.

    A mask drawn on the stored pixels is turned with the picture's EXIF orientation; one that already has the upright
    picture's shape, and not the stored one's, is not. Masks of another size but the same shape are resized.
    """
    from PIL import Image

    from .photos import TURNS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                with Image.open(path, formats=("PNG", "JPEG", "TIFF", "WEBP")) as image:
                    if image.width * image.height > MAX_PIXELS:
                        return None
                    values = np.asarray(image.convert("RGB") if image.mode == "P" else image)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except BROKEN_FILE_ERRORS:
        return None
    if values.ndim == 3:
        values = values[..., :3].max(axis=2) if values.shape[2] >= 3 else values[..., 0]
    mask = Image.fromarray(np.where(values > 0, np.uint8(255), np.uint8(0)).astype(np.uint8))
    width, height = full_size_px
    stored = (height, width) if orientation >= 5 else (width, height)
    if orientation in TURNS and _same_shape(mask.size, stored):
        mask = mask.transpose(Image.Transpose[TURNS[orientation]])
    if not _same_shape(mask.size, full_size_px):
        return None
    if mask.size != full_size_px:
        mask = mask.resize(full_size_px, Image.Resampling.NEAREST)
    return np.asarray(mask)


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] * b[1] - a[1] * b[0]) <= 0.01 * a[0] * b[1]


def combine(alpha: Mask | None, mask: Mask | None) -> Mask | None:
    """What both keep, as 0 or 255; None when nothing is hidden."""
    kept = None if alpha is None else np.where(alpha >= ALPHA_KEEPS_FROM, np.uint8(255), np.uint8(0)).astype(np.uint8)
    if mask is not None:
        kept = mask if kept is None else np.minimum(kept, mask)
    return None if kept is None or int(kept.min()) > 0 else kept


def write_mask(mask: Mask, target: Path) -> None:
    from PIL import Image

    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(target, format="PNG", compress_level=3)
