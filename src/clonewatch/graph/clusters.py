"""Communities of the bipartite graph of entities and tokens. Pairs of accounts are never written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import graspologic_native
import numpy as np
import pyarrow as pa
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


def cluster(tokens: pa.Table, weak: Collection[str], seed: int) -> Clusters:
    """Clusters of a token table (`graph.weights.TOKEN_SCHEMA`): who is in them, and the tokens that bind them.

    weak: channels that only corroborate; a party that carries no other token is left out.

    Leiden (Traag, Waltman and van Eck 2019) on each connected part of the bipartite graph. Linear in incidences.
    Clusters are numbered by their lowest entity, entities by what they did: names and order change nothing.
    """
    named = tokens["channel"].to_numpy(zero_copy_only=False).astype(str)
    strong = np.unique(tokens["entity"].to_numpy()[~np.isin(named, list(weak))])
    tokens = tokens.filter(pa.array(np.isin(tokens["entity"].to_numpy(), strong)))
    if not tokens.num_rows:
        return Clusters(GROUP_SCHEMA.empty_table(), BOUND_SCHEMA.empty_table(), TIE_SCHEMA.empty_table())
    _, channel = np.unique(tokens["channel"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    entities, entity = np.unique(tokens["entity"].to_numpy(), return_inverse=True)
    value = tokens["token"].to_numpy()
    _, first, token = np.unique(
        np.stack([channel.astype(np.int64), value]), axis=1, return_index=True, return_inverse=True
    )
    token = token.ravel()
    weight = tokens["weight"].to_numpy()
    label = np.full(len(entities), -1, np.int64)
    kept = np.zeros(len(entity), bool)
    # Faint tokens would glue large communities together. They are for small cells that the others leave alone.
    for least in (LEAST_WEIGHT, 0.0):
        rows = np.flatnonzero((weight >= least) & (label[entity] < 0))
        found = _placed(entity[rows], channel[rows], token[rows], weight[rows], (len(entities), len(first)), seed)
        kept[rows] = found[entity[rows]] >= 0
        label = np.where(found >= 0, found + label.max() + 1, label)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return Clusters(GROUP_SCHEMA.empty_table(), BOUND_SCHEMA.empty_table(), TIE_SCHEMA.empty_table())
    first = np.zeros_like(first)
    first[token[rows][::-1]] = np.arange(len(rows))[::-1]
    return _bind(tokens.filter(pa.array(kept)), entities, entity[rows], token[rows], first, label)


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
    for seed in seeds:
        others = _by_cluster(cluster(tokens, weak, seed).groups)
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


def _placed(
    entity: np.ndarray, channel: np.ndarray, token: np.ndarray, weight: np.ndarray, size: tuple[int, int], seed: int
) -> np.ndarray:
    """Community of each entity, -1 for those in none that is large enough to matter."""
    if not len(entity):
        return np.full(size[0], -1, np.int64)
    weight = capped(entity, channel, weight)
    heavy = _heaviest(entity, channel, token, weight)
    label = _communities(entity[heavy], token[heavy], weight[heavy], *size, seed)
    label = _joined(label, entity, token, weight)
    heads = np.bincount(label[label >= 0], minlength=1)
    return np.where((label >= 0) & (heads[np.maximum(label, 0)] >= SMALLEST), label, -1)


def _heaviest(entity: np.ndarray, channel: np.ndarray, token: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows of each party's few heaviest tokens of every channel, the most shared first: enough to say where it belongs.

    Keeps the graph linear in parties however many templates a campaign has.
    """
    users = np.bincount(token)[token]
    order = np.lexsort((token, -users, -weight, channel, entity))
    start = np.r_[True, (np.diff(entity[order]) != 0) | (np.diff(channel[order]) != 0)]
    place = np.arange(len(order)) - np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))
    return np.sort(order[place < _PER_CHANNEL])


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
        edges = [
            (f"e{a}", f"t{b}", float(w))
            for a, b, w in zip(entity[rows].tolist(), token[rows].tolist(), weight[rows].tolist(), strict=True)
        ]
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
    at = (label[entity][inside], token[inside])
    parties = coo_array((np.ones(int(inside.sum())), at), shape=shape).tocsr()
    mass = coo_array((weight[inside], at), shape=shape).tocsr()
    held = parties.copy()
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


def _bind(
    tokens: pa.Table, entities: np.ndarray, entity: np.ndarray, token: np.ndarray, first: np.ndarray, label: np.ndarray
) -> Clusters:
    """Give each token to the clusters that hold enough of its users, and weigh members by the tokens they carry."""
    users = tokens["users"].to_numpy()[first]
    weight = tokens["weight"].to_numpy()
    exchanges = tokens["n"].to_numpy()
    inside = label[entity] >= 0
    pair = np.stack([label[entity[inside]], token[inside].astype(np.int64)])
    held, back = np.unique(pair, axis=1, return_inverse=True)
    back = back.ravel()
    count = np.bincount(back)
    binds = (count >= 2) & (count >= _OWNED * users[held[1]])
    edge = binds[back]
    member, size = np.unique(np.stack([pair[0][edge], entity[inside][edge]]), axis=1, return_inverse=True)
    size = size.ravel()
    mass = np.bincount(size, weights=weight[inside][edge])
    carried = np.bincount(size)
    total = np.bincount(member[0], minlength=label.max() + 1) if member.size else np.zeros(label.max() + 1, int)
    kept = np.flatnonzero(total >= SMALLEST)
    low = np.full(label.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(low, member[0], member[1])
    number = np.full(label.max() + 1, -1, np.int64)
    number[kept[np.argsort(low[kept])]] = np.arange(len(kept))
    stays = number[member[0]] >= 0
    groups = pa.table(
        [
            number[member[0][stays]].astype(np.int32),
            entities[member[1][stays]],
            mass[stays],
            carried[stays].astype(np.int32),
        ],
        schema=GROUP_SCHEMA,
    )
    stays = binds & (number[held[0]] >= 0)
    rows = first[held[1]]
    bound = pa.table(
        [
            number[held[0][stays]].astype(np.int32),
            tokens["channel"].take(pa.array(rows[stays])),
            tokens["token"].take(pa.array(rows[stays])),
            count[stays],
            tokens["users"].take(pa.array(rows[stays])),
            tokens["anchors"].take(pa.array(rows[stays])),
            tokens["weight"].take(pa.array(rows[stays])),
            np.bincount(back, weights=exchanges[inside]).astype(np.int64)[stays],
        ],
        schema=BOUND_SCHEMA,
    )
    held_by = number[pair[0]]
    tied = np.flatnonzero(inside)[edge & (held_by >= 0)]
    ties = pa.table(
        [
            held_by[edge & (held_by >= 0)].astype(np.int32),
            *(tokens[c].take(pa.array(tied)) for c in TIE_SCHEMA.names[1:]),
        ],
        schema=TIE_SCHEMA,
    )
    by = [("cluster", "ascending")]
    strongest = [("weight", "descending"), ("inside", "descending"), ("channel", "ascending"), ("token", "ascending")]
    return Clusters(
        groups.sort_by([*by, ("entity", "ascending")]),
        bound.sort_by([*by, *strongest]),
        ties.sort_by([*by, ("channel", "ascending"), ("token", "ascending"), ("entity", "ascending")]),
    )
