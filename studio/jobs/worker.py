"""The process of one job: `python -m diorama.studio.jobs.worker LIBRARY JOB [--end-with-parent]`.

It runs the command that the job stands for, the same as on the command line, and leaves in the job's folder who it is
(`process.json`, touched while it lives), what happens (`events.jsonl`) and what is printed (`log.txt`). It is stopped
by SIGTERM, by a file `stop` in that folder, or when that folder is deleted. It needs nobody: a server that goes away
does not end it; with `--end-with-parent` the process that started it does (Linux), by the kernel's signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diorama.capture.errors import InputError
from diorama.capture.files import read_json

from ..scene import Scene
from .diary import DiaryWriter
from .executors import END_WITH_PARENT, TAKEN
from .layout import JobFolder, Layout
from .listener import JobConsole, JobListener
from .processes import HEARTBEAT_S, ProcessId
from .requests import command, known_kind

DONE, FAILED, STOPPED = 0, 1, 130
MAX_RESULT_CHARS = 3_000
PR_SET_PDEATHSIG = 1


def main(args: list[str]) -> int:
    if END_WITH_PARENT in args[2:] and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return work(Layout.of(Path(args[0])), args[1])


def work(layout: Layout, job: str) -> int:
    """Does the job, from wherever it stands; returns the exit code."""
    folder = layout.job(job)
    # Before anything heavy is imported: a stop must find us ready. SIGINT comes to a terminal's whole session only.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    with folder.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another process works on this job", file=sys.stderr)
            return TAKEN
        ProcessId.own().write(folder.process)
        diary = DiaryWriter(folder.events)
        over = threading.Event()
        threading.Thread(target=_watch, args=(folder, over), daemon=True).start()
        state, error, result = _run(layout, folder, JobListener(folder, diary))
        over.set()
        for number in (signal.SIGTERM, signal.SIGINT):  # too late to stop anything
            signal.signal(number, signal.SIG_IGN)
        diary.write("ended", {"state": state, "error": error, "result": result})
    return {"done": DONE, "failed": FAILED, "stopped": STOPPED}[state]


def _run(layout: Layout, folder: JobFolder, listener: JobListener) -> tuple[str, str | None, dict[str, Any]]:
    """Runs the command; how it ended, one sentence when it failed, and a few facts."""
    from ..cli import disk_full_sentence, is_disk_full

    try:
        folder.pictures.mkdir(exist_ok=True)
        request = read_json(folder.request)
        kind, capture = known_kind(request["kind"]), str(request["capture"])
        root = layout.root / capture
        task = command(kind, request["options"], root, _footage(root), folder.path)
        found = task.run(JobConsole(listener=listener))
        return "done", None, summary(kind, found, root)
    except KeyboardInterrupt:
        return "stopped", None, {}
    except InputError as error:
        return "failed", " ".join(str(error).split()), {}
    except MemoryError:
        traceback.print_exc()
        return (
            "failed",
            "Memory ran out; take smaller or fewer pictures, or a lighter preset. Finished stages are kept.",
            {},
        )
    except Exception as error:
        traceback.print_exc()
        if is_disk_full(error):
            return "failed", disk_full_sentence(error, "resume the job"), {}
        if isinstance(error, PermissionError):
            return "failed", f"{error.filename} may not be written or read by you ({error.strerror}).", {}
        where = f"please report it with the file {folder.log}"
        return "failed", f"Diorama has a bug ({type(error).__name__}: {str(error)[:300]}); {where}.", {}


def _footage(root: Path) -> tuple[str, ...]:
    """The capture's own `footage/`, or what the scene was made from on the command line."""
    own = root / "footage"
    return (str(own),) if own.is_dir() else Scene.open(root).footage


def summary(kind: str, found: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What is worth keeping of a command's result."""
    exports = root / "exports"
    if kind == "export":
        made = [Path(m["path"]) for m in found["files"]]
        return {"files": [p.relative_to(exports).as_posix() for p in made if p.is_relative_to(exports)]}
    if kind == "video":
        return {"files": [Path(found["path"]).relative_to(exports).as_posix()], "frames": found["frames"]}
    if kind == "scan":
        held_out = found["splats"]["held_out"]
        return {"splats": found["splats"]["count"], "psnr_db": held_out["psnr_db"], "ssim": held_out["ssim"]}
    plain = {n: v for n, v in found.items() if isinstance(v, int | float | str) and not n.endswith("_path")}
    return plain if len(json.dumps(plain)) < MAX_RESULT_CHARS else {}


def _watch(folder: JobFolder, over: threading.Event) -> None:
    """Shows that the process lives, and turns a file `stop`, or the end of the job's folder, into a signal."""
    touched, told = 0.0, False
    while not over.wait(0.3):
        if not told and (folder.stop.exists() or not folder.request.exists()):
            told = True
            os.kill(os.getpid(), signal.SIGTERM)
        if time.monotonic() - touched > HEARTBEAT_S:
            touched = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(folder.process)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
