"""Neighbours of a cluster: entities linked to it by one family only, where the others are linked by several."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.graph.clusters import SMALLEST
from clonewatch.ports.linking import LinkingSignal


def linking_families(edges: pa.Table, signals: Mapping[str, LinkingSignal]) -> dict[tuple[int, int], int]:
    """How many linking families link each (cluster, entity); 0 where they are too few beside a typical entity.

    An entity linked by its network or by one template alone, where the others are linked by three families, is a
    neighbour: a customer of the same proxy, or somebody who used the same prompt.
    """
    signal = edges["signal"].combine_chunks().dictionary_encode()
    family = pa.array([signals[c].signal.card.family for c in signal.dictionary.to_pylist()], pa.string())
    linked = edges.select(["cluster", "entity"]).append_column("family", family.take(signal.indices))
    linked = linked.group_by(["cluster", "entity", "family"]).aggregate([])
    count = linked.group_by(["cluster", "entity"]).aggregate([("family", "count"), ("family", "min")])
    cluster, entity, kinds = (count[c].to_numpy() for c in ("cluster", "entity", "family_count"))
    routes = pa.array(sorted({s.signal.card.family for s in signals.values() if s.route}), pa.string())
    network = pc.is_in(count["family_min"], routes).to_numpy(zero_copy_only=False)
    typical = {int(c): float(np.median(kinds[cluster == c])) for c in np.unique(cluster)}
    usual = np.array([typical[c] for c in cluster.tolist()])
    alone = (kinds == 1) & ((usual >= 3) | (network & (usual >= 2)))
    return dict(
        zip(zip(cluster.tolist(), entity.tolist(), strict=True), np.where(alone, 0, kinds).tolist(), strict=True)
    )


def tested_entities(groups: pa.Table, families: Mapping[tuple[int, int], int]) -> pa.Table:
    """The entities of clusters that are tested: all but neighbours, or all of a cluster where too few would remain.

    A customer of the same proxy is no evidence about who runs it. families: linking families of each (cluster, entity).
    """
    cluster = groups["cluster"].to_numpy()
    inside = np.array(
        [families.get(k, 0) > 0 for k in zip(cluster.tolist(), groups["entity"].to_pylist(), strict=True)], bool
    )
    left = np.bincount(cluster, inside, int(cluster.max()) + 1 if len(cluster) else 0)
    return groups.filter(pa.array(inside | (left[cluster] < SMALLEST)))
