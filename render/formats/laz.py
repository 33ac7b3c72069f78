"""Point clouds as LAZ: LAS 1.4, compressed, with colours (ASPRS LAS 1.4 R15, point format 7)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.types import SparsePoints

from .common import written_whole

STEP_M = 0.001
"""What coordinates are rounded to, in the file's unit. Where 32 bits do not reach, ten times that, and so on."""

MAX_STEPS = 2**31 - 1


def write_laz(points: SparsePoints, path: Path, *, wkt: str | None = None) -> None:
    """Positions to a millimetre and 16-bit colours. wkt: the coordinate reference system they are in; None for local
    ones, which programs take to be metres.

    The offset is the cloud's middle, rounded, so that survey coordinates of millions keep their millimetres.
    Raises InputError when there is nothing to write or the disk is full.
    """
    if not len(points):
        raise InputError(f"{path} was not written because there are no points.")
    import laspy
    from laspy.vlrs.known import WktCoordinateSystemVlr

    low, high = points.xyz.min(0), points.xyz.max(0)
    offsets = np.round((low + high) / 2)
    step = STEP_M
    while np.max(np.maximum(high - offsets, offsets - low)) / step > MAX_STEPS:
        step *= 10
    header: Any = laspy.LasHeader(point_format=7, version="1.4")
    header.offsets, header.scales = offsets, np.full(3, step)
    header.generating_software = "Diorama"
    header.system_identifier = "EXTRACTION"
    if wkt is not None:
        header.vlrs.append(WktCoordinateSystemVlr(wkt))
    header.global_encoding.wkt = True  # point formats 6 and on demand it
    cloud: Any = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = points.xyz.T
    wide = points.rgb_srgb.astype(np.uint16) * 257
    cloud.red, cloud.green, cloud.blue = wide.T
    cloud.return_number = np.ones(len(points), np.uint8)
    cloud.number_of_returns = np.ones(len(points), np.uint8)
    buffer = io.BytesIO()
    cloud.write(buffer, do_compress=True)
    with written_whole(path) as file:
        file.write(buffer.getbuffer())


def utm_wkt(zone: int, north: bool) -> str:
    """OGC WKT 1 of WGS 84 / UTM, EPSG 32600 + zone or 32700 + zone."""
    code = (32600 if north else 32700) + zone
    return (
        f'PROJCS["WGS 84 / UTM zone {zone}{"N" if north else "S"}",GEOGCS["WGS 84",DATUM["WGS_1984",'
        'SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],'
        'PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],'
        'AUTHORITY["EPSG","4326"]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
        f'PARAMETER["central_meridian",{6 * zone - 183}],PARAMETER["scale_factor",0.9996],'
        f'PARAMETER["false_easting",500000],PARAMETER["false_northing",{0 if north else 10000000}],'
        'UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH],'
        f'AUTHORITY["EPSG","{code}"]]'
    )


def as_points(xyz: npt.ArrayLike, rgb_srgb: npt.NDArray[np.uint8]) -> SparsePoints:
    """A cloud of positions (P, 3) and colours (P, 3) of which nothing else is known."""
    places = np.ascontiguousarray(xyz, np.float64)
    return SparsePoints(places, rgb_srgb, np.full(len(places), -1.0), np.zeros(len(places), np.int32))
