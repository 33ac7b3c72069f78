"""Opening a library's job table, and making it anew from the jobs' folders when it is damaged."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from typing import Any

from diorama.capture.errors import InputError
from diorama.capture.files import read_json

from . import requests
from .diary import Line, last_line, read_lines
from .layout import JobFolder, Layout, is_job_id
from .processes import read_process
from .stages import Progress
from .table import DamagedTableError, JobTable, Row


def new_row(kind: str, capture: str, options: dict[str, Any], executor: str, now: float) -> Row:
    """A job that is about to be queued. Its id sorts by time and cannot be guessed."""
    ident = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{kind}-{secrets.token_hex(4)}"
    return Row(ident, capture, kind, options, executor, "queued", created=now, queued=now)


def open_table(layout: Layout, notes: list[str]) -> JobTable:
    """The table; a damaged one is put aside, and jobs are read from their folders again. `notes` gets what to tell."""
    try:
        table = JobTable(layout.table)
    except DamagedTableError:
        aside = layout.table.with_name(f"jobs.sqlite.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        layout.table.rename(aside)
        for suffix in ("-wal", "-shm"):
            layout.table.with_name(layout.table.name + suffix).unlink(missing_ok=True)
        notes.append(f"The job table was damaged: it is kept as {aside}, and the jobs were read from their folders.")
        table = JobTable(layout.table)
    if table.was_made:
        _read_folders(layout, table)
    return table


def take_in(table: JobTable, row: Row, lines: Sequence[Line]) -> Line | None:
    """Adds a diary's lines to a row and its events, inside `change`; returns the line that ends the run."""
    progress, ended = progress_of(row), None
    latest = max((i for i, line in enumerate(lines) if line.event == "progressed"), default=None)
    for i, line in enumerate(lines):
        progress.hear(line.event, line.data, line.time)
        if line.event == "ended":
            ended = line
        elif line.event != "progressed" or i == latest:
            table.add_event(row, line.event, line.data, line.time)
    row.progress = progress.to_json()
    return ended


def progress_of(row: Row) -> Progress:
    if row.progress:
        return Progress.from_json(row.progress)
    return Progress.of(requests.known_kind(row.kind), row.options)


def _read_folders(layout: Layout, table: JobTable) -> None:
    for path in sorted(layout.jobs.iterdir()):
        folder = JobFolder(path)
        row = _read_row(folder)
        if row is None:
            continue
        ended = last_line(folder.events, "ended")
        with table.change():
            while True:
                lines, read_to = read_lines(folder.events, row.read_to)
                if read_to == row.read_to:
                    break
                take_in(table, row, lines)
                row.read_to = read_to
            process = read_process(folder.process)
            if process is not None:
                row.state, row.attempts, row.started = "running", 1, row.created  # to be found again, or not
            if ended is not None and not (process is not None and process.is_alive(folder.process)):
                row.state = str(ended.data.get("state"))
                row.error = ended.data.get("error")
                row.result = ended.data.get("result") or {}
                row.finished = ended.time
            if row.state not in ("queued", "running", "done", "failed", "stopped"):
                row.state = "stopped"
            table.save(row)


def _read_row(folder: JobFolder) -> Row | None:
    with contextlib.suppress(InputError, KeyError, TypeError, ValueError):
        value = read_json(folder.request)
        if value["id"] == folder.path.name and is_job_id(value["id"]):
            kind = requests.known_kind(value["kind"])
            created = float(value["created"])
            return Row(
                value["id"], str(value["capture"]), kind, dict(value["options"]), "local", "queued", created, created
            )
    return None
