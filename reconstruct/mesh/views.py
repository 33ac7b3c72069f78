"""The depth pictures that a surface is fused from: drawn of splats, or taken from depth maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Progressed
from diorama.capture.transforms import Pose
from diorama.capture.types import Frame, PosedScene
from diorama.render.splats import Splats

from ..depth import depth_in_view
from ..views import view_camera
from .config import FusionConfig
from .region import Bounds

Floats = npt.NDArray[np.float32]

STAGE = "mesh"

MIN_ALPHA = 0.6
"""Where splats take less of the light, they are a fog or the edge of something, and its middle says little."""

MIN_OPACITY = 0.3

GRAZING_COS = 0.08
"""Surfaces seen at less than about 5 degrees have a depth that changes by its own error from pixel to pixel."""


@dataclass(frozen=True, eq=False)
class DepthView:
    """A pinhole camera's depth (h, w), z along the optical axis in world units, 0 where it is not known."""

    name: str
    camera: Camera
    cam_from_world: Pose
    depth: Floats

    def points(self) -> npt.NDArray[np.float64]:
        """(h, w, 3) in the world; NaN where depth is not known."""
        rays = pixel_plane(self.camera)
        z = np.where(self.depth > 0, self.depth, np.nan)[..., None]
        return self.cam_from_world.inverse().apply(rays * z)


def pixel_plane(camera: Camera) -> npt.NDArray[np.float64]:
    """(h, w, 3): (x/z, y/z, 1) of the middle of each of a pinhole's pixels."""
    x = (np.arange(camera.width_px) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height_px) + 0.5 - camera.cy) / camera.fy
    grid = np.stack([*np.meshgrid(x, y), np.ones((camera.height_px, camera.width_px))], axis=-1)
    return grid


def chosen_frames(scene: PosedScene, most: int) -> list[Frame]:
    """At most so many registered frames, evenly spread over the capture's order."""
    frames = list(scene.registered)
    if len(frames) <= most:
        return frames
    return [frames[i] for i in np.linspace(0, len(frames) - 1, most).round().astype(int)]


def splat_views(scene: PosedScene, splats: Splats, config: FusionConfig, on_event: OnEvent) -> Iterator[DepthView]:
    """The median depth (where half of the light is taken) of splats from every camera of the scene.

    A panorama is drawn as the six sides of a cube.
    """
    from diorama.render.outputs import outputs

    looks = [
        look for frame in chosen_frames(scene, config.views) for look in camera_looks(scene, frame, config.depth_px)
    ]
    for done, (name, camera, pose) in enumerate(looks, start=1):
        drawn = outputs(splats, camera, pose)
        assert drawn.median_depth is not None
        known = (drawn.alpha >= MIN_ALPHA) & np.isfinite(drawn.median_depth) & (drawn.median_depth > 0)
        depth = np.where(known, drawn.median_depth, np.float32(0))
        yield DepthView(name, camera, pose, without_grazing(depth, camera))
        on_event(Progressed(STAGE, done, len(looks), "drawing depth of splats"))


def splat_size(splats: Splats, bounds: Bounds) -> float:
    """The median longest standard deviation of splats within the bounds that hide something; 0 without any."""
    inside = bounds.holds(splats.means) & (splats.opacities > MIN_OPACITY)
    return float(np.median(splats.scales[inside].max(axis=1))) if inside.any() else 0.0


def map_views(
    scene: PosedScene, maps: Mapping[str, DepthMap], config: FusionConfig, on_event: OnEvent
) -> Iterator[DepthView]:
    """The frames' depth maps, brought to pinhole cameras and to world units; less sure pixels are left out.

    Raises InputError when no frame has one.
    """
    frames = [frame for frame in scene.registered if frame.name in maps]
    if not frames:
        raise InputError("No frame of this scene has a depth map; run depth first, or make the mesh --from splats.")
    keep = {frames[i].name for i in np.linspace(0, len(frames) - 1, min(len(frames), config.views)).round().astype(int)}
    unit = np.float32(scene.world_from_input.scale)
    for done, frame in enumerate(f for f in frames if f.name in keep):
        taken = scene.camera(frame)
        if taken.lens == "equirectangular":
            raise InputError("Depth maps of panoramas cannot be fused yet; make the mesh --from splats.")
        camera = view_camera(taken, config.depth_px, "straight")
        shown = depth_in_view(maps[frame.name].above(config.min_confidence), taken, camera)
        depth = np.where(np.isfinite(shown.depth), shown.depth, 0) * unit
        yield DepthView(frame.name, camera, scene.cam_from_world[frame.name], without_grazing(depth, camera))
        on_event(Progressed(STAGE, done + 1, len(keep), "reading depth maps"))


def camera_looks(scene: PosedScene, frame: Frame, size_px: int) -> list[tuple[str, Camera, Pose]]:
    """Names, pinholes of at most `size_px` and `cam_from_world` that show what a frame's camera saw: one, or the six
    sides of a cube for a panorama."""
    taken, pose = scene.camera(frame), scene.cam_from_world[frame.name]
    if taken.lens != "equirectangular":
        return [(frame.name, view_camera(taken, size_px, "straight"), pose)]
    side = max(16, min(size_px, taken.width_px // 4))
    camera = Camera.pinhole(side, side, side / 2, side / 2, side / 2, side / 2)
    return [(f"{frame.name}#{i}", camera, Pose(turn, np.zeros(3)) @ pose) for i, turn in enumerate(_cube())]


def _cube() -> list[npt.NDArray[np.float64]]:
    """Rotations that look ahead, right, back, left, up and down."""
    level = [(0, 0, 1), (1, 0, 0), (0, 0, -1), (-1, 0, 0)]
    turns = []
    for ahead in level:
        forward = np.array(ahead, float)
        down = np.array([0.0, 1.0, 0.0])
        turns.append(np.stack([np.cross(down, forward), down, forward]))
    for vertical in (-1.0, 1.0):
        forward = np.array([0.0, vertical, 0.0])
        right = np.array([1.0, 0.0, 0.0])
        turns.append(np.stack([right, np.cross(forward, right), forward]))
    return turns


def without_grazing(depth: Floats, camera: Camera) -> Floats:
    """Depth without pixels whose surface, by their neighbours' depths, is seen edge-on; edges of things are such too.

    A pixel whose neighbours are not known stays.
    """
    z = np.where(depth > 0, depth, np.nan).astype(np.float64)
    points = pixel_plane(camera) * z[..., None]
    across, down = np.full_like(points, np.nan), np.full_like(points, np.nan)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    normal = np.cross(across, down)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.abs((normal * points).sum(-1)) / (np.linalg.norm(normal, axis=-1) * np.linalg.norm(points, axis=-1))
        grazing = cosine < GRAZING_COS
    return np.where(grazing, np.float32(0), depth).astype(np.float32)
