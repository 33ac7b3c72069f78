"""Where one could stand for another photo: near the way that was walked or flown, at its heights, in free space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .config import ReshootConfig
from .looks import Array, Bools, Look
from .surface import Surface

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

STEP = 0.2
"""Places are tried this many usual distances apart, further where that would be too many."""

CLEARANCE = 0.12
"""Nobody stands nearer to a surface than this many usual distances."""

NEAREST = 6
"""A place is as high as so many of the capture cameras nearest to it, by their distance."""

OWN_PLACES = 60
"""So many of the capture's own places are tried too: often it is enough to turn round."""


@dataclass(frozen=True, eq=False)
class Places:
    """P places (P, 3) where one can get to, and how far each is from the nearest capture camera, on foot."""

    points: Array
    walk: Array


def find_places(surface: Surface, looks: Sequence[Look], distance: float, config: ReshootConfig) -> Places:
    """Candidate places, reachable from the capture's cameras without going through a surface."""
    from scipy.spatial import cKDTree

    cameras = np.unique(np.array([look.centre for look in looks]).round(9), axis=0)
    points, spacing = _lattice(cameras, distance, config)
    known = surface.points[surface.is_known]
    clearance = max(CLEARANCE * distance, 1.5 * surface.grid.cell)
    # Cameras may have stood nearer to a surface than anybody should; they are where the way starts all the same.
    nearest, _ = cKDTree(known).query(cameras)
    clear, _ = cKDTree(known).query(points)
    points = points[clear > min(clearance, float(np.median(nearest)))]
    step = max(1, len(cameras) // OWN_PLACES)
    points = np.concatenate([points, cameras[::step]])
    walk = _walk(points, cameras, surface, 1.6 * spacing)
    keep = np.isfinite(walk)
    return Places(points[keep], walk[keep])


def _lattice(cameras: Array, distance: float, config: ReshootConfig) -> tuple[Array, float]:
    """(P, 3): a square lattice around the cameras, at the heights that the cameras near a place had; and its step."""
    from scipy.spatial import cKDTree

    reach = config.reach * distance
    low, high = cameras[:, :2].min(0) - reach, cameras[:, :2].max(0) + reach
    tree = cKDTree(cameras[:, :2])
    step = STEP * distance
    while True:
        x, y = (np.arange(a, b + step, step) for a, b in zip(low, high, strict=True))
        if len(x) * len(y) <= 200_000:
            ground = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
            lattice = _heights(ground[tree.query(ground)[0] < reach], cameras, tree, 0.1 * distance)
            if len(lattice) <= config.places:
                return lattice, step
        step *= 1.15


def _heights(ground: Array, cameras: Array, tree: cKDTree, least: float) -> Array:
    """(P, 3): each place at the mean height of the nearest cameras, and at their lowest and highest where these differ
    by more than `least`."""
    many = min(NEAREST, len(cameras))
    far, near = tree.query(ground, k=many)
    far, near = far.reshape(len(ground), many), near.reshape(len(ground), many)
    weight = 1.0 / np.maximum(far, 1e-9)
    z = cameras[near, 2]
    mean = (weight * z).sum(1) / weight.sum(1)
    places = [np.column_stack([ground, mean])]
    for extreme in (z.min(1), z.max(1)):
        differs = np.abs(extreme - mean) > least
        places.append(np.column_stack([ground, extreme])[differs])
    return np.concatenate(places)


def _walk(points: Array, cameras: Array, surface: Surface, step: float) -> Array:
    """(P,): the way from the nearest camera over places up to `step` apart, infinite where a surface is in the way."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import cKDTree

    nodes = np.concatenate([points, cameras])
    pairs = cKDTree(nodes).query_pairs(step, output_type="ndarray")
    _, at = cKDTree(points).query(cameras)
    pairs = np.concatenate([pairs, np.column_stack([at, len(points) + np.arange(len(cameras))])])
    blocked = _blocked(nodes[pairs[:, 0]], nodes[pairs[:, 1]], surface)
    pairs = pairs[~blocked]
    length = np.maximum(np.linalg.norm(nodes[pairs[:, 0]] - nodes[pairs[:, 1]], axis=1), 1e-9)
    graph = coo_matrix((length, (pairs[:, 0], pairs[:, 1])), shape=(len(nodes), len(nodes))).tocsr()
    sources = np.arange(len(points), len(nodes))
    found: Array = dijkstra(graph, directed=False, indices=sources, min_only=True)
    return found[: len(points)]


def _blocked(starts: Array, ends: Array, surface: Surface) -> Bools:
    """(E,): whether a known surface lies on the straight way."""
    length = np.linalg.norm(ends - starts, axis=1)
    many = int(np.clip(np.ceil(length.max(initial=0.0) / surface.grid.cell), 1, 64))
    occupied = np.zeros(surface.grid.size, bool)
    occupied[surface.cells[surface.is_known]] = True
    blocked = np.zeros(len(starts), bool)
    for share in np.linspace(0, 1, many + 1)[1:-1]:
        flat, inside = surface.grid.index(starts + share * (ends - starts))
        blocked |= inside & occupied[flat]
    return blocked


def directions(looks: Sequence[Look]) -> Array:
    """Rotations cam_from_level (D, 3, 3) in which a camera may look.

    All round, at the tilts that the capture's cameras had and somewhat beyond; upright as far as that means anything.
    """
    tilts = np.degrees(np.arcsin(np.clip([look.cam_from_level.rotation[2, 2] for look in looks], -1, 1)))
    low, middle, high = np.quantile(tilts, [0.05, 0.5, 0.95])
    chosen = sorted({round(float(np.clip(t, -90, 60)) / 5) * 5 for t in (low - 10, low, middle, high, high + 10)})
    azimuths = np.arange(0, 360, 15)
    pairs = [(a, t) for t in chosen for a in azimuths]
    return np.array([pan_tilt(np.radians(a), np.radians(t)) for a, t in pairs])


def pan_tilt(azimuth: float, tilt: float) -> Array:
    """The rotation cam_from_level (3, 3) of a camera that looks to an azimuth (from +x towards +y), tilted upwards."""
    c, s = np.cos(azimuth), np.sin(azimuth)
    forward = np.array([np.cos(tilt) * c, np.cos(tilt) * s, np.sin(tilt)])
    right = np.array([s, -c, 0.0])
    return np.stack([right, np.cross(forward, right), forward])
