"""One page that follows a training, over a WebSocket.

To the page go binary messages: a big-endian uint32, the length of a JSON object, that object, and a payload. Its
`type` is `state`, `snapshot` (rows of 32 bytes), `picture` (JPEG) or `trouble` (a sentence). The page answers each with
`{"type": "got"}` when it is done with it, and only then gets the next: see docs/formats.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from .answers import camera_from
from .relay import LiveRelay
from .wire import WireError, pack_for_page, parse_object

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

MAX_TEXT = 8 << 10
PATIENCE_S = 90.0
"""A page that is not done with a message after so long is let go; it connects again when it wakes up."""
POLICY, TOO_BIG, LATER = 1008, 1009, 1013
COMMANDS = ("pause", "resume", "stop", "crop")


class PageClient:
    """See the module. `wants_splats`: whether snapshots are to be sent."""

    def __init__(self, websocket: WebSocket, relay: LiveRelay) -> None:
        self._socket, self._relay = websocket, relay
        self.wants_splats = True
        self.is_busy = False
        self._wake = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._request: dict[str, Any] | None = None
        self._asked: Any = None
        self._picture: bytes | None = None
        self._trouble: str | None = None
        self._sent_state = self._sent_snapshot = -1
        self._sent_rows = 0

    # What the relay calls

    def changed(self) -> None:
        self._wake.set()

    def take_request(self) -> dict[str, Any] | None:
        """The newest picture that the page asked for; older ones were given up."""
        if self._picture is not None or self._request is None:
            return None
        request, self._request = self._request, None
        self._asked = request.pop("id", None)
        return request

    def give_picture(self, header: dict[str, Any], payload: bytes) -> None:
        if "ended" not in header:
            self._picture = pack_for_page({"type": "picture", "id": self._asked, **header}, payload)
            self._wake.set()

    # The connection

    async def run(self) -> None:
        """Until the page goes, or is sent away for not keeping to the protocol."""
        await self._socket.accept()
        if self._relay.is_full:
            await self._socket.close(LATER, "Too many pages follow this training.")
            return
        self._relay.join(self)
        reading, sending = asyncio.create_task(self._read()), asyncio.create_task(self._send())
        try:
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._relay.leave(self)
            for task in (reading, sending):
                task.cancel()
            await asyncio.gather(reading, sending, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            try:
                if text is None or len(text) > MAX_TEXT:
                    raise WireError("a message is a short text")
                await self._take(parse_object(text))
            except WireError as error:
                with contextlib.suppress(Exception):
                    await self._socket.close(POLICY, str(error)[:100])
                return

    async def _take(self, message: dict[str, Any]) -> None:
        """Raises WireError when the message is none of the protocol."""
        kind = message.get("type")
        if kind == "got":
            self.is_busy = False
            self._free.set()
            self._relay.need()
        elif kind == "want":
            self.wants_splats = message.get("splats") is True
            self._relay.need()
        elif kind == "view":
            camera_from(message.get("camera"))
            self._request = {"ask": "view", "camera": message["camera"], "id": _id_of(message)}
            self._relay.need()
        elif kind == "photo":
            if not isinstance(message.get("name"), str) or message.get("show") not in ("photo", "rendering", "error"):
                raise WireError("photo has a name and what to show")
            request = {"ask": "photo", "name": message["name"], "show": message["show"]}
            self._request = request | {"id": _id_of(message)}
            self._relay.need()
        elif kind in COMMANDS:
            request = {"ask": kind} | {name: message.get(name) for name in ("box", "keep") if name in message}
            try:
                await self._relay.command(request)
            except WireError as error:
                self._trouble = str(error)
                self._wake.set()
            self._relay.need()
        else:
            raise WireError("unknown message")

    async def _send(self) -> None:
        """One message at a time: the next only when the page is done with the last."""
        try:
            while True:
                message = self._next()
                if message is None:
                    await self._wake.wait()
                    self._wake.clear()
                    continue
                self.is_busy = True
                self._free.clear()
                async with asyncio.timeout(PATIENCE_S):
                    await self._socket.send_bytes(message)
                    del message
                    await self._free.wait()
        except TimeoutError:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._socket.close(LATER, "Too slow."), 1.0)

    def _next(self) -> bytes | None:
        """What is most worth sending of what the page does not have."""
        relay = self._relay
        if self._trouble is not None:
            text, self._trouble = self._trouble, None
            return pack_for_page({"type": "trouble", "text": text})
        if self._picture is not None:
            picture, self._picture = self._picture, None
            relay.need()
            return picture
        if self._sent_state != relay.state_number:
            self._sent_state = relay.state_number
            return self._state()
        if self.wants_splats and relay.snapshot is not None and self._sent_snapshot != relay.snapshot_number:
            self._sent_snapshot = relay.snapshot_number
            return relay.snapshot
        return None

    def _state(self) -> bytes:
        """The state, with the rows of the history that the page does not have; `first` is the number of the first."""
        history, count = self._relay.history, len(self._relay.history["step"])
        if self._sent_rows > count:  # another training
            self._sent_rows = 0
        rows = {name: column[self._sent_rows :] for name, column in history.items()}
        first, self._sent_rows = self._sent_rows, count
        return pack_for_page({"type": "state", **self._relay.state, "first": first, "rows": rows})


def _id_of(message: dict[str, Any]) -> int:
    value = message.get("id", 0)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 1 << 53:
        raise WireError("an id is a number")
    return value


async def live_socket(websocket: WebSocket, relay: LiveRelay) -> None:
    """Serves one page's WebSocket. Who may open it is the guard's business (security.py)."""
    await PageClient(websocket, relay).run()
