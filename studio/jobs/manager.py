"""The job table at work: `StudioJobs` starts processes, reads what they tell, and survives its own end.

One thread does all that happens by itself: it reads the running jobs' diaries into the table, notices processes that
end, stops those that are to stop and starts the next in the queue. Whoever submits, cancels or resumes changes the
table and wakes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diorama.capture.errors import InputError
from diorama.capture.files import write_json
from diorama.viewer.jobs import ACTIVE, ConflictError, Job, JobEvent, JobRequest, NotFoundError, Picture

from . import requests
from .diary import read_lines
from .executors import Executor, LocalExecutor, adopted_end
from .layout import Layout, is_job_id
from .table import JobTable, Row
from .tables import new_row, open_table, progress_of, take_in

POLL_S = 0.25
IDLE_S = 5.0
GRACE_S = 20.0
"""So long a job that is to stop may take to save what it has before it is killed."""
MAX_RESTARTS = 5
"""So often in a row a job whose process was gone is taken up again by itself."""
MAX_QUEUED = 1_000
EVENTS_AT_ONCE = 1_000
_STATES = {"done": "done", "failed": "failed", "stopped": "stopped"}


class StudioJobs:
    """Fulfils `viewer.jobs.Jobs` for one library folder. Use as a context manager, or call `start` and `close`."""

    def __init__(
        self,
        layout: Layout,
        executor: Executor | None = None,
        *,
        capture_exists: Callable[[str], bool] | None = None,
        resume: bool = True,
    ) -> None:
        """Locks the library and opens its table.

        capture_exists: whether a capture is there; by default, whether it is a scene folder in the library.
        resume: take up jobs again whose processes ended with an earlier server or machine.
        Raises InputError, in one sentence, when another studio has the library or it cannot be written.
        """
        self._layout = layout
        self._executor = executor or LocalExecutor()
        self._exists = capture_exists or (lambda name: (layout.root / name / "scene.json").is_file())
        self._lock_file = _locked(layout)
        self.notes: list[str] = []
        """What people should be told about the table."""
        try:
            self._table: JobTable = open_table(layout, self.notes)
        except BaseException:
            self._lock_file.close()
            raise
        self._resume = resume
        self._mutex = threading.RLock()
        self._nudge = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[], None]] = []
        self._stop_asked: dict[str, float] = {}
        self._last_seq = -1
        self._ticks = 0

    def __enter__(self) -> StudioJobs:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Finds running jobs again, puts lost ones back into the queue and begins to work it off."""
        with self._mutex:
            for row in self._table.rows():
                if row.state in ("running", "stopping"):
                    self._find_again(row)
        self._thread = threading.Thread(target=self._work, name="studio-jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Lets go of the library; running jobs run on and are found again by the next server."""
        self._closing = True
        self._nudge.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
        self._executor.close()
        self._table.close()
        self._lock_file.close()

    # What the pages ask for.

    def list(self, capture: str | None = None) -> Sequence[Job]:
        return [self._job(row) for row in self._table.rows(capture)]

    def get(self, job: str) -> Job:
        return self._job(self._row(job))

    def submit(self, request: JobRequest) -> Job:
        kind = requests.known_kind(request.kind)
        options = requests.checked(kind, request.options)
        if not self._exists(request.capture):
            raise NotFoundError("There is no such capture.")
        with self._mutex:
            waiting = [r for r in self._table.rows() if r.state == "queued"]
            for row in waiting:
                if (row.capture, row.kind, row.options) == (request.capture, kind, json.loads(json.dumps(options))):
                    return self._job(row)  # a second press of the same button
            if len(waiting) >= MAX_QUEUED:
                raise ConflictError(f"{MAX_QUEUED:,} jobs are waiting already; wait for some of them.")
            row = new_row(kind, request.capture, options, self._executor.name, time.time())
            folder = self._layout.job(row.id)
            try:
                folder.path.mkdir(parents=True)
                write_json(
                    folder.request,
                    {"id": row.id, "capture": row.capture, "kind": kind, "options": options, "created": row.created},
                )
                with self._table.change():
                    self._to_state(row, "queued")
            except OSError as error:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise InputError(
                    f"The job cannot be noted in {self._layout.own} ({error.strerror or error}); make room first."
                ) from error
            except InputError:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
        self._wake()
        return self._job(row)

    def cancel(self, job: str) -> Job:
        with self._mutex:
            row = self._row(job)
            if row.state == "queued":
                with self._table.change():
                    row.finished = time.time()
                    self._to_state(row, "stopped")
            elif row.state == "running":
                self._ask_to_stop(row)
        self._wake()
        return self._job(row)

    def resume(self, job: str) -> Job:
        with self._mutex:
            row = self._row(job)
            if row.state not in ("stopped", "failed"):
                raise ConflictError(f"The job is {row.state}; only one that was stopped or failed can be resumed.")
            if not self._exists(row.capture):
                raise ConflictError("Its capture is gone; restore that from the trash first.")
            row.handle.pop("restarts", None)
            self._queue_again(row)
        self._wake()
        return self._job(row)

    def forget(self, job: str) -> None:
        with self._mutex:
            row = self._row(job)
            if row.state in ACTIVE:
                raise ConflictError(f"The job is {row.state}; stop it first.")
            with self._table.change():
                self._table.remove(job)
            shutil.rmtree(self._layout.job(job).path, ignore_errors=True)
        self._tell()

    def events(self, after: int = 0, *, job: str | None = None, limit: int = 500) -> Sequence[JobEvent]:
        if job is not None:
            self._row(job)
        return self._table.events(after, job, max(1, min(limit, EVENTS_AT_ONCE)))

    def last_seq(self) -> int:
        return self._table.last_seq()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        with self._mutex:
            self._listeners.append(wake)

        def end() -> None:
            with self._mutex, contextlib.suppress(ValueError):
                self._listeners.remove(wake)

        return end

    def pictures(self, job: str) -> Sequence[Picture]:
        self._row(job)
        found = {e.data["name"]: Picture(**e.data) for e in self._table.events(0, job, 10**6) if e.event == "picture"}
        folder = self._layout.job(job).pictures
        return [picture for name, picture in found.items() if (folder / name).is_file()]

    def picture_path(self, job: str, name: str) -> Path:
        self._row(job)
        folder = self._layout.job(job).pictures
        # A look-up among what is there: the name that came in never becomes a path.
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                if entry.name == name and not name.startswith(".") and entry.is_file():
                    return entry
        raise NotFoundError("There is no such picture.")

    def folder(self, job: str) -> Path:
        self._row(job)
        return self._layout.job(job).path

    # What happens by itself.

    def _work(self) -> None:
        while not self._closing:
            busy = True
            try:
                busy = self._tick()
            except InputError as error:  # the table cannot be written now: all of it is tried again
                print(f"Diorama: {error}", file=sys.stderr)
                self._nudge.wait(IDLE_S)
            self._tell()
            self._nudge.wait(POLL_S if busy else IDLE_S)
            self._nudge.clear()

    def _tick(self) -> bool:
        """One round; whether something is under way."""
        with self._mutex:
            rows = self._table.rows(active=True)
            for row in rows:
                if row.state in ("running", "stopping"):
                    self._look_after(row)
            self._start_next(rows)
            self._ticks += 1
            if self._ticks % 400 == 0:
                with self._table.change():
                    self._table.prune()
            return any(row.state in ACTIVE for row in rows)

    def _look_after(self, row: Row) -> None:
        end = self._executor.ended(self._layout, row.id, row.handle)
        self._read(row)
        if end is not None:
            self._conclude(row, end.code, end.reason)
        elif row.state == "stopping":
            if not self._layout.job(row.id).stop.exists():  # asked for by a server that was gone before it could
                self._ask_to_stop(row)
            asked = self._stop_asked.setdefault(row.id, time.monotonic())
            if time.monotonic() - asked > GRACE_S:
                self._executor.kill(self._layout, row.id, row.handle)

    def _read(self, row: Row) -> None:
        """Takes new lines of the diary into the table; the one that ends the run stays in the handle."""
        while True:
            lines, read_to = read_lines(self._layout.job(row.id).events, row.read_to)
            if read_to == row.read_to:
                return
            with self._table.change():
                ended = take_in(self._table, row, lines)
                if ended is not None:
                    row.handle["ended"] = ended.data
                row.read_to = read_to
                self._table.save(row)

    def _conclude(self, row: Row, code: int | None, reason: str) -> None:
        """The process is gone: what it said of its end, else what can be told from outside."""
        ended: dict[str, Any] | None = row.handle.pop("ended", None)
        was_stopping = row.state == "stopping"
        if ended is None and not was_stopping and code is None and not reason:
            self._restart(row)
            return
        error, state = None, "stopped"
        if ended is not None:
            state, error = _STATES.get(str(ended.get("state")), "failed"), ended.get("error")
            result = ended.get("result")
            row.result = dict(result) if isinstance(result, dict) else {}
        elif not was_stopping:
            state, error = "failed", reason or _why_gone(code)
        with self._table.change():
            self._end_run(row, is_done=state == "done")
            row.error = None if error is None else str(error)
            row.finished = time.time()
            self._to_state(row, state)

    def _restart(self, row: Row) -> None:
        """Nobody saw the process end: it went with an earlier server or with the machine."""
        restarts = int(row.handle.get("restarts", 0)) + 1
        with self._table.change():
            self._end_run(row, is_done=False)
            if self._resume and restarts <= MAX_RESTARTS and self._exists(row.capture):
                row.handle = {"restarts": restarts}
                row.queued = row.created  # before those that came later
                self._to_state(row, "queued")
                return
            row.finished = time.time()
            self._to_state(row, "stopped")

    def _start_next(self, rows: Sequence[Row]) -> None:
        running = [r for r in rows if r.state in ("running", "stopping")]
        busy = {r.capture for r in running}
        free = self._executor.places - len(running)
        for row in sorted((r for r in rows if r.state == "queued"), key=lambda r: r.queued):
            if free <= 0:
                return
            if row.capture not in busy:  # two jobs on one scene folder would only wait for its lock
                busy.add(row.capture)
                free -= 1
                self._start(row)

    def _start(self, row: Row) -> None:
        folder = self._layout.job(row.id)
        with self._table.change():
            # Before the process: a server that ends in between finds a running job without one and takes it up again.
            row.attempts += 1
            row.started = row.started or time.time()
            row.finished = row.error = None
            row.executor = self._executor.name
            row.handle = {"restarts": row.handle.get("restarts", 0), "since": time.time()}
            self._to_state(row, "running")
        try:
            folder.stop.unlink(missing_ok=True)
            handle = self._executor.start(self._layout, row.id)
        except (InputError, OSError) as error:
            self._conclude(row, None, str(error))
            return
        with self._table.change():
            row.handle |= handle
            self._table.save(row)

    def _find_again(self, row: Row) -> None:
        """A job that an earlier server left running: adopted when its process lives."""
        if adopted_end(self._layout, row.id, row.handle) is not None:
            self._read(row)
            if row.state == "running" and row.handle.get("ended", {}).get("state") == "stopped":
                del row.handle["ended"]  # though nobody had asked: the machine was shut down
            self._conclude(row, None, "")

    def _ask_to_stop(self, row: Row) -> None:
        try:
            self._layout.job(row.id).stop.touch()
        except OSError:  # a full disk: then the hard way
            self._executor.kill(self._layout, row.id, row.handle)
        self._stop_asked[row.id] = time.monotonic()
        if row.state != "stopping":
            with self._table.change():
                self._to_state(row, "stopping")

    def _queue_again(self, row: Row) -> None:
        with self._table.change():
            row.queued, row.finished, row.error = time.time(), None, None
            self._to_state(row, "queued")

    def _end_run(self, row: Row, *, is_done: bool) -> None:
        progress = progress_of(row)
        progress.end_run(is_done)
        row.progress = progress.to_json()
        row.seconds += max(0.0, time.time() - float(row.handle.get("since", time.time())))
        row.handle.pop("since", None)
        self._stop_asked.pop(row.id, None)
        with contextlib.suppress(OSError):
            self._layout.job(row.id).stop.unlink(missing_ok=True)

    def _to_state(self, row: Row, state: str) -> None:
        """Inside `change`."""
        row.state = state
        self._table.add_event(row, "state", {"state": state, **({"error": row.error} if row.error else {})})
        self._table.save(row)

    def _row(self, job: str) -> Row:
        if not is_job_id(job):
            raise NotFoundError("There is no such job.")
        return self._table.row(job)

    def _job(self, row: Row) -> Job:
        progress, now = progress_of(row), time.time()
        running = progress.running if row.state in ("running", "stopping") else None
        since = row.handle.get("since") if row.state in ("running", "stopping") else None
        left = progress.time_left_s(self._expected(row), now) if running else None
        kind = requests.known_kind(row.kind)
        return Job(
            id=row.id,
            capture=row.capture,
            kind=kind,
            title=requests.title(kind, row.options),
            state=row.state,  # type: ignore[arg-type]
            created=row.created,
            options=row.options,
            stage=running.name if running else "",
            fraction=running.fraction if running else None,
            detail=progress.detail if running else "",
            stages=progress.as_stages(),
            started=row.started,
            finished=row.finished,
            seconds=round(row.seconds + (max(0.0, now - float(since)) if since else 0.0), 1),
            time_left_s=None if left is None else round(left, 1),
            error=row.error,
            warnings=tuple(progress.warnings),
            attempts=row.attempts,
            executor=row.executor,
            last_event=row.last_event,
            result=row.result,
        )

    def _expected(self, row: Row) -> Mapping[str, float]:
        """What each stage took in the latest finished job of the same kind and preset."""
        for other in self._table.rows():
            same = (other.kind, other.options.get("preset")) == (row.kind, row.options.get("preset"))
            if same and other.state == "done":
                stages = progress_of(other).as_stages()
                return {s.name: s.seconds for s in stages if s.state == "done"}
        return {}

    def _wake(self) -> None:
        self._nudge.set()
        self._tell()

    def _tell(self) -> None:
        """Tells the listeners when there are new events."""
        with self._mutex:
            try:
                seq = self._table.last_seq()
            except Exception:  # closed under us
                return
            if seq == self._last_seq:
                return
            self._last_seq = seq
            listeners = list(self._listeners)
        for wake in listeners:
            wake()


def _why_gone(code: int | None) -> str:
    if code == -9:
        return "The job's process was killed, most likely because memory ran out; finished stages are kept."
    if code is not None and code < 0:
        return f"The job's process crashed (signal {-code}); finished stages are kept, its log says more."
    return f"The job's process ended without a word (exit code {code}); its log says more."


def _locked(layout: Layout) -> Any:
    """Holds the library for this process; released by the system however it ends."""
    try:
        layout.make()
        handle = layout.lock.open("a+")
    except OSError as error:
        raise InputError(
            f"{layout.root} cannot be used as a library: {error.strerror or error}; give another folder."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read(40).strip()
        handle.close()
        who = f" (process {holder})" if holder.isdigit() else ""
        raise InputError(
            f"Another Diorama studio{who} serves the library {layout.root} already; use that one, or stop it first."
        ) from None
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle
