"""What a report is made from; every part may be missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture import Capture, PosedScene
from diorama.reconstruct.coverage import Coverage, level_scene, measure_coverage
from diorama.reconstruct.evaluate import Evaluation
from diorama.reconstruct.reshoot import SavedPlan
from diorama.reconstruct.verdict import Verdict, judge


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report may show.

    title: the scan's name. created: when, ISO 8601; empty leaves it out.
    capture: may be left out where `posed` is given.
    training: what training left as JSON: `iterations`, `seconds`, `splats`, `backend`, `max_size_px`, `held_out` (names
        that training did not see) and `history`, a list of rows or a mapping of columns with `step` and any of `loss`,
        `splats`, `psnr_db`.
    depth: what the depth stage left as JSON (see `reconstruct.depth.stage`), `depth_folder`: its maps.
    mesh: what the mesh stage left as JSON (see `reconstruct.mesh.summary_of`), `mesh_folder`: its file and preview.
    reshoot: how well surfaces are covered, and photos that would help.
    exports: by format, as JSON: `path`, `bytes`, `splats`, `loss_db` (how much PSNR against the photos the file costs),
        `max_loss_db` (what the format should cost at most) and `fidelity_db` (PSNR between the two renderings; None
        where they are equal).
    timings_s: by stage. peak_memory_bytes: of the whole run.
    settings: by stage, plain JSON values. hardware, versions: plain JSON values.
    """

    title: str = ""
    capture: Capture | None = None
    posed: PosedScene | None = None
    training: Mapping[str, Any] | None = None
    depth: Mapping[str, Any] | None = None
    depth_folder: Path | None = None
    mesh: Mapping[str, Any] | None = None
    mesh_folder: Path | None = None
    evaluation: Evaluation | None = None
    reshoot: SavedPlan | None = None
    exports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
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
        return self.capture if self.posed is None else self.posed.capture

    @cached_property
    def level(self) -> tuple[PosedScene, npt.NDArray[np.float64]] | None:
        """The scene turned upright for looking at, and the rotation that turned it."""
        return None if self.posed is None else level_scene(self.posed)

    @cached_property
    def coverage(self) -> Coverage | None:
        """Of the levelled scene."""
        return None if self.level is None else measure_coverage(self.level[0])

    @cached_property
    def verdict(self) -> Verdict:
        advice = () if self.reshoot is None else self.reshoot.findings()
        return judge(self.capture, self.posed, self.coverage, self.evaluation, advice=advice)

    @cached_property
    def all_warnings(self) -> tuple[str, ...]:
        """Warnings of every part, each once, in the order of the stages."""
        parts: list[str] = []
        for source in (self.footage, self.posed, self.evaluation):
            parts += [] if source is None else source.warnings
        return tuple(dict.fromkeys([*parts, *self.warnings]))

    @cached_property
    def held_out_names(self) -> frozenset[str]:
        names = {v.name for v in self.evaluation.held_out} if self.evaluation is not None else set()
        return frozenset(names.union((self.training or {}).get("held_out") or ()))

    @cached_property
    def history(self) -> Mapping[str, Sequence[float]]:
        """Training's history as columns of equal length; empty where there is none."""
        history = (self.training or {}).get("history") or {}
        if isinstance(history, Mapping):
            columns = {str(k): list(v) for k, v in history.items() if isinstance(v, Sequence)}
        else:
            keys = {k for row in history for k in row if k == "step" or isinstance(row[k], int | float)}
            columns = {k: [float(row[k]) if row.get(k) is not None else math.nan for row in history] for k in keys}
        steps = len(columns.get("step", ()))
        return {k: v for k, v in columns.items() if len(v) == steps}
