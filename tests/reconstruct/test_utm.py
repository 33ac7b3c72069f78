"""UTM against published coordinates and against the geometry it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.types import Gps
from diorama.reconstruct.poses.utm import Zone, utm_from_enu, zone_of


@pytest.mark.parametrize(
    ("gps", "zone", "easting", "northing", "atol"),
    [
        (Gps(0.0, 3.0), Zone(31, True), 500_000.0, 0.0, 1e-6),
        # length of the meridian from the equator to 45 degrees is 4984944.378 m on WGS 84; times 0.9996
        (Gps(45.0, 15.0), Zone(33, True), 500_000.0, 4_982_950.400, 1e-2),
        # the CN Tower as Wikipedia gives it in both systems, to the metre
        (Gps(43 + 38 / 60 + 33.24 / 3600, -(79 + 23 / 60 + 13.7 / 3600)), Zone(17, True), 630_084, 4_833_438, 1.0),
        (Gps(-45.0, 15.0), Zone(33, False), 500_000.0, 10_000_000 - 4_982_950.400, 1e-2),
    ],
)
def test_published_places(gps: Gps, zone: Zone, easting: float, northing: float, atol: float) -> None:
    assert zone_of(gps) == zone
    east, north, height = utm_from_enu(np.zeros((1, 3)), gps)[0]
    assert east == pytest.approx(easting, abs=atol) and north == pytest.approx(northing, abs=atol)
    assert height == pytest.approx(0, abs=1e-6)


def test_codes() -> None:
    assert Zone(33, True).epsg == 32633 and Zone(5, False).epsg == 32705
    assert zone_of(Gps(10, 180.0)).number == 1 and zone_of(Gps(10, -180.0)).number == 1


def test_it_is_conformal() -> None:
    """Small squares stay squares: east and north steps keep equal lengths and right angles, turned by convergence."""
    origin = Gps(55.7, 13.2, 20.0)
    at = utm_from_enu([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], origin)
    east, north, up = at[1:] - at[0]
    assert np.linalg.norm(east[:2]) == pytest.approx(np.linalg.norm(north[:2]), rel=1e-6)
    assert east[:2] @ north[:2] == pytest.approx(0, abs=1e-6)
    away = np.radians(13.2 - 15)
    convergence = np.arctan(np.tan(away) * np.sin(np.radians(55.7)))  # exact on the sphere, to 1e-4 here
    assert np.arctan2(north[0], north[1]) == pytest.approx(-convergence, abs=1e-4)
    # on the sphere: 0.9996 * cosh(x / R); 20 m above it, lengths seen from above shrink by 20 / R
    assert np.linalg.norm(east[:2]) == pytest.approx(0.9996 * (1 + (113_000 / 6.38e6) ** 2 / 2), abs=3e-5)
    assert up == pytest.approx([0, 0, 1], abs=1e-6)
