"""Is this scan good enough, and if not, where to stand to reshoot: numbers into words.

Checks return findings; the worst finding decides the level. Each finding says what, where and what to do, names photos
that the technician knows, and carries a place in the world where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from diorama.capture import Capture, PosedScene

from . import checks
from .coverage import Array, Coverage, level_scene, measure_coverage
from .evaluate import Evaluation
from .findings import Finding, Severity, Thresholds

__all__ = ["Finding", "Level", "Severity", "Thresholds", "Verdict", "judge"]

Level = Literal["good", "usable", "reshoot"]


@dataclass(frozen=True)
class Verdict:
    """level: None when nothing can be said yet. sentences: the headline, then findings, worst first."""

    level: Level | None
    headline: str
    findings: tuple[Finding, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.headline, *(f"{f.what} {f.do}".strip() for f in self.findings))


_ORDER: dict[Severity, int] = {"reshoot": 0, "usable": 1, "note": 2}


def judge(
    capture: Capture | None,
    scene: PosedScene | None = None,
    coverage: Coverage | None = None,
    evaluation: Evaluation | None = None,
    thresholds: Thresholds | None = None,
    *,
    advice: Iterable[Finding] = (),
) -> Verdict:
    """The verdict from whatever is known so far; every argument but the first widens it.

    coverage: of the levelled scene, as `level_scene` gives it, when it has been measured already.
    advice: more findings, in the scene's own world.
    """
    limits = thresholds or Thresholds()
    turn = np.eye(3)
    if scene is not None:
        capture = scene.capture
        scene, turn = level_scene(scene)
        coverage = coverage or measure_coverage(scene)
    findings: list[Finding] = []
    if capture is not None:
        findings += checks.check_pictures(capture, limits)
    if scene is not None and coverage is not None:
        findings += checks.check_registration(scene, coverage, limits)
        findings += checks.check_accuracy(scene, coverage, limits)
        findings += checks.check_positions(scene, coverage, limits)
        findings += checks.check_regions(scene, coverage, limits)
        findings += checks.check_world(scene)
        if evaluation is not None:
            findings += checks.check_held_out(scene, coverage, evaluation, limits)
    findings = [*(_turned_back(f, turn) for f in findings), *advice]
    findings.sort(key=lambda f: _ORDER[f.severity])
    level = _level(findings) if scene is not None or _has(findings, "reshoot") else None
    return Verdict(level, _headline(level, capture, scene, evaluation), tuple(findings))


def _turned_back(finding: Finding, level_from_world: Array) -> Finding:
    """With its place in the scene's own world."""
    if finding.place_in_world is None:
        return finding
    x, y, z = np.asarray(finding.place_in_world) @ level_from_world
    return replace(finding, place_in_world=(float(x), float(y), float(z)))


def _has(findings: Iterable[Finding], severity: Severity) -> bool:
    return any(f.severity == severity for f in findings)


def _level(findings: Sequence[Finding]) -> Level:
    return "reshoot" if _has(findings, "reshoot") else "usable" if _has(findings, "usable") else "good"


def _headline(
    level: Level | None, capture: Capture | None, scene: PosedScene | None, evaluation: Evaluation | None
) -> str:
    if level is None or capture is None:
        return "Not judged yet: the cameras have not been solved."
    words = {
        "good": "Good: this scan can be used as it is",
        "usable": "Usable, with weak places",
        "reshoot": "Reshoot: parts of this scan will not hold",
    }[level]
    if scene is None:
        return f"{words}. The cameras have not been solved yet."
    numbers = [f"{len(scene.registered)} of {len(capture.frames)} frames were placed"]
    if scene.summary.reprojection_error_px is not None:
        numbers.append(f"to {scene.summary.reprojection_error_px:.2f} px")
    text = f"{words}. {' '.join(numbers)}"
    means = evaluation.held_out_means if evaluation is not None else None
    if means is not None and means.psnr_db is not None and means.ssim is not None:
        return (
            f"{text}, and photos that training never saw come back at {means.psnr_db:.1f} dB (SSIM {means.ssim:.2f})."
        )
    if evaluation is not None:
        return f"{text}; no photo was held out, so the look from new viewpoints was not measured."
    return f"{text}; judged from the cameras alone, before training."
