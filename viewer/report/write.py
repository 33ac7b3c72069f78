"""Writing the report: `index.html` and `report.json`, each whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .inputs import ReportInputs
from .numbers import report_json
from .page import render_page


def write_report(inputs: ReportInputs, folder: Path) -> Path:
    """Write `folder/index.html` (one self-contained file) and `folder/report.json`; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(report_json(inputs), indent=1, allow_nan=False)
    page = folder / "index.html"
    _write_whole(folder / "report.json", numbers + "\n")
    _write_whole(page, render_page(inputs))
    return page


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8", errors="replace")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
