"""Values as people read them, safe in HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

MISSING = "–"


def esc(value: Any) -> str:
    """Text for HTML, also inside attributes. Names come from footage and may hold anything."""
    return html.escape(str(value), quote=True)


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return f"{text} <small>{esc(unit)}</small>" if unit else text


def size(count: float | None) -> str:
    """Bytes as kB, MB or GB (powers of 1000, as file managers and disks count)."""
    if count is None:
        return MISSING
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def table(heads: Iterable[tuple[str, bool]], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already; `heads` are (text, is a number)."""
    columns = list(heads)
    top = "".join(f"<th scope=col{' class=n' if n else ''}>{esc(t)}</th>" for t, n in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if n else ''}>{c}</td>" for c, (_, n) in zip(r, columns, strict=True))
        + "</tr>"
        for r in rows
    )
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def pairs(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested plain values as (dotted name, text) rows, for settings and versions."""
    if isinstance(value, dict):
        return [row for k, v in value.items() for row in pairs(v, f"{prefix}.{k}" if prefix else str(k))]
    if isinstance(value, list):
        return [(prefix, ", ".join(map(str, value)) or MISSING)]
    if prefix.endswith("_bytes") and isinstance(value, int | float):
        return [(prefix.removesuffix("_bytes"), size(value))]
    return [(prefix, MISSING if value is None else str(value))]
