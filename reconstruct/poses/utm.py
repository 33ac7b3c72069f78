"""Universal Transverse Mercator: where surveyors and their programs want coordinates.

Krüger's series to the sixth order in the third flattening (Karney 2011, equations 7 to 11 and 35): better than a
micrometre within a zone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.types import Gps

from .geodesy import ECC2, FLATTENING, SEMI_MAJOR_M, ecef_from_gps, enu_axes

Array = npt.NDArray[np.float64]

SCALE_FACTOR = 0.9996
FALSE_EASTING_M, FALSE_NORTHING_M = 500_000.0, 10_000_000.0

_N = FLATTENING / (2 - FLATTENING)
_RECTIFYING_M = SEMI_MAJOR_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64 + _N**6 / 256)
_ALPHA = (
    _N / 2 - 2 * _N**2 / 3 + 5 * _N**3 / 16 + 41 * _N**4 / 180 - 127 * _N**5 / 288 + 7891 * _N**6 / 37800,
    13 * _N**2 / 48 - 3 * _N**3 / 5 + 557 * _N**4 / 1440 + 281 * _N**5 / 630 - 1983433 * _N**6 / 1935360,
    61 * _N**3 / 240 - 103 * _N**4 / 140 + 15061 * _N**5 / 26880 + 167603 * _N**6 / 181440,
    49561 * _N**4 / 161280 - 179 * _N**5 / 168 + 6601661 * _N**6 / 7257600,
    34729 * _N**5 / 80640 - 3418889 * _N**6 / 1995840,
    212378941 * _N**6 / 319334400,
)


@dataclass(frozen=True)
class Zone:
    """A UTM zone, 1 to 60, and its hemisphere."""

    number: int
    north: bool

    @property
    def epsg(self) -> int:
        return (32600 if self.north else 32700) + self.number


def zone_of(gps: Gps) -> Zone:
    """The zone by longitude alone; the exceptions in Norway and Svalbard are not made."""
    return Zone(int((gps.longitude_deg + 180) // 6) % 60 + 1, gps.latitude_deg >= 0)


def utm_from_enu(enu_m: npt.ArrayLike, origin: Gps, zone: Zone | None = None) -> Array:
    """Easting, northing and height (P, 3) of points (P, 3) in metres east, north and up of `origin`.

    Each point is taken to earth-centred coordinates and projected by itself, so that the earth's curvature, the
    meridian's convergence and the projection's scale are all in it.
    """
    zone = zone or zone_of(origin)
    ecef = np.asarray(enu_m, np.float64) @ enu_axes(origin) + ecef_from_gps(origin)
    lat, lon, height = _geodetic(ecef)
    return np.column_stack([*_project(lat, lon, zone), height])


def _geodetic(ecef: Array) -> tuple[Array, Array, Array]:
    """Radians and metres; Bowring's iteration, as in `geodesy`."""
    x, y, z = ecef.T
    p = np.hypot(x, y)
    lat = np.arctan2(z, p * (1 - ECC2))
    n = np.full_like(lat, SEMI_MAJOR_M)
    for _ in range(6):
        n = SEMI_MAJOR_M / np.sqrt(1 - ECC2 * np.sin(lat) ** 2)
        lat = np.arctan2(z + ECC2 * n * np.sin(lat), p)
    height = p * np.cos(lat) + z * np.sin(lat) - n * (1 - ECC2 * np.sin(lat) ** 2)
    return lat, np.arctan2(y, x), height


def _project(lat: Array, lon: Array, zone: Zone) -> tuple[Array, Array]:
    """Easting and northing in metres."""
    away = lon - np.radians(6 * zone.number - 183)
    away = (away + np.pi) % (2 * np.pi) - np.pi
    e = np.sqrt(ECC2)
    tau = np.tan(lat)
    sigma = np.sinh(e * np.arctanh(e * tau / np.hypot(1, tau)))
    conformal = tau * np.hypot(1, sigma) - sigma * np.hypot(1, tau)
    xi = np.arctan2(conformal, np.cos(away))
    eta = np.arcsinh(np.sin(away) / np.hypot(conformal, np.cos(away)))
    north, east = xi.copy(), eta.copy()
    for j, alpha in enumerate(_ALPHA, start=1):
        north += alpha * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
        east += alpha * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
    easting = FALSE_EASTING_M + SCALE_FACTOR * _RECTIFYING_M * east
    northing = SCALE_FACTOR * _RECTIFYING_M * north + (0.0 if zone.north else FALSE_NORTHING_M)
    return easting, northing
