"""Joins clusters that share no attribute but work one list: the same topics, and never the same question.

Parts of one deduplicated curriculum repel: each asks what no other part asked, about the same cells. Strangers who ask
about the same cells collide at the background rate. Both halves are needed: users of an agent never ask the same thing
either, but they do not cover one list of topics evenly; a benchmark covers one list, but everybody asks all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log2
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, diags_array
from scipy.stats import chi2, nbinom

from clonewatch.graph.clusters import Clusters
from clonewatch.kernels.rarity import lower_tail
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

# Chance, over all pairs tried, that two strangers' groups are joined.
_LEVEL = 0.05
# Overlap of two parts' topics, 1 for the same list; and by how much less each overlaps with everybody's topics.
_ALIKE, _OWN = 0.7, 0.2
# A list has at least so many topics (one over the chance that two of its questions share one), seen in so many pairs.
_LEAST_TOPICS, _LEAST_PAIRS = 40, 200
# Strangers' groups differ from each other by at least this much (a variance of the ratio), however few were compared.
_LEAST_SPREAD = 0.05
# Where too few honest pairs can be compared, strangers' groups are taken to differ a great deal.
_FEWEST_PAIRS, _UNKNOWN_SPREAD = 10, 1.0
# Linked this well at least before a cluster can be a sub cluster; and what a list is worth where nobody is trusted, in
# bits.
LEAST_BITS, LINK_WEIGHT = round(log2(10), 9), log2(100)
# Whose prompts others elsewhere also sent, word for word, in more than this share works no list of its own.
_KNOWN = 0.5
_LEAST_QUESTIONS = 3  # fewer than this tell nothing about whose list they are from
_DIGITS = 9  # kept of sums over cells
MOST_SUB_CLUSTERS = 1000  # the largest; pairs of sub clusters are held in memory
READS = ("exchanges", "sub_cluster_carriers", "sub_cluster_selecting")
MERGE_SCHEMA = pa.schema([("cluster", pa.int32()), ("sub_cluster", pa.int32()), ("p_value", pa.float64())])


def counted(slices: str) -> Query:
    """The step that counts cells by sub cluster, as table `sub_cluster_cells`. slices: SELECT text over `READS`."""
    return Query(
        "sub_cluster_cells",
        READS,
        f"SELECT cluster, COALESCE(task, -1) AS task, cell, COUNT(*) AS n FROM ({slices}) s WHERE cell IS NOT NULL"
        " GROUP BY cluster, COALESCE(task, -1), cell",
    )


def worked(slices: str) -> tuple[Query, ...]:
    """The steps that count the exchanges of entities of joined sub_clusters: by cell, and those known elsewhere.

    `sub_cluster_entities`: cluster, entity, cell, n. `sub_cluster_known`: cluster, entity, and of their exchanges those
    whose very prompt somebody outside the joined sub clusters sent too.
    """
    joined = f"({slices}) s JOIN sub_cluster_merged j ON j.sub_cluster = s.cluster WHERE s.cell IS NOT NULL"
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
            f"SELECT j.cluster, s.entity, s.cell, COUNT(*) AS n FROM {joined} GROUP BY j.cluster, s.entity, s.cell",
        ),
        Query(
            "sub_cluster_known",
            (*READS, "sub_cluster_merged", "sub_cluster_elsewhere"),
            f"SELECT j.cluster, s.entity, COUNT(*) AS known FROM {joined}"
            " AND s.prompt IN (SELECT prompt FROM sub_cluster_elsewhere) GROUP BY j.cluster, s.entity",
        ),
    )


class Workload(NamedTuple):
    """What the entities of joined sub clusters asked.

    entities: cluster, entity, n, known; a row each. lists: cluster, cell, n. cells: cluster, entity, cell, n, in parts.
    """

    entities: pa.Table
    lists: pa.Table
    cells: Iterable[pa.RecordBatch]


def workers(asked: Workload, background: pa.Table) -> dict[tuple[int, int], bool]:
    """Whether each entity, as (cluster, entity), works the list; those that hardly ask anything are left out.

    background: cell, n among strangers. Each entity is compared with the list as the others work it and with the
    strangers, by likelihood; whoever mostly asks what entities elsewhere ask word for word (a benchmark, say) does not
    work a list of its own. An entity is in one cluster at most.
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
    # Rounded, because the order of cells, and with it the last digits of a sum, differs with the key.
    works = (np.round(odds[entity], _DIGITS) > 0) & (known <= _KNOWN * own)
    rows = zip(of.tolist(), entity.tolist(), own.tolist(), works.tolist(), strict=True)
    return {(number, place): does for number, place, n, does in rows if n >= _LEAST_QUESTIONS}


def _shares(lists: pa.Table, number: int, background: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells that the entities of a cluster or strangers ask about.

    How often the former do, and strangers' share.
    """
    mine = lists.filter(pc.equal(lists["cluster"], number))
    cells, n = mine["cell"].to_numpy(), mine["n"].to_numpy().astype(np.float64)
    names, at = np.unique(np.concatenate([cells, background["cell"].to_numpy()]), return_inverse=True)
    usual = np.bincount(at[len(n) :], background["n"].to_numpy().astype(np.float64), len(names)) + 0.5
    return names, np.bincount(at[: len(n)], n, len(names)), usual / usual.sum()


def asked(slices: str) -> Query:
    """The step that counts prompts by sub cluster, those that two sub clusters sent, as table `sub_cluster_prompts`."""
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
            title="Parts of one work list",
            family="content",
            catches="one curriculum worked by groups that share nothing else",
            misses="parts that keep to topics of their own",
            innocent="teams of one trade",
            excluded_by="people of one trade also ask what everybody asks, and the same questions as each other",
        ),
        needs=(("exchanges.cell", "exchanges.prompt_id"), ("exchanges.messages",)),
    ),
    sql="",
    reads=(),
    hashed=False,
)


class Counts(NamedTuple):
    """What sub clusters asked, sub cluster by sub cluster and pair by pair.

    same_cell: (sub clusters, sub clusters) pairs of exchanges about one cell; the diagonal holds pairs of different
    exchanges within a sub cluster. same_prompt: (sub clusters, sub clusters) pairs of exchanges with one prompt. usual:
    (sub clusters,) overlap of each sub cluster's cells with the strangers', as a cosine.
    """

    same_cell: np.ndarray
    same_prompt: np.ndarray
    usual: np.ndarray


def topics(sub_clusters: np.ndarray, cells: pa.Table, background: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Pairs about one cell, and the overlap with strangers: `Counts.same_cell` and `Counts.usual`.

    sub_clusters: (k,) numbers, sorted. cells: cluster, task, cell, n. background: task, cell, n among strangers. A sub
    cluster is compared with what strangers ask on the same tasks: people of one trade overlap, and that is not one
    list.
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
    strangers = coo_array((asked, (task[len(n) :], cell[len(n) :])), shape=(len(kinds), width)).tocsr()
    strangers = diags_array(1 / np.maximum(np.asarray(strangers.sum(axis=1)).ravel(), 1.0)) @ strangers
    mix = coo_array((n, (at, task[: len(n)])), shape=(size, len(kinds))).tocsr()
    expected = (mix @ strangers).tocsr()
    within = np.maximum(np.diag(same), 1.0)
    alike = np.asarray(by_cell.multiply(expected).sum(axis=1)).ravel()
    own = np.asarray(expected.multiply(expected).sum(axis=1)).ravel()
    # Where strangers ask nothing on these tasks, nobody knows what is usual.
    usual = np.where(own > 0, np.round(alike / np.sqrt(np.maximum(within * own, 1e-12)), _DIGITS), 1.0)
    # A few people's few interests may coincide: what is narrow, or hardly seen, is not told from everybody's.
    listed = (within >= _LEAST_PAIRS) & (total * (total - 1) >= _LEAST_TOPICS * within)
    return same, np.where(listed, usual, np.maximum(usual, 1.0))


def candidates(sub_clusters: np.ndarray, honest: np.ndarray, same_cell: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """The sub clusters that have a list of topics in common with another one, and that is not everybody's."""
    overlap = _overlap(same_cell, usual)
    fit = (overlap >= _OWN) & (_alike(same_cell) >= _ALIKE) & ~honest[:, None] & ~honest[None, :]
    np.fill_diagonal(fit, False)
    found: np.ndarray = sub_clusters[fit.any(axis=1)]
    return found


def repeats(sub_clusters: np.ndarray, prompts: pa.Table) -> np.ndarray:
    """Pairs of exchanges with one prompt between all sub_clusters.

    `Counts.same_prompt`. prompts: cluster, prompt, n.
    """
    _, prompt = np.unique(prompts["prompt"].to_numpy(), return_inverse=True)
    at = np.searchsorted(sub_clusters, prompts["cluster"].to_numpy())
    shape = (len(sub_clusters), int(prompt.max()) + 1 if len(prompt) else 1)
    asked = coo_array((prompts["n"].to_numpy().astype(np.float64), (at, prompt)), shape=shape).tocsr()
    return np.asarray((asked @ asked.T).toarray())


def joins(sub_clusters: np.ndarray, honest: np.ndarray, counts: Counts, rate: float) -> list[tuple[int, int, float]]:
    """Which sub clusters to join: (sub cluster, with which, p-value), in the order they were joined.

    sub_clusters: (k,) numbers. honest: (k,) which of them are reference communities; their pairs are the null. rate:
    chance that two strangers' exchanges about one cell are the same question.

    Two p-values are combined (Fisher 1925) and corrected for the pairs tried (Bonferroni): a conformal one, of an
    overlap of topics beyond everybody's as large among pairs with an reference community; and one of so few repeats,
    negative binomial about the background with the spread of honest pairs. What was joined is tested on as one.
    """
    strangers = _overlap(counts.same_cell, counts.usual)
    null = np.sort(strangers[np.triu(honest[:, None] | honest[None, :], 1)])
    if not len(null):
        return []
    ratio, spread = _background(counts, honest, rate)
    cells, prompts, usual, open_ = counts.same_cell.copy(), counts.same_prompt.copy(), counts.usual.copy(), ~honest
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
    """Pairs that have one list of topics of their own, and their p-values."""
    overlap = _overlap(cells, usual)
    fit = open_[:, None] & open_[None, :] & (_alike(cells) >= _ALIKE) & (overlap >= _OWN)
    a, b = np.nonzero(np.triu(fit, 1))
    listed = (1 + len(null) - np.searchsorted(null, overlap[a, b], side="left")) / (len(null) + 1)
    shape = 1 / spread
    repelled = nbinom.cdf(prompts[a, b], shape, shape / (shape + rate * cells[a, b]))
    both: np.ndarray = chi2.sf(-2 * (np.log(listed) + np.log(np.maximum(repelled, 1e-300))), 4)
    # Each half must speak for itself: topics of their own alone are a trade's, or a benchmark's.
    return a, b, np.where(np.maximum(listed, repelled) <= _LEVEL, both, 1.0)


def _alike(cells: np.ndarray) -> np.ndarray:
    """Overlap of topics of all pairs, 1 for the same list: pairs about one cell over those of two equal lists."""
    own = np.sqrt(np.maximum(np.diag(cells), 1.0))
    return np.asarray(cells / own[:, None] / own[None, :])


def _overlap(cells: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """By how much more two sub clusters' topics overlap than either overlaps with everybody's."""
    return np.asarray(_alike(cells) - np.maximum(usual[:, None], usual[None, :]))


def _absorb(matrix: np.ndarray, a: int, b: int) -> None:
    within = matrix[a, a] + matrix[b, b] + 2 * matrix[a, b]
    matrix[a] += matrix[b]
    matrix[:, a] += matrix[:, b]
    matrix[a, a] = within
    matrix[b] = 0.0
    matrix[:, b] = 0.0


def _background(counts: Counts, honest: np.ndarray, rate: float) -> tuple[float, float]:
    """Median ratio of repeats to expectation over pairs of reference communities, and its variance beyond counting."""
    a, b = np.triu_indices(len(honest), 1)
    expected = rate * counts.same_cell[a, b]
    fit = honest[a] & honest[b] & (expected >= 3)
    if fit.sum() < _FEWEST_PAIRS:
        return 1.0, _UNKNOWN_SPREAD
    ratio = counts.same_prompt[a, b][fit] / expected[fit]
    middle = max(float(np.median(ratio)), 0.01)
    deviation = 1.4826 * float(np.median(np.abs(ratio - middle))) / middle
    return min(1.0, middle), max(_LEAST_SPREAD, deviation**2 - float(np.median(1 / expected[fit])))


def join(
    clusters: Clusters, joined: pa.Table, works: dict[tuple[int, int], bool], trusted: np.ndarray, share: float
) -> Clusters:
    """The clusters with joined sub clusters under one number.

    joined: MERGE_SCHEMA. works: whether each (cluster, entity) works the list, where that can be told. trusted:
    (entities,) who is; share: of all entities, 0..1.

    The list that merges sub-clusters is one more attribute of those who work it,
    weighed like any other by how few trusted entities do. Who works something else leaves, and so does who neither
    works it nor was well tied to a sub_cluster: a list joins clusters, not whoever is near them.
    """
    new = np.arange(int(clusters.groups["cluster"].to_numpy().max()) + 1, dtype=np.int32)
    new[joined["sub_cluster"].to_numpy()] = joined["cluster"].to_numpy()
    numbers = set(joined["cluster"].to_pylist())

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

    groups, ties = kept(groups), kept(renamed(clusters.edges))
    sums = [("inside", "sum"), ("users", "max"), ("trusted", "max"), ("weight", "max"), ("n", "sum")]
    # The place of an attribute says which of equals comes first: its value may be a hash.
    placed = renamed(clusters.attributes).append_column("place", pa.array(np.arange(clusters.attributes.num_rows)))
    bound = placed.group_by(["cluster", "signal", "attribute"]).aggregate([*sums, ("place", "min")])
    bound = bound.rename_columns(placed.column_names).cast(placed.schema)
    bounds, tied = [bound], [ties]
    for number in sorted(numbers):
        inside = np.array([e for c, e in sorted(works) if c == number and works[c, e]], np.int32)
        fond = int(trusted[inside].sum())
        weight = min(SIGNAL.cap, lower_tail(len(inside), fond, share).item()) if share > 0 else LINK_WEIGHT
        name, size = SIGNAL.signal.name, len(inside)
        row = [[number], [name], [number], [size], [size], [fond], [weight], [0], [clusters.attributes.num_rows]]
        bounds.append(pa.table(row, schema=bound.schema))
        columns = [[number] * size, inside, [name] * size, [weight] * size]
        tied.append(pa.table(columns, schema=clusters.edges.schema))
    by = [("cluster", "ascending")]
    strongest = [("weight", "descending"), ("inside", "descending"), ("signal", "ascending"), ("place", "ascending")]
    named = [("signal", "ascending"), ("entity", "ascending")]
    return Clusters(
        groups.sort_by([*by, ("entity", "ascending")]),
        pa.concat_tables(bounds).sort_by([*by, *strongest]).drop_columns("place"),
        pa.concat_tables(tied).sort_by([*by, *named]),
        clusters.incidences,
    )


def joined(found: list[tuple[int, int, float]]) -> pa.Table:
    """Which sub clusters go under which number, with the largest p-value of a cluster's joins (MERGE_SCHEMA)."""
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
