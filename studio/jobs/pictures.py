"""Pictures on the way, as small files in the job's folder: frames with reasons, cameras as they are found, trainings.

Making a picture takes the stage's own time, so each kind has a budget: never more than a hundredth of the time since
it began, and a bounded number of files.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.events import Mapped, MapSnapshot, Pictured
from diorama.capture.files import writing
from diorama.viewer.jobs import Picture, PictureKind

THUMBNAIL_PX = 256
TRAINING_PX = 640
MAX_POINTS = 3_000
MAX_CHOSEN = 400
MAX_REFUSED = 150
MAX_REFUSED_ALIKE = 40
SHARE = 0.01
"""Of the time that a kind of picture may take."""


@dataclass
class Budget:
    """When the next picture may be made: `SHARE` of the time goes to them, after a few that are free.

    every_s: at least so much time between two; growth: and at least this share of the time so far.
    """

    free_s: float = 0.5
    every_s: float = 0.0
    growth: float = 0.0
    began: float | None = None
    spent_s: float = 0.0
    last: float = -1e9

    def allows(self, now: float) -> bool:
        if self.began is None:
            self.began = now
        elapsed = now - self.began
        if now - self.last < max(self.every_s, self.growth * elapsed):
            return False
        return self.spent_s <= self.free_s + SHARE * elapsed

    def spend(self, started: float, now: float) -> None:
        self.last = now
        self.spent_s += now - started


class PictureWriter:
    """Writes pictures that the budget allows; returns what was written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._budgets: dict[PictureKind, Budget] = {
            "chosen": Budget(free_s=2.0),
            "refused": Budget(free_s=1.0),
            "cameras": Budget(every_s=1.0, growth=0.03),
            "training": Budget(every_s=2.0, growth=0.03),
        }
        self._count: Counter[str] = Counter()
        self._alike: Counter[str] = Counter()

    def frame(self, event: Pictured) -> Picture | None:
        if event.kind == "training":
            return self._training(event)
        if self._count[event.kind] >= (MAX_CHOSEN if event.kind == "chosen" else MAX_REFUSED):
            return None
        if event.kind == "refused":
            reason = event.reason.split(":")[0].split(" frame_")[0]
            if self._alike[reason] >= MAX_REFUSED_ALIKE:
                return None
            self._alike[reason] += 1
        data = self._made(event.kind, lambda: jpeg(event.pixels(THUMBNAIL_PX)))
        if data is None:
            return None
        name = f"{event.kind}-{self._count[event.kind]:04d}.jpg"
        return self._write(Picture(name, event.kind, event.name, event.reason), data)

    def cameras(self, event: Mapped) -> Picture | None:
        is_last = event.registered == event.total

        def make() -> bytes | None:
            found = event.snapshot()
            return None if found is None else snapshot_json(found, event.total)

        data = self._made("cameras", make, always=is_last)
        if data is None:
            return None
        return self._write(
            Picture(f"cameras-{self._count['cameras']:04d}.json", "cameras", step=event.registered), data
        )

    def _training(self, event: Pictured) -> Picture | None:
        data = self._made("training", lambda: jpeg(event.pixels(TRAINING_PX)))
        if data is None:
            return None
        return self._write(
            Picture(f"training-{event.step or 0:06d}.jpg", "training", event.name, step=event.step), data
        )

    def _made(self, kind: PictureKind, make: Any, *, always: bool = False) -> bytes | None:
        budget, started = self._budgets[kind], time.monotonic()
        if not (budget.allows(started) or always):
            return None
        try:
            data: bytes | None = make()
        except Exception:  # a picture is never worth the work that it shows
            data = None
        budget.spend(started, time.monotonic())
        return data

    def _write(self, picture: Picture, data: bytes) -> Picture | None:
        try:
            with writing(self._folder / picture.name) as beside:
                beside.write_bytes(data)
        except OSError:
            return None
        self._count[picture.kind] += 1
        return picture


def jpeg(rgb: npt.NDArray[np.uint8]) -> bytes:
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(rgb)).save(file, "JPEG", quality=82)
    return file.getvalue()


def snapshot_json(found: MapSnapshot, total: int) -> bytes:
    """Cameras and a share of the points, turned so that +z is about up and made to fit a cube of about side 2.

    The frame that they are found in has no meaning, and changes while they are found.
    """
    centres, points = found.centres, found.points[np.isfinite(found.points).all(axis=1)]
    colors = found.colors[np.isfinite(found.points).all(axis=1)]
    middle = np.median(points, axis=0) if len(points) else centres.mean(axis=0) if len(centres) else np.zeros(3)
    reach = np.concatenate([np.abs(points - middle).max(axis=1, initial=0.0), np.zeros(1)])
    near = reach[:-1] <= 4 * np.median(reach)
    points, colors = points[near], colors[near]
    everything = np.concatenate([points, centres]) - middle
    scale = 1.0 / max(float(np.percentile(np.abs(everything), 98)) if len(everything) else 1.0, 1e-9)
    turn = _upright(found)
    chosen = np.linspace(0, len(points) - 1, min(MAX_POINTS, len(points))).astype(int)
    value = {
        "registered": len(found.names),
        "total": total,
        "cameras": [
            {"name": name, "position": _rounded((c - middle) * scale @ turn.T), "forward": _rounded(f @ turn.T)}
            for name, c, f in zip(found.names, centres, found.forwards, strict=True)
        ],
        "points": [_rounded(p) for p in (points[chosen] - middle) * scale @ turn.T],
        "colors": colors[chosen].tolist(),
    }
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _upright(found: MapSnapshot) -> npt.NDArray[np.float64]:
    """A rotation that takes the mean of the cameras' upward axes to +z."""
    up = found.ups.mean(axis=0) if len(found.ups) else np.array([0.0, 0.0, 1.0])
    length = float(np.linalg.norm(up))
    if length < 1e-6:
        return np.eye(3)
    z = up / length
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(v), 4) for v in values]
