"""The secrets that open a server of ours: links, invitations that work once, and the sessions they become.

A session is a cookie that nobody can make who does not have the secret: it says until when it holds and carries a keyed
hash of that and of which server it is for. So it survives a restart without a table, and one for another port, another
library or another day is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

SESSION_S = 30 * 86400.0
INVITATION_S = 15 * 60.0
TICKET_S = 86400.0
OPEN_INVITATIONS = 32
"""As many can wait at once; the oldest is then forgotten."""


@dataclass(frozen=True)
class Invitation:
    """`token` opens the door once, until `expires` (seconds since 1970)."""

    token: str
    expires: float


class Keys:
    """The secrets of one server.

    Args:
        scope: what tells this server from others, its port for one; sessions of another scope are refused.
        secret: the key that sessions are made with; a new one ends all sessions.
        link: a token that opens as often as it is used, for the person at this machine; None for none.
    """

    def __init__(
        self,
        scope: str,
        *,
        secret: bytes | None = None,
        link: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scope = scope
        self._secret = secret or secrets.token_bytes(32)
        self._link = link
        self._clock = clock
        self._invitations: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def invite(self, seconds: float = INVITATION_S) -> Invitation:
        """A new invitation."""
        invitation = Invitation(secrets.token_urlsafe(32), self._clock() + seconds)
        with self._lock:
            self._invitations[_digest(invitation.token)] = invitation.expires
            while len(self._invitations) > OPEN_INVITATIONS:
                self._invitations.popitem(last=False)
        return invitation

    def is_link(self, token: str) -> bool:
        """Whether it is the link's own token."""
        return self._link is not None and hmac.compare_digest(_bytes(token), _bytes(self._link))

    def redeem(self, token: str) -> str | None:
        """A session for the link's token or an invitation, which is thereby used up; None for anything else."""
        if self.is_link(token):
            return self._session()
        with self._lock:
            expires = self._invitations.pop(_digest(token), None)
        return self._session() if expires is not None and self._clock() < expires else None

    def is_session(self, value: str) -> bool:
        """Whether it is a session of this server that still holds."""
        return self._holds(value)

    def _holds(self, value: str, path: str = "") -> bool:
        parts = value.split(".")
        if len(parts) != 3 or not parts[0].isascii() or not parts[0].isdigit() or len(parts[0]) > 12:
            return False
        genuine = hmac.compare_digest(_bytes(parts[2]), self._signature(parts[0], parts[1], path).encode())
        return genuine and self._clock() < int(parts[0])

    def ticket(self, path: str) -> str:
        """Opens a WebSocket at `path` for a day, nothing else: for workers, which browsers give no strict cookie."""
        expires, nonce = str(int(self._clock() + TICKET_S)), secrets.token_urlsafe(12)
        return f"{expires}.{nonce}.{self._signature(expires, nonce, path)}"

    def is_ticket(self, value: str, path: str) -> bool:
        """Whether it is a ticket for `path` that still holds."""
        return self._holds(value, path)

    def _session(self) -> str:
        expires, nonce = str(int(self._clock() + SESSION_S)), secrets.token_urlsafe(12)
        return f"{expires}.{nonce}.{self._signature(expires, nonce)}"

    def _signature(self, expires: str, nonce: str, path: str = "") -> str:
        text = "\n".join((self._scope, expires, nonce, *([path] if path else [])))
        return hmac.new(self._secret, _bytes(text), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(token: str) -> str:
    # A look-up by hash: how long it takes says nothing about the tokens that are there.
    return hashlib.sha256(_bytes(token)).hexdigest()
