"""Listeners of a stage's events: a progress bar, plain lines, and the log file."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from diorama.capture.events import Event, Finished, Mapped, OnEvent, Pictured, Progressed, Started, Warned

TITLES = {
    "ingest": "Reading footage",
    "pose": "Finding cameras",
    "depth": "Finding depth",
    "train": "Training splats",
    "mesh": "Making the mesh",
    "evaluate": "Measuring quality",
    "reshoot": "Finding weak places",
    "export": "Writing files",
    "convert": "Converting",
    "render": "Rendering",
    "publish": "Publishing",
}


def duration(seconds: float) -> str:
    """4.2 s, 1 min 05 s, 2 h 03 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


class Listener(Protocol):
    def __call__(self, event: Event) -> None: ...


class Pace:
    """How fast a stage went lately: a training that goes on from a checkpoint did not take its first steps now, and
    small photos and few splats at its beginning say little of its end."""

    def __init__(self, window_s: float = 30.0, apart_s: float = 0.5) -> None:
        self._window_s, self._apart_s = window_s, apart_s
        self._marks: deque[tuple[float, int]] = deque()

    def left_s(self, now: float, done: int, total: int) -> float | None:
        """Seconds to the end; None until there are two moments to tell by."""
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()
        while len(self._marks) > 1 and self._marks[1][0] <= now - self._window_s:
            self._marks.popleft()
        if not self._marks or now - self._marks[-1][0] >= self._apart_s:
            self._marks.append((now, done))
        began, before = self._marks[0]
        return (now - began) * (total - done) / (done - before) if done > before and now > began else None


class PlainLines:
    """A line every few seconds and at the end of each stage, for files and pipes.

    None at a stage's beginning: what fails at once says only why.
    """

    def __init__(self, stream: IO[str], every_s: float = 5.0) -> None:
        self._stream = stream
        self._every_s = every_s
        self._last = time.monotonic()
        self._pace = Pace()

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Started):
            self._last, self._pace = now, Pace()
        elif isinstance(event, Progressed):
            left_s = self._pace.left_s(now, event.done, event.total) if event.total else None
            if now - self._last >= self._every_s:
                self._last = now
                self._print(f"{_title(event.stage)}: {_how_far(event, left_s)}")
        elif isinstance(event, Warned):
            self._print(f"Warning: {event.message}")
        elif isinstance(event, Finished):
            self._print(f"{_title(event.stage)}: done in {duration(event.seconds)}")

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def _how_far(event: Progressed, left_s: float | None) -> str:
    parts = [f"{event.done}/{event.total}" if event.total else str(event.done)]
    if left_s is not None:
        parts.append(f"{duration(left_s)} left")
    return ", ".join([*parts, *([event.detail] if event.detail else [])])


class ProgressBar:
    """rich's bar with time left, for terminals."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console(file=stream)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=28),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[detail]}"),
            console=self._console,
        )
        self._tasks: dict[str, Any] = {}
        self._progress.start()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._console.print(f"[yellow]Warning:[/] {_escaped(event.message)}")
            return
        if isinstance(event, Pictured | Mapped):
            return
        if event.stage not in self._tasks or isinstance(event, Started):
            total = event.total if isinstance(event, Started) else None
            self._tasks[event.stage] = self._progress.add_task(_title(event.stage), total=total, detail="")
        task = self._tasks[event.stage]
        if isinstance(event, Progressed):
            self._progress.update(task, completed=event.done, total=event.total, detail=_escaped(event.detail))
        elif isinstance(event, Finished):
            self._progress.update(task, completed=1, total=1, detail="")

    def close(self) -> None:
        self._progress.stop()


class LogFile:
    """Every event as one JSON line with its time, pictures left out; `progress` at most once a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_progress = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Pictured | Mapped):
            return
        if isinstance(event, Progressed):
            if time.monotonic() - self._last_progress < 1.0:
                return
            self._last_progress = time.monotonic()
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": type(event).__name__.lower()}
        # A diary is never worth the work it describes: a disk without room for a line must not stop a training.
        try:
            with self._path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line | vars(event)) + "\n")
        except OSError:
            return


class Warnings:
    """Keeps the sentences people should see again at the end."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned) and event.message not in self.messages:
            self.messages.append(event.message)


@contextmanager
def listening(*, quiet: bool = False, log: Path | None = None, also: Sequence[Listener] = ()) -> Iterator[OnEvent]:
    """One callable that tells every listener; the bar on a terminal, plain lines elsewhere, nothing when quiet."""
    listeners: list[Listener] = list(also)
    bar: ProgressBar | None = None
    if log is not None:
        listeners.append(LogFile(log))
    if not quiet:
        if sys.stderr.isatty():
            bar = ProgressBar(sys.stderr)
            listeners.append(bar)
        else:
            listeners.append(PlainLines(sys.stderr))

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    try:
        yield tell
    finally:
        if bar is not None:
            bar.close()


def _title(stage: str) -> str:
    return TITLES.get(stage, stage)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
