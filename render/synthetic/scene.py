"""A scene that is known exactly: its surfaces, its light, its cameras' pictures and depths.

World: right-handed, +z up, metres, ground at z = 0. Cameras: OpenCV axes, pixel centres at (0.5, 0.5).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose

from .light import Light
from .solids import Array, Patch, Solid, Surface, Vector
from .texture import MULTIPLE, Atlas, resampled

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

EXPOSURE = 1.45
_BAND_PIXELS = 1 << 16
_LATTICE_SUN_M, _LATTICE_SKY_M = 0.03, 0.10


@dataclass(frozen=True, eq=False)
class Hits:
    """What rays met, flat: depth, surface number (-1 for nothing), (u, v) on it, cosine to its normal."""

    depth: Array
    surface: npt.NDArray[np.int32]
    u: Array
    v: Array
    cosine: Array


@dataclass(frozen=True, eq=False)
class SyntheticScene:
    """Textured solids under one light.

    focus: the point (3,) that cameras look at. stand_m: (lowest, highest) distance from it at which a person may walk.
    heights_m: camera heights of the rounds a person walks.
    """

    name: str
    seed: int
    focus: tuple[float, float, float]
    stand_m: tuple[float, float]
    heights_m: tuple[float, ...]
    solids: tuple[Solid, ...]
    first_surface: tuple[int, ...]
    atlas: Atlas

    @property
    def size_m(self) -> float:
        """The diameter of the round that cameras walk: what position errors are measured against."""
        return 2 * self.stand_m[1]

    def render(self, camera: Camera, cam_from_world: Pose, samples: int = 4) -> tuple[Bytes, Floats]:
        """The picture (H, W, 3) sRGB and the depth (H, W) at pixel centres, in metres; 0 where nothing is.

        samples: rays per pixel of the picture, a square number.
        """
        side = math.isqrt(samples)
        if side < 1 or side * side != samples:
            raise ValueError(f"{samples} samples per pixel are not a square number")
        linear = np.empty((camera.height_px, camera.width_px, 3), np.float32)
        depth = np.empty((camera.height_px, camera.width_px), np.float32)
        x, y, z = _rays(camera, side)
        x1, y1, z1 = _rays(camera, 1)
        rows = max(1, _BAND_PIXELS // (camera.width_px * samples))
        for top in range(0, camera.height_px, rows):
            band = slice(top, min(top + rows, camera.height_px))
            fine = slice(band.start * side, band.stop * side)
            ahead = None if z is None else z[fine].astype(np.float32)
            hits = self.trace(
                *(x[fine].astype(np.float32), y[fine].astype(np.float32), cam_from_world), camera.is_pinhole, ahead
            )
            colours = self._colours(hits, 1 / (side * max(camera.fx, camera.fy)))
            shape = (band.stop - band.start, side, camera.width_px, side, 3)
            linear[band] = colours.reshape(shape).mean((1, 3))
            ahead = None if z1 is None else z1[band]
            exact = self.trace(x1[band], y1[band], cam_from_world, camera.is_pinhole, ahead).depth
            depth[band] = np.where(np.isfinite(exact), exact, 0).reshape(-1, camera.width_px)
        return srgb_from_linear(linear), depth

    def trace(self, x: Array, y: Array, cam_from_world: Pose, separable: bool = False, z: Array | None = None) -> Hits:
        """The first hit of the ray through each image-plane point (x/z, y/z) of a grid (rows, columns).

        separable: x depends on the column alone and y on the row alone, which makes finding a solid's rays cheap.
        z: with it, (x, y, z) are directions of length 1, which may point anywhere, and depths are distances; rays that
            are NaN meet nothing.
        """
        kind = x.dtype.type
        r = cam_from_world.rotation
        ahead = kind(1) if z is None else z
        direction = tuple(x * kind(r[0, i]) + y * kind(r[1, i]) + ahead * kind(r[2, i]) for i in range(3))
        origin = tuple(np.full((1,), c, x.dtype) for c in cam_from_world.origin_in_source)
        hits = Hits(
            np.full(x.shape, np.inf, x.dtype),
            np.full(x.shape, -1, np.int32),
            *(np.zeros(x.shape, np.float32) for _ in range(3)),
        )
        for solid, first in zip(self.solids, self.first_surface, strict=True):
            everywhere = (slice(None), slice(None))
            window = _window(solid, x, y, cam_from_world, separable) if z is None else everywhere
            if window is not None:
                _hit_into(hits, solid, first, window, (origin[0], origin[1], origin[2]), direction)
        return Hits(*(a.reshape(-1) for a in (hits.depth, hits.surface, hits.u, hits.v, hits.cosine)))

    def _colours(self, hits: Hits, pixel: float) -> Floats:
        """Linear colours (n, 3); `pixel` is the spacing of rays at depth 1. Nothing is black."""
        found = hits.surface >= 0
        if not found.all():
            colours = np.zeros((len(found), 3), np.float32)
            part = Hits(*(a[found] for a in (hits.depth, hits.surface, hits.u, hits.v, hits.cosine)))
            colours[found] = self._colours(part, pixel) if found.any() else 0
            return colours
        footprint = hits.depth * np.float32(pixel) / np.sqrt(np.maximum(hits.cosine, 0.05))
        return self.atlas.read(hits.surface, hits.u, hits.v, footprint)


def bake(solids: Sequence[Solid], light: Light, seed: int) -> tuple[tuple[int, ...], Atlas]:
    """Colour and light every surface once: the number of each solid's first surface, and all textures."""
    jobs: list[tuple[Solid, Surface]] = []
    first = []
    for solid in solids:
        first.append(len(jobs))
        jobs.extend((solid, surface) for surface in solid.surfaces())
    opaque = [s for s in solids if not s.emits]
    generators = np.random.default_rng(seed).spawn(len(jobs))
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        textures = list(pool.map(lambda j, g: _bake_surface(j[0], j[1], light, opaque, g), jobs, generators))
    closed = [surface.is_closed for _, surface in jobs]
    return tuple(first), Atlas.build(textures, closed, [solid.texel_m for solid, _ in jobs])


def _bake_surface(
    solid: Solid, surface: Surface, light: Light, opaque: Sequence[Solid], rng: np.random.Generator
) -> Floats:
    if not surface.is_seen:
        return np.full((MULTIPLE + 1, MULTIPLE + 1, 3), 0.1, np.float32)
    columns, rows = (MULTIPLE * max(1, math.ceil(s / solid.texel_m / MULTIPLE)) for s in surface.size_m)
    points, normals = _grid(solid, surface, rows, columns)
    colour = solid.material(Patch(points, normals, surface.size_m, surface.is_closed, rng))
    if surface.is_closed:
        colour[:, -1] = colour[:, 0]
    if solid.emits:
        return colour
    received = np.zeros_like(colour)
    for lattice_m, fall in ((_LATTICE_SUN_M, light.direct), (_LATTICE_SKY_M, light.ambient)):
        step = max(lattice_m, 1.5 * solid.texel_m)
        across, up = (max(6, math.ceil(s / step)) for s in surface.size_m)
        at, facing = _grid(solid, surface, up, across)
        values = fall(at.reshape(-1, 3), facing.reshape(-1, 3), opaque).reshape(at.shape)
        received += resampled(values, rows + 1, columns + 1)
    shown: Floats = 1 - np.exp(-np.float32(EXPOSURE) * colour * received)
    return shown


def _grid(solid: Solid, surface: Surface, rows: int, columns: int) -> tuple[Floats, Floats]:
    """Points and normals (rows + 1, columns + 1, 3) in the world, both edges included."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    points, normals = surface.locate(u, v)
    turned = points @ solid.solid_from_world + solid.position
    return turned.astype(np.float32), (normals @ solid.solid_from_world).astype(np.float32)


def _hit_into(
    hits: Hits, solid: Solid, first: int, window: tuple[slice, slice], origin: Vector, direction: tuple[Array, ...]
) -> None:
    """Write a solid's hits over what is further away."""
    rays = (direction[0][window], direction[1][window], direction[2][window])
    t = solid.hit(origin, rays)
    nearer = t < hits.depth[window]
    if not nearer.any():
        return
    t = t[nearer]
    hit = solid.describe(origin, (rays[0][nearer], rays[1][nearer], rays[2][nearer]), t)
    hits.depth[window][nearer] = t
    hits.surface[window][nearer] = hit.surface + first
    hits.u[window][nearer] = hit.u
    hits.v[window][nearer] = hit.v
    hits.cosine[window][nearer] = hit.cosine


def _window(solid: Solid, x: Array, y: Array, cam_from_world: Pose, separable: bool) -> tuple[slice, slice] | None:
    """Rows and columns of the grid whose rays may meet the solid; None when none does."""
    corners = cam_from_world.apply(solid.corners_in_world)
    if corners[:, 2].min() < 0.05:
        return None if corners[:, 2].max() <= 0 else (slice(None), slice(None))
    plane = corners[:, :2] / corners[:, 2:]
    low, high = plane.min(0) - 1e-5, plane.max(0) + 1e-5
    if separable:
        columns = slice(*np.searchsorted(x[0], [low[0], high[0]]))
        rows = slice(*np.searchsorted(y[:, 0], [low[1], high[1]]))
        return None if columns.start == columns.stop or rows.start == rows.stop else (rows, columns)
    inside = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
    hit_rows, hit_columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if len(hit_rows) == 0:
        return None
    return slice(hit_rows[0], hit_rows[-1] + 1), slice(hit_columns[0], hit_columns[-1] + 1)


@lru_cache(maxsize=4)
def _rays(camera: Camera, side: int) -> tuple[Array, Array, Array | None]:
    """A regular grid (H side, W side) of `side` by `side` rays per pixel.

    Image-plane coordinates (x/z, y/z, None), or unit directions (x, y, z) of lenses that may see behind themselves.
    """
    columns = (np.arange(camera.width_px * side) + 0.5) / side
    rows = (np.arange(camera.height_px * side) + 0.5) / side
    pixels = np.stack(np.meshgrid(columns, rows), -1)
    if camera.lens in ("fisheye", "equirectangular"):
        rays = camera.rays(pixels)
        x, y, z = (np.ascontiguousarray(rays[..., i]) for i in range(3))
        return x, y, z
    plane = camera.unproject(pixels)
    return np.ascontiguousarray(plane[..., 0]), np.ascontiguousarray(plane[..., 1]), None


def srgb_from_linear(linear: npt.ArrayLike) -> Bytes:
    """Linear light 0 to 1 to 8-bit sRGB (IEC 61966-2-1)."""
    c = np.clip(np.asarray(linear, np.float32), 0, 1)
    encoded = np.where(c <= 0.0031308, 12.92 * c, 1.055 * np.power(np.maximum(c, 1e-8), np.float32(1 / 2.4)) - 0.055)
    result: Bytes = np.floor(encoded * 255 + np.float32(0.5)).astype(np.uint8)
    return result


def linear_from_srgb(srgb: npt.ArrayLike) -> Floats:
    """sRGB values 0 to 1 to linear light."""
    c = np.asarray(srgb, np.float32)
    result: Floats = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return result
