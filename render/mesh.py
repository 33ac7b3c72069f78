"""Surfaces: a triangle mesh, its texture, and what is delivered of one scene: levels of detail and a collider.

Positions are in the scene's world frame (right-handed, +z up). A face's vertices run counter-clockwise where they are
seen from outside. Texture coordinates (u, v) lie in 0 to 1 with the origin at the lower left of the picture and v up;
row 0 of a picture is its top, so that the texel at (u, v) is row `(1 - v) * h`, column `u * w`. glTF counts v down:
its writer takes `1 - v`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Texture:
    """Pictures that share one layout of texture coordinates.

    base_colour: (h, w, 3) uint8 sRGB, light included as the photos show it.
    normal_map: (h, w, 3) uint8 or None: unit normals n as round(127.5 n + 127.5) in tangent space, +x along
        growing u, +y along growing v (OpenGL's and glTF's, not DirectX's), +z along the vertex normal.

    Raises ValueError when shapes or dtypes do not fit.
    """

    base_colour: Bytes
    normal_map: Bytes | None = None

    def __post_init__(self) -> None:
        for name in ("base_colour", "normal_map"):
            picture = getattr(self, name)
            if picture is None:
                continue
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                raise ValueError(f"{name} is {picture.dtype}{picture.shape}, expected uint8 (h, w, 3)")


@dataclass(frozen=True, eq=False)
class Mesh:
    """V vertices, F triangles.

    vertices: (V, 3) float32 in the world. faces: (F, 3) int32, indices of vertices.
    normals: (V, 3) float32 unit, outward, or None.
    uvs: (V, 2) float32 or None; vertices are split where the texture has a seam.
    colours: (V, 3) uint8 sRGB or None. texture: needs `uvs`.

    Raises ValueError when shapes, dtypes or indices do not fit, or a vertex is not finite.
    """

    vertices: Floats
    faces: Ints
    normals: Floats | None = None
    uvs: Floats | None = None
    colours: Bytes | None = None
    texture: Texture | None = None

    def __post_init__(self) -> None:
        v = len(self.vertices)
        wanted: dict[str, tuple[tuple[int, int], type[np.generic]]] = {
            "vertices": ((v, 3), np.float32),
            "faces": ((len(self.faces), 3), np.int32),
            "normals": ((v, 3), np.float32),
            "uvs": ((v, 2), np.float32),
            "colours": ((v, 3), np.uint8),
        }
        for name, (shape, dtype) in wanted.items():
            array = getattr(self, name)
            if array is not None and (array.shape != shape or array.dtype != dtype):
                raise ValueError(f"{name} is {array.dtype}{array.shape}, expected {np.dtype(dtype)}{shape}")
        if self.texture is not None and self.uvs is None:
            raise ValueError("a texture needs uvs")
        if len(self.faces) and (self.faces.min() < 0 or self.faces.max() >= v):
            raise ValueError(f"a face names a vertex outside 0 to {v - 1}")
        for name in ("vertices", "normals", "uvs"):
            array = getattr(self, name)
            if array is not None and not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")

    def __len__(self) -> int:
        """How many faces."""
        return len(self.faces)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner (3,) of the box around the vertices. Raises ValueError without vertices."""
        return self.vertices.min(axis=0), self.vertices.max(axis=0)

    def face_normals(self) -> Floats:
        """(F, 3) unit, zero for faces without area."""
        a, b, c = (self.vertices[self.faces[:, i]].astype(np.float64) for i in range(3))
        cross = np.cross(b - a, c - a)
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        unit: Floats = np.where(length > 0, cross / np.maximum(length, 1e-300), 0.0).astype(np.float32)
        return unit

    def area(self) -> float:
        """In square world units."""
        a, b, c = (self.vertices[self.faces[:, i]].astype(np.float64) for i in range(3))
        return float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())

    def with_normals(self) -> Mesh:
        """The mesh with vertex normals: means of the faces around a vertex, weighted by area (Gouraud).

        Vertices in one place (a seam of the texture) get one normal together, so that no seam is seen in the light.
        """
        a, b, c = (self.vertices[self.faces[:, i]].astype(np.float64) for i in range(3))
        cross = np.cross(b - a, c - a)
        _, place = np.unique(self.vertices, axis=0, return_inverse=True)
        place = place.reshape(-1)
        places = int(place.max(initial=-1)) + 1
        total = np.zeros((places, 3))
        for axis in range(3):
            weights = np.repeat(cross[:, axis], 3)
            total[:, axis] = np.bincount(place[self.faces.reshape(-1)], weights, minlength=places)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        unit = np.where(length > 0, total / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
        return dataclasses.replace(self, normals=np.ascontiguousarray(unit[place], np.float32))

    @staticmethod
    def empty() -> Mesh:
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))


@dataclass(frozen=True, eq=False)
class MeshAsset:
    """What is delivered: `lods[0]` in full detail, each further one coarser; the collider convex or made of convex
    parts (each a closed component of its own), without colours."""

    lods: tuple[Mesh, ...]
    collider: Mesh | None = None

    def __post_init__(self) -> None:
        if not self.lods:
            raise ValueError("an asset needs at least one mesh")
