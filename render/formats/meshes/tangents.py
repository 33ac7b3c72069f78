"""Tangents for normal maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...mesh import Mesh


def tangents(mesh: Mesh) -> npt.NDArray[np.float32]:
    """(V, 4): per vertex the unit direction in which u grows, at right angles to the normal, and the sign w that gives
    the direction in which v grows (up in the picture) as `w * cross(normal, tangent)`: glTF's convention.

    Means over the faces around a vertex, weighted by their angle there, as MikkTSpace weights them; vertices are split
    where the texture is, so they agree with it but where a vertex joins mirrored faces. Vertices whose faces have no
    area in the picture get some direction at right angles to the normal.

    Raises ValueError when the mesh has no normals or no texture coordinates.
    """
    if mesh.normals is None or mesh.uvs is None:
        raise ValueError("tangents need normals and texture coordinates")
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    uv = mesh.uvs.astype(np.float64)[mesh.faces]
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    turn = np.sign(area)[:, None]
    along_u = _unit((e1 * d2[:, 1:] - e2 * d1[:, 1:]) * turn)
    along_v = _unit((e2 * d1[:, :1] - e1 * d2[:, :1]) * turn)
    sum_u, sum_v = np.zeros((len(mesh.vertices), 3)), np.zeros((len(mesh.vertices), 3))
    for i in range(3):
        a, b = corners[:, (i + 1) % 3] - corners[:, i], corners[:, (i + 2) % 3] - corners[:, i]
        angle = np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(1))
        for axis in range(3):
            at = mesh.faces[:, i]
            sum_u[:, axis] += np.bincount(at, along_u[:, axis] * angle, minlength=len(sum_u))
            sum_v[:, axis] += np.bincount(at, along_v[:, axis] * angle, minlength=len(sum_v))
    normals = mesh.normals.astype(np.float64)
    tangent = _unit(sum_u - normals * (sum_u * normals).sum(1, keepdims=True))
    lost = ~(np.linalg.norm(tangent, axis=1) > 0.5)
    if lost.any():
        least = np.eye(3)[np.abs(normals[lost]).argmin(1)]
        tangent[lost] = _unit(np.cross(least, normals[lost]))
    sign = np.where((np.cross(normals, tangent) * sum_v).sum(1) < 0, -1.0, 1.0)
    return np.concatenate([tangent, sign[:, None]], axis=1).astype(np.float32)


def _unit(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return np.where(length > 1e-30, v / np.maximum(length, 1e-30), 0.0)
