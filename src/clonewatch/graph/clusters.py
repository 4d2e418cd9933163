"""Clusters: communities of the bipartite graph of entities and attributes. Pairs of accounts are never stored."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.graph.communities_in_common import merged, with_strays
from clonewatch.graph.incidences import EDGE_SCHEMA, ClusterIncidences, chunks, heaviest_edges
from clonewatch.graph.leiden import SMALLEST, communities, divided
from clonewatch.graph.weights import LEAST_WEIGHT, Incidences, capped

# An attribute is a cluster's own when the cluster holds at least this share of its users.
_OWNED = 0.3
# Attributes of one signal, at most, that place an entity in the graph.
_PER_SIGNAL = 8
# Parts of clusters are numbered from here, clusters from 0.
FIRST_PART = 500_000

GROUP_SCHEMA = pa.schema(
    [("cluster", pa.int32()), ("entity", pa.int32()), ("mass", pa.float64()), ("attributes", pa.int32())]
)
CLUSTER_ATTRIBUTE_SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("signal", pa.string()),
        ("attribute", pa.int64()),
        ("inside", pa.int64()),
        ("users", pa.int64()),
        ("trusted", pa.int64()),
        ("weight", pa.float64()),
        ("n", pa.int64()),
    ]
)


class Clusters(NamedTuple):
    """Clusters that have no entity in common, and what links each of them.

    groups: the entities of each cluster (GROUP_SCHEMA). attributes: the cluster attributes (CLUSTER_ATTRIBUTE_SCHEMA).
    edges: the heaviest attribute of each signal that links an entity to its cluster (EDGE_SCHEMA). incidences: which
    entity carries which cluster attribute.
    """

    groups: pa.Table
    attributes: pa.Table
    edges: pa.Table
    incidences: ClusterIncidences


class Grains(NamedTuple):
    """The same entities in clusters of two grains.

    clusters: the coarse ones. parts: what some of them fall apart into when each is looked at by itself, numbered from
    `FIRST_PART`. A part lies within one cluster. A cluster that does not fall apart has no parts.
    """

    clusters: Clusters
    parts: Clusters


class _IncidenceArrays(NamedTuple):
    """Incidences as arrays, ready for clustering.

    entities: the entity behind each number. entity, attribute, n: per incidence, sorted by attribute. signal, weight,
    users: per attribute. first: of each signal, its first attribute.
    differing: per attribute, whether it is no wonder that parts of one operation differ in it.
    """

    attributes: pa.Table
    entities: np.ndarray
    entity: np.ndarray
    attribute: np.ndarray
    n: np.ndarray
    signal: np.ndarray
    weight: np.ndarray
    users: np.ndarray
    first: np.ndarray
    differing: np.ndarray


def cluster(attributes: Incidences, weak: Collection[str], seed: int, differing: Collection[str] = ()) -> Grains:
    """Cluster the graph of rare attributes and the entities that carry them.

    weak: signals that only corroborate; entities that carry no other attribute are left out. differing: signals in
    which it is no wonder that parts of one operation differ.

    Leiden on each connected component of the bipartite graph, and on each community once more for the parts. Linear in
    incidences. Clusters are numbered by their lowest entity, entities by what they did, attributes by who carries them:
    names, order and the key of the hashes change nothing.
    """
    arrays = _arrays(attributes, weak, differing)
    kept, label, part = _labels(arrays, _strong(arrays), seed)
    return Grains(_tables(arrays, kept, label), _tables(arrays, kept, part, FIRST_PART))


def of_labels(attributes: Incidences, labels: Mapping[int, int]) -> Grains:
    """Clusters from given communities, without parts. labels: entity -> community, numbered from 0."""
    arrays = _arrays(attributes, ())
    label = np.array([labels.get(e, -1) for e in arrays.entities.tolist()], np.int64)
    kept = np.ones(len(arrays.entity), bool)
    return Grains(_tables(arrays, kept, label), _tables(arrays, kept, np.full_like(label, -1)))


def stability(
    attributes: Incidences,
    weak: Collection[str],
    grains: Grains,
    seeds: Sequence[int],
    differing: Collection[str] = (),
) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
    """How far the clusters and parts depend on the seed of the clustering.

    Returns, per cluster or part, the mean over seeds of its best overlap with a cluster or part of that seed (Jaccard,
    0..1), and, per (cluster, entity), the share of seeds at which the entity is in that one (the consensus, 0..1).
    """
    mine = _by_cluster(grains.clusters.groups) | _by_cluster(grains.parts.groups)
    overlap = dict.fromkeys(mine, 0.0)
    together: dict[tuple[int, int], float] = {(c, e): 0.0 for c, inside in mine.items() for e in inside.tolist()}
    if not mine:
        return overlap, together
    arrays = _arrays(attributes, weak, differing)
    strong = _strong(arrays)
    for seed in seeds:
        kept, *labels = _labels(arrays, strong, seed)
        others: dict[int, np.ndarray] = {}
        for first, label in zip((0, FIRST_PART), labels, strict=True):
            if kept.any() and label.max() >= 0:
                others |= _by_cluster(_cluster_attributes(arrays, kept, label, first).groups)
        where: dict[int, list[int]] = {}
        for number, inside in others.items():
            for entity in inside.tolist():
                where.setdefault(entity, []).append(number)
        for number, inside in mine.items():
            met = Counter(other for entity in inside.tolist() for other in where.get(entity, ()))
            best = max(met, key=lambda o: (met[o] / (len(inside) + len(others[o]) - met[o]), -o), default=None)
            if best is None:
                continue
            overlap[number] += met[best] / (len(inside) + len(others[best]) - met[best])
            for entity in np.intersect1d(inside, others[best]).tolist():
                together[number, entity] += 1
    return {c: v / len(seeds) for c, v in overlap.items()}, {k: v / len(seeds) for k, v in together.items()}


def _by_cluster(groups: pa.Table) -> dict[int, np.ndarray]:
    """Entities of each cluster. groups: GROUP_SCHEMA, sorted by cluster."""
    number, entity = groups["cluster"].to_numpy(), groups["entity"].to_numpy()
    names, starts = np.unique(number, return_index=True)
    return dict(zip(names.tolist(), np.split(entity, starts[1:]), strict=True)) if len(names) else {}


def _arrays(attributes: Incidences, weak: Collection[str], differing: Collection[str] = ()) -> _IncidenceArrays:
    """The incidences of entities that carry at least one attribute of a signal that is not weak."""
    names = attributes.attributes["signal"]
    signals = sorted(pc.unique(names).to_pylist())
    signal = pc.index_in(names, pa.array(signals, pa.string())).to_numpy().astype(np.int8)
    faint, divided = (
        pc.is_in(names, pa.array(sorted(kind), pa.string())).to_numpy(zero_copy_only=False)
        for kind in (weak, differing)
    )
    strong = np.zeros(int(attributes.entity.max()) + 1 if len(attributes) else 0, bool)
    strong[attributes.entity[~faint[attributes.attribute]]] = True
    entities = np.flatnonzero(strong).astype(np.int32)
    number = (np.cumsum(strong) - 1).astype(np.int32)
    kept = strong[attributes.entity]
    weight, users = (attributes.attributes[name].to_numpy() for name in ("weight", "users"))
    first = np.searchsorted(signal, np.arange(len(signals) + 1))
    entity, attribute, n = number[attributes.entity[kept]], attributes.attribute[kept], attributes.n[kept]
    return _IncidenceArrays(
        attributes.attributes, entities, entity, attribute, n, signal, weight, users, first, divided
    )


class _Level(NamedTuple):
    """Incidences that are clustered together: their rows, their capped weights, and which of them form the graph."""

    rows: np.ndarray
    weight: np.ndarray
    heavy: np.ndarray


def _level(arrays: _IncidenceArrays, rows: np.ndarray) -> _Level:
    attribute = arrays.attribute[rows]
    ends = np.searchsorted(attribute, arrays.first)
    weight, heavy = np.empty(len(rows)), []
    for begin, end in itertools.pairwise(ends.tolist()):  # signal by signal
        entity, mine = arrays.entity[rows[begin:end]], attribute[begin:end]
        weight[begin:end] = capped(entity, arrays.weight[mine])
        heavy.append(begin + _heaviest(entity, mine, arrays.weight[mine]))
    return _Level(rows, weight, np.concatenate([np.zeros(0, np.int64), *heavy]))


def _strong(arrays: _IncidenceArrays) -> _Level:
    """The incidences of attributes that link by themselves. They do not depend on the seed."""
    return _level(arrays, np.flatnonzero((arrays.weight >= LEAST_WEIGHT)[arrays.attribute]).astype(np.int32))


def _labels(arrays: _IncidenceArrays, strong: _Level, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask of the incidences that placed an entity; the community of each entity and its part of it, -1 where none."""
    label, part = (np.full(len(arrays.entities), -1, np.int64) for _ in range(2))
    kept = np.zeros(len(arrays.entity), bool)
    if len(label):
        label, part = _placed(arrays, strong, kept, label, part, seed)
        # Faint attributes would connect large communities. They are for entities that no other attribute places.
        faint = _level(arrays, np.flatnonzero((label < 0)[arrays.entity]).astype(np.int32))
        label, part = _placed(arrays, faint, kept, label, part, seed)
    return kept, label, part


def _placed(
    arrays: _IncidenceArrays, level: _Level, kept: np.ndarray, label: np.ndarray, part: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and parts, with those of a level that are large enough added. Marks their incidences in `kept`."""
    if not len(level.rows):
        return label, part
    at = level.rows[level.heavy]
    edges = arrays.entity[at], arrays.attribute[at], level.weight[level.heavy]
    carried = arrays.entity[level.rows], arrays.attribute[level.rows], level.weight
    found = communities(*edges, len(arrays.entities), len(arrays.signal), seed)
    whole = _large(merged(found, *carried, arrays.differing))
    pieces = merged(divided(np.where(whole >= 0, found, -1), *edges, seed), *carried, arrays.differing, whole)
    pieces = with_strays(_large(pieces), whole, *carried)
    pieces = np.where(_divided(whole, pieces), pieces, -1)
    kept[level.rows] = (whole >= 0)[arrays.entity[level.rows]]
    return _added(label, whole), _added(part, pieces)


def _added(label: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Labels, with those of entities that had none."""
    added: np.ndarray = np.where(more >= 0, more + label.max() + 1, label)
    return added


def _large(label: np.ndarray) -> np.ndarray:
    """Labels without those of too few entities."""
    sizes = np.bincount(label[label >= 0], minlength=1)
    large: np.ndarray = np.where((label >= 0) & (sizes[np.maximum(label, 0)] >= SMALLEST), label, -1)
    return large


def _divided(whole: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Per entity, whether its community falls into parts: of several parts, or of one and entities in none."""
    pairs = np.unique(np.stack([whole, part])[:, whole >= 0], axis=1)
    kinds = np.bincount(pairs[0], minlength=1)
    several: np.ndarray = (whole >= 0) & (kinds[np.maximum(whole, 0)] >= 2)
    return several


def _heaviest(entity: np.ndarray, attribute: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows of each entity's few heaviest attributes of one signal, enough to place it. Of equals, the most shared.

    An attribute weighs the same for all its users, so attributes are ranked once. This keeps the graph linear in
    entities however many templates a campaign has.
    """
    if not len(entity):
        return np.zeros(0, np.int64)
    kind = attribute - attribute[0]
    users = np.bincount(kind)
    heaviest = np.zeros(len(users))
    heaviest[kind] = weight
    rank = np.empty(len(users), np.int64)
    rank[np.lexsort((np.arange(len(users)), -users, -heaviest))] = np.arange(len(users))
    key = entity * np.int64(len(users)) + rank[kind]
    order = np.argsort(key)
    group = entity[order]
    top = np.ones(len(group), bool)
    top[_PER_SIGNAL:] = group[_PER_SIGNAL:] != group[:-_PER_SIGNAL]
    return np.sort(order[top])


class _ClusterAttributes(NamedTuple):
    """Which attributes are cluster attributes of which clusters.

    groups: GROUP_SCHEMA. number: cluster of each community, -1 where none. community, attribute, entities, n: per
    community and cluster attribute of it. rows: incidences of those pairs.
    """

    groups: pa.Table
    number: np.ndarray
    community: np.ndarray
    attribute: np.ndarray
    entities: np.ndarray
    n: np.ndarray
    rows: np.ndarray


def _cluster_attributes(
    arrays: _IncidenceArrays, kept: np.ndarray, label: np.ndarray, first: int = 0
) -> _ClusterAttributes:
    """Assign each attribute to the clusters that hold enough of its users, and sum the weights that members carry.

    first: the number of the first cluster.
    """
    attributes, found, rows = len(arrays.signal), [], []
    mass = np.zeros(len(arrays.entities))
    carried = np.zeros(len(arrays.entities), np.int64)
    for part in chunks(arrays.attribute):
        mine = part.start + np.flatnonzero(kept[part] & (label >= 0)[arrays.entity[part]])
        entity, attribute = arrays.entity[mine], arrays.attribute[mine]
        pairs, back = np.unique(label[entity] * attributes + attribute, return_inverse=True)
        pair = np.divmod(pairs, attributes)
        entities = np.bincount(back, minlength=len(pairs))
        owned = (entities >= 2) & (entities >= _OWNED * arrays.users[pair[1]])
        n = np.bincount(back, weights=arrays.n[mine], minlength=len(pairs)).astype(np.int64)
        found.append([column[owned] for column in (*pair, entities, n)])
        is_edge = owned[back]
        np.add.at(mass, entity[is_edge], arrays.weight[attribute[is_edge]])
        np.add.at(carried, entity[is_edge], 1)
        rows.append(mine[is_edge].astype(np.int32))
    members = np.flatnonzero(carried)
    community = label[members]
    large = np.flatnonzero(np.bincount(community, minlength=int(label.max()) + 1) >= SMALLEST)
    low = np.full(int(label.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(low, community, members)
    number = np.full(len(low), -1, np.int64)
    number[large[np.argsort(low[large])]] = first + np.arange(len(large))
    members = members[number[community] >= 0]
    groups = pa.table(
        [number[label[members]].astype(np.int32), arrays.entities[members], mass[members], carried[members]],
        names=GROUP_SCHEMA.names,
    ).cast(GROUP_SCHEMA)
    groups = groups.sort_by([("cluster", "ascending"), ("entity", "ascending")])
    community, attribute, entities, n = (np.concatenate(column) for column in zip(*found, strict=True))
    return _ClusterAttributes(groups, number, community, attribute, entities, n, np.concatenate(rows))


def _tables(arrays: _IncidenceArrays, kept: np.ndarray, label: np.ndarray, first: int = 0) -> Clusters:
    """Clusters as tables, with their cluster attributes, edges and incidences. first: the number of the first one."""
    if not kept.any() or label.max() < 0:
        nothing = ClusterIncidences(arrays.attributes, np.zeros(0, np.int32), np.zeros(0, np.int32))
        return Clusters(
            GROUP_SCHEMA.empty_table(), CLUSTER_ATTRIBUTE_SCHEMA.empty_table(), EDGE_SCHEMA.empty_table(), nothing
        )
    found = _cluster_attributes(arrays, kept, label, first)
    stays = found.number[found.community] >= 0
    attribute = pa.array(found.attribute[stays])
    own = pa.table(
        [
            found.number[found.community[stays]].astype(np.int32),
            arrays.attributes["signal"].take(attribute),
            arrays.attributes["attribute"].take(attribute),
            found.entities[stays],
            *(arrays.attributes[c].take(attribute) for c in ("users", "trusted", "weight")),
            found.n[stays],
            attribute,
        ],
        schema=CLUSTER_ATTRIBUTE_SCHEMA.append(pa.field("position", pa.int64())),
    )
    rows = found.rows[(found.number[label] >= 0)[arrays.entity[found.rows]]]
    carried = ClusterIncidences(arrays.attributes, arrays.attribute[rows], arrays.entities[arrays.entity[rows]])
    # Between equals, the position of an attribute decides, not its value, which may be a hash.
    strongest = [("weight", "descending"), ("inside", "descending"), ("position", "ascending")]
    own = own.sort_by([("cluster", "ascending"), *strongest]).drop_columns("position")
    return Clusters(found.groups, own, heaviest_edges(found.groups, carried, arrays.weight), carried)
