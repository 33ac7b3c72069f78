"""Where the scene's surfaces are: the depth pictures of all cameras gathered in a grid, and what they leave unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose

from ..mesh.views import pixel_plane
from .looks import Array, Bools, Look

Ints = npt.NDArray[np.int64]

FAR_FACTOR = 3.0
"""Surfaces further away than this many times the usual distance are background; see `coverage.FAR_FACTOR`."""

NEIGHBOURS = 14
"""A normal is fitted to so many samples: about two rings of cells on a plane."""

MIN_PIXELS = 2
"""A cell that a single pixel fell into may be the rim of something else."""

FLANK_CELLS = 3.0
"""Unknown space counts as a surface that goes on up to about so many cells away from one that is known."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of cubic cells: cell (i, j, k) spans `low + cell * (i, j, k)` to one cell more."""

    low: Array
    cell: float
    shape: tuple[int, int, int]

    def index(self, points: Array) -> tuple[Ints, Bools]:
        """Flat indices (M,) and whether a point is inside; indices are 0 where not."""
        at = np.floor((points - self.low) / self.cell)
        inside: Bools = np.asarray((np.isfinite(at) & (at >= 0) & (at < np.array(self.shape))).all(-1))
        at = np.where(inside[..., None], at, 0).astype(np.int64)
        return (at[..., 0] * self.shape[1] + at[..., 1]) * self.shape[2] + at[..., 2], inside

    def centres(self, flat: Ints) -> Array:
        """(M, 3) middles of cells."""
        at = np.stack(np.unravel_index(flat, self.shape), -1)
        middles: Array = self.low + (at + 0.5) * self.cell
        return middles

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True, eq=False)
class Surface:
    """M samples, one per cell: known surface first, then the unknown next to it.

    cells: (M,) flat indices into the grid. points: (M, 3). normals: (M, 3) unit, towards the cameras or, of the
    unknown, towards the free space before it. is_known: (M,) whether a camera saw it. weight: (M,) how much a sample
    counts, 1 for known ones.
    """

    grid: Grid
    cells: Ints
    points: Array
    normals: Array
    is_known: Bools
    weight: Array

    def __len__(self) -> int:
        return len(self.points)

    def at(self, points: Array) -> Ints:
        """(..., ): the sample whose cell holds a point, -1 where none does."""
        table = np.full(self.grid.size, -1, np.int64)
        table[self.cells] = np.arange(len(self))
        flat, inside = self.grid.index(points)
        return np.where(inside, table[flat], -1)


def usual_distance(looks: Sequence[Look]) -> float:
    """The median over cameras of how far away the middle of what they see is; 0 where they see nothing."""
    medians = [float(np.median(look.depth[look.depth > 0])) for look in looks if (look.depth > 0).any()]
    return float(np.median(medians)) if medians else 0.0


def known_surface(looks: Sequence[Look], grid_cells: int) -> Surface | None:
    """What the cameras see, up to `FAR_FACTOR` usual distances away; None where they see nothing."""
    distance = usual_distance(looks)
    parts: list[Array] = []
    owners: list[Ints] = []
    for look in looks:
        near = (look.depth > 0) & (look.depth < FAR_FACTOR * distance)
        rays = pixel_plane(look.camera)[near] * look.depth[near][:, None]
        parts.append(look.cam_from_level.inverse().apply(rays))
        owners.append(np.full(len(rays), len(owners), np.int64))
    xyz = np.concatenate(parts) if parts else np.zeros((0, 3))
    if len(xyz) < NEIGHBOURS:
        return None
    grid = _grid(xyz, np.array([look.centre for look in looks]), grid_cells)
    flat, inside = grid.index(xyz)
    centres = np.array([look.centre for look in looks])[np.concatenate(owners)[inside]]
    xyz, flat = xyz[inside], flat[inside]
    cells, of_cell, count = np.unique(flat, return_inverse=True, return_counts=True)
    points = np.stack([np.bincount(of_cell, xyz[:, i]) for i in range(3)], -1) / count[:, None]
    eyes = np.stack([np.bincount(of_cell, centres[:, i]) for i in range(3)], -1) / count[:, None]
    keep = count >= MIN_PIXELS
    if keep.sum() < NEIGHBOURS:
        return None
    cells, points, eyes = cells[keep], points[keep], eyes[keep]
    normals = fitted_normals(points, eyes)
    return Surface(grid, cells, points, normals, np.ones(len(cells), bool), np.ones(len(cells)))


def _grid(xyz: Array, centres: Array, most: int) -> Grid:
    """About the bulk of the points, and the cameras."""
    low, high = np.quantile(xyz, [0.01, 0.99], axis=0)
    low, high = np.minimum(low, centres.min(0)), np.maximum(high, centres.max(0))
    side = np.maximum(high - low, 1e-6 + 0.05 * float((high - low).max()))
    cell = max(float(np.prod(side) / most) ** (1 / 3), float(side.max()) / 200)
    low, shape = low - 1.5 * cell, np.ceil(side / cell).astype(int) + 3
    return Grid(low, cell, (int(shape[0]), int(shape[1]), int(shape[2])))


def fitted_normals(points: Array, eyes: Array) -> Array:
    """(M, 3): of the plane through each point's neighbours, turned towards its eye (M, 3)."""
    from scipy.spatial import cKDTree

    _, near = cKDTree(points).query(points, k=min(NEIGHBOURS, len(points)))
    around = points[near] - points[near].mean(1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("mki,mkj->mij", around, around))
    normals = axes[:, :, 0]
    away = np.einsum("mi,mi->m", normals, eyes - points) < 0
    turned: Array = np.where(away[:, None], -normals, normals)
    return turned


def project(look_camera: tuple[float, float, float, float], size: tuple[int, int], in_cam: Array) -> tuple[Ints, Ints]:
    """Columns and rows (M,) of a pinhole (fx, fy, cx, cy); -1 where a point is behind or outside of (width, height)."""
    fx, fy, cx, cy = look_camera
    z = np.where(in_cam[:, 2] > 1e-9, in_cam[:, 2], np.nan)
    with np.errstate(invalid="ignore"):
        u, v = np.floor(fx * in_cam[:, 0] / z + cx), np.floor(fy * in_cam[:, 1] / z + cy)
        inside = (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1])
    return np.where(inside, u, -1).astype(np.int64), np.where(inside, v, -1).astype(np.int64)


def look_at_points(look: Look, points: Array) -> tuple[Array, Ints, Ints]:
    """z (M,) of points in a look, and their columns and rows, -1 outside of the picture."""
    camera, pose = look.camera, look.cam_from_level
    in_cam = points @ pose.rotation.T + pose.translation
    column, row = project((camera.fx, camera.fy, camera.cx, camera.cy), (camera.width_px, camera.height_px), in_cam)
    return in_cam[:, 2], column, row


def with_unknown(surface: Surface, looks: Sequence[Look]) -> tuple[Surface, Bools]:
    """The surface with the unknown that borders on it, and which cells (grid.shape) a camera saw to be free.

    A cell is free where a camera sees past it, unknown where none does and none sees a surface in it: it is hidden, or
    outside of every picture. Unknown cells beside free ones are the rear sides of Isler et al. (2016), and where they
    touch a known surface that surface goes on: what no camera saw, but the edges of frames and things say is there.
    """
    from scipy.ndimage import binary_opening, generate_binary_structure
    from scipy.spatial import cKDTree

    grid = surface.grid
    free, met = np.zeros(grid.size, bool), np.zeros(grid.size, bool)
    middles = grid.centres(np.arange(grid.size))
    met[surface.cells] = True
    for look in looks:
        z, column, row = look_at_points(look, middles)
        seen = np.flatnonzero(column >= 0)
        depth = look.depth[row[seen], column[seen]]
        past = np.where(depth > 0, depth, np.inf) - z[seen]
        free[seen[past > grid.cell]] = True
        met[seen[np.abs(past) <= grid.cell]] = True
    unknown = (~free & ~met).reshape(grid.shape)
    unknown = binary_opening(unknown, generate_binary_structure(3, 1))
    free_cells = (free & ~_mask(grid, surface.cells)).reshape(grid.shape)
    towards = _towards_free(free_cells)
    rim = unknown & (np.abs(towards).sum(-1) > 0)
    cells = np.flatnonzero(rim)
    if not len(cells):
        return surface, free_cells
    points = grid.centres(cells)
    distance, _ = cKDTree(surface.points).query(points)
    weight = 0.5 * np.exp(-0.5 * (distance / (FLANK_CELLS * grid.cell)) ** 2)
    keep = weight > 0.05
    normals = towards[rim][keep]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    joined = Surface(
        grid,
        np.concatenate([surface.cells, cells[keep]]),
        np.concatenate([surface.points, points[keep]]),
        np.concatenate([surface.normals, normals]),
        np.concatenate([surface.is_known, np.zeros(keep.sum(), bool)]),
        np.concatenate([surface.weight, weight[keep]]),
    )
    return joined, free_cells


def _mask(grid: Grid, cells: Ints) -> Bools:
    mask = np.zeros(grid.size, bool)
    mask[cells] = True
    return mask


def _towards_free(free: Bools) -> Array:
    """(i, j, k, 3): the sum of the directions of the six neighbours that are free."""
    padded = np.pad(free, 1).astype(np.float64)
    middle = slice(1, -1)
    sums = []
    for axis in range(3):
        above, below = [middle] * 3, [middle] * 3
        above[axis], below[axis] = slice(2, None), slice(None, -2)
        sums.append(padded[tuple(above)] - padded[tuple(below)])
    return np.stack(sums, -1)


def sphere_pose(place: Array) -> Pose:
    """An upright camera at a place (3,) that looks along +x; its panorama shows everything around."""
    rotation = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    return Pose(rotation, -rotation @ place)
