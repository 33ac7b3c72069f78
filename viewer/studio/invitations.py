"""Links for other devices: one-time invitations, as an address and as a QR code."""

from __future__ import annotations

import io
from dataclasses import dataclass

from ..jobs import ConflictError
from ..keys import Keys

NO_LAN = "Other devices can come in only when the studio is started with --lan: diorama studio --lan"


@dataclass(frozen=True)
class Invite:
    """An address that opens the studio once, until `expires` (seconds since 1970), and its QR code."""

    url: str
    qr_svg: str
    expires: float


class Invitations:
    """Makes invitations.

    Args:
        base: the address under which other devices reach this server, `https://192.168.1.5:7860`; None without --lan.
    """

    def __init__(self, keys: Keys, base: str | None) -> None:
        self._keys = keys
        self._base = base

    @property
    def is_open(self) -> bool:
        """Whether other devices can come in at all."""
        return self._base is not None

    def new(self) -> Invite:
        """A new invitation. Raises ConflictError without --lan."""
        if self._base is None:
            raise ConflictError(NO_LAN)
        invitation = self._keys.invite()
        url = f"{self._base}/?token={invitation.token}"
        return Invite(url, qr_svg(url), invitation.expires)


def qr_svg(text: str) -> str:
    """A QR code as an SVG element, black on white with the quiet zone that scanners want."""
    import segno

    file = io.BytesIO()
    segno.make(text, micro=False).save(file, kind="svg", scale=4, light="#fff", xmldecl=False, svgns=True, nl=False)
    return file.getvalue().decode()


def qr_terminal(text: str) -> str:
    """A QR code in half blocks, two modules high each, for a terminal of any colours."""
    import segno

    file = io.StringIO()
    segno.make(text, micro=False).terminal(file, compact=True)
    return file.getvalue()
