"""Job events by WebSocket, to any number of pages, none of which can hold up another or fill the memory.

Nothing is queued for a page: each remembers the number of the last event it was sent, and asks the job table for what
came after it once the connection has taken what was sent before. One that falls too far behind is told how the jobs are
now instead of how they came to be so.

A message is a JSON object: `kind` "state" (all jobs as they are) or "events" (`events` in order, and `jobs`, the ones
concerned as they are now); `seq` is the number to come back with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio

from ..jobs import JobEvent, Jobs

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

BATCH = 200
TOO_FAR = 1000
"""Further behind than so many events: the state is shorter than the story."""
PAUSE_S = 0.2
"""Between messages: what happens meanwhile goes together, and what was overtaken not at all."""
STALLED_S = 60.0
MAX_CLIENTS = 64
TRY_LATER = 1013


class EventHub:
    """Wakes every listening page when the job table has something new."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._wakers: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Callable[[], None] | None = None

    @property
    def listeners(self) -> int:
        """Pages that listen."""
        return len(self._wakers)

    async def serve(self, socket: WebSocket, after: int | None) -> None:
        """Accepts the connection and tells of events after number `after`, or of the state first when it is None."""
        await socket.accept()
        if len(self._wakers) >= MAX_CLIENTS:
            await socket.close(TRY_LATER)
            return
        waker = asyncio.Event()
        waker.set()
        self._add(waker)
        try:
            telling = asyncio.ensure_future(self._tell(socket, waker, after))
            leaving = asyncio.ensure_future(_until_gone(socket))
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            for task in (telling, leaving):
                task.cancel()
            results = await asyncio.gather(telling, leaving, return_exceptions=True)
        finally:
            self._remove(waker)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, (TimeoutError, OSError, RuntimeError)):
                raise result

    async def _tell(self, socket: WebSocket, waker: asyncio.Event, after: int | None) -> None:
        seq = after
        while True:
            await waker.wait()
            waker.clear()
            message = await anyio.to_thread.run_sync(self.message, seq)
            if message is not None:
                async with asyncio.timeout(STALLED_S):
                    await socket.send_text(json.dumps(message, default=_plain))
                seq = int(message["seq"])
                waker.set()  # there may be more than one batch
                await asyncio.sleep(PAUSE_S)

    def message(self, after: int | None) -> dict[str, Any] | None:
        """What to tell somebody who has seen all up to `after`; None when that is all there is."""
        last = self._jobs.last_seq()
        # A number from another library, or from before its table was lost, is no place to go on from.
        if after is None or not 0 <= last - after <= TOO_FAR:
            return {"kind": "state", "seq": last, "jobs": [asdict(job) for job in self._jobs.list()]}
        events = self._jobs.events(after, limit=BATCH)
        if not events:
            return None
        concerned = {event.job for event in events}
        return {
            "kind": "events",
            "seq": events[-1].seq,
            "events": [asdict(event) for event in without_overtaken(events)],
            "jobs": [asdict(job) for job in self._jobs.list() if job.id in concerned],
        }

    def close(self) -> None:
        """Ends the subscription."""
        if self._end is not None:
            self._end()
            self._end = None

    def _add(self, waker: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._wakers.add(waker)
        if self._end is None:
            self._end = self._jobs.subscribe(self._wake)

    def _remove(self, waker: asyncio.Event) -> None:
        self._wakers.discard(waker)
        if not self._wakers:
            self.close()

    def _wake(self) -> None:
        """Called from the job table's own thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for waker in self._wakers:
            waker.set()


def without_overtaken(events: Sequence[JobEvent]) -> list[JobEvent]:
    """The events without progress and numbers that a later one of the same job and stage makes old."""
    kept: list[JobEvent] = []
    seen = set()
    for event in reversed(events):
        if event.event in ("progressed", "evaluated"):
            key = (event.job, event.event, event.data.get("stage"))
            if key in seen:
                continue
            seen.add(key)
        kept.append(event)
    return kept[::-1]


def _plain(value: object) -> object:
    """What JSON does not know: tuples of dataclasses are lists by now, so only mappings of other kinds are left."""
    return dict(value) if hasattr(value, "keys") else str(value)  # type: ignore[call-overload]


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
