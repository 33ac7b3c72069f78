"""Processes known by their id and the moment they began, so that a number given anew is not taken for an old friend."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from diorama.capture.errors import InputError
from diorama.capture.files import read_json, write_json

STALE_S = 30.0
"""A process on another machine that has not shown itself for so long is gone."""
HEARTBEAT_S = 3.0


@dataclass(frozen=True)
class ProcessId:
    """host: where it runs. began: what the system says about its start, for comparison only."""

    pid: int
    began: str
    host: str

    @staticmethod
    def own() -> ProcessId:
        return ProcessId(os.getpid(), start_of(os.getpid()) or "", socket.gethostname())

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    def is_alive(self, file: Path) -> bool:
        """Whether it still runs; from another machine, whether its `file` was touched lately."""
        if self.is_here:
            return start_of(self.pid) == self.began != ""
        try:
            return time.time() - file.stat().st_mtime < STALE_S
        except OSError:
            return False

    def signal_group(self, number: signal.Signals) -> None:
        """Signals the process and those it started; it leads a session of its own."""
        if self.is_here and start_of(self.pid) == self.began != "":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def signal(self, number: signal.Signals) -> None:
        if self.is_here and start_of(self.pid) == self.began != "":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def read_process(path: Path) -> ProcessId | None:
    """What a process left there; None where nothing or nothing readable is."""
    try:
        value = read_json(path, 1 << 16)
        return ProcessId(int(value["pid"]), str(value["began"]), str(value["host"]))
    except (InputError, KeyError, TypeError, ValueError):
        return None


def start_of(pid: int) -> str | None:
    """When the process began, in the system's own words; None when there is none of that number or it is dead."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        fields = text[text.rfind(")") + 2 :].split()
        return None if fields[0] in ("Z", "X") else f"{boot} {fields[19]}"
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = done.stdout.strip().partition(" ")
    return began.strip() if began and not state.startswith("Z") else None
