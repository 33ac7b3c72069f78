"""Marching cubes (Lorensen and Cline 1987) over sparse blocks of a signed distance, in NumPy.

The table is worked out instead of copied: on each side of a cube the surface is cut by segments, of two ambiguous ways
always the one that keeps positive corners apart, and the segments are joined to loops. Neighbouring cubes share a side
and hence its segments, so that where all corners are known the surface has no gaps, and every edge has two faces.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SIDE = 8
"""Voxels along an edge of a block."""

CORNERS = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)])
EDGES = [(a, a | 1 << axis) for axis in range(3) for a in range(8) if not a >> axis & 1]
"""The 12 edges as pairs of corners; the second lies along +axis of the first."""

EDGE_AXIS = np.repeat(np.arange(3), 4)
EDGE_FROM = np.array([CORNERS[a] for a, _ in EDGES])

HALF = 1 << 20
"""Block coordinates must lie between -HALF and HALF, so that three of them fit into one integer."""


def extract(blocks: Ints, values: Floats) -> tuple[Floats, npt.NDArray[np.int32]]:
    """The surface where the values pass zero.

    Args:
        blocks: (B, 3) integer coordinates, each once; voxel (x, y, z) of block b stands at `SIDE * b + (x, y, z)`.
        values: (B, SIDE, SIDE, SIDE), axes x, y, z; positive outside, NaN where not known. Cubes with an unknown
            corner hold no surface.

    Returns:
        Vertices (V, 3) in voxels and faces (F, 3), counter-clockwise seen from the positive side.
    """
    padded = with_neighbours(blocks, values)
    corner = [padded[:, x : x + SIDE, y : y + SIDE, z : z + SIDE] for x, y, z in CORNERS]
    case = np.zeros(values.shape, np.int64)
    known = np.ones(values.shape, bool)
    for bit, value in enumerate(corner):
        case |= (value < 0).astype(np.int64) << bit
        known &= ~np.isnan(value)
    index = np.nonzero(known & (case != 0) & (case != 255))
    cubes = np.stack(index[1:], axis=1) + SIDE * blocks[index[0]]
    faces_at, table = _table()
    found_case = case[index]
    keys = []
    for slot in range(table.shape[1]):
        some = faces_at[found_case] > slot
        edge = table[found_case[some], slot]
        keys.append(_edge_keys(cubes[some][:, None, :] + EDGE_FROM[edge], EDGE_AXIS[edge]))
    if not keys or not sum(map(len, keys)):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    edge_keys, faces = np.unique(np.concatenate(keys), return_inverse=True)
    vertices = _crossings(blocks, values, edge_keys)
    return vertices, faces.reshape(-1, 3).astype(np.int32)


def with_neighbours(blocks: Ints, values: Floats) -> Floats:
    """(B, SIDE + 1, SIDE + 1, SIDE + 1): each block with the first layer of those beyond it, NaN where is none."""
    padded = np.full((len(blocks), SIDE + 1, SIDE + 1, SIDE + 1), np.nan, np.float32)
    padded[:, :SIDE, :SIDE, :SIDE] = values
    places = _places(blocks)
    for x, y, z in CORNERS[1:]:
        other, there = _look_up(places, blocks + [x, y, z])
        into = [slice(SIDE, SIDE + 1) if step else slice(0, SIDE) for step in (x, y, z)]
        part = [slice(0, 1) if step else slice(0, SIDE) for step in (x, y, z)]
        padded[there, into[0], into[1], into[2]] = values[other[there], part[0], part[1], part[2]]
    return padded


def find_blocks(blocks: Ints, wanted: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """For wanted coordinates (W, 3): which of the blocks (B, 3) each is, and whether there is one at all."""
    return _look_up(_places(blocks), wanted)


def _places(blocks: Ints) -> tuple[Ints, Ints]:
    """Sorted keys of blocks and which block each belongs to."""
    keys = block_keys(blocks)
    order = np.argsort(keys)
    return keys[order], order


def _look_up(places: tuple[Ints, Ints], wanted: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """For wanted coordinates (B, 3): the block's index, and whether there is one."""
    keys, order = places
    asked = block_keys(wanted)
    at = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    return order[at], keys[at] == asked


def block_keys(blocks: Ints) -> Ints:
    shifted = np.asarray(blocks, np.int64) + HALF
    keys: Ints = (shifted[..., 0] << 42) | (shifted[..., 1] << 21) | shifted[..., 2]
    return keys


VOXEL_HALF = 1 << 19


def _edge_keys(voxel: Ints, axis: Ints) -> Ints:
    shifted = voxel.astype(np.int64) + VOXEL_HALF
    keys: Ints = (shifted[..., 0] << 42) | (shifted[..., 1] << 22) | (shifted[..., 2] << 2) | axis
    return keys


def _crossings(blocks: Ints, values: Floats, keys: Ints) -> Floats:
    """Where along its edge each value passes zero (Lorensen and Cline's interpolation), in voxels."""
    axis = keys & 3
    mask = (1 << 20) - 1
    voxel = np.stack([keys >> 42, keys >> 22 & mask, keys >> 2 & mask], axis=1) - VOXEL_HALF
    places = _places(blocks)

    def value_at(at: Ints) -> npt.NDArray[np.float64]:
        block, _ = _look_up(places, at // SIDE)
        x, y, z = (at % SIDE).T
        result: npt.NDArray[np.float64] = values[block, x, y, z].astype(np.float64)
        return result

    step = np.eye(3, dtype=np.int64)[axis]
    a, b = value_at(voxel), value_at(voxel + step)
    # Not quite to the ends: faces of no area have no normal, and vertices of two edges would coincide.
    share = np.clip(a / (a - b), 1e-3, 1 - 1e-3)
    vertices: Floats = (voxel + share[:, None] * step).astype(np.float32)
    return vertices


@lru_cache(maxsize=1)
def _table() -> tuple[Ints, Ints]:
    """How many faces each of the 256 cases has, and the edges (256, most, 3) that their vertices lie on."""
    faces = [_faces_of(case) for case in range(256)]
    count = np.array([len(f) for f in faces])
    table = np.zeros((256, int(count.max()), 3), np.int64)
    for case, found in enumerate(faces):
        if found:
            table[case, : len(found)] = found
    return count, table


def _faces_of(case: int) -> list[tuple[int, int, int]]:
    """A case has bit i set where corner i is negative."""
    after: dict[int, int] = {}
    for axis in range(3):
        for side in (0, 1):
            after.update(_segments(case, axis, side))
    faces = []
    while after:
        start = next(iter(after))
        loop = [start]
        while (following := after.pop(loop[-1])) != start:
            loop.append(following)
        faces += [(loop[0], loop[i], loop[i + 1]) for i in range(1, len(loop) - 1)]
    return faces


def _segments(case: int, axis: int, side: int) -> dict[int, int]:
    """The surface's segments on one side of the cube, from edge to edge, positive corners on their left seen from
    outside: then loops run counter-clockwise seen from the positive side."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    round_ = [(0, 0), (1, 0), (1, 1), (0, 1)] if side else [(0, 0), (0, 1), (1, 1), (1, 0)]
    corners = [side << axis | p << u | q << v for p, q in round_]
    negative = [bool(case >> c & 1) for c in corners]
    edges = [EDGES.index((min(a, b), max(a, b))) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
    found = {}
    for i in range(4):
        if not negative[i] and negative[i - 1]:  # a run of positive corners begins here, counter-clockwise
            last = i
            while not negative[(last + 1) % 4]:
                last += 1
            found[edges[last % 4]] = edges[i - 1]
    return found
