"""Sub-clusters of one operation: clusters that share no attribute, merged before any of them is tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.fusion import linkage, total_bits
from clonewatch.graph import communities, sub_clusters
from clonewatch.graph.clusters import Clusters
from clonewatch.pipeline.detection.parts import only, wholes
from clonewatch.pipeline.detection.slicing import select, slicing
from clonewatch.pipeline.detection.stages import Clustering, Linked, Merged, References, Stability, cluster_sizes
from clonewatch.pipeline.steps import StepRunner


def unmerged(linked: Linked, references: References) -> Merged:
    """The clusters unchanged."""
    return Merged(linked, linked.clustering, references, sub_clusters.MERGE_SCHEMA.empty_table())


def merge_sub_clusters(runner: StepRunner, linked: Linked, references: References) -> Merged:
    """Merge clusters that work one list, before any of them is tested."""
    clustering = linked.clustering
    eligible = _eligible(clustering)
    if len(eligible) < 2:
        return unmerged(linked, references)
    clusters = clustering.clusters.groups
    mine = pc.is_in(clusters["cluster"], pa.array(eligible))
    random = pc.greater_equal(references.groups["cluster"], communities.FIRST_RANDOM)
    groups = pa.concat_tables([clusters.filter(mine), references.groups.filter(random)])
    sliced = slicing(runner, "sub_cluster_", groups, clustering.selection.attributes, clustering).sql
    runner.run(sub_clusters.counted(sliced))
    background = runner.engine.fetch("SELECT * FROM background_cells")
    merges = _merges(runner, sliced, np.unique(groups["cluster"].to_numpy()), background)
    if not merges.num_rows:
        return unmerged(linked, references)
    runner.put("sub_cluster_merged", merges)
    runner.run_all(sub_clusters.worked(sliced))
    works = sub_clusters.workers(_workload(runner), background)
    return Merged(linked, _merged(linked, merges, works), references, merges)


def _eligible(clustering: Clustering) -> np.ndarray:
    """Clusters that are linked firmly enough to be sub-clusters; the largest ones where there are too many."""
    sizes = cluster_sizes(clustering.clusters.groups)
    links = linkage(clustering.clusters.edges, sizes, clustering.signals)
    linked = sorted(
        (c for c, found in links.items() if total_bits(found) >= sub_clusters.LEAST_BITS), key=lambda c: (-sizes[c], c)
    )
    return np.array(sorted(linked[: sub_clusters.MOST_SUB_CLUSTERS]), np.int32)


def _merges(runner: StepRunner, sliced: str, everyone: np.ndarray, background: pa.Table) -> pa.Table:
    """Which sub-clusters work one list (MERGE_SCHEMA).

    sliced: SELECT text of their exchanges. everyone: clusters and random reference communities, ascending. background:
    exchanges of unlinked entities, by cell.
    """
    engine, nothing = runner.engine, sub_clusters.MERGE_SCHEMA.empty_table()
    honest = everyone >= communities.FIRST
    same, usual = sub_clusters.topics(everyone, engine.fetch("SELECT * FROM sub_cluster_cells"), background)
    alike = sub_clusters.candidates(everyone, honest, same, usual)
    rates = engine.fetch("SELECT same_cell, same_prompt FROM background_pairs").to_pylist()[0]
    if not len(alike) or not rates["same_cell"] or not rates["same_prompt"]:
        return nothing
    runner.put("sub_cluster_compared", pa.table({"cluster": pa.array([*alike, *everyone[honest]], pa.int32())}))
    runner.run(sub_clusters.asked(sliced))
    repeats = sub_clusters.repeats(everyone, engine.fetch("SELECT * FROM sub_cluster_prompts"))
    counts = sub_clusters.Counts(same, repeats, usual)
    found = sub_clusters.merges(everyone, honest, counts, rates["same_prompt"] / rates["same_cell"])
    return sub_clusters.merge_table(found) if found else nothing


def _workload(runner: StepRunner) -> sub_clusters.Workload:
    """What entities of merged sub-clusters asked. Their cells, which may be many, are streamed in one order."""
    engine = runner.engine
    return sub_clusters.Workload(
        engine.fetch(
            "SELECT p.cluster, p.entity, p.n, COALESCE(k.known, 0) AS known FROM (SELECT cluster, entity,"
            " CAST(SUM(n) AS BIGINT) AS n FROM sub_cluster_entities GROUP BY cluster, entity) p LEFT JOIN"
            " sub_cluster_known k"
            " ON k.cluster = p.cluster AND k.entity = p.entity ORDER BY p.cluster, p.entity"
        ),
        engine.fetch(
            "SELECT cluster, cell, CAST(SUM(n) AS BIGINT) AS n FROM sub_cluster_entities GROUP BY cluster, cell"
        ),
        engine.stream("SELECT * FROM sub_cluster_entities ORDER BY cluster, entity, cell"),
    )


def _merged(linked: Linked, merges: pa.Table, works: dict[tuple[int, int], bool]) -> Clustering:
    """The clustering with merged sub-clusters under one number; the list becomes one more signal that links them."""
    before, entities = linked.clustering, linked.entities
    trusted = entities.table.sort_by("entity")["anchor"].to_numpy() > 0
    signals = {**before.signals, sub_clusters.SIGNAL.signal.name: sub_clusters.SIGNAL}
    clusters = sub_clusters.merge(before.clusters, merges, works, trusted, entities.trusted.share)
    stability = _carried_over(before.stability, merges, cluster_sizes(before.clusters.groups))
    parts = _of_others(before, merges)
    return replace(
        before,
        signals=signals,
        clusters=clusters,
        parts=parts,
        selection=select((clusters, parts), signals),
        stability=stability,
    )


def _of_others(clustering: Clustering, merges: pa.Table) -> Clusters:
    """The parts of clusters that were not merged: one list is worked by the whole of those that were."""
    merged = set(merges["sub_cluster"].to_pylist())
    return only(clustering.parts, {part for part, whole in wholes(clustering).items() if whole not in merged})


def _carried_over(stability: Stability, merges: pa.Table, sizes: Mapping[int, int]) -> Stability:
    """Stability under the new number of merged sub-clusters: means weighted by size, each entity's own consensus."""
    overlap, consensus = dict(stability.overlap), dict(stability.consensus)
    for number in np.unique(merges["cluster"].to_numpy()).tolist():
        mine = merges.filter(pc.equal(merges["cluster"], number))["sub_cluster"].to_pylist()
        weight = [sizes[sub_cluster] for sub_cluster in mine]
        overlap[number] = float(np.average([stability.overlap[sub_cluster] for sub_cluster in mine], weights=weight))
        inside = {key: share for key, share in stability.consensus.items() if key[0] in mine}
        consensus |= {(number, entity): share for (_, entity), share in inside.items()}
    return Stability(overlap, consensus, stability.seeds)
