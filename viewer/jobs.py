"""What the studio's pages know of jobs and captures: plain data, and the two protocols that `studio/` fulfils.

A capture is a scene folder in a library folder; a job is a piece of work on one capture, done by a process of its own.
The server in this folder is handed a `Jobs` and a `Library` and never sees the pipeline behind them. All methods may be
called from any thread and answer quickly; whoever serves an event loop calls them in a thread pool.

Times are seconds since 1970 (UTC); what is None is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from diorama.capture.errors import InputError

from .scene_data import ViewerScene
from .versions import Versions

JobKind = Literal["scan", "depth", "mesh", "export", "video"]
JobState = Literal["queued", "running", "stopping", "stopped", "failed", "done"]
CaptureState = Literal["new", "waiting", "working", "stopped", "failed", "ready"]
PictureKind = Literal["chosen", "refused", "cameras", "training", "mesh"]

KINDS: tuple[JobKind, ...] = ("scan", "depth", "mesh", "export", "video")
ACTIVE: tuple[JobState, ...] = ("queued", "running", "stopping")


class NotFoundError(InputError):
    """There is no job, capture, picture or file of that name."""


class ConflictError(InputError):
    """It is there, but what is asked for cannot be done in its present state."""


@dataclass(frozen=True)
class StageProgress:
    """One step of a job, in the order in which they run.

    fraction: how much of it is done, 0 to 1. seconds: what it took so far.
    """

    name: str
    title: str
    state: Literal["waiting", "running", "done", "skipped"]
    fraction: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """A job as it is now.

    kind, options: what was asked for, see `JobRequest`. title: the same in a few words.
    stage, fraction, detail: the running step's name, how much of it is done (0 to 1) and what is going on in it.
    seconds: time worked on it, waiting and stops left out. time_left_s: of the whole job, as far as can be told.
    error: one sentence when it failed. warnings: sentences for people.
    attempts: how often a process was started for it. last_event: the highest `JobEvent.seq` of it so far.
    result: facts of a job that is done, such as the names of the files an export made.
    """

    id: str
    capture: str
    kind: JobKind
    title: str
    state: JobState
    created: float
    options: Mapping[str, Any] = field(default_factory=dict)
    stage: str = ""
    fraction: float | None = None
    detail: str = ""
    stages: tuple[StageProgress, ...] = ()
    started: float | None = None
    finished: float | None = None
    seconds: float = 0.0
    time_left_s: float | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    attempts: int = 0
    executor: str = "local"
    last_event: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True)
class JobRequest:
    """Work to be done on a capture. `options` by kind; unknown ones are refused, missing ones have their defaults.

    scan: preset, and the fields of `diorama scan`'s options by their names (steps, max_size, max_frames, hold_out,
        seed, depth, ...).
    depth: method, size. mesh: source, faces, texture, ...; the options of `diorama depth` and `diorama mesh`.
    export: format or engine; what, origin, spz_version.
    video: path ("orbit", "capture" or a camera path as an object), seconds, fps, size, version, name.
    """

    capture: str
    kind: JobKind
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobEvent:
    """Something that happened in a job.

    seq: grows over all jobs of the library and survives restarts, so that one number says what a listener has seen.
    event: "state" (data: the state and, when failed, the error), "started", "progressed", "evaluated", "warned",
        "finished" (data: as in `capture.events`), or "picture" (data: a `Picture` without its job).
    """

    seq: int
    job: str
    time: float
    event: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """A small file made on the way, to be had from `Jobs.picture_path` by its name.

    kind: "chosen" and "refused" frames (JPEG), "cameras" while they are found (JSON, see docs/formats.md), the
        "training" view as it improves and the "mesh" (JPEG).
    name: the file's. title: the frame's name. reason: why it was refused. step: of the training, or how many cameras.
    """

    name: str
    kind: PictureKind
    title: str = ""
    reason: str = ""
    step: int | None = None


class Jobs(Protocol):
    """The job table. Raises NotFoundError for unknown ids, ConflictError and InputError with one sentence."""

    def list(self, capture: str | None = None) -> Sequence[Job]:
        """All jobs, or those of one capture; the newest first."""

    def get(self, job: str) -> Job: ...

    def submit(self, request: JobRequest) -> Job:
        """Puts a job at the end of the queue. InputError for options that do not exist."""

    def cancel(self, job: str) -> Job:
        """Stops it; finished stages and checkpoints are kept. No effect on a job that has ended."""

    def resume(self, job: str) -> Job:
        """Queues a stopped or failed job again; it goes on from what is there."""

    def forget(self, job: str) -> None:
        """Removes an ended job with its events and pictures; the capture stays."""

    def events(self, after: int = 0, *, job: str | None = None, limit: int = 500) -> Sequence[JobEvent]:
        """Events with `seq > after` in order, at most `limit`; old ones are dropped at some time."""

    def last_seq(self) -> int:
        """The highest `seq` so far."""

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake` from a thread whenever there is something new; returns what ends that. `wake` must not block."""

    def pictures(self, job: str) -> Sequence[Picture]:
        """Pictures that are there, in the order in which they were made."""

    def picture_path(self, job: str, name: str) -> Path:
        """The file of a picture. NotFoundError for every other name."""

    def folder(self, job: str) -> Path:
        """The job's folder: where its process leaves what belongs to the job and not to the capture."""


@dataclass(frozen=True)
class CaptureInfo:
    """A capture in the list.

    id: its folder's name. state: "new" without a job, "ready" when there is a scene to walk through.
    run_of: the id that all runs of one footage share (the first one's); settings: what this run was made with.
    is_ready: splats are there. has_report, has_mesh: these are there. size_bytes: of all files, None while unknown.
    psnr_db, splats, pictures, is_metric, verdict: of the report, where there is one.
    deleted: when it went to the trash.
    """

    id: str
    title: str
    state: CaptureState
    created: float
    changed: float
    run_of: str
    settings: str = ""
    footage: tuple[str, ...] = ()
    is_ready: bool = False
    has_report: bool = False
    has_mesh: bool = False
    has_thumbnail: bool = False
    size_bytes: int | None = None
    job: str | None = None
    error: str | None = None
    pictures: int | None = None
    splats: int | None = None
    psnr_db: float | None = None
    is_metric: bool | None = None
    verdict: str | None = None
    deleted: float | None = None


@dataclass(frozen=True)
class ExportInfo:
    """A file to take away. name: relative to the capture's `exports/`, with `/` for those of an engine.

    stale: it was made from an older state of the scene. A folder (COLMAP cameras) is offered as its files.
    """

    name: str
    size_bytes: int
    changed: float
    format: str = ""
    what: str = ""
    stale: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    b_from_a: a similarity (4, 4 rows) that takes the first run's world to the second's, from the cameras of the frames
        that both have; None when fewer than three are shared. spread: how far these cameras then lie apart (median,
        units of b).
    shared: names of frames that both runs have a camera for. rows: (label, of a, of b) for people.
    """

    a: CaptureInfo
    b: CaptureInfo
    b_from_a: tuple[tuple[float, ...], ...] | None
    spread: float | None
    shared: tuple[str, ...]
    rows: tuple[tuple[str, str, str], ...]


class Library(Protocol):
    """The captures of a folder. NotFoundError for unknown ids, else ConflictError and InputError with one sentence."""

    @property
    def root(self) -> Path: ...

    @property
    def scratch(self) -> Path:
        """A folder of the library's own, on its file system, for what is not a capture yet, such as uploads."""

    def list(self) -> Sequence[CaptureInfo]:
        """All captures, the newest first."""

    def get(self, capture: str) -> CaptureInfo: ...

    def create(self, title: str, footage: Sequence[tuple[str, Path]]) -> CaptureInfo:
        """A new capture out of files, which are moved into it: (name as it was given, where it lies).

        InputError when there is none, or a name cannot be used.
        """

    def again(self, capture: str, title: str | None = None) -> CaptureInfo:
        """A new run of the same footage, with the frames and cameras that were found; they take no room twice."""

    def rename(self, capture: str, title: str) -> CaptureInfo:
        """Gives it another title; its id stays."""

    def delete(self, capture: str) -> CaptureInfo:
        """Moves it to the trash. ConflictError while a job works on it."""

    def trash(self) -> Sequence[CaptureInfo]: ...

    def restore(self, capture: str) -> CaptureInfo:
        """Takes it out of the trash, under another id when the old one is in use again."""

    def empty_trash(self, capture: str | None = None) -> int:
        """Deletes what is in the trash, or one of it, for good; returns the bytes set free."""

    def folder(self, capture: str) -> Path:
        """The scene folder."""

    def viewer_scene(self, capture: str) -> ViewerScene:
        """What the scene page shows: the current version, or the points while it is trained. ConflictError before."""

    def versions(self, capture: str) -> Versions:
        """The versions of its scene. ConflictError as long as there are no splats."""

    def report_folder(self, capture: str) -> Path:
        """The folder with the report's index.html. NotFoundError without one."""

    def thumbnail(self, capture: str) -> Path:
        """A small JPEG. NotFoundError without one."""

    def exports(self, capture: str) -> Sequence[ExportInfo]: ...

    def export_path(self, capture: str, name: str) -> Path:
        """The file of an export. NotFoundError for every other name."""

    def compare(self, a: str, b: str) -> Comparison:
        """Two runs side by side. ConflictError when one has no cameras."""
