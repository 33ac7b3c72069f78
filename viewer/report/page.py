"""The report as one page: the verdict first, then what it rests on."""

from __future__ import annotations

from pathlib import Path

from diorama.capture import PosedScene
from diorama.reconstruct.verdict import Finding, Verdict

from . import plots
from .depth import depth_section
from .inputs import ReportInputs
from .mesh import mesh_section
from .numbers import splat_count, unregistered
from .pictures import collect_pictures
from .reshoot import reshoot_section
from .sections import (
    exports_section,
    frames_section,
    machine_section,
    training_section,
    views_section,
    warnings_section,
)
from .words import duration, esc, number, percent, sentence, size

_LEVEL_WORD = {"good": "Good", "usable": "Usable", "reshoot": "Reshoot", None: "Not judged yet"}
_LEVEL_PATH = {
    "good": "M5 12.5l4.5 4.5L19 7.5",
    "usable": "M12 7v6M12 16.5v.5",
    "reshoot": "M8 8l8 8M16 8l-8 8",
    None: "M7.5 12h.01M12 12h.01M16.5 12h.01",
}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Should a hostile name ever get through the escaping, it finds nothing to run and nowhere to send."""

_SEVERITY_WORD = {"reshoot": "Reshoot", "usable": "Weak", "note": "Note"}


def render_page(inputs: ReportInputs) -> str:
    """The whole page: no scripts, no addresses outside itself."""
    shown = collect_pictures(inputs.footage, inputs.evaluation)
    parts = [
        _header(inputs),
        _verdict_section(inputs.verdict),
        _numbers_section(inputs),
        _map_section(inputs),
        reshoot_section(inputs),
        views_section(inputs, shown),
        depth_section(inputs),
        mesh_section(inputs),
        frames_section(inputs, shown),
        training_section(inputs),
        exports_section(inputs),
        machine_section(inputs),
        warnings_section(inputs),
    ]
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    title = esc(f"{_LEVEL_WORD[inputs.verdict.level]}: {inputs.title or 'scan'}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(p for p in parts if p)
        + "\n</main>\n</body>\n</html>\n"
    )


def _header(inputs: ReportInputs) -> str:
    facts = []
    if inputs.created:
        facts.append(esc(inputs.created))
    if inputs.command:
        facts.append(f"<code>{esc(inputs.command)}</code>")
    line = f"<p>{' · '.join(facts)}</p>" if facts else ""
    return f"<header><h1>Scan report: {esc(inputs.title or 'untitled')}</h1>{line}</header>"


def _verdict_section(verdict: Verdict) -> str:
    numbers = {id(f): n for n, f in plots.place_findings(verdict.findings)}
    items = "".join(_finding(f, numbers.get(id(f))) for f in verdict.findings)
    level = verdict.level or "open"
    icon = (
        '<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.4" '
        'stroke-linecap="round" stroke-linejoin="round"><circle cx="12" cy="12" r="10.5"/>'
        f'<path d="{_LEVEL_PATH[verdict.level]}"/></svg>'
    )
    headline = verdict.headline.partition(". ")[2] if verdict.level else verdict.headline.partition(": ")[2]
    return (
        f'<section class="verdict {level}" aria-label="Verdict"><p class="level">{icon}{_LEVEL_WORD[verdict.level]}</p>'
        f'<p class="headline">{sentence(_first_up(headline))}</p>'
        + (f'<ul class="findings">{items}</ul>' if items else "")
        + "</section>"
    )


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _finding(finding: Finding, place: int | None) -> str:
    mark = f'<span class="mark">{place}</span>' if place else '<span class="mark plain" aria-hidden="true">•</span>'
    where = f'<span class="sr">(place {place} on the map) </span>' if place else ""
    do = f' <span class="do">{sentence(finding.do)}</span>' if finding.do else ""
    word = f'<span class="sr">{_SEVERITY_WORD[finding.severity]}: </span>'
    return f'<li class="{finding.severity}">{mark}<p>{word}{where}{sentence(finding.what)}{do}</p></li>'


def _numbers_section(inputs: ReportInputs) -> str:
    tiles: list[tuple[str, str, str]] = []
    capture, scene, evaluation = inputs.footage, inputs.posed, inputs.evaluation
    if capture is not None:
        given = capture.given or len(capture.frames) + len(capture.rejected)
        if scene is None:
            tiles.append(("Frames", f"{len(capture.frames)}", f"chosen of {given}"))
        else:
            lost = len(unregistered(scene))
            more = f"chosen of {given}; {lost} not placed" if lost else f"chosen of {given}; all placed"
            tiles.append(("Cameras found", f"{len(scene.registered)} <small>of {len(capture.frames)}</small>", more))
    if scene is not None:
        pieces = scene.summary.components
        more = f"{len(scene.points):,} points" + (f", {pieces} pieces" if pieces > 1 else "")
        tiles.append(("Cameras agree to", number(scene.summary.reprojection_error_px, 2, "px"), more))
        metric = "metres" if scene.is_metric else "not metric"
        tiles.append(("True scale", metric, _scale_words(scene)))
    if (count := splat_count(inputs)) is not None:
        tiles.append(("Splats", f"{count:,}", _trained(inputs)))
    if evaluation is not None and evaluation.held_out:
        means = evaluation.held_out_means
        difference = evaluation.gap_db
        word = "under" if (difference or 0.0) >= 0 else "over"
        gap = "" if difference is None else f"{abs(difference):.1f} dB {word} the training photos"
        tiles.append(("New views, PSNR", number(means.psnr_db, 2, "dB"), gap))
        tiles.append(("after colour match", number(means.psnr_corrected_db, 2, "dB"), "affine, per view"))
        perceptual = f"LPIPS {means.lpips:.3f}" if means.lpips is not None else "LPIPS not measured"
        tiles.append(("New views, SSIM", number(means.ssim, 3), perceptual))
    elif evaluation is not None and evaluation.train:
        tiles.append(("Training photos, PSNR", number(evaluation.train_means.psnr_db, 2, "dB"), "nothing held out"))
    total = sum(v for v in inputs.timings_s.values() if v)
    if total:
        memory = f"peak memory {size(inputs.peak_memory_bytes)}" if inputs.peak_memory_bytes else ""
        tiles.append(("Time in all", duration(total), memory))
    if not tiles:
        return ""
    cells = "".join(
        f"<div><dt>{esc(t)}</dt><dd>{v}</dd>{f'<dd class=more>{esc(m)}</dd>' if m else ''}</div>" for t, v, m in tiles
    )
    return f'<section aria-label="Key numbers"><dl class="numbers">{cells}</dl></section>'


def _scale_words(scene: PosedScene) -> str:
    if not scene.is_metric:
        return "no size is known"
    names = {"gps": "from GPS", "distance": "from a measured distance", "import": "as imported"}
    return names.get(scene.metric_source or "", "")


def _trained(inputs: ReportInputs) -> str:
    training = inputs.training or {}
    steps, seconds = training.get("iterations"), training.get("seconds")
    if steps is None:
        return ""
    return f"{steps:,} steps" + (f" in {duration(seconds)}" if seconds is not None else "")


_KIND_WORDS = {
    "orbit": "The cameras go round a subject.",
    "arc": "The cameras look at a subject from one side.",
    "front": "The cameras stand side by side and look the same way.",
    "overhead": "The cameras look down from above.",
    "walk": "The cameras walk through a place.",
    "spin": "The cameras turn on one spot.",
    "few": "",
}


def _map_section(inputs: ReportInputs) -> str:
    drawing = plots.top_view(inputs)
    coverage = inputs.coverage
    if drawing is None or coverage is None:
        return ""
    lead = [_KIND_WORDS[coverage.kind]]
    if coverage.kind in ("orbit", "arc"):
        lead.append(f"They cover {coverage.span_deg:.0f} of 360 degrees, {coverage.step_deg:.0f} degrees apart.")
    if coverage.angle_deg is not None and coverage.measured:
        lead.append(f"Half the points are seen under {coverage.angle_deg:.0f} degrees or more.")
    if coverage.track_length is not None:
        lead.append(f"A point is seen by {coverage.track_length:.1f} cameras on average.")
    if coverage.pair_share is not None and coverage.measured and coverage.pair_share > 0.3:
        lead.append(f"{percent(coverage.pair_share)} of them by two only.")
    legend = [("accent", "camera")]
    if inputs.held_out_names:
        legend.append(("held", "held out of training"))
    if any(f.code == "weak_view" for f in inputs.verdict.findings):
        legend.append(("bad", "held out and weak"))
    if any(f.place_in_world is not None for f in inputs.verdict.findings):
        legend.append(("warn", "numbered: a place from the verdict"))
    marks = "".join(f'<li><i style="--c: var(--{c})"></i>{t}</li>' for c, t in legend)
    names = [f.name for f in inputs.posed.registered] if inputs.posed is not None else []
    marks += f"<li>first is {esc(names[0])}, last is {esc(names[-1])}</li>"
    return (
        f'<section><h2>Seen from above</h2><p class="lead">{sentence(" ".join(lead))}</p>'
        f'<div class="drawing map">{drawing}</div><ul class="legend">{marks}</ul></section>'
    )
