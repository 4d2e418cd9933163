"""Tokens of the last minute, by counter: what budgets and throttles compare with their limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Protocol

_MINUTE = 60


class Counters(Protocol):
    """What counts: `Minutes` in this process, `SharedMinutes` on this machine, `RedisMinutes` on several."""

    def at(self, now: float) -> Mapping[str, float]:
        """What each counter holds at a time."""

    def add(self, counter: str, tokens: float, now: float) -> None:
        """Count tokens."""


class Read(Protocol):
    """Counters that can be asked one by one."""

    def read(self, counter: str, now: float) -> float | None:
        """Tokens of the last minute; None where nothing was counted."""


class Moment(Mapping[str, float]):
    """Counters at a time. It cannot be listed: they are those that somebody asks for."""

    def __init__(self, counters: Read, now: float) -> None:
        self._counters, self._now = counters, now

    def __getitem__(self, counter: str) -> float:
        found = self._counters.read(counter, self._now)
        if found is None:
            raise KeyError(counter)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Minutes(Mapping[str, float]):
    """A sliding minute for each counter, as the running minute plus what is left of the one before (an estimate).

    Of one process, safe for threads: workers share `shared_counters.SharedMinutes`.
    """

    def __init__(self) -> None:
        self._minute, self._left = 0, 1.0
        self._before: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()

    def at(self, now: float) -> Minutes:
        """These counters at a time, in seconds since 1970. A clock that goes back a little finds what was counted."""
        minute = int(now // _MINUTE)
        with self._lock:
            # A clock that was far ahead would count into one minute until it is there again.
            if minute > self._minute or minute < self._minute - 1:
                self._before = self._running if minute == self._minute + 1 else {}
                self._running, self._minute = {}, minute
            self._left = 1.0 - min(1.0, max(0.0, now / _MINUTE - self._minute))
        return self

    def add(self, counter: str, tokens: float, now: float) -> None:
        """Count tokens; negative ones give back what was not used."""
        self.at(now)
        with self._lock:
            self._running[counter] = max(0.0, self._running.get(counter, 0.0) + tokens)

    def __getitem__(self, counter: str) -> float:
        """Tokens of the last minute."""
        if counter not in self._running and counter not in self._before:
            raise KeyError(counter)
        return self._running.get(counter, 0.0) + self._left * self._before.get(counter, 0.0)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._before, **self._running})

    def __len__(self) -> int:
        return len({**self._before, **self._running})
