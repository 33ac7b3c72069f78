"""A job's events as JSON lines: its process appends, whoever watches reads on from where it was.

A line is `{"n": 7, "time": 1790000000.1, "event": "progressed", "data": {...}}` with n counting from 1 through all
processes that worked on the job. A line that a kill cut short is skipped by the reader; the next process begins on a
new one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENT_AFTER = 2_000
MAX_LINES = 20_000
"""From here on only what ends a stage or the job is written."""
ALWAYS = ("started", "finished", "ended")
READ_BYTES = 1 << 20
TAIL_BYTES = 1 << 16
MAX_DATA_CHARS = 4_000


@dataclass(frozen=True)
class Line:
    time: float
    event: str
    data: dict[str, Any]


class DiaryWriter:
    """Appends events. Nothing that goes wrong here stops the work: a line that finds no room is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._n = _last_number(path)
        self._last_progress = 0.0
        self._last_stage = ""

    def write(self, event: str, data: Mapping[str, Any]) -> None:
        now = time.time()
        if event == "progressed" and not self._is_due(str(data.get("stage", "")), now):
            return
        if self._n >= MAX_LINES and event not in ALWAYS:
            return
        text = json.dumps(data, default=str)
        if len(text) > MAX_DATA_CHARS:
            text = json.dumps({name: _short(value) for name, value in data.items()}, default=str)
        line = f'{{"n": {self._n + 1}, "time": {now:.3f}, "event": "{event}", "data": {text}}}\n'
        try:
            self._append(line.encode())
        except OSError:
            return
        self._n += 1

    def _is_due(self, stage: str, now: float) -> bool:
        """Progress at most twice a second, and more rarely in long work; at once when another stage speaks."""
        every_s = 0.5 if self._n < PATIENT_AFTER else 5.0
        if stage == self._last_stage and now - self._last_progress < every_s:
            return False
        self._last_stage, self._last_progress = stage, now
        return True

    def _append(self, data: bytes) -> None:
        # One write to a file opened for appending, so that no reader sees lines mixed.
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)


def read_lines(path: Path, offset: int) -> tuple[list[Line], int]:
    """Whole lines from a place in the file, at most a megabyte of them, and the place behind them."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(READ_BYTES)
    except OSError:
        return [], offset
    end = data.rfind(b"\n") + 1
    if end == 0:
        # A line that is longer than all we read is none of ours.
        return [], offset + (len(data) if len(data) == READ_BYTES else 0)
    lines = [line for raw in data[:end].splitlines() if (line := _parse(raw)) is not None]
    return lines, offset + end


def last_line(path: Path, event: str) -> Line | None:
    """The last event of that name near the end of the file."""
    try:
        size = path.stat().st_size
    except OSError:
        return None
    lines, _ = read_lines(path, max(0, size - TAIL_BYTES))
    return next((line for line in reversed(lines) if line.event == event), None)


def _parse(raw: bytes) -> Line | None:
    try:
        value = json.loads(raw)
        data = value["data"]
        if not isinstance(data, dict):
            return None
        return Line(float(value["time"]), str(value["event"]), data)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _last_number(path: Path) -> int:
    """The number of the last whole line; ends a line that was cut short, so that the next one is whole."""
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return 0
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            if not tail.endswith(b"\n"):
                file.write(b"\n")
    except OSError:
        return 0
    for raw in reversed(tail.splitlines()):
        try:
            return int(json.loads(raw)["n"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return 0


def _short(value: Any) -> Any:
    return value[:500] if isinstance(value, str) else value if isinstance(value, int | float) else None
