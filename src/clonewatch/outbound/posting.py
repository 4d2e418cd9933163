"""One POST to a receiver that is not trusted: no redirects, no proxies, checked addresses, bounded time and answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Collection, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from clonewatch.outbound.addresses import Refused, dial

# Enough for a receiver that keeps the message before it answers, which it should do in a second.
PATIENCE_SECONDS = 15.0
_MOST_LATER_SECONDS = 24 * 3600
_GONE = 410


class Outcome(NamedTuple):
    """What became of a try. error: empty where it was delivered; holds nothing of the answer but its status.

    gone: the receiver wants to hear nothing more. later: seconds that it asks to wait; 0 for none.
    """

    error: str = ""
    gone: bool = False
    later: int = 0


class Receiver(NamedTuple):
    """Where a message goes. allowed: hosts that may be in a private network. authority: file of more certificates."""

    url: str
    allowed: Collection[str] = ()
    authority: Path | None = None


class _Connection(HTTPConnection):
    """A connection at an address that was checked; over TLS where there is a context."""

    def __init__(self, receiver: Receiver, context: ssl.SSLContext | None, seconds: float) -> None:
        parts = urlsplit(receiver.url)
        host = parts.hostname or ""
        super().__init__(host, parts.port or (443 if context else 80), timeout=seconds)
        self._allowed, self._context, self._seconds = receiver.allowed, context, seconds

    def connect(self) -> None:
        plain = dial(self.host, self.port, self._allowed, self._seconds, in_the_clear=self._context is None)
        if self._context is None:
            self.sock = plain
            return
        # The handshake comes last, so that the clock can end it.
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()

    def cut(self) -> None:
        """End whatever this connection waits for, from another thread."""
        if self.sock is not None:
            # Not that of the TLS socket, which the other thread is using.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


def post(receiver: Receiver, body: bytes, headers: Mapping[str, str], seconds: float = PATIENCE_SECONDS) -> Outcome:
    """Send a message. Whatever goes wrong is in the outcome."""
    late = threading.Event()
    connection: _Connection | None = None
    try:
        context = _context(receiver) if receiver.url.startswith("https://") else None
        connection = _Connection(receiver, context, seconds)
        clock = threading.Timer(seconds, _end, (connection, late))
        clock.start()
        try:
            parts = urlsplit(receiver.url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, dict(headers))
            # The status says it all; the rest of the answer is never read.
            answer = connection.getresponse()
            return _outcome(answer.status, answer.headers.get("retry-after", ""))
        finally:
            clock.cancel()
    except (OSError, HTTPException, ValueError) as error:
        return Outcome(f"no answer within {seconds:g} seconds" if late.is_set() else _reason(error))
    finally:
        if connection:
            connection.close()


def _end(connection: _Connection, late: threading.Event) -> None:
    late.set()
    try:
        connection.cut()
    except OSError:
        return  # It ended by itself.


def _context(receiver: Receiver) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if receiver.authority:
        context.load_verify_locations(receiver.authority)
    return context


def _outcome(status: int, retry_after: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    if 300 <= status < 400:
        return Outcome(f"status {status}: redirects are not followed")
    wait = min(int(retry_after), _MOST_LATER_SECONDS) if retry_after.isascii() and retry_after.isdigit() else 0
    return Outcome(f"status {status}", status == _GONE, wait)


def _reason(error: Exception) -> str:
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError):
        return f"no connection: {error.strerror or type(error).__name__}"
    return f"its answer is no HTTP: {type(error).__name__}"
