"""Jobs as tasks of a Ray cluster.

Each task starts the same process as the local executor and waits for it: what a training does to signals and threads
stays out of Ray's own worker. A process or a worker that is killed is started again by Ray, and the job goes on from
what is in the scene folder. The library folder must be under the same path on every machine of the cluster, and
Diorama installed there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Mapping
from typing import Any

from diorama.capture.errors import InputError

from .executors import END_WITH_PARENT, TAKEN, End, adopted_end, kill_process, worker_command, worker_environment
from .layout import Layout

RETRIES = 3
STORE_BYTES = 80 << 20
"""Of shared memory for a cluster of our own: tasks hand over nothing but a name and a number."""
POLL_S = 0.2


class WorkerDiedError(Exception):
    """The job's process was killed or did not get the job; Ray runs the task again."""


class RayExecutor:
    """`ray` joins the cluster on this machine or starts one; `ray://HOST:PORT` joins one through its client server."""

    def __init__(self, address: str, places: int | None = None) -> None:
        """Connects. Raises InputError when Ray is not installed or the cluster does not answer.

        places: jobs at a time; by default one for each machine of the cluster.
        """
        self.name = address
        self._ray = _connect(address, places or 1)
        nodes = sum(1 for node in self._ray.nodes() if node.get("Alive"))
        self.places = places or max(1, nodes)
        task = self._ray.remote(run_job)
        self._task = task.options(
            num_cpus=1, max_retries=RETRIES, retry_exceptions=[WorkerDiedError], scheduling_strategy="SPREAD"
        )
        self._running: dict[str, Any] = {}
        self._closed = False

    def start(self, layout: Layout, job: str) -> dict[str, Any]:
        self._running[job] = self._task.remote(str(layout.root), job, self.places)
        return {}

    def ended(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> End | None:
        reference = self._running.get(job)
        if self._closed:  # a call now would start a cluster anew
            return None
        if reference is None:
            return adopted_end(layout, job, handle)
        done, _ = self._ray.wait([reference], timeout=0)
        if not done:
            return None
        del self._running[job]
        try:
            return End(int(self._ray.get(reference)))
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            return End(
                None, f"The job's worker on the cluster was lost {RETRIES + 1} times; the last: {first[0][:200]}"
            )

    def kill(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> None:
        reference = self._running.get(job)
        if reference is not None:
            self._ray.cancel(reference, force=True)
        kill_process(layout, job, handle)

    def close(self) -> None:
        self._closed = True
        self._ray.shutdown()


def run_job(library: str, job: str, places: int) -> int:
    """The task: the job's process, waited for. Returns its exit code; raises WorkerDiedError to be run again."""
    from pathlib import Path

    layout = Layout.of(Path(library))
    folder = layout.job(job)
    if folder.stop.exists():
        return 130
    with folder.log.open("ab") as log:
        child = subprocess.Popen(
            [*worker_command(layout, job), END_WITH_PARENT],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=worker_environment(places),
            start_new_session=True,
        )
    try:
        while (code := child.poll()) is None:
            time.sleep(POLL_S)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if code == TAKEN:
        time.sleep(2.0)
    if (code < 0 or code == TAKEN) and not folder.stop.exists():
        raise WorkerDiedError(f"the job's process ended with {code}")
    return code


def _connect(address: str, places: int) -> Any:
    try:
        import ray
    except ImportError as error:
        raise InputError("Ray is not installed; install it with: pip install 'diorama[ray]'") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "namespace": "diorama"}
    try:
        if address != "ray":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what it says is in the exception, too
                ray.init(address=address, **quiet)
            return ray
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            # Ray gives way to everything else on a machine; here its tasks are what the machine is for.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(num_cpus=places, include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
    except ImportError as error:
        raise InputError(f"{address} needs Ray's client; install it with: pip install 'ray[client]'") from error
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"The Ray cluster {address} cannot be joined: {first[:200]}") from error
    return ray
