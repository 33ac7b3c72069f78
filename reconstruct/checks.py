"""The checks behind the verdict: each looks at one thing and returns findings in words.

Scenes are levelled (`coverage.level_scene`) before they come here; places are in that world.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from diorama.capture import Capture, Frame, PosedScene

from .coverage import PART_LINK, Array, AzimuthGap, Coverage, compass_words, nearest_cameras, side_words
from .evaluate import Evaluation, ViewScore
from .findings import Finding, Severity, Thresholds

EDGE_ONE_SIDED = 0.6
"""Length of the mean direction to the nearest cameras from which a view lies outside them."""


# Pictures


def check_pictures(capture: Capture, limits: Thresholds) -> list[Finding]:
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


def check_registration(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
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


def check_accuracy(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
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


def check_positions(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
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


def check_regions(scene: PosedScene, coverage: Coverage, limits: Thresholds) -> list[Finding]:
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


def check_world(scene: PosedScene) -> list[Finding]:
    if scene.is_metric:
        return []
    what = "The true size is not known, so nothing here is in metres."
    return [Finding("note", "scale", what, "Measure one distance on set and give it with --distance.")]


# Held-out views


def check_held_out(scene: PosedScene, coverage: Coverage, evaluation: Evaluation, limits: Thresholds) -> list[Finding]:
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
    elif memorised and best < limits.held_out_fine_db:
        what = f"New viewpoints are {gap:.1f} dB worse than the photos (1 to 3 is usual): positions are too sparse."
        findings.append(Finding("usable", "gap_db", what, "Take more photos between the ones you have."))
    elif best < limits.held_out_good_db and means.ssim < limits.ssim_good:
        what = f"New viewpoints hold their shapes, not fine detail (SSIM {means.ssim:.2f})."
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
    edge = _at_edge(scene, place, held_out)
    where = f" (between {' and '.join(near)})" if len(near) == 2 and not edge else ""
    where = f" (at the edge, beyond {near[0]})" if near and edge else where
    what = f"Seen from {view.name}{where} the scene is weak: {view.psnr_db:.1f} dB"
    quality = scene.capture.frame(view.name).quality
    if view.empty > limits.empty:
        what += f"; {view.empty:.0%} of the picture is empty, so hardly any other photo saw that part."
        return what, f"If it matters, take 5 more photos that overlap {view.name} by two thirds."
    if view.psnr_corrected_db - view.psnr_db > limits.colour_gain_db:
        return f"{what}; mostly its exposure differs.", "Lock exposure and white balance."
    if quality is not None and quality.relative_sharpness < limits.blurred:
        return f"{what}; the photo itself is blurred.", "Take it again, held still."
    if edge:
        return f"{what}.", f"If it matters, take 5 more photos beyond {view.name}, each two thirds over the one before."
    return f"{what}.", f"Stand where {view.name} was taken and take 5 photos round it, half a step apart."


def _at_edge(scene: PosedScene, place: Array, held_out: set[str]) -> bool:
    """Whether the cameras trained on that stood nearest all lie to one side: the view is outside what they span."""
    centres = [p.origin_in_source for n, p in scene.cam_from_world.items() if n not in held_out]
    if len(centres) < 4:
        return False
    away = np.array(centres) - place
    away = away[np.argsort(np.linalg.norm(away, axis=1))[:6]]
    unit = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    # Neighbours on both sides of a path cancel; from the corner of a grid they average to about 0.9.
    return float(np.linalg.norm(unit.mean(0))) > EDGE_ONE_SIDED
