"""Photo files of any kind as upright 8-bit sRGB pictures."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .exif import (
    BROKEN_FILE_ERRORS,
    EXPOSURE_TIME,
    F_NUMBER,
    FOCAL_LENGTH,
    ISO,
    ExifReading,
    exif_from_tags,
    read_exif,
    read_raw_exif,
)
from .files import link_or_copy
from .footage import RAW_EXTENSIONS
from .types import Exif

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 256_000_000
"""Larger pictures are refused before decoding (a phone's 200 megapixels are read): 256 megapixels take 768 MB."""

JPEG_QUALITY = 95
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
"""The only parsers of Pillow that a file is shown to, whatever its extension."""

TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"} | {
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class UnreadableError(Exception):
    """A picture cannot be used; the message is the reason, in words that follow its name."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """One picture in memory.

    rgb: (H, W, 3) uint8 sRGB, upright; alpha: (H, W) uint8 or None when it has none or hides nothing.
    reading: its EXIF. keeps_file: the file itself may serve, byte for byte.
    full_size_px: (width, height) upright, of the file at full size, also when decoded smaller.
    """

    rgb: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8] | None
    reading: ExifReading
    keeps_file: bool
    full_size_px: tuple[int, int]
    lossless: bool


def decode_photo(path: Path, *, about_px: int | None = None, turn: bool = True) -> Decoded:
    """Decode a photo; with `about_px`, at a size of at least that longer side if a smaller one is cheaper to get.

    With `turn` false the EXIF orientation is ignored (poses of imported models belong to the stored pixels).
    Raises UnreadableError with the reason when it cannot be done.
    """
    try:
        if path.suffix.lower() in RAW_EXTENSIONS:
            return _decode_raw(path, half=about_px is not None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _opened(path) as image:
                return _decode_image(image, about_px, turn)
    except UnreadableError:
        raise
    except BROKEN_FILE_ERRORS as error:
        raise UnreadableError(f"cannot be read: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    text = (str(error).splitlines() or [""])[0][:120]
    return "it is no image of a known kind" if "cannot identify image file" in text else text or type(error).__name__


def check_size(width_px: int, height_px: int) -> None:
    if width_px * height_px > MAX_PIXELS:
        raise UnreadableError(
            f"has {width_px}x{height_px} pixels, more than the {MAX_PIXELS // 10**6} megapixels that are read"
        )
    if min(width_px, height_px) < 16:
        raise UnreadableError(f"has only {width_px}x{height_px} pixels")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    heif = path.suffix.lower() in (".heic", ".heif")
    if heif:
        import pillow_heif

        pillow_heif.register_heif_opener()
    data = path.read_bytes() if path.stat().st_size < 1 << 20 else None
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit is stated and checked below
    try:
        formats = (*FORMATS, "HEIF") if heif else FORMATS
        with Image.open(io.BytesIO(data) if data is not None else path, formats=formats) as image:
            check_size(*image.size)
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _decode_image(image: Image.Image, about_px: int | None, turn: bool) -> Decoded:
    from PIL import Image

    reading = read_exif(image)
    orientation = reading.orientation if turn else 1
    size = image.size if orientation < 5 else image.size[::-1]
    plain = image.mode == "RGB" and _is_srgb(image.info.get("icc_profile"))
    # Without turning, a stored orientation would still mislead the next program: such a file is written anew.
    keeps = plain and reading.orientation == 1 and image.format in ("JPEG", "MPO", "PNG")
    keeps = keeps and "transparency" not in image.info and not (image.format == "PNG" and _is_deep(image))
    lossless = image.format in ("PNG", "TIFF")
    if about_px is not None and image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (about_px, about_px))
    image.load()
    alpha = _alpha(image)
    rgb: Image.Image = to_srgb(image)
    if orientation in TURNS:
        method = Image.Transpose[TURNS[orientation]]
        rgb = rgb.transpose(method)
        alpha = alpha.transpose(method) if alpha is not None else None
    if about_px is not None:
        factor = max(rgb.size) // max(about_px, 1)
        if factor > 1:
            rgb = rgb.reduce(factor)
            alpha = alpha.reduce(factor) if alpha is not None else None
    hiding = np.asarray(alpha) if alpha is not None else None
    if hiding is not None and int(hiding.min()) == 255:
        hiding = None
    return Decoded(np.asarray(rgb), hiding, reading, keeps, size, lossless)


def _is_deep(image: Image.Image) -> bool:
    """Whether a PNG has 16 bits per channel, which Pillow reads as 8; such a file is written anew."""
    tiles: Any = getattr(image, "tile", None)
    return bool(tiles) and "16" in str(tiles[0][3])


def _alpha(image: Image.Image) -> Image.Image | None:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image.convert("RGBA").getchannel("A")
    return image.convert("RGBA").getchannel("A") if "transparency" in image.info else None


def _is_srgb(profile: bytes | None) -> bool:
    """Whether an embedded ICC profile is sRGB, or none is there (then sRGB is what everybody assumes)."""
    if not profile:
        return True
    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True
    return "srgb" in name.lower() or name.strip() == "c2"


def to_srgb(image: Image.Image) -> Image.Image:
    """8-bit RGB in sRGB of any mode: 16 bits are cut to 8, an embedded ICC profile is applied, alpha dropped."""
    from PIL import Image, ImageCms

    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        deep = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise UnreadableError("holds floating-point values; save it as 8 or 16 bit")
    elif image.mode in ("RGBA", "LA", "PA", "P", "RGBa", "La", "1"):
        if image.mode in ("RGBa", "La"):
            image = image.convert(image.mode[:-1] + "A")
        image = image.convert("L" if image.mode in ("LA", "1") else "RGB")
    if profile and image.mode in ("RGB", "L", "CMYK") and not _is_srgb(profile):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken profile is as good as none
    return image.convert("RGB")


def _decode_raw(path: Path, *, half: bool) -> Decoded:
    """Develop a camera RAW file: camera white balance, no automatic brightening, so that exposures stay comparable."""
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            sizes = raw.sizes
            check_size(sizes.raw_width, sizes.raw_height)
            size = (sizes.iheight, sizes.iwidth) if sizes.flip in (5, 6) else (sizes.iwidth, sizes.iheight)
            rgb = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=8, half_size=half)
            other = getattr(raw, "other", None)  # not in older rawpy
            names = {
                EXPOSURE_TIME: "shutter_speed",
                F_NUMBER: "aperture",
                ISO: "iso_speed",
                FOCAL_LENGTH: "focal_length",
            }
            shot = {tag: getattr(other, name, None) for tag, name in names.items()}
    except rawpy.LibRawError as error:
        raise UnreadableError(f"cannot be developed: {_first_line(error)}") from error
    reading = read_raw_exif(path)
    if reading.exif == Exif():
        reading = exif_from_tags({}, shot, {})
    return Decoded(np.ascontiguousarray(rgb), None, reading, False, size, False)


def shrunk(rgb: npt.NDArray[np.uint8], size_px: int) -> npt.NDArray[np.uint8]:
    """A picture (H, W, 3) made so small that its longer side is at most `size_px`; itself where it is small already."""
    from PIL import Image

    factor = size_px / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def write_photo(path: Path, decoded: Decoded | None, target: Path) -> None:
    """Put a picture at `target`: the file itself where it serves (`decoded` None), else PNG or JPEG by its name."""
    from PIL import Image

    if decoded is None:
        link_or_copy(path, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(decoded.rgb)
    if target.suffix.lower() == ".png":
        image.save(target, format="PNG", compress_level=3)
    else:
        image.save(target, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
