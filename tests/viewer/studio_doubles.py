"""A library and a job table in memory, for tests of the studio's server alone."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection as Connection
from websockets.sync.client import connect

from diorama.capture.errors import InputError
from diorama.viewer.jobs import (
    CaptureInfo,
    CaptureState,
    Comparison,
    ConflictError,
    ExportInfo,
    Job,
    JobEvent,
    JobRequest,
    JobState,
    NotFoundError,
    Picture,
)
from diorama.viewer.scene_data import ViewerScene
from diorama.viewer.versions import Versions


class MemoryJobs:
    """Jobs that do nothing until a test says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        self._events: list[JobEvent] = []
        self._listeners: set[Callable[[], None]] = set()
        self._count = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def list(self, capture: str | None = None) -> Sequence[Job]:
        with self._lock:
            return [j for j in reversed(self._jobs.values()) if capture in (None, j.capture)]

    def get(self, job: str) -> Job:
        try:
            return self._jobs[job]
        except KeyError:
            raise NotFoundError(f"There is no job {job}.") from None

    def submit(self, request: JobRequest) -> Job:
        if "unknown" in request.options:
            raise InputError("There is no option unknown.")
        with self._lock:
            job = Job(
                f"job-{next(self._count)}", request.capture, request.kind, "Work", "queued", time.time(),
                options=dict(request.options),
            )  # fmt: skip
            self._jobs[job.id] = job
        self.happen(job.id, "state", state="queued")
        return job

    def cancel(self, job: str) -> Job:
        return self._become(job, "stopped")

    def resume(self, job: str) -> Job:
        if self.get(job).state not in ("stopped", "failed"):
            raise ConflictError("Only a stopped or failed job can go on.")
        return self._become(job, "queued")

    def forget(self, job: str) -> None:
        if self.get(job).is_active:
            raise ConflictError("It is still working.")
        del self._jobs[job]

    def events(self, after: int = 0, *, job: str | None = None, limit: int = 500) -> Sequence[JobEvent]:
        with self._lock:
            return [e for e in self._events if e.seq > after and job in (None, e.job)][:limit]

    def last_seq(self) -> int:
        return len(self._events)

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._listeners.add(wake)
        return lambda: self._listeners.discard(wake)

    def pictures(self, job: str) -> Sequence[Picture]:
        self.get(job)
        return [Picture(p.name, "chosen", p.stem) for p in sorted(self._pictures(job).glob("*"))]

    def picture_path(self, job: str, name: str) -> Path:
        if name not in {p.name for p in self.pictures(job)}:
            raise NotFoundError("There is no such picture.")
        return self._pictures(job) / name

    def folder(self, job: str) -> Path:
        return self._folder / self.get(job).id

    def happen(self, job: str, event: str, **data: Any) -> None:
        """Adds an event and wakes the listeners, as the job table does from its thread."""
        with self._lock:
            self._events.append(JobEvent(len(self._events) + 1, job, time.time(), event, data))
            self._jobs[job] = replace(self._jobs[job], last_event=len(self._events))
        for wake in list(self._listeners):
            wake()

    def _pictures(self, job: str) -> Path:
        return self.folder(job) / "pictures"

    def _become(self, job: str, state: JobState) -> Job:
        self._jobs[job] = replace(self.get(job), state=state)
        self.happen(job, "state", state=state)
        return self._jobs[job]


class MemoryLibrary:
    """Captures that are folders with what was uploaded; `scenes` are those with something to see."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.scenes: dict[str, ViewerScene] = {}
        self.scenes_made = 0
        self._captures: dict[str, CaptureInfo] = {}
        self._trash: dict[str, CaptureInfo] = {}
        self._count = itertools.count(1)

    @property
    def root(self) -> Path:
        return self._root

    @property
    def scratch(self) -> Path:
        return self._root / ".scratch"

    def list(self) -> Sequence[CaptureInfo]:
        return list(reversed(self._captures.values()))

    def get(self, capture: str) -> CaptureInfo:
        try:
            return self._captures[capture]
        except KeyError:
            raise NotFoundError(f"There is no capture {capture}.") from None

    def add(self, title: str, state: CaptureState = "new", **facts: Any) -> CaptureInfo:
        """A capture with an empty folder."""
        name = f"capture-{next(self._count)}"
        self.folder_of(name).mkdir(parents=True)
        self._captures[name] = CaptureInfo(name, title, state, 1.0, 1.0, name, **facts)
        return self._captures[name]

    def show(self, scene: ViewerScene) -> CaptureInfo:
        """A capture with a scene."""
        info = self.add(scene.title, "ready", is_ready=True)
        self.scenes[info.id] = scene
        return info

    def create(self, title: str, footage: Sequence[tuple[str, Path]]) -> CaptureInfo:
        info = self.add(title, "waiting", footage=tuple(name for name, _ in footage))
        for name, path in footage:
            path.rename(self.folder_of(info.id) / name)
        return info

    def again(self, capture: str, title: str | None = None) -> CaptureInfo:
        first = self.get(capture)
        return self.add(title or first.title, footage=first.footage)

    def rename(self, capture: str, title: str) -> CaptureInfo:
        self._captures[capture] = replace(self.get(capture), title=title)
        return self._captures[capture]

    def delete(self, capture: str) -> CaptureInfo:
        self._trash[capture] = replace(self.get(capture), deleted=time.time())
        del self._captures[capture]
        return self._trash[capture]

    def trash(self) -> Sequence[CaptureInfo]:
        return list(self._trash.values())

    def restore(self, capture: str) -> CaptureInfo:
        if capture not in self._trash:
            raise NotFoundError("It is not in the trash.")
        self._captures[capture] = replace(self._trash.pop(capture), deleted=None)
        return self._captures[capture]

    def empty_trash(self, capture: str | None = None) -> int:
        if capture is not None and capture not in self._trash:
            raise NotFoundError("It is not in the trash.")
        for name in [capture] if capture else list(self._trash):
            del self._trash[name]
        return 7

    def folder_of(self, capture: str) -> Path:
        return self._root / capture

    def folder(self, capture: str) -> Path:
        return self.folder_of(self.get(capture).id)

    def viewer_scene(self, capture: str) -> ViewerScene:
        self.get(capture)
        if capture not in self.scenes:
            raise ConflictError("There is nothing to see yet.")
        self.scenes_made += 1
        return self.scenes[capture]

    def versions(self, capture: str) -> Versions:
        self.get(capture)
        raise ConflictError("There are no versions here.")

    def report_folder(self, capture: str) -> Path:
        return self._existing(self.folder(capture) / "report")

    def thumbnail(self, capture: str) -> Path:
        return self._existing(self.folder(capture) / "thumbnail.jpg")

    def exports(self, capture: str) -> Sequence[ExportInfo]:
        folder = self.folder(capture) / "exports"
        files = [p for p in folder.rglob("*") if p.is_file()]
        return [ExportInfo(p.relative_to(folder).as_posix(), p.stat().st_size, 1.0) for p in files]

    def export_path(self, capture: str, name: str) -> Path:
        if name not in {e.name for e in self.exports(capture)}:
            raise NotFoundError("There is no such file.")
        return self.folder(capture) / "exports" / name

    def compare(self, a: str, b: str) -> Comparison:
        return Comparison(self.get(a), self.get(b), None, None, (), (("Splats", "1", "2"),))

    def _existing(self, path: Path) -> Path:
        if not path.exists():
            raise NotFoundError("It is not there.")
        return path


@dataclass
class Studio:
    """A running studio, a client that opened its link, and what is behind it."""

    client: httpx.Client
    port: int
    library: MemoryLibrary
    jobs: MemoryJobs

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())

    def upload(self, name: str, data: bytes) -> str:
        """Sends a file whole; its id."""
        made = self.client.post("/api/uploads", json={"name": name, "size": len(data)})
        assert made.status_code == 201, made.text
        number: str = made.json()["id"]
        sent = self.client.patch(f"/api/uploads/{number}", content=data, headers={"Upload-Offset": "0"})
        assert sent.status_code == 200 and sent.headers["upload-offset"] == str(len(data))
        return number

    def listen(self, path: str = "/api/events", **headers: str) -> Connection:
        """A WebSocket as the page opens it; headers given replace those it would send."""
        sent = {"Cookie": self.cookie, "Origin": self.origin, **headers}
        return connect(
            f"ws://127.0.0.1:{self.port}{path}",
            additional_headers={k: v for k, v in sent.items() if v},
            open_timeout=20,
            proxy=None,
            compression=None,
        )
