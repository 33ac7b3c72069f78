"""Where the studio keeps things in a library folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HIDDEN = ".diorama"
_JOB_ID = re.compile(r"[0-9a-z][0-9a-z-]{3,63}")


@dataclass(frozen=True)
class Layout:
    """The paths of one library. `root` is absolute."""

    root: Path

    @staticmethod
    def of(root: Path) -> Layout:
        return Layout(root.expanduser().resolve())

    @property
    def own(self) -> Path:
        return self.root / HIDDEN

    @property
    def table(self) -> Path:
        return self.own / "jobs.sqlite"

    @property
    def lock(self) -> Path:
        return self.own / "lock"

    @property
    def jobs(self) -> Path:
        return self.own / "jobs"

    @property
    def trash(self) -> Path:
        return self.own / "trash"

    @property
    def scratch(self) -> Path:
        return self.own / "scratch"

    @property
    def thumbnails(self) -> Path:
        return self.own / "thumbnails"

    def make(self) -> None:
        for folder in (self.jobs, self.trash, self.scratch, self.thumbnails):
            folder.mkdir(parents=True, exist_ok=True)

    def job(self, job: str) -> JobFolder:
        return JobFolder(self.jobs / job)


@dataclass(frozen=True)
class JobFolder:
    """The files of one job, written by its process except for `request.json` and `stop`."""

    path: Path

    @property
    def request(self) -> Path:
        """What is to be done, written once."""
        return self.path / "request.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def process(self) -> Path:
        """Which process works on it."""
        return self.path / "process.json"

    @property
    def lock(self) -> Path:
        """Held by that process."""
        return self.path / "lock"

    @property
    def stop(self) -> Path:
        """There while the job is to stop: how processes hear of it that no signal reaches."""
        return self.path / "stop"

    @property
    def log(self) -> Path:
        """What the process and the libraries in it print."""
        return self.path / "log.txt"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None
