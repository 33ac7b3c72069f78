"""Cameras of a scene in other programs' files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.files import link_or_copy, writing_folder

if TYPE_CHECKING:
    from diorama.capture.transforms import Sim3
    from diorama.capture.types import PosedScene
    from diorama.render.paths import CameraPath

Array = npt.NDArray[np.float64]


def write_cameras(posed: PosedScene, export_from_world: Sim3, path: Path, form: str) -> tuple[Array, str]:
    """Writes the cameras, and the path along them where the format holds one. `colmap`, `colmap-text` and `transforms`
    make a folder with the pictures in it (hard links where the disk can); the others one file.

    Returns the axes (3, 3) of the file in terms of the export frame, and what they are in words.
    """
    from diorama.reconstruct.poses.world import transformed
    from diorama.render.formats.cameras import Shot, write_cameras_blender, write_cameras_glb, write_cameras_usd
    from diorama.render.formats.meshes import Y_UP_FROM_Z_UP

    moved = transformed(posed, export_from_world)
    if not moved.registered:
        raise InputError("No camera of this scene is known; estimate the poses first.")
    if form in ("colmap", "colmap-text", "transforms"):
        _write_dataset(moved, path, form)
        return np.eye(3), "right-handed, +z up; cameras by their format's own convention"
    shots = [Shot(f.name, moved.camera(f), moved.cam_from_world[f.name]) for f in moved.registered]
    flight = _flight(moved)
    if form == "blender":
        write_cameras_blender(shots, flight, path)
        return np.eye(3), "right-handed, +z up, as Blender"
    (write_cameras_glb if form == "glb" else write_cameras_usd)(shots, flight, path)
    return Y_UP_FROM_Z_UP, "right-handed, +y up: (x, z, -y) of the export frame"


def _flight(posed: PosedScene) -> CameraPath | None:
    """A smooth flight along the cameras; None where there is but one."""
    from diorama.render.paths import capture_path

    return capture_path(posed) if len(posed.registered) > 1 else None


def _write_dataset(posed: PosedScene, folder: Path, form: str) -> None:
    from diorama.capture.colmap import write_model
    from diorama.capture.colmap_text import write_model_text
    from diorama.capture.nerfstudio import write_transforms
    from diorama.capture.points_ply import write_points
    from diorama.capture.store import posed_to_colmap

    frames = posed.registered
    with writing_folder(folder) as beside:
        for frame in frames:
            link_or_copy(posed.capture.image_path(frame), beside / "images" / frame.name)
        if form == "colmap":
            write_model(posed_to_colmap(posed), beside / "sparse" / "0")
        elif form == "colmap-text":
            write_model_text(posed_to_colmap(posed), beside / "sparse" / "0")
        else:
            write_points(posed.points, beside / "sparse.ply")
            write_transforms(
                beside / "transforms.json",
                {f.name: posed.camera(f) for f in frames},
                {f.name: posed.cam_from_world[f.name] for f in frames},
                {f.name: f"images/{f.name}" for f in frames},
                ply_file_path="sparse.ply",
                world_from_original=posed.world_from_input,
            )
