"""The relays between running trainings and pages, one for each capture that somebody follows."""

from __future__ import annotations

from pathlib import Path

import anyio

from ..jobs import Library
from ..live import LiveRelay


class LiveRelays:
    """Made when the first page comes, forgotten when the last has gone. Belongs to one event loop."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._relays: dict[Path, LiveRelay] = {}

    async def of(self, capture: str) -> LiveRelay:
        """The relay of a capture. Raises NotFoundError."""
        folder = await anyio.to_thread.run_sync(self._library.folder, capture)
        for idle in [place for place, relay in self._relays.items() if not relay.pages]:
            del self._relays[idle]
        return self._relays.setdefault(folder, LiveRelay(folder))
