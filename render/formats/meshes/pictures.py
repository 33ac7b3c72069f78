"""Pictures that belong to meshes, encoded and decoded, and colours as glTF keeps them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError

from ...mesh import Bytes

PictureFormat = Literal["jpeg", "png"]
EXTENSIONS: dict[PictureFormat, str] = {"jpeg": ".jpg", "png": ".png"}
MIME_TYPES: dict[PictureFormat, str] = {"jpeg": "image/jpeg", "png": "image/png"}
JPEG_QUALITY = 92
MAX_PIXELS = 16384 * 16384
"""Larger textures are refused on reading; no engine takes them."""


def encoded(picture: Bytes, form: PictureFormat) -> bytes:
    """The file of a picture (h, w, 3)."""
    import PIL.Image

    target = io.BytesIO()
    image = PIL.Image.fromarray(picture)
    if form == "jpeg":  # full chroma: a texture's charts are islands of colour whose edges must not bleed
        image.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        image.save(target, "PNG", compress_level=6)
    return target.getvalue()


def decoded(data: bytes, where: Path) -> Bytes:
    """A PNG or JPEG as (h, w, 3) uint8, transparency left out.

    Raises InputError that names `where`, the file it came from, when it is damaged, of another kind or absurdly large.
    """
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(
                        f"{where} holds a texture of {image.width}x{image.height} pixels; make it smaller."
                    )
                return np.ascontiguousarray(np.asarray(image.convert("RGB")))
    except InputError:
        raise
    except Exception as error:  # Pillow raises a wide variety on damaged files
        raise InputError(
            f"{where} holds a texture that is no readable PNG, JPEG or WebP ({type(error).__name__}); export it again."
        ) from None


def shrunk(picture: Bytes, max_px: int) -> Bytes:
    """The picture at most `max_px` wide and high, averaged over areas; itself where it is not larger."""
    import PIL.Image

    height, width = picture.shape[:2]
    if max(height, width) <= max_px:
        return picture
    factor = max_px / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.BOX))


def linear_from_srgb(colours: Bytes) -> npt.NDArray[np.uint16]:
    """sRGB bytes to linear light in 16 bits (IEC 61966-2-1), as glTF wants vertex colours."""
    c = np.arange(256) / 255.0
    table = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    steps: npt.NDArray[np.uint16] = np.rint(65535 * table).astype(np.uint16)
    return steps[colours]


def srgb_from_linear(linear: npt.NDArray[np.floating]) -> Bytes:
    """Linear light 0 to 1 to sRGB bytes."""
    c = np.clip(np.nan_to_num(linear.astype(np.float64)), 0, 1)
    coded: Bytes = np.rint(255 * np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)).astype(np.uint8)
    return coded
