"""Communities of the bipartite graph of entities and tokens. Pairs of accounts are never written down."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import log2
from typing import NamedTuple

import graspologic_native
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, diags_array
from scipy.sparse.csgraph import connected_components

from clonewatch.graph.tied import TIE_SCHEMA, Tied, chunks, heaviest_ties
from clonewatch.graph.weights import LEAST_WEIGHT, Incidences, capped

# Fewer parties than this are a household, not an operation: reported nowhere, flagged never.
SMALLEST = 6
# A token belongs to a cluster that holds this share of its users; otherwise it only passes through.
_OWNED = 0.3
# Two communities are one operation when this share of what ties each of them together also ties it to the other.
_SAME = 0.4
# Bits of edge weight within which the refinement of a clustering takes one merge as gladly as another.
_RANDOMNESS = log2(10) / 1000
# Modularity up to which a connected part counts as one community.
_NO_STRUCTURE = 0.02
# Tokens of one channel that place a party in the graph.
_PER_CHANNEL = 8
# Tokens spread over more communities than this tie none of them together.
_SPREAD = 40

GROUP_SCHEMA = pa.schema(
    [("cluster", pa.int32()), ("entity", pa.int32()), ("mass", pa.float64()), ("tokens", pa.int32())]
)
BOUND_SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("channel", pa.string()),
        ("token", pa.int64()),
        ("inside", pa.int64()),
        ("users", pa.int64()),
        ("anchors", pa.int64()),
        ("weight", pa.float64()),
        ("n", pa.int64()),
    ]
)


class Clusters(NamedTuple):
    """groups: the parties of each cluster. bound: the tokens that bind it. tied: which party carries which of them.

    ties: the heaviest token of each channel that ties a party to its cluster.
    """

    groups: pa.Table
    bound: pa.Table
    ties: pa.Table
    tied: Tied


class _Held(NamedTuple):
    """Incidences as they are clustered.

    entities: parties by number. entity, token, n: of an incidence, sorted by token. channel, weight, users: of a token.
    first: of each channel, its first token.
    """

    tokens: pa.Table
    entities: np.ndarray
    entity: np.ndarray
    token: np.ndarray
    n: np.ndarray
    channel: np.ndarray
    weight: np.ndarray
    users: np.ndarray
    first: np.ndarray


def cluster(tokens: Incidences, weak: Collection[str], seed: int) -> Clusters:
    """Clusters of rare tokens and who carries them: who is in them, and the tokens that bind them.

    weak: channels that only corroborate; a party that carries no other token is left out.

    Leiden (Traag, Waltman and van Eck 2019) on each connected part of the bipartite graph. Linear in incidences.
    Clusters are numbered by their lowest entity, entities by what they did, tokens by who carries them: names, order
    and the key of the hashes change nothing.
    """
    held = _held(tokens, weak)
    return _tables(held, *_labels(held, _strong(held), seed))


def of_labels(tokens: Incidences, labels: Mapping[int, int]) -> Clusters:
    """Clusters of communities that are given: entity -> community, from 0."""
    held = _held(tokens, ())
    label = np.array([labels.get(e, -1) for e in held.entities.tolist()], np.int64)
    return _tables(held, np.ones(len(held.entity), bool), label)


def stability(
    tokens: Incidences, weak: Collection[str], clusters: Clusters, seeds: Sequence[int]
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
    held = _held(tokens, weak)
    strong = _strong(held)
    for seed in seeds:
        kept, label = _labels(held, strong, seed)
        others = _by_cluster(_bound(held, kept, label).groups) if kept.any() else {}
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


def _held(tokens: Incidences, weak: Collection[str]) -> _Held:
    """The incidences of parties that carry more than what only corroborates."""
    names = tokens.tokens["channel"]
    channels = sorted(pc.unique(names).to_pylist())
    channel = pc.index_in(names, pa.array(channels, pa.string())).to_numpy().astype(np.int8)
    faint = pc.is_in(names, pa.array(sorted(weak), pa.string())).to_numpy(zero_copy_only=False)
    strong = np.zeros(int(tokens.entity.max()) + 1 if len(tokens) else 0, bool)
    strong[tokens.entity[~faint[tokens.token]]] = True
    entities = np.flatnonzero(strong).astype(np.int32)
    number = (np.cumsum(strong) - 1).astype(np.int32)
    kept = strong[tokens.entity]
    weight, users = (tokens.tokens[name].to_numpy() for name in ("weight", "users"))
    first = np.searchsorted(channel, np.arange(len(channels) + 1))
    entity, token, n = number[tokens.entity[kept]], tokens.token[kept], tokens.n[kept]
    return _Held(tokens.tokens, entities, entity, token, n, channel, weight, users, first)


class _Level(NamedTuple):
    """The incidences that are clustered at one time: which, their capped weights, and which of them make the graph."""

    rows: np.ndarray
    weight: np.ndarray
    heavy: np.ndarray


def _level(held: _Held, rows: np.ndarray) -> _Level:
    token = held.token[rows]
    ends = np.searchsorted(token, held.first)
    weight, heavy = np.empty(len(rows)), []
    for begin, end in itertools.pairwise(ends.tolist()):  # one channel after the other
        entity, mine = held.entity[rows[begin:end]], token[begin:end]
        weight[begin:end] = capped(entity, held.weight[mine])
        heavy.append(begin + _heaviest(entity, mine, held.weight[mine]))
    return _Level(rows, weight, np.concatenate([np.zeros(0, np.int64), *heavy]))


def _strong(held: _Held) -> _Level:
    """Those of tokens that link by themselves; the same whatever the seed."""
    return _level(held, np.flatnonzero((held.weight >= LEAST_WEIGHT)[held.token]).astype(np.int32))


def _labels(held: _Held, strong: _Level, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Incidences that placed a party, and the community of each entity, -1 for those in none."""
    label = np.full(len(held.entities), -1, np.int64)
    kept = np.zeros(len(held.entity), bool)
    if len(label):
        label = _placed(held, strong, kept, label, seed)
        # Faint tokens would glue large communities together. They are for small cells that the others leave alone.
        faint = _level(held, np.flatnonzero((label < 0)[held.entity]).astype(np.int32))
        label = _placed(held, faint, kept, label, seed)
    return kept, label


def _placed(held: _Held, level: _Level, kept: np.ndarray, label: np.ndarray, seed: int) -> np.ndarray:
    """Labels with the communities of a level that are large enough to matter; their incidences are marked as kept."""
    if not len(level.rows):
        return label
    at = level.rows[level.heavy]
    size = len(held.entities), len(held.channel)
    found = _communities(held.entity[at], held.token[at], level.weight[level.heavy], *size, seed)
    found = _joined(found, held.entity[level.rows], held.token[level.rows], level.weight)
    heads = np.bincount(found[found >= 0], minlength=1)
    found = np.where((found >= 0) & (heads[np.maximum(found, 0)] >= SMALLEST), found, -1)
    kept[level.rows] = (found >= 0)[held.entity[level.rows]]
    return np.where(found >= 0, found + label.max() + 1, label)


def _heaviest(entity: np.ndarray, token: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Of one channel, the rows of each party's few heaviest tokens, the most shared first: enough to place it.

    A token weighs the same for all its users, so tokens are ranked once. Keeps the graph linear in parties however many
    templates a campaign has.
    """
    if not len(entity):
        return np.zeros(0, np.int64)
    kind = token - token[0]
    users = np.bincount(kind)
    heaviest = np.zeros(len(users))
    heaviest[kind] = weight
    rank = np.empty(len(users), np.int64)
    rank[np.lexsort((np.arange(len(users)), -users, -heaviest))] = np.arange(len(users))
    key = entity * np.int64(len(users)) + rank[kind]
    order = np.argsort(key)
    group = entity[order]
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
            edges,
            starting_communities=None,
            seed=seed,
            trials=1,
            use_modularity=True,
            resolution=1.0,
            randomness=_RANDOMNESS,
            iterations=2,
        )
        names = sorted(n for n in found if n.startswith("e"))
        # Where everybody shares everything no cut is better than none, and the parts are arbitrary.
        whole = modularity <= _NO_STRUCTURE
        label[[int(n[1:]) for n in names]] = [taken + (0 if whole else found[n]) for n in names]
        taken += max(found.values()) + 1
    return label


def _joined(label: np.ndarray, entity: np.ndarray, token: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Communities that most of each other's tokens run through, under one label.

    Modularity cuts one operation along its cards or cells although every part uses the same templates. entity, token,
    weight: of incidences, sorted by token.
    """
    tokens, sums = int(token.max()) + 1, []
    for part in chunks(token):
        community = label[entity[part]]
        inside = community >= 0
        pairs, back = np.unique(community[inside] * tokens + token[part][inside], return_inverse=True)
        sums.append((pairs, np.bincount(back), np.bincount(back, weights=weight[part][inside])))
    pair, parties, held = (np.concatenate(column) for column in zip(*sums, strict=True))
    if not len(pair):
        return label
    size = int(label.max()) + 1
    at = np.divmod(pair, tokens)
    mass = coo_array((held, at), shape=(size, tokens)).tocsr()
    many = parties >= 2
    common = np.bincount(at[1][many], minlength=tokens)[at[1]]
    shows = many & (common >= 2) & (common <= _SPREAD)
    ties = coo_array((np.ones(int(shows.sum())), (at[0][shows], at[1][shows])), shape=(size, tokens)).tocsr()
    total = np.maximum(np.asarray(mass.sum(axis=1)).ravel(), 1e-12)
    shared = (diags_array(1 / total) @ (mass @ ties.T)).tocsr()
    mutual = shared.minimum(shared.T).tocoo()
    same = (mutual.data >= _SAME) & (mutual.row != mutual.col)
    graph = coo_array((np.ones(int(same.sum())), (mutual.row[same], mutual.col[same])), shape=(size, size))
    _, part_of = connected_components(graph, directed=False)
    return np.where(label >= 0, part_of[np.maximum(label, 0)], -1)


def _named(kind: str, numbers: np.ndarray) -> list[str]:
    """A name for each number, the same object for the same one: an edge names both its ends."""
    distinct, place = np.unique(numbers, return_inverse=True)
    names = [f"{kind}{n}" for n in distinct.tolist()]
    return [names[i] for i in place.tolist()]


class _Bound(NamedTuple):
    """Which tokens bind which clusters.

    groups: as told. number: cluster of each community, -1 where none. community, token, parties, n: of each pair that
    binds. rows: incidences of those pairs.
    """

    groups: pa.Table
    number: np.ndarray
    community: np.ndarray
    token: np.ndarray
    parties: np.ndarray
    n: np.ndarray
    rows: np.ndarray


def _bound(held: _Held, kept: np.ndarray, label: np.ndarray) -> _Bound:
    """Give each token to the clusters that hold enough of its users, and weigh members by the tokens they carry."""
    tokens, found, rows = len(held.channel), [], []
    mass = np.zeros(len(held.entities))
    carried = np.zeros(len(held.entities), np.int64)
    for part in chunks(held.token):
        mine = part.start + np.flatnonzero(kept[part] & (label >= 0)[held.entity[part]])
        entity, token = held.entity[mine], held.token[mine]
        pairs, back = np.unique(label[entity] * tokens + token, return_inverse=True)
        pair = np.divmod(pairs, tokens)
        parties = np.bincount(back, minlength=len(pairs))
        binds = (parties >= 2) & (parties >= _OWNED * held.users[pair[1]])
        n = np.bincount(back, weights=held.n[mine], minlength=len(pairs)).astype(np.int64)
        found.append([column[binds] for column in (*pair, parties, n)])
        edge = binds[back]
        np.add.at(mass, entity[edge], held.weight[token[edge]])
        np.add.at(carried, entity[edge], 1)
        rows.append(mine[edge].astype(np.int32))
    members = np.flatnonzero(carried)
    community = label[members]
    large = np.flatnonzero(np.bincount(community, minlength=int(label.max()) + 1) >= SMALLEST)
    low = np.full(int(label.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(low, community, members)
    number = np.full(len(low), -1, np.int64)
    number[large[np.argsort(low[large])]] = np.arange(len(large))
    members = members[number[community] >= 0]
    groups = pa.table(
        [number[label[members]].astype(np.int32), held.entities[members], mass[members], carried[members]],
        names=GROUP_SCHEMA.names,
    ).cast(GROUP_SCHEMA)
    groups = groups.sort_by([("cluster", "ascending"), ("entity", "ascending")])
    community, token, parties, n = (np.concatenate(column) for column in zip(*found, strict=True))
    return _Bound(groups, number, community, token, parties, n, np.concatenate(rows))


def _tables(held: _Held, kept: np.ndarray, label: np.ndarray) -> Clusters:
    """The clusters with what binds them."""
    if not kept.any() or label.max() < 0:
        none = Tied(held.tokens, np.zeros(0, np.int32), np.zeros(0, np.int32))
        return Clusters(GROUP_SCHEMA.empty_table(), BOUND_SCHEMA.empty_table(), TIE_SCHEMA.empty_table(), none)
    found = _bound(held, kept, label)
    stays = found.number[found.community] >= 0
    token = pa.array(found.token[stays])
    bound = pa.table(
        [
            found.number[found.community[stays]].astype(np.int32),
            held.tokens["channel"].take(token),
            held.tokens["token"].take(token),
            found.parties[stays],
            *(held.tokens[c].take(token) for c in ("users", "anchors", "weight")),
            found.n[stays],
            token,
        ],
        schema=BOUND_SCHEMA.append(pa.field("place", pa.int64())),
    )
    rows = found.rows[(found.number[label] >= 0)[held.entity[found.rows]]]
    tied = Tied(held.tokens, held.token[rows], held.entities[held.entity[rows]])
    # Between equals the place of a token decides, not its value: that may be a hash.
    strongest = [("weight", "descending"), ("inside", "descending"), ("place", "ascending")]
    bound = bound.sort_by([("cluster", "ascending"), *strongest]).drop_columns("place")
    return Clusters(found.groups, bound, heaviest_ties(found.groups, tied, held.weight), tied)
