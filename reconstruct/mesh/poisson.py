"""Screened Poisson reconstruction (Kazhdan and Hoppe 2013) of the depth pictures' points, by Open3D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.render.mesh import Mesh

from .clean import with_faces
from .region import Bounds
from .views import DepthView

Floats = npt.NDArray[np.float32]

MAX_POINTS = 1_500_000
FURTHEST = 4.0
"""Where no point is nearer than so many times the voxel, the surface is an invention and goes, unless it is to be
closed."""


def points_and_normals(views: Sequence[DepthView], bounds: Bounds, voxel: float) -> tuple[Floats, Floats]:
    """One oriented point (P, 3) per voxel that holds any: the mean of the depth pictures' points and normals."""
    points, normals = [], []
    each = max(1, sum(v.depth.size for v in views) // (4 * MAX_POINTS))
    for view in views:
        at = view.points()
        across, down = np.full_like(at, np.nan), np.full_like(at, np.nan)
        across[:, 1:-1], down[1:-1] = at[:, 2:] - at[:, :-2], at[2:] - at[:-2]
        normal = np.cross(down, across)  # towards the camera: rows run down, columns right, the view forward
        length = np.linalg.norm(normal, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            good = bounds.holds(at) & (length > 0)
            chosen = np.flatnonzero(good)[::each]
            normals.append((normal / length[..., None]).reshape(-1, 3)[chosen].astype(np.float32))
        points.append(at.reshape(-1, 3)[chosen].astype(np.float32))
    every, facing = np.concatenate(points), np.concatenate(normals)
    cells = np.floor((every - bounds.low) / voxel).astype(np.int64)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    count = np.bincount(cell)
    mean, normal = (
        np.stack([np.bincount(cell, values[:, k]) / count for k in range(3)], axis=1) for values in (every, facing)
    )
    length = np.linalg.norm(normal, axis=1)
    good = length > 0.3  # where normals of one voxel disagree, there are two sides in it or none
    return mean[good].astype(np.float32), (normal[good] / length[good, None]).astype(np.float32)


def poisson(points: Floats, normals: Floats, octree_depth: int, voxel: float, *, close: bool) -> Mesh:
    """The surface through oriented points; without `close`, only as far as there are points near it.

    Raises InputError for too few points.
    """
    if len(points) < 100:
        raise InputError(f"{len(points)} points with a normal are too few for a Poisson surface; use --method tsdf.")
    import open3d as o3d
    from scipy.spatial import cKDTree

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.normals = o3d.utility.Vector3dVector(normals.astype(np.float64))
    made, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=octree_depth, n_threads=1)
    mesh = Mesh(np.asarray(made.vertices).astype(np.float32), np.asarray(made.triangles).astype(np.int32))
    if close or not len(mesh):
        return mesh
    distance, _ = cKDTree(points).query(mesh.vertices)
    return with_faces(mesh, (distance <= FURTHEST * voxel)[mesh.faces].all(axis=1))
