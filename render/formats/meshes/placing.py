"""Meshes in other frames: turned, shifted, scaled, mirrored; and the frames that files are in."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ...mesh import Mesh

Array = npt.NDArray[np.float64]

Y_UP_FROM_Z_UP: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(3, 3): our world (+z up) to the frame of glTF, USD for Apple, and OBJ as most programs read it (+y up, right-handed,
our +y becomes -z: what lies ahead lies ahead). A rotation; its inverse is its transpose."""


def placed(mesh: Mesh, linear: npt.ArrayLike, offset: npt.ArrayLike = (0.0, 0.0, 0.0)) -> Mesh:
    """The mesh with `x' = linear @ x + offset`, in float64, rounded once.

    linear: (3, 3), a multiple of an orthogonal matrix; mirrors are allowed and turn the faces round, so that they are
    still counter-clockwise seen from outside. Texture coordinates and normal maps stay as they are.
    """
    matrix = np.asarray(linear, np.float64)
    scale = np.cbrt(abs(np.linalg.det(matrix)))
    if not (scale > 0 and np.allclose(matrix @ matrix.T, scale**2 * np.eye(3), atol=1e-9 * scale**2)):
        raise ValueError("a mesh is placed by a rotation or mirror, times a scale")
    vertices = mesh.vertices.astype(np.float64) @ matrix.T + np.asarray(offset, np.float64)
    normals = None if mesh.normals is None else (mesh.normals.astype(np.float64) @ (matrix / scale).T)
    faces = mesh.faces if np.linalg.det(matrix) > 0 else np.ascontiguousarray(mesh.faces[:, ::-1])
    return dataclasses.replace(
        mesh,
        vertices=vertices.astype(np.float32),
        faces=faces,
        normals=None if normals is None else normals.astype(np.float32),
    )
