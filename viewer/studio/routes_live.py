"""Following a running training."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from diorama.capture.errors import InputError

from ..live import live_socket
from .services import Services

router = APIRouter()
UNKNOWN = 1008


@router.websocket("/scenes/{capture}/live")
async def live(socket: WebSocket, capture: str) -> None:
    """See viewer/live."""
    services: Services = socket.app.state.services
    try:
        relay = await services.live.of(capture)
    except InputError:
        await socket.close(UNKNOWN)
        return
    await live_socket(socket, relay)
