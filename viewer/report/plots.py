"""Drawings of the report as inline SVG that follows the page's light or dark colours.

matplotlib draws with stand-in colours, which are then replaced by the page's CSS variables.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture import PosedScene
from diorama.reconstruct.coverage import Coverage
from diorama.reconstruct.verdict import Finding

from .inputs import ReportInputs
from .numbers import thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]
Place = tuple[int, str, Array]
"""Number, severity and position (3,) in the levelled world."""

# Stand-ins that no photo or colour map uses; see `_to_page`.
INK, SOFT, LINE, ACCENT, HELD, WARN, BAD, PAPER, TINT = (f"#0102{i:02x}" for i in range(1, 10))
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    ACCENT: "--accent",
    HELD: "--held",
    WARN: "--warn",
    BAD: "--bad",
    PAPER: "--card",
    TINT: "--tint",
}

MAP_POINTS = 20_000


def place_findings(findings: Sequence[Finding]) -> list[tuple[int, Finding]]:
    """Findings that have a place, numbered as on the map."""
    return list(enumerate((f for f in findings if f.place_in_world is not None), start=1))


def history_plots(inputs: ReportInputs) -> list[str]:
    """Loss, splat count and PSNR over the steps, each where it was recorded."""
    history = inputs.history
    steps = np.asarray(history.get("step", ()), float)
    drawings = []
    for name, title in (("loss", "Loss"), ("splats", "Splats"), ("psnr_db", "PSNR of training photos, dB")):
        values = np.asarray(history.get(name, ()), float)
        ok = np.isfinite(values)
        if len(values) == len(steps) and ok.sum() > 1:
            drawings.append(_history_plot(name, title, steps[ok], values[ok]))
    return drawings


def _history_plot(name: str, title: str, steps: Array, values: Array) -> str:
    figure = _figure(4.2, 2.6)
    axes = figure.add_subplot()
    x = np.asarray(thinned(steps.tolist(), 1000))
    y = np.asarray(thinned(values.tolist(), 1000))
    noisy = name != "splats" and len(y) > 40
    axes.plot(x, y, color=ACCENT, linewidth=0.8 if noisy else 1.8, alpha=0.3 if noisy else 1.0)
    if noisy:
        axes.plot(x, _smooth(y), color=ACCENT, linewidth=1.8)
    if name == "loss":
        axes.set_ylim(0, float(np.quantile(y, 0.99)) * 1.05 or 1.0)
    if name == "splats":
        axes.set_ylim(0, float(y.max()) * 1.05 or 1.0)
        axes.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
    _dress(axes, title, "step")
    return _to_page(figure, f"history-{name}", f"{title} over {steps[-1]:,.0f} steps: from {y[0]:.4g} to {y[-1]:.4g}.")


def _smooth(values: Array) -> Array:
    """Exponential mean over about a fortieth of the values; the single photos of each step jump."""
    weight = 1.0 / max(2.0, len(values) / 40)
    smooth, total = np.empty_like(values), values[: max(1, len(values) // 100)].mean()
    for i, value in enumerate(values):
        total += weight * (value - total)
        smooth[i] = total
    return smooth


def top_view(inputs: ReportInputs) -> str | None:
    """The cameras and what they saw from above, with the places the verdict speaks of."""
    coverage = inputs.coverage
    if inputs.level is None or coverage is None or not inputs.level[0].registered:
        return None
    scene, level_from_world = inputs.level
    figure, axes = map_figure()
    centres = np.array([scene.cam_from_world[f.name].origin_in_source for f in scene.registered])
    headings = np.array([scene.cam_from_world[f.name].rotation[2] for f in scene.registered])
    places = [
        (n, f.severity, level_from_world @ np.asarray(f.place_in_world))
        for n, f in place_findings(inputs.verdict.findings)
    ]
    low, high = _window(scene, coverage, centres, places)
    size = float((high - low).max())
    _draw_points(axes, scene, low, high)
    _draw_gaps(axes, coverage, inputs.verdict.findings)
    _draw_cameras(axes, inputs, scene, centres, headings, size)
    for number, severity, place in places:
        draw_number(axes, number, place, {"reshoot": BAD, "usable": WARN}.get(severity, SOFT))
    if scene.georeference is not None:
        _draw_north(axes)
    unit = "metres" if scene.is_metric else "scene units"
    label = f"Top view of {len(centres)} cameras and {len(scene.points)} points, in {unit}."
    if places:
        label += f" {len(places)} numbered places need attention."
    return finish_map(figure, axes, "map", label, low, high, scene.is_metric)


def map_figure() -> tuple[Figure, Axes]:
    """An empty drawing for a map."""
    figure = _figure(7.2, 6.2)
    return figure, figure.add_axes((0.01, 0.01, 0.98, 0.98))


def finish_map(figure: Figure, axes: Axes, name: str, label: str, low: Array, high: Array, is_metric: bool) -> str:
    """The map of what lies between two corners (2,) as an SVG element, with its scale."""
    _draw_scale(axes, low, high, is_metric)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.axis("off")
    return _to_page(figure, name, label)


def _window(scene: PosedScene, coverage: Coverage, centres: Array, places: Sequence[Place]) -> tuple[Array, Array]:
    """Corners (2,) of the square drawn: cameras and places whole, and points as far as they lie near."""
    marks = [centres[:, :2]]
    middle = np.array(coverage.centre_in_world)
    for _, _, place in places:
        # A little beyond the place itself: its number and the wedge of a gap want room.
        marks.append((middle + 1.1 * (place - middle))[None, :2])
    xyz = scene.points.xyz
    if len(xyz):
        reach = 2.0 * max(coverage.distance, 1e-9)
        near = xyz[np.linalg.norm(xyz - np.array(coverage.centre_in_world), axis=1) < reach]
        if len(near):
            marks.append(np.quantile(near[:, :2], [0.02, 0.98], axis=0))
    marks.append(np.array([coverage.centre_in_world[:2]]))
    corners = np.concatenate(marks)
    return window_around(corners.min(0), corners.max(0))


def window_around(low: Array, high: Array) -> tuple[Array, Array]:
    """Corners (2,) of a map that shows everything between two corners (2,)."""
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
    longer = float(half.max())
    # The drawing is 7.2 x 6.2 inches; neither side may shrink to a strip.
    wanted = np.maximum(half, 0.45 * longer) * 1.14
    scale = max(wanted[0] / 7.2, wanted[1] / 6.2)
    half = np.array([7.2, 6.2]) * scale
    # Room at the bottom for the scale and for names below the lowest camera.
    middle = middle - np.array([0.0, 0.06 * half[1]])
    return middle - half, middle + half


def _draw_points(axes: Axes, scene: PosedScene, low: Array, high: Array) -> None:
    xyz = scene.points.xyz
    inside = np.flatnonzero(((xyz[:, :2] > low) & (xyz[:, :2] < high)).all(1)) if len(xyz) else np.zeros(0, int)
    inside = inside[:: max(1, len(inside) // MAP_POINTS)]
    if len(inside):
        # Lower ones first, so that roofs lie over floors.
        inside = inside[np.argsort(xyz[inside, 2], kind="stable")]
        colours = scene.points.rgb_srgb[inside] / 255.0
        axes.scatter(xyz[inside, 0], xyz[inside, 1], s=2.2, c=colours, linewidths=0, rasterized=True, zorder=1)


def _draw_gaps(axes: Axes, coverage: Coverage, findings: Sequence[Finding]) -> None:
    from matplotlib.patches import Wedge

    named = {f.frames for f in findings if f.code == "gap"}
    for gap in coverage.gaps:
        if (gap.before, gap.after) in named:
            start = gap.middle_deg - gap.degrees / 2
            wedge = Wedge(
                coverage.centre_in_world[:2], 1.05 * coverage.distance, start, start + gap.degrees,
                facecolor=WARN, edgecolor="none", alpha=0.18, zorder=2,
            )  # fmt: skip
            axes.add_patch(wedge)


def _draw_cameras(
    axes: Axes, inputs: ReportInputs, scene: PosedScene, centres: Array, headings: Array, size: float
) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    names = [f.name for f in scene.registered]
    weak = {n for f in inputs.verdict.findings if f.code == "weak_view" for n in f.frames}
    colours = [BAD if n in weak else HELD if n in inputs.held_out_names else ACCENT for n in names]
    if scene.capture.source == "video":
        axes.plot(centres[:, 0], centres[:, 1], color=SOFT, linewidth=0.8, alpha=0.6, zorder=3)
    length = size * float(np.clip(0.9 / np.sqrt(len(names) + 1), 0.02, 0.06))
    shapes, lines = [], []
    for centre, heading in zip(centres, headings, strict=True):
        flat = heading[:2] * length
        side = np.array([-flat[1], flat[0]]) * 0.42
        if np.linalg.norm(flat) < 0.25 * length:
            # Looking down: a square says more than a needle.
            h = 0.3 * length
            shapes.append(centre[:2] + np.array([[-h, -h], [h, -h], [h, h], [-h, h]]))
        else:
            shapes.append(np.array([centre[:2], centre[:2] + flat + side, centre[:2] + flat - side]))
        lines.append(np.array([centre[:2], centre[:2] + 1.4 * flat]))
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=0.7, alpha=0.5, zorder=4))
    axes.add_collection(
        PolyCollection(shapes, facecolors=colours, edgecolors=PAPER, linewidths=0.6, alpha=0.95, zorder=5)
    )
    middle = centres[:, :2].mean(0)
    for index, word in {0: "first", len(names) - 1: "last"}.items():
        # Outwards, so that the words do not lie on the scene; the names stand in the legend.
        away = centres[index, :2] - middle
        left = away[0] < 0
        axes.annotate(
            word,
            (centres[index, 0], centres[index, 1]),
            (-9 if left else 9, 9 if away[1] >= 0 else -9),
            textcoords="offset points",
            ha="right" if left else "left",
            va="bottom" if away[1] >= 0 else "top",
            fontsize=10,
            color=INK,
            zorder=7,
            path_effects=[_halo()],
        )


def draw_number(axes: Axes, number: int, place: Array, colour: str) -> None:
    """A disc with a number at a place (3,)."""
    x, y = float(place[0]), float(place[1])
    axes.plot([x], [y], "o", markersize=17, color=colour, markeredgecolor=PAPER, markeredgewidth=1.2, zorder=8)
    axes.annotate(
        str(number), (x, y), ha="center", va="center_baseline", fontsize=10, fontweight="bold", color=PAPER, zorder=9
    )


def _draw_scale(axes: Axes, low: Array, high: Array, is_metric: bool) -> None:
    width = float(high[0] - low[0])
    rough = width / 5
    power = 10 ** np.floor(np.log10(rough))
    length = float(max(s for s in (1, 2, 5) if s * power <= rough) * power)
    x, y = low[0] + 0.04 * width, low[1] + 0.04 * (high[1] - low[1])
    axes.plot([x, x + length], [y, y], color=INK, linewidth=2.2, solid_capstyle="butt", zorder=9)
    unit = "m" if is_metric else "units (no true scale)"
    axes.annotate(
        f"{length:g} {unit}", (x, y), xytext=(0, 5), textcoords="offset points", fontsize=11, color=INK, zorder=9
    )


def _draw_north(axes: Axes) -> None:
    """The world's +y is north where the scene lies on the earth."""
    axes.annotate(
        "N", (0.955, 0.985), (0.955, 0.90), xycoords="axes fraction", ha="center", va="center", fontsize=11, color=INK,
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.2},
    )  # fmt: skip


def _halo() -> Any:
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=3, foreground=TINT)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=None if width == 7.2 else "constrained")


def _dress(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_xlabel(x_label, fontsize=9, color=SOFT)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    axes.grid(color=LINE, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _to_page(figure: Any, name: str, label: str) -> str:
    """The figure as an `<svg>` element for HTML: no addresses, ids of its own, the page's colours and font."""
    import html

    from matplotlib import rc_context

    out = io.StringIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    with (
        rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}),
        warnings.catch_warnings(),
    ):
        # Names in other scripts: the browser has the glyphs that matplotlib's font lacks.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(out, format="svg", metadata={"Date": None}, dpi=150)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"(?= |>)', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"(?= |>)', r"\1", svg, count=1)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"font: ([^;\"']*?)'[^;\"]*", r"font: \1var(--font)", svg)
    title = html.escape(label)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
