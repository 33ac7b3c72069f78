"""Messages between a training's process and the server, and the handshake that opens a connection.

A message is two big-endian uint32, the lengths of a JSON object and of a payload, then these two. Pages get the same
layout, without the payload's length, as binary WebSocket messages. Both sides prove that they know the token of the
address file (HMAC-SHA256 over fresh nonces), so that neither tells it to whoever took over a port.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import socket
import struct
from typing import Any

HEAD = struct.Struct(">II")
PAGE_HEAD = struct.Struct(">I")
NONCE = 32
MAX_REQUEST_BYTES = 16 << 10
MAX_ANSWER_BYTES = 4 << 20
MAX_PAYLOAD_BYTES = 64 << 20

Json = dict[str, Any]


class WireError(ValueError):
    """The other side does not speak this protocol, or does not know the token."""


def pack(header: Json, payload: bytes = b"") -> bytes:
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return HEAD.pack(len(text), len(payload)) + text + payload


def pack_for_page(header: Json, payload: bytes = b"") -> bytes:
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return PAGE_HEAD.pack(len(text)) + text + payload


def parse_object(text: bytes | str) -> Json:
    """A JSON object. Raises WireError."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WireError("not a JSON object")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _lengths(head: bytes, most_json: int, most_payload: int) -> tuple[int, int]:
    text, payload = HEAD.unpack(head)
    if text > most_json or payload > most_payload:
        raise WireError(f"a message of {text} and {payload} bytes is too long")
    return text, payload


# The training's side: plain sockets, a thread for each connection


def receive(sock: socket.socket) -> Json:
    """A request. Raises WireError, OSError (also when time is up), EOFError at the end."""
    text, _ = _lengths(_exactly(sock, HEAD.size), MAX_REQUEST_BYTES, 0)
    return parse_object(_exactly(sock, text))


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def welcome(sock: socket.socket, token: bytes) -> None:
    """The training's half of the handshake. Raises WireError when the other side does not know the token."""
    mine = secrets.token_bytes(NONCE)
    sock.sendall(mine)
    reply = _exactly(sock, 2 * NONCE)
    theirs, proof = reply[:NONCE], reply[NONCE:]
    if not hmac.compare_digest(proof, _proof(token, b"server", mine, theirs)):
        raise WireError("wrong token")
    sock.sendall(_proof(token, b"training", theirs, mine))


def _proof(token: bytes, who: bytes, first: bytes, second: bytes) -> bytes:
    return hmac.digest(token, who + first + second, "sha256")


# The server's side: asyncio


class Connection:
    """A connection to a training: one request at a time, each with its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()

    @staticmethod
    async def open(port: int, token: bytes, timeout_s: float = 5.0) -> Connection:
        """Raises OSError, EOFError, WireError or TimeoutError when there is no training of ours at the port."""
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                theirs, mine = await reader.readexactly(NONCE), secrets.token_bytes(NONCE)
                writer.write(mine + _proof(token, b"server", theirs, mine))
                proof = await reader.readexactly(NONCE)
                if not hmac.compare_digest(proof, _proof(token, b"training", mine, theirs)):
                    raise WireError("wrong token")
            except BaseException:
                writer.close()
                raise
        return Connection(reader, writer)

    async def ask(self, request: Json) -> tuple[Json, bytes]:
        """Sends a request and waits for its answer. Raises OSError, EOFError, WireError."""
        async with self._turn:
            self._writer.write(pack(request))
            text, payload = _lengths(await self._reader.readexactly(HEAD.size), MAX_ANSWER_BYTES, MAX_PAYLOAD_BYTES)
            header = parse_object(await self._reader.readexactly(text))
            return header, await self._reader.readexactly(payload)

    def close(self) -> None:
        self._writer.close()
