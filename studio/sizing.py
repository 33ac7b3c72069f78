"""A mesh held to what an engine takes: faces by its levels of detail, textures by averaging."""

from __future__ import annotations

import dataclasses

from diorama.capture.events import OnEvent, Warned
from diorama.render.formats.meshes.pictures import shrunk
from diorama.render.mesh import MeshAsset, Texture


def within(asset: MeshAsset, max_faces: int | None, max_texture_px: int | None, on_event: OnEvent) -> MeshAsset:
    """The asset without the levels that have more than `max_faces`, and with textures of at most `max_texture_px`.

    Where even the coarsest level has more, it is kept and a warning says what to do.
    """
    lods = asset.lods
    if max_faces is not None:
        fitting = tuple(m for m in lods if len(m) <= max_faces)
        if not fitting:
            fitting = lods[-1:]
            least = f"its coarsest level has {len(lods[-1]):,} faces"
            on_event(
                Warned(
                    "export", f"The mesh has more than {max_faces:,} faces ({least}); make it with --faces {max_faces}."
                )
            )
        lods = fitting
    if max_texture_px is not None:
        smaller: dict[int, Texture] = {}
        for mesh in lods:
            if mesh.texture is not None and id(mesh.texture) not in smaller:
                normal = mesh.texture.normal_map
                smaller[id(mesh.texture)] = Texture(
                    shrunk(mesh.texture.base_colour, max_texture_px),
                    None if normal is None else shrunk(normal, max_texture_px),
                )
        lods = tuple(
            dataclasses.replace(m, texture=smaller[id(m.texture)]) if m.texture is not None else m for m in lods
        )
    return dataclasses.replace(asset, lods=lods)
