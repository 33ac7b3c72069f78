"""A surface made fit for use: manifold, without crumbs, without noise, and cut where it is told to."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from diorama.render.mesh import Mesh

from .region import Bounds

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

TAUBIN_IN, TAUBIN_OUT = 0.5, -0.53
"""Steps in and back out (Taubin 1995); their sum of inverses, a pass band of 0.11, keeps shapes of ten edges."""


def edges_of(faces: npt.NDArray[np.int32]) -> tuple[Ints, Ints, Ints]:
    """Of the 3 F directed edges in order (first, second and third side of all faces): start, end, and the number of the
    undirected edge that each lies on."""
    start = faces.T.reshape(-1).astype(np.int64)
    end = faces[:, [1, 2, 0]].T.reshape(-1).astype(np.int64)
    low, high = np.minimum(start, end), np.maximum(start, end)
    span = int(faces.max(initial=0)) + 1
    _, edge = np.unique(low * span + high, return_inverse=True)
    return start, end, edge.reshape(-1)


def manifold(mesh: Mesh) -> Mesh:
    """The same surface with each edge in at most two faces and each vertex in one fan of them.

    Faces without area go, and one of two equal ones; where an edge has more than two faces, or two that run the same
    way, the surface is cut open there; a vertex at which fans touch becomes one for each. Positions stay; vertices that
    no face uses go.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    faces = mesh.faces[_sound(mesh)]
    if not len(faces):
        return Mesh.empty()
    count = len(faces)
    start, end, edge = edges_of(faces)
    uses = np.bincount(edge)
    forward = np.bincount(edge, weights=start < end)
    good = (uses == 2) & (forward == 1)
    order = np.argsort(edge, kind="stable")
    paired = order[good[edge[order]]].reshape(-1, 2)  # the two directed edges of each good edge
    # Corner c of face f is number c * count + f, as directed edge c begins there.
    following = (np.arange(3 * count) + count) % (3 * count)
    a, b = paired.T
    rows, columns = np.concatenate([a, following[a]]), np.concatenate([following[b], b])
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(3 * count, 3 * count))
    vertices, label = connected_components(graph, directed=False)
    index = np.zeros(vertices, np.int64)
    index[label] = start
    return _picked(mesh, index, label.reshape(3, count).T.astype(np.int32))


def _sound(mesh: Mesh) -> npt.NDArray[np.bool_]:
    """Faces with three vertices in three places, each set of vertices once."""
    ordered = np.sort(mesh.faces, axis=1)
    sound = (ordered[:, 0] < ordered[:, 1]) & (ordered[:, 1] < ordered[:, 2])
    _, first = np.unique(ordered, axis=0, return_index=True)
    once = np.zeros(len(sound), bool)
    once[first] = True
    corners = mesh.vertices[mesh.faces]
    for i in range(3):
        sound &= (corners[:, i] != corners[:, i - 1]).any(axis=1)
    return sound & once


def _picked(mesh: Mesh, index: npt.NDArray[np.integer], faces: npt.NDArray[np.int32]) -> Mesh:
    """A mesh whose vertex i is the given one's `index[i]`."""
    arrays = {name: getattr(mesh, name) for name in ("normals", "uvs", "colours")}
    chosen = {name: None if value is None else np.ascontiguousarray(value[index]) for name, value in arrays.items()}
    return Mesh(np.ascontiguousarray(mesh.vertices[index]), faces, texture=mesh.texture, **chosen)


def with_faces(mesh: Mesh, keep: npt.NDArray[np.bool_]) -> Mesh:
    """Only those faces, and only their vertices."""
    faces = mesh.faces[keep]
    used, packed = np.unique(faces, return_inverse=True)
    return _picked(mesh, used, packed.reshape(-1, 3).astype(np.int32))


def parts_of(mesh: Mesh) -> tuple[int, Ints]:
    """How many connected parts there are, and each face's."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    f, n = mesh.faces, len(mesh.vertices)
    rows, columns = np.concatenate([f[:, 0], f[:, 1]]), np.concatenate([f[:, 1], f[:, 2]])
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    found, part = np.unique(label[f[:, 0]], return_inverse=True)
    return len(found), part.reshape(-1)


def face_areas(mesh: Mesh) -> Array:
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    areas: Array = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return areas


def without_crumbs(mesh: Mesh, min_part: float) -> Mesh:
    """Without connected parts of less than this share of the largest one's area."""
    if not len(mesh):
        return mesh
    count, part = parts_of(mesh)
    area = np.bincount(part, weights=face_areas(mesh), minlength=count)
    return with_faces(mesh, np.isin(part, np.nonzero(area >= min_part * area.max())[0]))


def without_flaps(mesh: Mesh) -> Mesh:
    """Without connected parts of less than four faces: they enclose nothing, and their rims cannot be closed."""
    if not len(mesh):
        return mesh
    _, part = parts_of(mesh)
    return with_faces(mesh, np.bincount(part)[part] >= 4)


def smoothed(mesh: Mesh, steps: int) -> Mesh:
    """Taubin's smoothing (1995): each step moves vertices towards their neighbours' mean and back out again.

    Rims stay where they are, or they would shrink.
    """
    if steps < 1 or not len(mesh):
        return mesh
    from scipy.sparse import coo_matrix, diags

    start, end, edge = edges_of(mesh.faces)
    n = len(mesh.vertices)
    graph = coo_matrix((np.ones(2 * len(start)), (np.r_[start, end], np.r_[end, start])), shape=(n, n)).tocsr()
    graph.data[:] = 1.0
    mean = diags(1 / np.maximum(np.asarray(graph.sum(axis=1)).reshape(-1), 1)) @ graph
    rim = np.zeros(n, bool)
    open_ = np.bincount(edge)[edge] == 1
    rim[start[open_]] = rim[end[open_]] = True
    place = mesh.vertices.astype(np.float64)
    free = (~rim)[:, None]
    for _ in range(steps):
        for factor in (TAUBIN_IN, TAUBIN_OUT):
            place = place + factor * free * (mean @ place - place)
    return dataclasses.replace(mesh, vertices=place.astype(np.float32), normals=None)


def cropped(mesh: Mesh, bounds: Bounds) -> Mesh:
    """Faces that lie inside with all three vertices."""
    inside = bounds.holds(mesh.vertices)
    a, b, c = mesh.faces.T
    return with_faces(mesh, inside[a] & inside[b] & inside[c])


def ground_height(mesh: Mesh, bin_size: float) -> float | None:
    """The height of the largest level face-up area in the lower half of the surface; None where there is hardly any.

    bin_size: heights closer than that are one.
    """
    if not len(mesh):
        return None
    normals, areas = mesh.face_normals(), face_areas(mesh)
    heights = mesh.vertices[:, 2][mesh.faces].mean(axis=1).astype(np.float64)
    level = normals[:, 2] > 0.9
    low = float(mesh.vertices[:, 2].min())
    half = low + 0.5 * float(np.ptp(mesh.vertices[:, 2]))
    level &= heights < half
    if areas[level].sum() < 0.03 * areas.sum():
        return None
    bins = np.floor((heights[level] - low) / bin_size).astype(np.int64)
    share = np.bincount(bins, weights=areas[level])
    two = share + np.append(share[1:], 0)  # a floor on the border of two bins counts whole
    best = int(two.argmax())
    members = (bins == best) | (bins == best + 1)
    order = np.argsort(heights[level][members])
    weight = np.cumsum(areas[level][members][order])
    return float(heights[level][members][order][np.searchsorted(weight, weight[-1] / 2)])


def cut_below(mesh: Mesh, height: float) -> Mesh:
    """The part of the surface above a height: faces across it are cut there, and rims of the cut lie level on it."""
    # Vertices on the plane would make faces without area, and gaps where these are taken out: they are moved off it.
    nudge = np.float32(1e-5 * max(float(np.ptp(mesh.vertices[:, 2])), 1e-6)) if len(mesh.vertices) else np.float32(0)
    on = np.abs(mesh.vertices[:, 2] - height) < nudge
    vertices_off = mesh.vertices.copy()
    vertices_off[on, 2] = np.float32(height) + nudge
    mesh = Mesh(vertices_off, mesh.faces)
    above = mesh.vertices[:, 2] > height
    count = above[mesh.faces].sum(axis=1)
    whole = mesh.faces[count == 3]
    vertices = [mesh.vertices]
    new_faces = [whole.astype(np.int64)]
    crossing = mesh.faces[(count == 1) | (count == 2)].astype(np.int64)
    if len(crossing):
        # Turn each so that the vertex alone on its side comes first.
        alone_above = above[crossing].sum(axis=1) == 1
        alone = np.where(alone_above[:, None], above[crossing], ~above[crossing]).argmax(axis=1)
        turned = np.take_along_axis(crossing, (alone[:, None] + np.arange(3)) % 3, axis=1)
        pairs = np.concatenate([turned[:, [0, 1]], turned[:, [0, 2]]])
        keys, place = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
        a, b = mesh.vertices[keys[:, 0]].astype(np.float64), mesh.vertices[keys[:, 1]].astype(np.float64)
        share = (height - a[:, 2]) / (b[:, 2] - a[:, 2])
        cut = a + share[:, None] * (b - a)
        cut[:, 2] = height
        vertices.append(cut.astype(np.float32))
        first, second = (place.reshape(2, -1) + len(mesh.vertices)).astype(np.int64)
        top, left, right = turned.T
        up = alone_above
        new_faces.append(np.stack([top, first, second], axis=1)[up])
        new_faces.append(np.stack([first, left, right], axis=1)[~up])
        new_faces.append(np.stack([first, right, second], axis=1)[~up])
    joined = Mesh(np.concatenate(vertices), np.concatenate(new_faces).astype(np.int32))
    return with_faces(joined, np.ones(len(joined.faces), bool))
