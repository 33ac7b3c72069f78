"""Files that hold meshes: one module per format, all listed in `MESH_FORMATS`.

Every writer takes a `MeshAsset` in our axes (+z up) and turns it into those of its format; every reader turns it back.
Files read are taken to be hostile; files are written whole or not at all, what a file names before the file itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, ignore

from ...mesh import MeshAsset
from . import glb, obj, ply, usd
from .glb import GlbOptions, read_glb, write_glb
from .placing import Y_UP_FROM_Z_UP, placed

__all__ = [
    "MESH_FORMATS",
    "Y_UP_FROM_Z_UP",
    "GlbOptions",
    "MeshFormat",
    "placed",
    "read_glb",
    "read_mesh",
    "write_glb",
    "write_mesh",
]


@dataclass(frozen=True)
class MeshFormat:
    """One file format of meshes.

    extensions: what names it may end in, the first is written. read: `(path, on_event=) -> MeshAsset`, or None.
    """

    name: str
    extensions: tuple[str, ...]
    read: Callable[..., MeshAsset] | None


MESH_FORMATS: dict[str, MeshFormat] = {
    f.name: f
    for f in (
        MeshFormat("glb", (".glb", ".gltf"), glb.read_glb),
        MeshFormat("obj", (".obj",), obj.read_obj),
        MeshFormat("ply", (".ply",), ply.read_mesh_ply),
        MeshFormat("usd", (".usd", ".usda", ".usdc"), None),
        MeshFormat("usdz", (".usdz",), None),
    )
}


def write_mesh(
    asset: MeshAsset, path: Path, format: str, name: str | None = None, *, glb_options: GlbOptions | None = None
) -> list[Path]:
    """Writes an asset (+z up) in the named format; returns all files made, `path` last but for a separate collider.

    Raises InputError when the format is unknown, there is nothing to write or the disk is full.
    """
    if format == "glb":
        glb.write_glb(asset, path, name, glb_options)
        return [path]
    writers = {"obj": obj.write_obj, "ply": ply.write_mesh_ply, "usd": usd.write_usd_mesh, "usdz": usd.write_usd_mesh}
    if format not in writers:
        raise InputError(f"{path}: meshes are written as {', '.join(MESH_FORMATS)}, not as {format}.")
    return writers[format](asset, path, name)


def read_mesh(path: str | Path, *, on_event: OnEvent = ignore) -> MeshAsset:
    """The mesh in a file, by its name's ending, in our axes.

    Raises InputError when it is missing, damaged, hostile or of a format that Diorama does not read.
    """
    path = Path(path)
    for form in MESH_FORMATS.values():
        if path.name.lower().endswith(form.extensions) and form.read is not None:
            return form.read(path, on_event=on_event)
    known = ", ".join(f.extensions[0] for f in MESH_FORMATS.values() if f.read is not None)
    raise InputError(f"{path} is not a mesh that Diorama reads; give one of {known}.")
