"""What an ingest has to say: warnings for the report, progress for whoever listens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .events import OnEvent, Pictured, Progressed, Warned
from .types import Rejected

STAGE = "ingest"
Pixels = Callable[[int], npt.NDArray[np.uint8]]


class Notes:
    """Collects warnings and rejected pictures and tells the listener as they come."""

    def __init__(self, on_event: OnEvent) -> None:
        self.on_event = on_event
        self.warnings: list[str] = []
        self.rejected: list[Rejected] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.on_event(Warned(STAGE, message))

    def reject(self, name: str, reason: str, pixels: Pixels | None = None) -> None:
        self.rejected.append(Rejected(name, reason))
        if pixels is not None:
            self.show_refused(name, reason, pixels)

    def show_refused(self, name: str, reason: str, pixels: Pixels) -> None:
        self.on_event(Pictured(STAGE, "refused", name, pixels, reason))

    def show_chosen(self, name: str, pixels: Pixels) -> None:
        self.on_event(Pictured(STAGE, "chosen", name, pixels))

    def progress(self, done: int, total: int | None, detail: str) -> None:
        self.on_event(Progressed(STAGE, done, total, detail))


def printable(name: str) -> str:
    """A file's name as text that every file and terminal takes."""
    return "".join(c if c.isprintable() else "?" for c in name.encode("utf-8", "replace").decode())


def listed(names: list[str], limit: int = 5) -> str:
    """Names in a sentence, the first few of them."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
