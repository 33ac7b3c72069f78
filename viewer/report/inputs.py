"""What a report is made from; every part may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from diorama.capture import Capture, PosedScene
from diorama.reconstruct.coverage import Coverage, measure_coverage
from diorama.reconstruct.evaluate import Evaluation
from diorama.reconstruct.verdict import Verdict, judge


@dataclass(frozen=True)
class TrainSummary:
    """How training went.

    history: columns of equal length by name: `step`, and any of `loss`, `splats`, `psnr_db`.
    """

    iterations: int
    seconds: float
    splats: int | None = None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportRow:
    """One file that was written.

    loss_db: PSNR between renderings of the splats in memory and of the file read back; higher is nearer, None where
        it was not measured.
    """

    format: str
    path: str
    bytes: int
    loss_db: float | None = None
    splats: int | None = None
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report may show.

    name: of the scan. created: when, ISO 8601; empty leaves it out.
    capture: may be left out where `scene` is given.
    held_out: names that training did not see.
    timings_s: by stage. peak_memory_bytes: of the whole run.
    settings: by stage, plain JSON values. hardware, versions: plain JSON values.
    """

    name: str = ""
    capture: Capture | None = None
    scene: PosedScene | None = None
    train: TrainSummary | None = None
    evaluation: Evaluation | None = None
    exports: tuple[ExportRow, ...] = ()
    held_out: tuple[str, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    created: str = ""

    @cached_property
    def footage(self) -> Capture | None:
        """The capture, by itself or inside the scene."""
        return self.capture if self.scene is None else self.scene.capture

    @cached_property
    def coverage(self) -> Coverage | None:
        return None if self.scene is None else measure_coverage(self.scene)

    @cached_property
    def verdict(self) -> Verdict:
        return judge(self.capture, self.scene, self.coverage, self.evaluation)

    @cached_property
    def all_warnings(self) -> tuple[str, ...]:
        """Warnings of every part, each once, in the order of the stages."""
        parts: list[str] = []
        for source in (self.footage, self.scene, self.evaluation):
            parts += [] if source is None else source.warnings
        return tuple(dict.fromkeys([*parts, *self.warnings]))

    @cached_property
    def held_out_names(self) -> frozenset[str]:
        measured = () if self.evaluation is None else tuple(v.name for v in self.evaluation.held_out)
        return frozenset(self.held_out) | frozenset(measured)
