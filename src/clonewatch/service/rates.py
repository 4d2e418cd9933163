"""How often somebody may ask: a bucket that fills again over time, for each address or key."""

from __future__ import annotations

import time
from collections.abc import Callable

_MOST_ADDRESSES = 10_000


class Rates:
    """How many requests an address may still make. Bounded: the addresses unused for longest are forgotten."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._left: dict[str, tuple[float, float]] = {}

    def takes(self, address: str) -> bool:
        """Count a request; False where an address made too many."""
        now = self._clock()
        left, at = self._left.pop(address, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - at) * self.per_minute / 60)
        self._left[address] = (max(0.0, left - 1), now)
        if len(self._left) > _MOST_ADDRESSES:
            del self._left[next(iter(self._left))]
        return left >= 1
