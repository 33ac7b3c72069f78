"""What the page is told about a scene: plain data, its JSON form `scene.json`, and how to get it from a posed scene.

World frame as everywhere: +z up, metres when `is_metric`. Cameras are pinholes; a photo is undistorted to its pinhole,
so that it lies exactly over the rendering. The reader of `scene.json` is web/src/manifest.ts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.render.splats import Splats

from .splat_files import PageSplats

SCHEMA = 1
PHOTO_SIZE_PX = 1600
THUMBNAIL_SIZE_PX = 256
JPEG_QUALITY = 88
STRAIGHT_DOWN = 0.95
"""A direction of sight with more than this share along the world's up, within 18 degrees of it, has no horizon."""

PhotoSource = Callable[[int], bytes]
"""The photo as JPEG, undistorted, its longer side at most so many pixels."""

Vec3 = tuple[float, float, float]


@dataclass(frozen=True)
class SavedView:
    """A view that somebody kept: where from, what is looked at, and up, in the world."""

    name: str
    position: Vec3
    target: Vec3
    up: Vec3 = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Annotation:
    """A note pinned to a point of the world."""

    title: str
    text: str
    point: Vec3


@dataclass(frozen=True)
class ViewerCamera:
    """One capture camera as a pinhole at the size in which the page shows its photo.

    cam_from_world: three rows of four, OpenCV axes.
    photo: gives the photo; None where there is none.
    """

    name: str
    width_px: int
    height_px: int
    fx: float
    fy: float
    cx: float
    cy: float
    cam_from_world: tuple[tuple[float, ...], ...]
    photo: PhotoSource | None = None

    @property
    def camera(self) -> Camera:
        return Camera.pinhole(self.width_px, self.height_px, self.fx, self.fy, self.cx, self.cy)

    @property
    def pose(self) -> Pose:
        return Pose.from_matrix(self.cam_from_world)


@dataclass(frozen=True)
class ViewerScene:
    """A scene as the page shows it.

    splats: a file that `render.formats` reads. is_antialiased: how they are to be drawn, see `Splats`.
    bounds_min, bounds_max: where the bulk of the scene is, strays left out, in the world.
    home_position, home_target, home_up: the first view.
    mesh, collider: GLB files: the surface as a picture, and what a walker bumps into.
    world_from_mesh: where both lie in the world, rows of a 4 x 4 matrix; None where they are made.
    coverage: a JSON file of how well the capture saw the scene.
    server: base URLs of what a server behind the page offers, by name; empty in a published folder.
    """

    title: str
    splats: Path
    splat_count: int
    sh_degree: int
    is_metric: bool
    bounds_min: Vec3
    bounds_max: Vec3
    home_position: Vec3
    home_target: Vec3
    home_up: Vec3 = (0.0, 0.0, 1.0)
    cameras: tuple[ViewerCamera, ...] = ()
    metric_source: str | None = None
    is_antialiased: bool = False
    mesh: Path | None = None
    collider: Path | None = None
    world_from_mesh: tuple[tuple[float, ...], ...] | None = None
    coverage: Path | None = None
    viewpoints: tuple[SavedView, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    server: Mapping[str, str] = field(default_factory=dict)


def data_files(scene: ViewerScene) -> dict[str, Path]:
    """The scene's files beside splats and photos, by their URL relative to the page."""
    files = {"mesh.glb": scene.mesh, "collider.glb": scene.collider, "coverage.json": scene.coverage}
    return {name: path for name, path in files.items() if path is not None}


def photo_files(scene: ViewerScene) -> dict[str, tuple[ViewerCamera, int]]:
    """Every picture the page may ask for: its URL relative to the page, whose it is and its size."""
    files = {}
    for index, camera in enumerate(scene.cameras):
        if camera.photo is not None:
            files[f"photos/{index:04d}.jpg"] = (camera, max(camera.width_px, camera.height_px))
            files[f"thumbnails/{index:04d}.jpg"] = (camera, THUMBNAIL_SIZE_PX)
    return files


def manifest(scene: ViewerScene, splats: PageSplats) -> dict[str, Any]:
    """The JSON of `scene.json`; URLs are relative to the page."""
    whole, *preview = (
        {"url": url, "format": file.format, "count": file.count, "bytes": file.bytes}
        for url, file in splats.urls().items()
    )

    def camera(index: int, c: ViewerCamera) -> dict[str, Any]:
        has = c.photo is not None
        return {
            "name": c.name,
            "width_px": c.width_px,
            "height_px": c.height_px,
            "fx": c.fx,
            "fy": c.fy,
            "cx": c.cx,
            "cy": c.cy,
            "cam_from_world": [list(row) for row in c.cam_from_world],
            "photo": f"photos/{index:04d}.jpg" if has else None,
            "thumbnail": f"thumbnails/{index:04d}.jpg" if has else None,
        }

    return {
        "schema": SCHEMA,
        "title": scene.title,
        "is_metric": scene.is_metric,
        "metric_source": scene.metric_source,
        "splats": {
            **whole,
            "sh_degree": scene.sh_degree,
            "is_antialiased": scene.is_antialiased,
            "preview": preview[0] if preview else None,
        },
        "bounds": {"min": list(scene.bounds_min), "max": list(scene.bounds_max)},
        "home": {
            "position": list(scene.home_position),
            "target": list(scene.home_target),
            "up": list(scene.home_up),
        },
        "cameras": [camera(i, c) for i, c in enumerate(scene.cameras)],
        "viewpoints": [asdict(view) for view in scene.viewpoints],
        "annotations": [asdict(note) for note in scene.annotations],
        **{Path(name).stem: name for name in data_files(scene)},
        "world_from_mesh": scene.world_from_mesh,
        **({"server": dict(scene.server)} if scene.server else {}),
    }


def viewer_scene(
    scene: PosedScene, splats_path: Path, *, title: str, photo_size_px: int = PHOTO_SIZE_PX
) -> ViewerScene:
    """The page's data for a posed scene and its trained splats.

    Photos are read when they are asked for, not here.

    Raises InputError when the splat file cannot be read.
    """
    from diorama.reconstruct.views import view_camera
    from diorama.render.formats import read_splats

    splats = read_splats(splats_path)
    cameras = []
    for frame in scene.registered:
        pinhole = view_camera(scene.camera(frame), photo_size_px, lens="straight")
        pose = scene.cam_from_world[frame.name]
        cameras.append(
            ViewerCamera(
                name=frame.name,
                width_px=pinhole.width_px,
                height_px=pinhole.height_px,
                fx=pinhole.fx,
                fy=pinhole.fy,
                cx=pinhole.cx,
                cy=pinhole.cy,
                cam_from_world=tuple(tuple(float(x) for x in row) for row in pose.matrix()[:3]),
                photo=_photo_source(scene, frame.name),
            )
        )
    low, high = scene_bounds(splats, cameras)
    position, target, up = home_view(splats, cameras, low, high)
    return ViewerScene(
        title=title,
        splats=Path(splats_path),
        splat_count=len(splats),
        sh_degree=splats.sh_degree,
        is_antialiased=splats.is_antialiased,
        is_metric=scene.is_metric,
        metric_source=scene.metric_source,
        bounds_min=_vec3(low),
        bounds_max=_vec3(high),
        home_position=_vec3(position),
        home_target=_vec3(target),
        home_up=_vec3(up),
        cameras=tuple(cameras),
    )


def scene_bounds(
    splats: Splats, cameras: list[ViewerCamera]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A box (3,), (3,) around the cameras and nine tenths of the visible splats along each axis."""
    solid = splats.means[splats.opacities > 0.2]
    points = (solid if len(solid) else splats.means).astype(np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        points = np.zeros((1, 3))
    low, high = np.percentile(points, [5, 95], axis=0)
    centres = np.array([c.pose.origin_in_source for c in cameras]).reshape(-1, 3)
    low, high = np.vstack([low, centres]).min(axis=0), np.vstack([high, centres]).max(axis=0)
    # A flat or single-point scene still needs a size to move in.
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-3)
    return middle - half, middle + half


def home_view(
    splats: Splats,
    cameras: list[ViewerCamera],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Position, target and up (3,) of the first view: what the camera in the middle of the capture saw.

    Up is the world's, except for a camera that looks straight down or up, as from a drone: there it is the photo's.
    Without cameras, from outside the bounds, looking at their middle.
    """
    middle = (low + high) / 2
    radius = float(np.linalg.norm(high - low)) / 2
    up = np.array([0.0, 0.0, 1.0])
    if not cameras:
        return middle + radius * 1.7 * np.array([0.5, -0.75, 0.45]), middle, up
    home = cameras[len(cameras) // 2]
    pose = home.pose
    points = pose.apply(splats.means[:: max(1, len(splats) // 50_000)])
    pixels = home.camera.project(points)
    seen = (pixels >= 0).all(axis=1) & (pixels <= [home.width_px, home.height_px]).all(axis=1)
    depth = float(np.median(points[seen, 2])) if seen.any() else radius
    if not math.isfinite(depth) or depth <= 0:
        depth = radius
    position, ahead = pose.origin_in_source, pose.rotation[2]
    if abs(ahead[2]) > STRAIGHT_DOWN:
        up = -pose.rotation[1]
    return position, position + depth * ahead, up


def _photo_source(scene: PosedScene, name: str) -> PhotoSource:
    def photo(max_size_px: int) -> bytes:
        import io

        import PIL.Image

        from diorama.reconstruct.views import load_views

        (view,) = load_views(scene, [name], max_size_px, lens="straight")
        file = io.BytesIO()
        PIL.Image.fromarray(view.rgb).save(file, "JPEG", quality=JPEG_QUALITY)
        return file.getvalue()

    return photo


def _vec3(value: npt.NDArray[np.float64]) -> Vec3:
    x, y, z = (float(v) for v in value)
    return x, y, z
