"""Meshes taken apart into connected parts, and parts made one mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...mesh import Mesh


def parts(mesh: Mesh) -> list[Mesh]:
    """The pieces of a mesh that share no place, with positions and faces alone; in order of their first vertex."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(mesh):
        return []
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    count = int(place.max()) + 1
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    label = connected_components(graph, directed=False)[1][faces[:, 0]]
    _, first = np.unique(label, return_index=True)
    found = []
    for piece in label[np.sort(first)]:
        used, renamed = np.unique(mesh.faces[label == piece], return_inverse=True)
        found.append(Mesh(mesh.vertices[used], renamed.reshape(-1, 3).astype(np.int32)))
    return found


def joined(meshes: Sequence[Mesh]) -> tuple[Mesh, str]:
    """All meshes as one, and what had to be left out because they do not agree, in words ("" when nothing)."""
    if not meshes:
        return Mesh.empty(), ""
    if len(meshes) == 1:
        return meshes[0], ""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    faces = np.concatenate([m.faces + np.int32(s) for m, s in zip(meshes, starts, strict=True)])
    one_texture = len({id(m.texture) for m in meshes}) == 1
    texture = meshes[0].texture if one_texture else None
    dropped = "" if one_texture else "they were left out"

    def every(name: str) -> npt.NDArray[Any] | None:
        arrays = [getattr(m, name) for m in meshes]
        return None if any(a is None for a in arrays) else np.concatenate(arrays)

    colours = every("colours")
    if colours is None and any(m.colours is not None for m in meshes):
        dropped = "they were left out"
    vertices = np.concatenate([m.vertices for m in meshes])
    return Mesh(vertices, faces, every("normals"), every("uvs"), colours, texture), dropped
