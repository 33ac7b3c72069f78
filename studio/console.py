"""Where a command's words go: results to standard output, progress and warnings to standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diorama.capture.events import OnEvent

from .progress import Listener, listening


@dataclass(frozen=True)
class Console:
    """`json` keeps standard output for the one JSON object that main prints; `quiet` silences progress."""

    json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """Prints a line for people."""
        if not self.json:
            print(text, flush=True)

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Prints names and values in two aligned columns."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.say(f"  {name:<{width}}  {value}")

    @contextmanager
    def progress(self, scene_root: Path | None = None, also: Sequence[Listener] = ()) -> Iterator[OnEvent]:
        """The listener for a stage's events; also written to the scene's log."""
        log = scene_root / "log.jsonl" if scene_root is not None else None
        with listening(quiet=self.quiet, log=log, also=also) as tell:
            yield tell
