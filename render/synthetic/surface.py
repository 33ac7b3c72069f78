"""The true surface of a synthetic place, and how far a reconstructed mesh is from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose

from ..mesh import Mesh
from .scene import SyntheticScene

Array = npt.NDArray[np.float64]

CELLS = 160
"""Faces along u and v of a surface: an urn's profile then errs by less than a ten-thousandth of its size."""


@dataclass(frozen=True)
class SurfaceErrors:
    """Distances as shares of the place's size, the longest side of the box around its surface.

    accuracy: mean distance of points of the mesh from the truth. completeness: of points of the truth from the mesh.
    accuracy_p95, completeness_p95: nine in ten and a half are within these.
    """

    accuracy: float
    completeness: float
    accuracy_p95: float
    completeness_p95: float


def true_surface(scene: SyntheticScene) -> Mesh:
    """The surfaces of all solids that are no sky, as grids of triangles; solids should not reach into each other."""
    vertices, faces, first = [], [], 0
    at = np.linspace(0, 1, CELLS + 1)
    u, v = np.meshgrid(at, at)
    index = np.arange(u.size).reshape(u.shape)
    a, b, c, d = (index[rows, columns].reshape(-1) for rows, columns in _CORNERS)
    quads = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    for solid in scene.solids:
        for surface in () if solid.emits else solid.surfaces():
            points, _ = surface.locate(u, v)
            vertices.append((points @ solid.solid_from_world + solid.position).reshape(-1, 3))
            faces.append(quads + first)
            first += u.size
    return Mesh(np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.int32))


_LESS, _MORE = slice(None, -1), slice(1, None)
_CORNERS = ((_LESS, _LESS), (_LESS, _MORE), (_MORE, _MORE), (_MORE, _LESS))


def surface_errors(mesh: Mesh, truth: Mesh, *, samples: int = 20_000, seed: int = 0) -> SurfaceErrors:
    """Both ways, at points spread evenly by area. Raises ValueError for a mesh without faces."""
    from ..mesh_picture import MeshScene

    low, high = truth.bounds
    size = float((high - low).max())
    rng = np.random.default_rng(seed)
    found = []
    for here, there in ((mesh, truth), (truth, mesh)):
        points = _spread(here, samples, rng)
        near, _, _ = MeshScene(there).nearest(points)
        found.append(np.linalg.norm(near - points, axis=1) / size)
    means, ends = [float(d.mean()) for d in found], [float(np.quantile(d, 0.95)) for d in found]
    return SurfaceErrors(means[0], means[1], ends[0], ends[1])


def _spread(mesh: Mesh, count: int, rng: np.random.Generator) -> Array:
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(mesh), count, p=areas / areas.sum())
    first, second = np.sqrt(rng.random(count))[:, None], rng.random(count)[:, None]
    points: Array = (1 - first) * a[face] + first * (1 - second) * b[face] + first * second * c[face]
    return points


def cameras_around(focus: npt.ArrayLike, distance: float, count: int) -> list[Pose]:
    """Cameras spread evenly over a sphere, above and below, that look at its middle, +z up in the picture."""
    middle = np.asarray(focus, np.float64)
    poses = []
    for index in range(count):
        height = 0.95 * (1 - 2 * (index + 0.5) / count)
        angle = np.pi * (3 - np.sqrt(5)) * index
        level = np.sqrt(1 - height**2)
        forward = -np.array([level * np.cos(angle), level * np.sin(angle), height])
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses.append(Pose(rotation, -rotation @ (middle - distance * forward)))
    return poses
