"""What cameras write into their files: EXIF, and the focal length in pixels that follows from it.

Every value comes from a file of unknown origin: texts are cut, numbers must be finite and plausible, and anything
that is not becomes None.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .types import Exif, Gps

if TYPE_CHECKING:
    from PIL import Image

GUESSED_FOCAL = 1.2
"""Focal length over the longer side where nothing is known: a 35 mm lens on full frame is 0.97, a phone about 0.75 to
1.1 in video; COLMAP assumes 1.2 and lets bundle adjustment settle it."""

FILM_WIDTH_MM = 36.0
FILM_DIAGONAL_MM = 43.2666

SENSOR_WIDTHS_MM = {
    "canon eos 5d": 36.0,
    "canon eos 6d": 35.8,
    "canon eos r5": 36.0,
    "canon eos rebel": 22.3,
    "dmc-gh": 17.3,
    "dmc-gx": 17.3,
    "fc300": 6.17,
    "fc330": 6.17,
    "fc220": 6.17,
    "fc6310": 13.2,
    "fc7303": 6.17,
    "l1d-20c": 13.2,
    "l2d-20c": 17.3,
    "hero": 6.17,
    "ilce-6": 23.5,
    "ilce-7": 35.8,
    "nikon d3": 23.2,
    "nikon d5": 23.5,
    "nikon d60": 23.6,
    "nikon d750": 35.9,
    "nikon d850": 35.9,
    "x-t": 23.5,
}
"""Sensor widths of common cameras by the beginning of the EXIF model, lower case; the last resort."""

MAKE, MODEL, ORIENTATION, DATE_TIME = 271, 272, 274, 306
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
EXPOSURE_TIME, F_NUMBER, ISO, DATE_TIME_ORIGINAL = 33434, 33437, 34855, 36867
FOCAL_LENGTH, PIXEL_X, PIXEL_Y = 37386, 40962, 40963
FOCAL_PLANE_X, FOCAL_PLANE_UNIT, FOCAL_35MM, LENS_MODEL = 41486, 41488, 41989, 42036

_UNIT_MM = {1: 25.4, 2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
BROKEN_FILE_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    SyntaxError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    RecursionError,
    struct.error,
)
"""What Pillow's parsers raise on damaged files (SyntaxError among them, by its own convention)."""


@dataclass(frozen=True)
class ExifReading:
    """EXIF of one file.

    orientation: 1 to 8, how the stored picture must be turned to stand upright.
    sensor_width_mm: the longer side of the sensor by the focal plane resolution, or None.
    """

    exif: Exif = field(default_factory=Exif)
    orientation: int = 1
    sensor_width_mm: float | None = None


def read_exif(image: Image.Image) -> ExifReading:
    """EXIF of an opened picture; an empty reading where it has none or what it has is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about every odd tag of every odd camera
        try:
            tags = image.getexif()
            return exif_from_tags(dict(tags), dict(tags.get_ifd(EXIF_IFD)), dict(tags.get_ifd(GPS_IFD)))
        except BROKEN_FILE_ERRORS:
            return ExifReading()


def read_raw_exif(path: Path) -> ExifReading:
    """EXIF of a camera RAW file that is a TIFF, as most are; orientation 1, since developing turns the picture."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tags = Image.Exif()
            with path.open("rb") as file:
                tags.load_from_fp(file)
                main, photo, gps = dict(tags), dict(tags.get_ifd(EXIF_IFD)), dict(tags.get_ifd(GPS_IFD))
            return replace(exif_from_tags(main, photo, gps), orientation=1)
        except BROKEN_FILE_ERRORS:
            return ExifReading()


def exif_from_tags(main: Mapping[int, Any], photo: Mapping[int, Any], gps: Mapping[int, Any]) -> ExifReading:
    """From the three tables of EXIF: main, Exif and GPS, as numbers of tags to values."""
    orientation = _number(main.get(ORIENTATION)) or 1
    exif = Exif(
        make=_text(main.get(MAKE)),
        model=_text(main.get(MODEL)),
        lens=_text(photo.get(LENS_MODEL)),
        focal_mm=_positive(photo.get(FOCAL_LENGTH), 3000),
        focal_35mm=_positive(photo.get(FOCAL_35MM), 3000),
        exposure_s=_positive(photo.get(EXPOSURE_TIME), 1e5),
        f_number=_positive(photo.get(F_NUMBER), 1000),
        iso=_positive(photo.get(ISO), 1e8),
        taken_at=_time(photo.get(DATE_TIME_ORIGINAL) or main.get(DATE_TIME)),
        gps=_gps(gps),
    )
    return ExifReading(exif, int(orientation) if orientation in range(1, 9) else 1, _sensor_width(photo))


def _sensor_width(photo: Mapping[int, Any]) -> float | None:
    """Longer side of the sensor in mm: EXIF's own pixel count over the focal plane resolution.

    The pixel count is the one in EXIF on purpose: it belongs to the resolution beside it, also where the picture was
    made smaller afterwards.
    """
    resolution = _positive(photo.get(FOCAL_PLANE_X), 1e9)
    unit = _UNIT_MM.get(int(_number(photo.get(FOCAL_PLANE_UNIT)) or 2))
    sides = [_positive(photo.get(tag), 1e6) for tag in (PIXEL_X, PIXEL_Y)]
    if resolution is None or unit is None or sides[0] is None:
        return None
    width = max(side for side in sides if side) * unit / resolution
    return width if 2.0 < width < 70.0 else None


def focal_prior_px(reading: ExifReading, width_px: int, height_px: int) -> float | None:
    """Focal length in pixels of a picture of this size, or None where EXIF says nothing plausible.

    The 35 mm equivalent compares diagonals (CIPA DCG-001), which for 3:2 is the same as comparing widths. Wider
    pictures are crops of a taller sensor, whose width is kept: there the width is compared.
    """
    longer, shorter = max(width_px, height_px), min(width_px, height_px)
    exif = reading.exif
    focal = None
    if exif.focal_35mm:
        by_diagonal = longer / shorter <= 1.5
        scale = math.hypot(longer, shorter) / FILM_DIAGONAL_MM if by_diagonal else longer / FILM_WIDTH_MM
        focal = exif.focal_35mm * scale
    elif exif.focal_mm:
        sensor = reading.sensor_width_mm or _known_sensor(exif.model)
        focal = exif.focal_mm / sensor * longer if sensor else None
    return focal if focal is not None and 0.2 < focal / longer < 50 else None


def _known_sensor(model: str | None) -> float | None:
    name = (model or "").lower()
    found = [key for key in SENSOR_WIDTHS_MM if name.startswith(key)]
    return SENSOR_WIDTHS_MM[max(found, key=len)] if found else None


def _number(value: Any) -> float | None:
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    if value is None or isinstance(value, str | bytes | bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any, below: float) -> float | None:
    number = _number(value)
    return number if number is not None and 0 < number < below else None


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    clean = "".join(c for c in value.split("\0")[0] if c.isprintable()).strip()[:80]
    return clean.encode("utf-8", "replace").decode() or None


def _time(value: Any) -> str | None:
    """EXIF's `2019:07:11 15:07:48` as ISO 8601 `2019-07-11T15:07:48`."""
    text = _text(value)
    if text is None or len(text) < 19 or not all(text[i].isdigit() for i in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12)):
        return None
    return f"{text[:4]}-{text[5:7]}-{text[8:10]}T{text[11:19]}"


def _gps(gps: Mapping[int, Any]) -> Gps | None:
    latitude, longitude = _degrees(gps.get(2)), _degrees(gps.get(4))
    if latitude is None or longitude is None:
        return None
    latitude *= -1 if _text(gps.get(1)) in ("S", "s") else 1
    longitude *= -1 if _text(gps.get(3)) in ("W", "w") else 1
    # Exactly zero, zero is what cameras write without a fix.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180) or (latitude == 0 and longitude == 0):
        return None
    altitude = _number(gps.get(6))
    if altitude is not None:
        below_sea = gps.get(5) in (1, b"\x01", "\x01", "1")
        altitude = -altitude if below_sea else altitude
        altitude = altitude if -12_000 < altitude < 100_000 else None
    return Gps(latitude, longitude, altitude)


def _degrees(value: Any) -> float | None:
    """Degrees, minutes and seconds as degrees; files exist with one or two of the three."""
    if not isinstance(value, tuple | list) or not 1 <= len(value) <= 3:
        return None
    degrees = 0.0
    for i, part in enumerate(value):
        number = _number(part)
        if number is None:
            return None
        degrees += number / 60.0**i
    return degrees
