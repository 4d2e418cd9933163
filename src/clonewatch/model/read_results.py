"""What reading yields beside exchanges: rejected rows, dropped values, and counts per input."""

from collections import Counter
from typing import NamedTuple, TypeAlias

# Optional values that did not fit their column and were left out: how many, by (table.column, reason).
Dropped: TypeAlias = Counter[tuple[str, str]]


class Rejected(NamedTuple):
    """A row that is not an exchange: its file, its 1-based line or row number, and the reason."""

    file: str
    line: int
    reason: str


class Measured(NamedTuple):
    """Counts of one input: path as given, bytes on disk, SHA-256 in hex, format, rows read and rejected."""

    path: str
    bytes: int
    sha256: str
    format: str
    read: int
    rejected: int


def listed(dropped: Dropped) -> list[dict[str, str | int]]:
    """Dropped values as rows, the most frequent first.

    >>> listed(Counter({("exchanges.status", "not a number"): 2}))
    [{'column': 'exchanges.status', 'reason': 'not a number', 'values': 2}]
    """
    return [
        {"column": column, "reason": reason, "values": count}
        for (column, reason), count in sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    ]
