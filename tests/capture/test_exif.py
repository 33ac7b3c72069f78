"""EXIF: focal lengths in pixels, places and times, and values that cannot be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from PIL import Image

from diorama.capture.exif import ExifReading, exif_from_tags, focal_prior_px, read_exif
from diorama.capture.types import Exif


def focal(width: int, height: int, main: dict[int, Any] | None = None, **photo: Any) -> float | None:
    tags = {"mm": 37386, "film": 41989, "plane": 41486, "unit": 41488, "x": 40962, "y": 40963}
    return focal_prior_px(exif_from_tags(main or {}, {tags[k]: v for k, v in photo.items()}, {}), width, height)


def test_35_mm_equivalent_on_three_by_two_compares_widths() -> None:
    assert focal(3000, 2000, film=36) == pytest.approx(3000, rel=1e-4)  # a 36 mm lens on 36 mm of film
    assert focal(2000, 3000, film=36) == pytest.approx(3000, rel=1e-4)  # upright pictures alike


def test_35_mm_equivalent_on_four_by_three_compares_diagonals() -> None:
    assert focal(4000, 3000, film=26) == pytest.approx(26 / math.hypot(36, 24) * 5000, rel=1e-4)


def test_wider_pictures_are_crops_in_height() -> None:
    assert focal(1600, 900, film=20) == pytest.approx(20 / 36 * 1600)


def test_focal_plane_resolution_belongs_to_the_size_in_exif_not_to_the_file() -> None:
    """A 36 mm sensor of 6000 pixels, the picture made smaller to 1500: 50 mm are 50 / 36 of its width."""
    per_cm = 6000 / 3.6
    assert focal(1500, 1000, mm=50, plane=per_cm, unit=3, x=6000, y=4000) == pytest.approx(50 / 36 * 1500)
    assert focal(1500, 1000, mm=50, plane=per_cm * 2.54, unit=2, x=6000, y=4000) == pytest.approx(50 / 36 * 1500)


def test_a_known_sensor_helps_where_nothing_else_does() -> None:
    assert focal(3872, 2592, {272: "NIKON D60"}, mm=29) == pytest.approx(29 / 23.6 * 3872)
    assert focal(3872, 2592, {272: "UNHEARD OF"}, mm=29) is None


@pytest.mark.parametrize(
    "photo", [{}, {"film": 0}, {"film": float("nan")}, {"film": "x"}, {"film": 1}, {"mm": 5, "plane": 1}]
)
def test_no_focal_from_nothing(photo: dict[str, Any]) -> None:
    assert focal(4000, 3000, **photo) is None


def test_gps_signs_and_altitude_reference() -> None:
    gps = {1: "S", 2: (33.0, 30.0, 36.0), 3: "W", 4: (70.0, 0.0, 0.0), 5: b"\x01", 6: 12.5}
    place = exif_from_tags({}, {}, gps).exif.gps
    assert place is not None
    assert (place.latitude_deg, place.longitude_deg, place.altitude_m) == (pytest.approx(-33.51), -70.0, -12.5)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {2: (95.0, 0.0, 0.0), 4: (1.0, 0.0, 0.0)},
        {2: (float("nan"), 0.0, 0.0), 4: (1.0, 0.0, 0.0)},
        {2: 5, 4: (1.0,)},
        {2: "north", 4: "east"},
    ],
)
def test_places_that_cannot_be_are_none(gps: dict[int, Any]) -> None:
    assert exif_from_tags({}, {}, gps).exif.gps is None


def test_texts_are_cut_at_nul_and_times_become_iso() -> None:
    reading = exif_from_tags({271: "DJI\0\0junk", 272: "  \0", 306: "2019:07:11 15:07:48"}, {}, {})
    assert (reading.exif.make, reading.exif.model, reading.exif.taken_at) == ("DJI", None, "2019-07-11T15:07:48")
    assert exif_from_tags({306: "    :  :     :  :  "}, {}, {}).exif.taken_at is None


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (6, 6), (0, 1), (9, 1), (2.5, 1), ("6", 1), (None, 1)])
def test_orientation(value: Any, expected: int) -> None:
    assert exif_from_tags({274: value}, {}, {}).orientation == expected


def test_damaged_exif_reads_as_none() -> None:
    image = Image.new("RGB", (16, 16))
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert read_exif(image) == ExifReading()
    assert Exif() == ExifReading().exif
