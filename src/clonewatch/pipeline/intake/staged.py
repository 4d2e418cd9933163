"""What is known of a log once it is staged: names of the staged tables, and counts beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch.model.errors import TooManyRejected

# The tables that exist before a log is examined; `families` maps templates to the template they are merged into.
STAGED = ("arrivals", "accounts", "events", "families")


class Intake(NamedTuple):
    """What was read, beside the `STAGED` tables.

    ids: account ids by code. filled: number of values that are not null, by staged column such as `exchanges.network`.
    first_ts, last_ts: microseconds since 1970. read, rejected: rows. accounts: how many sent them. inputs: counts of
    each file. chosen: the settings, as `scan.json` shows them. dropped: optional values that were left out, by column
    and reason. ended: files whose reading ended before their end, and why.
    """

    ids: list[str]
    filled: Mapping[str, int]
    first_ts: int
    last_ts: int
    read: int
    rejected: int
    accounts: int
    inputs: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    chosen: Mapping[str, Any]
    dropped: Sequence[Mapping[str, Any]] = ()
    ended: Mapping[str, str] = {}


def refuse_ended(ended: Mapping[str, str], share: float, done: str) -> None:
    """Raise TooManyRejected where reading ended before the end of a file, unless all rows may be rejected.

    share: of rows that may be rejected, 0..1. How many follow is unknown. done: what became of the rest, a sentence.
    """
    if ended and share < 1:
        name, why = next(iter(ended.items()))
        more = f", and {len(ended) - 1:,} more files" if len(ended) > 1 else ""
        raise TooManyRejected(
            f"not read to its end{more}: {why}",
            where=name,
            fix=f"{done} Copy the file again or repair it; --max-rejected 1 takes what was read",
        )


def filled(table: str, held: pa.Table) -> dict[str, int]:
    """How many values of each column of a small staged table are not null."""
    return {f"{table}.{name}": held.num_rows - held[name].null_count for name in held.column_names}
