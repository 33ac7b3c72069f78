"""The command `export`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, arg

from diorama.capture.errors import InputError

from .commands import ExistingScene, Output, WantedVersion
from .console import Console
from .scene import Scene


@dataclass(frozen=True)
class MeshExportOptions:
    """How meshes are exported."""

    lods: Annotated[
        Literal["msft", "nodes", "none"] | None,
        arg(
            metavar="msft|nodes|none",
            help="Levels of detail in a GLB: as the MSFT_lod extension, as nodes NAME_LOD0, ..., or the finest alone.",
            help_behavior_hint="",
        ),
    ] = None
    faces: Annotated[
        int | None,
        arg(metavar="N", help="Leave out levels of detail with more faces than this.", help_behavior_hint=""),
    ] = None
    texture: Annotated[
        int | None, arg(metavar="PX", help="Make textures no larger than this.", help_behavior_hint="")
    ] = None


@dataclass(frozen=True)
class Export:
    """Write splats, mesh, points or cameras as files for other programs.

    With --for all that an engine wants: format, axes, units, origin, size, and a text on how to import it. Beside each
    file an .export.json tells how it relates to the scan and, with GPS, to survey coordinates. What a splat format
    loses is measured and reported.
    """

    scene: ExistingScene
    format: Annotated[
        str | None,
        arg(
            metavar="NAME",
            help="Splats: ply, spz, splat and others of convert. Mesh: glb, usdz, usd, obj, ply. Points: ply, laz. "
            "Cameras: glb, usd, usdz, colmap, colmap-text, transforms, blender.",
            help_behavior_hint="",
        ),
    ] = None
    what: Annotated[
        Literal["splats", "mesh", "points", "cameras"] | None,
        arg(
            metavar="splats|mesh|points|cameras",
            help="What to write: by default splats where the format holds them.",
            help_behavior_hint="",
        ),
    ] = None
    engine: Annotated[
        Literal["unreal", "unity", "godot", "blender", "web", "visionos"] | None,
        arg(
            name="for",
            metavar="unreal|unity|godot|blender|web|visionos",
            help="Splats, and the mesh where there is one, as this program wants them.",
            help_behavior_hint="",
        ),
    ] = None
    origin: Annotated[
        Literal["ground", "centre", "keep"] | None,
        arg(
            metavar="ground|centre|keep",
            help="Where 0, 0, 0 is: on the ground below the middle of the capture (default with --for), in its middle, "
            "or where the scene has it (default otherwise).",
            help_behavior_hint="",
        ),
    ] = None
    folder: Annotated[
        Path | None,
        arg(
            name="output",
            aliases=["-o"],
            metavar="DIR",
            help="Where the files go (default SCENE/exports, with --for a folder in it).",
            help_behavior_hint="",
        ),
    ] = None
    spz_version: Annotated[Literal[3, 4], arg(help="SPZ file version; 3 opens in more programs.")] = 3
    version: WantedVersion = None
    mesh: OmitArgPrefixes[MeshExportOptions] = dataclasses.field(default_factory=MeshExportOptions)
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from . import pipeline
        from .export import ExportRequest, run_export

        if self.format is None and self.engine is None:
            raise InputError("Say what to export: --format NAME, or --for ENGINE. See diorama export --help")
        scene = Scene.open(self.scene)
        request = ExportRequest(
            format=self.format,
            what=self.what,
            engine=self.engine,
            origin=self.origin,
            folder=self.folder,
            spz_version=self.spz_version,
            version=self.version,
            lods=self.mesh.lods,
            faces=_positive(self.mesh.faces, "--faces"),
            texture_px=_positive(self.mesh.texture, "--texture"),
        )
        with scene.lock(), console.progress(scene.root) as tell:
            result = run_export(scene, request, on_event=tell)
            if self.folder is None and scene.is_done("evaluate"):
                pipeline.run_report(scene)
        for made in result["files"]:
            console.say(made["path"])
        if "notes" in result:
            console.say(result["notes"])
        return result


def _positive(value: int | None, flag: str) -> int | None:
    if value is not None and value < 1:
        raise InputError(f"{flag} {value} is not a count; give 1 or more.")
    return value
