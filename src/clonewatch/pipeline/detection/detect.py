"""From staged exchanges to calibrated verdicts, one function per stage, in order: stages 3 to 7 of ARCHITECTURE.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from clonewatch.behaviour import slices
from clonewatch.campaigns.calibration import Calibration, Group
from clonewatch.campaigns.fusion import judge, measure_tests
from clonewatch.entities import ownership
from clonewatch.entities.ownership import TrustedSet, trusted_set
from clonewatch.graph import communities, weights
from clonewatch.graph.clusters import Grains, cluster, stability
from clonewatch.graph.weights import Incidences
from clonewatch.links import prompts
from clonewatch.pipeline.detection.merging import merge_sub_clusters, unmerged
from clonewatch.pipeline.detection.neighbours import linking_families, tested_entities
from clonewatch.pipeline.detection.parts import chosen, kept
from clonewatch.pipeline.detection.payers import one_payer
from clonewatch.pipeline.detection.signals import behavioural_tests, linking_signals
from clonewatch.pipeline.detection.slicing import select, slicing, unlinked
from clonewatch.pipeline.detection.stages import (
    Calibrated,
    Clustering,
    Entities,
    Judged,
    Linked,
    Merged,
    References,
    SecondSet,
    Stability,
    cluster_sizes,
)
from clonewatch.pipeline.detection.trust import source_by_cluster
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Step
from clonewatch.ports.linking import ChanceModel, LinkingSignal
from clonewatch.ports.progress import Progress

# How many clusterings with other seeds a scan compares its own with: as many as keep their incidences below this sum.
_SEEDS, _INCIDENCES = (2, 9), 1_000_000

# Clusters from the weighed incidences, the names of the weak signals, a seed, and the names of differing signals.
Clusterer = Callable[[Incidences, Sequence[str], int, Sequence[str]], Grains]


def detect(
    runner: StepRunner, seed: int, calibration: Calibration, progress: Progress, clusterer: Clusterer = cluster
) -> Calibrated:
    """Run detection over the staged tables `exchanges`, `accounts` and `events`.

    clusterer: cuts the graph into clusters; an evaluation passes the true ones.
    """
    entities = resolve_entities(runner, progress)
    linked = link_entities(runner, entities, seed, progress, clusterer)
    references = gather_references(runner, linked, progress)
    topics = runner.engine.fetch("SELECT COUNT(cell) AS n FROM exchanges")["n"][0].as_py() > 0
    tests = behavioural_tests(topics)
    background = [unlinked(sum(entities.table["n"].to_pylist())), *slices.of_background(topics)]
    counts = [*slices.of_clusters(topics), *(step for test in tests.values() for step in test.steps)]
    progress.start("behavioural tests", len(background) + 1 + len(counts), "steps")
    for step in background:
        progress.advance(1, runner.run(step))
    # Sub-clusters are merged by the topics that they ask about.
    merged = merge_sub_clusters(runner, linked, references) if topics else unmerged(linked, references)
    judged = judge_clusters(runner, merged, tests, counts, progress)
    groups = sum(v.linked for v in judged.verdicts)
    left = len(judged.verdicts) - groups
    beyond = sum(v.flagged for v in judged.verdicts)
    progress.end(
        f"{groups:,} groups, {beyond:,} beyond the threshold; {left:,} clusters too small or too weakly linked"
    )
    return calibrate(judged, calibration)


def resolve_entities(runner: StepRunner, progress: Progress) -> Entities:
    """Group accounts of one declared owner into one entity, and find the trusted entities."""
    progress.start("entities", len(ownership.STEPS), "steps")
    for step in ownership.STEPS:
        progress.advance(1, runner.run(step))
    named = trusted_set(runner.engine.fetch("SELECT anchor, trust_source FROM entity_facts"))
    if named.source == "declared" and named.share >= ownership.FEW_TRUSTED:
        runner.run(ownership.DECLARED)
    else:
        runner.run_all((*ownership.RHYTHM, ownership.BOTH if named.source == "declared" else ownership.BEHAVIOUR))
    table = runner.engine.fetch("SELECT * FROM entities")
    trusted = trusted_set(table)
    progress.end(f"{table.num_rows:,} entities, {trusted.number:,} trusted ({trusted.source})")
    return Entities(table, trusted)


def link_entities(
    runner: StepRunner, entities: Entities, seed: int, progress: Progress, clusterer: Clusterer = cluster
) -> Linked:
    """Weigh the shared attributes of every linking signal, and cluster entities by the rare ones."""
    signals = linking_signals()
    progress.start("links", len(signals), "steps")
    weighed = _weigh(runner, signals, entities, progress)
    progress.end(f"{len(weighed.incidences):,} rare incidences")
    progress.start("clusters", 2, "steps")
    clustering = _cluster(clusterer, weighed.incidences, signals, seed, progress)
    progress.end(f"{len(clustering.clusters.groups['cluster'].unique()):,} clusters")
    chance = [_chance(runner, s.signal.name, s.own_null) for s in signals.values() if s.own_null]
    return Linked(Entities(entities.table, weighed.trusted), weighed.second, clustering, weighed.rare, chance)


def _chance(runner: StepRunner, name: str, model: ChanceModel) -> dict[str, Any]:
    """What a signal with its own chance model found, beside what chance alone gives."""
    table = runner.engine.fetch(f'SELECT * FROM "{model.table}"')
    rows = table.sort_by(table.column_names[0]).to_pylist()
    return {"signal": name, "caption": model.caption, "rows": rows}


class _Weighed(NamedTuple):
    """Which entity carries which rare attribute. rare: incidences per signal. trusted: with the share that was used."""

    incidences: Incidences
    rare: Mapping[str, int]
    trusted: TrustedSet
    second: SecondSet | None


def _weigh(
    runner: StepRunner, signals: Mapping[str, LinkingSignal], entities: Entities, progress: Progress
) -> _Weighed:
    links, population, trusted = list(signals.values()), entities.table.num_rows, entities.trusted
    runner.run_all((*prompts.STEPS, weights.presence(links)))
    if trusted.source != "none":
        trusted = trusted._replace(share=weights.trusted_share(runner.engine))
    for link in links:
        rows = runner.run_all((*link.steps, weights.carried(link)))
        rows += runner.run(weights.rare(link, trusted.share, population))
        progress.advance(1, rows)
    named = weights.weigh(partial(_rare, runner, ""), links, trusted.share, population)
    if not runner.engine.fetch("SELECT MAX(second) AS second FROM entities")["second"][0].as_py():
        return _Weighed(named, {name: runner.rows[f"rare_{name}"] for name in signals}, trusted, None)
    share = weights.trusted_share(runner.engine, "second")
    for link in links:
        runner.run(weights.rare(link, share, population, "second"))
    other = weights.weigh(partial(_rare, runner, "_second"), links, share, population)
    rare = {name: runner.rows[f"rare_{name}_second"] for name in signals}
    return _Weighed(weights.stronger(named, other), rare, trusted, SecondSet(share, named.attributes))


def _rare(runner: StepRunner, kind: str, signal: str) -> pa.Table:
    return runner.engine.fetch(f'SELECT * FROM "rare_{signal}{kind}" ORDER BY attribute, entity')


def _cluster(
    clusterer: Clusterer,
    incidences: Incidences,
    signals: Mapping[str, LinkingSignal],
    seed: int,
    progress: Progress,
) -> Clustering:
    """The clusters, and how much they depend on the seed."""
    weak = [name for name, link in signals.items() if link.weak]
    differing = [name for name, link in signals.items() if link.exclusive or link.own_null or link.weak]
    grains = clusterer(incidences, weak, seed, differing)
    progress.advance(1, len(incidences))
    others = int(np.clip(_INCIDENCES // max(1, len(incidences)), *_SEEDS))
    overlap, consensus = stability(incidences, weak, grains, range(seed + 1, seed + 1 + others), differing)
    progress.advance(1, len(incidences) * others)
    return Clustering(signals, *grains, select(grains, signals), Stability(overlap, consensus, others + 1))


def gather_references(runner: StepRunner, linked: Linked, progress: Progress) -> References:
    """Gather communities of unlinked entities, with which clusters are compared."""
    links = list(linked.clustering.signals.values())
    inside = np.unique(linked.clustering.clusters.groups["entity"].to_numpy())
    runner.put("linked", pa.table({"entity": pa.array(inside, pa.int32())}))
    progress.start("reference communities", len(links), "steps")
    popular = {}
    for link in links:
        name = f"popular_{link.signal.name}"
        rows = runner.run(communities.popular(link, linked.entities.trusted.share))
        popular[link.signal.name] = runner.engine.fetch(f'SELECT * FROM "{name}" ORDER BY rank, entity')
        progress.advance(1, rows)
    groups, attributes = communities.gather(popular, links, linked.entities.table, inside)
    progress.end(f"{len(groups['cluster'].unique()):,} communities")
    return References(groups, attributes)


def judge_clusters(
    runner: StepRunner, merged: Merged, tests: Mapping[str, BehaviouralTest], counts: Sequence[Step], progress: Progress
) -> Judged:
    """Run every behavioural test on the exchanges of clusters and reference communities, and judge the clusters.

    Of a cluster and its parts, those that show more are kept.

    counts: the steps that count these exchanges and end with the table of each test.
    """
    clustering, references = merged.clustering, merged.references
    signals, grains = clustering.signals, (clustering.clusters, clustering.parts)
    groups, attributes, edges = (pa.concat_tables(pair) for pair in zip(*(g[:3] for g in grains), strict=True))
    runner.put("candidate_groups", pa.concat_tables([groups, references.groups]))
    families = linking_families(edges, signals)
    inside = tested_entities(groups, families)
    tested = pa.concat_tables([inside, references.groups])
    selecting = pa.concat_tables([clustering.selection.attributes, references.attributes])
    for step in (slicing(runner, "", tested, selecting, clustering), *counts):
        progress.advance(1, runner.run(step))
    tables = {name: runner.engine.fetch(f'SELECT * FROM "behaviour_{name}" ORDER BY cluster') for name in tests}
    readings = measure_tests(tables, list(tests.values()), communities.FIRST)
    sizes = cluster_sizes(tested)
    edges = edges.join(tested.select(["cluster", "entity"]), ["cluster", "entity"], join_type="inner")
    # A join gives rows in any order, and weights are added up in theirs.
    edges = edges.sort_by([(name, "ascending") for name in ("cluster", "signal", "entity")])
    trust = source_by_cluster(merged, inside, edges, sizes)
    paid = one_payer(attributes, cluster_sizes(groups), signals)
    verdicts = judge(readings, edges, sizes, signals, tests, trust, paid)
    numbers = kept(clustering, verdicts)
    clustering = chosen(clustering, numbers)
    runner.put("groups", pa.concat_tables([clustering.clusters.groups, references.groups]))
    return Judged(
        replace(merged, clustering=clustering),
        tests,
        [v for v in verdicts if v.cluster in numbers],
        [v for v in verdicts if v.cluster >= communities.FIRST],
        trust,
        families,
    )


def calibrate(judged: Judged, calibration: Calibration) -> Calibrated:
    """Compare threshold ratios with calibration groups; withdraw flags that would raise false discoveries too far."""
    linked = [v for v in judged.verdicts if v.linked]
    sizes = cluster_sizes(judged.merged.clustering.clusters.groups)
    groups = [Group(judged.trust[v.cluster], sizes[v.cluster], v.threshold_ratio) for v in linked]
    calibrated_groups = dict(zip((v.cluster for v in linked), calibration.calibrate(groups), strict=True))
    verdicts = [
        v._replace(flagged=v.flagged and calibrated_groups[v.cluster].kept) if v.cluster in calibrated_groups else v
        for v in judged.verdicts
    ]
    return Calibrated(judged, verdicts, groups, calibrated_groups, calibration.bound(groups))
