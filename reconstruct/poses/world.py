"""The world set upright: +z up, ground at z = 0, centred on what the cameras look at, in metres where something says
how long a metre is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.transforms import Sim3
from diorama.capture.types import PosedScene, SparsePoints

from .config import PoseConfig
from .geodesy import GpsFit, Positions, capture_positions, fit_gps, gps_from_enu
from .points import depths_of
from .up import Plane, Up, find_planes, ground_among, refine_up, up_from_cameras

Array = npt.NDArray[np.float64]

# Without a known scale, the usual distance of points from cameras becomes this many units: about that of a hand-held
# scan in metres, so that viewers' walking speeds and clipping planes suit.
USUAL_DEPTH = 3.0
LOW_QUANTILE = 0.02


def transformed(scene: PosedScene, new_from_world: Sim3) -> PosedScene:
    """The same scene in another world frame; what it says about metres and up is left as it is."""
    p = scene.points
    return replace(
        scene,
        cam_from_world={n: new_from_world.transform_camera(c) for n, c in scene.cam_from_world.items()},
        points=SparsePoints(new_from_world.apply(p.xyz), p.rgb_srgb, p.error_px, p.track_length),
        world_from_input=new_from_world @ scene.world_from_input,
    )


def place_world(scene: PosedScene, config: PoseConfig) -> PosedScene:
    """Set a freshly solved scene upright, then give it a scale: by a known distance, by GPS, else a handy one."""
    scene = upright(scene, use_gps=config.use_gps)
    if not scene.is_metric:
        depth = _usual_depth(scene)
        if depth > 0:
            scene = transformed(scene, Sim3(USUAL_DEPTH / depth, np.eye(3), np.zeros(3)))
    if config.distance is not None:
        scene = rescale(scene, *config.distance)
    return scene


def rescale(scene: PosedScene, a: str, b: str, metres: float) -> PosedScene:
    """Scale the world so that `a` and `b` are `metres` apart; each a frame's name (its camera's centre) or a point
    "x,y,z" of the world as it is now. Raises InputError where that cannot be."""
    if not (math.isfinite(metres) and metres > 0):
        raise InputError(f"A distance of {metres} metres is not one; give a number above 0.")
    distance = float(np.linalg.norm(_place(scene, a) - _place(scene, b)))
    if distance < 1e-6 * max(_usual_depth(scene), 1e-12):
        raise InputError(f"{a} and {b} are at the same place, so their distance gives no scale; pick two others.")
    scaled = transformed(scene, Sim3(metres / distance, np.eye(3), np.zeros(3)))
    # GPS agreed with the old scale, not with this one: the place on earth is the same, its orientation too.
    return replace(scaled, is_metric=True, metric_source="distance")


def _place(scene: PosedScene, text: str) -> Array:
    if text in scene.cam_from_world:
        return scene.cam_from_world[text].origin_in_source
    parts = text.split(",")
    if len(parts) == 3:
        try:
            point = np.array([float(v) for v in parts])
        except ValueError:
            point = np.full(3, np.nan)
        if np.all(np.isfinite(point)):
            return point
    matching = [n for n in scene.cam_from_world if n.rsplit(".", 1)[0] == text or n.rsplit("/", 1)[-1] == text]
    if len(matching) == 1:
        return scene.cam_from_world[matching[0]].origin_in_source
    known = any(f.name == text for f in scene.capture.frames)
    why = "has no camera" if known else 'is neither a frame with a camera nor a point "x,y,z"'
    raise InputError(f"{text} {why}; name one of the registered frames, such as {next(iter(scene.cam_from_world))}.")


def upright(scene: PosedScene, *, use_gps: bool = True) -> PosedScene:
    """Turn and shift the world so that up is +z, the ground z = 0 and what the cameras look at is above the origin.

    GPS, where it is good enough, says which way is up, north (+y) and how long a metre is; otherwise the cameras and
    planes among the points do, and the first camera looks along +y. A scene that is metric keeps its scale.
    """
    names = [f.name for f in scene.registered]
    if not names:
        return scene
    rotations = np.array([scene.cam_from_world[n].rotation for n in names])
    centres = np.array([scene.cam_from_world[n].origin_in_source for n in names])
    depth = _usual_depth(scene)
    near = _near_points(scene.points.xyz, centres, depth)
    planes = find_planes(near, depth) if depth > 0 else []
    positions = capture_positions(scene.capture) if use_gps else None
    fit = _fit_to(scene, positions)
    if fit is not None and fit.gives_up:
        up, ground = _up_from_gps(fit, planes, near, centres)
    else:
        up, ground = refine_up(up_from_cameras(rotations), planes, near, centres)
    turn = _turn_upright(up.direction)
    yaw = _yaw(scene, names, turn, fit, positions)
    rotation = yaw @ turn
    scale = fit.enu_from_scene.scale if fit is not None and fit.gives_scale and not scene.is_metric else 1.0
    look_at = rotation @ _looked_at(scene, centres)
    height = _ground_height(near @ rotation.T, ground)
    shift = -np.array([look_at[0], look_at[1], height])
    placed = transformed(scene, Sim3(scale, rotation, scale * shift))
    placed = replace(placed, up_source=up.source)
    if fit is None or positions is None:
        return placed
    return _with_gps(placed, fit, positions)


def _with_gps(scene: PosedScene, fit: GpsFit, positions: Positions) -> PosedScene:
    """State what GPS gave: metres, residual and where on earth the origin is; or why it was not good enough."""
    if not fit.gives_scale:
        message = (
            f"GPS is not good enough to set the scale here (cameras are {fit.residual_m:.1f} m from it over "
            f"{fit.extent_m:.0f} m of movement); give a known distance for metres"
        )
        return replace(scene, warnings=(*scene.warnings, message)) if not scene.is_metric else scene
    centres = np.array([scene.cam_from_world[n].origin_in_source for n in positions.names if n in scene.cam_from_world])
    enu = np.array([e for n, e in zip(positions.names, positions.enu_m, strict=True) if n in scene.cam_from_world])
    origin = np.median(enu - centres, axis=0)
    return replace(
        scene,
        is_metric=True,
        metric_source=scene.metric_source if scene.is_metric else "gps",
        georeference=gps_from_enu(origin, positions.origin),
    )


def _fit_to(scene: PosedScene, positions: Positions | None) -> GpsFit | None:
    if positions is None:
        return None
    known = [(n, e) for n, e in zip(positions.names, positions.enu_m, strict=True) if n in scene.cam_from_world]
    centres = np.array([scene.cam_from_world[n].origin_in_source for n, _ in known]).reshape(-1, 3)
    return fit_gps(centres, np.array([e for _, e in known]).reshape(-1, 3), positions.has_altitude)


def _up_from_gps(fit: GpsFit, planes: list[Plane], points: Array, centres: Array) -> tuple[Up, Plane | None]:
    """Up by GPS; the ground's normal where that lies within what GPS leaves open."""
    up = Up(fit.enu_from_scene.rotation[2], "gps", True)
    ground = ground_among(planes, up.direction, points, centres, np.radians(10.0))
    if ground is None:
        return up, None
    off = float(np.arccos(np.clip(ground.normal @ up.direction, -1, 1)))
    if off <= 2 * fit.tilt_error_rad:
        return Up(ground.normal, "ground plane", True), ground
    return up, ground


def _turn_upright(up: Array) -> Array:
    """The smallest rotation (3, 3) that takes `up` to +z."""
    z = np.array([0.0, 0.0, 1.0])
    axis, cosine = np.cross(up, z), float(up @ z)
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn: Array = np.eye(3) + k + k @ k / (1 + cosine)
    return turn


def _yaw(scene: PosedScene, names: list[str], turn: Array, fit: GpsFit | None, positions: Positions | None) -> Array:
    """Rotation about z: to north where GPS knows it, else so that the first camera looks along +y."""
    if fit is not None and fit.gives_scale and positions is not None:
        known = [(n, e) for n, e in zip(positions.names, positions.enu_m, strict=True) if n in scene.cam_from_world]
        level = np.array([turn @ scene.cam_from_world[n].origin_in_source for n, _ in known])[:, :2]
        enu = np.array([e for _, e in known])[:, :2]
        keep = _agreeing(fit, np.array([scene.cam_from_world[n].origin_in_source for n, _ in known]), known)
        a, b = level[keep] - level[keep].mean(0), enu[keep] - enu[keep].mean(0)
        return _about_z(math.atan2(float(np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])), float(np.sum(a * b))))
    first = turn @ scene.cam_from_world[names[0]].rotation.T
    ahead = first[:, 2] if np.hypot(*first[:2, 2]) > 0.2 else -first[:, 1]
    return _about_z(math.pi / 2 - math.atan2(ahead[1], ahead[0]))


def _agreeing(fit: GpsFit, centres: Array, known: list[tuple[str, Array]]) -> npt.NDArray[np.bool_]:
    residual = np.linalg.norm(fit.enu_from_scene.apply(centres) - np.array([e for _, e in known]), axis=1)
    agreeing: npt.NDArray[np.bool_] = residual <= max(3 * fit.residual_m, 0.5)
    return agreeing


def _about_z(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _usual_depth(scene: PosedScene) -> float:
    """Median distance of the cameras from what they see; of all points where it is unknown who sees what; 0 without
    points or cameras."""
    centres = {f.name: scene.cam_from_world[f.name].origin_in_source for f in scene.registered}
    depths = depths_of(centres, scene.points, _visible(scene))
    if len(depths):
        return float(np.median(depths))
    if not centres or not len(scene.points):
        return 0.0
    middle = np.median(scene.points.xyz, axis=0)
    return float(np.median(np.linalg.norm(np.array(list(centres.values())) - middle, axis=1)))


def _visible(scene: PosedScene) -> Mapping[str, npt.NDArray[np.int32]]:
    return scene.visible if len(scene.points) else {}


def _near_points(points: Array, centres: Array, depth: float) -> Array:
    """Points within four usual distances of the cameras' middle and its surroundings: without far background."""
    if not len(points):
        return points
    middle = np.median(centres, axis=0)
    reach = float(np.quantile(np.linalg.norm(centres - middle, axis=1), 0.9)) + 4 * depth
    near: Array = points[np.linalg.norm(points - middle, axis=1) <= reach]
    return near


def _looked_at(scene: PosedScene, centres: Array) -> Array:
    """The middle of what the cameras see: the median over frames of each one's median point."""
    seen = [np.median(scene.points.xyz[v], axis=0) for v in _visible(scene).values() if len(v)]
    if seen:
        return np.asarray(np.median(seen, axis=0), np.float64)
    source = scene.points.xyz if len(scene.points) else centres
    return np.asarray(np.median(source, axis=0), np.float64)


def _ground_height(points: Array, ground: Plane | None) -> float:
    """Height of the ground among points (P, 3) that are upright: the middle of the ground plane's, else a low one."""
    if ground is not None and ground.inliers.any():
        return float(np.median(points[ground.inliers, 2]))
    return float(np.quantile(points[:, 2], LOW_QUANTILE)) if len(points) else 0.0
