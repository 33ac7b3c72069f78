"""Tangents of a textured mesh: the frame in which its normal map is written and has to be read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .mesh import Mesh

Floats = npt.NDArray[np.float32]


def tangents(mesh: Mesh) -> Floats:
    """(V, 4) float32 as glTF's TANGENT: unit xyz along growing u, at right angles to the normal, and w = 1 or -1 with
    which the direction of growing v is `w * cross(normal, tangent)`.

    Means over the faces around each vertex, weighted by area. Where texture coordinates do not span a plane it is any
    direction at right angles to the normal.

    Raises ValueError for a mesh without normals or texture coordinates.
    """
    if mesh.normals is None or mesh.uvs is None:
        raise ValueError("tangents need normals and uvs")
    corner = mesh.vertices.astype(np.float64)[mesh.faces]
    uv = mesh.uvs.astype(np.float64)[mesh.faces]
    e1, e2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    (u1, v1), (u2, v2) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
    area = u1 * v2 - u2 * v1
    # Not divided by the area: its sign turns the directions, its size would only favour faces with small charts.
    sign = np.sign(area)[:, None]
    along_u = sign * (e1 * v2[:, None] - e2 * v1[:, None])
    along_v = sign * (e2 * u1[:, None] - e1 * u2[:, None])
    weight = np.linalg.norm(np.cross(e1, e2), axis=1)[:, None]
    total_u, total_v = (_summed(mesh, _unit(d) * weight) for d in (along_u, along_v))
    normal = mesh.normals.astype(np.float64)
    flat = total_u - normal * (normal * total_u).sum(axis=1, keepdims=True)
    least = np.eye(3)[np.abs(normal).argmin(axis=1)]
    fallback = _unit(np.cross(normal, least))
    tangent = np.where(np.linalg.norm(flat, axis=1, keepdims=True) > 1e-12, _unit(flat), fallback)
    side = (np.cross(normal, tangent) * total_v).sum(axis=1)
    return np.column_stack([tangent, np.where(side < 0, -1.0, 1.0)]).astype(np.float32)


def _unit(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(v, axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = np.where(length > 0, v / np.maximum(length, 1e-300), 0.0)
    return result


def _summed(mesh: Mesh, per_face: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(V, 3): over the faces around each vertex."""
    at = mesh.faces.reshape(-1)
    n = len(mesh.vertices)
    columns = [np.bincount(at, np.repeat(per_face[:, k], 3), minlength=n) for k in range(3)]
    return np.stack(columns, axis=1)
