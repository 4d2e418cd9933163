"""How long a scan still takes: a range, from what its stages cost on logs of all sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Stages after reading, in their order: microseconds an exchange, the least and the most that `benchmarks/scan.py` saw.
LATER: dict[str, tuple[float, float]] = {
    "entities": (0.04, 0.22), "links": (0.85, 2.3), "clusters": (0.07, 2.0), "honest communities": (0.01, 0.65),
    "intents": (1.2, 5.0), "attribution": (0.3, 1.8),
}  # fmt: skip
# Seconds that all of them may take together however short the log is.
_AT_LEAST = 3.0


def left(
    done: Sequence[Mapping[str, Any]], stage: str, seconds: float, share: float | None, rows: int
) -> tuple[float, float] | None:
    """Seconds that a scan still takes, at least and at most; None where that cannot be told.

    done: stages that ended: name, seconds and rows. stage: the one that runs, for so many seconds. share: of it that is
    done, 0..1, None where unknown. rows: it has passed.

    Until a later stage has ended, a machine is taken to be as fast as the one that was measured; then the range moves
    with what this one needed.

    >>> left([], "reading", 10.0, 0.5, 1_000_000)
    (14.94, 36.94)
    >>> read = {"name": "reading", "seconds": 20.0, "rows": 2_000_000}
    >>> left([read], "intents", 1.0, None, 0)
    (2.0, 15.6)
    """
    if stage not in LATER:
        if not share:
            return None
        # Rates hold while a log is read, once there is something to go by.
        least, most = _of_stages(LATER, rows / share)
        rest = seconds * (1 - share) / share
        return round(rest + least, 2), round(rest + most + _AT_LEAST, 2)
    exchanges = next((float(one["rows"]) for one in done if one["name"] not in LATER), 0.0)
    ended = {one["name"]: float(one["seconds"]) for one in done if one["name"] in LATER}
    pace = _pace(ended, exchanges)
    names = list(LATER)
    least, most = _of_stages(names[names.index(stage) + 1 :], exchanges)
    low, high = (bound * exchanges / 1e6 * pace for bound in LATER[stage])
    least, most = least * pace + max(0.0, low - seconds), most * pace + max(0.0, high - seconds)
    return round(least, 2), round(most + _AT_LEAST, 2)


def _of_stages(names: Sequence[str] | Mapping[str, Any], exchanges: float) -> tuple[float, float]:
    least, most = (sum(LATER[name][end] for name in names) * exchanges / 1e6 for end in (0, 1))
    return least, most


def _pace(ended: Mapping[str, float], exchanges: float) -> float:
    """How much slower this machine is than the range allows for; below 1 where it is faster."""
    least, most = _of_stages(ended, exchanges)
    took = sum(ended.values())
    if not took or not most:
        return 1.0
    return took / most if took > most else min(1.0, took / least)
