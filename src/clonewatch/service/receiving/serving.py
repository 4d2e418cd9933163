"""The service behind a server, with its worker beside it, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from clonewatch.live import bus, worker
from clonewatch.live.settings import Settings
from clonewatch.live.worker import Following
from clonewatch.service.json_log import log_as_json
from clonewatch.service.receiving.app import Receiver
from clonewatch.service.receiving.renewing import Certificate, Reread

_GRACE = 20  # seconds in which requests end, and then as many for the worker
_LONGEST_PAUSE = 30.0

log = logging.getLogger("clonewatch.serving")


def serve(
    settings: Settings, listener: socket.socket, publisher: Following | None = None, reread: Reread | None = None
) -> None:
    """Serve until SIGTERM or SIGINT: requests end, what they brought is sealed, and the worker ends after its step."""
    log_as_json()
    with bus.writing(settings) as held:
        certificate = Certificate(settings) if settings.listen.certificate else None
        receiver = Receiver(settings, held, reread, certificate)
        config = uvicorn.Config(
            receiver.app(),
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE,
            limit_concurrency=2000,
        )
        config.load()
        config.ssl = certificate.serve() if certificate else None
        with _worker(settings, publisher, receiver):
            log.info("listening", extra={"port": listener.getsockname()[1]})
            # The server gives a signal on when it has ended, and what follows here has to be done as well.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            uvicorn.Server(config).run(sockets=[listener])
    log.info("stopped")


def _work(settings: Settings, publisher: Following | None, parent: int) -> None:
    log_as_json()
    worker.work(settings, publisher, parent)


@contextlib.contextmanager
def _worker(settings: Settings, publisher: Following | None, receiver: Receiver) -> Iterator[None]:
    """A worker that is begun again whenever it ends by itself; none where another service has it."""
    if not settings.worker:
        yield
        return
    stopping = threading.Event()
    watcher = threading.Thread(target=_watch, args=(settings, publisher, receiver, stopping), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopping.set()
        watcher.join()


def _watch(settings: Settings, publisher: Following | None, receiver: Receiver, stopping: threading.Event) -> None:
    pause = 1.0
    while not stopping.is_set():
        began = time.monotonic()
        # A fresh interpreter: a copy of this one would hold its threads' locks.
        process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(settings, publisher, os.getpid()), name="clonewatch-worker", daemon=True
        )
        process.start()
        receiver.figures.worker_starts += 1
        while process.is_alive() and not stopping.wait(0.2):
            pass
        if stopping.is_set():
            process.terminate()
            process.join(_GRACE)
            if process.is_alive():  # in a long look; whatever it was at is begun again
                process.kill()
                process.join()
            return
        log.error("the worker ended", extra={"code": process.exitcode})
        pause = 1.0 if time.monotonic() - began > 60 else min(2 * pause, _LONGEST_PAUSE)
        stopping.wait(pause)
