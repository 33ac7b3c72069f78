"""From a capture to posed cameras: attempts until the gate passes, then the world set upright."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from diorama.capture.camera import PARAM_NAMES, Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Finished, Mapped, OnEvent, Progressed, Started, Warned, ignore
from diorama.capture.types import Capture, PosedScene, PoseSummary

from .config import PoseConfig
from .diagnose import is_near_copies, unregistered_frames, why_nothing
from .evidence import EVIDENCE, Evidence
from .gate import Judgement, judge
from .geodesy import capture_positions
from .job import Attempt, CameraJob, Job, file_stamp, fingerprint
from .layout import colmap_names, lay_out_images, lay_out_masks
from .plan import first_attempt, next_attempt
from .points import clean_points
from .process import STEP_WORDS, OnProgress, WorkerError, run_worker
from .snapshots import SnapshotWatch, final_snapshot
from .solution import SOLUTION, Solution
from .world import place_world

STAGE = "pose"
UNITS = 1000
# From where to where each step moves the bar of one attempt, by the time it usually takes.
STEP_SPAN = {
    "start": (0.0, 0.01),
    "features": (0.01, 0.4),
    "comparing": (0.4, 0.45),
    "matching": (0.45, 0.75),
    "registering": (0.75, 0.98),
    "checking": (0.98, 1.0),
}
# Steps in which nothing but our own code runs: a Python exception there is a bug, not a matter of the footage.
OWN_STEPS = ("start", "comparing", "checking")
MIN_REGISTERED = 3
MIN_SHARE = 0.1
MIN_FREE_BYTES = 1 << 20
_METADATA_BYTES = 1 << 17


@dataclass(frozen=True, eq=False)
class _Tried:
    attempt: Attempt
    judgement: Judgement
    solution: Solution
    evidence: Evidence


def estimate_poses(
    capture: Capture, out: Path, config: PoseConfig | None = None, *, on_event: OnEvent = ignore
) -> PosedScene:
    """Find the cameras of a capture and set its world upright.

    Unfinished work lies in out/work: the same call after a kill goes on from there. It is removed when all is done.

    Raises InputError, in one sentence, when the footage cannot be solved or COLMAP fails even when run again.
    """
    config = config or PoseConfig()
    started = time.monotonic()
    on_event(Started(STAGE, UNITS))
    count = len(capture.frames)
    if count < MIN_REGISTERED:
        raise InputError(
            f"{count} picture{' is' if count == 1 else 's are'} not enough to find cameras: give at least "
            f"{MIN_REGISTERED}, better 20, taken from different places around the subject."
        )
    if has_panoramas(capture):
        raise InputError(
            "These pictures are panoramas of 360 degrees, whose cameras cannot be found here: pose them with another "
            'program and give its transforms.json, with "camera_model": "EQUIRECTANGULAR".'
        )
    work = out / "work"
    tried = _attempts(capture, work, config, started, on_event)
    best = max(tried, key=lambda t: t.judgement.score)
    kept = best.judgement.registered - len(best.judgement.outliers)
    if kept < max(MIN_REGISTERED, MIN_SHARE * count) or is_near_copies(best.evidence):
        shutil.rmtree(work, ignore_errors=True)
        raise InputError(why_nothing(capture, best.evidence, best.judgement))
    summary = PoseSummary(
        mapper=best.attempt.mapping.mapper,
        reprojection_error_px=best.solution.error_px,
        components=best.judgement.components,
        attempts=tuple(f"{t.attempt.describe()}: {t.judgement.describe()}" for t in tried),
        seconds=time.monotonic() - started,
    )
    scene = place_world(_scene(capture, best, summary), config)
    for message in scene.warnings:
        on_event(Warned(STAGE, message))
    shutil.rmtree(work, ignore_errors=True)
    on_event(Mapped(STAGE, len(scene.cam_from_world), count, partial(final_snapshot, scene)))
    on_event(Finished(STAGE, time.monotonic() - started))
    return scene


def has_panoramas(capture: Capture) -> bool:
    """Whether the first picture is equirectangular, by its camera or by what cameras write into it (Photo Sphere)."""
    if any(camera.lens == "equirectangular" for camera in capture.cameras.values()):
        return True
    with suppress(OSError), capture.image_path(capture.frames[0]).open("rb") as file:
        head = file.read(_METADATA_BYTES)
        return b"ProjectionType" in head and b"equirectangular" in head
    return False


def _attempts(capture: Capture, work: Path, config: PoseConfig, started: float, on_event: OnEvent) -> list[_Tried]:
    """Try until the gate passes, nothing is left to try, or patience ends."""
    names = tuple(f.name for f in capture.frames)
    tried: list[_Tried] = []
    failure: InputError | None = None
    attempt: Attempt | None = first_attempt(capture, config)
    judged: list[tuple[Attempt, Judgement]] = []
    while attempt is not None:
        job = _job(capture, work, config, attempt)
        try:
            frames = dict(zip(job.names, names, strict=True))
            snapshots = SnapshotWatch(Path(job.output), frames, STAGE, on_event)
            solution, evidence = _solve(job, _bar(len(judged), on_event, snapshots), on_event)
            solution = solution.renamed(frames)
        except InputError as error:
            failure = error
            judged.append((attempt, Judgement.failed(len(names), str(error))))
        else:
            judgement = judge(solution, evidence, names, job, ordered=capture.source == "video")
            tried.append(_Tried(attempt, judgement, solution, evidence))
            judged.append((attempt, judgement))
            if judgement.passed or is_near_copies(evidence):
                break
        if len(judged) >= config.attempts or time.monotonic() - started > config.patience_s:
            break
        attempt = next_attempt(capture, config, judged)
        if attempt is not None:
            on_event(Warned(STAGE, f"{judged[-1][1].describe()}; trying again: {attempt.describe()}"))
    if not tried and failure is not None:
        raise failure
    return tried


def _bar(before: int, on_event: OnEvent, snapshots: SnapshotWatch) -> OnProgress:
    """Progress of one attempt on a bar that grows by one length for each."""

    def progress(step: str, done: int, total: int) -> None:
        low, high = STEP_SPAN[step]
        at = before + low + (high - low) * done / max(total, 1)
        detail = STEP_WORDS[step] + (f" {done} of {total}" if total > 1 else "")
        if before:
            detail = f"attempt {before + 1}: {detail}"
        on_event(Progressed(STAGE, round(UNITS * at), UNITS * (before + 1), detail))
        if step == "registering":
            snapshots.look(done, total)

    return progress


def _solve(job: Job, progress: OnProgress, on_event: OnEvent) -> tuple[Solution, Evidence]:
    """Run one job, or read what an earlier run of the same left; once more from nothing where COLMAP dies."""
    output, database = Path(job.output), Path(job.database)
    if not (output / SOLUTION).exists():
        if not _is_sound(database):
            _remove(database)
        try:
            run_worker(job, progress)
        except WorkerError as first:
            if _is_full(output, str(first)):
                raise InputError(f"The disk of {output} is full: make room and run the same command again.") from first
            if first.signal_number is None and first.step in OWN_STEPS:
                raise RuntimeError(str(first)) from first
            if first.signal_number is None:
                raise InputError(f"{first}.") from first
            on_event(Warned(STAGE, f"{first}; starting over on one thread"))
            _remove(database)
            try:
                run_worker(replace(job, threads=1), progress)
            except WorkerError as second:
                raise InputError(f"{second}, and again when it was started over.") from first
    return Solution.load(output / SOLUTION), Evidence.load(output / EVIDENCE)


def _is_full(folder: Path, message: str) -> bool:
    return "disk is full" in message or "No space left" in message or shutil.disk_usage(folder).free < MIN_FREE_BYTES


def _is_sound(database: Path) -> bool:
    """False for a database that SQLite finds damaged: a kill does not do that, a full disk or a bad one may."""
    if not database.exists():
        return True
    try:
        connection = sqlite3.connect(database)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        finally:
            connection.close()
    except sqlite3.Error:
        return False


def _remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _job(capture: Capture, work: Path, config: PoseConfig, attempt: Attempt) -> Job:
    """The worker's job, in folders named by everything that decides their content."""
    ids = {cid: k for k, cid in enumerate(sorted(capture.cameras), 1)}
    cameras = {
        ids[cid]: _camera_job(camera, capture.has_prior.get(cid, False), attempt.mapping.camera_model)
        for cid, camera in capture.cameras.items()
    }
    stamps = [(f.name, f.camera_id, file_stamp(capture.image_path(f))) for f in capture.frames]
    stamps += [(f.mask, 0, file_stamp(m)) for f in capture.frames if f.mask and (m := capture.mask_path(f))]
    priors = {k: (c.width_px, c.height_px, c.params[0], c.has_prior) for k, c in cameras.items()}
    same_database = fingerprint(stamps, priors, asdict(attempt.features), asdict(attempt.matching), config.seed)
    folder = work / same_database
    output = folder / fingerprint(asdict(attempt.mapping))
    output.mkdir(parents=True, exist_ok=True)
    images = lay_out_images(capture, work / "images")
    masks = lay_out_masks(capture, work / "masks")
    gps = capture_positions(capture)
    place = dict(zip(gps.names, gps.enu_m.tolist(), strict=True)) if gps is not None else {}
    return Job(
        images=str(images.absolute()),
        masks=None if masks is None else str(masks.absolute()),
        database=str((folder / "database.db").absolute()),
        output=str(output.absolute()),
        names=colmap_names(capture),
        camera_of=tuple(ids[f.camera_id] for f in capture.frames),
        cameras=cameras,
        positions_m=tuple(place.get(f.name) for f in capture.frames),
        attempt=attempt,
        threads=config.threads or os.cpu_count() or 1,
        seed=config.seed,
    )


def _camera_job(camera: Camera, has_prior: bool, wanted: str | None) -> CameraJob:
    """Starting intrinsics in the model to solve for: the wanted one, else the capture's own where that knows the
    lens's distortion, else SIMPLE_RADIAL. Parameters the two models share are taken over."""
    model = camera.model
    if wanted is not None:
        model = next(m for m in PARAM_NAMES if m == wanted)
    elif camera.is_pinhole:
        model = "SIMPLE_RADIAL"
    start = {
        "f": (camera.fx + camera.fy) / 2,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
    }
    same_family = ("FISHEYE" in model) == ("FISHEYE" in camera.model)
    params = tuple(start.get(n, camera.param(n) if same_family else 0.0) for n in PARAM_NAMES[model])
    return CameraJob(model, camera.width_px, camera.height_px, params, has_prior)


def _scene(capture: Capture, best: _Tried, summary: PoseSummary) -> PosedScene:
    """The solution in the frame it was solved in, without the cameras and points that are not believed."""
    solution, outliers = best.solution, best.judgement.outliers
    keep = frozenset(solution.names) - frozenset(outliers)
    points, visible = clean_points(solution, keep)
    ids = dict(enumerate(sorted(capture.cameras), 1))
    poses = dict(zip(solution.names, solution.cam_from_input, strict=True))
    unregistered = unregistered_frames(capture, solution, best.evidence, outliers)
    warnings = list(best.judgement.reasons)
    return PosedScene(
        capture=capture,
        cameras={ids[k]: c for k, c in solution.cameras.items()},
        cam_from_world={f.name: poses[f.name] for f in capture.frames if f.name in keep},
        points=points,
        summary=summary,
        unregistered=unregistered,
        visible=visible,
        warnings=tuple(warnings),
    )
