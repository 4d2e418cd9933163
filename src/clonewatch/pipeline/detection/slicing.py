"""Which exchanges are tested: the slice of a cluster that carries its content attributes, and the background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.graph.clusters import Clusters
from clonewatch.graph.incidences import carriers
from clonewatch.pipeline.detection.stages import Clustering, Selection, cluster_sizes
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal

# The background is measured on all exchanges of sampled entities, about this many exchanges in total.
_BACKGROUND_EXCHANGES = 3_000_000
# A cluster's content attributes select its slice when this share of its entities carries one; otherwise its slice is
# all their exchanges.
_CONTENT_COVER = 0.25
# Content attributes below this share of the strongest weight describe a cluster's cover traffic, not its curriculum.
_SELECTS = 0.3


def select(grains: Sequence[Clusters], signals: Mapping[str, LinkingSignal]) -> Selection:
    """Which exchanges of each cluster are tested: those with its own content attributes, or all where few carry one.

    grains: sets of clusters with numbers of their own.
    """
    found: list[pa.Table] = []
    uses_all: dict[int, bool] = {}
    for clusters in grains:
        attributes = _selecting(clusters, signals)
        carried = carriers(clusters.groups, clusters.incidences, attributes).group_by("cluster")
        distinct = carried.aggregate([("entity", "count_distinct")])
        count = dict(zip(distinct["cluster"].to_pylist(), distinct["entity_count_distinct"].to_pylist(), strict=True))
        sizes = cluster_sizes(clusters.groups)
        found.append(attributes)
        uses_all |= {c: count.get(c, 0) < _CONTENT_COVER * n for c, n in sizes.items()}
    return Selection(pa.concat_tables(found), uses_all)


def _selecting(clusters: Clusters, signals: Mapping[str, LinkingSignal]) -> pa.Table:
    """The content attributes that single out a cluster's own exchanges: those not much weaker than its strongest."""
    found = clusters.attributes
    content = found.filter(pc.is_in(found["signal"], pa.array([n for n, link in signals.items() if link.content])))
    cluster, weight = content["cluster"].to_numpy(), content["weight"].to_numpy()
    top = np.zeros(int(cluster.max()) + 1 if len(cluster) else 0)
    np.maximum.at(top, cluster, weight)
    return content.filter(pa.array(weight >= _SELECTS * top[cluster]))


def slicing(runner: StepRunner, prefix: str, groups: pa.Table, attributes: pa.Table, clustering: Clustering) -> Query:
    """The step that slices these groups, as table `<prefix>slices`. Stores the small tables that it reads.

    groups: the entities. attributes: what selects their exchanges; a group without any uses all exchanges.
    """
    sliced = set(attributes["cluster"].to_pylist())
    modes = {c: clustering.selection.uses_all.get(c, c not in sliced) for c in cluster_sizes(groups)}
    runner.put(f"{prefix}tested", groups)
    runner.put(f"{prefix}selecting", attributes.select(["cluster", "signal", "attribute"]))
    columns = {"cluster": pa.array(list(modes), pa.int32()), "uses_all": pa.array(list(modes.values()), pa.bool_())}
    runner.put(f"{prefix}selection_modes", pa.table(columns))
    runner.run(_carriers(prefix))
    return _slices(prefix, [link for link in clustering.signals.values() if link.content])


def _carriers(prefix: str) -> Query:
    """The accounts of the groups: the one small table that exchanges are joined with.

    With several small tables in the join, an engine that misjudges one of them may hold the exchanges in memory.
    """
    return Query(
        f"{prefix}carriers",
        ("owners", f"{prefix}tested", f"{prefix}selection_modes"),
        "SELECT o.account, g.cluster, g.entity, m.uses_all FROM owners o"
        f" JOIN {prefix}tested g ON g.entity = o.entity JOIN {prefix}selection_modes m ON m.cluster = g.cluster",
    )


def _slices(prefix: str, content: list[LinkingSignal]) -> Query:
    """Every exchange of a cluster or community that carries one of its content attributes, or all of them."""
    # Written with IN: an engine that expects few rows may swap the sides of an outer join, and would then hold the
    # exchanges in memory.
    carries = "".join(
        f" OR (g.cluster, x.{link.column}) IN (SELECT cluster, attribute FROM {prefix}selecting"
        f" WHERE signal = '{link.signal.name}')"
        for link in content
    )
    return Query(
        f"{prefix}slices",
        ("exchanges", f"{prefix}carriers", f"{prefix}selecting"),
        'SELECT g.cluster, g.entity, x."row", x.ts, x.turn, x.model, x.prompt, x.cell, x.task, x.elicitation,'
        " x.n AS answers, x.logprobs, x.input_octave, x.output_octave"
        f" FROM exchanges x JOIN {prefix}carriers g ON g.account = x.account WHERE g.uses_all{carries}",
    )


def unlinked(exchanges: int) -> Query:
    """The step that gathers exchanges of unlinked entities; of every n-th entity where there are more than needed."""
    return Query(
        "background",
        ("exchanges", "owners", "linked"),
        "SELECT o.entity, x.task, x.cell, x.prompt, x.turn, x.elicitation, x.n AS answers, x.logprobs"
        " FROM exchanges x JOIN owners o ON o.account = x.account LEFT JOIN linked l ON l.entity = o.entity"
        " WHERE l.entity IS NULL AND o.entity % $every = 0",
        {"every": max(1, exchanges // _BACKGROUND_EXCHANGES)},
    )
