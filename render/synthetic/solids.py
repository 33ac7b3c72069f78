"""Solids a ray can hit: boxes, ellipsoids and lathed bodies, each covered by rectangular textured surfaces.

Rays are `origin + t * direction` with vectors as tuples of three arrays that broadcast, of any float type. Directions
need not be unit: a camera's rays have z = 1 in its frame, so that t is the depth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Vector = tuple[Array, Array, Array]
Material = Callable[["Patch"], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Patch:
    """One surface laid out as a grid of texels, for a material to colour and the light to fall on.

    points, normals: (rows, columns, 3) in the world, float32; the first and last columns of a closed surface coincide.
    size_m: width (along u, columns) and height (along v, rows).
    """

    points: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    size_m: tuple[float, float]
    is_closed: bool
    rng: np.random.Generator


@dataclass(frozen=True, eq=False)
class Surface:
    """A rectangle in (u, v), both 0 to 1, bent around a solid.

    locate: (u, v) arrays to points and unit outward normals in the solid's frame, (..., 3) each.
    """

    size_m: tuple[float, float]
    locate: Callable[[Array, Array], tuple[Array, Array]]
    is_closed: bool
    is_seen: bool = True


@dataclass(frozen=True, eq=False)
class Hit:
    """Where rays met a solid: which of its surfaces, (u, v) on it, and the cosine to its normal."""

    surface: Array
    u: Array
    v: Array
    cosine: Array


@dataclass(frozen=True, eq=False)
class Solid(ABC):
    """A body placed in the world.

    position: its frame's origin in the world.
    solid_from_world: rotation (3, 3).
    material: colours each of its patches; `emits` means that colour is light already and shadows do not fall on it.
    """

    position: npt.NDArray[np.float64]
    solid_from_world: npt.NDArray[np.float64]
    material: Material
    texel_m: float
    emits: bool

    @property
    @abstractmethod
    def extent(self) -> tuple[Array, Array]:
        """Lowest and highest corner (3,) of the box around the solid, in its frame."""

    @abstractmethod
    def hit_local(self, origin: Vector, direction: Vector) -> Array:
        """The nearest positive t of each ray, infinite where it misses."""

    @abstractmethod
    def describe_local(self, point: Vector, direction: Vector) -> Hit:
        """What lies at points on the solid, seen along directions."""

    @abstractmethod
    def surfaces(self) -> list[Surface]:
        """The surfaces, in the order of `Hit.surface`."""

    def hit(self, origin: Vector, direction: Vector) -> Array:
        return self.hit_local(self._origin(origin), self._turn(direction))

    def describe(self, origin: Vector, direction: Vector, t: Array) -> Hit:
        o, d = self._origin(origin), self._turn(direction)
        return self.describe_local((o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]), d)

    @cached_property
    def corners_in_world(self) -> npt.NDArray[np.float64]:
        """The corners (8, 3) of a box around the solid."""
        low, high = self.extent
        choice = np.array(list(np.ndindex(2, 2, 2)))
        corners: npt.NDArray[np.float64] = np.where(choice == 0, low, high) @ self.solid_from_world + self.position
        return corners

    @cached_property
    def bounding_sphere(self) -> tuple[npt.NDArray[np.float64], float]:
        """Centre (3,) in the world and radius of a sphere around the solid."""
        centre = self.corners_in_world.mean(0)
        return centre, float(np.linalg.norm(self.corners_in_world - centre, axis=1).max())

    def _origin(self, origin: Vector) -> Vector:
        x, y, z = (o - o.dtype.type(p) for o, p in zip(origin, self.position, strict=True))
        return self._turn((x, y, z))

    def _turn(self, vector: Vector) -> Vector:
        rows = []
        for row in self.solid_from_world:
            terms = [v if r == 1 else v * v.dtype.type(r) for r, v in zip(row, vector, strict=True) if r != 0]
            rows.append(sum(terms[1:], start=terms[0]))
        return rows[0], rows[1], rows[2]


@dataclass(frozen=True, eq=False)
class Box(Solid):
    """A box around its origin; faces in the order -x, +x, -y, +y, -z, +z, of which `seen` are worth a texture."""

    half: npt.NDArray[np.float64]
    seen: str

    @property
    def extent(self) -> tuple[Array, Array]:
        return -self.half, self.half

    def hit_local(self, origin: Vector, direction: Vector) -> Array:
        near, far = None, None
        for o, d, half in zip(origin, direction, self.half, strict=True):
            h = d.dtype.type(half)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                inverse = 1 / d
                a, b = (-h - o) * inverse, (h - o) * inverse
            low, high = np.fmin(a, b), np.fmax(a, b)
            near = low if near is None else np.maximum(near, low)
            far = high if far is None else np.minimum(far, high)
        assert near is not None and far is not None
        return np.where((near <= far) & (near > 0), near, np.inf)

    def describe_local(self, point: Vector, direction: Vector) -> Hit:
        relative = np.stack([p / h for p, h in zip(point, self.half, strict=True)])
        axis = np.abs(relative).argmax(0)
        each = np.arange(relative.shape[1])
        length = np.sqrt(direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2)
        cosine = np.abs(np.stack(direction)[axis, each]) / length
        across, up = np.where(axis == 0, 1, 0), np.where(axis == 2, 1, 2)
        surface = 2 * axis + (relative[axis, each] > 0)
        return Hit(surface, relative[across, each] / 2 + 0.5, relative[up, each] / 2 + 0.5, cosine)

    def surfaces(self) -> list[Surface]:
        names = ("-x", "+x", "-y", "+y", "-z", "+z")
        return [self._face(i // 2, i % 2 * 2 - 1, name in self.seen.split()) for i, name in enumerate(names)]

    def _face(self, axis: int, sign: int, seen: bool) -> Surface:
        across, up = (1 if axis == 0 else 0), (1 if axis == 2 else 2)

        def locate(u: Array, v: Array) -> tuple[Array, Array]:
            points = np.zeros((*u.shape, 3))
            points[..., axis] = sign * self.half[axis]
            points[..., across] = (2 * u - 1) * self.half[across]
            points[..., up] = (2 * v - 1) * self.half[up]
            normals = np.zeros_like(points)
            normals[..., axis] = sign
            return points, normals

        return Surface((2 * self.half[across], 2 * self.half[up]), locate, False, seen)


@dataclass(frozen=True, eq=False)
class Ellipsoid(Solid):
    """An ellipsoid around its origin; u is longitude, v latitude from `lowest_latitude` to the upper pole.

    Rays that start inside hit it from within, which makes it a sky dome.
    """

    radii: npt.NDArray[np.float64]
    lowest_latitude: float

    @property
    def extent(self) -> tuple[Array, Array]:
        return -self.radii, self.radii

    def hit_local(self, origin: Vector, direction: Vector) -> Array:
        o = [v / v.dtype.type(r) for v, r in zip(origin, self.radii, strict=True)]
        d = [v / v.dtype.type(r) for v, r in zip(direction, self.radii, strict=True)]
        dd = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
        middle = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2]) / dd
        # The distance from the centre to the ray, by its foot: the textbook discriminant cancels in float32.
        foot = [a + middle * b for a, b in zip(o, d, strict=True)]
        inside = (1 - (foot[0] * foot[0] + foot[1] * foot[1] + foot[2] * foot[2])) / dd
        half = np.sqrt(np.maximum(inside, 0))
        t = np.where(middle - half > 0, middle - half, middle + half)
        return np.where((inside >= 0) & (t > 0), t, np.inf)

    def describe_local(self, point: Vector, direction: Vector) -> Hit:
        x, y, z = (p / p.dtype.type(r) for p, r in zip(point, self.radii, strict=True))
        u = np.arctan2(y, x) / (2 * np.pi) + 0.5
        latitude = np.arcsin(np.clip(z, -1, 1))
        v = (latitude - self.lowest_latitude) / (np.pi / 2 - self.lowest_latitude)
        normal = [p / p.dtype.type(r) for p, r in zip((x, y, z), self.radii, strict=True)]
        along = sum(n * d for n, d in zip(normal, direction, strict=True))
        norms = np.sqrt(sum(n * n for n in normal) * sum(d * d for d in direction))
        return Hit(np.zeros(len(u), np.int32), u, np.clip(v, 0, 1), np.abs(along) / norms)

    def surfaces(self) -> list[Surface]:
        def locate(u: Array, v: Array) -> tuple[Array, Array]:
            longitude = (u - 0.5) * 2 * np.pi
            latitude = self.lowest_latitude + v * (np.pi / 2 - self.lowest_latitude)
            across = np.cos(latitude)
            unit = np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], -1)
            normals = unit / self.radii
            return unit * self.radii, normals / np.linalg.norm(normals, axis=-1, keepdims=True)

        radius = float(self.radii.max())
        return [Surface((2 * np.pi * radius, (np.pi / 2 - self.lowest_latitude) * radius), locate, True)]


@dataclass(frozen=True, eq=False)
class Lathe(Solid):
    """A profile of (radius, height) points turned about the z axis; u goes around, v along the profile.

    Each piece of the profile is a truncated cone, or a flat ring where the height stays. Points run so that the
    outside is on their right: from the bottom up along the outer side.
    """

    profile: npt.NDArray[np.float64]

    @property
    def extent(self) -> tuple[Array, Array]:
        radius = self.profile[:, 0].max()
        low, high = self.profile[:, 1].min(), self.profile[:, 1].max()
        return np.array([-radius, -radius, low]), np.array([radius, radius, high])

    def _arc(self) -> npt.NDArray[np.float64]:
        steps = np.linalg.norm(np.diff(self.profile, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def hit_local(self, origin: Vector, direction: Vector) -> Array:
        *rays, _ = np.broadcast_arrays(*origin, *direction, 0)
        shape, kind = rays[0].shape, rays[0].dtype.type
        o, d = [r.reshape(-1) for r in rays[:3]], [r.reshape(-1) for r in rays[3:]]
        # Start each ray where it is nearest to the axis: coefficients stay small, so float32 does not cancel.
        across = np.maximum(d[0] * d[0] + d[1] * d[1], kind(1e-12))
        start = -(o[0] * d[0] + o[1] * d[1]) / across
        px, py, pz = (a + start * b for a, b in zip(o, d, strict=True))
        aside = px * px + py * py
        widest = kind(1.0002 * self.profile[:, 0].max() ** 2)
        rise = np.sqrt(np.maximum(widest - aside, 0) / across) * np.abs(d[2])
        low, high = np.where(aside <= widest, pz - rise, np.inf), pz + rise
        nearest = np.full(aside.shape, np.inf, aside.dtype)
        for (r0, z0), (r1, z1) in zip(self.profile[:-1], self.profile[1:], strict=True):
            near = np.flatnonzero((low <= kind(max(z0, z1) + 1e-4)) & (high >= kind(min(z0, z1) - 1e-4)))
            if len(near) == 0:
                continue
            if z0 == z1:
                t = _ring(start[near], px[near], py[near], pz[near], [c[near] for c in d], (r0, r1, z0))
            else:
                t = _cone(start[near], aside[near], pz[near], across[near], d[2][near], (r0, z0, r1, z1))
            nearest[near] = np.minimum(nearest[near], t)
        return nearest.reshape(shape)

    def describe_local(self, point: Vector, direction: Vector) -> Hit:
        x, y, z = point
        radius = np.sqrt(x * x + y * y)
        arc = self._arc()
        best = np.full(len(radius), np.inf)
        along = np.zeros(len(radius))
        piece = np.zeros(len(radius), np.int64)
        for i, (start, end) in enumerate(zip(self.profile[:-1], self.profile[1:], strict=True)):
            step = end - start
            s = np.clip(((radius - start[0]) * step[0] + (z - start[1]) * step[1]) / (step @ step), 0, 1)
            off = (start[0] + s * step[0] - radius) ** 2 + (start[1] + s * step[1] - z) ** 2
            closer = off < best
            best = np.where(closer, off, best)
            along = np.where(closer, arc[i] + s * (arc[i + 1] - arc[i]), along)
            piece = np.where(closer, i, piece)
        slope = np.diff(self.profile, axis=0) / np.diff(arc)[:, None]
        outward, upward = slope[piece, 1], -slope[piece, 0]
        safe = np.maximum(radius, 1e-9)
        dot = outward * (x * direction[0] + y * direction[1]) / safe + upward * direction[2]
        length = np.sqrt(direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2)
        u = np.arctan2(y, x) / (2 * np.pi) + 0.5
        return Hit(np.zeros(len(u), np.int32), u, along / arc[-1], np.abs(dot) / length)

    def surfaces(self) -> list[Surface]:
        arc = self._arc()
        slope = np.diff(self.profile, axis=0) / np.diff(arc)[:, None]

        def locate(u: Array, v: Array) -> tuple[Array, Array]:
            angle = (u - 0.5) * 2 * np.pi
            s = v * arc[-1]
            radius, height = np.interp(s, arc, self.profile[:, 0]), np.interp(s, arc, self.profile[:, 1])
            piece = np.clip(np.searchsorted(arc, s, side="right") - 1, 0, len(slope) - 1)
            outward, upward = slope[piece, 1], -slope[piece, 0]
            points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
            return points, np.stack([outward * np.cos(angle), outward * np.sin(angle), upward], -1)

        return [Surface((2 * np.pi * float(self.profile[:, 0].max()), float(arc[-1])), locate, True)]


def _ring(
    start: Array, px: Array, py: Array, pz: Array, direction: Sequence[Array], ring: tuple[float, float, float]
) -> Array:
    """t on the flat ring (radius, radius, height); rays are at (px, py, pz) where t is `start`."""
    r0, r1, height = ring
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        s = (pz.dtype.type(height) - pz) / direction[2]
        squared = (px + s * direction[0]) ** 2 + (py + s * direction[1]) ** 2
        low, high = min(r0, r1), max(r0, r1)
        return np.where((start + s > 0) & (squared >= low * low) & (squared <= high * high), start + s, np.inf)


def _cone(
    start: Array, aside: Array, pz: Array, across: Array, dz: Array, piece: tuple[float, float, float, float]
) -> Array:
    """Nearest t on the side of the truncated cone (radius, height, radius, height).

    Rays are nearest to the axis, at squared distance `aside` and height `pz`, where t is `start`.
    """
    r0, z0, r1, z1 = piece
    kind = pz.dtype.type
    slope = kind((r1 - r0) / (z1 - z0))
    low, high = kind(min(z0, z1)), kind(max(z0, z1))
    radius = kind(r0) + slope * (pz - kind(z0))
    grow = slope * dz
    a, b, c = across - grow * grow, -grow * radius, aside - radius * radius
    inside = b * b - a * c
    best = np.full(start.shape, np.inf, start.dtype)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        q = -(b + np.copysign(np.sqrt(np.maximum(inside, 0)), b))
        for s in (q / a, c / q):
            z, t = pz + s * dz, start + s
            on = (inside >= 0) & (z >= low) & (z <= high) & (t > 0) & (radius + grow * s >= 0)
            best = np.minimum(best, np.where(on, t, np.inf))
    return best


def rotation_z(angle_rad: float) -> npt.NDArray[np.float64]:
    """The rotation (3, 3) that turns x towards y by an angle."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def box(
    low: Sequence[float],
    high: Sequence[float],
    material: Material,
    texel_m: float,
    *,
    turn: float = 0.0,
    seen: str = "",
) -> Box:
    """The box between two corners, turned about its own vertical axis; all faces textured but the lower one."""
    low_, high_ = np.asarray(low, float), np.asarray(high, float)
    rotation = rotation_z(turn).T if turn else np.eye(3)
    return Box((low_ + high_) / 2, rotation, material, texel_m, False, (high_ - low_) / 2, seen or "-x +x -y +y +z")


def ball(centre: Sequence[float], radii: float | Sequence[float], material: Material, texel_m: float) -> Ellipsoid:
    """A sphere, or an ellipsoid with its axes along the world's."""
    r = np.broadcast_to(np.asarray(radii, float), 3).copy()
    return Ellipsoid(np.asarray(centre, float), np.eye(3), material, texel_m, False, r, -np.pi / 2)


def dome(radius_m: float, material: Material, texel_m: float) -> Ellipsoid:
    """A sky: it gives light of its own and is only textured from a little below the horizon up."""
    return Ellipsoid(np.zeros(3), np.eye(3), material, texel_m, True, np.full(3, radius_m), -0.12)


def lathe(
    base: Sequence[float],
    profile: Sequence[tuple[float, float]],
    material: Material,
    texel_m: float,
    solid_from_world: npt.NDArray[np.float64] | None = None,
) -> Lathe:
    """A turned body standing on `base`; `profile` lists (radius, height above the base) from the bottom up."""
    rotation = np.eye(3) if solid_from_world is None else solid_from_world
    return Lathe(np.asarray(base, float), rotation, material, texel_m, False, np.asarray(profile, float))
