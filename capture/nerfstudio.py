"""`transforms.json`: the cameras of nerfstudio, instant-ngp and Blender's synthetic sets.

The file gives `world_from_camera` with OpenGL camera axes (+x right, +y up, +z backward). They are flipped to
OpenCV's here, once, when reading and when writing; nothing outside this module knows of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .camera import CAMERA_MODELS, PARAM_NAMES, Camera, CameraModel
from .errors import InputError
from .files import Fields, inside, read_json, write_json
from .transforms import Pose, Sim3, quaternion_from_rotation, rotation_from_quaternion

Array = npt.NDArray[np.float64]

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])
"""Rotates camera coordinates with OpenGL axes to OpenCV's; its own inverse."""

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".JPEG", ".webp")
"""Tried in turn where a file path comes without one, as in Blender's sets."""

MAX_FRAMES = 100_000

_SPELLINGS: dict[str, CameraModel] = {"PERSPECTIVE": "OPENCV", "FISHEYE": "OPENCV_FISHEYE"}
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")


@dataclass(frozen=True)
class Intrinsics:
    """A frame's intrinsics as the file gives them; what is None follows from the picture's size."""

    model: CameraModel
    fx: float | None
    fy: float | None
    cx: float | None
    cy: float | None
    width_px: int | None
    height_px: int | None
    angle_x: float | None
    angle_y: float | None
    coefficients: tuple[float, ...]

    def camera(self, image_width_px: int, image_height_px: int) -> Camera:
        """The camera at the size the file states, else at the picture's. Raises ValueError for impossible ones."""
        width, height = self.width_px or image_width_px, self.height_px or image_height_px
        if self.model == "EQUIRECTANGULAR":
            return Camera.equirectangular(width, height)
        fx = self.fx or (width / (2 * math.tan(self.angle_x / 2)) if self.angle_x else None)
        fy = self.fy or (height / (2 * math.tan(self.angle_y / 2)) if self.angle_y and not fx else None)
        if fx is None and fy is None:
            raise ValueError("it has neither fl_x nor camera_angle_x")
        fx = cast(float, fx or fy)
        fy = fy or fx
        known = {
            "f": (fx + fy) / 2,
            "fx": fx,
            "fy": fy,
            "cx": width / 2 if self.cx is None else self.cx,
            "cy": height / 2 if self.cy is None else self.cy,
            **dict(zip(_COEFFICIENTS, self.coefficients, strict=True)),
        }
        model = self._model_that_holds(fx, fy)
        return Camera(model, width, height, tuple(known.get(name, 0.0) for name in PARAM_NAMES[model]))

    def _model_that_holds(self, fx: float, fy: float) -> CameraModel:
        """The stated model, or the simplest of its family that keeps every number which is not zero."""
        given = {name for name, value in zip(_COEFFICIENTS, self.coefficients, strict=True) if value}
        if "FISHEYE" in self.model:
            return "OPENCV_FISHEYE" if given - set(PARAM_NAMES[self.model]) or fx != fy else self.model
        if "k4" in given:
            raise ValueError("a fourth radial coefficient k4 belongs to fisheye cameras only")
        if not given:
            return "SIMPLE_PINHOLE" if self.model == "SIMPLE_PINHOLE" and fx == fy else "PINHOLE"
        keeps = given <= set(PARAM_NAMES[self.model]) and (fx == fy or "fy" in PARAM_NAMES[self.model])
        return self.model if keeps else ("FULL_OPENCV" if "k3" in given else "OPENCV")


@dataclass(frozen=True, eq=False)
class TransformsFrame:
    """One picture of a transforms.json: its file, its mask's file if any, intrinsics and pose (OpenCV axes).

    depth: the file of its depth map, if any, in multiples of `Transforms.depth_unit`.
    """

    name: str
    path: Path
    mask: Path | None
    intrinsics: Intrinsics
    cam_from_world: Pose
    depth: Path | None = None


@dataclass(frozen=True, eq=False)
class Transforms:
    """A transforms.json. Its world is kept as it stands; nerfstudio and Blender mean +z to be up.

    missing: names of frames whose picture is not there.
    points: the PLY file named by `ply_file_path`, in the same world, or None.
    depth_unit: length of the depth maps' unit in this world (`depth_unit_scale_factor`, by default a thousandth).
    world_from_original: the `applied_transform` and `applied_scale` that led from an earlier world to this one.
    """

    frames: tuple[TransformsFrame, ...]
    missing: tuple[str, ...] = ()
    points: Path | None = None
    world_from_original: Sim3 | None = None
    depth_unit: float = 1e-3


def read_transforms(path: Path, root: Path | None = None) -> Transforms:
    """Read a transforms.json; files are named relative to its folder and may not lie outside `root`, by default it.

    Raises InputError for anything that is no such file: poses that are no rigid transforms, numbers that are not
    finite, camera models that have no counterpart, file paths that lead out of the folder.
    """
    top = Fields(path, read_json(path))
    if len(top.items("frames")) > MAX_FRAMES:
        raise InputError(f"{path} lists more than {MAX_FRAMES:,} frames.")
    frames, missing = [], []
    for item in top.objects("frames"):
        name = item.text("file_path")
        cam_from_world = _read_pose(item)
        intrinsics = _read_intrinsics(top, item)
        found = _find_image(path, root, name)
        if found is None:
            missing.append(name)
            continue
        mask, depth = (
            inside(path.parent, other, named_in=path, root=root) if (other := item.optional_text(key)) else None
            for key in ("mask_path", "depth_file_path")
        )
        frames.append(
            TransformsFrame(
                _plain_name(path, root, found),
                found,
                mask if mask and mask.is_file() else None,
                intrinsics,
                cam_from_world,
                depth if depth and depth.is_file() else None,
            )
        )
    if len({f.name for f in frames}) != len(frames):
        raise InputError(f"{path} lists the same picture twice.")
    ply = top.optional_text("ply_file_path")
    points = inside(path.parent, ply, named_in=path, root=root) if ply else None
    unit = top.number("depth_unit_scale_factor", 1e-3)
    if unit <= 0:
        raise top.fail("depth_unit_scale_factor", "is not positive")
    return Transforms(
        tuple(frames), tuple(missing), points if points and points.is_file() else None, _read_applied(top), unit
    )


def _plain_name(path: Path, root: Path | None, found: Path) -> str:
    """The picture's path relative to the file's folder; in a scene of ours, to the folder of its frames."""
    folders = [path.parent.resolve(), *([root.resolve() / "frames" / "images", root.resolve()] if root else [])]
    return next(found.relative_to(f).as_posix() for f in folders if f in found.parents)


def _find_image(path: Path, root: Path | None, name: str) -> Path | None:
    target = inside(path.parent, name, named_in=path, root=root)
    if target.is_file():
        return target
    for extension in IMAGE_EXTENSIONS:
        candidate = inside(path.parent, name + extension, named_in=path, root=root)
        if candidate.is_file():
            return candidate
    return None


def _matrix(fields: Fields, name: str, rows: tuple[int, ...]) -> Array:
    """A list of rows of four numbers as a 4x4 matrix; a missing last row is (0, 0, 0, 1)."""
    values = fields.items(name)
    if len(values) not in rows or not all(isinstance(row, list) and len(row) == 4 for row in values):
        raise fields.fail(name, "is not a 4x4 matrix")
    holder = Fields(fields.path, {name: [number for row in values for number in row]}, fields.where)
    matrix = np.eye(4)
    matrix[: len(values)] = np.array(holder.numbers(name)).reshape(-1, 4)
    if np.max(np.abs(matrix)) > 1e100:
        raise fields.fail(name, "holds numbers that are too large")
    return matrix


def _read_pose(item: Fields) -> Pose:
    matrix = _matrix(item, "transform_matrix", (3, 4))
    rotation = matrix[:3, :3]
    # Blender writes rotations in single precision, some exporters with a scale left in: take the scale out.
    scale = float(np.cbrt(abs(np.linalg.det(rotation))))
    if scale < 1e-6 or np.linalg.det(rotation) < 0 or np.abs(rotation.T @ rotation / scale**2 - np.eye(3)).max() > 1e-2:
        raise item.fail("transform_matrix", "is not a rotation with a position")
    exact = rotation_from_quaternion(quaternion_from_rotation(rotation / scale))
    # Keep the very numbers of a matrix that already is a rotation.
    world_from_opengl = rotation if np.abs(rotation - exact).max() < 1e-12 else exact
    return Pose(world_from_opengl @ OPENCV_FROM_OPENGL, matrix[:3, 3].copy()).inverse()


def _read_intrinsics(top: Fields, item: Fields) -> Intrinsics:
    """The frame's own values where it has them, else the file's."""

    def number(name: str, low: float = -1e9, high: float = 1e9) -> float | None:
        fields = item if item.has(name) else top
        value = fields.optional_number(name)
        if value is not None and not low <= value <= high:
            raise fields.fail(name, f"is {value:g}, which no camera has")
        return value

    def size(name: str) -> int | None:
        value = number(name, 1, 1_000_000)
        return None if value is None else round(value)

    stated = (item if item.has("camera_model") else top).text("camera_model", "OPENCV").upper()
    model = _SPELLINGS.get(stated, stated)
    if model not in CAMERA_MODELS:
        raise top.fail("camera_model", f"is {stated[:40]!r}; supported are {', '.join(CAMERA_MODELS)}")
    tiny = 1e-9
    return Intrinsics(
        model,
        number("fl_x", tiny),
        number("fl_y", tiny),
        number("cx"),
        number("cy"),
        size("w"),
        size("h"),
        number("camera_angle_x", 1e-4, math.pi - 1e-4),
        number("camera_angle_y", 1e-4, math.pi - 1e-4),
        tuple(number(name) or 0.0 for name in _COEFFICIENTS),
    )


def _read_applied(top: Fields) -> Sim3 | None:
    if not top.has("applied_transform") and not top.has("applied_scale"):
        return None
    matrix = _matrix(top, "applied_transform", (3, 4)) if top.has("applied_transform") else np.eye(4)
    scale = top.number("applied_scale", 1.0)
    rotation = matrix[:3, :3]
    if not 0 < scale < 1e30 or np.abs(rotation.T @ rotation - np.eye(3)).max() > 1e-2 or np.linalg.det(rotation) < 0:
        raise top.fail("applied_transform", "with applied_scale is not a rotation with a position and a scale")
    return Sim3(scale, rotation, scale * matrix[:3, 3])


def intrinsics_json(camera: Camera) -> dict[str, Any]:
    """The fields that describe a camera, in nerfstudio's names (which are COLMAP's but for `fl_`)."""
    value: dict[str, Any] = {
        "camera_model": camera.model,
        "w": camera.width_px,
        "h": camera.height_px,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
    }
    if camera.model == "EQUIRECTANGULAR":  # nerfstudio counts in half turns
        value |= {"fl_x": camera.width_px / 2, "fl_y": float(camera.height_px)}
    return value | {name: camera.param(name) for name in _COEFFICIENTS if name in PARAM_NAMES[camera.model]}


def write_transforms(
    path: Path,
    cameras: Mapping[str, Camera],
    cam_from_world: Mapping[str, Pose],
    file_paths: Mapping[str, str],
    *,
    mask_paths: Mapping[str, str] | None = None,
    ply_file_path: str | None = None,
    world_from_original: Sim3 | None = None,
) -> None:
    """Write a transforms.json that nerfstudio reads. All mappings are by frame name; paths are relative to `path`.

    Intrinsics stand in each frame, so that mixed cameras are kept. FULL_OPENCV's k4 to k6, which nerfstudio has no
    names for, are the one thing lost.
    """
    frames = []
    for name, pose in cam_from_world.items():
        world_from_cam = pose.inverse()
        matrix = world_from_cam.matrix()
        matrix[:3, :3] = matrix[:3, :3] @ OPENCV_FROM_OPENGL
        frame: dict[str, Any] = {"file_path": file_paths[name], "transform_matrix": matrix.tolist()}
        if mask_paths and name in mask_paths:
            frame["mask_path"] = mask_paths[name]
        frames.append(frame | intrinsics_json(cameras[name]))
    value: dict[str, Any] = {"camera_model": frames[0]["camera_model"] if frames else "PINHOLE"}
    if world_from_original is not None:
        rigid = np.eye(4)
        rigid[:3, :3] = world_from_original.rotation
        rigid[:3, 3] = world_from_original.translation / world_from_original.scale
        value |= {"applied_transform": rigid[:3].tolist(), "applied_scale": world_from_original.scale}
    if ply_file_path is not None:
        value["ply_file_path"] = ply_file_path
    write_json(path, value | {"frames": frames})
