"""Exchanges before they are written: columns of numbers, with codes in place of words."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = dict[str, Array]

DAY = 86_400_000_000  # microseconds
HOUR = 3_600_000_000
MINUTE = 60_000_000
SECOND = 1_000_000

# name -> (dtype, default value). 0 is "none" for hashes, -1 for codes and counts, NaN for reals.
COLUMNS: Mapping[str, tuple[str, float]] = {
    "account": ("int32", -1),
    "ts": ("int64", 0),
    "session": ("uint64", 0),
    "turn": ("int16", 0),
    "channel": ("int8", 0),
    "operation": ("int8", 0),
    "model": ("int8", 0),
    "status": ("int16", 200),
    "stop": ("int8", 0),
    "input": ("int32", 0),
    "output": ("int32", 0),
    "reasoning": ("int32", 0),
    "cached": ("int32", 0),
    "latency": ("int32", 0),
    "stream": ("bool", 0),
    "logprobs": ("bool", 0),
    "max_tokens": ("int32", -1),
    "temperature": ("float32", np.nan),
    "n": ("int16", 1),
    "tools": ("int16", 0),
    "egress": ("int32", 0),
    "client": ("int32", 0),
    "system": ("uint64", 0),
    "toolset": ("uint64", 0),
    "template": ("uint64", 0),
    "prompt": ("uint64", 0),
    "format": ("uint64", 0),
    "cell": ("int32", -1),
    "task": ("int8", 0),
    "elicitation": ("float32", 0),
    "end_user": ("uint64", 0),
    "signature": ("uint64", 0),
    "signature_session": ("uint64", 0),
    "campaign": ("int8", -1),
    "genre": ("int8", 0),
}


def rows(count: int, given: Mapping[str, Array | float]) -> Rows:
    """A full set of columns of this length: the given ones, and "none" for the rest.

    >>> rows(2, {"ts": np.array([5, 6])})["turn"].tolist()
    [0, 0]
    """
    made: Rows = {}
    for name, (kind, absent) in COLUMNS.items():
        value = given.get(name, absent)
        made[name] = (
            value.astype(kind, copy=False) if isinstance(value, np.ndarray) else np.full(count, value, dtype=kind)
        )
    return made


def joined(parts: Iterable[Rows]) -> Rows:
    """Concatenate the parts."""
    listed = list(parts)
    if not listed:
        return rows(0, {})
    return {name: np.concatenate([part[name] for part in listed]) for name in COLUMNS}


def taken(part: Rows, which: Array | slice) -> Rows:
    """Some of the rows, in the given order."""
    return {name: column[which] for name, column in part.items()}
