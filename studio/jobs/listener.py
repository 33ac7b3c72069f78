"""The job's process tells what happens: events into the diary, pictures beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diorama.capture.events import Event, Mapped, OnEvent, Pictured, Warned

from ..console import Console
from ..progress import Listener, listening
from .diary import DiaryWriter
from .layout import JobFolder
from .pictures import PictureWriter

MAX_WARNINGS = 200


class JobListener:
    """Hears a stage's events. Whatever fails in here, the stage goes on."""

    def __init__(self, folder: JobFolder, diary: DiaryWriter) -> None:
        self._diary = diary
        self._pictures = PictureWriter(folder.pictures)
        self._warnings = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Pictured | Mapped):
            made = self._pictures.cameras(event) if isinstance(event, Mapped) else self._pictures.frame(event)
            if made is not None:
                self._diary.write("picture", dataclasses.asdict(made))
            return
        if isinstance(event, Warned):
            self._warnings += 1
            if self._warnings > MAX_WARNINGS:
                return
        self._diary.write(type(event).__name__.lower(), vars(event))


@dataclass(frozen=True)
class JobConsole(Console):
    """The console of a command that runs as a job: its words go to the job's log, its events to the listener."""

    listener: Listener | None = None

    @contextmanager
    def progress(self, scene_root: Path | None = None, also: Sequence[Listener] = ()) -> Iterator[OnEvent]:
        log = scene_root / "log.jsonl" if scene_root is not None else None
        more = [*also, *([self.listener] if self.listener is not None else [])]
        with listening(quiet=self.quiet, log=log, also=more) as tell:
            yield tell
