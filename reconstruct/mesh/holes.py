"""Holes of a surface: their rims, and faces that close them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from diorama.render.mesh import Mesh

from .clean import edges_of

Array = npt.NDArray[np.float64]
Rim = list[int]


def rims(mesh: Mesh) -> list[Rim]:
    """The rims of all holes as lists of vertices, running so that faces along them fit the surface's.

    Expects a surface from `clean.manifold`: each vertex then lies on at most one rim.
    """
    start, end, edge = edges_of(mesh.faces)
    open_ = np.bincount(edge)[edge] == 1 if len(edge) else np.zeros(0, bool)
    # A new face runs along the rim's edge the other way round than the face that is there.
    after = dict(zip(end[open_].tolist(), start[open_].tolist(), strict=True))
    found = []
    while after:
        first, second = next(iter(after.items()))
        rim = [first]
        del after[first]
        while second != first and second in after:
            rim.append(second)
            second = after.pop(second)
        found.append(rim)
    return found


def perimeter(mesh: Mesh, rim: Rim) -> float:
    points = mesh.vertices[rim].astype(np.float64)
    return float(np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1).sum())


def filled(mesh: Mesh, wanted: Callable[[Rim], bool]) -> Mesh:
    """With the holes closed whose rim is wanted; a rim of two vertices is closed by joining its two edges."""
    added = [triangulated(mesh.vertices[rim], rim) for rim in rims(mesh) if len(rim) >= 3 and wanted(rim)]
    if not added:
        return mesh
    faces = np.concatenate([mesh.faces, *(np.array(a, np.int32).reshape(-1, 3) for a in added)])
    return dataclasses.replace(mesh, faces=np.ascontiguousarray(faces))


def triangulated(points: npt.ArrayLike, rim: Sequence[int]) -> list[tuple[int, int, int]]:
    """Faces over a rim: ears are clipped, the sharpest first, seen along the rim's mean normal.

    An ear that holds another vertex of the rim is left for later, and taken only when nothing else is left, which
    happens for rims that cross themselves in that view.
    """
    at = np.asarray(points, np.float64)
    flat = _in_plane(at)
    left = list(range(len(rim)))
    faces = []
    while len(left) > 3:
        ear = _best_ear(at, flat, left)
        before, after = left[ear - 1], left[(ear + 1) % len(left)]
        faces.append((rim[before], rim[left[ear]], rim[after]))
        del left[ear]
    faces.append((rim[left[0]], rim[left[1]], rim[left[2]]))
    return faces


def _in_plane(points: Array) -> Array:
    """(n, 2): seen from the side from which the polygon runs counter-clockwise on the whole (Newell's normal)."""
    centred = points - points.mean(axis=0)
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)
    length = np.linalg.norm(normal)
    normal = normal / length if length > 0 else np.array([0.0, 0.0, 1.0])
    across = np.cross(np.eye(3)[np.abs(normal).argmin()], normal)
    across /= np.linalg.norm(across)
    plane: Array = np.stack([centred @ across, centred @ np.cross(normal, across)], axis=1)
    return plane


MOST_TRIED = 12


def _best_ear(points: Array, flat: Array, left: list[int]) -> int:
    """Which of the remaining vertices to clip."""
    index = np.array(left)
    here, before, after = flat[index], flat[np.roll(index, 1)], flat[np.roll(index, -1)]
    turn = _cross(here - before, after - here)
    a, b = points[np.roll(index, 1)] - points[index], points[np.roll(index, -1)] - points[index]
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    angle = np.arccos(np.clip((a * b).sum(axis=1) / np.maximum(norms, 1e-300), -1, 1))
    angle = np.where(turn > 0, angle, 2 * np.pi - angle)
    order = np.argsort(angle, kind="stable")
    for candidate in order[:MOST_TRIED]:
        if turn[candidate] > 0:
            own = [candidate - 1, candidate, (candidate + 1) % len(index)]
            if not _holds_any(before[candidate], here[candidate], after[candidate], np.delete(here, own, axis=0)):
                return int(candidate)
    return int(order[0])


def _holds_any(a: Array, b: Array, c: Array, others: Array) -> bool:
    """Whether the triangle, counter-clockwise, holds any of the points, its border included."""
    inside = np.ones(len(others), bool)
    for p, q in ((a, b), (b, c), (c, a)):
        inside &= _cross(np.broadcast_to(q - p, others.shape), others - p) >= 0
    return bool(inside.any())


def _cross(a: Array, b: Array) -> Array:
    result: Array = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return result
