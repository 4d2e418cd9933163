"""Which party carries which of the tokens that bind its cluster: eight bytes an incidence, looked at in parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TIE_SCHEMA = pa.schema(
    [("cluster", pa.int32()), ("entity", pa.int32()), ("channel", pa.string()), ("weight", pa.float64())]
)
# Incidences that are looked at together: bounds what is held beside them.
_CHUNK = 4_000_000


class Tied(NamedTuple):
    """Which party carries which of the tokens that bind its cluster.

    token: int32[N], rows of `tokens`, ascending. entity: int32[N].
    """

    tokens: pa.Table
    token: np.ndarray
    entity: np.ndarray


def chunks(token: np.ndarray) -> Iterator[slice]:
    """Rows, sorted by token, in parts of about `_CHUNK`; no token is in two of them."""
    ends = token[_CHUNK - 1 :: _CHUNK]
    bounds = sorted({*np.searchsorted(token, ends, side="right").tolist(), len(token)})
    return itertools.starmap(slice, itertools.pairwise([0, *bounds]))


def _cluster_of(groups: pa.Table, entities: np.ndarray) -> np.ndarray:
    """The cluster of each of these parties, -1 where none. A party is in one cluster at most."""
    entity = groups["entity"].to_numpy()
    most = max(int(entity.max(initial=-1)), int(entities.max(initial=-1)))
    number = np.full(most + 1, -1, np.int32)
    number[entity] = groups["cluster"].to_numpy()
    found: np.ndarray = number[entities]
    return found


def heaviest_ties(groups: pa.Table, tied: Tied, weight: np.ndarray) -> pa.Table:
    """The heaviest token of each channel that ties a party to its cluster (TIE_SCHEMA).

    weight: of each token, 0 where it ties nobody.
    """
    channel = tied.tokens["channel"]
    parts = []
    for name in sorted(pc.unique(channel).to_pylist()):
        first, last = pc.index(channel, name).as_py(), pc.sum(pc.equal(channel, name)).as_py()
        rows = slice(*np.searchsorted(tied.token, [first, first + last]).tolist())
        best = np.zeros(int(tied.entity[rows].max(initial=-1)) + 1)
        np.maximum.at(best, tied.entity[rows], weight[tied.token[rows]])
        entity = np.flatnonzero(best).astype(np.int32)
        number = _cluster_of(groups, entity)
        inside = number >= 0
        columns = [number[inside], entity[inside], pa.repeat(name, int(inside.sum())), best[entity[inside]]]
        parts.append(pa.table(columns, schema=TIE_SCHEMA))
    by = [(name, "ascending") for name in ("cluster", "channel", "entity")]
    return pa.concat_tables([TIE_SCHEMA.empty_table(), *parts]).sort_by(by)


def carriers(groups: pa.Table, tied: Tied, chosen: pa.Table) -> pa.Table:
    """Who carries these tokens of a cluster: (cluster, channel, token, entity). chosen: rows of BOUND_SCHEMA."""
    keys = ["channel", "token"]
    rows = pa.table({"at": np.arange(tied.tokens.num_rows)}).append_column("channel", tied.tokens["channel"])
    rows = rows.append_column("token", tied.tokens["token"])
    at = chosen.select(["cluster", *keys]).join(rows, keys, join_type="inner").sort_by("at")
    wanted = np.sort(at["cluster"].to_numpy().astype(np.int64) * tied.tokens.num_rows + at["at"].to_numpy())
    asked = np.zeros(tied.tokens.num_rows, bool)
    asked[at["at"].to_numpy()] = True
    found = []
    for part in chunks(tied.token):
        some = part.start + np.flatnonzero(asked[tied.token[part]])
        number = _cluster_of(groups, tied.entity[some])
        key = number.astype(np.int64) * tied.tokens.num_rows + tied.token[some]
        held = (number >= 0) & (wanted[np.minimum(np.searchsorted(wanted, key), len(wanted) - 1)] == key)
        found.append((number[held], tied.token[some[held]], tied.entity[some[held]]))
    number, token, entity = (np.concatenate(column) for column in zip(*found, strict=True))
    told = pa.array(token)
    columns = [number, tied.tokens["channel"].take(told), tied.tokens["token"].take(told), entity]
    return pa.table(columns, names=["cluster", *keys, "entity"])
