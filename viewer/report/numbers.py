"""`report.json`: the report for scripts. The names are a contract; raise `SCHEMA` when one changes its meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from diorama.capture import Frame, PosedScene, Rejected
from diorama.reconstruct.coverage import Coverage
from diorama.reconstruct.evaluate import Evaluation, Means, ViewScore
from diorama.reconstruct.reshoot import SavedPlan
from diorama.reconstruct.verdict import Verdict

from .inputs import ReportInputs

SCHEMA = 1
HISTORY_ROWS = 500


def report_json(inputs: ReportInputs) -> dict[str, Any]:
    """The report as plain JSON values. What is not known is null or an empty list, never left out and never NaN."""
    value = {
        "schema": SCHEMA,
        "title": inputs.title,
        "created": inputs.created or None,
        "command": inputs.command or None,
        "verdict": _verdict(inputs.verdict),
        "frames": _frames(inputs),
        "poses": _poses(inputs.posed),
        "world": _world(inputs.posed),
        "coverage": _coverage(inputs.coverage),
        "reshoot": _reshoot(inputs.reshoot),
        "depth": _record(inputs.depth),
        "mesh": _record(inputs.mesh),
        "splats": _splats(inputs),
        "export": {name: _export(row) for name, row in inputs.exports.items()},
        "timings_s": dict(inputs.timings_s),
        "peak_memory_bytes": inputs.peak_memory_bytes,
        "warnings": list(inputs.all_warnings),
        "versions": dict(inputs.versions),
        "hardware": dict(inputs.hardware),
        "settings": dict(inputs.settings),
    }
    plain: dict[str, Any] = plain_json(value)
    return plain


def plain_json(value: Any) -> Any:
    """Only what JSON has: NumPy numbers become Python's, what is not finite becomes null, the rest becomes text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain_json(v) for v in value]
    return str(value)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "level": verdict.level,
        "sentences": list(verdict.sentences),
        "findings": [asdict(f) for f in verdict.findings],
    }


def _frames(inputs: ReportInputs) -> dict[str, Any]:
    capture, scene = inputs.footage, inputs.posed
    if capture is None:
        return {
            "given": None, "chosen": None, "registered": None, "unregistered": [], "rejected": [], "list": []
        }  # fmt: skip
    placed = None if scene is None else {f.name for f in scene.registered}
    return {
        "given": capture.given or len(capture.frames) + len(capture.rejected),
        "chosen": len(capture.frames),
        "registered": None if placed is None else len(placed),
        "unregistered": [] if scene is None else unregistered(scene),
        "rejected": [_rejected(r) for r in capture.rejected],
        "list": [_frame(f, placed, inputs.held_out_names) for f in capture.frames],
    }


def unregistered(scene: PosedScene) -> list[dict[str, str]]:
    """Every chosen frame without a camera, with its reason; also those nobody gave a reason for."""
    reasons = {r.name: r.reason for r in scene.unregistered}
    frames = [f.name for f in scene.capture.frames if f.name not in scene.cam_from_world]
    return [{"name": n, "reason": reasons.get(n) or "no reason was found"} for n in frames]


def _rejected(rejected: Rejected) -> dict[str, str]:
    return {"name": rejected.name, "reason": rejected.reason}


def _frame(frame: Frame, placed: set[str] | None, held_out: frozenset[str]) -> dict[str, Any]:
    return {
        "name": frame.name,
        "source": frame.source,
        "time_s": frame.time_s,
        "registered": None if placed is None else frame.name in placed,
        "held_out": frame.name in held_out,
        "quality": None if frame.quality is None else asdict(frame.quality),
    }


def _poses(scene: PosedScene | None) -> dict[str, Any]:
    if scene is None:
        return {
            "mapper": None, "reprojection_error_px": None, "components": None, "attempts": [], "points": None
        }  # fmt: skip
    summary = scene.summary
    return {
        "mapper": summary.mapper,
        "reprojection_error_px": summary.reprojection_error_px,
        "components": summary.components,
        "attempts": list(summary.attempts),
        "points": len(scene.points),
        "seconds": summary.seconds,
    }


def _world(scene: PosedScene | None) -> dict[str, Any]:
    if scene is None:
        return {"is_metric": None, "metric_source": None, "up_source": None, "georeference": None}
    return {
        "is_metric": scene.is_metric,
        "metric_source": scene.metric_source,
        "up_source": scene.up_source,
        "georeference": None if scene.georeference is None else asdict(scene.georeference),
    }


def _coverage(coverage: Coverage | None) -> dict[str, Any] | None:
    if coverage is None:
        return None
    return {
        "kind": coverage.kind,
        "distance": coverage.distance,
        "span_deg": coverage.span_deg or None,
        "step_deg": coverage.step_deg or None,
        "gaps": [asdict(g) for g in coverage.gaps[:8]],
        "angle_deg": coverage.angle_deg,
        "track_length": coverage.track_length,
        "two_view_share": coverage.pair_share,
        "joints": [asdict(j) for j in coverage.joints],
        "weakest_links": [asdict(x) for x in coverage.links[:8]],
        "measured": coverage.measured,
    }


def _reshoot(plan: SavedPlan | None) -> dict[str, Any] | None:
    """Shares of the surface by how well they are seen, and the photos to take; pictures are in `reshoot/`."""
    if plan is None:
        return None
    return {
        "shares": {kind.name.lower(): share for kind, share in plan.shares.items()},
        "proposals": [{k: v for k, v in p.items() if k != "thumbnail"} for p in plan.proposals],
    }


def _record(record: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if not record else dict(record)


def _splats(inputs: ReportInputs) -> dict[str, Any]:
    return {
        "count": splat_count(inputs),
        "train": _train(inputs),
        "held_out": _held_out(inputs.evaluation, inputs.held_out_names),
        "training_views": _training_views(inputs.evaluation),
    }


def splat_count(inputs: ReportInputs) -> int | None:
    """From training, or from what was evaluated."""
    count = (inputs.training or {}).get("splats")
    return count if count is not None else inputs.evaluation.splats if inputs.evaluation is not None else None


def _train(inputs: ReportInputs) -> dict[str, Any]:
    training = inputs.training or {}
    names = ("iterations", "seconds", "backend", "max_size_px")
    return {
        **{name: training.get(name) for name in names},
        "history": {k: thinned(v, HISTORY_ROWS) for k, v in inputs.history.items()},
    }


def thinned(values: Sequence[float], most: int) -> list[float]:
    """At most `most` values, evenly taken, the last one always among them."""
    if len(values) <= most:
        return list(values)
    rows = np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))
    return [values[i] for i in rows]


def _means(means: Means) -> dict[str, float | None]:
    return {
        "psnr_db": means.psnr_db,
        "psnr_colour_corrected_db": means.psnr_corrected_db,
        "ssim": means.ssim,
        "lpips": means.lpips,
    }


def _held_out(evaluation: Evaluation | None, names: frozenset[str]) -> dict[str, Any]:
    if evaluation is None:
        return {**_means(Means()), "gap_to_training_db": None, "size_px": None, "names": sorted(names), "views": []}
    return {
        **_means(evaluation.held_out_means),
        "gap_to_training_db": evaluation.gap_db,
        "size_px": evaluation.size_px,
        "names": sorted(names),
        "views": [_view(v) for v in evaluation.held_out],
    }


def _training_views(evaluation: Evaluation | None) -> dict[str, Any]:
    """Kept apart from `held_out`: how well photos were memorised, not how the scene looks."""
    if evaluation is None:
        return {**_means(Means()), "views": []}
    return {**_means(evaluation.train_means), "views": [_view(v) for v in evaluation.train]}


def _view(view: ViewScore) -> dict[str, Any]:
    return {
        "name": view.name,
        "psnr_db": view.psnr_db,
        "psnr_colour_corrected_db": view.psnr_corrected_db,
        "ssim": view.ssim,
        "lpips": view.lpips,
        "empty_share": view.empty,
        "valid_share": view.valid,
    }


def _export(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("path", "bytes", "loss_db", "fidelity_db", "splats")
    return {**dict.fromkeys(names), **row}
