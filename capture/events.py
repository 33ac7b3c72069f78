"""What long work tells whoever listens: the progress bar, the studio page and the log file alike.

A stage takes `on_event: OnEvent` and calls it from its own thread. It never waits for a listener, and a listener
never reaches into a stage. A stage is stopped by `KeyboardInterrupt` (Ctrl-C), which it lets rise after saving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Started:
    """A stage began; `total` counts its steps when they are known."""

    stage: str
    total: int | None = None


@dataclass(frozen=True)
class Progressed:
    """`done` of `total` steps are finished; `detail` says in a few words what is going on."""

    stage: str
    done: int
    total: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class Evaluated:
    """Numbers measured on the way, by name (`loss`, `splats`, `psnr_db`)."""

    stage: str
    step: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Warned:
    """Something the person should know, in one sentence."""

    stage: str
    message: str


@dataclass(frozen=True)
class Finished:
    stage: str
    seconds: float


@dataclass(frozen=True, eq=False)
class Pictured:
    """A picture came up that somebody may want to look at.

    kind: a frame that was `chosen` or `refused` (`reason` says why), or a rendering of the `training` at `step`.
    pixels: makes it, (H, W, 3) uint8 sRGB, no larger than about so many pixels a side. Only a listener that wants it
        asks, at most once and before it returns: making it takes the stage's time.
    """

    stage: str
    kind: Literal["chosen", "refused", "training"]
    name: str
    pixels: Callable[[int], npt.NDArray[np.uint8]]
    reason: str = ""
    step: int | None = None


@dataclass(frozen=True, eq=False)
class MapSnapshot:
    """Cameras and points as they are known so far, in a frame that has no meaning yet.

    centres, forwards, ups: (C, 3) float, where the cameras are and their axes. points: (P, 3) float; colors: (P, 3)
        uint8.
    """

    names: tuple[str, ...]
    centres: npt.NDArray[np.float64]
    forwards: npt.NDArray[np.float64]
    ups: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    colors: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Mapped:
    """Some of `total` cameras are found. snapshot: as with `Pictured.pixels`; None when it is gone again."""

    stage: str
    registered: int
    total: int
    snapshot: Callable[[], MapSnapshot | None]


Event = Started | Progressed | Evaluated | Warned | Finished | Pictured | Mapped
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener that hears nothing."""
