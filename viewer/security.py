"""Who may talk to a server of ours: nobody but the person who has its link.

Any page in any browser on the machine can send requests to 127.0.0.1, and on a network anybody can. Checks stand in
front of everything, HTTP and WebSocket alike: the Host header must be one of our names with our port (a foreign name
that was pointed at our address, "DNS rebinding", is not), an Origin header must be our own and is required wherever
something can be changed, and the request must carry a secret, from the link's `token` or from the cookie it was turned
into. Headers that a proxy would add are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from .keys import SESSION_S, Keys

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
NEEDS_LINK = "This page opens with the link that Diorama printed when it started: open that link, it holds the key."
WRONG_HOST = "Diorama answers only under 127.0.0.1, localhost or [::1] and its own port."
WRONG_HOST_LAN = "Diorama answers only under this machine's own addresses and names, and its own port."
WRONG_ORIGIN = "Another page's requests are refused."
NO_ORIGIN = "Something that changes anything is asked for by Diorama's own page alone (the Origin header is missing)."
ODD_REQUEST = "This request cannot be read in one way only."
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = ("GET", "HEAD")
TICKETS = "diorama.ticket"
"""In the scope of a request that was let in: `Keys.ticket`."""

Headers = list[tuple[bytes, bytes]]


class Guard:
    """ASGI middleware with the checks; adds the security headers to every answer that does not bring its own.

    Args:
        names: host names, and addresses in the form they have in a URL, besides the loopback's.
        is_tls: whether it is served by HTTPS: origins then say so, and cookies travel by nothing else.
    """

    def __init__(self, app: ASGIApp, keys: Keys, *, port: int, names: Iterable[str] = (), is_tls: bool = False) -> None:
        self._app = app
        self._keys = keys
        self._scheme = "https" if is_tls else "http"
        known = {name.lower() for name in (*LOOPBACK_NAMES, *names)}
        is_usual = port == (443 if is_tls else 80)
        self._hosts = {f"{name}:{port}" for name in known} | (known if is_usual else set())
        self._wrong_host = WRONG_HOST_LAN if names else WRONG_HOST
        # Cookies do not know ports: without the number two servers would take each other's.
        self._cookie = f"diorama-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse

        headers = _lower(scope["headers"])
        is_safe = scope["method"] in SAFE_METHODS
        if _is_ambiguous(headers):
            refusal: str | None = ODD_REQUEST
        else:
            refusal = self._refusal(headers, needs_origin=not is_safe)
        if refusal:
            # The connection goes too: what follows on it was written by somebody who is not to be answered.
            status = 400 if refusal == ODD_REQUEST else 403
            await PlainTextResponse(refusal, status, headers={"Connection": "close"})(scope, receive, send)
            return
        token, rest = _split_token(scope["query_string"])
        if token is not None and scope["method"] == "GET":
            if not self._keys.is_link(token) or scope["path"] == "/":
                await self._redeem(token, rest, scope, receive, send)
                return
        elif token is not None and not self._keys.is_link(token):
            await PlainTextResponse(NEEDS_LINK, 403)(scope, receive, send)
            return
        if token is None and not self._has_session(headers):
            await PlainTextResponse(NEEDS_LINK, 403)(scope, receive, send)
            return
        scope[TICKETS] = self._keys.ticket
        await self._app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _lower(scope["headers"])
        token, _ = _split_token(scope["query_string"])
        if token is None:
            opens = self._has_session(headers)
        else:
            opens = self._keys.is_link(token) or self._keys.is_ticket(token, scope["path"])
        # A browser says where a WebSocket comes from and lets any page open one: without an Origin there is none.
        if self._refusal(headers, needs_origin=True) or not opens:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    async def _redeem(
        self, token: str, rest: list[tuple[str, str]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The link becomes a cookie, and leaves the address bar, the history and the referrer."""
        from starlette.responses import PlainTextResponse, RedirectResponse

        session = self._keys.redeem(token)
        if session is None:
            await PlainTextResponse(NEEDS_LINK, 403)(scope, receive, send)
            return
        # One slash in front: two would be another host.
        path = "/" + quote(scope["path"].lstrip("/\\"))
        response = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
        response.set_cookie(
            self._cookie,
            session,
            max_age=int(SESSION_S),
            httponly=True,
            secure=self._scheme == "https",
            samesite="strict",
            path="/",
        )
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    def _refusal(self, headers: Headers, *, needs_origin: bool) -> str | None:
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return self._wrong_host
        origins = _values(headers, b"origin")
        if origins and [o.lower() for o in origins] != [f"{self._scheme}://{hosts[0].lower()}"]:
            return WRONG_ORIGIN
        if needs_origin and not origins:
            return NO_ORIGIN
        # A page on another port of this machine is of the same "site": its requests carry the strict cookie.
        sites = _values(headers, b"sec-fetch-site")
        is_foreign = any(site.lower() not in ("same-origin", "none") for site in sites)
        if is_foreign and (needs_origin or _values(headers, b"sec-fetch-dest") != ["document"]):
            return WRONG_ORIGIN
        return None

    def _has_session(self, headers: Headers) -> bool:
        for value in _values(headers, b"cookie"):
            try:
                cookies = SimpleCookie(value)
            except CookieError:
                continue
            if self._cookie in cookies and self._keys.is_session(cookies[self._cookie].value):
                return True
        return False


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(k.lower(), v) for k, v in headers]


def _values(headers: Headers, name: bytes) -> list[str]:
    return [v.decode("latin-1") for k, v in headers if k == name]


def _is_ambiguous(headers: Headers) -> bool:
    """Two lengths, or a length and a coding: readers of such requests disagree on where the next one begins."""
    lengths, codings = _values(headers, b"content-length"), _values(headers, b"transfer-encoding")
    return len(lengths) > 1 or len(codings) > 1 or bool(lengths and codings)


def _split_token(query: bytes) -> tuple[str | None, list[tuple[str, str]]]:
    """The first `token` of a query, None without one, and the query's other pairs."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return None, []
    tokens = [value for key, value in pairs if key == "token"]
    return (tokens[0] if tokens else None), [pair for pair in pairs if pair[0] != "token"]


def _with_headers(send: Send) -> Send:
    extra = {k.lower().encode(): v.encode() for k, v in HEADERS.items()}

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(k.lower(), v) for k, v in message.get("headers", [])]
            names = {k for k, _ in own}
            message = {**message, "headers": own + [(k, v) for k, v in extra.items() if k not in names]}
        await send(message)

    return wrapped
