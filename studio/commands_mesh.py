"""`diorama mesh`: a textured surface of the scene."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, arg

from .commands import ExistingScene, Output, Switch
from .console import Console
from .scene import Scene

if TYPE_CHECKING:
    from diorama.reconstruct.mesh import MeshConfig


@dataclass(frozen=True)
class MeshOptions:
    """What the surface is made of, and how fine it is."""

    source: Annotated[
        Literal["auto", "splats", "depth", "both"],
        arg(
            name="from",
            help="What the surface is made of. both: depth maps, and splats where these are not sure; auto: depth maps "
            "where half of the pictures have one, with splats where much is unsure; else splats.",
        ),
    ] = "auto"
    method: Annotated[
        Literal["tsdf", "poisson"],
        arg(help="tsdf: only what was seen; poisson: a smooth surface through the points of all depth pictures."),
    ] = "tsdf"
    faces: Annotated[int, arg(metavar="N", help="Faces of the finest level.")] = 50_000
    texture: Annotated[int, arg(metavar="PX", help="Side of the texture; 0 for colours at the vertices.")] = 2_048
    normal_map: Annotated[Switch, arg(metavar="on|off", help="Keep what fewer faces lose as a normal map.")] = "on"
    crop: Annotated[
        str,
        arg(
            metavar="scene|region|X0,Y0,Z0,X1,Y1,Z1",
            help="scene: all that was seen well; region: what the cameras look at; or a box in world coordinates.",
        ),
    ] = "scene"
    ground: Annotated[Literal["keep", "cut"], arg(help="cut: without the floor; what stood on it is closed below.")] = (
        "keep"
    )
    close: Annotated[bool, arg(help="Close every hole, so that the surface encloses a volume.")] = False
    voxel: Annotated[
        float | None,
        arg(
            metavar="LENGTH",
            help="Finest detail in world units (default: what a pixel covers at the object).",
            help_behavior_hint="",
        ),
    ] = None
    size: Annotated[int, arg(metavar="PX", help="Longer side of the depth pictures.")] = 640
    photo_size: Annotated[int, arg(metavar="PX", help="Longer side of the photos that the texture is made of.")] = 1_600
    lods: Annotated[int, arg(metavar="N", help="Levels of detail, each with a quarter of the faces.")] = 3
    collider: Annotated[
        Literal["parts", "hull", "none"], arg(help="parts: a few convex shapes that follow the surface; hull: one.")
    ] = "parts"


@dataclass(frozen=True)
class Mesh:
    """Make a triangle mesh with texture, levels of detail and a collider, from splats or depth maps."""

    scene: ExistingScene
    mesh: OmitArgPrefixes[MeshOptions] = dataclasses.field(default_factory=MeshOptions)
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        return stage_mesh(Scene.open(self.scene), mesh_config(self.mesh), console)


def mesh_config(options: MeshOptions) -> MeshConfig:
    from diorama.reconstruct.mesh import CleanConfig, FusionConfig, MeshConfig, TextureConfig

    return MeshConfig(
        source=options.source,
        method=options.method,
        crop=options.crop,
        ground=options.ground,
        faces=options.faces,
        lods=options.lods,
        collider=options.collider,
        fusion=FusionConfig(depth_px=options.size, voxel=options.voxel),
        clean=CleanConfig(close=options.close),
        texture=TextureConfig(
            size_px=options.texture, photo_px=options.photo_size, normal_map=options.normal_map == "on"
        ),
    )


def stage_mesh(scene: Scene, config: MeshConfig, console: Console) -> dict[str, Any]:
    from . import pipeline
    from .meshing import MESH_FILE, PREVIEW_FILE, run_mesh
    from .progress import duration

    with scene.lock(), console.progress(scene.root) as tell:
        pipeline.pose_imported(scene, on_event=tell)
        outcome = run_mesh(scene, config, on_event=tell)
        report = pipeline.run_report(scene)
    result, folder = outcome.record.result, scene.folder("mesh")
    state = "made" if outcome.fresh else "was there already"
    closed = "closed" if result["watertight"] else f"{result['holes']} holes"
    made_of = {"both": "depth maps and splats", "depth": "depth maps"}.get(result["source"], result["source"])
    why = "" if result["source_reason"] == "as asked" else f" ({result['source_reason']})"
    console.say(
        f"A mesh of {result['faces'][0]:,} faces ({closed}) {state} from {made_of}{why} "
        f"in {duration(outcome.record.seconds)}: {folder / MESH_FILE}"
    )
    if result["psnr_db"] is not None:
        console.say(
            f"Drawn from the photos' cameras it is {result['psnr_db']:.1f} dB from them: {folder / PREVIEW_FILE}"
        )
    console.say(f"Report: {report}")
    return {
        "scene": str(scene.root),
        "stage": "mesh",
        "fresh": outcome.fresh,
        "report": str(report),
        "seconds": outcome.record.seconds,
        "peak_memory_bytes": outcome.record.peak_memory_bytes,
        "mesh_path": str(folder / MESH_FILE),
        "preview_path": str(folder / PREVIEW_FILE),
        "step_seconds": result["seconds"],
        **{name: value for name, value in result.items() if name != "seconds"},
    }
