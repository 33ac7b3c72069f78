"""Who may talk to a server of ours on this machine: nobody but the person who has its link.

Any page in any browser on the machine can send requests to 127.0.0.1. Three checks stand in front of everything:
the Host header must be a loopback name with our port (a foreign name that was pointed at 127.0.0.1, "DNS rebinding",
is not), an Origin header must be our own, and the request must carry a secret, from the link's `token` or from the
cookie it was turned into.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; img-src 'self' data: blob:; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
NEEDS_LINK = "This page opens with the link that Diorama printed when it started: open that link, it holds the key."
WRONG_HOST = "Diorama answers only under 127.0.0.1, localhost or [::1] and its own port."
WRONG_ORIGIN = "Another page's requests are refused."


class Guard:
    """ASGI middleware with the three checks; adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        names = ("127.0.0.1", "localhost", "[::1]")
        self._hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        # Cookies do not know ports: without the number two servers would take each other's.
        self._cookie = f"diorama-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            # WebSockets and whatever else comes: nothing of ours speaks them, and a foreign page may open them freely.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(scope, receive, _with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse, RedirectResponse

        headers = [(k.lower(), v) for k, v in scope["headers"]]
        if refusal := self._refusal(headers):
            await PlainTextResponse(refusal, 403)(scope, receive, send)
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for key, value in query if key == "token"]
        if tokens:
            if not self._is_token(tokens[0]):
                await PlainTextResponse(NEEDS_LINK, 403)(scope, receive, send)
            elif scope["path"] == "/":
                # The secret leaves the address bar, the history and the referrer.
                rest = urlencode([pair for pair in query if pair[0] != "token"])
                response = RedirectResponse("/" + (f"?{rest}" if rest else ""), 303)
                response.set_cookie(self._cookie, tokens[0], httponly=True, samesite="strict", path="/")
                response.headers["Cache-Control"] = "no-store"
                await response(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        if not self._has_cookie(headers):
            await PlainTextResponse(NEEDS_LINK, 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        hosts = [v.decode("latin-1").lower() for k, v in headers if k == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return WRONG_HOST
        origins = [v.decode("latin-1").lower() for k, v in headers if k == b"origin"]
        if origins and origins != [f"http://{hosts[0]}"]:
            return WRONG_ORIGIN
        return None

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode("utf-8", "surrogateescape"), self._token)

    def _has_cookie(self, headers: list[tuple[bytes, bytes]]) -> bool:
        for key, value in headers:
            if key != b"cookie":
                continue
            try:
                cookies = SimpleCookie(value.decode("latin-1"))
            except CookieError:
                continue
            if self._cookie in cookies and self._is_token(cookies[self._cookie].value):
                return True
        return False


def _with_headers(send: Send) -> Send:
    extra = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return wrapped
