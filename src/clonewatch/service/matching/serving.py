"""Blinded matching behind a server, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket

import uvicorn

from clonewatch.service.json_log import log_as_json
from clonewatch.service.matching.app import app
from clonewatch.sharing.matching.answering import Holder
from clonewatch.sharing.matching.peers import Listen

_GRACE = 20  # seconds in which requests end

log = logging.getLogger("clonewatch.matching")


def serve(holder: Holder, listen: Listen, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered end first."""
    log_as_json()
    config = uvicorn.Config(
        app(holder),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=64,
        ssl_certfile=listen.certificate or None,
        ssl_keyfile=listen.private_key or None,
    )
    log.info("listening", extra={"port": listener.getsockname()[1]})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
    holder.log.close()
    log.info("stopped")
