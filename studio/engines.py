"""What each engine wants: formats, axes, names, sizes, and how to import.

Every splat file is written in such axes that, after what the named plugin does to it, splats lie where the mesh of the
same export lies. `splats_from_export` states the file's numbers in terms of the export frame (right-handed, +z up,
metres). What the plugins do was read in their sources in November 2026 and is said in the notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from diorama.render.formats.meshes import GlbOptions

Engine = Literal["unreal", "unity", "godot", "blender", "web", "visionos"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

Matrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]

SAME: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
Y_DOWN: Matrix = ((-1, 0, 0), (0, 0, -1), (0, -1, 0))
"""y down, as most splat files are: half a turn about z, which SuperSplat makes, gives glTF's axes."""
UNREAL: Matrix = ((1, 0, 0), (0, 0, -1), (0, 1, 0))
"""x right, y down, z ahead, as COLMAP's cameras: what Unreal's plugins turn."""
UNITY: Matrix = ((-1, 0, 0), (0, 0, 1), (0, -1, 0))
"""Unity's left-handed +y up, mirrored at x, as its glTF importers mirror."""


@dataclass(frozen=True)
class Target:
    """How to deliver to one engine.

    splats: formats in order of liking, the first that Diorama writes is taken. sh_degree: exactly this many bands of
    harmonics, or None for those there are. plain_header: a PLY without comments, which not every plugin takes.
    max_faces, max_texture_px: what the first level and its textures are held to. max_splats: beyond it a warning.
    frame: the engine's, in words.
    """

    title: str
    frame: str
    splats: tuple[str, ...]
    splats_from_export: Matrix
    mesh: str
    glb: GlbOptions
    max_faces: int
    max_texture_px: int
    max_splats: int
    notes: str
    sh_degree: int | None = None
    plain_header: bool = False
    with_collider: bool = True

    @property
    def axes(self) -> npt.NDArray[np.float64]:
        return np.array(self.splats_from_export, np.float64)


TARGETS: dict[Engine, Target] = {
    "unreal": Target(
        title="Unreal Engine 5",
        frame="left-handed, +z up, centimetres; the importers turn and scale",
        splats=("ply",),
        splats_from_export=UNREAL,
        mesh="glb",
        glb=GlbOptions(lods="none", collider="UCX_{name}_{part}"),
        max_faces=1_000_000,
        max_texture_px=8192,
        max_splats=2_000_000,
        plain_header=True,
        notes="""\
Mesh: {mesh}
  1. Drag it into the Content Browser (Unreal Engine 5.2 or newer; its Interchange importer reads glTF).
  2. Leave the import scale alone: glTF's metres become centimetres, +y up becomes +z up.
  3. The collider's parts are named UCX_...; "Import Collision According to Mesh Name" makes them simple collision.
  4. For large meshes switch Nanite on. There is one level of detail in the file, as Nanite wants it.
Splats: {splats}
  With Italink's GaussianSplattingForUnrealEngine (github.com/Italink/GaussianSplattingForUnrealEngine):
  drag the PLY into the Content Browser, then the asset into the level. The plugin turns (x, y, z) of the file into
  100 * (x, -z, -y): the file is x right, y down, z ahead in metres, so the splats come in upright, in centimetres and
  where the mesh is. It draws colours without the view-dependent part.
  Other plugins, such as XVERSE's XScene-UEPlugin (github.com/xverse-engine/XScene-UEPlugin, UE 5.1 to 5.5), take the
  same PLY; if the scan lies on its side there, turn the actor, for their axes could not be checked.""",
    ),
    "unity": Target(
        title="Unity",
        frame="left-handed, +y up, metres",
        splats=("ply",),
        splats_from_export=UNITY,
        mesh="glb",
        glb=GlbOptions(lods="msft"),
        max_faces=300_000,
        max_texture_px=4096,
        max_splats=2_000_000,
        sh_degree=3,
        plain_header=True,
        notes="""\
Mesh: {mesh}
  1. Window > Package Manager > + > Install package by name: com.unity.cloud.gltfast
  2. Put the file into Assets. It arrives upright and in metres; glTFast mirrors x to get Unity's left-handed axes.
  3. The finest level is shown. Coarser ones are in the file as MSFT_lod, which glTFast does not use; for a LOD Group
     export again with --lods nodes and give its nodes _LOD0, _LOD1, ... to the group.
  4. The collider is the second scene of the file, "collider": add a Mesh Collider (Convex) with its mesh.
Splats: {splats}
  With UnityGaussianSplatting (github.com/aras-p/UnityGaussianSplatting):
  Tools > Gaussian Splats > Create GaussianSplatAsset, choose the PLY, then give the asset to a GaussianSplatRenderer.
  The plugin takes a PLY's numbers as they are, so this one is mirrored for Unity: leave scale at 1, 1, 1 and rotation
  at 0, and splats lie where the mesh is. Other viewers show this PLY mirrored; do not use it for them.""",
    ),
    "godot": Target(
        title="Godot 4",
        frame="right-handed, +y up, metres",
        splats=("ply",),
        splats_from_export=Y_DOWN,
        mesh="glb",
        glb=GlbOptions(lods="none", collider="{name}_{part}-convcolonly"),
        max_faces=200_000,
        max_texture_px=4096,
        max_splats=1_000_000,
        notes="""\
Mesh: {mesh}
  1. Put the file into the project. It arrives upright and in metres.
  2. Godot makes its own levels of detail on import, so there is one in the file.
  3. The collider's parts end in -convcolonly: Godot turns them into static bodies with convex shapes.
  4. With the gdgs plugin on, which claims .glb too, see that the Import tab says Scene.
Splats: {splats}
  With gdgs (github.com/ReconWorldLab/godot-gaussian-splatting, Godot 4.3 or newer): enable the plugin, put the PLY into
  the project, add a GaussianSplatNode and give it the resource.
  The plugin turns a new node by -180 degrees about z; the file is y down, so the splats come in upright.
  It also shifts splats so that their mean is the node's origin. To put them where the mesh is, set the node's position
  to {mean}.""",
    ),
    "blender": Target(
        title="Blender",
        frame="right-handed, +z up, metres",
        splats=("ply",),
        splats_from_export=SAME,
        mesh="glb",
        glb=GlbOptions(lods="none"),
        max_faces=2_000_000,
        max_texture_px=8192,
        max_splats=2_000_000,
        with_collider=False,
        notes="""\
Mesh: {mesh}
  File > Import > glTF 2.0. It arrives upright, in metres, textured. There is one level of detail and no collider in the
  file, because Blender shows everything that a glTF holds.
Splats: {splats}
  With KIRI's 3DGS Render add-on (github.com/Kiri-Innovation/3dgs-render-blender-addon): its panel > Import PLY.
  The add-on takes a PLY's numbers as they are; this one is +z up as Blender is, so leave the rotation at 0.
Cameras: diorama export SCENE --what cameras --format blender writes a script for Blender's Scripting workspace.""",
    ),
    "web": Target(
        title="Web pages (three.js, Babylon.js, PlayCanvas)",
        frame="right-handed, +y up, metres (Babylon: left-handed unless useRightHandedSystem is set)",
        splats=("sog", "spz"),
        splats_from_export=Y_DOWN,
        mesh="glb",
        glb=GlbOptions(lods="msft"),
        max_faces=150_000,
        max_texture_px=2048,
        max_splats=1_000_000,
        notes="""\
Mesh: {mesh}
  three.js: GLTFLoader. Babylon.js: SceneLoader, which uses the levels of detail (MSFT_lod). PlayCanvas: a container
  asset. It arrives upright and in metres. The collider is the second scene of the file, "collider".
Splats: {splats}
  The file is y down, as most splat files are; half a turn about z sets it upright and where the mesh is.
  three.js with Spark (github.com/sparkjsdev/spark): new SplatMesh({{url}}), then splats.rotation.z = Math.PI.
  PlayCanvas: a gsplat asset, then entity.setLocalEulerAngles(0, 0, 180). SuperSplat makes that half turn by itself.
Without any of that: diorama view SCENE --publish DIR writes a page that shows the scene.""",
    ),
    "visionos": Target(
        title="visionOS (RealityKit)",
        frame="right-handed, +y up, metres",
        splats=("ply",),
        splats_from_export=Y_DOWN,
        mesh="usdz",
        glb=GlbOptions(),
        max_faces=200_000,
        max_texture_px=2048,
        max_splats=200_000,
        notes="""\
Mesh: {mesh}
  Open it in Quick Look, or load it in RealityKit: try await Entity(named:in:) or ModelEntity(contentsOf:). It arrives
  upright, in metres, textured. Levels of detail are the variant set LOD; the collider is guide geometry with
  UsdPhysics' collision schema.
Splats: {splats}
  visionOS 27: RealityKit's GaussianSplatComponent draws splats; Apple's sample "Gaussian splats on visionOS" shows how
  to fill its buffers from a PLY. Beta 1 took 200,000 splats at most.
  Earlier: MetalSplatter (github.com/scier/MetalSplatter) reads the PLY.
  The file is y down, as most splat files are: turn the entity by half a turn about z
  (simd_quatf(angle: .pi, axis: [0, 0, 1])) and it stands upright where the mesh is.""",
    ),
}


def import_notes(engine: Engine, facts: dict[str, Any]) -> str:
    """The text file that goes along. facts: `title`, `mesh`, `splats`, `mean` (for Godot), `unit`, `origin`."""
    target = TARGETS[engine]
    head = f"{facts['title']} for {target.title}\n\nThe engine's frame: {target.frame}.\n"
    head += f"Unit: {facts['unit']}\nOrigin: {facts['origin']}\n"
    head += "How the files relate to the scan, and to survey coordinates: the .export.json beside each.\n\n"
    return head + target.notes.format(**facts) + "\n"
