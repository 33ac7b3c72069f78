"""From depth to a textured surface with levels of detail and a collider: all steps, one after the other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Started, Warned, ignore
from diorama.capture.types import PosedScene
from diorama.render.mesh import Mesh, MeshAsset
from diorama.render.mesh_picture import MeshScene
from diorama.render.splats import Splats

from . import holes, tsdf
from .atlas import texels_of, unwrapped
from .bake import Painting, painting_of, textured, with_normal_map, with_vertex_colours
from .clean import cropped, cut_below, ground_height, manifold, smoothed, without_crumbs, without_flaps
from .collider import convex_hull, convex_parts
from .config import MeshConfig
from .consistency import confirmed
from .decimate import decimated
from .lod import levels
from .poisson import points_and_normals, poisson
from .region import Bounds, bounds_of
from .sources import Found, choose, filled_in
from .steps import Steps
from .views import STAGE, DepthView, map_views, splat_size, splat_views

DEPTH, COMPARE, FUSE, EXTRACT = "drawing depth", "comparing depths", "fusing depth", "finding the surface"
CLEAN, DECIMATE, UNWRAP, LOOK = "cleaning", "taking away faces", "laying out the texture", "looking through photos"
PAINT, NORMALS, LODS, COLLIDER = "painting", "baking normals", "coarser meshes", "collider"
SHARES = (
    (DEPTH, 10.0), (COMPARE, 6.0), (FUSE, 10.0), (EXTRACT, 3.0), (CLEAN, 4.0), (DECIMATE, 12.0), (UNWRAP, 12.0),
    (LOOK, 8.0), (PAINT, 16.0), (NORMALS, 8.0), (LODS, 9.0), (COLLIDER, 2.0),
)  # fmt: skip

UNSEEN = 0.2
"""Above this share of its area without any photo, a surface is worth a warning."""


@dataclass(frozen=True, eq=False)
class MeshResult:
    """A finished surface, in the world frame.

    source, reason: what it was made of, and why. dense_faces: before decimation. voxel: its side, world units.
    watertight: of the finest mesh, seams of the texture closed. holes: rims that are left. ground: the height that
    was cut at, None where nothing was. seen_share: of the area, what some photo shows. exposures: by frame name, the
    factors (red, green, blue) that bring its photo to the texture's exposure. seconds: by step.
    """

    asset: MeshAsset
    source: Found
    reason: str
    dense_faces: int
    voxel: float
    bounds: Bounds
    watertight: bool
    holes: int
    ground: float | None
    seen_share: float
    exposures: dict[str, tuple[float, ...]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def make_mesh(
    scene: PosedScene,
    config: MeshConfig | None = None,
    *,
    splats: Splats | None = None,
    depth_maps: Mapping[str, DepthMap] | None = None,
    on_event: OnEvent = ignore,
) -> MeshResult:
    """A surface of the scene, of its splats or of depth maps by frame name, as `config.source` says.

    Memory: about 40 bytes a voxel near the surface, 2 kB a place of the finest mesh for 150 photos, 16 bytes a texel,
    and one photo. KeyboardInterrupt stops between steps and within most; decimation and xatlas finish first.

    Raises:
        InputError: nothing to make a surface of, a photo or map cannot be read, or nothing is left of the surface.
    """
    config = config or MeshConfig()
    made = _Making(scene, config, on_event)
    on_event(Started(STAGE, 1_000))
    started = time.monotonic()
    result = made.run(splats, depth_maps)
    on_event(Finished(STAGE, time.monotonic() - started))
    return result


class _Making:
    """One run: what the steps share."""

    def __init__(self, scene: PosedScene, config: MeshConfig, on_event: OnEvent) -> None:
        self.scene, self.config, self.on_event = scene, config, on_event
        self.steps = Steps(on_event, SHARES)
        self.seconds: dict[str, float] = {}
        self._running: tuple[str, float] | None = None

    def begin(self, name: str) -> OnEvent:
        self._end()
        self._running = (name, time.monotonic())
        return self.steps.begin(name)

    def _end(self) -> None:
        if self._running is not None:
            name, since = self._running
            self.seconds[name] = round(time.monotonic() - since, 3)
            self._running = None

    def run(self, splats: Splats | None, maps: Mapping[str, DepthMap] | None) -> MeshResult:
        config = self.config
        choice = choose(self.scene, config, splats is not None, maps or {})
        bounds = bounds_of(self.scene, config)
        raw, voxel = self._surface(bounds, choice.source, splats, maps or {})
        dense, ground = self._cleaned(raw, bounds, voxel)
        self.begin(DECIMATE)
        bare = self._closed(decimated(dense, config.faces))
        open_rims = len(holes.rims(bare))
        dense = dense.with_normals()
        rays = MeshScene(dense)
        finest, painting = self._painted(bare, dense, rays)
        self.begin(LODS)
        lods = levels(finest, dense, rays, config.lods)
        self.begin(COLLIDER)
        asset = MeshAsset(tuple(lods), self._collider(bare))
        self._end()
        if painting.seen_share < 1 - UNSEEN:
            self.on_event(
                Warned(
                    STAGE,
                    f"{1 - painting.seen_share:.0%} of the surface is shown by no photo; its colours are guessed.",
                )
            )
        return MeshResult(
            asset,
            choice.source,
            choice.reason,
            len(dense),
            voxel,
            bounds,
            open_rims == 0,
            open_rims,
            ground,
            painting.seen_share,
            painting.exposures,
            self.seconds,
        )

    def _surface(
        self, bounds: Bounds, source: Found, splats: Splats | None, maps: Mapping[str, DepthMap]
    ) -> tuple[Mesh, float]:
        fusion = self.config.fusion
        views, difference = self._views(source, splats, maps)
        # What splats only fill in must not make the rest coarser.
        least = fusion.splat_voxels * splat_size(splats, bounds) if source == "splats" and splats is not None else 0.0
        voxel = tsdf.voxel_size(views, bounds, fusion, difference, least)
        tell = self.begin(FUSE)
        if self.config.method == "poisson":
            points, normals = points_and_normals(views, bounds, voxel)
            self.begin(EXTRACT)
            close = self.config.clean.close
            return poisson(points, normals, fusion.poisson_depth, voxel, close=close), voxel
        volume = tsdf.fuse(views, bounds, voxel, fusion, tell)
        self.begin(EXTRACT)
        return tsdf.surface(tsdf.filled(volume, fusion.fill_voxels)), voxel

    def _views(
        self, source: Found, splats: Splats | None, maps: Mapping[str, DepthMap]
    ) -> tuple[list[DepthView], float]:
        """The depth that holds, and what views usually differ by, relative to it; of maps where there are any."""
        fusion = self.config.fusion
        tell = self.begin(DEPTH)
        known = [] if source == "splats" else list(map_views(self.scene, maps, fusion, tell))
        drawn = [] if source == "depth" or splats is None else list(splat_views(self.scene, splats, fusion, tell))
        tell = self.begin(COMPARE)
        held, difference = [], 0.0
        for views in (drawn, known):
            if views:
                found = confirmed(views, fusion, tell)
                held.append([dataclasses.replace(v, depth=d) for v, d in zip(views, found.depths, strict=True)])
                difference = found.difference
        return (held[0] if len(held) == 1 else filled_in(held[1], held[0], fusion.neighbours)), difference

    def _cleaned(self, raw: Mesh, bounds: Bounds, voxel: float) -> tuple[Mesh, float | None]:
        """Cropped, cut, in one piece, smooth; and the height of the ground where it was cut."""
        self.begin(CLEAN)
        mesh = without_crumbs(manifold(cropped(raw, bounds)), self.config.clean.min_part)
        mesh = smoothed(mesh, self.config.fusion.smooth)
        ground = None
        if self.config.ground == "cut":
            height = ground_height(mesh, 2 * voxel)
            if height is None:
                self.on_event(Warned(STAGE, "No ground was found to cut away; the surface is kept whole."))
            else:
                ground = height + 3 * voxel
                mesh = without_crumbs(manifold(cut_below(mesh, ground)), self.config.clean.min_part)
                level = np.float32(ground)
                mesh = holes.filled(mesh, lambda rim: bool(np.abs(mesh.vertices[rim, 2] - level).mean() < voxel))
        mesh = self._closed(mesh)
        if len(mesh) < 4:
            raise InputError(
                "Nothing is left of the surface: too few pictures agree on where it is; "
                "check the report on the poses, or give a larger --crop."
            )
        return mesh, ground

    def _closed(self, mesh: Mesh) -> Mesh:
        clean = self.config.clean
        if not len(mesh):
            return mesh
        mesh = without_flaps(mesh)
        if not len(mesh):
            return mesh
        low, high = mesh.bounds
        most = np.inf if clean.close else clean.fill_holes * float(np.linalg.norm(high - low))
        return manifold(holes.filled(mesh, lambda rim: holes.perimeter(mesh, rim) <= most))

    def _painted(self, bare: Mesh, dense: Mesh, dense_rays: MeshScene) -> tuple[Mesh, Painting]:
        texture = self.config.texture
        views = self.config.fusion.views
        self.begin(UNWRAP)
        mesh = unwrapped(bare, texture.size_px) if texture.size_px else bare.with_normals()
        rays = MeshScene(mesh)
        tell = self.begin(LOOK)
        painting = painting_of(self.scene, mesh, rays, texture, views, tell)
        tell = self.begin(PAINT)
        if not texture.size_px:
            return with_vertex_colours(mesh, painting), painting
        texels = texels_of(mesh, texture.size_px)
        mesh = textured(self.scene, mesh, texels, painting, rays, texture, tell)
        if texture.normal_map:
            mesh = with_normal_map(mesh, texels, dense, dense_rays, self.begin(NORMALS))
        return mesh, painting

    def _collider(self, bare: Mesh) -> Mesh | None:
        if self.config.collider == "none":
            return None
        return convex_hull(bare) if self.config.collider == "hull" else convex_parts(bare, self.config.collider_parts)


def summary_of(result: MeshResult) -> dict[str, object]:
    """Numbers for scene.json and the report."""
    finest = result.asset.lods[0]
    texture = finest.texture
    low, high = finest.bounds
    return {
        "source": result.source,
        "source_reason": result.reason,
        "faces": [len(mesh) for mesh in result.asset.lods],
        "vertices": len(finest.vertices),
        "dense_faces": result.dense_faces,
        "texture_px": 0 if texture is None else texture.base_colour.shape[0],
        "normal_map": texture is not None and texture.normal_map is not None,
        "collider_faces": 0 if result.asset.collider is None else len(result.asset.collider),
        "voxel": result.voxel,
        "low": low.tolist(),
        "high": high.tolist(),
        "watertight": result.watertight,
        "holes": result.holes,
        "ground": result.ground,
        "seen_share": round(result.seen_share, 4),
        "seconds": dict(result.seconds),
    }
