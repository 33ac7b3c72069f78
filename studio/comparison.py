"""Two runs of one capture side by side: their numbers, and how the one's world lies in the other's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from diorama.capture.errors import InputError
from diorama.capture.transforms import umeyama
from diorama.capture.types import PosedScene
from diorama.viewer.jobs import CaptureInfo, Comparison, ConflictError

from . import pipeline
from .progress import duration
from .scene import FOLDERS, Scene

MIN_SHARED = 3


def compare(a: CaptureInfo, root_a: Path, b: CaptureInfo, root_b: Path) -> Comparison:
    """Raises ConflictError when one of them has no cameras yet."""
    posed_a, posed_b = _posed(a, root_a), _posed(b, root_b)
    shared = tuple(name for name in posed_a.cam_from_world if name in posed_b.cam_from_world)
    matrix, spread = None, None
    if len(shared) >= MIN_SHARED:
        from_a = np.array([posed_a.cam_from_world[n].origin_in_source for n in shared])
        to_b = np.array([posed_b.cam_from_world[n].origin_in_source for n in shared])
        try:
            b_from_a = umeyama(from_a, to_b)
        except ValueError:  # cameras in one place or on one line
            b_from_a = None
        if b_from_a is not None:
            spread = float(np.median(np.linalg.norm(b_from_a.apply(from_a) - to_b, axis=1)))
            matrix = tuple(tuple(float(x) for x in row) for row in b_from_a.matrix())
    rows = zip(_rows(a, root_a), _rows(b, root_b), strict=True)
    return Comparison(a, b, matrix, spread, shared, tuple((name, of_a, of_b) for (name, of_a), (_, of_b) in rows))


def _posed(info: CaptureInfo, root: Path) -> PosedScene:
    try:
        return pipeline.load_posed_scene(Scene.open(root, only_look=True))
    except (InputError, OSError) as error:
        raise ConflictError(f"{info.title} has no cameras yet; wait until they are found.") from error


def _rows(info: CaptureInfo, root: Path) -> list[tuple[str, str]]:
    try:
        report = json.loads((root / FOLDERS["evaluate"] / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = {}

    def at(*names: str) -> Any:
        value: Any = report
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    times, world = at("timings_s") or {}, at("world", "is_metric")
    return [
        ("Settings", info.settings),
        ("Verdict", info.verdict or ""),
        ("Pictures", _text(at("frames", "chosen"), "{:,}")),
        ("With a camera", _text(info.pictures, "{:,}")),
        ("Splats", _text(info.splats, "{:,}")),
        ("PSNR", _text(info.psnr_db, "{:.2f} dB")),
        ("SSIM", _text(at("splats", "held_out", "ssim"), "{:.3f}")),
        ("Scale", "" if world is None else "metres" if world else "unknown"),
        ("Training", _text(times.get("train"), None)),
        ("All stages", _text(sum(t for t in times.values() if t) or None, None)),
    ]


def _text(value: Any, form: str | None) -> str:
    if not isinstance(value, int | float):
        return ""
    return duration(value) if form is None else form.format(value)
