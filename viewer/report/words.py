"""Values as people read them, safe in HTML."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

MISSING = "–"
THIN = "\u202f"
"""A narrow space at which lines do not break."""


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
            return f"{count / factor:.1f}{THIN}{unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{THIN}h\u00a0{minutes:02d}{THIN}min" if hours else f"{minutes}{THIN}min\u00a0{rest:02d}{THIN}s"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def table(heads: Sequence[str], rows: Iterable[Iterable[str]], *, kinds: str = "") -> str:
    """A table of cells that are HTML already.

    heads: texts over the columns; none are shown when all are empty.
    kinds: a letter per column, "n" for a number, "w" for wide, anything else for text.
    """
    classes = [{"n": " class=n", "w": " class=wide"}.get(k, "") for k in kinds.ljust(len(heads))]
    top = "".join(f"<th scope=col{c}>{esc(t)}</th>" for t, c in zip(heads, classes, strict=True))
    head = f"<thead><tr>{top}</tr></thead>" if any(heads) else ""
    body = "".join(
        "<tr>" + "".join(f"<td{c}>{cell}</td>" for cell, c in zip(row, classes, strict=True)) + "</tr>" for row in rows
    )
    return f"<div class=scroll><table>{head}<tbody>{body}</tbody></table></div>"


def sentence(text: str) -> str:
    """Prose for HTML: escaped, numbers kept on one line with their units."""
    return re.sub(r"(\d) (?=(?:px|dB|degrees|photos|frames|of)\b)", "\\1\u00a0", esc(text))


def pairs(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested plain values as (dotted name, text) rows, for settings and versions."""
    if isinstance(value, dict):
        return [row for k, v in value.items() for row in pairs(v, f"{prefix}.{k}" if prefix else str(k))]
    if isinstance(value, list):
        return [(prefix, ", ".join(map(str, value)) or MISSING)]
    if prefix.endswith("_bytes") and isinstance(value, int | float):
        return [(prefix.removesuffix("_bytes"), size(value))]
    return [(prefix, MISSING if value is None else str(value))]
