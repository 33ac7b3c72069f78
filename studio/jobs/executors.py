"""Who runs the jobs' processes: this machine, or a Ray cluster (see `ray_executor`).

Whatever runs a job, its process leaves the same files in the job's folder (see `worker`) and stops when it finds `stop`
there: a server that was started anew, even with another executor, goes on watching it by these.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from diorama.capture.errors import InputError

from .layout import Layout
from .processes import ProcessId, read_process, start_of


@dataclass(frozen=True)
class End:
    """A job's process is gone. code: its exit code, negative for the signal that ended it, None when not known.

    reason: why, where the executor knows.
    """

    code: int | None
    reason: str = ""


END_WITH_PARENT = "--end-with-parent"
TAKEN = 3
"""The exit code of a process that found another at work on its job."""


class Executor(Protocol):
    @property
    def name(self) -> str:
        """As it was given to `--executor`."""

    @property
    def places(self) -> int:
        """How many jobs run at a time."""

    def start(self, layout: Layout, job: str) -> dict[str, Any]:
        """Starts the job's process; returns what it is known by. Raises InputError when it cannot."""

    def ended(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> End | None:
        """How the process ended; None while it runs or waits for a place."""

    def kill(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> None:
        """Ends the process at once, which did not stop when asked."""

    def close(self) -> None:
        """The server goes; processes that can go on without it do."""


class LocalExecutor:
    """One process on this machine for each job, in a session of its own."""

    name = "local"

    def __init__(self, places: int = 1) -> None:
        self.places = places
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, layout: Layout, job: str) -> dict[str, Any]:
        folder = layout.job(job)
        try:
            with folder.log.open("ab") as log:
                child = subprocess.Popen(
                    worker_command(layout, job),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=worker_environment(self.places),
                    start_new_session=True,
                    close_fds=True,
                )
        except OSError as error:
            raise InputError(f"A process for the job cannot be started: {error.strerror or error}.") from error
        self._children[job] = child
        own = ProcessId.own()
        return asdict(ProcessId(child.pid, start_of(child.pid) or "", own.host))

    def ended(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> End | None:
        child = self._children.get(job)
        if child is None:
            return adopted_end(layout, job, handle)
        code = child.poll()
        if code is None:
            return None
        del self._children[job]
        # Another process has the job, of a server before us: that one is watched.
        return adopted_end(layout, job, handle) if code == TAKEN else End(code)

    def kill(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> None:
        kill_process(layout, job, handle)

    def close(self) -> None:
        for child in self._children.values():
            child.returncode = 0  # not ours to wait for any more; Popen would complain that it still runs
        self._children.clear()


def worker_command(layout: Layout, job: str) -> list[str]:
    return [sys.executable, "-m", "diorama.studio.jobs.worker", str(layout.root), job]


def worker_environment(places: int) -> dict[str, str]:
    """Several jobs at a time share the cores, unless somebody has said how many threads to use."""
    environment = dict(os.environ)
    if places > 1:
        environment.setdefault("DIORAMA_THREADS", str(max(1, (os.cpu_count() or 1) // places)))
    return environment


def process_of(layout: Layout, job: str, handle: Mapping[str, Any]) -> ProcessId | None:
    """The process by what it says of itself, else by what was noted when it was started."""
    left = read_process(layout.job(job).process)
    if left is not None and left.is_alive(layout.job(job).process):
        return left
    try:
        noted = ProcessId(int(handle["pid"]), str(handle["began"]), str(handle["host"]))
    except (KeyError, TypeError, ValueError):
        return left
    return noted if noted.is_here and noted.is_alive(layout.job(job).process) else left


def adopted_end(layout: Layout, job: str, handle: Mapping[str, Any]) -> End | None:
    """For a process that an earlier server started: None while it lives."""
    process = process_of(layout, job, handle)
    alive = process is not None and process.is_alive(layout.job(job).process)
    return None if alive else End(None)


def kill_process(layout: Layout, job: str, handle: Mapping[str, Any]) -> None:
    process = process_of(layout, job, handle)
    if process is not None:
        process.signal_group(signal.SIGKILL)


def open_executor(text: str, places: int | None) -> Executor:
    """`local`, `ray` or `ray://HOST:PORT`. Raises InputError for anything else, or where Ray is missing."""
    if places is not None and not 1 <= places <= 256:
        raise InputError(f"--workers {places} is not a number from 1 to 256.")
    if text == "local":
        return LocalExecutor(places or 1)
    if text == "ray" or text.startswith("ray://"):
        from .ray_executor import RayExecutor

        return RayExecutor(text, places)
    raise InputError(f"--executor {text} is not known; choose local, ray or ray://HOST:PORT.")
