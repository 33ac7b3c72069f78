"""GPS: WGS 84 to metres east, north and up of a place, and a scene laid onto them.

Earth-centred coordinates after the closed formulas of WGS 84 (NIMA TR8350.2); the way back is Bowring's iteration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Sim3, umeyama
from diorama.capture.types import Capture, Gps

Array = npt.NDArray[np.float64]

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
ECC2 = FLATTENING * (2 - FLATTENING)


def ecef_from_gps(gps: Gps) -> Array:
    """Earth-centred, earth-fixed metres (3,). A missing altitude counts as 0."""
    lat, lon = np.radians(gps.latitude_deg), np.radians(gps.longitude_deg)
    height = gps.altitude_m or 0.0
    n = SEMI_MAJOR_M / np.sqrt(1 - ECC2 * np.sin(lat) ** 2)
    return np.array(
        [
            (n + height) * np.cos(lat) * np.cos(lon),
            (n + height) * np.cos(lat) * np.sin(lon),
            (n * (1 - ECC2) + height) * np.sin(lat),
        ]
    )


def enu_axes(origin: Gps) -> Array:
    """Rotation (3, 3) from earth-centred axes to east, north, up at `origin`."""
    lat, lon = np.radians(origin.latitude_deg), np.radians(origin.longitude_deg)
    return np.array(
        [
            [-np.sin(lon), np.cos(lon), 0.0],
            [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
            [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
        ]
    )


def enu_from_gps(gps: Gps, origin: Gps) -> Array:
    """Metres east, north and up of `origin` (3,)."""
    offset: Array = enu_axes(origin) @ (ecef_from_gps(gps) - ecef_from_gps(origin))
    return offset


def gps_from_enu(enu_m: npt.ArrayLike, origin: Gps) -> Gps:
    """Where a point (3,) in metres east, north and up of `origin` lies on earth; exact to a micrometre near it."""
    x, y, z = ecef_from_gps(origin) + enu_axes(origin).T @ np.asarray(enu_m, np.float64)
    p = np.hypot(x, y)
    lat = np.arctan2(z, p * (1 - ECC2))
    for _ in range(6):
        n = SEMI_MAJOR_M / np.sqrt(1 - ECC2 * np.sin(lat) ** 2)
        lat = np.arctan2(z + ECC2 * n * np.sin(lat), p)
    n = SEMI_MAJOR_M / np.sqrt(1 - ECC2 * np.sin(lat) ** 2)
    height = p * np.cos(lat) + z * np.sin(lat) - n * (1 - ECC2 * np.sin(lat) ** 2)
    return Gps(float(np.degrees(lat)), float(np.degrees(np.arctan2(y, x))), float(height))


@dataclass(frozen=True)
class Positions:
    """Frames' GPS as metres: `enu_m` (G, 3) for `names`, about `origin`. `has_altitude`: all of them gave one."""

    names: tuple[str, ...]
    enu_m: Array
    origin: Gps
    has_altitude: bool


def capture_positions(capture: Capture) -> Positions | None:
    """The GPS of the frames that have one, about their median; None where fewer than three have."""
    found = [(f.name, f.exif.gps) for f in capture.frames if f.exif.gps is not None]
    if len(found) < 3:
        return None
    has_altitude = all(g.altitude_m is not None for _, g in found)
    origin = Gps(
        float(np.median([g.latitude_deg for _, g in found])),
        float(np.median([g.longitude_deg for _, g in found])),
        float(np.median([g.altitude_m or 0.0 for _, g in found])) if has_altitude else None,
    )
    if has_altitude:
        enu = np.array([enu_from_gps(g, origin) for _, g in found])
    else:
        flat = [Gps(g.latitude_deg, g.longitude_deg, origin.altitude_m) for _, g in found]
        enu = np.array([enu_from_gps(g, origin) for g in flat])
    return Positions(tuple(n for n, _ in found), enu, origin, has_altitude)


# A phone's fix is good to a few metres, and its errors move slowly: a scan of a few metres must not be scaled by it.
MIN_EXTENT_M = 12.0
MAX_SCALE_ERROR = 0.05
MAX_TILT_RAD = np.radians(4.0)


@dataclass(frozen=True)
class GpsFit:
    """A robust `enu_from_scene`, and how good it is.

    residual_m: median distance of the cameras from their GPS. scale_error: standard error of the scale, relative.
    tilt_error_rad: standard error of the up direction; infinite where cameras lie on one line or have no altitude.
    """

    enu_from_scene: Sim3
    residual_m: float
    extent_m: float
    scale_error: float
    tilt_error_rad: float

    @property
    def gives_scale(self) -> bool:
        return self.extent_m >= MIN_EXTENT_M and self.scale_error <= MAX_SCALE_ERROR

    @property
    def gives_up(self) -> bool:
        return self.gives_scale and self.tilt_error_rad <= MAX_TILT_RAD


def fit_gps(centres: Array, enu_m: Array, has_altitude: bool) -> GpsFit | None:
    """Lay camera centres (G, 3) onto their GPS (G, 3), leaving out fixes that are far off. Without altitude, or on
    one line, only distances are compared. None where there are too few or all in one place."""
    if len(centres) < 4:
        return None
    fit, inliers = _trimmed(centres, enu_m)
    if fit is None:
        return None
    residuals = np.linalg.norm(fit.apply(centres) - enu_m, axis=1)
    kept = enu_m[inliers] - enu_m[inliers].mean(0)
    if has_altitude:
        sigma = float(np.sqrt(np.sum(residuals[inliers] ** 2) / max(3 * int(inliers.sum()) - 7, 1)))
    else:
        sigma = float(np.sqrt(np.sum(residuals[inliers] ** 2) / max(2 * int(inliers.sum()) - 4, 1)))
    spread = np.linalg.svd(kept[:, :2], compute_uv=False)  # root of the sum of squares along each principal axis
    scale_error = sigma / max(float(np.linalg.norm(kept)), 1e-12)
    tilt = sigma / float(spread[1]) if has_altitude and spread[1] > 1e-9 else float("inf")
    extent = float(np.max(np.linalg.norm(kept[:, None, :2] - kept[None, :, :2], axis=2)))
    return GpsFit(fit, float(np.median(residuals)), extent, scale_error, tilt)


def _trimmed(centres: Array, enu_m: Array) -> tuple[Sim3 | None, npt.NDArray[np.bool_]]:
    """Umeyama's fit to the cameras that agree, started from the best of many triples (fixed seed)."""
    rng = np.random.default_rng(0)
    count = len(centres)
    best, best_cost = None, np.inf
    for subset in _triples(count, rng):
        fit = umeyama(centres[subset], enu_m[subset])
        if not (np.isfinite(fit.scale) and fit.scale > 1e-9):
            continue
        cost = float(np.median(np.linalg.norm(fit.apply(centres) - enu_m, axis=1)))
        if cost < best_cost:
            best, best_cost = fit, cost
    inliers = np.ones(count, bool)
    if best is None:
        return None, inliers
    for _ in range(10):
        residuals = np.linalg.norm(best.apply(centres) - enu_m, axis=1)
        # 3 sigma of a Gaussian whose median distance in space is 1.54 sigma, and never under half a metre.
        chosen = residuals <= max(3.0 * float(np.median(residuals)) / 1.54, 0.5)
        if chosen.sum() < 4:
            break
        best = umeyama(centres[chosen], enu_m[chosen])
        if np.array_equal(chosen, inliers):
            break
        inliers = chosen
    return best, inliers


def _triples(count: int, rng: np.random.Generator) -> Sequence[npt.NDArray[np.int_]]:
    everything = np.arange(count)
    return [everything] + [rng.choice(count, size=3, replace=False) for _ in range(200)]
