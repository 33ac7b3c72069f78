"""Runs the worker, reads its progress, and turns its death into a sentence."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .job import Job

STEP_WORDS = {
    "start": "starting COLMAP",
    "features": "finding features",
    "comparing": "looking for pictures that look alike",
    "matching": "matching pairs of pictures",
    "registering": "solving for the cameras",
    "checking": "checking the solution",
}


# Tables whose rows count what a native step has done.
COUNTED = {"features": "descriptors", "matching": "two_view_geometries"}
POLL_S = 0.25

OnProgress = Callable[[str, int, int], None]


class WorkerError(Exception):
    """The worker ended without a solution. `step` is what it did last; `signal` what killed it, if a signal did."""

    def __init__(self, step: str, message: str, signal_number: int | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.signal_number = signal_number


def worker_command(job_file: Path) -> list[str]:
    return [sys.executable, "-m", "diorama.reconstruct.poses.worker", str(job_file)]


def run_worker(job: Job, on_progress: OnProgress) -> None:
    """Run one job in a child process; returns when its solution is written.

    The child is killed before any exception leaves, KeyboardInterrupt included: it holds nothing but a database that
    survives a kill. Raises WorkerError when the child aborts, is killed or fails.
    """
    output = Path(job.output)
    output.mkdir(parents=True, exist_ok=True)
    job_file = output / "job.json"
    job_file.write_text(job.to_json())
    log = output / "worker.log"
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads), "GLOG_minloglevel": "0"}
    with log.open("wb") as log_file:
        child = subprocess.Popen(
            worker_command(job_file),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=environment,
        )
        try:
            told = _listen(child, Path(job.database), on_progress)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
    if code == 0 and told.finished:
        return
    raise _failure(told.step, code, told.error, log)


@dataclass
class _Told:
    """What the worker has said so far."""

    step: str = "start"
    total: int = 1
    error: str = ""
    finished: bool = False


def _listen(child: subprocess.Popen[bytes], database: Path, on_progress: OnProgress) -> _Told:
    """Pass the worker's progress on until it closes its output. Between its words, count rows in its database."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        assert child.stdout is not None
        with contextlib.suppress(ValueError):  # closed under us: we are being stopped
            for line in child.stdout:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    told, last = _Told(), -1
    while True:
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            count = _rows(database, told.step)
            if count is not None and count != last:
                last = count
                on_progress(told.step, min(count, told.total), told.total)
            continue
        if line is None:
            return told
        message = _parse(line)
        if "step" in message:
            told.step, told.total, last = str(message["step"]), int(str(message["total"])), -1
            on_progress(told.step, int(str(message["done"])), told.total)
        told.error = str(message.get("error", told.error))
        told.finished = told.finished or "finished" in message


def _rows(database: Path, step: str) -> int | None:
    """How many rows a step that reports nothing itself has written; None where it cannot be known now."""
    if step not in COUNTED or not database.exists():
        return None
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=0.1)
        try:
            return int(connection.execute(f"SELECT COUNT(*) FROM {COUNTED[step]}").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return None


def _parse(line: bytes) -> dict[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _failure(step: str, code: int, error: str, log: Path) -> WorkerError:
    doing = STEP_WORDS.get(step, step)
    if code < 0:
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL:
            why = f"COLMAP was killed while {doing}, most likely because memory ran out"
        else:
            why = f"COLMAP crashed while {doing} ({name}{_last_complaint(log)})"
        return WorkerError(step, why, -code)
    return WorkerError(step, f"COLMAP failed while {doing} ({error or f'exit code {code}'}{_last_complaint(log)})")


def _last_complaint(log: Path) -> str:
    """The last line of COLMAP's log that is an error, behind a colon; empty where there is none."""
    lines = log.read_bytes()[-20_000:].decode(errors="replace").splitlines()
    complaints = [line for line in lines if line[:1] in ("E", "F") and "]" in line]
    return f": {complaints[-1].split(']', 1)[1].strip()[:300]}" if complaints else ""
