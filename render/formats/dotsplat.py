"""antimatter15's .splat: 32 bytes per splat, no header, no view-dependent colour, most important splats first.

Per splat: centre 3 x float32, scale 3 x float32 (linear), red, green, blue, opacity 8 bits each, quaternion wxyz
4 x 8 bits as 128 + 128 q. Coordinates are stored as they are, like in PLY.

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned

from ..splats import SH_C0, Floats, Splats
from .common import (
    BLOCK,
    CHANGES,
    Format,
    cleaned,
    empty_splats,
    opacity_bytes,
    opacity_logits,
    opened,
    to_byte,
    written_whole,
)

MEMORY_FACTOR = 3
MEMORY_CONSTANT = 16 << 20

RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
CHANNEL: Floats = ((np.arange(256) / 255.0 - 0.5) / SH_C0).astype(np.float32)
"""The constant SH coefficient of an 8-bit colour."""


def read(path: Path, on_event: OnEvent) -> Splats:
    with opened(path) as (file, size):
        count, odd = divmod(size, RECORD.itemsize)
        if odd:
            raise InputError(
                f"{path} is not a .splat file: its {size} bytes are no multiple of {RECORD.itemsize}; {CHANGES}."
            )
        splats = empty_splats(count, 0)
        for start in range(0, count, BLOCK):
            n = min(BLOCK, count - start)
            raw = file.read(n * RECORD.itemsize)
            if len(raw) < n * RECORD.itemsize:
                raise InputError(f"{path} became shorter while it was read; copy it again.")
            records, part = np.frombuffer(raw, RECORD), slice(start, start + n)
            splats.means[part] = records["mean"]
            with np.errstate(divide="ignore", invalid="ignore"):  # 0 is a flat splat; below 0 is NaN and dropped
                splats.log_scales[part] = np.log(records["scale"])
            splats.sh[part, 0] = CHANNEL[records["rgba"][:, :3]]
            splats.logit_opacities[part] = opacity_logits(records["rgba"][:, 3])
            quats = (records["quat"].astype(np.float32) - 128.0) / 128.0
            norm = np.linalg.norm(quats, axis=1, keepdims=True)
            splats.quats[part] = quats / np.maximum(norm, 1e-6)
    return cleaned(splats, path, on_event)


def write(splats: Splats, path: Path, on_event: OnEvent) -> None:
    if splats.is_antialiased:
        lost = "a .splat cannot say that splats were trained with anti-aliasing; seen from afar they look too thick"
        on_event(Warned("export", f"{path.name}: {lost}."))
    importance = splats.log_scales.astype(np.float64).sum(1) + np.log(np.maximum(splats.opacities, 1e-30))
    order = np.argsort(-importance, kind="stable")
    with written_whole(path) as file:
        for start in range(0, len(splats), BLOCK):
            part = splats.select(order[start : start + BLOCK]).normalized()
            records = np.empty(len(part), RECORD)
            records["mean"] = part.means
            records["scale"] = np.exp(part.log_scales)
            records["rgba"][:, :3] = to_byte(255.0 * (0.5 + SH_C0 * part.sh[:, 0]))
            records["rgba"][:, 3] = opacity_bytes(part.logit_opacities)
            records["quat"] = to_byte(128.0 + 128.0 * part.quats)
            file.write(records.data)


FORMAT = Format(
    name="splat",
    extension=".splat",
    description="antimatter15 .splat, 32 bytes per splat without view-dependent colour; opens in web viewers",
    matches=lambda head: False,  # it has no header; the file's name says it
    read=read,
    write=write,
)
