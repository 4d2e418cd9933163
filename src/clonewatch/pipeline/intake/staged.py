"""What is known of a log once it is staged: names of the staged tables, and counts beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

# The tables that exist before a log is examined; `families` maps templates to the template they are merged into.
STAGED = ("arrivals", "accounts", "events", "families")


class Intake(NamedTuple):
    """What was read, beside the `STAGED` tables.

    ids: account ids by code. filled: number of values that are not null, by staged column such as `exchanges.network`.
    first_ts, last_ts: microseconds since 1970. read, rejected: rows. accounts: how many sent them. inputs: counts of
    each file. chosen: the settings, as `scan.json` shows them. dropped: optional values that were left out, by column
    and reason.
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


def filled(table: str, held: pa.Table) -> dict[str, int]:
    """How many values of each column of a small staged table are not null."""
    return {f"{table}.{name}": held.num_rows - held[name].null_count for name in held.column_names}
