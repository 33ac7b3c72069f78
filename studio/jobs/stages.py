"""How far a job is, worked out from its events: which steps are done, what is going on, how long it may yet take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diorama.viewer.jobs import JobKind, StageProgress

from ..progress import TITLES

MAX_WARNINGS = 50
LONG = ("pose", "depth", "train", "mesh")
"""Stages without whose length nothing can be said of the whole."""


def plan(kind: JobKind, options: Mapping[str, Any]) -> list[str]:
    """The stages of a job in order, by their names in events."""
    if kind == "scan":
        depth = ["depth"] if options.get("depth") == "on" else []
        return ["ingest", "pose", *depth, "train", "export", "evaluate", "reshoot"]
    return ["render"] if kind == "video" else [kind]


@dataclass
class _Stage:
    """fraction_before, began: where this run of it started; seconds_before: what earlier ones took."""

    name: str
    state: str = "waiting"
    fraction: float | None = None
    seconds: float = 0.0
    seconds_before: float = 0.0
    began: float | None = None
    fraction_before: float | None = None


@dataclass
class Progress:
    """What is kept of a job's events; `to_json` and `from_json` for the table."""

    stages: list[_Stage]
    detail: str = ""
    warnings: list[str] = field(default_factory=list)

    @staticmethod
    def of(kind: JobKind, options: Mapping[str, Any]) -> Progress:
        return Progress([_Stage(name) for name in plan(kind, options)])

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Progress:
        return Progress([_Stage(**s) for s in value["stages"]], value["detail"], list(value["warnings"]))

    def to_json(self) -> dict[str, Any]:
        return {"stages": [vars(s) for s in self.stages], "detail": self.detail, "warnings": self.warnings}

    def hear(self, event: str, data: Mapping[str, Any], at: float) -> None:
        """Takes an event of the job's diary in."""
        if event == "warned":
            message = str(data.get("message", ""))
            if message not in self.warnings and len(self.warnings) < MAX_WARNINGS:
                self.warnings.append(message)
            return
        if event not in ("started", "progressed", "finished"):
            return
        stage = self._stage(str(data.get("stage", "")))
        if event == "started" or stage.began is None:
            self._begin(stage, at)
        if event == "progressed":
            self._progressed(stage, data)
        stage.seconds = stage.seconds_before + max(0.0, at - (stage.began or at))
        if event == "finished":
            stage.state, stage.fraction, self.detail = "done", 1.0, ""

    def end_run(self, is_done: bool) -> None:
        """The process has ended: nothing runs any more; of a job that is done nothing waits either."""
        for stage in self.stages:
            if stage.state == "running":
                stage.state = "done" if is_done else "waiting"
            if is_done and stage.state == "waiting":
                stage.state = "skipped"
            stage.began, stage.seconds_before = None, stage.seconds
        self.detail = ""

    @property
    def running(self) -> _Stage | None:
        return next((s for s in self.stages if s.state == "running"), None)

    def as_stages(self) -> tuple[StageProgress, ...]:
        states = {"waiting": "waiting", "running": "running", "done": "done", "skipped": "skipped"}
        return tuple(
            StageProgress(s.name, TITLES.get(s.name, s.name), states[s.state], s.fraction, round(s.seconds, 1))  # type: ignore[arg-type]
            for s in self.stages
        )

    def time_left_s(self, expected: Mapping[str, float], now: float) -> float | None:
        """The rest of the running stage by its pace, and what earlier jobs took for those behind it."""
        running = self.running
        if running is None or running.began is None or running.fraction is None:
            return None
        done = running.fraction - (running.fraction_before or 0.0)
        elapsed = now - running.began
        if done < 0.02 or elapsed < 1.0:
            return None
        left = elapsed * (1.0 - running.fraction) / done
        for stage in self.stages[self.stages.index(running) + 1 :]:
            if stage.name not in expected and stage.name in LONG:
                return None
            left += expected.get(stage.name, 0.0)
        return left

    def _stage(self, name: str) -> _Stage:
        found = next((s for s in self.stages if s.name == name), None)
        if found is None:
            found = _Stage(name)
            self.stages.append(found)
        return found

    def _begin(self, stage: _Stage, at: float) -> None:
        for other in self.stages:
            if other is stage:
                break
            if other.state in ("waiting", "running"):
                other.state = "skipped" if other.state == "waiting" else "done"
        stage.state, stage.began, stage.seconds_before = "running", at, stage.seconds
        stage.fraction = stage.fraction_before = None

    def _progressed(self, stage: _Stage, data: Mapping[str, Any]) -> None:
        total, done = data.get("total"), data.get("done", 0)
        self.detail = str(data.get("detail", ""))
        if not isinstance(total, int) or total <= 0 or not isinstance(done, int):
            return
        fraction = min(1.0, max(0.0, done / total))
        if stage.fraction is None or fraction < stage.fraction:  # the next pass of the same stage begins at nothing
            stage.fraction_before = fraction if stage.fraction is None else 0.0
        stage.fraction = fraction
