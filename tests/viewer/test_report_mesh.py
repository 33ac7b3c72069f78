"""The mesh in the report: what is told of it, and what is not when something is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image

from diorama.viewer.report import ReportInputs, report_json
from diorama.viewer.report.mesh import mesh_section

RECORD: dict[str, Any] = {
    "source": "both",
    "faces": [30000, 7500],
    "low": [0.0, -1.0, 0.5],
    "high": [1.25, 1.0, 4.0],
    "texture_px": 2048,
    "watertight": False,
    "holes": 12,
    "psnr_db": 25.44,
    "seen_share": 0.75,
    "photo_cover": {"a": 0.9, "b": 0.7},
}


def test_the_section_tells_size_faces_holes_and_likeness(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (90, 60)).save(tmp_path / "preview.jpg")
    (tmp_path / "mesh.glb").write_bytes(bytes(2_500_000))
    inputs = ReportInputs(mesh=RECORD, mesh_folder=tmp_path)
    page = mesh_section(inputs)
    for words in ("30,000, 7,500", "1.25 × 2.00 × 3.50 units", "25.4", "12 holes", "80 %", "25 %", "2.5", "mesh.glb"):
        assert words in page, words
    assert page.count("<img") == 1
    assert "and splats where these are unsure" in page
    assert report_json(inputs)["mesh"]["holes"] == 12
    closed = mesh_section(ReportInputs(mesh=RECORD | {"watertight": True, "holes": 0}, mesh_folder=tmp_path))
    assert "watertight" in closed


def test_it_survives_what_is_missing(tmp_path: Path) -> None:
    assert mesh_section(ReportInputs()) == "" and report_json(ReportInputs())["mesh"] is None
    page = mesh_section(ReportInputs(mesh={"source": "<b>"}, mesh_folder=tmp_path))
    assert "<img" not in page and "<b>" not in page
