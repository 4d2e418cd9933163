"""Neighbours of a cluster: entities that lack what ties the others to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.fusion import LINK_BITS
from clonewatch.graph.leiden import SMALLEST
from clonewatch.ports.linking import LinkingSignal

# A family that ties this share of a cluster, each by as much as linkage as a whole asks for, is common to its members.
_COMMON = 0.6
# What share of a cluster has to be tied as firmly by something that no application brings along, for those whom an
# application's software alone ties to be neighbours.
_TIED = 0.2
_SOFTWARE = "software"


def linking_families(edges: pa.Table, signals: Mapping[str, LinkingSignal]) -> dict[tuple[int, int], int]:
    """How many linking families link each (cluster, entity); 0 where they are too few beside a typical entity.

    An entity linked by its network or by one template alone, where the others are linked by three families, is a
    neighbour: a customer of the same proxy, or somebody who used the same prompt. So is one that lacks a family which
    ties most of the others firmly: the users of an app share its prompts with a campaign that copies them, and not the
    campaign's network. They may outnumber the campaign: whom the app's software alone ties is a neighbour already where
    something else ties a fifth of the cluster firmly.
    """
    signal = edges["signal"].combine_chunks().dictionary_encode()
    family = pa.array([signals[c].signal.card.family for c in signal.dictionary.to_pylist()], pa.string())
    linked = edges.select(["cluster", "entity"]).append_column("family", family.take(signal.indices))
    linked = linked.append_column("weight", edges["weight"])
    brought = pa.array([name for name, link in signals.items() if link.app], pa.string())
    own = linked.filter(pc.invert(pc.is_in(edges["signal"], brought)))
    linked, own = (t.group_by(["cluster", "entity", "family"]).aggregate([("weight", "max")]) for t in (linked, own))
    count = linked.group_by(["cluster", "entity"]).aggregate([("family", "count"), ("family", "min")])
    cluster, entity, kinds = (count[c].to_numpy() for c in ("cluster", "entity", "family_count"))
    pairs = list(zip(cluster.tolist(), entity.tolist(), strict=True))
    routes = pa.array(sorted({s.signal.card.family for s in signals.values() if s.route}), pa.string())
    network = pc.is_in(count["family_min"], routes).to_numpy(zero_copy_only=False)
    software = pc.equal(count["family_min"], _SOFTWARE).to_numpy(zero_copy_only=False)
    held, tied = _held_otherwise(own, Counter(cluster.tolist()))
    without = _without_common(linked)
    typical = {int(c): float(np.median(kinds[cluster == c])) for c in np.unique(cluster)}
    usual = np.array([typical[c] for c in cluster.tolist()])
    alone = (kinds == 1) & ((usual >= 3) | (network & (usual >= 2)))
    alone |= (kinds == 1) & software & np.array([k[0] in tied and k not in held for k in pairs], bool)
    alone |= np.array([k in without for k in pairs], bool)
    return dict(zip(pairs, np.where(alone, 0, kinds).tolist(), strict=True))


def _held_otherwise(own: pa.Table, sizes: Mapping[int, int]) -> tuple[set[tuple[int, int]], set[int]]:
    """The (cluster, entity) tied by what no application brings along, and clusters of which that ties a part firmly.

    own: cluster, entity, family, and the largest weight of such things, once per combination. sizes: of clusters.
    """
    total = own.group_by(["cluster", "entity"], use_threads=False).aggregate([("weight_max", "sum")])
    firm = pc.greater_equal(total["weight_max_sum"], LINK_BITS)
    firmly = Counter(total.filter(firm)["cluster"].to_pylist())
    held = set(zip(total["cluster"].to_pylist(), total["entity"].to_pylist(), strict=True))
    return held, {c for c, n in firmly.items() if n >= max(SMALLEST, _TIED * sizes[c])}


def _without_common(linked: pa.Table) -> set[tuple[int, int]]:
    """The (cluster, entity) that lack a family which is common to their cluster.

    linked: cluster, entity, family, and its largest weight, once per combination.
    """
    size = linked.group_by(["cluster", "entity"]).aggregate([]).group_by("cluster").aggregate([("entity", "count")])
    sizes = dict(zip(size["cluster"].to_pylist(), size["entity_count"].to_pylist(), strict=True))
    firm = linked.filter(pc.greater_equal(linked["weight_max"], LINK_BITS))
    firm = firm.group_by(["cluster", "family"]).aggregate([("entity", "count")])
    common: dict[int, set[str]] = {}
    for cluster, family, n in zip(*(firm[c].to_pylist() for c in ("cluster", "family", "entity_count")), strict=True):
        if n >= _COMMON * sizes[cluster]:
            common.setdefault(cluster, set()).add(family)
    inside = linked.filter(pc.is_in(linked["cluster"], pa.array(common, linked["cluster"].type)))
    held: dict[tuple[int, int], set[str]] = {}
    for cluster, entity, family in zip(*(inside[c].to_pylist() for c in ("cluster", "entity", "family")), strict=True):
        held.setdefault((cluster, entity), set()).add(family)
    return {key for key, families in held.items() if not common[key[0]] <= families}


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
