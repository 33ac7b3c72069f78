"""Starting and ending the studio's server: on this machine alone, or with --lan for devices on its network."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from diorama.capture.errors import InputError

from ..certificate import (
    config_folder,
    host_names,
    lan_addresses,
    lan_certificate,
    read_private,
    write_private,
)
from ..jobs import Jobs, Library
from ..keys import Keys
from ..server import LOOPBACK, listen, show_in_browser, web_server
from .app import create_studio_app
from .invitations import qr_terminal

SECRET_BYTES = 32
NO_NETWORK = (
    "--lan needs a network and this machine has no address on one: connect it to a network, or leave --lan out."
)


@dataclass(frozen=True)
class Opened:
    """The links of a studio that can be opened now.

    url: for this machine. phone_url: for one other device, once; None without --lan. qr: the same for a terminal.
    """

    url: str
    phone_url: str | None = None
    qr: str = ""


def serve_studio(
    library: Library,
    jobs: Jobs,
    *,
    port: int | None,
    lan: bool,
    inspect: bool,
    open_browser: bool,
    on_ready: Callable[[Opened], None],
) -> None:
    """Serves the studio until Ctrl-C.

    Sessions survive a restart on the same port: a page that was open goes on by itself.

    Raises InputError when the port is taken, the page was not built, or there is no network for `lan`.
    """
    folder = config_folder()
    addresses = lan_addresses() if lan else []
    if lan and not addresses:
        raise InputError(NO_NETWORK)
    names = [_in_url(a) for a in addresses] + (host_names() if lan else [])
    with listen_everywhere(port) if lan else listen(port) as listener:
        actual = int(listener.getsockname()[1])
        certificate = lan_certificate(folder, addresses, host_names()) if lan else None
        scope = f"{actual} {library.root.resolve()}"
        # On a network every link works once; who sits at this machine may open its link as often as they like.
        link = None if lan else secrets.token_urlsafe(32)
        keys = Keys(scope, secret=session_secret(folder), link=link)
        base = f"https://{_in_url(addresses[0])}:{actual}" if lan else None
        app = create_studio_app(
            library, jobs, keys=keys, port=actual, names=names, is_tls=lan, invite_base=base, inspect=inspect
        )
        opened = _links(keys, link, base, actual)
        on_ready(opened)
        if open_browser:
            show_in_browser(opened.url)
        with contextlib.suppress(KeyboardInterrupt):  # the way out
            web_server(app, certificate=certificate).run(sockets=[listener])


def listen_everywhere(port: int | None) -> socket.socket:
    """A listening socket on all of this machine's addresses, IPv6 ones where there are any. Raises InputError."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(InputError):  # also where the system has IPv6 and no address in it
            return listen(port, "::")
    return listen(port, "0.0.0.0")


def session_secret(folder: Path) -> bytes:
    """The key that this user's sessions are made with; made on first use."""
    path = folder / "sessions.key"
    with contextlib.suppress(OSError):
        secret = read_private(path)
        if len(secret) == SECRET_BYTES:
            return secret
    secret = secrets.token_bytes(SECRET_BYTES)
    # Without a place to keep it, sessions end with this server.
    with contextlib.suppress(OSError):
        write_private(path, secret)
    return secret


def _links(keys: Keys, link: str | None, base: str | None, port: int) -> Opened:
    if base is None:
        return Opened(f"http://{LOOPBACK}:{port}/?token={link}")
    phone = f"{base}/?token={keys.invite().token}"
    return Opened(f"https://{LOOPBACK}:{port}/?token={keys.invite().token}", phone, qr_terminal(phone))


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
