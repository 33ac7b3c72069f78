"""Coarser meshes of the same surface, each with charts and a texture of its own that is copied from the finest."""

from __future__ import annotations

import dataclasses

import numpy as np

from diorama.render.mesh import Mesh, Texture
from diorama.render.mesh_picture import MeshScene, blend, surface_colours

from .atlas import texels_of, unwrapped
from .bake import laid_out, with_normal_map
from .decimate import decimated

LESS_FACES = 4
"""Each level has this much less faces and half the texture's side: the same texels per face."""

MIN_FACES = 200
MIN_TEXTURE_PX = 128


def levels(finest: Mesh, dense: Mesh, dense_rays: MeshScene, count: int) -> list[Mesh]:
    """At most `count` meshes, the finest first; fewer where a further one would have less than `MIN_FACES` faces.

    dense: the surface before decimation, with normals; `dense_rays` is of it.
    """
    found = [finest]
    rays = MeshScene(finest)
    for level in range(1, count):
        faces = len(finest) // LESS_FACES**level
        if faces < MIN_FACES:
            break
        bare = Mesh(finest.vertices, finest.faces) if level == 1 else Mesh(found[-1].vertices, found[-1].faces)
        coarse = decimated(_welded(bare), faces)
        if len(coarse) >= len(found[-1]):
            break
        if finest.texture is None:
            found.append(_with_colours(coarse.with_normals(), finest, rays))
        else:
            side = max(MIN_TEXTURE_PX, finest.texture.base_colour.shape[0] >> level)
            found.append(_with_texture(coarse, side, finest, rays, dense, dense_rays))
    return found


def _welded(mesh: Mesh) -> Mesh:
    """Seams closed: vertices in one place are one."""
    vertices, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return Mesh(np.ascontiguousarray(vertices), place.reshape(-1)[mesh.faces].astype(np.int32))


def _with_colours(mesh: Mesh, finest: Mesh, rays: MeshScene) -> Mesh:
    _, face, weights = rays.nearest(mesh.vertices)
    colours = surface_colours(finest, face, weights, np.ones_like(mesh.vertices))
    return dataclasses.replace(mesh, colours=np.round(colours * 255).astype(np.uint8))


def _with_texture(coarse: Mesh, side: int, finest: Mesh, rays: MeshScene, dense: Mesh, dense_rays: MeshScene) -> Mesh:
    mesh = unwrapped(coarse, side)
    texels = texels_of(mesh, side)
    points = blend(mesh.vertices, mesh.faces, texels.face, texels.weights)
    _, face, weights = rays.nearest(points)
    colours = surface_colours(finest, face, weights, np.ones_like(points))
    mesh = dataclasses.replace(mesh, texture=Texture(laid_out(texels, np.clip(np.round(colours * 255), 0, 255))))
    assert finest.texture is not None
    if finest.texture.normal_map is not None:
        mesh = with_normal_map(mesh, texels, dense, dense_rays)
    return mesh
