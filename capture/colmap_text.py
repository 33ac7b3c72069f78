"""COLMAP models written as text; `colmap.py` reads both forms and writes the binary one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from .colmap import ColmapModel
from .errors import InputError
from .files import writing


def write_model_text(model: ColmapModel, folder: Path) -> None:
    """Write `cameras.txt`, `images.txt` and `points3D.txt`, each beside its place and renamed; COLMAP opens them.

    Numbers are written so that they come back exactly. Raises InputError for image names with blanks, which COLMAP
    reads as if they ended there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for image in model.images:
        if image.name.split() != [image.name]:
            raise InputError(f"{folder}: COLMAP's text form cannot hold the name {image.name!r}; take the binary form.")
    tracks: dict[int, list[str]] = defaultdict(list)
    rows = ["# Camera list with one line of data per camera:", "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    for camera_id, camera in sorted(model.cameras.items()):
        params = " ".join(repr(float(p)) for p in camera.params)
        rows.append(f"{camera_id} {camera.model} {camera.width_px} {camera.height_px} {params}")
    _write(folder / "cameras.txt", rows)
    rows = [
        "# Image list with two lines of data per image:",
        "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
    ]
    rows.append("#   POINTS2D[] as (X, Y, POINT3D_ID)")
    for image in model.images:
        numbers = [*image.cam_from_world.quaternion.tolist(), *image.cam_from_world.translation.tolist()]
        rows.append(f"{image.id} {' '.join(map(repr, numbers))} {image.camera_id} {image.name}")
        seen = zip(image.xy.tolist(), image.point_ids.tolist(), strict=True)
        observations = []
        for at, ((x, y), point_id) in enumerate(seen):
            observations.append(f"{x!r} {y!r} {point_id}")
            if point_id >= 0:
                tracks[point_id].append(f"{image.id} {at}")
        rows.append(" ".join(observations))
    _write(folder / "images.txt", rows)
    rows = ["# 3D point list with one line of data per point:", "#   POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]"]
    columns = (model.point_ids.tolist(), model.xyz.tolist(), model.rgb_srgb.tolist(), model.error_px.tolist())
    for point_id, xyz, rgb, error in zip(*columns, strict=True):
        numbers = [str(point_id), *map(repr, xyz), *map(str, rgb), repr(error)]
        rows.append(" ".join([*numbers, *tracks[point_id]]))
    _write(folder / "points3D.txt", rows)


def _write(path: Path, rows: list[str]) -> None:
    with writing(path) as beside:
        beside.write_text("\n".join([*rows, ""]), encoding="utf-8")
