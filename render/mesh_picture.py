"""Pictures of meshes: rays through pixels, the first face each meets, and what the texture says there.

Slow and exact rather than fast: for measuring a mesh against photos, for finding which photo sees which face, and for
pictures of a report. Rays are cast by Open3D (Embree).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose

from .mesh import Mesh

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

ROWS_AT_ONCE = 1 << 20
"""Rays in one call: what a call returns takes about 50 bytes a ray."""


@dataclass(frozen=True, eq=False)
class MeshPicture:
    """What a camera sees of a mesh.

    rgb: (H, W, 3) float32 sRGB 0 to 1; background where nothing is met. alpha: (H, W) share of a pixel's rays that met
    something. The rest is of the ray through the pixel's middle: depth (H, W) along the optical axis, 0 for nothing;
    distance (H, W) along the ray, 0 for nothing; normals (H, W, 3) of the faces in the world; face (H, W), -1 for
    nothing.
    """

    rgb: Floats
    alpha: Floats
    depth: Floats
    distance: Floats
    normals: Floats
    face: Ints


@dataclass(frozen=True, eq=False)
class Hits:
    """Of R rays: t (R,) in lengths of the direction, infinite for nothing; face (R,), -1 for nothing; the weights
    (R, 2) of the face's second and third vertex."""

    t: Floats
    face: Ints
    weights: Floats


class MeshScene:
    """A mesh made ready for rays and for questions about its nearest points; keeps a copy of its triangles."""

    def __init__(self, mesh: Mesh) -> None:
        import open3d as o3d

        from diorama import kernels

        self.mesh = mesh
        self._tensor = o3d.core.Tensor
        self._scene: Any = o3d.t.geometry.RaycastingScene(nthreads=kernels.thread_count())
        if len(mesh.faces):
            self._scene.add_triangles(
                self._tensor(np.ascontiguousarray(mesh.vertices)),
                self._tensor(np.ascontiguousarray(mesh.faces.astype(np.uint32))),
            )

    def cast(self, origins: npt.ArrayLike, directions: npt.ArrayLike) -> Hits:
        """The first face that each ray (R, 3) meets, from either side; a ray that is not finite meets nothing."""
        start, along = np.asarray(origins, np.float32), np.asarray(directions, np.float32)
        rays = np.ascontiguousarray(np.concatenate([np.broadcast_to(start, along.shape), along], axis=1))
        t, face, weights = [], [], []
        for first in range(0, len(rays), ROWS_AT_ONCE):
            part = rays[first : first + ROWS_AT_ONCE]
            bad = ~np.isfinite(part).all(axis=1)
            if bad.any():
                part = np.where(bad[:, None], np.array([0, 0, 1e30, 0, 0, 1], np.float32), part)
            met = self._scene.cast_rays(self._tensor(part))
            distance, index = met["t_hit"].numpy(), met["primitive_ids"].numpy()
            found = np.isfinite(distance) & ~bad
            t.append(np.where(found, distance, np.float32(np.inf)))
            face.append(np.where(found, index.astype(np.int64), -1).astype(np.int32))
            weights.append(met["primitive_uvs"].numpy())
        if not t:
            return Hits(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros((0, 2), np.float32))
        return Hits(np.concatenate(t), np.concatenate(face), np.concatenate(weights))

    def nearest(self, points: npt.ArrayLike) -> tuple[Floats, Ints, Floats]:
        """For each of (P, 3): the nearest point of the mesh (P, 3), its face (P,), and the weights (P, 2) as in `Hits`.

        Raises ValueError for a mesh without faces.
        """
        if not len(self.mesh.faces):
            raise ValueError("a mesh without faces has no nearest point")
        asked = np.ascontiguousarray(np.asarray(points, np.float32))
        found = self._scene.compute_closest_points(self._tensor(asked))
        near, face = found["points"].numpy(), found["primitive_ids"].numpy().astype(np.int32)
        return near, face, found["primitive_uvs"].numpy()

    def picture(
        self, camera: Camera, cam_from_world: Pose, *, samples: int = 1, background: float = 0.0
    ) -> MeshPicture:
        """The mesh with its texture, else its vertex colours, else grey by the angle to the camera.

        samples: rays per pixel across and down for colour, evenly spread.
        """
        shape = (camera.height_px, camera.width_px)
        _, along = pixel_rays(camera, cam_from_world)
        middle = self.cast(cam_from_world.origin_in_source, along)
        found = middle.face >= 0
        distance = np.where(found, middle.t, 0).astype(np.float32)
        forward = along @ cam_from_world.rotation[2].astype(np.float32)
        normals = np.zeros((len(found), 3), np.float32)
        normals[found] = self.mesh.face_normals()[middle.face[found]]
        rgb, alpha = self._colour(camera, cam_from_world, samples, background)
        return MeshPicture(
            rgb.reshape(*shape, 3),
            alpha.reshape(shape),
            (distance * forward).reshape(shape),
            distance.reshape(shape),
            normals.reshape(*shape, 3),
            middle.face.reshape(shape),
        )

    def _colour(self, camera: Camera, cam_from_world: Pose, samples: int, background: float) -> tuple[Floats, Floats]:
        total = np.zeros((camera.height_px * camera.width_px, 3), np.float32)
        count = np.zeros(len(total), np.float32)
        for row in range(samples):
            for column in range(samples):
                offset = ((column + 0.5) / samples, (row + 0.5) / samples)
                _, along = pixel_rays(camera, cam_from_world, offset)
                hits = self.cast(cam_from_world.origin_in_source, along)
                found = hits.face >= 0
                colour = surface_colours(self.mesh, hits.face[found], hits.weights[found], along[found])
                total[found] += colour
                total[~found] += background
                count += found
        return total / np.float32(samples**2), count / np.float32(samples**2)


def surface_colours(mesh: Mesh, face: Ints, weights: Floats, along: Floats) -> Floats:
    """(P, 3) sRGB 0 to 1 at points of faces (P,), looked at along (P, 3): texture, else vertices, else shading."""
    if mesh.texture is not None and mesh.uvs is not None:
        return sample_picture(mesh.texture.base_colour, blend(mesh.uvs, mesh.faces, face, weights))
    if mesh.colours is not None:
        return blend(mesh.colours.astype(np.float32) / np.float32(255), mesh.faces, face, weights)
    facing = np.abs(np.einsum("pk,pk->p", mesh.face_normals()[face], along / np.linalg.norm(along, axis=1)[:, None]))
    return np.repeat((0.15 + 0.75 * facing)[:, None], 3, axis=1).astype(np.float32)


def blend(values: Floats, faces: npt.NDArray[np.integer], face: npt.NDArray[np.integer], weights: Floats) -> Floats:
    """Values (V, K) of vertices at points of faces (P,) with weights (P, 2) of the second and third vertex."""
    corners = faces[face]
    first = 1 - weights[:, :1] - weights[:, 1:]
    second, third = weights[:, :1], weights[:, 1:]
    mixed: Floats = first * values[corners[:, 0]] + second * values[corners[:, 1]] + third * values[corners[:, 2]]
    return mixed.astype(np.float32, copy=False)


def sample_picture(picture: npt.NDArray[np.uint8], uvs: Floats) -> Floats:
    """Bilinear values (P, K) 0 to 1 of a texture at (u, v), v up; beyond the border the border's own."""
    height, width = picture.shape[:2]
    return sample_pixels(picture, np.stack([uvs[:, 0] * width, (1 - uvs[:, 1]) * height], axis=1)) / np.float32(255)


def sample_pixels(picture: npt.NDArray[Any], pixels: npt.NDArray[Any]) -> Floats:
    """Bilinear values (P, K) float32 of a picture (H, W, K) at pixels (P, 2), the first one's middle at (0.5, 0.5);
    beyond the border the border's own."""
    height, width = picture.shape[:2]
    x = np.clip(pixels[:, 0] - 0.5, 0, width - 1).astype(np.float32)
    y = np.clip(pixels[:, 1] - 0.5, 0, height - 1).astype(np.float32)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    upper = picture[top, left] * (1 - fx) + picture[top, right] * fx
    lower = picture[bottom, left] * (1 - fx) + picture[bottom, right] * fx
    mixed: Floats = (upper * (1 - fy) + lower * fy).astype(np.float32, copy=False)
    return mixed


def pixel_rays(camera: Camera, cam_from_world: Pose, offset: tuple[float, float] = (0.5, 0.5)) -> tuple[Floats, Floats]:
    """Pixels (H W, 2) at `offset` within each, and unit directions (H W, 3) in the world of the rays through them."""
    pixels, rays = _rays_of(camera, offset)
    return pixels, rays @ cam_from_world.rotation.astype(np.float32)


@lru_cache(maxsize=4)
def _rays_of(camera: Camera, offset: tuple[float, float]) -> tuple[Floats, Floats]:
    x, y = np.meshgrid(np.arange(camera.width_px) + offset[0], np.arange(camera.height_px) + offset[1])
    pixels = np.stack([x.reshape(-1), y.reshape(-1)], axis=1)
    rays = camera.rays(pixels)
    return pixels.astype(np.float32), rays.astype(np.float32)
