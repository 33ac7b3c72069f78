"""Depth in the report: what the maps are worth, and pictures of some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.reconstruct.depth import load_depth_maps

from .inputs import ReportInputs
from .pictures import jpeg_address, thumbnail
from .words import MISSING, duration, esc, number, percent, table

Bytes = npt.NDArray[np.uint8]

SHOWN = 8
"""So many frames' maps are shown, evenly chosen."""

PICTURE_PX = 420
UNKNOWN = (128, 128, 128)

_SOURCES = {"mvs": "several photos", "network": "the network", "captured": "the capture app"}


def colour_depth(map_: DepthMap) -> tuple[Bytes, float, float]:
    """A picture (h, w, 3) of a map, red near and blue far by inverse depth, grey where nothing is known, and the depths
    of its two ends, at which 2 % of the pixels are cut off."""
    from matplotlib import colormaps

    known = map_.depth > 0
    if not known.any():
        return np.full((*known.shape, 3), UNKNOWN, np.uint8), 0.0, 0.0
    inverse = 1.0 / np.where(known, map_.depth, 1.0)
    low, high = (float(v) for v in np.quantile(inverse[known], [0.02, 0.98]))
    share = np.clip((inverse - low) / max(high - low, 1e-12), 0.0, 1.0)
    picture = np.asarray(colormaps["turbo"](0.06 + 0.88 * share, bytes=True))[..., :3]  # its ends are nearly black
    return np.where(known[..., None], picture, np.uint8(UNKNOWN[0])), 1.0 / high, 1.0 / low


def colour_confidence(map_: DepthMap) -> Bytes:
    """Black for none, white for full confidence."""
    sure = (map_.depth > 0).astype(np.float32) if map_.confidence is None else map_.confidence * (map_.depth > 0)
    return np.repeat(np.round(255 * np.clip(sure, 0, 1)).astype(np.uint8)[..., None], 3, axis=-1)


def depth_section(inputs: ReportInputs) -> str:
    record = inputs.depth
    if not record or inputs.depth_folder is None:
        return ""
    rows = list(record.get("frames") or ())
    chosen = rows if len(rows) <= SHOWN else [rows[i] for i in np.linspace(0, len(rows) - 1, SHOWN).round().astype(int)]
    figures = "".join(_figure(inputs, row) for row in chosen)
    lines = [_line(row) for row in rows]
    heads = ["Frame", "known", "points", "median error", "nine in ten within", "from several photos", "from a network"]
    listed = table(heads, lines, kinds=" nnnnnn")
    return (
        f'<section><h2>Depth</h2><p class="lead">{_lead(record)} Red is near, blue far, grey unknown; white is sure, '
        f"black is not.</p>{figures}<details><summary>All {len(rows)} maps in numbers</summary>{listed}</details>"
        "</section>"
    )


def _lead(record: Mapping[str, Any]) -> str:
    parts = []
    names = [
        f"{percent(share)} from {_SOURCES.get(n, n)}" for n, share in (record.get("shares") or {}).items() if share
    ]
    if names:
        parts.append(f"Of the pixels, {', '.join(names)}.")
    elif record.get("network") and record.get("method") == "network":
        parts.append("Each photo alone, by a network.")
    else:
        parts.append("By comparing photos.")
    if record.get("network"):
        parts.append(f"Network: {record['network']}.")
    if record.get("network_line_error") is not None:
        parts.append(
            f"With scale and shift alone the network is off by {percent_of(record['network_line_error'])} (median)."
        )
    errors = record.get("held_out") or {}
    if errors.get("median") is not None:
        parts.append(
            f"Against {errors['count']:,} points that had no part in it, half the depths are within "
            f"{percent_of(errors['median'])} and nine in ten within {percent_of(errors['p90'])}; points lie on "
            "texture, where depth is easiest."
        )
    if record.get("seconds_per_frame") is not None:
        parts.append(f"A photo took {duration(record['seconds_per_frame'])}.")
    return esc(" ".join(parts))


def percent_of(share: float | None) -> str:
    """A small share with two digits that count."""
    if share is None:
        return MISSING
    return f"{100 * share:.2g} %" if share < 0.1 else percent(share)


def _line(row: Mapping[str, Any]) -> list[str]:
    errors, shares = row["held_out"], row.get("shares") or {}
    return [
        esc(row["name"]),
        percent(row["known_share"]),
        f"{errors['points']:,}",
        percent_of(errors["median"]),
        percent_of(errors["p90"]),
        percent(shares["mvs"]) if "mvs" in shares else MISSING,
        percent(shares["network"]) if "network" in shares else MISSING,
    ]


def _figure(inputs: ReportInputs, row: Mapping[str, Any]) -> str:
    from PIL import Image

    name = str(row["name"])
    assert inputs.depth_folder is not None
    try:
        map_ = load_depth_maps(inputs.depth_folder.parent)[name]
    except (KeyError, InputError):  # a report must not fail for a map that somebody took away
        return ""
    picture, near, far = colour_depth(map_)
    panels = []
    capture = inputs.footage
    photo = b"" if capture is None else thumbnail(capture.image_path(capture.frame(name)), PICTURE_PX)
    if photo:
        panels.append((jpeg_address(photo), "Photo", "The photo"))
    for pixels, word, alt in (
        (picture, "Depth", "Depth of"),
        (colour_confidence(map_), "Confidence", "Confidence of the depth of"),
    ):
        image = Image.fromarray(pixels)
        image.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.BOX)
        panels.append((jpeg_address(image), word, alt))
    scene = inputs.posed
    scale = 1.0 if scene is None else scene.world_from_input.scale
    unit = "m" if scene is not None and scene.is_metric else "units"
    spans = f"<span>{number(near * scale, 2)} to {number(far * scale, 2, unit)}</span>"
    spans += f"<span>{percent(row['known_share'])} known</span>"
    if row["held_out"]["median"] is not None:
        spans += f"<span>median error {percent_of(row['held_out']['median'])}</span>"
    divs = "".join(
        f'<div><img src="{address}" alt="{alt} {esc(name)}"><small>{word}</small></div>'
        for address, word, alt in panels
    )
    return (
        f'<figure class="view"><figcaption><b>{esc(name)}</b>{spans}</figcaption>'
        f'<div class="three">{divs}</div></figure>'
    )
