"""Between one training and any number of pages.

Everything is pulled: the relay asks the training for a snapshot only when a page wants one and the last is out of date,
and a page gets the next message only when it has said that it is done with the one before. A page that is slow or
stalled therefore skips; it never makes anybody wait, and nothing queues. A snapshot is made and packed once for all.

Memory: the latest snapshot, and for each page at most one message that is on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .address import TrainingAddress, find_training
from .endpoint import COLUMNS
from .wire import Connection, WireError, pack_for_page

if TYPE_CHECKING:
    from .page_client import PageClient

MOST_PAGES = 16
MOST_SPLATS = 200_000
"""In a snapshot: 6.4 MB. Of larger scenes the splats that cover most are sent."""
STATE_EVERY_S = 0.5
SNAPSHOT_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
LOST = (OSError, EOFError, WireError, TimeoutError)

Json = dict[str, Any]
OnSnapshot = Callable[[bytes, Json], None]
"""Gets a snapshot's rows and header."""


class LiveRelay:
    """Of one scene folder. Belongs to one event loop; talks to the training only while a page is there."""

    def __init__(self, folder: Path, *, most_splats: int = MOST_SPLATS) -> None:
        self._folder, self._most = folder, most_splats
        self.pages: set[PageClient] = set()
        self.state: Json = {"phase": "waiting"}
        self.state_number = 0
        self.history: dict[str, list[float]] = {name: [] for name in COLUMNS}
        self.snapshot: bytes | None = None
        self.snapshot_number = 0
        self._shown: tuple[Any, ...] | None = None
        self._task: asyncio.Task[None] | None = None
        self._control: Connection | None = None
        self._needs = asyncio.Event()
        self._listeners: list[OnSnapshot] = []

    @property
    def is_full(self) -> bool:
        return len(self.pages) >= MOST_PAGES

    @property
    def is_used(self) -> bool:
        return bool(self.pages or self._listeners)

    def join(self, page: PageClient) -> None:
        self.pages.add(page)
        self.start()

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())

    def leave(self, page: PageClient) -> None:
        self.pages.discard(page)
        if not self.is_used:
            self.stop()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.snapshot, self._shown, self.state = None, None, {"phase": "waiting"}

    def listen(self, listener: OnSnapshot) -> None:
        """For listeners in this process, which get every snapshot and count as a page that is never slow."""
        self._listeners.append(listener)
        self.start()

    def unlisten(self, listener: OnSnapshot) -> None:
        self._listeners.remove(listener)
        if not self.is_used:
            self.stop()

    def need(self) -> None:
        """A page wants something new."""
        self._needs.set()

    async def command(self, request: Json) -> Json:
        """Pause, resume, stop or crop. Raises WireError in plain words when that is not possible."""
        if self._control is None:
            raise WireError("No training is running.")
        try:
            answer, _ = await self._control.ask(request)
        except (OSError, EOFError):
            raise WireError("The training cannot be reached.") from None
        if "error" in answer:
            raise WireError(str(answer["error"]))
        self._take_state(answer)
        return answer

    # Inside

    async def _follow(self) -> None:
        """Finds the training, watches it, and looks for the next one when it ends."""
        while True:
            address = find_training(self._folder)
            why = "waiting"
            if address is not None:
                why = await self._watch(address)
            if self.state.get("phase") != why:
                self._take_state({"ended": why} if why not in ("waiting", "lost") else {"phase": why})
            await asyncio.sleep(LOOK_EVERY_S)

    async def _watch(self, address: TrainingAddress) -> str:
        """Until the training ends; says how."""
        connections: list[Connection] = []
        try:
            for _ in range(2):
                connections.append(await Connection.open(address.port, address.token))
            self._control, self._shown = connections[0], None
            self.history = {name: [] for name in COLUMNS}
            async with asyncio.TaskGroup() as tasks:
                fetching = tasks.create_task(self._fetch(connections[1]))
                why = await self._poll(connections[0])
                fetching.cancel()
            return why
        except* LOST:
            pass
        finally:
            self._control = None
            for connection in connections:
                connection.close()
        ended = self.state.get("ended")
        return str(ended) if ended else "lost" if connections else "waiting"

    async def _poll(self, connection: Connection) -> str:
        while True:
            rows = len(self.history["step"])
            answer, _ = await connection.ask({"ask": "state", "rows": rows})
            for name, column in answer.pop("rows", {}).items():
                if name in self.history:
                    self.history[name] += column
            self._take_state(answer)
            if "ended" in answer:
                return str(answer["ended"])
            self._needs.set()  # the training moved on: perhaps a snapshot is out of date
            await asyncio.sleep(STATE_EVERY_S)

    def _take_state(self, state: Json) -> None:
        if "ended" in state:
            state = self.state | {"phase": state["ended"], "ended": state["ended"]}
        self.state = state
        self.state_number += 1
        self._tell()

    def _tell(self) -> None:
        for page in self.pages:
            page.changed()

    async def _fetch(self, connection: Connection) -> None:
        """Snapshots and pictures, one after the other, as they are wanted."""
        last = 0.0
        while True:
            await self._needs.wait()
            self._needs.clear()
            for page in list(self.pages):
                request = page.take_request()
                if request is not None:
                    header, payload = await connection.ask(request)
                    page.give_picture(header, payload)
                    self._needs.set()
            if self._wants_snapshot() and time.monotonic() - last >= SNAPSHOT_EVERY_S:
                await self._take_snapshot(connection)
                last = time.monotonic()

    def _wants_snapshot(self) -> bool:
        wanted = bool(self._listeners) or any(page.wants_splats and not page.is_busy for page in self.pages)
        return wanted and self._shown != self._now()

    def _now(self) -> tuple[Any, ...]:
        return (self.state.get("step"), str(self.state.get("box")))

    async def _take_snapshot(self, connection: Connection) -> None:
        now = self._now()
        header, payload = await connection.ask({"ask": "snapshot", "most": self._most})
        if "error" in header or "ended" in header:
            return
        self._shown = (header["step"], now[1])
        self.snapshot = pack_for_page({"type": "snapshot", **header}, payload)
        self.snapshot_number += 1
        for listener in self._listeners:
            with contextlib.suppress(Exception):  # a broken listener must not take the pages' pictures away
                listener(payload, header)
        self._tell()
