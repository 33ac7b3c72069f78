"""The lower half of the page: pictures, plots and tables."""

from __future__ import annotations

from typing import Any

from diorama.capture import Frame
from diorama.reconstruct.evaluate import ERROR_FULL_SCALE, ViewScore
from diorama.reconstruct.verdict import Thresholds

from . import plots
from .inputs import ReportInputs
from .numbers import plain_json, unregistered
from .pictures import Shown, worst_first
from .words import MISSING, duration, esc, number, pairs, percent, size, table

LIST_ROWS = 60
"""Long lists end here with a pointer to report.json, which has them whole."""

LONG_STRIP = 48


def views_section(inputs: ReportInputs, shown: Shown) -> str:
    evaluation = inputs.evaluation
    if evaluation is None:
        return ""
    if not evaluation.held_out:
        means = evaluation.train_means
        return (
            "<section><h2>New viewpoints: not measured</h2>"
            "<p>Nothing was held out of training, so nothing says how the scene looks from a new place. The photos it "
            f"was trained on come back at {number(means.psnr_db, 2)} dB (SSIM {number(means.ssim, 3)}), "
            "which tells how well they were memorised.</p></section>"
        )
    ordered = worst_first(evaluation.held_out)
    figures = "".join(_view(v, shown.views[v.name]) for v in ordered if v.name in shown.views)
    rows = [
        [esc(v.name), number(v.psnr_db, 2), number(v.psnr_corrected_db, 2), number(v.ssim, 3), number(v.lpips, 3)]
        + [percent(v.empty)]
        for v in ordered
    ]
    numbers = table(["View", "PSNR, dB", "colour-matched, dB", "SSIM", "LPIPS", "empty"], rows, kinds=" nnnnn")
    many = f"<details><summary>All {len(rows)} views in numbers</summary>{numbers}</details>" if len(rows) > 3 else ""
    many = many if figures else numbers
    return (
        "<section><h2>New viewpoints against the photos</h2>"
        f'<p class="lead">{len(ordered)} photos were kept out of training and rendered afterwards at '
        f"{evaluation.size_px} px; the worst come first. Error: no difference"
        f'<span class="ramp" role="img" aria-label="dark to bright"></span>{percent(ERROR_FULL_SCALE)} of the range '
        f"or more; grey is masked.</p>{figures}{many}</section>"
    )


def _view(view: ViewScore, addresses: tuple[str, str, str]) -> str:
    numbers = [f"{view.psnr_db:.2f} dB", f"{view.psnr_corrected_db:.2f} dB colour-matched", f"SSIM {view.ssim:.3f}"]
    if view.lpips is not None:
        numbers.append(f"LPIPS {view.lpips:.3f}")
    if view.empty > 0.005:
        numbers.append(f"{percent(view.empty)} empty")
    name = esc(view.name)
    panels = "".join(
        f'<div><img src="{address}" alt="{alt} {name}"><small>{word}</small></div>'
        for address, word, alt in zip(
            addresses,
            ("Photo", "Ours", "Error"),
            ("The photo", "Our rendering from the place of", "Error map of"),
            strict=True,
        )
    )
    spans = "".join(f"<span>{n}</span>" for n in numbers)
    return (
        f'<figure class="view"><figcaption><b>{name}</b>{spans}</figcaption><div class="three">{panels}</div></figure>'
    )


def frames_section(inputs: ReportInputs, shown: Shown) -> str:
    capture = inputs.footage
    if capture is None:
        return ""
    lost = {} if inputs.posed is None else {u["name"]: u["reason"] for u in unregistered(inputs.posed)}
    frames = [f for f in capture.frames if f.name in shown.thumbs]
    tiles = "".join(_tile(f, shown.thumbs[f.name], lost, inputs.held_out_names) for f in frames)
    given = capture.given or len(capture.frames) + len(capture.rejected)
    lead = f"{len(capture.frames)} chosen of {given}"
    if len(frames) < len(capture.frames):
        lead += f", {len(frames)} of them shown"
    lead += ". Sharpness is relative to the neighbours: 1 is as sharp as they are."
    long = " long" if len(frames) > LONG_STRIP else ""
    focus = ' tabindex="0" role="region" aria-label="Frames"' if long else ""
    return (
        f'<section><h2>Frames</h2><p class="lead">{esc(lead)}</p><div class="strip{long}"{focus}>{tiles}</div>'
        + _reasons("Not placed", list(lost.items()))
        + _reasons("Rejected before posing", [(r.name, r.reason) for r in capture.rejected])
        + "</section>"
    )


def _tile(frame: Frame, address: str, lost: dict[str, str], held_out: frozenset[str]) -> str:
    notes, tone = [], ""
    quality = frame.quality
    if quality is not None:
        notes.append(f"sharpness {quality.relative_sharpness:.2f}")
        if quality.relative_sharpness < Thresholds().blurred:
            tone = "blur"
            notes.append("blurred")
        if max(quality.clipped_bright, quality.clipped_dark) > Thresholds().clipped:
            word = "burnt out" if quality.clipped_bright >= quality.clipped_dark else "black"
            notes.append(f"{percent(max(quality.clipped_bright, quality.clipped_dark))} {word}")
    if frame.name in held_out:
        tone = "held"
        notes.append("held out")
    if frame.name in lost:
        tone = "lost"
        notes = [f"not placed: {lost[frame.name]}"]
    detail = f"<em>{esc(', '.join(notes))}</em>" if notes else ""
    kind = f' class="{tone}"' if tone else ""
    return (
        f'<figure{kind}><img src="{address}" alt="Frame {esc(frame.name)}">'
        f"<figcaption>{esc(frame.name)}{detail}</figcaption></figure>"
    )


def _reasons(title: str, rows: list[tuple[str, str]]) -> str:
    """Names grouped by reason, so that 3,000 rejected video frames are a few lines."""
    if not rows:
        return ""
    groups: dict[str, list[str]] = {}
    for name, reason in rows:
        groups.setdefault(reason, []).append(name)
    ordered = sorted(groups.items(), key=lambda g: -len(g[1]))
    lines = []
    for reason, names in ordered[:LIST_ROWS]:
        few = esc(", ".join(names[:12])) + (f" and {len(names) - 12:,} more" if len(names) > 12 else "")
        lines.append([f"{len(names):,}", esc(reason), few])
    more = (
        f"<p class=quiet>{len(ordered) - LIST_ROWS} more reasons are in report.json.</p>"
        if len(ordered) > LIST_ROWS
        else ""
    )
    listed = table(["Frames", "Reason", "Which"], lines)
    return f"<h3>{esc(title)}: {len(rows):,}</h3>{listed}{more}"


def training_section(inputs: ReportInputs) -> str:
    drawings = plots.history_plots(inputs)
    if not drawings:
        return ""
    panels = "".join(f"<div>{d}</div>" for d in drawings)
    return f'<section><h2>Training</h2><div class="drawing panels">{panels}</div></section>'


def exports_section(inputs: ReportInputs) -> str:
    if not inputs.exports:
        return ""
    rows = []
    for name, row in inputs.exports.items():
        fidelity = row.get("fidelity_db")
        same = "equal" if fidelity is None and row.get("loss_db") is not None else number(fidelity, 1)
        count = row.get("splats")
        path = str(row.get("path") or "")
        rows.append(
            [esc(name), f"<code>{esc(path)}</code>", size(row.get("bytes")), number(row.get("loss_db"), 2)]
            + [number(row.get("max_loss_db"), 2), same]
            + [MISSING if count is None else f"{count:,}"]
        )
    listed = table(
        ["Format", "File", "Size", "loss, dB", "at most, dB", "likeness, dB", "Splats"], rows, kinds="  nnnnn"
    )
    return (
        '<section><h2>Files</h2><p class="lead">Loss is how much PSNR against the photos the file costs when it is '
        "read back; beyond what its format should cost at most, something is wrong. Likeness is the PSNR between "
        "renderings of the trained splats and of the file.</p>"
        f"{listed}</section>"
    )


def machine_section(inputs: ReportInputs) -> str:
    left, right = _timings(inputs), ""
    hardware = pairs(plain_json(inputs.hardware))
    if inputs.peak_memory_bytes:
        hardware.append(("peak memory", size(inputs.peak_memory_bytes)))
    if hardware:
        right = f"<h3>Machine</h3>{_pair_table(hardware)}"
    details = ""
    for title, value in (("Settings", inputs.settings), ("Versions", inputs.versions)):
        rows = pairs(plain_json(value))
        if rows:
            details += f"<details><summary>{title}</summary>{_pair_table(rows)}</details>"
    if not (left or right or details):
        return ""
    columns = f'<div class="two"><div>{left}</div><div>{right}</div></div>'
    return f"<section><h2>How it was made</h2>{columns}{details}</section>"


def _timings(inputs: ReportInputs) -> str:
    timings = {k: v for k, v in inputs.timings_s.items() if v is not None}
    if not timings:
        return ""
    longest = max(timings.values()) or 1.0
    rows = [
        [esc(k), f'<span class="bar" style="width: {100 * v / longest:.1f}%"></span>', duration(v)]
        for k, v in timings.items()
    ]
    rows.append(["<b>in all</b>", "", f"<b>{duration(sum(timings.values()))}</b>"])
    return f"<h3>Time</h3>{table(['', '', ''], rows, kinds=' wn')}"


def _pair_table(rows: list[tuple[str, Any]]) -> str:
    return table(["", ""], [[esc(k), f"<code>{esc(v)}</code>"] for k, v in rows])


def warnings_section(inputs: ReportInputs) -> str:
    warnings = inputs.all_warnings
    if not warnings:
        return ""
    items = "".join(f"<li>{esc(w)}</li>" for w in warnings[:LIST_ROWS])
    more = (
        f"<p class=quiet>{len(warnings) - LIST_ROWS} more are in report.json.</p>" if len(warnings) > LIST_ROWS else ""
    )
    return f'<section><h2>Warnings</h2><ul class="plain">{items}</ul>{more}</section>'
