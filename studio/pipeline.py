"""The pipeline: stages strung together over a scene folder, each run only when what made its result has changed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diorama.capture.events import Event, OnEvent, Warned, ignore

from .machine import hardware, measured_memory, versions
from .scene import UPSTREAM, Scene, StageName, StageRecord, fingerprint

if TYPE_CHECKING:
    from diorama.capture.ingest import IngestConfig
    from diorama.capture.types import Capture, PosedScene
    from diorama.reconstruct.depth.stage import DepthSettings, NetworkFile
    from diorama.reconstruct.evaluate import EvaluateConfig, Evaluation
    from diorama.reconstruct.poses import PoseConfig
    from diorama.reconstruct.reshoot import ReshootPlan, SavedPlan
    from diorama.reconstruct.train import TrainConfig
    from diorama.render.splats import Splats
    from diorama.viewer.report import ReportInputs

RECIPES: dict[StageName, int] = {"ingest": 1, "pose": 1, "depth": 1, "train": 1, "mesh": 2, "evaluate": 2}
"""Raised when a stage's own code changes what it makes of the same input, so that old results are made anew."""

UNLIMITED_PX = 1 << 20

RESHOOT = "reshoot"
"""The folder in `report/` of what to photograph again."""

EXPORT_FORMATS = ("ply", "spz", "splat")


@dataclass(frozen=True)
class Outcome:
    """A stage's record, and whether this call made it (False: it was there already)."""

    record: StageRecord
    fresh: bool


def run_ingest(scene: Scene, footage: Sequence[str], config: IngestConfig, *, on_event: OnEvent = ignore) -> Outcome:
    """Footage into `frames/`; imported poses are kept beside them."""
    from diorama.capture.ingest import ingest
    from diorama.capture.store import save_posed

    def work(out: Path, tell: OnEvent) -> dict[str, Any]:
        made = ingest([Path(f) if Path(f).exists() else f for f in footage], out, config, on_event=tell)
        if made.imported is not None:
            save_posed(made.imported, out / "imported")
        capture = made.capture
        return {
            "source": capture.source,
            "given": capture.given,
            "chosen": len(capture.frames),
            "rejected": len(capture.rejected),
            "imported_poses": made.imported is not None,
        }

    inputs = {"footage": _footage_identity(footage, scene.root.resolve())}
    return _run(scene, "ingest", config, inputs, work, resumable=False, on_event=on_event)


@dataclass(frozen=True)
class PoseStage:
    """How to pose; `upright` also turns imported poses, which are otherwise kept exactly as they came."""

    config: PoseConfig
    upright: bool = False


def run_pose(scene: Scene, stage: PoseStage, *, on_event: OnEvent = ignore) -> Outcome:
    """Cameras into `poses/`: found by COLMAP, or the imported ones as they are."""
    from diorama.capture.store import load_capture, load_posed, save_posed
    from diorama.reconstruct.poses import estimate_poses, rescale, upright

    scene.require("ingest")

    def work(out: Path, tell: OnEvent) -> dict[str, Any]:
        capture = load_capture(scene.folder("ingest"))
        imported = scene.folder("ingest") / "imported"
        if imported.is_dir():
            posed = load_posed(imported, capture)
            if stage.upright:
                posed = upright(posed)
            if stage.config.distance is not None:
                posed = rescale(posed, *stage.config.distance)
        else:
            posed = estimate_poses(capture, out, stage.config, on_event=tell)
        save_posed(posed, out)
        return {
            "registered": len(posed.cam_from_world),
            "chosen": len(capture.frames),
            "unregistered": [dataclasses.asdict(u) for u in posed.unregistered],
            "points": len(posed.points),
            "mapper": posed.summary.mapper,
            "reprojection_error_px": posed.summary.reprojection_error_px,
            "components": posed.summary.components,
            "is_metric": posed.is_metric,
        }

    return _run(scene, "pose", stage, {}, work, resumable=True, on_event=on_event)


def run_depth(
    scene: Scene, settings: DepthSettings, network: NetworkFile | None, *, on_event: OnEvent = ignore
) -> Outcome:
    """One depth map per frame into `depth/`; goes on after the frames that an interrupted run finished."""
    from diorama.reconstruct.depth.stage import estimate_depths

    scene.require("pose")

    def work(out: Path, tell: OnEvent) -> dict[str, Any]:
        return estimate_depths(load_posed_scene(scene), out, settings, network, on_event=tell)

    inputs = {} if network is None else {"network": network.sha256}
    return _run(scene, "depth", settings, inputs, work, resumable=True, on_event=on_event)


def run_train(scene: Scene, config: TrainConfig, *, on_event: OnEvent = ignore) -> Outcome:
    """Splats into `splats/splats.ply`, in the world frame; goes on from the last checkpoint of an interrupted run.

    While it runs, a page may follow it (see viewer/live). Who ends it there gets what there is, and running this again
    goes on from that.
    """
    from diorama.reconstruct.train import train_splats
    from diorama.render.formats import write_splats
    from diorama.viewer.live import LiveEndpoint

    scene.require("pose")
    depth = current_depth(scene) if config.depth.wanted else None
    maps = None if depth is None else scene.folder("depth")

    def work(out: Path, tell: OnEvent) -> dict[str, Any]:
        _take_up(scene, out)
        with LiveEndpoint(scene.root, warn=lambda text: tell(Warned("train", text))) as live:
            result = train_splats(load_posed_scene(scene), out, config, depth_maps=maps, on_event=tell, observer=live)
        if is_short := result.steps < config.steps:
            tell(Warned("train", f"Training was ended by hand after {result.steps:,} of {config.steps:,} steps."))
        if cropped := result.removed.get("crop"):
            tell(Warned("train", f"{cropped:,} splats outside the box that was chosen by hand are left out."))
        write_splats(result.splats, out / "splats.ply")
        unfinished = {"unfinished": scene.work_key("train")} if is_short else {}
        return unfinished | {
            "splats": len(result.splats),
            "iterations": result.steps,
            "seconds": result.seconds,
            "backend": result.backend,
            "max_size_px": config.max_size_px,
            "lens": config.lens,
            "held_out": list(result.held_out),
            "depth_maps": None if depth is None else "depth",
        }

    inputs = {} if depth is None else {"depth": depth.fingerprint}
    return _run(scene, "train", config, inputs, work, resumable=True, on_event=on_event)


def _take_up(scene: Scene, out: Path) -> None:
    """Links the checkpoints of this same training into `out` where it was ended by hand."""
    record, finished = scene.stages.get("train"), scene.folder("train")
    if record is None or record.result.get("unfinished") != scene.work_key("train"):
        return
    for old in (*(finished / "checkpoints").glob("step_*.safetensors"), finished / "crop.json"):
        new = out / old.relative_to(finished)
        if old.is_file() and not new.exists():
            new.parent.mkdir(exist_ok=True)
            try:
                os.link(old, new)
            except OSError:
                shutil.copyfile(old, new)


def run_evaluate(scene: Scene, config: EvaluateConfig, *, on_event: OnEvent = ignore) -> Outcome:
    """Held-out views measured, and where to reshoot; the report with pictures into `report/`."""
    from diorama.reconstruct.evaluate import evaluate_splats, save_evaluation
    from diorama.reconstruct.reshoot import plan_reshoot, save_plan

    record = scene.require("train")

    def work(out: Path, tell: OnEvent) -> dict[str, Any]:
        posed, splats, held_out = load_posed_scene(scene), load_splats(scene), record.result["held_out"]
        evaluation = evaluate_splats(posed, splats, held_out, config, on_event=tell)
        save_evaluation(evaluation, out)
        plan = plan_reshoot(posed, splats, held_out=held_out, on_event=tell)
        if plan is not None:
            save_plan(plan, out / RESHOOT, record.fingerprint)
        return {"psnr_db": evaluation.psnr_db, "ssim": evaluation.ssim, "lpips": evaluation.lpips}

    return _run(scene, "evaluate", config, {}, work, resumable=False, on_event=on_event)


def evaluate_config(scene: Scene) -> EvaluateConfig:
    """Measures at the size, through the lens and on the background of the training: other numbers do not compare."""
    from diorama.reconstruct.evaluate import EvaluateConfig

    result = scene.require("train").result
    size, lens = result["max_size_px"] or UNLIMITED_PX, result.get("lens", "auto")
    return EvaluateConfig(max_size_px=size, backend=result["backend"], lens=lens)


def pose_imported(scene: Scene, *, on_event: OnEvent = ignore) -> None:
    """Takes imported poses over when that has not been done: there is nothing to compute and nothing to ask."""
    from diorama.reconstruct.poses import PoseConfig

    if not scene.is_done("pose") and scene.require("ingest").result["imported_poses"]:
        run_pose(scene, PoseStage(PoseConfig()), on_event=on_event)


def run_report(scene: Scene) -> Path:
    """Writes `report/index.html` and `report/report.json` from whatever stages are done."""
    from diorama.viewer.report import write_report

    folder = scene.folder("evaluate")
    folder.mkdir(exist_ok=True)
    return write_report(report_inputs(scene), folder)


def run_reshoot(scene: Scene, proposals: int, *, on_event: OnEvent = ignore) -> ReshootPlan | None:
    """Where to reshoot, made anew into `report/reshoot/`; None when the cameras see nothing."""
    from diorama.reconstruct.reshoot import ReshootConfig, plan_reshoot, save_plan

    record = scene.require("train")
    config = ReshootConfig(proposals=proposals)
    plan = plan_reshoot(
        load_posed_scene(scene), load_splats(scene), config, held_out=record.result["held_out"], on_event=on_event
    )
    if plan is not None:
        save_plan(plan, scene.folder("evaluate") / RESHOOT, record.fingerprint)
    return plan


def load_reshoot(scene: Scene) -> SavedPlan | None:
    """Where to reshoot, as long as it speaks of the present splats."""
    from diorama.capture.errors import InputError
    from diorama.reconstruct.reshoot import load_plan

    if "train" not in current_stages(scene):
        return None
    try:
        plan = load_plan(scene.folder("evaluate") / RESHOOT)
    except InputError:
        return None  # it is made anew by the next evaluation; a report must not fail for it
    return plan if plan is not None and plan.made_from == scene.stages["train"].fingerprint else None


def coverage_file(scene: Scene) -> Path | None:
    """The page's file of where to reshoot, as long as it speaks of the present splats."""
    from diorama.reconstruct.reshoot import FILE

    return None if load_reshoot(scene) is None else scene.folder("evaluate") / RESHOOT / FILE


def report_inputs(scene: Scene) -> ReportInputs:
    """What the report tells, from the folders of the stages that are done and fit together."""
    from diorama.reconstruct.depth.stage import read_record
    from diorama.reconstruct.evaluate import load_evaluation
    from diorama.viewer.report import ReportInputs

    current = current_stages(scene)
    evaluation: Evaluation | None = load_evaluation(scene.folder("evaluate")) if "evaluate" in current else None
    return ReportInputs(
        title=scene.root.resolve().name,
        created=max((scene.stages[name].finished_at for name in current), default=""),
        capture=load_capture_of(scene),
        posed=load_posed_scene(scene) if "pose" in current else None,
        training=_training_summary(scene) if "train" in current else None,
        depth=read_record(scene.folder("depth")) if "depth" in current else None,
        depth_folder=scene.folder("depth") if "depth" in current else None,
        mesh=_mesh_summary(scene, current),
        mesh_folder=scene.folder("mesh"),
        evaluation=evaluation,
        reshoot=load_reshoot(scene),
        exports={
            name: made
            for name, made in load_exports(scene).items()
            if made.get("made_from") in {scene.stages[stage].fingerprint for stage in current}
        },
        timings_s={name: scene.stages[name].seconds for name in current},
        peak_memory_bytes=max((scene.stages[name].peak_memory_bytes for name in current), default=0),
        versions=versions(),
        hardware=hardware(),
        settings={name: scene.stages[name].config for name in current},
        warnings=tuple(w for name in current for w in scene.stages[name].result.get("warnings", ())),
    )


def _mesh_summary(scene: Scene, current: list[StageName]) -> dict[str, Any] | None:
    """Of the mesh, where what it was made of is still the same."""
    if "mesh" not in current:
        return None
    result = scene.stages["mesh"].result
    there = {"capture", *(scene.stages[name].fingerprint for name in current)}
    return dict(result) if there.issuperset(result.get("made_from", ())) else None


def current_stages(scene: Scene) -> list[StageName]:
    """Finished stages whose inputs are still the ones in the folder, in order."""
    found: list[StageName] = []
    for stage, upstream in UPSTREAM.items():
        if not scene.is_done(stage):
            continue
        above = None if upstream is None else scene.stages[upstream].fingerprint if upstream in found else ""
        if scene.stages[stage].upstream == above:
            found.append(stage)
    return found


def current_depth(scene: Scene) -> StageRecord | None:
    """The depth stage's record where its maps are there and belong to the present poses."""
    return scene.stages["depth"] if "depth" in current_stages(scene) else None


def load_capture_of(scene: Scene) -> Capture:
    from diorama.capture.store import load_capture

    scene.require("ingest")
    return load_capture(scene.folder("ingest"))


def load_posed_scene(scene: Scene) -> PosedScene:
    from diorama.capture.store import load_posed

    scene.require("pose")
    return load_posed(scene.folder("pose"), load_capture_of(scene))


def splats_path(scene: Scene) -> Path:
    scene.require("train")
    return scene.folder("train") / "splats.ply"


def load_splats(scene: Scene) -> Splats:
    from diorama.render.formats import read_splats

    return read_splats(splats_path(scene))


def load_exports(scene: Scene) -> dict[str, Any]:
    path = scene.root / "exports" / "exports.json"
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def _training_summary(scene: Scene) -> dict[str, Any]:
    path = scene.folder("train") / "training.json"
    history = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return history | scene.stages["train"].result


def run_stage(
    scene: Scene,
    stage: StageName,
    config: Any,
    inputs: dict[str, Any],
    work: Callable[[Path, OnEvent], dict[str, Any]],
    *,
    on_event: OnEvent,
) -> Outcome:
    """A stage that another file describes; `work` makes the result in a folder and returns its summary."""
    return _run(scene, stage, config, inputs, work, resumable=False, on_event=on_event)


def _run(
    scene: Scene,
    stage: StageName,
    config: Any,
    inputs: dict[str, Any],
    work: Callable[[Path, OnEvent], dict[str, Any]],
    *,
    resumable: bool,
    on_event: OnEvent,
) -> Outcome:
    upstream = UPSTREAM[stage]
    settings = dataclasses.asdict(config)
    above = scene.stages[upstream].fingerprint if upstream else None
    key = fingerprint({"recipe": RECIPES[stage], "config": settings, "inputs": inputs, "upstream": above})
    if scene.is_done(stage) and scene.stages[stage].fingerprint == key:
        return Outcome(scene.stages[stage], fresh=False)
    out = scene.work(stage, key, resumable=resumable)
    started = time.monotonic()
    warned: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, Warned) and event.message not in warned:
            warned.append(event.message)
        on_event(event)

    with measured_memory() as memory:
        result = work(out, tell) | {"warnings": warned}
    if "unfinished" in result:  # not what was asked for: to be gone on with when it is asked for again
        key = fingerprint({"of": key, "result": result})
    record = StageRecord(
        fingerprint=key,
        upstream=above,
        config=json.loads(json.dumps(settings, default=str)),
        versions=versions(),
        seconds=round(time.monotonic() - started, 3),
        peak_memory_bytes=memory.bytes,
        finished_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        result=result,
    )
    scene.commit(stage, record)
    return Outcome(record, fresh=True)


def _footage_identity(footage: Sequence[str], root: Path) -> list[list[object]]:
    """Names, sizes and times of the files meant, so that changed footage is read again; contents are not hashed.

    What lies in the scene folder goes with it when that is moved.
    """
    found: list[list[object]] = []
    for item in footage:
        path = Path(item)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
        elif path.exists():
            files = [path]
        else:
            files = sorted(Path().glob(item)) if not path.is_absolute() else sorted(Path("/").glob(item[1:]))
        for file in files:
            status, place = file.stat(), file.resolve()
            name = place.relative_to(root) if place.is_relative_to(root) else place
            found.append([str(name), status.st_size, status.st_mtime_ns])
    return found
