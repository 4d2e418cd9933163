"""Outages of the service: when they happen, and their effect on requests at that time."""

from typing import NamedTuple

import numpy as np

from clonewatch.lab.rows import MINUTE, Flags, Ints

_COME_BACK = 0.85  # share of the requests that clients repeat; the rest is logged as failures
_BACK_WITHIN = 6 * MINUTE  # mean delay after the outage


class Outages(NamedTuple):
    """Begin and end of every outage, microseconds from the start of the window, in order of time."""

    spans: tuple[tuple[int, int], ...]

    def postpone(self, ts: Ints, rng: np.random.Generator) -> tuple[Ints, Flags]:
        """Move most requests during an outage to shortly after it. Changes `ts`; returns it and the failed ones."""
        failed = np.zeros(len(ts), dtype=bool)
        for begin, until in self.spans:
            hit = np.flatnonzero((ts >= begin) & (ts < until))
            again = rng.random(len(hit)) < _COME_BACK
            ts[hit[again]] = until + rng.exponential(_BACK_WITHIN, size=int(again.sum())).astype(np.int64)
            failed[hit[~again]] = True
        return ts, failed
