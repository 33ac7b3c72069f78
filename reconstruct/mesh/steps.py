"""One progress bar over steps of unlike length."""

from __future__ import annotations

from collections.abc import Sequence

from diorama.capture.events import Event, OnEvent, Progressed

from .views import STAGE

WHOLE = 1_000


class Steps:
    """Tells `Progressed(STAGE, done, WHOLE, detail)`; each step's own progress moves the bar within its share.

    shares: (name, share of the time) in the order in which the steps are taken.
    """

    def __init__(self, on_event: OnEvent, shares: Sequence[tuple[str, float]]) -> None:
        self._on_event = on_event
        total = sum(share for _, share in shares)
        self._from: dict[str, tuple[float, float]] = {}
        done = 0.0
        for name, share in shares:
            self._from[name] = (done / total, share / total)
            done += share

    def begin(self, name: str) -> OnEvent:
        """The step begins; what is returned is for its own events."""
        start, share = self._from[name]
        self._on_event(Progressed(STAGE, int(WHOLE * start), WHOLE, name))

        def tell(event: Event) -> None:
            if not isinstance(event, Progressed):
                self._on_event(event)
                return
            along = event.done / event.total if event.total else 0.0
            self._on_event(Progressed(STAGE, int(WHOLE * (start + share * along)), WHOLE, event.detail or name))

        return tell
