"""Serves the application of `check` by uvicorn: the one module that needs it, and httptools."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from clonewatch_gateway.asgi import Application
from clonewatch_gateway.renewing import Certificate

if TYPE_CHECKING:
    import uvicorn

Beside = Callable[[], AbstractAsyncContextManager[object]]
# Seconds after which a connection that says nothing is closed; connections beyond which others are told 503.
IDLE, MOST_CONNECTIONS = 60, 4_000
_BACKLOG = 2_048
# Seconds after which another thread may run: a list that is checked beside requests holds none of them up for long.
_SWITCH = 0.0005
_INSTALL = "answering over HTTP needs uvicorn and httptools. Install the extra: pip install 'clonewatch-gateway[check]'"


class NotInstalled(Exception):
    """What serves is not installed. The message says what to do."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only where the protocol is named; else each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def configured(application: Application, certificate: Certificate | None = None) -> uvicorn.Config:
    """How it is served. certificate: for TLS. Raises NotInstalled.

    Account ids do not belong into a log, so there is none of requests.
    """
    try:
        import httptools  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise NotInstalled(_INSTALL) from error
    config = uvicorn.Config(
        application,
        http="httptools",
        loop="asyncio",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=IDLE,
        limit_concurrency=MOST_CONNECTIONS,
    )
    config.load()
    if certificate is not None:
        # Of the server's own context no certificate is used: each connection gets that of the newest one.
        config.ssl = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        config.ssl.sni_callback = certificate.choose
    return config


def serve(
    application: Application,
    listener: socket.socket,
    certificate: Certificate | None = None,
    beside: Beside | None = None,
) -> None:
    """Serve until somebody stops this process, and let running requests end. Raises NotInstalled.

    beside: serves something else in the same event loop, for as long.
    """
    config = configured(application, certificate)
    from uvicorn import Server

    async def both() -> None:
        async with beside() if beside else nullcontext():
            await Server(config).serve(sockets=[listener])

    sys.setswitchinterval(_SWITCH)
    # It stops by these signals, and then raises them again for whoever was there before.
    before = [(number, signal.signal(number, lambda *_: None)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        asyncio.run(both())
    finally:
        for number, handler in before:
            signal.signal(number, handler)
