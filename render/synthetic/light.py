"""Sun and sky falling on matt surfaces: direct light with soft shadows, and ambient light darkened in corners.

The light is worked out once per scene on a coarse lattice over each surface and interpolated: surfaces are Lambertian,
so it does not depend on where the camera stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .noise import smoothstep
from .solids import Array, Solid

Floats = npt.NDArray[np.float32]

LIFT_M = 2e-3
"""How far above a surface a ray starts, so that the surface does not shade itself."""


@dataclass(frozen=True)
class Light:
    """A sun, a sky and what the ground throws back; radiances are linear RGB.

    towards_sun: unit vector. sun_radius_rad: how soft shadows are. reach_m: how far away things still darken a corner.
    """

    towards_sun: tuple[float, float, float]
    sun_rgb: tuple[float, float, float] = (1.0, 0.88, 0.70)
    sky_rgb: tuple[float, float, float] = (0.36, 0.44, 0.58)
    bounce_rgb: tuple[float, float, float] = (0.30, 0.25, 0.19)
    sun_radius_rad: float = 0.022
    reach_m: float = 2.5
    sun_samples: int = 12
    sky_samples: int = 40

    def direct(self, points: Floats, normals: Floats, solids: Sequence[Solid]) -> Floats:
        """Sunlight (M, 3) on points (M, 3) with unit normals (M, 3): cosine times the visible share of the sun."""
        towards = np.array(self.towards_sun)
        facing = np.maximum(normals @ towards.astype(np.float32), 0)
        lit = np.flatnonzero(facing > 0)
        result = np.zeros_like(points)
        if len(lit) == 0:
            return result
        start = points[lit] + np.float32(LIFT_M) * normals[lit]
        directions = _disc_around(towards, self.sun_radius_rad, self.sun_samples).astype(np.float32)
        visible = np.ones((len(directions), len(start)), bool)
        for solid in solids:
            centre, radius = solid.bounding_sphere
            offset = centre.astype(np.float32) - start
            along = offset @ towards.astype(np.float32)
            aside = (offset**2).sum(1) - along**2
            reached = np.maximum(radius + np.maximum(along, 0) * 1.5 * self.sun_radius_rad, 0)
            near = np.flatnonzero((along > -radius) & (aside < reached**2))
            if len(near):
                visible[:, near] &= ~_blocked(solid, start[near], directions[:, None, :], np.inf)
        result[lit] = (facing[lit] * visible.mean(0))[:, None] * np.array(self.sun_rgb, np.float32)
        return result

    def ambient(self, points: Floats, normals: Floats, solids: Sequence[Solid]) -> Floats:
        """Light (M, 3) from the sky and from what the surroundings throw back, cosine-weighted over the hemisphere."""
        start = points + np.float32(LIFT_M) * normals
        local = _cosine_hemisphere(self.sky_samples)
        helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0, 0, 1.0]], [[1.0, 0, 0]])
        tangent = np.cross(helper, normals)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        frame = np.stack([tangent, np.cross(normals, tangent), normals], 1)
        directions = np.einsum("sk,mkc->smc", local, frame).astype(np.float32)
        visible = np.ones(directions.shape[:2], bool)
        for solid in solids:
            centre, radius = solid.bounding_sphere
            near = np.flatnonzero(((start - centre) ** 2).sum(1) < (radius + self.reach_m) ** 2)
            if len(near):
                visible[:, near] &= ~_blocked(solid, start[near], directions[:, near], self.reach_m)
        upward = smoothstep(-0.1, 0.7, directions[..., 2])[..., None]
        sky, bounce = np.array(self.sky_rgb, np.float32), np.array(self.bounce_rgb, np.float32)
        open_light = upward * sky + (1 - upward) * bounce
        result: Floats = np.where(visible[..., None], open_light, 0.45 * bounce).mean(0)
        return result


def _blocked(solid: Solid, start: Floats, direction: Floats, reach_m: float) -> npt.NDArray[np.bool_]:
    """(S, n): whether the solid is in the way; start (n, 3), direction (S, n or 1, 3)."""
    origin = (start[None, :, 0], start[None, :, 1], start[None, :, 2])
    t = solid.hit(origin, (direction[..., 0], direction[..., 1], direction[..., 2]))
    blocked: npt.NDArray[np.bool_] = t < reach_m
    return blocked


def _spiral(count: int) -> tuple[Array, Array]:
    """Evenly spread points of the unit disc: squared radius and angle (Vogel's sunflower)."""
    i = np.arange(count)
    return (i + 0.5) / count, i * np.pi * (3 - np.sqrt(5))


def _disc_around(axis: Array, radius: float, count: int) -> Array:
    squared, angle = _spiral(count)
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, axis)
    spread = radius * np.sqrt(squared)[:, None]
    directions = axis + spread * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up)
    unit: Array = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return unit


def _cosine_hemisphere(count: int) -> Array:
    squared, angle = _spiral(count)
    radius = np.sqrt(squared)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - squared)], 1)
