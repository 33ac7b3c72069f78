"""Captures and posed scenes on disk: plain files that other programs open, and that may move with their folder.

A capture is `capture.json` with `images/` and `masks/`. A posed scene is a COLMAP model in `sparse/0`, a nerfstudio
`transforms.json` with `sparse.ply`, and `poses.json` for what those two cannot say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from .camera import CAMERA_MODELS, Camera
from .colmap import ColmapImage, ColmapModel, read_model, write_model
from .errors import InputError
from .files import Fields, is_inside_name, read_json, write_json, writing_folder
from .nerfstudio import write_transforms
from .points_ply import write_points
from .transforms import Sim3
from .types import Capture, Exif, Frame, Gps, PosedScene, PoseSummary, Quality, Rejected, Source, SparsePoints

CAPTURE_FILE = "capture.json"
POSES_FILE = "poses.json"
SCHEMA = 1


def _read_own(path: Path, what: str) -> Fields:
    top = Fields(path, read_json(path))
    schema = top.integer("schema", 0, 10**9)
    if schema > SCHEMA:
        raise InputError(
            f"{path} was written by a newer Diorama ({what} schema {schema}, this one reads {SCHEMA}); "
            "update Diorama or make the scene anew."
        )
    return top


def save_capture(capture: Capture, folder: Path) -> None:
    """Write `folder/capture.json`; the pictures already are in `folder/images`, the masks in `folder/masks`.

    Raises ValueError when the capture's pictures are elsewhere.
    """
    if capture.images.resolve() != (folder / "images").resolve():
        raise ValueError(f"the capture's pictures are in {capture.images}, not in {folder / 'images'}")
    cameras = [
        {
            "id": camera_id,
            "model": camera.model,
            "width_px": camera.width_px,
            "height_px": camera.height_px,
            "params": list(camera.params),
            "has_prior": capture.has_prior[camera_id],
        }
        for camera_id, camera in capture.cameras.items()
    ]
    value = {
        "schema": SCHEMA,
        "source": capture.source,
        "given": capture.given,
        "cameras": cameras,
        "frames": [asdict(frame) for frame in capture.frames],
        "rejected": [asdict(r) for r in capture.rejected],
        "warnings": list(capture.warnings),
    }
    write_json(folder / CAPTURE_FILE, value)


def load_capture(folder: Path) -> Capture:
    """Read `folder/capture.json`. Raises InputError when it is not there, damaged, or of a newer schema."""
    path = folder / CAPTURE_FILE
    top = _read_own(path, "capture")
    source = top.text("source")
    if source not in get_args(Source):
        raise top.fail("source", f"is {source[:40]!r}, not one of {', '.join(get_args(Source))}")
    cameras, has_prior = {}, {}
    for item in top.objects("cameras"):
        camera_id = item.integer("id", 0, 2**32 - 2)
        cameras[camera_id] = _load_camera(item)
        has_prior[camera_id] = item.flag("has_prior")
    frames = tuple(_load_frame(item) for item in top.objects("frames"))
    if len({f.name for f in frames}) != len(frames):
        raise top.fail("frames", "names the same picture twice")
    for frame in frames:
        if frame.camera_id not in cameras:
            raise top.fail("frames", f"names camera {frame.camera_id}, which is missing")
    return Capture(
        images=folder / "images",
        masks=folder / "masks",
        source=cast(Source, source),
        cameras=cameras,
        has_prior=has_prior,
        frames=frames,
        rejected=_load_rejected(top, "rejected"),
        given=top.integer("given", 0, 2**53),
        warnings=top.texts("warnings"),
    )


def _load_camera(item: Fields) -> Camera:
    model = item.text("model")
    if model not in CAMERA_MODELS:
        raise item.fail("model", f"is {model[:40]!r}, which is no camera model")
    size = item.integer("width_px", 1, 1_000_000), item.integer("height_px", 1, 1_000_000)
    try:
        return Camera(model, *size, item.numbers("params"))
    except ValueError as error:
        raise item.fail("params", f"make no camera: {error}") from None


def _load_frame(item: Fields) -> Frame:
    for name in ("name", "mask"):
        given = item.optional_text(name)
        if given is not None and not is_inside_name(given):
            raise item.fail(name, f"is {given[:80]!r}, which is no path inside the capture")
    exif = Fields(item.path, item.value.get("exif") or {}, f"{item.where}.exif")
    return Frame(
        name=item.text("name"),
        camera_id=item.integer("camera_id", 0, 2**32 - 2),
        mask=item.optional_text("mask"),
        time_s=item.optional_number("time_s"),
        source=item.text("source", ""),
        exif=_load_exif(exif),
        quality=_load_quality(Fields(item.path, item.value["quality"], f"{item.where}.quality"))
        if item.has("quality")
        else None,
    )


def _load_exif(item: Fields) -> Exif:
    texts = {name: item.optional_text(name) for name in ("make", "model", "lens", "taken_at")}
    names = ("focal_mm", "focal_35mm", "exposure_s", "f_number", "iso")
    numbers = {name: item.optional_number(name) for name in names}
    return Exif(gps=_load_gps(item, "gps"), **cast(Any, texts | numbers))


def _load_gps(item: Fields, name: str) -> Gps | None:
    if not item.has(name):
        return None
    place = Fields(item.path, item.value[name], f"{item.where}.{name}".lstrip("."))
    return Gps(place.number("latitude_deg"), place.number("longitude_deg"), place.optional_number("altitude_m"))


def _load_quality(item: Fields) -> Quality:
    required = ("sharpness", "relative_sharpness", "clipped_dark", "clipped_bright")
    values: dict[str, Any] = {
        f.name: item.number(f.name) if f.name in required else item.optional_number(f.name) for f in fields(Quality)
    }
    return Quality(**values)


def _load_rejected(top: Fields, name: str) -> tuple[Rejected, ...]:
    return tuple(Rejected(item.text("name"), item.text("reason")) for item in top.objects(name))


def posed_to_colmap(scene: PosedScene) -> ColmapModel:
    """The registered frames and the points as a COLMAP model in the scene's world.

    Image ids count the capture's frames from 1, point ids the points from 1. A scene does not keep key points, so
    each image is given the projections of the points it sees; the points keep their measured errors.
    """
    images = []
    for image_id, frame in enumerate(scene.capture.frames, start=1):
        pose = scene.cam_from_world.get(frame.name)
        if pose is None:
            continue
        seen = scene.visible.get(frame.name, np.zeros(0, np.int32))
        xy = scene.camera(frame).project(pose.apply(scene.points.xyz[seen]))
        in_front = np.isfinite(xy).all(axis=1)
        ids = seen[in_front].astype(np.int64) + 1
        images.append(ColmapImage(image_id, frame.name, frame.camera_id, pose, xy[in_front], ids))
    return ColmapModel(
        dict(scene.cameras),
        tuple(images),
        np.arange(1, len(scene.points) + 1),
        scene.points.xyz,
        scene.points.rgb_srgb,
        scene.points.error_px,
    )


def _relative(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()


def save_posed(scene: PosedScene, folder: Path) -> None:
    """Write `sparse/0` (COLMAP), `transforms.json` with `sparse.ply` (nerfstudio) and, last, `poses.json`."""
    with writing_folder(folder / "sparse") as beside:
        write_model(posed_to_colmap(scene), beside / "0")
    write_points(scene.points, folder / "sparse.ply")
    registered = scene.registered
    masks = {f.name: scene.capture.mask_path(f) for f in registered}
    write_transforms(
        folder / "transforms.json",
        {f.name: scene.camera(f) for f in registered},
        {f.name: scene.cam_from_world[f.name] for f in registered},
        {f.name: _relative(scene.capture.image_path(f), folder) for f in registered},
        mask_paths={name: _relative(mask, folder) for name, mask in masks.items() if mask is not None},
        ply_file_path="sparse.ply",
        world_from_original=scene.world_from_input,
    )
    value = {
        "schema": SCHEMA,
        "summary": asdict(scene.summary),
        "unregistered": [asdict(r) for r in scene.unregistered],
        "world_from_input": scene.world_from_input.to_json(),
        "is_metric": scene.is_metric,
        "metric_source": scene.metric_source,
        "up_source": scene.up_source,
        "georeference": asdict(scene.georeference) if scene.georeference else None,
        "warnings": list(scene.warnings),
    }
    write_json(folder / POSES_FILE, value)


def load_posed(folder: Path, capture: Capture) -> PosedScene:
    """Read what `save_posed` wrote. Raises InputError when files are missing, damaged or of another capture."""
    top = _read_own(folder / POSES_FILE, "poses")
    model = read_model(folder / "sparse" / "0")
    frames = {frame.name: frame for frame in capture.frames}
    for image in model.images:
        frame = frames.get(image.name)
        if frame is None or frame.camera_id != image.camera_id:
            raise InputError(f"{folder} was made from another capture (it knows {image.name!r}); run `pose` again.")
    visible = model.visible()
    summary = Fields(top.path, top.value.get("summary"), "summary")
    return PosedScene(
        capture=capture,
        cameras=model.cameras,
        cam_from_world={image.name: image.cam_from_world for image in model.images},
        points=SparsePoints(model.xyz, model.rgb_srgb, model.error_px, track_lengths(visible.values(), len(model.xyz))),
        summary=PoseSummary(
            mapper=summary.text("mapper"),
            reprojection_error_px=summary.optional_number("reprojection_error_px"),
            components=summary.integer("components", 0, 2**31),
            attempts=summary.texts("attempts"),
            seconds=summary.number("seconds", 0.0),
        ),
        unregistered=_load_rejected(top, "unregistered"),
        world_from_input=_load_sim3(Fields(top.path, top.value.get("world_from_input"), "world_from_input")),
        is_metric=top.flag("is_metric"),
        metric_source=top.optional_text("metric_source"),
        up_source=top.text("up_source"),
        visible=visible,
        warnings=top.texts("warnings"),
        georeference=_load_gps(top, "georeference"),
    )


def _load_sim3(item: Fields) -> Sim3:
    wxyz = item.numbers("rotation_wxyz", 4)
    if item.number("scale") <= 0 or not 1e-6 < max(map(abs, wxyz)) < 1e6:
        raise item.fail("scale", "and rotation_wxyz are no similarity")
    translation = item.numbers("translation", 3)
    return Sim3.from_json({"scale": item.number("scale"), "rotation_wxyz": wxyz, "translation": translation})


def track_lengths(visible: Iterable[npt.NDArray[np.int32]], count: int) -> npt.NDArray[np.int32]:
    """For each of `count` points, in how many of the frames' index lists it stands."""
    lengths = np.zeros(count, np.int32)
    for seen in visible:
        lengths[seen] += 1
    return lengths
