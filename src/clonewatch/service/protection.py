"""What stands before every page: the right host, the right site, a bounded body, a bounded rate, and strict headers."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clonewatch.service.rates import Rates
from clonewatch.service.settings import Settings, is_loopback

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: browsers would then send forms with the origin `null`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_YEAR = 365 * 24 * 3600
SIGN_IN_PATHS = ("/sign-in", "/welcome")
# What account holders see: open to everybody, so what comes there takes nothing away from people at work.
HOLDERS = "/appeal"


class _TooLargeError(Exception):
    """A body is larger than allowed."""


class Protection:
    """Wraps the console. Refuses before anything else reads the request."""

    def __init__(self, app: ASGIApp, settings: Settings, large: dict[str, int]) -> None:
        """large: largest bodies, in bytes, of paths that begin so; others take what the settings say."""
        self.app, self.settings, self.large = app, settings, large
        self._all = Rates(settings.limits.requests)
        self._sign_ins = Rates(settings.limits.sign_ins)
        self._static = Rates(settings.limits.requests)
        self._holders = Rates(settings.limits.holders)
        self._appeals = Rates(settings.limits.appeals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        guarded = self._with_headers(scope, send)
        refused = self._refused(scope, headers)
        if refused:
            await _answer(*refused)(scope, receive, guarded)
            return
        body = _Body(receive, self._most(scope["path"]))

        async def unless_too_large(message: Message) -> None:
            # What reads the body may answer as if it were malformed.
            if not body.too_large:
                await guarded(message)

        try:
            await self.app(scope, body.receive, unless_too_large)
        except _TooLargeError:
            body.too_large = True
        if body.too_large:
            await _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(body.most))(scope, receive, guarded)

    def _refused(self, scope: Scope, headers: Headers) -> tuple[HTTPStatus, str] | None:
        path, unsafe = scope["path"], scope["method"] not in SAFE_METHODS
        address = scope["client"][0] if scope.get("client") else ""
        if not self._is_ours(headers.get("host", "")):
            return HTTPStatus.MISDIRECTED_REQUEST, f"This console is at {self.settings.url}"
        if not all(rates.takes(address) for rates in self._rates(path, unsafe)):
            return HTTPStatus.TOO_MANY_REQUESTS, "Too many requests from your address. Wait a minute."
        if unsafe and not self._same_site(headers):
            return HTTPStatus.FORBIDDEN, "Another site sent this form."
        most, said = self._most(path), headers.get("content-length", "0")
        if not said.isdecimal() or int(said[:18]) > most:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(most)
        return None

    def _rates(self, path: str, unsafe: bool) -> list[Rates]:
        """What counts a request, each of which must take it."""
        if path == HOLDERS or path.startswith(f"{HOLDERS}/"):
            return [self._holders, *([self._appeals] if unsafe else [])]
        if path.startswith("/static/"):
            return [self._static]
        return [self._all, *([self._sign_ins] if unsafe and path.startswith(SIGN_IN_PATHS) else [])]

    def _is_ours(self, host: str) -> bool:
        """Whether a request is for this console. Under a foreign name that leads here a site could read its pages."""
        if host == self.settings.host:
            return True
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) and is_loopback(urlsplit(self.settings.url).hostname or "")

    def _same_site(self, headers: Headers) -> bool:
        fetched, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if fetched is not None and fetched not in ("same-origin", "none"):
            return False
        return origin is None or urlsplit(origin).netloc == headers.get("host")

    def _most(self, path: str) -> int:
        return next((most for start, most in self.large.items() if path.startswith(start)), self.settings.limits.body)

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        static = scope["path"].startswith("/static/")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers["cache-control"] = "no-cache" if static else "no-store"
                if self.settings.secure:
                    headers["strict-transport-security"] = f"max-age={_YEAR}"
            await send(message)

        return sending


class _Body:
    """A body as it comes in, until it is too large."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self.most = receive, most
        self.too_large, self._taken = False, 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self.most:
            self.too_large = True
            raise _TooLargeError
        return message


def _too_large(most: int) -> str:
    return f"More than {most:,} bytes at once are not taken."


def _answer(status: HTTPStatus, said: str) -> PlainTextResponse:
    return PlainTextResponse(said + "\n", status)
