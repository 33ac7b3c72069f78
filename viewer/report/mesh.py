"""The mesh in the report: what it looks like, its size, how near the photos it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .inputs import ReportInputs
from .pictures import jpeg_address, thumbnail
from .words import MISSING, number, percent, sentence, size, table

MESH_FILE, PREVIEW_FILE = "mesh.glb", "preview.jpg"
PICTURE_PX = 1440

_SOURCES = {"depth": "depth maps", "splats": "splats", "both": "depth maps, and splats where these are unsure"}


def mesh_section(inputs: ReportInputs) -> str:
    record, folder = inputs.mesh, inputs.mesh_folder
    if not record or folder is None:
        return ""
    picture = thumbnail(folder / PREVIEW_FILE, PICTURE_PX)
    figure = ""
    if picture:
        alt = "Photos, the mesh from the same cameras, and its shape alone"
        words = "Photo, the mesh from the same camera, its shape alone."
        figure = (
            f'<figure class="whole"><img src="{jpeg_address(picture)}" alt="{alt}">'
            f"<figcaption>{words}</figcaption></figure>"
        )
    return (
        f'<section><h2>Mesh</h2><p class="lead">{sentence(_lead(record))}</p>'
        f"{figure}{table(['', ''], _rows(inputs, record))}</section>"
    )


def _lead(record: Mapping[str, Any]) -> str:
    parts = [f"Made of {_SOURCES.get(record.get('source', ''), 'what there was')}."]
    if record.get("psnr_db") is not None:
        parts.append(
            f"Drawn from the photos' cameras it is {record['psnr_db']:.1f} dB from them where it is; "
            "it was textured from these photos, so that a new view may look worse."
        )
    unseen = 1 - (record.get("seen_share") or 0.0)
    if unseen >= 0.1:
        parts.append(f"No photo shows {percent(unseen)} of its area; colours there are guessed.")
    return " ".join(parts)


def _rows(inputs: ReportInputs, record: Mapping[str, Any]) -> list[list[str]]:
    scene, folder = inputs.posed, inputs.mesh_folder
    unit = "m" if scene is not None and scene.is_metric else "units"
    low, high = record.get("low") or (), record.get("high") or ()
    sides = [number(b - a, 2) for a, b in zip(low, high, strict=False)]
    holes = record.get("holes")
    closed = "watertight" if record.get("watertight") else MISSING if holes is None else f"open, {holes:,} holes"
    covers = list((record.get("photo_cover") or {}).values())
    path = None if folder is None else folder / MESH_FILE
    bytes_ = path.stat().st_size if path is not None and path.is_file() else None
    return [
        ["Faces", ", ".join(f"{count:,}" for count in record.get("faces") or ()) or MISSING],
        ["Size", " × ".join(sides) + f" {unit}" if sides else MISSING],
        ["Texture", f"{record['texture_px']:,} px" if record.get("texture_px") else "colours at the vertices"],
        ["PSNR against photos", number(record.get("psnr_db"), 1, "dB")],
        ["Of a photo it fills", percent(sum(covers) / len(covers)) if covers else MISSING],
        ["Surface", closed],
        ["File", f"<code>mesh/{MESH_FILE}</code>, {size(bytes_)}"],
    ]
