"""Reference communities of the same log: what a cluster's statistics are compared with.

Every app, campus and build fleet is a community, so "is this a community?" is the wrong question. The right null is the
reference community: the users of a popular attribute that trusted accounts use at their usual share, or a group of
random entities. A campaign looks different from all of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from clonewatch.graph.clusters import CLUSTER_ATTRIBUTE_SCHEMA, GROUP_SCHEMA
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal

FIRST = 1_000_000  # reference communities are numbered from here, clusters from 0
FIRST_RANDOM = 2_000_000  # communities of random entities are numbered from here
_POPULAR = 10  # attributes per signal
_MOST_ENTITIES = 150
_FEWEST_USERS = 20
_USUAL = 0.7  # an attribute is honest where the trusted share of its users is at least this much of the usual one
_MOST_EXCHANGES = 20_000  # entities above it would outweigh the rest
_RANDOM_GROUPS, _RANDOM_ENTITIES, _FEWEST_ENTITIES, _LEAST_EXCHANGES = 24, 60, 8, 8
_MIXER = 2_654_435_761


def popular(link: LinkingSignal, share: float) -> Query:
    """The step that lists users of a signal's most used honest attributes, as table `popular_<signal>`.

    share: trusted share of all entities, 0..1. rank: of the attribute, 1 for the most used; between equals its users
    decide, never the value of a hash. At most `_MOST_ENTITIES` users of each attribute are kept.
    """
    name = link.signal.name
    return Query(
        f"popular_{name}",
        (f"carried_{name}", "entities", "linked"),
        f"WITH fit AS (SELECT c.entity, c.attribute, c.n, c.{'first' if link.hashed else 'attribute'} AS"
        " first, e.anchor FROM"
        f" carried_{name} c JOIN entities e ON e.entity = c.entity LEFT JOIN linked l ON l.entity = c.entity"
        " WHERE l.entity IS NULL AND e.n <= $heavy AND c.n >= 3),"
        " used AS (SELECT attribute, COUNT(*) AS users, SUM(n) AS asked, SUM(entity) AS who, MIN(first)"
        " AS first FROM fit"
        " GROUP BY attribute HAVING COUNT(*) >= $fewest AND SUM(anchor) >= $usual * COUNT(*)),"
        " top AS (SELECT attribute, ROW_NUMBER() OVER (ORDER BY users DESC, asked DESC, who, first) AS rank FROM used)"
        " SELECT rank, attribute, entity FROM (SELECT t.rank, f.attribute, f.entity, ROW_NUMBER() OVER"
        " (PARTITION BY f.attribute"
        " ORDER BY (CAST(f.entity AS BIGINT) * $mixer) % 1000003, f.entity) AS place FROM fit f JOIN top t"
        " ON t.attribute = f.attribute WHERE t.rank <= $attributes) s WHERE place <= $entities",
        {
            "heavy": _MOST_EXCHANGES,
            "fewest": _FEWEST_USERS,
            "usual": _USUAL * share,
            "attributes": _POPULAR,
            "mixer": _MIXER,
            "entities": _MOST_ENTITIES,
        },
    )


def gather(
    tables: Mapping[str, pa.Table], links: Sequence[LinkingSignal], entities: pa.Table, linked: np.ndarray
) -> tuple[pa.Table, pa.Table]:
    """Reference communities as groups, and the content attributes that select their slices, shaped like clusters.

    tables: of each signal, the rows of `popular`. entities: the table `entities`. linked: entities of all clusters.
    """
    groups: list[tuple[int, int]] = []
    content: list[tuple[int, str, int, int]] = []
    number = FIRST
    for link in links:
        table = tables[link.signal.name].sort_by([("rank", "ascending"), ("entity", "ascending")])
        ranks, attributes, entity = (table[name].to_numpy() for name in ("rank", "attribute", "entity"))
        for rank in np.unique(ranks):
            inside = entity[ranks == rank]
            groups += [(number, int(e)) for e in inside]
            if link.content:
                content.append((number, link.signal.name, int(attributes[ranks == rank][0]), len(inside)))
            number += 1
    for number, members in enumerate(_random_groups(entities, linked), FIRST_RANDOM):
        groups += [(number, int(e)) for e in members]
    cluster = np.array([g for g, _ in groups], np.int32)
    entity = np.array([e for _, e in groups], np.int32)
    return (
        pa.table([cluster, entity, np.zeros(len(cluster)), np.zeros(len(cluster), np.int32)], schema=GROUP_SCHEMA),
        pa.table(
            [
                pa.array([b[0] for b in content], pa.int32()),
                pa.array([b[1] for b in content], pa.string()),
                pa.array([b[2] for b in content], pa.int64()),
                *[pa.array([b[3] for b in content], pa.int64())] * 2,
                *[pa.array([0] * len(content), kind) for kind in (pa.int64(), pa.float64(), pa.int64())],
            ],
            schema=CLUSTER_ATTRIBUTE_SCHEMA,
        ),
    )


def _random_groups(entities: pa.Table, linked: np.ndarray) -> list[np.ndarray]:
    """Groups of random unlinked entities of mixed volume: groups of similar volume would be alike by construction."""
    entities = entities.sort_by("entity")
    volume, entity = entities["n"].to_numpy(), entities["entity"].to_numpy()
    fit = (volume >= _LEAST_EXCHANGES) & (volume <= _MOST_EXCHANGES) & ~np.isin(entity, linked)
    pool = entity[fit]
    pool = pool[np.lexsort((pool, (pool.astype(np.int64) * _MIXER) % 1_000_003))]
    size = min(_RANDOM_ENTITIES, len(pool) // _RANDOM_GROUPS)
    return [pool[i * size : (i + 1) * size] for i in range(_RANDOM_GROUPS)] if size >= _FEWEST_ENTITIES else []
