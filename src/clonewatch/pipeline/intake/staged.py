"""What was taken in, before it is examined: the staged tables, and what is known of them besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

# What is there before a log is examined; `families` are templates that go under another's name.
STAGED = ("arrivals", "accounts", "events", "families")


class Intake(NamedTuple):
    """What was taken in. It lies in the `STAGED` tables; this says the rest.

    ids: account ids by code. filled: values that are not null by staged column, such as `exchanges.network`. first_ts,
    last_ts: microseconds since 1970. inputs: what each file gave. chosen: the settings, as they are told.
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


def filled(table: str, held: pa.Table) -> dict[str, int]:
    """How many values of each column of a small staged table are not null."""
    return {f"{table}.{name}": held.num_rows - held[name].null_count for name in held.column_names}
