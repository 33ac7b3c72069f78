"""Is this scan good enough, and if not, where to stand to reshoot: numbers into words.

Every check is one function that returns findings; the worst finding decides the level. Each finding says what, where
and what to do, names photos that the technician knows, and carries a place in the world where there is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from diorama.capture import Capture, Frame, PosedScene

from .coverage import (
    PART_LINK,
    Array,
    AzimuthGap,
    Coverage,
    compass_words,
    level_scene,
    measure_coverage,
    nearest_cameras,
    side_words,
)
from .evaluate import Evaluation, ViewScore

Level = Literal["good", "usable", "reshoot"]
Severity = Literal["note", "usable", "reshoot"]


@dataclass(frozen=True)
class Thresholds:
    """Where good ends and reshoot begins, with the reasons."""

    min_frames: int = 3
    """Two views cannot be checked against a third."""

    few_frames: int = 10
    """Below this every surface hangs on two or three photos; published sparse-view results need priors."""

    registered_usable: float = 0.95
    """A few lost frames of many cost nothing; one in twenty is where people start to see a hole."""

    registered_reshoot: float = 0.6
    """When two of five frames were not placed, a whole part of the path is usually missing."""

    reprojection_usable_px: float = 1.2
    """At 1600 px on the longer side; healthy COLMAP models lie at 0.4 to 1.0."""

    reprojection_reshoot_px: float = 3.0
    """Beyond COLMAP's outlier bound of 4 px little would be left: poses near it are wrong or the scene moved."""

    angle_usable_deg: float = 5.0
    """Depth error grows as 1 / angle: at 5 degrees one pixel at 1000 px focal length is about 1 % of the distance."""

    angle_reshoot_deg: float = 1.5
    """COLMAP drops points below 1.5 degrees."""

    pair_share: float = 0.7
    """Points seen by two cameras only cannot expose a wrong match; healthy captures have a third to a half."""

    step_deg: float = 35.0
    """SIFT matches fade beyond about 30 degrees of change in view."""

    gap_factor: float = 2.5
    """A step is a gap when it is also this many times the usual step: evenly sparse rings are judged otherwise."""

    gap_reshoot_deg: float = 110.0
    """More than this and a flat side seen square-on by nobody is seen only at under 35 degrees."""

    region_cameras: float = 3.0
    """Two views make a depth, the third checks it."""

    region_angle_deg: float = 4.0
    """As `angle_usable_deg`, a little milder because one region is not the scene."""

    region_share_usable: float = 0.15
    """More of the scene than this in weak regions is visible to everybody who walks through."""

    held_out_good_db: float = 23.0
    """3D Gaussian splatting averages 23.7 dB on Tanks and Temples and 27.2 on Mip-NeRF 360, which people call good."""

    held_out_reshoot_db: float = 17.0
    """Below, structure itself differs from the photo, whatever the texture."""

    ssim_good: float = 0.8
    """PSNR runs high on smooth scenes and low on grainy ones whatever their shape: structure counts too."""

    gap_db: float = 4.0
    """Dense captures show 1 to 3 dB between trained and held-out views; more means memorised, not reconstructed."""

    view_drop_db: float = 4.0
    """A held-out view this far under the median is a weak place, not chance."""

    colour_gain_db: float = 2.0
    """When a colour map per view gains this much, exposure or white balance changed between photos."""

    blurred: float = 0.6
    """Relative sharpness below which a frame is blurred for its place (see `Quality`)."""

    blurred_share: float = 0.15
    """A few blurred frames hide among the sharp; one in seven shows."""

    clipped: float = 0.2
    """More than a fifth of a picture at an end of the range carries no texture (a sky may)."""

    clipped_share: float = 0.34
    """In a third of the frames: not one lamp, but the exposure."""

    overlap: float = 0.3
    """Photogrammetry asks for 60 to 80 % between neighbours; below a third matching hangs on luck."""

    empty: float = 0.1
    """A held-out view with this much see-through area looks into a hole."""


@dataclass(frozen=True)
class Finding:
    """One thing worth saying: what and where, what to do, which frames, and where in the world."""

    severity: Severity
    code: str
    what: str
    do: str = ""
    frames: tuple[str, ...] = ()
    place_in_world: tuple[float, float, float] | None = None


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
) -> Verdict:
    """The verdict from whatever is known so far; every argument but the first widens it.

    coverage: of the levelled scene, as `level_scene` gives it, when it has been measured already.
    """
    limits = thresholds or Thresholds()
    turn = np.eye(3)
    if scene is not None:
        capture = scene.capture
        scene, turn = level_scene(scene)
        coverage = coverage or measure_coverage(scene)
    findings: list[Finding] = []
    if capture is not None:
        findings += _check_pictures(capture, limits)
    if scene is not None and coverage is not None:
        findings += _check_registration(scene, coverage, limits)
        findings += _check_accuracy(scene, coverage, limits)
        findings += _check_positions(scene, coverage, limits)
        findings += _check_regions(scene, coverage, limits)
        findings += _check_world(scene)
        if evaluation is not None:
            findings += _check_held_out(scene, coverage, evaluation, limits)
    findings = [_turned_back(f, turn) for f in findings]
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


# Pictures


def _check_pictures(capture: Capture, limits: Thresholds) -> list[Finding]:
    findings = []
    count = len(capture.frames)
    if count < limits.min_frames:
        what = f"Only {count} usable {'photo was' if count == 1 else 'photos were'} given."
        findings.append(Finding("reshoot", "frames", what, "Take at least 20, each from one step further on."))
    elif count < limits.few_frames:
        what = f"{count} photos are few: most surfaces hang on two or three of them."
        findings.append(Finding("usable", "frames", what, "Twenty and more, one step apart, make a scan robust."))
    graded = [f for f in capture.frames if f.quality is not None]
    blurred = [f for f in graded if f.quality and f.quality.relative_sharpness < limits.blurred]
    if blurred:
        blurred.sort(key=lambda f: f.quality.relative_sharpness if f.quality else 0.0)
        much = len(blurred) > limits.blurred_share * len(graded)
        what = f"{_count(blurred, 'frame')} of {len(graded)} blurred for {_its(blurred)} place: {_names(blurred)}."
        do = "Move slower, use a shorter exposure, or hold still for each photo." if much else ""
        findings.append(Finding("usable" if much else "note", "blur", what, do, tuple(f.name for f in blurred)))
    for word, code, do in (
        ("burnt out", "clipped_bright", "Lower the exposure by one stop and lock it."),
        ("black", "clipped_dark", "Add light or expose longer, and lock the exposure."),
    ):
        bad = [f for f in graded if getattr(f.quality, code) > limits.clipped]
        if bad and len(bad) > limits.clipped_share * len(graded):
            what = f"In {len(bad)} of {len(graded)} frames more than {limits.clipped:.0%} of the picture is {word}."
            findings.append(Finding("usable", code, what, do, tuple(f.name for f in bad)))
    return findings


def _count(things: Sequence[object], word: str) -> str:
    return f"1 {word}" if len(things) == 1 else f"{len(things)} {word}s"


def _its(things: Sequence[object]) -> str:
    return "its" if len(things) == 1 else "their"


def _names(frames: Sequence[Frame] | Sequence[str], most: int = 4) -> str:
    names = [f if isinstance(f, str) else f.name for f in frames]
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


# Registration


def _check_registration(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
    findings = []
    frames = scene.capture.frames
    placed = len(scene.registered)
    share = placed / max(1, len(frames))
    if placed < limits.min_frames:
        what = f"Only {placed} of {len(frames)} cameras were found: the photos do not hang together."
        do = "Take neighbouring photos with two thirds of the picture in common, of things with texture."
        return [Finding("reshoot", "registered", what, do)]
    reasons = {r.name: r.reason for r in scene.unregistered}
    severity: Severity = "usable" if share < limits.registered_usable else "note"
    if share < limits.registered_reshoot:
        severity = "reshoot"
    for run, before, after in _runs(scene):
        reason = reasons.get(run[0], "")
        span = run[0] if len(run) == 1 else f"{run[0]} to {run[-1]} ({len(run)} frames)"
        what = f"Not placed: {span}{f': {reason}' if reason else ''}."
        place = _between(scene, before, after)
        findings.append(
            Finding(severity, "unregistered", what.replace("..", "."), _join(before, after), tuple(run), place)
        )
    findings = _fold(findings, 5)
    if scene.summary.components > 1:
        what = f"The footage fell into {scene.summary.components} pieces that do not touch; the largest was kept."
        do = "Take photos that lead from one piece to the other, each sharing two thirds with the one before."
        findings.append(Finding("usable" if share >= limits.registered_reshoot else "reshoot", "components", what, do))
    findings += _check_joints(scene, coverage)
    return findings


def _fold(findings: list[Finding], most: int) -> list[Finding]:
    """Keep the findings with the most frames, and say how many more there are."""
    if len(findings) <= most:
        return findings
    findings = sorted(findings, key=lambda f: -len(f.frames))
    rest = findings[most:]
    frames = tuple(n for f in rest for n in f.frames)
    what = f"{_count(frames, 'more frame')} at {len(rest)} other places not placed: {_names(frames)}."
    return [*findings[:most], Finding(rest[0].severity, rest[0].code, what, "", frames)]


def _runs(scene: PosedScene) -> list[tuple[list[str], str | None, str | None]]:
    """Frames without a camera that follow each other, with the placed frames before and after."""
    runs: list[tuple[list[str], str | None, str | None]] = []
    run: list[str] = []
    before: str | None = None
    for frame in scene.capture.frames:
        if frame.name not in scene.cam_from_world:
            run.append(frame.name)
            continue
        if run:
            runs.append((run, before, frame.name))
        run, before = [], frame.name
    if run:
        runs.append((run, before, None))
    return runs


def _between(scene: PosedScene, before: str | None, after: str | None) -> tuple[float, float, float] | None:
    """The middle between two cameras, where the frames taken between them are likely to belong."""
    if before is None or after is None:
        return None
    ends = [scene.cam_from_world[n].origin_in_source for n in (before, after)]
    x, y, z = np.mean(ends, axis=0)
    return (float(x), float(y), float(z))


def _join(before: str | None, after: str | None) -> str:
    if before and after:
        return f"Walk from where {before} was taken to where {after} was, and take photos at half the step."
    known = before or after
    return f"Start from where {known} was taken and go on at half the step." if known else ""


def _check_joints(scene: PosedScene, coverage: Coverage) -> list[Finding]:
    """Groups of cameras that hang together by few common points."""
    findings = []
    for joint in coverage.joints[:4]:
        one = len(joint.frames) == 1
        what = (
            f"{_names(joint.frames, 3)} {'hangs' if one else 'hang'} on the rest by {joint.shared} common points only"
        )
        what += f" ({joint.inside} with {joint.outside})." if joint.shared else "."
        do = f"Take 3 photos between {joint.inside} and {joint.outside}; neighbours should share {PART_LINK} and more."
        place = _between(scene, joint.inside, joint.outside)
        findings.append(Finding("note" if one else "usable", "joint", what, do, joint.frames, place))
    return findings


def _check_accuracy(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
    findings = []
    error = scene.summary.reprojection_error_px
    longer = max((max(c.width_px, c.height_px) for c in scene.cameras.values()), default=1600)
    scale = max(1.0, longer / 1600)
    if error is not None and error > limits.reprojection_usable_px * scale:
        bad = error > limits.reprojection_reshoot_px * scale
        what = f"The cameras agree only to {error:.1f} px at {longer} px (healthy is under {scale:.1f})."
        do = (
            "Something moved, the lens zoomed or the shutter rolled: lock zoom and focus, keep people out, move slower."
        )
        findings.append(Finding("reshoot" if bad else "usable", "reprojection", what, do))
    angle = coverage.angle_deg
    if coverage.kind == "spin":
        what = "All photos were taken from one spot, so there is no depth in them."
        findings.append(Finding("reshoot", "spin", what, "Walk sideways while shooting: one step between photos."))
    elif angle is not None and angle < limits.angle_usable_deg:
        bad = angle < limits.angle_reshoot_deg
        what = f"Points are seen under {angle:.1f} degrees only (5 and more hold depth)."
        do = "Take larger steps sideways, or go nearer."
        findings.append(Finding("reshoot" if bad else "usable", "angle", what, do))
    pair = coverage.pair_share
    if coverage.measured and pair is not None and pair > limits.pair_share:
        what = f"{pair:.0%} of the points are seen by two photos only, so wrong ones go unnoticed."
        findings.append(Finding("note", "tracks", what, "Take smaller steps: every surface in three photos or more."))
    return findings


# Positions


def _check_positions(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
    findings = []
    if coverage.kind in ("orbit", "arc"):
        # Where frames were taken but not placed, that has been said already.
        lost = {frozenset((before, after)) for _, before, after in _runs(scene)}
        wide = [
            g
            for g in coverage.gaps
            if frozenset((g.before, g.after)) not in lost
            and g.degrees > limits.step_deg
            and (g.degrees > limits.gap_factor * coverage.step_deg or coverage.step_deg == 0)
        ]
        findings += [_gap_finding(scene, coverage, g, limits) for g in wide[:4]]
        if coverage.step_deg > limits.step_deg:
            what = f"Neighbouring photos stand {coverage.step_deg:.0f} degrees apart around the subject."
            findings.append(Finding("usable", "step", what, "Go round again and take one every 10 to 15 degrees."))
    if coverage.kind == "arc":
        what = f"The subject was seen from one side ({coverage.span_deg:.0f} degrees); what faces away stays empty."
        findings.append(Finding("note", "one_side", what, "Walk round it, if people will."))
    if coverage.kind == "front":
        what = "All cameras look the same way, so only what faces them is covered."
        findings.append(Finding("note", "one_side", what))
    if coverage.kind == "orbit" and coverage.elevation_deg:
        heights = np.array(list(coverage.elevation_deg.values()))
        if np.ptp(heights) < 12:
            what = f"All photos come from one height ({np.median(heights):.0f} degrees above the subject's middle)."
            findings.append(Finding("note", "one_height", what, "A second ring higher up fills the tops of things."))
    findings += _check_overlap(scene, limits)
    return findings


def _gap_finding(scene: PosedScene, coverage: Coverage, gap: AzimuthGap, limits: Thresholds) -> Finding:
    first = scene.registered[0].name
    side = side_words(coverage, gap.middle_deg, first)
    seen = f"; {side} as seen from where {first} was taken"
    if scene.georeference is not None:
        side, seen = compass_words(gap.middle_deg), ""
    count = max(2, round(gap.degrees / min(20.0, max(8.0, coverage.step_deg / 2))) - 1)
    between = f"between {gap.before} and {gap.after}"
    what = f"The {side} {between} was not looked at ({gap.degrees:.0f} degrees without a photo{seen})."
    do = f"Walk there and take {count} photos at half the step."
    angle = np.radians(gap.middle_deg)
    z = float(np.mean([scene.cam_from_world[n].origin_in_source[2] for n in (gap.before, gap.after)]))
    x, y, _ = coverage.centre_in_world
    place = (x + coverage.distance * float(np.cos(angle)), y + coverage.distance * float(np.sin(angle)), z)
    severity: Severity = "reshoot" if coverage.kind == "orbit" and gap.degrees > limits.gap_reshoot_deg else "usable"
    return Finding(severity, "gap", what, do, (gap.before, gap.after), place)


def _check_overlap(scene: PosedScene, limits: Thresholds) -> list[Finding]:
    """Neighbours in time with little in common, for footage that has a order (video)."""
    if scene.capture.source != "video":
        return []
    frames = scene.capture.frames
    jumps = [
        (before.name, after.name, after.quality.overlap)
        for before, after in itertools.pairwise(frames)
        if after.quality is not None and after.quality.overlap is not None and after.quality.overlap < limits.overlap
    ]
    if not jumps:
        return []
    before, after, overlap = min(jumps, key=lambda j: j[2] or 0.0)
    worst = f"the worst from {before} to {after} ({overlap:.0%})"
    what = f"{_count(jumps, 'jump')} in the video with little in common, {worst}."
    share = len(jumps) / max(1, len(frames) - 1)
    severity: Severity = "usable" if share > 0.1 else "note"
    return [Finding(severity, "overlap", what, "Turn and walk slower there.", (before, after))]


def _check_regions(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
    if not coverage.measured or coverage.kind in ("few", "spin"):
        return []
    inner = [r for r in coverage.regions if not r.edge]
    weak = [r for r in inner if r.cameras < limits.region_cameras or r.angle_deg < limits.region_angle_deg]
    total = sum(r.points for r in inner)
    if not weak or not total:
        return []
    share = sum(r.points for r in weak) / total
    severity: Severity = "usable" if share > limits.region_share_usable else "note"
    weak.sort(key=lambda r: (r.cameras, r.angle_deg))
    findings = []
    used: set[tuple[str, ...]] = set()
    for region in weak:
        key = tuple(sorted(region.frames[:2]))
        if key in used:
            continue
        used.add(key)
        near = _names(region.frames[:2] or nearest_cameras(scene, region.centre_in_world))
        what = (
            f"A place in view of {near} is seen by {region.cameras:.0f} cameras under {region.angle_deg:.0f} degrees: "
            "its depth is uncertain."
        )
        do = f"Stand near {region.frames[0] if region.frames else near}, step left and right, and take 5 more of it."
        findings.append(Finding(severity, "weak_region", what, do, region.frames[:2], region.centre_in_world))
    return findings[:3]


def _check_world(scene: PosedScene) -> list[Finding]:
    if scene.is_metric:
        return []
    what = "The true size is not known, so nothing here is in metres."
    return [Finding("note", "scale", what, "Measure one distance on set and give it with --distance.")]


# Held-out views


def _check_held_out(scene: PosedScene, coverage: Coverage, evaluation: Evaluation, limits: Thresholds) -> list[Finding]:
    means, gap = evaluation.held_out_means, evaluation.gap_db
    if not evaluation.held_out or means.psnr_db is None or means.ssim is None:
        return [Finding("note", "no_held_out", "Nothing was held out, so quality from new places was not measured.")]
    findings = []
    best = max(means.psnr_db, means.psnr_corrected_db or 0.0)
    memorised = gap is not None and gap > limits.gap_db
    if best < limits.held_out_reshoot_db and memorised:
        what = (
            f"From places where no photo stood the scene falls apart: {best:.1f} dB, {gap:.1f} dB under the "
            "photos it was trained on."
        )
        findings.append(Finding("reshoot", "held_out", what, "Take more positions, at half the step, all along."))
    elif best < limits.held_out_reshoot_db:
        what = f"Not even the photos trained on come back well ({best:.1f} dB held out, about as much trained)."
        do = "Train longer or at a larger size; if it stays, something moved or the cameras are wrong."
        findings.append(Finding("usable", "held_out", what, do))
    elif memorised:
        what = f"New viewpoints are {gap:.1f} dB worse than the photos (1 to 3 is usual): positions are too sparse."
        findings.append(Finding("usable", "gap_db", what, "Take more photos between the ones you have."))
    elif best < limits.held_out_good_db and means.ssim < limits.ssim_good:
        what = f"New viewpoints come back at {best:.1f} dB (SSIM {means.ssim:.2f}): shapes hold, fine detail does not."
        do = "Train with a higher preset before you decide; sharper and nearer photos help more."
        findings.append(Finding("usable", "held_out", what, do))
    # The median: one view into a hole gains from any change of colour.
    gain = float(np.median([v.psnr_corrected_db - v.psnr_db for v in evaluation.held_out]))
    if gain > limits.colour_gain_db:
        what = f"Colours differ between photos (matching them gains {gain:.1f} dB)."
        findings.append(Finding("usable", "colour", what, "Lock exposure and white balance."))
    return findings + _weak_views(scene, coverage, evaluation, limits)


def _weak_views(scene: PosedScene, coverage: Coverage, evaluation: Evaluation, limits: Thresholds) -> list[Finding]:
    """Held-out views that stand out downwards, as places to go back to."""
    median = float(np.median([v.psnr_db for v in evaluation.held_out]))
    weak = [
        v
        for v in evaluation.held_out
        if v.psnr_db < median - limits.view_drop_db or v.psnr_db < limits.held_out_reshoot_db or v.empty > limits.empty
    ]
    weak.sort(key=lambda v: v.psnr_db)
    findings = []
    severity: Severity = "usable" if len(weak) > 0.1 * len(evaluation.held_out) else "note"
    for view in weak[:4]:
        place = scene.cam_from_world[view.name].origin_in_source
        what, do = _explain_view(scene, coverage, view, {v.name for v in evaluation.held_out}, limits)
        findings.append(Finding(severity, "weak_view", what, do, (view.name,), (place[0], place[1], place[2])))
    return findings


def _explain_view(
    scene: PosedScene, coverage: Coverage, view: ViewScore, held_out: set[str], limits: Thresholds
) -> tuple[str, str]:
    place = scene.cam_from_world[view.name].origin_in_source
    near = sorted([n for n in nearest_cameras(scene, place, len(scene.registered)) if n not in held_out][:2])
    where = f" (between {' and '.join(near)})" if len(near) == 2 else ""
    what = f"Seen from {view.name}{where} the scene is weak: {view.psnr_db:.1f} dB"
    quality = scene.capture.frame(view.name).quality
    if view.empty > limits.empty:
        what += f"; {view.empty:.0%} of the picture is empty, so hardly any other photo saw that part."
        return what, f"If it matters, take 5 more photos that overlap {view.name} by two thirds."
    if view.psnr_corrected_db - view.psnr_db > limits.colour_gain_db:
        return f"{what}; mostly its exposure differs.", "Lock exposure and white balance."
    if quality is not None and quality.relative_sharpness < limits.blurred:
        return f"{what}; the photo itself is blurred.", "Take it again, held still."
    return f"{what}.", f"Stand where {view.name} was taken and take 5 photos round it, half a step apart."
