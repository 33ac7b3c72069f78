"""What the commands of the pipeline do, one after the other, and what they say when they are done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import pipeline
from .commands import IngestOptions
from .commands_depth import DepthOptions, find_depth
from .console import Console
from .export import export_when_stale
from .progress import duration
from .scene import Scene, StageName

if TYPE_CHECKING:
    from diorama.capture.ingest import IngestConfig
    from diorama.reconstruct.train import TrainConfig


def scan(
    scene: Scene,
    footage: Sequence[str],
    *,
    ingest_options: IngestOptions,
    poses: pipeline.PoseStage,
    depth: bool = False,
    train_config: TrainConfig,
    console: Console,
) -> dict[str, Any]:
    """Ingest, pose, find depth where that is wanted, train, export and evaluate, skipping what is up to date.

    The report is written after the poses, too, because that is when a technician can still reshoot.
    """
    with scene.lock(), console.progress(scene.root) as tell:
        pipeline.run_ingest(scene, footage, _ingest_config(ingest_options), on_event=tell)
        if pipeline.run_pose(scene, poses, on_event=tell).fresh:
            pipeline.run_report(scene)
        if depth:
            find_depth(scene, DepthOptions(), tell)
        pipeline.run_train(scene, train_config, on_event=tell)
        for format_name in pipeline.EXPORT_FORMATS:
            export_when_stale(scene, format_name, on_event=tell)
        pipeline.run_evaluate(scene, pipeline.evaluate_config(scene), on_event=tell)
        report = pipeline.run_report(scene)
    return summary(scene, report, console)


def stage_ingest(scene: Scene, footage: Sequence[str], options: IngestOptions, console: Console) -> dict[str, Any]:
    with scene.lock(), console.progress(scene.root) as tell:
        outcome = pipeline.run_ingest(scene, footage, _ingest_config(options), on_event=tell)
    result = outcome.record.result
    console.say(f"{result['chosen']} of {result['given']} pictures chosen, in {scene.folder('ingest')}")
    console.say(f"Next: diorama pose {scene.root}")
    return _result(scene, "ingest", outcome)


def stage_pose(scene: Scene, poses: pipeline.PoseStage, console: Console) -> dict[str, Any]:
    with scene.lock(), console.progress(scene.root) as tell:
        outcome = pipeline.run_pose(scene, poses, on_event=tell)
        report = pipeline.run_report(scene)
    result = outcome.record.result
    console.say(f"{result['registered']} of {result['chosen']} pictures have a camera, in {scene.folder('pose')}")
    for left_out in result["unregistered"]:
        console.say(f"  without: {left_out['name']}: {left_out['reason']}")
    console.say(f"Report: {report}")
    console.say(f"Next: diorama train {scene.root}")
    return _result(scene, "pose", outcome) | {"report": str(report)}


def stage_train(scene: Scene, config: TrainConfig, console: Console) -> dict[str, Any]:
    with scene.lock(), console.progress(scene.root) as tell:
        pipeline.pose_imported(scene, on_event=tell)
        outcome = pipeline.run_train(scene, config, on_event=tell)
    result = outcome.record.result
    state = "trained" if outcome.fresh else "were trained already"
    console.say(f"{result['splats']:,} splats {state} in {duration(result['seconds'])}: {pipeline.splats_path(scene)}")
    console.say(f"Next: diorama evaluate {scene.root}, or diorama view {scene.root}")
    return _result(scene, "train", outcome) | {"splats_path": str(pipeline.splats_path(scene))}


def stage_evaluate(scene: Scene, models: Path | None, console: Console) -> dict[str, Any]:
    with scene.lock(), console.progress(scene.root) as tell:
        scene.require("train")
        config = dataclasses.replace(pipeline.evaluate_config(scene), models=models)
        pipeline.run_evaluate(scene, config, on_event=tell)
        report = pipeline.run_report(scene)
    return summary(scene, report, console)


def summary(scene: Scene, report: Path, console: Console) -> dict[str, Any]:
    """The report's main numbers and verdict, said in a few lines; returns the whole report.json."""
    value: dict[str, Any] = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    frames, splats, held_out = value["frames"], value["splats"], value["splats"]["held_out"]
    quality = "not measured (no picture was held out)"
    if held_out["psnr_db"] is not None:
        quality = f"{held_out['psnr_db']:.2f} dB PSNR, {held_out['ssim']:.3f} SSIM on held-out pictures"
    metric = "metres" if value["world"]["is_metric"] else "not metric (no GPS or known distance; see --distance)"
    rows = [
        ("pictures", f"{frames['given']} given, {frames['chosen']} chosen, {frames['registered']} with a camera"),
        ("splats", f"{splats['count']:,}"),
        ("quality", quality),
        ("scale", metric),
        ("time", duration(sum(t for t in value["timings_s"].values() if t))),
        ("files", str(scene.root / "exports")),
        ("report", str(report)),
    ]
    console.say(f"\n{scene.root}: {value['verdict']['level']}")
    for sentence in value["verdict"]["sentences"]:
        console.say(f"  {sentence}")
    console.say("")
    console.table(rows)
    console.say(f"\nWalk through it: diorama view {scene.root}")
    return value


def _ingest_config(options: IngestOptions) -> IngestConfig:
    from diorama.capture.ingest import IngestConfig

    if options.max_frames is None:
        return IngestConfig()
    return IngestConfig(max_frames=options.max_frames)


def _result(scene: Scene, stage: StageName, outcome: pipeline.Outcome) -> dict[str, Any]:
    record = outcome.record
    return {
        "scene": str(scene.root),
        "stage": stage,
        "fresh": outcome.fresh,
        "seconds": record.seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        **record.result,
    }
