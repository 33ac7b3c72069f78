"""Cameras and camera paths for other programs: glTF, USD, and a script for Blender.

All three look along their -z with +y up, so our camera axes (OpenCV's) are flipped once, here. None of them knows lens
distortion: it stands beside the camera as plain numbers (glTF `extras`, USD `userProperties`), and what is drawn is the
pinhole of the same focal length. Fisheye and panoramic cameras come as places without a lens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import PARAM_NAMES, Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose, quaternion_from_rotation

from ..paths import CameraPath
from .common import written_whole
from .gltf import GlbWriter
from .meshes.placing import Y_UP_FROM_Z_UP
from .meshes.usd import new_stage, package, prim_name

Array = npt.NDArray[np.float64]

OPENCV_FROM_OPENGL: Array = np.diag([1.0, -1.0, -1.0])
SENSOR_MM = 36.0
NEAR_M = 0.01
PATH_NAME = "camera_path"


@dataclass(frozen=True, eq=False)
class Shot:
    """One camera: its name, its lens, where it was (world +z up)."""

    name: str
    camera: Camera
    cam_from_world: Pose


def _world_from_camera(pose: Pose, axes: Array) -> tuple[Array, Array]:
    """Rotation (3, 3) and place (3,) of an OpenGL camera in the frame that `axes` leads to."""
    return axes @ pose.rotation.T @ OPENCV_FROM_OPENGL, axes @ pose.origin_in_source


def _lens_facts(camera: Camera) -> dict[str, Any]:
    names = PARAM_NAMES[camera.model]
    facts = {"model": camera.model, "width_px": camera.width_px, "height_px": camera.height_px}
    return facts | dict(zip(names, camera.params, strict=True))


def _has_plane(camera: Camera) -> bool:
    return camera.lens in ("pinhole", "opencv")


def _require(shots: Sequence[Shot], flight: CameraPath | None, path: Path) -> None:
    if not shots and flight is None:
        raise InputError(f"{path} was not written because there are no cameras.")


def write_cameras_glb(shots: Sequence[Shot], flight: CameraPath | None, path: Path) -> None:
    """A GLB with a node per camera and, where there is a path, a node `camera_path` animated along it.

    Raises InputError when there are no cameras or the disk is full.
    """
    _require(shots, flight, path)
    writer = GlbWriter()
    lenses: dict[Camera, int] = {}
    nodes = [_camera_node(writer, lenses, s.name, s.camera, s.cam_from_world) for s in shots]
    if flight is not None:
        node = _camera_node(writer, lenses, PATH_NAME, flight.camera, flight.cam_from_world[0])
        nodes.append(node)
        _animate(writer, node, flight)
    writer.document |= {"scene": 0, "scenes": [{"name": "cameras", "nodes": nodes}]}
    writer.save(path)


def _camera_node(writer: GlbWriter, lenses: dict[Camera, int], name: str, camera: Camera, pose: Pose) -> int:
    rotation, place = _world_from_camera(pose, Y_UP_FROM_Z_UP)
    node: dict[str, Any] = {"name": name, "rotation": _xyzw(rotation), "translation": place.tolist()}
    node["extras"] = {"lens": _lens_facts(camera)}
    if _has_plane(camera):
        if camera not in lenses:
            yfov = 2 * math.atan(camera.height_px / (2 * camera.fy))
            aspect = camera.width_px / camera.height_px * camera.fy / camera.fx
            perspective = {"yfov": yfov, "aspectRatio": aspect, "znear": NEAR_M}
            lenses[camera] = writer.add("cameras", {"type": "perspective", "perspective": perspective})
        node["camera"] = lenses[camera]
    return writer.add("nodes", node)


def _xyzw(rotation: Array) -> list[float]:
    w, x, y, z = quaternion_from_rotation(rotation)
    return [float(x), float(y), float(z), float(w)]


def _animate(writer: GlbWriter, node: int, flight: CameraPath) -> None:
    frames = [_world_from_camera(p, Y_UP_FROM_Z_UP) for p in flight.frames()]
    times = writer.accessor((np.arange(len(frames)) / flight.fps).astype(np.float32), bounds=True)
    quats = np.array([_xyzw(r) for r, _ in frames])
    turns = np.cumprod(np.concatenate([[1.0], np.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0)]))
    values = {"translation": np.array([p for _, p in frames]), "rotation": quats * turns[:, None]}
    samplers = [
        {"input": times, "output": writer.accessor(v.astype(np.float32)), "interpolation": "LINEAR"}
        for v in values.values()
    ]
    channels = [{"sampler": i, "target": {"node": node, "path": name}} for i, name in enumerate(values)]
    writer.add("animations", {"name": PATH_NAME, "samplers": samplers, "channels": channels})


def write_cameras_usd(shots: Sequence[Shot], flight: CameraPath | None, path: Path) -> None:
    """A stage (+y up, metres) with a UsdGeom.Camera per camera and an animated one along the path; or a .usdz of it.

    Raises InputError when there are no cameras or the disk is full.
    """
    import shutil
    import tempfile

    _require(shots, flight, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = path.suffix.lower() == ".usdz"
    beside = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}.", dir=path.parent))
    try:
        layer = beside / (f"{path.stem}.usdc" if packed else path.name)
        _usd_layer(shots, flight, layer, prim_name(path.stem))
        if packed:
            package(layer, beside / path.name)
        (beside / path.name).replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _usd_layer(shots: Sequence[Shot], flight: CameraPath | None, layer: Path, root: str) -> None:
    stage, _ = new_stage(layer, root)
    taken: set[str] = {PATH_NAME}
    for shot in shots:
        name = prim_name(shot.name)
        while name in taken:
            name += "_"
        taken.add(name)
        prim, op = _usd_camera(stage, f"/{root}/{name}", shot.camera)
        prim.GetPrim().SetMetadata("comment", shot.name)
        op.Set(_usd_matrix(shot.cam_from_world))
    if flight is not None:
        frames = flight.frames()
        _, op = _usd_camera(stage, f"/{root}/{PATH_NAME}", flight.camera)
        stage.SetTimeCodesPerSecond(flight.fps)
        stage.SetFramesPerSecond(flight.fps)
        stage.SetStartTimeCode(1)
        stage.SetEndTimeCode(len(frames))
        for i, pose in enumerate(frames, start=1):
            op.Set(_usd_matrix(pose), i)
    stage.GetRootLayer().Save()


def _usd_matrix(pose: Pose) -> Any:
    from pxr import Gf

    rotation, place = _world_from_camera(pose, Y_UP_FROM_Z_UP)
    matrix = np.eye(4)  # USD multiplies row vectors from the left
    matrix[:3, :3], matrix[3, :3] = rotation.T, place
    return Gf.Matrix4d(*matrix.ravel().tolist())


def _usd_camera(stage: Any, at: str, camera: Camera) -> tuple[Any, Any]:
    """A camera prim, or an Xform for a lens without an image plane, and its transform op."""
    from pxr import Gf, Sdf, UsdGeom

    prim = UsdGeom.Camera.Define(stage, at) if _has_plane(camera) else UsdGeom.Xform.Define(stage, at)
    if _has_plane(camera):
        wide, high = SENSOR_MM, SENSOR_MM * camera.height_px / camera.width_px * camera.fx / camera.fy
        prim.CreateFocalLengthAttr(SENSOR_MM * camera.fx / camera.width_px)
        prim.CreateHorizontalApertureAttr(wide)
        prim.CreateVerticalApertureAttr(high)
        prim.CreateHorizontalApertureOffsetAttr(wide * (0.5 - camera.cx / camera.width_px))
        prim.CreateVerticalApertureOffsetAttr(high * (camera.cy / camera.height_px - 0.5))
        prim.CreateClippingRangeAttr(Gf.Vec2f(NEAR_M, 10_000.0))
    for name, value in _lens_facts(camera).items():
        kind = Sdf.ValueTypeNames.String if isinstance(value, str) else Sdf.ValueTypeNames.Double
        prim.GetPrim().CreateAttribute(f"userProperties:lens:{name}", kind).Set(value)
    return prim, prim.AddTransformOp()


def write_cameras_blender(shots: Sequence[Shot], flight: CameraPath | None, path: Path) -> None:
    """A Python script that makes the cameras in Blender (3.6 or newer; +z up, as our world): run it in the Scripting
    workspace, or `blender --python FILE`.

    Raises InputError when there are no cameras or the disk is full.
    """
    _require(shots, flight, path)
    value: dict[str, Any] = {"cameras": [_blender_camera(s.name, s.camera, s.cam_from_world) for s in shots]}
    if flight is not None:
        keys = [_blender_matrix(p) for p in flight.frames()]
        value["path"] = _blender_camera(PATH_NAME, flight.camera, flight.cam_from_world[0]) | {
            "fps": flight.fps,
            "keys": keys,
            "size": [flight.camera.width_px, flight.camera.height_px],
        }
    script = _BLENDER_SCRIPT.replace("__DATA__", repr(json.dumps(value, separators=(",", ":"), allow_nan=False)))
    with written_whole(path) as file:
        file.write(script.encode())


def _blender_matrix(pose: Pose) -> list[list[float]]:
    rotation, place = _world_from_camera(pose, np.eye(3))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, place
    values: list[list[float]] = matrix.tolist()
    return values


def _blender_camera(name: str, camera: Camera, pose: Pose) -> dict[str, Any]:
    value: dict[str, Any] = {"name": name, "matrix": _blender_matrix(pose), "lens": _lens_facts(camera)}
    if camera.lens == "equirectangular":
        return value | {"panorama": True}
    if _has_plane(camera):
        wide, high = camera.width_px, camera.height_px  # a horizontal fit counts both shifts in widths
        value["focal_mm"] = SENSOR_MM * camera.fx / wide
        value["shift"] = [(wide / 2 - camera.cx) / wide, (camera.cy - high / 2) / wide]
    return value


_BLENDER_SCRIPT = '''"""Cameras of a Diorama scene. In Blender: Scripting workspace, open, run."""

import json

import bpy
from mathutils import Matrix

DATA = json.loads(__DATA__)


def make(entry, collection):
    data = bpy.data.cameras.new(entry["name"])
    data.sensor_fit, data.sensor_width = "HORIZONTAL", 36.0
    if "focal_mm" in entry:
        data.lens = entry["focal_mm"]
        data.shift_x, data.shift_y = entry["shift"]
    elif entry.get("panorama"):
        data.type = "PANO"
    data["lens"] = json.dumps(entry["lens"])
    data.clip_start, data.clip_end = 0.01, 10000.0
    data.display_size = 0.2
    thing = bpy.data.objects.new(entry["name"], data)
    thing.matrix_world = Matrix(entry["matrix"])
    collection.objects.link(thing)
    return thing


collection = bpy.data.collections.new("Diorama cameras")
bpy.context.scene.collection.children.link(collection)
for entry in DATA["cameras"]:
    make(entry, collection)
if "path" in DATA:
    entry, scene = DATA["path"], bpy.context.scene
    moving = make(entry, collection)
    moving.rotation_mode = "QUATERNION"
    for frame, key in enumerate(entry["keys"], start=1):
        moving.matrix_world = Matrix(key)
        moving.keyframe_insert("location", frame=frame)
        moving.keyframe_insert("rotation_quaternion", frame=frame)
    scene.frame_start, scene.frame_end = 1, len(entry["keys"])
    scene.render.fps, scene.render.fps_base = round(entry["fps"]), round(entry["fps"]) / entry["fps"]
    scene.render.resolution_x, scene.render.resolution_y = entry["size"]
    scene.camera = moving
'''
