"""The collections behind a server, on a socket that listens already."""

from __future__ import annotations

import socket

import uvicorn

from clonewatch.service.taxii.app import Server
from clonewatch.service.taxii.settings import Settings

_MOST_AT_ONCE = 100


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until the process is stopped."""
    config = uvicorn.Config(
        Server(settings).app(),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_AT_ONCE,
        timeout_graceful_shutdown=10,
        ssl_certfile=settings.listen.certificate or None,
        ssl_keyfile=settings.listen.private_key or None,
    )
    uvicorn.Server(config).run(sockets=[listener])
