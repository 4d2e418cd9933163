"""Tokens of the last minute that all workers of a machine count together, in a file that each has mapped.

The same interface as `counters.Minutes`. Counting takes a lock of the file; reading takes none, so what is read may be
one count behind. It needs a system with `fcntl`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from clonewatch_gateway.counters import Moment

SLOTS = 16_384
# Slots that are tried for a counter. A counter that finds none is not counted: its accounts are served.
_TRIED = 32
_MINUTE = 60
# Name of the counter (hashed), the running minute, tokens of the minute before, tokens of the running one.
_SLOT = struct.Struct("<16sQdd")


class SharedMinutes:
    """A sliding minute for each counter. path: a file of this gateway's own, the same for all workers.

    Make it in each worker, after the fork.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._threads = threading.Lock()
        with self._alone():
            if os.fstat(self._file).st_size != SLOTS * _SLOT.size:
                os.ftruncate(self._file, SLOTS * _SLOT.size)
        self._map = mmap.mmap(self._file, SLOTS * _SLOT.size)

    def at(self, now: float) -> Mapping[str, float]:
        """These counters at a time, in seconds since 1970."""
        return Moment(self, now)

    def add(self, counter: str, tokens: float, now: float) -> None:
        """Count tokens; negative ones give back what was not used."""
        name, minute = _named(counter), int(now // _MINUTE)
        with self._alone():
            place = self._place(name, minute)
            if place is None:
                return
            held, last, before, running = _SLOT.unpack_from(self._map, place)
            # A clock that was far ahead would count into one minute until it is there again.
            if held != name or not last - 1 <= minute <= last + 1:
                last, before, running = minute, 0.0, 0.0
            elif minute == last + 1:
                last, before, running = minute, running, 0.0
            # A clock that goes back a little counts into the newest minute.
            _SLOT.pack_into(self._map, place, name, last, before, max(0.0, running + tokens))

    def read(self, counter: str, now: float) -> float | None:
        """Tokens of the last minute; None where nothing was counted."""
        name, minute = _named(counter), int(now // _MINUTE)
        for place in _places(name):
            held, last, before, running = _SLOT.unpack_from(self._map, place)
            if held == name:
                if minute < last - 1:
                    return None
                if minute > last:
                    before, running = (running, 0.0) if minute == last + 1 else (0.0, 0.0)
                left = 1.0 - min(1.0, max(0.0, now / _MINUTE - max(minute, last)))
                total: float = running + left * before
                return total
        return None

    def _place(self, name: bytes, minute: int) -> int | None:
        """The slot of a counter, or one that nobody counted in for two minutes."""
        free = None
        for place in _places(name):
            held, last, _, _ = _SLOT.unpack_from(self._map, place)
            if held == name:
                return place
            if free is None and last + 1 < minute:
                free = place
        return free

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # A lock of the file is one of the process, so threads need another.
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _named(counter: str) -> bytes:
    return blake2b(counter.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _places(name: bytes) -> Iterator[int]:
    first = int.from_bytes(name[:8], "little")
    return (((first + number) % SLOTS) * _SLOT.size for number in range(_TRIED))
