"""Where to reshoot, in the report: coverage from above, and photos to take with what they would show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.reconstruct.reshoot import KIND_COLOURS, WORDS, Kind, SavedPlan

from . import plots
from .inputs import ReportInputs
from .words import esc, percent, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

SHOWN_KINDS = [kind for kind in Kind if kind != Kind.WELL]


def reshoot_section(inputs: ReportInputs) -> str:
    plan = inputs.reshoot
    if plan is None:
        return ""
    drawing = coverage_map(inputs, plan)
    figure = f'<div class="drawing map">{drawing}</div>' if drawing else ""
    legend = "".join(
        f'<li><i style="--c: rgb{KIND_COLOURS[kind]}"></i>{WORDS[kind]}: {percent(plan.shares[kind])}</li>'
        for kind in Kind
        if plan.shares.get(kind, 0.0) >= 0.005
    )
    items = "".join(_proposal(number, p) for number, p in enumerate(plan.proposals, start=1))
    taken = f'<ol class="shots">{items}</ol>' if items else ""
    return (
        f'<section id="reshoot"><h2>Where to reshoot</h2><p class="lead">{sentence(_lead(plan))}</p>'
        f'{figure}<ul class="legend">{legend}</ul>{taken}</section>'
    )


def _lead(plan: SavedPlan) -> str:
    well = percent(plan.shares.get(Kind.WELL, 0.0))
    parts = [f"{well} of the surfaces in and around what the cameras looked at are well seen."]
    if not plan.proposals:
        parts.append("No other photo would add much.")
    elif len(plan.proposals) == 1:
        parts.append("One more photo would help.")
    else:
        parts.append(
            f"These {len(plan.proposals)} photos would help most, the best first; each counts on those before it. "
            "The pictures show what is known from there, with what is weak in colour."
        )
    if plan.proposals and not plan.is_metric:
        parts.append("A step is the usual distance from one photo to the next.")
    return " ".join(parts)


def _proposal(number: int, proposal: Mapping[str, Any]) -> str:
    what, do = sentence(proposal["what"]), sentence(proposal["do"])
    alt = esc(f"What would be seen from place {number}")
    return (
        f'<li><img src="{esc(proposal["thumbnail"])}" alt="{alt}">'
        f'<div><span class="mark">{number}</span><p>{what} <span class="do">{do}</span></p></div></li>'
    )


def coverage_map(inputs: ReportInputs, plan: SavedPlan) -> str | None:
    """The samples from above in the colours of their kinds, weak ones on top, cameras, and where to stand."""
    if inputs.level is None or not len(plan.points):
        return None
    scene, _ = inputs.level
    centres = np.array([scene.cam_from_world[f.name].origin_in_source for f in scene.registered]).reshape(-1, 3)
    marks = np.concatenate([centres[:, :2], plan.places_in_level[:, :2], plan.points[:, :2]])
    low, high = plots.window_around(marks.min(0), marks.max(0))
    figure, axes = plots.map_figure()
    _draw_samples(axes, plan)
    axes.scatter(centres[:, 0], centres[:, 1], s=14, c=plots.ACCENT, edgecolors=plots.PAPER, linewidths=0.5, zorder=5)
    _draw_places(axes, plan, float((high - low).max()))
    label = f"Coverage from above: {len(plan.points)} samples, {len(plan.proposals)} places to photograph from."
    return plots.finish_map(figure, axes, "coverage", label, low, high, scene.is_metric)


def _draw_samples(axes: Axes, plan: SavedPlan) -> None:
    """One square per column of cells, in the colour of the kind that most of it has; what is weak wins a third."""
    columns, of_column = np.unique(
        np.round(plan.points[:, :2] / plan.cell).astype(np.int64), axis=0, return_inverse=True
    )
    votes = np.zeros((len(columns), len(Kind)))
    np.add.at(votes, (of_column.reshape(-1), plan.kinds), 1.0)
    # A weak part of a column shows, but the unknown above and below a surface does not hide it.
    votes *= np.where(np.arange(len(Kind)) == Kind.NEVER, 0.35, np.where(np.arange(len(Kind)) == Kind.WELL, 0.5, 1.0))
    kind = votes.argmax(1)
    colours = np.array([KIND_COLOURS[k] for k in Kind])[kind] / 255.0
    x, y = (columns * plan.cell).T
    spread = max(float(np.ptp(plan.points[:, :2], axis=0).max()), 1e-9)
    size = max(1.5, (plan.cell / spread * 330) ** 2)
    axes.scatter(x, y, s=size, c=colours, marker="s", linewidths=0, rasterized=True, alpha=0.8, zorder=1)


def _draw_places(axes: Axes, plan: SavedPlan, size: float) -> None:
    for number, (place, aim) in enumerate(zip(plan.places_in_level, plan.aims_in_level, strict=True), start=1):
        flat = aim[:2] * 0.09 * size
        axes.annotate(
            "", place[:2] + flat, place[:2], zorder=7,
            arrowprops={"arrowstyle": "-|>", "color": plots.INK, "linewidth": 1.4, "shrinkA": 8},
        )  # fmt: skip
        plots.draw_number(axes, number, place, plots.INK)
