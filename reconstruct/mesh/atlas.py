"""Charts of a surface laid out in a square (xatlas), and which point of the surface each texel shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.render.mesh import Mesh
from diorama.render.mesh_picture import MeshScene

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

PADDING_PX = 4
"""Between charts, at a texture of `PADDING_OF` px; mip levels down to a sixteenth then do not bleed."""

PADDING_OF = 2048


@dataclass(frozen=True, eq=False)
class Texels:
    """The T texels of a (size, size) texture whose middle lies on a face, in rows from the top.

    index: (T,) row * size + column. face: (T,). weights: (T, 2) of the face's second and third vertex.
    """

    size: int
    index: npt.NDArray[np.int64]
    face: Ints
    weights: Floats


def unwrapped(mesh: Mesh, size_px: int) -> Mesh:
    """The mesh with texture coordinates, its vertices split at seams; colours and normals are dropped.

    Raises InputError when the surface cannot be laid out.
    """
    import xatlas

    atlas = xatlas.Atlas()
    charts, packing = xatlas.ChartOptions(), xatlas.PackOptions()
    packing.rotate_charts = False  # it also mirrors them
    # Fewer, larger charts: seams cost texels and are where colours can differ.
    charts.max_cost = 4.0
    charts.max_iterations = 1
    charts.fix_winding = True
    packing.resolution = size_px
    packing.padding = max(1, round(PADDING_PX * size_px / PADDING_OF))
    packing.bilinear = True
    try:
        atlas.add_mesh(np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces.astype(np.uint32)))
        atlas.generate(charts, packing)
        first, indices, uvs = atlas.get_mesh(0)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"No texture can be laid out on this surface ({error}); use --texture 0.") from error
    uvs = np.clip(np.asarray(uvs, np.float32), 0, 1)
    if not np.isfinite(uvs).all():
        raise InputError("No texture can be laid out on this surface; use --texture 0 for vertex colours.")
    # xatlas counts v from the first row that it packs; which way up charts lie is ours to say.
    return Mesh(
        np.ascontiguousarray(mesh.vertices[first]), np.ascontiguousarray(indices.astype(np.int32)), uvs=uvs
    ).with_normals()


def texels_of(mesh: Mesh, size_px: int) -> Texels:
    """Which face each texel's middle lies on, found by rays onto the texture laid flat."""
    assert mesh.uvs is not None
    flat = np.column_stack([mesh.uvs[:, 0] * size_px, (1 - mesh.uvs[:, 1]) * size_px, np.zeros(len(mesh.uvs))])
    plane = MeshScene(Mesh(flat.astype(np.float32), mesh.faces))
    index, face, weights = [], [], []
    rows_at_once = max(1, (1 << 20) // size_px)
    for top in range(0, size_px, rows_at_once):
        rows = np.arange(top, min(size_px, top + rows_at_once))
        y, x = np.meshgrid(rows + 0.5, np.arange(size_px) + 0.5, indexing="ij")
        starts = np.stack([x.reshape(-1), y.reshape(-1), np.ones(x.size)], axis=1).astype(np.float32)
        hits = plane.cast(starts, np.broadcast_to(np.array([0, 0, -1], np.float32), starts.shape))
        found = np.flatnonzero(hits.face >= 0)
        index.append(found + top * size_px)
        face.append(hits.face[found])
        weights.append(hits.weights[found])
    return Texels(size_px, np.concatenate(index), np.concatenate(face), np.concatenate(weights))


def spread(picture: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """(h, w, K) with every unknown texel as its nearest known one, so that filtering across a chart's rim finds the
    chart's own colours."""
    if known.all() or not known.any():
        return picture
    from scipy.ndimage import distance_transform_edt

    _, (row, column) = distance_transform_edt(~known, return_indices=True)
    return np.ascontiguousarray(picture[row, column])
