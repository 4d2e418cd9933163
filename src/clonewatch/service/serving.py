"""The console behind a server, on a socket that listens already."""

from __future__ import annotations

import socket

import uvicorn

from clonewatch.service.app import create_app
from clonewatch.service.settings import Settings


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until the process is stopped."""
    quiet = uvicorn.Config(
        create_app(settings), log_level="warning", server_header=False, proxy_headers=False, access_log=False
    )
    uvicorn.Server(quiet).run(sockets=[listener])
