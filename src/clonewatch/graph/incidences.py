"""Which entity carries which attribute of its cluster: eight bytes per incidence, processed in chunks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EDGE_SCHEMA = pa.schema(
    [("cluster", pa.int32()), ("entity", pa.int32()), ("signal", pa.string()), ("weight", pa.float64())]
)
# Incidences that are processed at a time: bounds the memory that is needed beside them.
_CHUNK = 4_000_000


class ClusterIncidences(NamedTuple):
    """Which entity carries which attribute of its cluster.

    attribute: int32[N], rows of `attributes`, ascending. entity: int32[N].
    """

    attributes: pa.Table
    attribute: np.ndarray
    entity: np.ndarray


def chunks(attribute: np.ndarray) -> Iterator[slice]:
    """Slices of about `_CHUNK` rows, sorted by attribute; no attribute is in two of them."""
    ends = attribute[_CHUNK - 1 :: _CHUNK]
    bounds = sorted({*np.searchsorted(attribute, ends, side="right").tolist(), len(attribute)})
    return itertools.starmap(slice, itertools.pairwise([0, *bounds]))


def _cluster_of(groups: pa.Table, entities: np.ndarray) -> np.ndarray:
    """The cluster of each of these entities, -1 where none. An entity is in at most one cluster."""
    entity = groups["entity"].to_numpy()
    most = max(int(entity.max(initial=-1)), int(entities.max(initial=-1)))
    number = np.full(most + 1, -1, np.int32)
    number[entity] = groups["cluster"].to_numpy()
    found: np.ndarray = number[entities]
    return found


def heaviest_edges(groups: pa.Table, incidences: ClusterIncidences, weight: np.ndarray) -> pa.Table:
    """The heaviest attribute of each signal that links an entity to its cluster (EDGE_SCHEMA).

    weight: of each attribute, 0 where it links nobody.
    """
    signal = incidences.attributes["signal"]
    parts = []
    for name in sorted(pc.unique(signal).to_pylist()):
        first, last = pc.index(signal, name).as_py(), pc.sum(pc.equal(signal, name)).as_py()
        rows = slice(*np.searchsorted(incidences.attribute, [first, first + last]).tolist())
        best = np.zeros(int(incidences.entity[rows].max(initial=-1)) + 1)
        np.maximum.at(best, incidences.entity[rows], weight[incidences.attribute[rows]])
        entity = np.flatnonzero(best).astype(np.int32)
        number = _cluster_of(groups, entity)
        inside = number >= 0
        columns = [number[inside], entity[inside], pa.repeat(name, int(inside.sum())), best[entity[inside]]]
        parts.append(pa.table(columns, schema=EDGE_SCHEMA))
    by = [(name, "ascending") for name in ("cluster", "signal", "entity")]
    return pa.concat_tables([EDGE_SCHEMA.empty_table(), *parts]).sort_by(by)


def carriers(groups: pa.Table, incidences: ClusterIncidences, chosen: pa.Table) -> pa.Table:
    """Who carries these cluster attributes: cluster, signal, attribute, entity. chosen: CLUSTER_ATTRIBUTE_SCHEMA."""
    keys = ["signal", "attribute"]
    rows = pa.table({"at": np.arange(incidences.attributes.num_rows)}).append_column(
        "signal", incidences.attributes["signal"]
    )
    rows = rows.append_column("attribute", incidences.attributes["attribute"])
    at = chosen.select(["cluster", *keys]).join(rows, keys, join_type="inner").sort_by("at")
    wanted = np.sort(at["cluster"].to_numpy().astype(np.int64) * incidences.attributes.num_rows + at["at"].to_numpy())
    chosen_rows = np.zeros(incidences.attributes.num_rows, bool)
    chosen_rows[at["at"].to_numpy()] = True
    found = []
    for part in chunks(incidences.attribute):
        some = part.start + np.flatnonzero(chosen_rows[incidences.attribute[part]])
        number = _cluster_of(groups, incidences.entity[some])
        key = number.astype(np.int64) * incidences.attributes.num_rows + incidences.attribute[some]
        match = (number >= 0) & (wanted[np.minimum(np.searchsorted(wanted, key), len(wanted) - 1)] == key)
        found.append((number[match], incidences.attribute[some[match]], incidences.entity[some[match]]))
    number, attribute, entity = (np.concatenate(column) for column in zip(*found, strict=True))
    places = pa.array(attribute)
    columns = [
        number,
        incidences.attributes["signal"].take(places),
        incidences.attributes["attribute"].take(places),
        entity,
    ]
    return pa.table(columns, names=["cluster", *keys, "entity"])
