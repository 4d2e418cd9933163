"""Communities of the bipartite graph of entities and tokens. Pairs of accounts are never written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import graspologic_native
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, diags_array
from scipy.sparse.csgraph import connected_components

from clonewatch.graph.weights import LEAST_WEIGHT, capped

# Fewer parties than this are a household, not an operation: reported nowhere, flagged never.
SMALLEST = 6
# A token belongs to a cluster that holds this share of its users; otherwise it only passes through.
_OWNED = 0.3
# Two communities are one operation when this share of what ties each of them together also ties it to the other.
_SAME = 0.4
# Modularity up to which a connected part counts as one community.
_NO_STRUCTURE = 0.02
# Tokens of one channel that place a party in the graph.
_PER_CHANNEL = 8
# Tokens spread over more communities than this tie none of them together.
_SPREAD = 40

GROUP_SCHEMA = pa.schema(
    [("cluster", pa.int32()), ("entity", pa.int32()), ("mass", pa.float64()), ("tokens", pa.int32())]
)
BOUND_SCHEMA = pa.schema([
    ("cluster", pa.int32()), ("channel", pa.string()), ("token", pa.int64()), ("inside", pa.int64()),
    ("users", pa.int64()), ("anchors", pa.int64()), ("weight", pa.float64()), ("n", pa.int64()),
])  # fmt: skip
TIE_SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("entity", pa.int32()),
        ("channel", pa.string()),
        ("token", pa.int64()),
        ("weight", pa.float64()),
    ]
)


class Clusters(NamedTuple):
    """groups: the parties of each cluster. bound: the tokens that bind it. ties: which party carries which of them."""

    groups: pa.Table
    bound: pa.Table
    ties: pa.Table


class _Incidences(NamedTuple):
    """A token table as arrays: the one at[i] of its rows says that party entities[entity[i]] carries token[i].

    first: a row of each token.
    """

    rows: pa.Table
    at: np.ndarray
    entities: np.ndarray
    entity: np.ndarray
    channel: np.ndarray
    token: np.ndarray
    first: np.ndarray
    weight: np.ndarray


def cluster(tokens: pa.Table, weak: Collection[str], seed: int) -> Clusters:
    """Clusters of a token table (`graph.weights.TOKEN_SCHEMA`): who is in them, and the tokens that bind them.

    tokens: sorted by channel, token and entity. weak: channels that only corroborate; a party that carries no other
    token is left out.

    Leiden (Traag, Waltman and van Eck 2019) on each connected part of the bipartite graph. Linear in incidences.
    Clusters are numbered by their lowest entity, entities by what they did: names and order change nothing.
    """
    held = _incidences(tokens, weak)
    return _tables(held, *_labels(held, _strong(held), seed))


def of_labels(tokens: pa.Table, labels: Mapping[int, int]) -> Clusters:
    """Clusters of communities that are given: entity -> community, from 0."""
    held = _incidences(tokens, ())
    label = np.array([labels.get(e, -1) for e in held.entities.tolist()], np.int64)
    return _tables(held, np.arange(len(held.entity)), label)


def stability(
    tokens: pa.Table, weak: Collection[str], clusters: Clusters, seeds: Sequence[int]
) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
    """How far the clusters depend on the seed of the clustering.

    Per cluster the mean, over seeds, of its best overlap with a cluster of that seed (Jaccard, 0..1); and per (cluster,
    entity) the share of seeds at which the party is in that cluster: the consensus.
    """
    mine = _by_cluster(clusters.groups)
    overlap = dict.fromkeys(mine, 0.0)
    together: dict[tuple[int, int], float] = {(c, e): 0.0 for c, inside in mine.items() for e in inside.tolist()}
    if not mine:
        return overlap, together
    held = _incidences(tokens, weak)
    strong = _strong(held)
    for seed in seeds:
        kept, label = _labels(held, strong, seed)
        others = _by_cluster(_bound(held, kept, label).groups) if len(kept) else {}
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
    """Entities of each cluster. groups: sorted by cluster."""
    number, entity = groups["cluster"].to_numpy(), groups["entity"].to_numpy()
    names, starts = np.unique(number, return_index=True)
    return dict(zip(names.tolist(), np.split(entity, starts[1:]), strict=True)) if len(names) else {}


def _incidences(tokens: pa.Table, weak: Collection[str]) -> _Incidences:
    """The rows of parties that carry more than what only corroborates."""
    faint = pc.is_in(tokens["channel"], pa.array(sorted(weak), pa.string())).to_numpy(zero_copy_only=False)
    everyone = tokens["entity"].to_numpy()
    strong = np.zeros(int(everyone.max()) + 1 if len(everyone) else 0, bool)
    strong[everyone[~faint]] = True
    at = np.flatnonzero(strong[everyone])
    # Sorted rows: channels come one after the other, and so do the rows of a token.
    names = pa.array(sorted(pc.unique(tokens["channel"]).to_pylist()), pa.string())
    channel = pc.index_in(tokens["channel"], names).to_numpy().astype(np.int8)[at]
    value = tokens["token"].to_numpy()[at]
    begins = np.ones(len(value), bool)
    begins[1:] = (channel[1:] != channel[:-1]) | (value[1:] != value[:-1])
    entities, entity = np.unique(everyone[at], return_inverse=True)
    return _Incidences(
        tokens, at, entities, entity.astype(np.int32), channel, (np.cumsum(begins) - 1).astype(np.int32),
        at[begins], tokens["weight"].to_numpy()[at],
    )  # fmt: skip


class _Level(NamedTuple):
    """The incidences that are clustered at one time: which, their capped weights, and which of them make the graph."""

    rows: np.ndarray
    weight: np.ndarray
    heavy: np.ndarray


def _level(held: _Incidences, rows: np.ndarray) -> _Level:
    entity, channel = held.entity[rows], held.channel[rows]
    weight = capped(entity, channel, held.weight[rows])
    return _Level(rows, weight, _heaviest(entity, channel, held.token[rows], held.weight[rows]))


def _strong(held: _Incidences) -> _Level:
    """Those of tokens that link by themselves; the same whatever the seed."""
    return _level(held, np.flatnonzero(held.weight >= LEAST_WEIGHT))


def _labels(held: _Incidences, strong: _Level, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that placed a party, and the community of each entity, -1 for those in none."""
    label = np.full(len(held.entities), -1, np.int64)
    kept = np.zeros(len(held.entity), bool)
    if len(label):
        label = _placed(held, strong, kept, label, seed)
        # Faint tokens would glue large communities together. They are for small cells that the others leave alone.
        faint = _level(held, np.flatnonzero(label[held.entity] < 0))
        label = _placed(held, faint, kept, label, seed)
    return np.flatnonzero(kept), label


def _placed(held: _Incidences, level: _Level, kept: np.ndarray, label: np.ndarray, seed: int) -> np.ndarray:
    """Labels with the communities of a level that are large enough to matter; their rows are marked as kept."""
    if not len(level.rows):
        return label
    at = level.rows[level.heavy]
    size = len(held.entities), len(held.first)
    found = _communities(held.entity[at], held.token[at], level.weight[level.heavy], *size, seed)
    entity = held.entity[level.rows]
    found = _joined(found, entity, held.token[level.rows], level.weight)
    heads = np.bincount(found[found >= 0], minlength=1)
    found = np.where((found >= 0) & (heads[np.maximum(found, 0)] >= SMALLEST), found, -1)
    kept[level.rows] = found[entity] >= 0
    return np.where(found >= 0, found + label.max() + 1, label)


def _heaviest(entity: np.ndarray, channel: np.ndarray, token: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows of each party's few heaviest tokens of every channel, the most shared first: enough to say where it belongs.

    A token weighs the same for all its users, so tokens are ranked once. Keeps the graph linear in parties however many
    templates a campaign has.
    """
    if not len(entity):
        return np.zeros(0, np.int64)
    users = np.bincount(token)
    heaviest = np.zeros(len(users))
    np.maximum.at(heaviest, token, weight)
    rank = np.empty(len(users), np.int64)
    rank[np.lexsort((np.arange(len(users)), -users, -heaviest))] = np.arange(len(users))
    key = (entity.astype(np.int64) * (int(channel.max()) + 1) + channel) * len(users) + rank[token]
    order = np.argsort(key)
    group = key[order] // len(users)
    few = np.ones(len(group), bool)
    few[_PER_CHANNEL:] = group[_PER_CHANNEL:] != group[:-_PER_CHANNEL]
    return np.sort(order[few])


def _communities(
    entity: np.ndarray, token: np.ndarray, weight: np.ndarray, entities: int, tokens: int, seed: int
) -> np.ndarray:
    """Community of each entity; those in parts too small to matter get -1."""
    size = entities + tokens
    graph = coo_array((np.ones(len(entity), np.int8), (entity, entities + token)), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    big = np.bincount(part[:entities], minlength=part.max() + 1) >= SMALLEST
    label = np.full(entities, -1, np.int64)
    taken = 0
    order = np.argsort(part[entity], kind="stable")
    bounds = np.flatnonzero(np.diff(part[entity][order])) + 1
    for rows in np.split(order, bounds):
        if not big[part[entity[rows[0]]]]:
            continue
        ends = [_named(kind, numbers[rows]) for kind, numbers in (("e", entity), ("t", token))]
        edges = list(zip(*ends, weight[rows].tolist(), strict=True))
        modularity, found = graspologic_native.leiden(
            edges, starting_communities=None, seed=seed, trials=1, use_modularity=True, resolution=1.0,
            randomness=0.001, iterations=2,
        )  # fmt: skip
        names = sorted(n for n in found if n.startswith("e"))
        # Where everybody shares everything no cut is better than none, and the parts are arbitrary.
        whole = modularity <= _NO_STRUCTURE
        label[[int(n[1:]) for n in names]] = [taken + (0 if whole else found[n]) for n in names]
        taken += max(found.values()) + 1
    return label


def _joined(label: np.ndarray, entity: np.ndarray, token: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Communities that most of each other's tokens run through, under one label.

    Modularity cuts one operation along its cards or cells although every part uses the same templates.
    """
    inside = label[entity] >= 0
    if not inside.any():
        return label
    size = int(label.max()) + 1
    shape = (size, int(token.max()) + 1)
    at = (label.astype(np.int32)[entity[inside]], token[inside])
    held = coo_array((np.ones(len(at[0])), at), shape=shape).tocsr()
    mass = coo_array((weight[inside], at), shape=shape).tocsr()
    held.data = (held.data >= 2).astype(np.float64)
    held.eliminate_zeros()
    common = np.asarray(held.sum(axis=0)).ravel()
    held = held @ diags_array(((common >= 2) & (common <= _SPREAD)).astype(np.float64))
    held.eliminate_zeros()
    total = np.maximum(np.asarray(mass.sum(axis=1)).ravel(), 1e-12)
    shared = (diags_array(1 / total) @ (mass @ held.T)).tocsr()
    mutual = shared.minimum(shared.T).tocoo()
    same = (mutual.data >= _SAME) & (mutual.row != mutual.col)
    graph = coo_array((np.ones(int(same.sum())), (mutual.row[same], mutual.col[same])), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    return np.where(label >= 0, part[np.maximum(label, 0)], -1)


def _named(kind: str, numbers: np.ndarray) -> list[str]:
    """A name for each number, the same object for the same one: an edge names both its ends."""
    distinct, place = np.unique(numbers, return_inverse=True)
    names = [f"{kind}{n}" for n in distinct.tolist()]
    return [names[i] for i in place.tolist()]


class _Bound(NamedTuple):
    """Which tokens bind which clusters.

    groups: as told. number: cluster of each community, -1 where none. held: (community, token) of each pair. back: the
    pair of each row inside. parties: how many a pair has. binds: whether it binds. inside: rows of placed parties.
    """

    groups: pa.Table
    number: np.ndarray
    held: tuple[np.ndarray, np.ndarray]
    back: np.ndarray
    parties: np.ndarray
    binds: np.ndarray
    inside: np.ndarray


def _bound(held: _Incidences, kept: np.ndarray, label: np.ndarray) -> _Bound:
    """Give each token to the clusters that hold enough of its users, and weigh members by the tokens they carry."""
    entity, token = held.entity[kept], held.token[kept]
    inside = np.flatnonzero(label[entity] >= 0)
    community = label[entity[inside]]
    pairs, back = np.unique(community * len(held.first) + token[inside], return_inverse=True)
    pair = np.divmod(pairs, len(held.first))
    users = held.rows["users"].to_numpy()[held.first[pair[1]]]
    parties = np.bincount(back, minlength=len(pairs))
    binds = (parties >= 2) & (parties >= _OWNED * users)
    edge = binds[back]
    members, size = np.unique(community[edge] * len(held.entities) + entity[inside[edge]], return_inverse=True)
    member = np.divmod(members, len(held.entities))
    communities = int(label.max()) + 1 if len(label) else 0
    total = np.bincount(member[0], minlength=communities)
    large = np.flatnonzero(total >= SMALLEST)
    low = np.full(communities, np.iinfo(np.int64).max)
    np.minimum.at(low, member[0], member[1])
    number = np.full(communities, -1, np.int64)
    number[large[np.argsort(low[large])]] = np.arange(len(large))
    stays = number[member[0]] >= 0
    mass = np.bincount(size, weights=held.weight[kept[inside[edge]]], minlength=len(members))
    groups = pa.table(
        [
            number[member[0][stays]].astype(np.int32),
            held.entities[member[1][stays]],
            mass[stays],
            np.bincount(size, minlength=len(members))[stays].astype(np.int32),
        ],
        schema=GROUP_SCHEMA,
    ).sort_by([("cluster", "ascending"), ("entity", "ascending")])
    return _Bound(groups, number, (pair[0], pair[1]), back, parties, binds, inside)


def _tables(held: _Incidences, kept: np.ndarray, label: np.ndarray) -> Clusters:
    """The clusters with what binds them."""
    if not len(kept) or label.max() < 0:
        return Clusters(GROUP_SCHEMA.empty_table(), BOUND_SCHEMA.empty_table(), TIE_SCHEMA.empty_table())
    found = _bound(held, kept, label)
    community, token = found.held
    stays = found.binds & (found.number[community] >= 0)
    rows = pa.array(held.first[token[stays]])
    exchanges = held.rows["n"].to_numpy()[held.at[kept[found.inside]]]
    bound = pa.table(
        [
            found.number[community[stays]].astype(np.int32),
            held.rows["channel"].take(rows),
            held.rows["token"].take(rows),
            found.parties[stays],
            *(held.rows[c].take(rows) for c in ("users", "anchors", "weight")),
            np.bincount(found.back, weights=exchanges, minlength=len(token)).astype(np.int64)[stays],
        ],
        schema=BOUND_SCHEMA,
    )
    held_by = found.number[community[found.back]]
    tied = found.binds[found.back] & (held_by >= 0)
    lines = held.rows.select(TIE_SCHEMA.names[1:]).take(pa.array(held.at[kept[found.inside[tied]]]))
    ties = pa.table([held_by[tied].astype(np.int32), *lines.columns], schema=TIE_SCHEMA)
    by = [("cluster", "ascending")]
    strongest = [("weight", "descending"), ("inside", "descending"), ("channel", "ascending"), ("token", "ascending")]
    return Clusters(
        found.groups,
        bound.sort_by([*by, *strongest]),
        ties.sort_by([*by, ("channel", "ascending"), ("token", "ascending"), ("entity", "ascending")]),
    )
