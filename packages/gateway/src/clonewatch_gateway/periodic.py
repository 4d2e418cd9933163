"""Does something again and again, in a thread that ends with the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

# Seconds to wait after a step that failed, whatever it was.
AFTER_A_FAULT = 1.0
_LOG = logging.getLogger("clonewatch_gateway")


class Periodic:
    """A thread that takes a step, waits, and takes the next. step: gives the seconds to wait. name: of the thread.

    A step that raises is logged, and the next one is tried: what runs here keeps a gateway up to date for weeks.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step, self._stop = step, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Take the first step at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its step; nothing happens where it was never started."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._stepped()):
            pass

    def _stepped(self) -> float:
        try:
            return self._step()
        except Exception:  # noqa: BLE001  (whatever it is: the next step may go well)
            _LOG.exception("%s: a step failed", self._thread.name)
            return AFTER_A_FAULT
