"""The relays between running trainings and pages, one for each capture that somebody follows."""

from __future__ import annotations

from pathlib import Path

import anyio

from diorama.capture.errors import InputError

from ..jobs import Library
from ..live import LiveRelay, find_training
from ..scene_data import ViewerCamera


class LiveRelays:
    """Made when the first page comes, forgotten when the last has gone. Belongs to one event loop."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._relays: dict[Path, LiveRelay] = {}

    async def running(self) -> tuple[LiveRelay, tuple[ViewerCamera, ...]] | None:
        """The relay and the cameras of a capture that is trained now, the newest first; None when there is none."""

        def find() -> tuple[str, tuple[ViewerCamera, ...]] | None:
            for info in self._library.list():
                if find_training(self._library.folder(info.id)) is not None:
                    try:
                        return info.id, self._library.viewer_scene(info.id).cameras
                    except InputError:
                        return info.id, ()
            return None

        found = await anyio.to_thread.run_sync(find)
        return None if found is None else (await self.of(found[0]), found[1])

    async def of(self, capture: str) -> LiveRelay:
        """The relay of a capture. Raises NotFoundError."""
        folder = await anyio.to_thread.run_sync(self._library.folder, capture)
        for idle in [place for place, relay in self._relays.items() if not relay.is_used]:
            del self._relays[idle]
        return self._relays.setdefault(folder, LiveRelay(folder))
