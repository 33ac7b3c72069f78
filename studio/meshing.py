"""The stage `mesh`: from a posed scene's splats or depth maps to `mesh/`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, ignore

from .pipeline import Outcome, current_depth, load_posed_scene, load_splats, run_stage
from .scene import Scene

if TYPE_CHECKING:
    from diorama.capture.depth import DepthMap
    from diorama.capture.types import PosedScene
    from diorama.reconstruct.mesh import MeshConfig, MeshResult
    from diorama.render.mesh import Mesh, MeshAsset

MESH_FILE = "mesh.glb"
COLLIDER_FILE = "collider.glb"
COLLIDER_FACES = 20_000
PREVIEW_FILE = "preview.jpg"
PREVIEW_FRAMES = 3


def run_mesh(scene: Scene, config: MeshConfig, *, on_event: OnEvent = ignore) -> Outcome:
    """A surface into `mesh/mesh.glb`, what people walk on in the page into `mesh/collider.glb`, and `mesh/preview.jpg`:
    photos, the mesh from the same cameras, its shape."""
    from diorama.reconstruct.mesh.sources import choose

    scene.require("pose")
    posed = load_posed_scene(scene)
    maps, maps_from = depth_maps_of(scene, posed)
    choice = choose(posed, config, scene.is_done("train"), maps)
    source = choice.source

    def work(out: Path, tell: OnEvent) -> dict[str, Any]:
        from diorama.reconstruct.mesh import make_mesh, summary_of
        from diorama.render.formats.meshes import GlbOptions, write_glb
        from diorama.render.mesh import MeshAsset

        splats = None if source == "depth" else load_splats(scene)
        decided = dataclasses.replace(config, source=source)
        made = make_mesh(posed, decided, splats=splats, depth_maps=maps, on_event=tell)
        write_glb(made.asset, out / MESH_FILE, "mesh", GlbOptions(texture="png"))
        write_glb(MeshAsset((walkable(made.asset),)), out / COLLIDER_FILE, "collider")
        told = {"source_reason": choice.reason, "made_from": parts}
        return summary_of(made) | told | _checked(posed, made, out, tell)

    parts = [] if source == "splats" else [maps_from]
    parts += [] if source == "depth" else [scene.stages["train"].fingerprint]
    inputs = {"source": source, "made_from": " ".join(parts)}
    return run_stage(scene, "mesh", config, inputs, work, on_event=on_event)


def depth_maps_of(scene: Scene, posed: PosedScene) -> tuple[Mapping[str, DepthMap], str]:
    """The scene's depth maps, else those that came with the capture, and what says that they are still the same."""
    from diorama.reconstruct.depth import DepthMaps, load_depth_maps

    record = current_depth(scene)
    if record is not None:
        return load_depth_maps(scene.root), record.fingerprint
    return DepthMaps(posed.capture.images.parent / "depth"), "capture"


def walkable(asset: MeshAsset) -> Mesh:
    """What a person in the page walks on and bumps into: the finest surface that is small enough, bare.

    Not the collider of engines: its convex parts close doorways and fill the steps of stairs.
    """
    from diorama.render.mesh import Mesh

    chosen = next((m for m in asset.lods if 0 < len(m) <= COLLIDER_FACES), asset.lods[-1])
    return Mesh(chosen.vertices, chosen.faces)


def has_mesh(scene: Scene) -> bool:
    return (scene.root / "mesh" / MESH_FILE).is_file()


def load_mesh(scene: Scene) -> MeshAsset:
    """Raises InputError when the stage `mesh` has not been run."""
    from diorama.render.formats.meshes import read_glb

    if not has_mesh(scene):
        raise InputError(f"{scene.root} has no mesh yet; run: diorama mesh {scene.root}")
    return read_glb(scene.root / "mesh" / MESH_FILE)


def _checked(posed: PosedScene, made: MeshResult, out: Path, tell: OnEvent) -> dict[str, Any]:
    """Compares with the photos and writes the preview."""
    import numpy as np
    import PIL.Image

    from diorama.reconstruct.mesh.check import against_photos

    found = against_photos(posed, made.asset.lods[0], made.exposures, on_event=tell)
    names = sorted(found.cover, key=lambda name: -found.cover[name])[:PREVIEW_FRAMES]
    rows = [found.pictures[name] for name in found.pictures if name in names]
    width = min(row.shape[1] for row in rows)
    same = [np.asarray(PIL.Image.fromarray(r).resize((width, round(r.shape[0] * width / r.shape[1])))) for r in rows]
    PIL.Image.fromarray(np.concatenate(same)).save(out / PREVIEW_FILE, quality=90)
    mean = found.mean_db
    return {
        "psnr_db": None if mean is None else round(mean, 3),
        "as_taken_psnr_db": None if mean is None else round(float(np.mean(list(found.as_taken_db.values()))), 3),
        "photo_psnr_db": {name: round(value, 3) for name, value in found.psnr_db.items()},
        "photo_cover": {name: round(value, 4) for name, value in found.cover.items()},
    }
