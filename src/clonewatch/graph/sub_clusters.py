"""Merging of clusters that share no attribute but work one list: the same topics, and never the same question.

Sub-clusters of one deduplicated curriculum repel each other: each asks about the same cells what no other has asked.
Unrelated accounts that ask about the same cells repeat each other at the background rate. Both conditions are needed:
users of an agent never ask the same thing either, but they do not cover one list of topics evenly; a benchmark covers
one list, but everybody asks all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log2
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, diags_array
from scipy.special import chdtrc

from clonewatch.graph.clusters import Clusters
from clonewatch.kernels.rarity import lower_tail
from clonewatch.kernels.tails import negative_binomial_at_most
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

# Chance, over all pairs tried, that two unrelated groups are merged.
_LEVEL = 0.05
# Least overlap of two sub-clusters' topics, 1 for the same list, and its least excess over that with the background.
_ALIKE, _OWN = 0.7, 0.2
# Least topics of a list (one over the chance that two of its questions share one), and least pairs to see them in.
_LEAST_TOPICS, _LEAST_PAIRS = 40, 200
# Unrelated groups differ from each other by at least this much (variance of the ratio), however few were compared.
_LEAST_SPREAD = 0.05
# Where fewer reference pairs than this can be compared, unrelated groups are assumed to differ a great deal.
_FEWEST_PAIRS, _UNKNOWN_SPREAD = 10, 1.0
# Least linkage of a cluster that may be merged, and the weight of a list where no account is trusted. In bits.
LEAST_BITS, LINK_WEIGHT = round(log2(10), 9), log2(100)
# An entity works no list of its own when others elsewhere sent more than this share of its prompts, word for word.
_KNOWN = 0.5
_LEAST_QUESTIONS = 3  # fewer than this do not show whose list they are from
_DIGITS = 9  # kept of sums over cells, whose order may vary
MOST_SUB_CLUSTERS = 1000  # the largest are compared; pairs of sub-clusters are held in memory
READS = ("exchanges", "sub_cluster_carriers", "sub_cluster_selecting")
MERGE_SCHEMA = pa.schema([("cluster", pa.int32()), ("sub_cluster", pa.int32()), ("p_value", pa.float64())])


def counted(slices: str) -> Query:
    """The step that counts cells by sub-cluster, as table `sub_cluster_cells`. slices: SELECT text over `READS`."""
    return Query(
        "sub_cluster_cells",
        READS,
        f"SELECT cluster, COALESCE(task, -1) AS task, cell, COUNT(*) AS n FROM ({slices}) s WHERE cell IS NOT NULL"
        " GROUP BY cluster, COALESCE(task, -1), cell",
    )


def worked(slices: str) -> tuple[Query, ...]:
    """The steps that count the exchanges of entities of merged sub-clusters: by cell, and those known elsewhere.

    `sub_cluster_entities`: cluster, entity, cell, n. `sub_cluster_known`: cluster, entity, known: exchanges whose very
    prompt somebody outside the merged sub-clusters sent too.
    """
    merged = f"({slices}) s JOIN sub_cluster_merged j ON j.sub_cluster = s.cluster WHERE s.cell IS NOT NULL"
    return (
        Query(
            "sub_cluster_elsewhere",
            ("prompt_entities", "sub_cluster_carriers", "sub_cluster_merged"),
            "SELECT DISTINCT p.prompt FROM prompt_entities p LEFT JOIN (SELECT DISTINCT c.entity FROM"
            " sub_cluster_carriers c"
            " JOIN sub_cluster_merged j ON j.sub_cluster = c.cluster) i ON i.entity = p.entity WHERE i.entity IS NULL",
        ),
        Query(
            "sub_cluster_entities",
            (*READS, "sub_cluster_merged"),
            f"SELECT j.cluster, s.entity, s.cell, COUNT(*) AS n FROM {merged} GROUP BY j.cluster, s.entity, s.cell",
        ),
        Query(
            "sub_cluster_known",
            (*READS, "sub_cluster_merged", "sub_cluster_elsewhere"),
            f"SELECT j.cluster, s.entity, COUNT(*) AS known FROM {merged}"
            " AND s.prompt IN (SELECT prompt FROM sub_cluster_elsewhere) GROUP BY j.cluster, s.entity",
        ),
    )


class Workload(NamedTuple):
    """What the entities of merged sub-clusters asked.

    entities: cluster, entity, n, known; one row per entity. lists: cluster, cell, n. cells: cluster, entity,
    cell, n, in batches.
    """

    entities: pa.Table
    lists: pa.Table
    cells: Iterable[pa.RecordBatch]


def workers(asked: Workload, background: pa.Table) -> dict[tuple[int, int], bool]:
    """Whether each entity, by (cluster, entity), works the list. Entities that hardly ask anything are left out.

    background: cell, n among unlinked entities. A log-likelihood ratio compares each entity with the list as the others
    work it and with the background. An entity that mostly asks what entities elsewhere ask word for word (a benchmark,
    say) does not work a list of its own. An entity is in at most one cluster.
    """
    of, entity, own, known = (asked.entities[c].to_numpy() for c in ("cluster", "entity", "n", "known"))
    most = int(entity.max(initial=-1)) + 1
    total, odds = np.zeros(most), np.zeros(most)
    total[entity] = own
    lists = {number: _shares(asked.lists, number, background) for number in np.unique(of).tolist()}
    for part in asked.cells:
        cluster = part["cluster"].to_numpy()
        for number in np.unique(cluster).tolist():
            names, listed, usual = lists[number]
            mine = cluster == number
            place, n = part["entity"].to_numpy()[mine], part["n"].to_numpy()[mine].astype(np.float64)
            cell = np.searchsorted(names, part["cell"].to_numpy()[mine])
            others = (listed[cell] - n + 0.5) / (listed.sum() - total[place] + 0.5 * len(names))
            np.add.at(odds, place, n * np.log(others / usual[cell]))
    # Rounded, because the order of cells, and so the last digits of a sum, depends on the key.
    works = (np.round(odds[entity], _DIGITS) > 0) & (known <= _KNOWN * own)
    rows = zip(of.tolist(), entity.tolist(), own.tolist(), works.tolist(), strict=True)
    return {(number, place): does for number, place, n, does in rows if n >= _LEAST_QUESTIONS}


def _shares(lists: pa.Table, number: int, background: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells that a cluster's entities or the background ask about, the cluster's counts, the background's shares."""
    mine = lists.filter(pc.equal(lists["cluster"], number))
    cells, n = mine["cell"].to_numpy(), mine["n"].to_numpy().astype(np.float64)
    names, at = np.unique(np.concatenate([cells, background["cell"].to_numpy()]), return_inverse=True)
    usual = np.bincount(at[len(n) :], background["n"].to_numpy().astype(np.float64), len(names)) + 0.5
    return names, np.bincount(at[: len(n)], n, len(names)), usual / usual.sum()


def asked(slices: str) -> Query:
    """The step that counts the prompts that two or more sub-clusters sent, as table `sub_cluster_prompts`."""
    return Query(
        "sub_cluster_prompts",
        (*READS, "sub_cluster_compared"),
        f"WITH asked AS (SELECT s.cluster, s.prompt, COUNT(*) AS n FROM ({slices}) s JOIN sub_cluster_compared c"
        " ON c.cluster = s.cluster WHERE s.prompt IS NOT NULL AND s.cell IS NOT NULL GROUP BY s.cluster, s.prompt)"
        " SELECT a.cluster, a.prompt, a.n FROM asked a JOIN (SELECT prompt FROM asked GROUP BY prompt"
        " HAVING COUNT(*) > 1) t ON t.prompt = a.prompt",
    )


SIGNAL = LinkingSignal(
    Signal(
        "work_list",
        "link",
        Card(
            title="Work list shared by several groups",
            family="content",
            catches="one curriculum worked by groups that have nothing else in common",
            misses="groups that keep to topics of their own",
            innocent="teams in the same trade",
            excluded_by="people in the same trade also ask what everybody asks, and repeat each other's questions",
        ),
        needs=(("exchanges.cell", "exchanges.prompt_id"), ("exchanges.messages",)),
    ),
    sql="",
    reads=(),
    hashed=False,
)


class Counts(NamedTuple):
    """What k sub-clusters asked, for each pair of them.

    same_cell: (k, k) pairs of exchanges about the same cell; the diagonal counts pairs of different exchanges within a
    sub-cluster. same_prompt: (k, k) pairs of exchanges with the same prompt. usual: (k,) overlap of each sub-cluster's
    cells with the background's, as a cosine.
    """

    same_cell: np.ndarray
    same_prompt: np.ndarray
    usual: np.ndarray


def topics(sub_clusters: np.ndarray, cells: pa.Table, background: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Pairs about the same cell, and the overlap with the background: `Counts.same_cell` and `Counts.usual`.

    sub_clusters: (k,) numbers, sorted. cells: cluster, task, cell, n. background: task, cell, n of unlinked entities. A
    sub-cluster is compared with what the background asks on the same tasks: people in the same trade overlap, and that
    is not one list.
    """
    size = len(sub_clusters)
    _, cell = np.unique(np.r_[cells["cell"].to_numpy(), background["cell"].to_numpy()], return_inverse=True)
    kinds, task = np.unique(np.r_[cells["task"].to_numpy(), background["task"].to_numpy()], return_inverse=True)
    width = int(cell.max()) + 1 if len(cell) else 1
    n = cells["n"].to_numpy().astype(np.float64)
    at = np.searchsorted(sub_clusters, cells["cluster"].to_numpy())
    by_cell = coo_array((n, (at, cell[: len(n)])), shape=(size, width)).tocsr()
    total = np.asarray(by_cell.sum(axis=1)).ravel()
    same = (by_cell @ by_cell.T).toarray()
    same[np.diag_indices(size)] -= total
    asked = background["n"].to_numpy().astype(np.float64)
    usual_cells = coo_array((asked, (task[len(n) :], cell[len(n) :])), shape=(len(kinds), width)).tocsr()
    usual_cells = diags_array(1 / np.maximum(np.asarray(usual_cells.sum(axis=1)).ravel(), 1.0)) @ usual_cells
    mix = coo_array((n, (at, task[: len(n)])), shape=(size, len(kinds))).tocsr()
    expected = (mix @ usual_cells).tocsr()
    within = np.maximum(np.diag(same), 1.0)
    alike = np.asarray(by_cell.multiply(expected).sum(axis=1)).ravel()
    own = np.asarray(expected.multiply(expected).sum(axis=1)).ravel()
    # Where the background asks nothing on these tasks, what is usual is unknown.
    usual = np.where(own > 0, np.round(alike / np.sqrt(np.maximum(within * own, 1e-12)), _DIGITS), 1.0)
    # A few people's few interests may coincide: what is narrow, or hardly seen, cannot be told from what is usual.
    listed = (within >= _LEAST_PAIRS) & (total * (total - 1) >= _LEAST_TOPICS * within)
    return same, np.where(listed, usual, np.maximum(usual, 1.0))


def candidates(sub_clusters: np.ndarray, reference: np.ndarray, same_cell: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """The sub-clusters that share a list of topics with another one, where the list is not everybody's."""
    overlap = _overlap(same_cell, usual)
    fit = (overlap >= _OWN) & (_alike(same_cell) >= _ALIKE) & ~reference[:, None] & ~reference[None, :]
    np.fill_diagonal(fit, False)
    found: np.ndarray = sub_clusters[fit.any(axis=1)]
    return found


def repeats(sub_clusters: np.ndarray, prompts: pa.Table) -> np.ndarray:
    """Pairs of exchanges with the same prompt: `Counts.same_prompt`. prompts: cluster, prompt, n."""
    _, prompt = np.unique(prompts["prompt"].to_numpy(), return_inverse=True)
    at = np.searchsorted(sub_clusters, prompts["cluster"].to_numpy())
    shape = (len(sub_clusters), int(prompt.max()) + 1 if len(prompt) else 1)
    asked = coo_array((prompts["n"].to_numpy().astype(np.float64), (at, prompt)), shape=shape).tocsr()
    return np.asarray((asked @ asked.T).toarray())


def merges(
    sub_clusters: np.ndarray, reference: np.ndarray, counts: Counts, rate: float
) -> list[tuple[int, int, float]]:
    """Which sub-clusters to merge: (sub-cluster, with which, p-value), in the order of merging.

    sub_clusters: (k,) numbers. reference: (k,) which of them are reference communities; their pairs are the null. rate:
    chance that two unrelated exchanges about the same cell are the same question.

    Two p-values are combined (Fisher 1925) and corrected for the pairs tried (Bonferroni): a conformal one, for an
    excess overlap of topics as large among pairs with a reference community; and a negative binomial one, for so few
    repeats, with the background's rate and the spread of reference pairs. Merged sub-clusters are tested on as one.
    """
    overlap = _overlap(counts.same_cell, counts.usual)
    null = np.sort(overlap[np.triu(reference[:, None] | reference[None, :], 1)])
    if not len(null):
        return []
    ratio, spread = _background(counts, reference, rate)
    cells, prompts, usual, open_ = counts.same_cell.copy(), counts.same_prompt.copy(), counts.usual.copy(), ~reference
    tried = 0
    found: list[tuple[int, int, float]] = []
    while True:
        a, b, p = _pairs(cells, prompts, usual, open_, null, rate * ratio, spread)
        tried = max(tried, len(p))
        first = int(np.argmin(p)) if len(p) else -1
        if first < 0 or p[first] * tried > _LEVEL:
            return found
        one, other = int(a[first]), int(b[first])
        found.append((int(sub_clusters[one]), int(sub_clusters[other]), min(1.0, float(p[first]) * tried)))
        weight = np.sqrt(np.maximum(np.diag(cells)[[one, other]], 1.0))
        usual[one] = (usual[[one, other]] * weight).sum() / weight.sum()
        _absorb(cells, one, other)
        _absorb(prompts, one, other)
        open_[other] = False


def _pairs(
    cells: np.ndarray,
    prompts: np.ndarray,
    usual: np.ndarray,
    open_: np.ndarray,
    null: np.ndarray,
    rate: float,
    spread: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs with a list of topics of their own, and their p-values. null: sorted overlaps of reference pairs."""
    overlap = _overlap(cells, usual)
    fit = open_[:, None] & open_[None, :] & (_alike(cells) >= _ALIKE) & (overlap >= _OWN)
    a, b = np.nonzero(np.triu(fit, 1))
    topical = (1 + len(null) - np.searchsorted(null, overlap[a, b], side="left")) / (len(null) + 1)
    shape = 1 / spread
    repelled = negative_binomial_at_most(prompts[a, b], shape, shape / (shape + rate * cells[a, b]))
    both: np.ndarray = chdtrc(4, -2 * (np.log(topical) + np.log(np.maximum(repelled, 1e-300))))
    # Each p-value must be significant by itself: a trade or a benchmark has topics of its own too.
    return a, b, np.where(np.maximum(topical, repelled) <= _LEVEL, both, 1.0)


def _alike(cells: np.ndarray) -> np.ndarray:
    """Overlap of topics of all pairs, 1 for the same list: pairs about the same cell over those of two equal lists."""
    own = np.sqrt(np.maximum(np.diag(cells), 1.0))
    return np.asarray(cells / own[:, None] / own[None, :])


def _overlap(cells: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """By how much two sub-clusters' topics overlap more than either overlaps with the background's."""
    return np.asarray(_alike(cells) - np.maximum(usual[:, None], usual[None, :]))


def _absorb(matrix: np.ndarray, a: int, b: int) -> None:
    """Add the counts of b to those of a, in place, and clear b."""
    within = matrix[a, a] + matrix[b, b] + 2 * matrix[a, b]
    matrix[a] += matrix[b]
    matrix[:, a] += matrix[:, b]
    matrix[a, a] = within
    matrix[b] = 0.0
    matrix[:, b] = 0.0


def _background(counts: Counts, reference: np.ndarray, rate: float) -> tuple[float, float]:
    """Median ratio of repeats to expectation over pairs of reference communities, and its variance beyond counting."""
    a, b = np.triu_indices(len(reference), 1)
    expected = rate * counts.same_cell[a, b]
    fit = reference[a] & reference[b] & (expected >= 3)
    if fit.sum() < _FEWEST_PAIRS:
        return 1.0, _UNKNOWN_SPREAD
    ratio = counts.same_prompt[a, b][fit] / expected[fit]
    median = max(float(np.median(ratio)), 0.01)
    deviation = 1.4826 * float(np.median(np.abs(ratio - median))) / median
    return min(1.0, median), max(_LEAST_SPREAD, deviation**2 - float(np.median(1 / expected[fit])))


def merge(
    clusters: Clusters, merges: pa.Table, works: dict[tuple[int, int], bool], trusted: np.ndarray, share: float
) -> Clusters:
    """The clusters with merged sub-clusters under one number.

    merges: MERGE_SCHEMA. works: whether each (cluster, entity) works the list, where that can be determined. trusted:
    (entities,) mask of trusted entities. share: trusted share of all entities, 0..1.

    The list that merges sub-clusters is one more attribute of the entities that work it, weighed like any other by how
    few of them are trusted. Entities that work something else leave. So do those that neither work the list nor were
    well linked to a sub-cluster: a list merges clusters, not whoever is near them.
    """
    new = np.arange(int(clusters.groups["cluster"].to_numpy().max()) + 1, dtype=np.int32)
    new[merges["sub_cluster"].to_numpy()] = merges["cluster"].to_numpy()
    numbers = set(merges["cluster"].to_pylist())

    def renamed(table: pa.Table) -> pa.Table:
        return table.set_column(0, "cluster", pa.array(new[table["cluster"].to_numpy()], pa.int32()))

    groups = (
        renamed(clusters.groups).group_by(["cluster", "entity"]).aggregate([("mass", "sum"), ("attributes", "sum")])
    )
    groups = groups.rename_columns(clusters.groups.column_names).cast(clusters.groups.schema)
    rows = zip(*(groups[name].to_pylist() for name in ("cluster", "entity", "mass")), strict=True)
    out = {(c, e) for c, e, mass in rows if c in numbers and not works.get((c, e), round(mass, 9) >= LEAST_BITS)}

    def kept(table: pa.Table) -> pa.Table:
        if not out:
            return table
        pairs = zip(table["cluster"].to_pylist(), table["entity"].to_pylist(), strict=True)
        return table.filter(pa.array([pair not in out for pair in pairs]))

    groups, edges = kept(groups), kept(renamed(clusters.edges))
    sums = [("inside", "sum"), ("users", "max"), ("trusted", "max"), ("weight", "max"), ("n", "sum")]
    # Between equals, the position of an attribute decides, not its value, which may be a hash.
    placed = renamed(clusters.attributes).append_column("position", pa.array(np.arange(clusters.attributes.num_rows)))
    attributes = placed.group_by(["cluster", "signal", "attribute"]).aggregate([*sums, ("position", "min")])
    attributes = attributes.rename_columns(placed.column_names).cast(placed.schema)
    all_attributes, all_edges = [attributes], [edges]
    for number in sorted(numbers):
        inside = np.array([e for c, e in sorted(works) if c == number and works[c, e]], np.int32)
        trusted_inside = int(trusted[inside].sum())
        weight = min(SIGNAL.cap, lower_tail(len(inside), trusted_inside, share).item()) if share > 0 else LINK_WEIGHT
        name, size = SIGNAL.signal.name, len(inside)
        attribute = [number, name, number, size, size, trusted_inside, weight, 0, clusters.attributes.num_rows]
        all_attributes.append(pa.table([[value] for value in attribute], schema=attributes.schema))
        columns = [[number] * size, inside, [name] * size, [weight] * size]
        all_edges.append(pa.table(columns, schema=clusters.edges.schema))
    by = [("cluster", "ascending")]
    strongest = [("weight", "descending"), ("inside", "descending"), ("signal", "ascending"), ("position", "ascending")]
    named = [("signal", "ascending"), ("entity", "ascending")]
    return Clusters(
        groups.sort_by([*by, ("entity", "ascending")]),
        pa.concat_tables(all_attributes).sort_by([*by, *strongest]).drop_columns("position"),
        pa.concat_tables(all_edges).sort_by([*by, *named]),
        clusters.incidences,
    )


def merge_table(found: list[tuple[int, int, float]]) -> pa.Table:
    """Which sub-clusters go under which number, with the largest p-value of each cluster's merges (MERGE_SCHEMA)."""
    target: dict[int, int] = {}
    worst: dict[int, float] = {}

    def root(number: int) -> int:
        while number in target:
            number = target[number]
        return number

    for a, b, p in found:
        low, high = sorted((root(a), root(b)))
        target[high] = low
        worst[low] = max(p, worst.pop(low, 0.0), worst.pop(high, 0.0))
    sub_clusters = sorted({sub_cluster for a, b, _ in found for sub_cluster in (a, b)})
    rows = sorted((root(sub_cluster), sub_cluster, worst[root(sub_cluster)]) for sub_cluster in sub_clusters)
    return pa.table([[row[i] for row in rows] for i in range(3)], schema=MERGE_SCHEMA)
