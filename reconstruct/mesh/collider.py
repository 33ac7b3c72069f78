"""Convex shapes for physics: one hull, or a few that follow the surface.

The decomposition halves the part whose hull is furthest from the surface, by the plane that leaves the least hull
volume (the plan of CoACD, Wei et al. 2022, with planes along the axes of the part), until all hulls are close or there
are enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.render.mesh import Mesh

from .clean import face_areas, parts_of

Array = npt.NDArray[np.float64]

SAMPLES = 6_000
HULL_VERTICES = 64
"""Per hull: game engines take 255 at most, and are quicker with fewer."""

CLOSE = 0.02
"""A hull this close to the surface everywhere, relative to the whole surface's diagonal, is not split."""

THICKNESS = 0.01
"""Of the whole's diagonal: how far behind the surface hulls reach where it is open, so that a floor is a slab."""

CUTS = (0.3, 0.5, 0.7)
MIN_PART = 60


def convex_hull(mesh: Mesh) -> Mesh:
    """The hull of the whole surface, at most `HULL_VERTICES` vertices."""
    return _joined([_Part.of(_samples(mesh)[0])]) if len(mesh) else Mesh.empty()


def convex_parts(mesh: Mesh, most: int) -> Mesh:
    """At most so many hulls, each a closed component of the result, that together hold the surface."""
    if not len(mesh):
        return Mesh.empty()
    points, part, size = _samples(mesh)
    # What does not hang together is apart from the start, largest first; crumbs that are too many share one hull.
    order = np.argsort(-np.bincount(part))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    group = np.minimum(rank[part], max(most // 2, 1) - 1)
    whole = [_Part.of(points[group == g]) for g in np.unique(group)]
    done: list[_Part] = []
    while whole and len(whole) + len(done) < most:
        whole.sort(key=lambda part: part.concavity)
        worst = whole.pop()
        if worst.concavity < CLOSE * size:
            whole.append(worst)
            break
        halves = _split(worst)
        if halves is None:
            done.append(worst)
        else:
            whole += halves
    return _joined(whole + done)


def _samples(mesh: Mesh) -> tuple[Array, npt.NDArray[np.int64], float]:
    """Points on and just behind the surface (N, 2, 3), evenly by area; the connected part of each; the diagonal."""
    rng = np.random.default_rng(0)
    low, high = mesh.bounds
    size = float(np.linalg.norm(high - low))
    areas = face_areas(mesh)
    face = rng.choice(len(mesh), SAMPLES, p=areas / areas.sum()) if areas.sum() > 0 else np.zeros(SAMPLES, np.int64)
    first, second = np.sqrt(rng.random(SAMPLES))[:, None], rng.random(SAMPLES)[:, None]
    a, b, c = (mesh.vertices[mesh.faces[face, i]].astype(np.float64) for i in range(3))
    points = (1 - first) * a + first * (1 - second) * b + first * second * c
    normals = mesh.face_normals()[face].astype(np.float64)
    return np.stack([points, points - THICKNESS * size * normals], axis=1), parts_of(mesh)[1][face], size


@dataclass(frozen=True, eq=False)
class _Part:
    """points: (N, 2, 3), the first of each pair on the surface. concavity: how far its hull is from the surface."""

    points: Array
    vertices: Array
    faces: npt.NDArray[np.int32]
    volume: float
    concavity: float

    @staticmethod
    def of(points: Array) -> _Part:
        from scipy.spatial import cKDTree

        vertices, faces, volume = _hull(points.reshape(-1, 3))
        corners = vertices[faces]
        rng = np.random.default_rng(1)
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        chosen = rng.choice(len(faces), 400, p=areas / areas.sum())
        weights = rng.dirichlet((1, 1, 1), 400)
        on_hull = (weights[:, :, None] * corners[chosen]).sum(axis=1)
        distance, _ = cKDTree(points.reshape(-1, 3)).query(on_hull)
        return _Part(points, vertices, faces, volume, float(np.quantile(distance, 0.95)))


def _hull(points: Array) -> tuple[Array, npt.NDArray[np.int32], float]:
    """Vertices, faces that look outward, and volume of the hull of points, at most `HULL_VERTICES` of which are kept.

    Points that lie in a plane are given a little thickness.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        whole = ConvexHull(points)
    except QhullError:
        spread = max(float(np.ptp(points, axis=0).max()), 1e-6)
        shifts = 1e-3 * spread * np.array(list(np.ndindex(2, 2, 2)))
        points = (points[:, None] + shifts).reshape(-1, 3)
        whole = ConvexHull(points)
    kept = points[whole.vertices]
    if len(kept) > HULL_VERTICES:
        extremes = np.unique((_directions(HULL_VERTICES) @ (kept - kept.mean(axis=0)).T).argmax(axis=1))
        kept = kept[extremes]
    less = ConvexHull(kept)
    faces = less.simplices.astype(np.int32)
    corners = kept[faces]
    inward = np.einsum(
        "fk,fk->f", np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), less.equations[:, :3]
    )
    faces[inward < 0] = faces[inward < 0][:, [0, 2, 1]]
    return kept, faces, float(less.volume)


def _directions(count: int) -> Array:
    """(count, 3) evenly spread unit vectors (a Fibonacci lattice), the axes' ends among them."""
    index = np.arange(count - 6) + 0.5
    z = 1 - 2 * index / (count - 6)
    angle = np.pi * (1 + np.sqrt(5)) * index
    ring = np.sqrt(1 - z * z)
    lattice = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)
    return np.concatenate([lattice, np.eye(3), -np.eye(3)])


def _split(part: _Part) -> list[_Part] | None:
    """The halves with the least hull volume; None where no plane leaves enough on both sides."""
    surface = part.points[:, 0]
    _, _, axes = np.linalg.svd(surface - surface.mean(axis=0), full_matrices=False)
    best: tuple[float, npt.NDArray[np.bool_]] | None = None
    for axis in axes:
        along: Array = surface @ axis
        low, high = along.min(), along.max()
        for cut in CUTS:
            below: npt.NDArray[np.bool_] = np.asarray(along < low + cut * (high - low))
            if min(below.sum(), (~below).sum()) < MIN_PART:
                continue
            volume = sum(_hull(part.points[side].reshape(-1, 3))[2] for side in (below, ~below))
            if best is None or volume < best[0]:
                best = (float(volume), below)
    if best is None:
        return None
    return [_Part.of(part.points[side]) for side in (best[1], ~best[1])]


def _joined(parts: list[_Part]) -> Mesh:
    offsets = np.concatenate([[0], np.cumsum([len(p.vertices) for p in parts])])
    vertices = np.concatenate([p.vertices for p in parts]).astype(np.float32)
    faces = np.concatenate([p.faces + offset for p, offset in zip(parts, offsets, strict=False)])
    return Mesh(vertices, faces.astype(np.int32))
