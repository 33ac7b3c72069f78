"""The studio put together: a library, its jobs and the server that shows both."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from diorama.capture.errors import InputError
from diorama.capture.files import writing

from .console import Console
from .jobs.executors import Executor, open_executor
from .jobs.layout import Layout
from .jobs.manager import StudioJobs
from .library import StudioLibrary

if TYPE_CHECKING:
    from diorama.viewer.studio.serve import Opened

    from .commands_studio import Studio


@dataclass(frozen=True)
class OpenStudio:
    library: StudioLibrary
    jobs: StudioJobs


@contextmanager
def open_studio(root: Path, executor: Executor | None = None, *, resume: bool = True) -> Iterator[OpenStudio]:
    """A library folder with its jobs at work, for as long as the block lasts; running jobs go on after it.

    Raises InputError when another studio has the library, or it cannot be written.
    """
    layout = Layout.of(root)
    if layout.root.exists() and not layout.root.is_dir():
        raise InputError(f"{layout.root} is a file; give the name of a folder for the library.")
    if (layout.root / "scene.json").is_file():
        raise InputError(
            f"{layout.root} is one scene, not a library; give the folder it lies in, or see: diorama view."
        )
    with StudioJobs(layout, executor, resume=resume) as jobs:
        yield OpenStudio(StudioLibrary(layout, jobs), jobs)


def run_studio(options: Studio, console: Console) -> dict[str, Any]:
    """Serves the studio until Ctrl-C; the link is the first line on standard output."""
    from diorama.viewer.studio.serve import serve_studio

    executor = open_executor(options.executor, options.workers)
    with open_studio(options.library, executor, resume=options.resume) as studio:
        for note in studio.jobs.notes:
            console.say(note)
        remembered = Layout.of(options.library).own / "port"

        def ready(opened: Opened) -> None:
            _say_links(opened, studio.library.root, console)
            with suppress(OSError), writing(remembered) as beside:
                beside.write_text(str(urlsplit(opened.url).port), encoding="ascii")

        serve_studio(
            studio.library,
            studio.jobs,
            port=options.port if options.port is not None else _free_again(remembered),
            lan=options.lan,
            inspect=options.inspect,
            open_browser=options.browser,
            on_ready=ready,
        )
        running = [job for job in studio.jobs.list() if job.is_active]
    if running:
        several = f"{len(running)} jobs go on" if len(running) > 1 else f"{running[0].title} goes on"
        console.say(f"\n{several} without the studio; to follow or to stop: diorama studio {studio.library.root}")
    return {"library": str(studio.library.root), "stopped": True, "running": [job.id for job in running]}


def _say_links(opened: Opened, root: Path, console: Console) -> None:
    if console.json:
        print(json.dumps({"url": opened.url, "phone_url": opened.phone_url, "library": str(root)}), flush=True)
        return
    console.say(opened.url)
    if opened.phone_url is not None:
        console.say(
            f"\nFor one phone or headset on this network, once; the studio's page makes more:\n{opened.phone_url}"
        )
        console.say(opened.qr)
    console.say(f"Library: {root}. Ctrl-C stops the studio, not its jobs.")


def _free_again(remembered: Path) -> int | None:
    """The library's last port while nobody else has it: pages that are still open find the studio there."""
    try:
        port = int(remembered.read_text(encoding="ascii"))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return None
    return port
