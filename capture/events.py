"""What long work tells whoever listens: the progress bar, the studio page and the log file alike.

A stage takes `on_event: OnEvent` and calls it from its own thread. It never waits for a listener, and a listener
never reaches into a stage. A stage is stopped by `KeyboardInterrupt` (Ctrl-C), which it lets rise after saving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


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


Event = Started | Progressed | Evaluated | Warned | Finished
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener that hears nothing."""
