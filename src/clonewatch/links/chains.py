"""Chains: entities that are connected through things which only a few of them share at a time.

The accounts of one back end need not share one session. They may share sessions and keys two by two, and each pair says
little, however long the chain of them is. Unrelated honest accounts never share these, so whoever is connected through
them counts as a user of one attribute, the chain, weighed like any other: by how few of its users are trusted.

Cards and devices connect nobody: strangers who bought one cheap phone share its build, and would tie unlike people.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from clonewatch.ports.engine import Fold, Query, Step

# Attributes of more users stand for themselves.
_HANDFUL = 16
# Shared attributes of all signals of a chain together, at most: those of few users are few in honest logs.
_MOST_TIES = 50_000_000
_LEAST_ATTRIBUTES = 2  # of a chain: a single attribute is no chain
SCHEMA = pa.schema([("entity", pa.int32()), ("attribute", pa.int64())])


def steps(name: str, parts: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps that end with table `<name>_links`: entity, attribute (the number of its chain).

    parts: names of the linking signals whose attributes connect.
    """
    ties = " UNION ALL ".join(
        f"SELECT {kind} AS kind, c.attribute, c.entity FROM carried_{part} c JOIN entities e ON e.entity = c.entity"
        f" JOIN (SELECT p.attribute FROM carried_{part} p JOIN entities f ON f.entity = p.entity"
        f" WHERE NOT f.exempt GROUP BY p.attribute HAVING COUNT(*) BETWEEN 2 AND {_HANDFUL}) s"
        " ON s.attribute = c.attribute WHERE NOT e.exempt"
        for kind, part in enumerate(parts)
    )
    tables = tuple(f"carried_{part}" for part in parts)
    return (
        Query(f"{name}_ties", (*tables, "entities"), ties),
        Fold(f"{name}_links", (f"{name}_ties",), connected, _MOST_TIES),
    )


def connected(ties: pa.Table) -> pa.Table:
    """The chain of every entity that is connected to others through two attributes or more (SCHEMA).

    ties: kind (of signal), attribute, entity. Chains are numbered by their first entity, so that neither the order of
    the rows nor the values of attributes change a number.
    """
    if not ties.num_rows:
        return SCHEMA.empty_table()
    kind, value, entity = (ties[name].to_numpy() for name in ("kind", "attribute", "entity"))
    attribute = np.unique(np.stack([kind.astype(np.int64), value.astype(np.int64)]), axis=1, return_inverse=True)[1]
    who, place = np.unique(entity, return_inverse=True)
    shared = attribute.ravel()
    size = len(who) + int(shared.max()) + 1
    carries = coo_array((np.ones(len(place), np.int8), (place, len(who) + shared)), shape=(size, size))
    count, chain = connected_components(carries.tocsr(), directed=False)
    long = np.bincount(chain[len(who) :], minlength=count) >= _LEAST_ATTRIBUTES
    mine = chain[: len(who)]
    kept = np.flatnonzero(long[mine])
    # Entities are ascending, so the first occurrence of a chain is its first entity.
    _, first, number = np.unique(mine[kept], return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return pa.table(
        [pa.array(who[kept], pa.int32()), pa.array(order[number.ravel()], pa.int64())],
        schema=SCHEMA,
    )
