"""The console behind a server, on a socket that listens already."""

from __future__ import annotations

import socket

import uvicorn

from clonewatch.service.app import create_app
from clonewatch.service.pages import templates
from clonewatch.service.settings import Settings
from clonewatch.service.views.results import cards


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until the process is stopped. What is made once is made first, so that nobody's first page waits."""
    pages = templates()
    for name in pages.list_templates():
        pages.get_template(name)
    if settings.result:
        cards()
    quiet = uvicorn.Config(
        create_app(settings), log_level="warning", server_header=False, proxy_headers=False, access_log=False
    )
    uvicorn.Server(quiet).run(sockets=[listener])
