"""From staged exchanges to verdicts: entities, links, clusters, slices, intents, fusion. Stops 3 to 7 of the way."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.behaviour import slices
from clonewatch.campaigns import attribution
from clonewatch.campaigns.calibration import Calibration, Group
from clonewatch.campaigns.fusion import LINK_BITS, Verdict, judge, linkage, read_tests, total_bits
from clonewatch.entities import ownership
from clonewatch.entities.ownership import Anchors, anchors
from clonewatch.graph import communities, fragments, weights
from clonewatch.graph.clusters import SMALLEST, cluster, stability
from clonewatch.graph.tied import heaviest_ties
from clonewatch.links import prompts
from clonewatch.pipeline.findings import Findings, heads
from clonewatch.pipeline.joining import join_fragments
from clonewatch.pipeline.plan import Plan
from clonewatch.pipeline.slicing import quiet, selectors, slicing, whole
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Fold, Step
from clonewatch.ports.linking import ChanceModel, LinkingSignal
from clonewatch.ports.progress import Progress
from clonewatch.ports.shelf import Shelf

SIGNALS = Shelf("clonewatch.links.signals", "SIGNAL")
TESTS = Shelf("clonewatch.behaviour.tests", "TEST")
_MOST_TOKENS = 50_000_000
# Clusterings with other seeds that a scan compares its own with: as many as fit this many incidences in all.
_SEEDS, _INCIDENCES = (2, 9), 1_000_000


def detect(plan: Plan, seed: int, calibration: Calibration, progress: Progress) -> Findings:
    """Run detection over the staged tables `exchanges`, `accounts` and `events`."""
    progress.start("entities", len(ownership.STEPS), "steps")
    for step in ownership.STEPS:
        progress.advance(1, plan.run(step))
    named = anchors(plan.engine.fetch("SELECT anchor, anchor_source FROM parties"))
    if named.source == "declared" and named.share >= ownership.FEW_TRUSTED:
        plan.run(ownership.DECLARED)
    else:
        plan.run_all((*ownership.RHYTHM, ownership.BOTH if named.source == "declared" else ownership.BEHAVIOUR))
    parties = plan.engine.fetch("SELECT * FROM entities")
    trusted = anchors(parties)
    progress.end(f"{parties.num_rows:,} parties, {trusted.number:,} trusted ({trusted.source})")
    links = {name: SIGNALS.load(name) for name in SIGNALS.names()}
    intents = {name: TESTS.load(name) for name in TESTS.names()}
    found = _clusters(plan, links, intents, trusted, parties.num_rows, seed, progress)
    _compare(plan, found, parties, progress)
    _calibrate(found, calibration)
    return found


def _calibrate(found: Findings, calibration: Calibration) -> None:
    """What each linked group's margin is worth; flags that would let in too many false ones are taken back."""
    linked = [v for v in found.verdicts if is_reported(v)]
    sizes = heads(found.clusters.groups)
    groups = [Group(found.trust[v.cluster], sizes[v.cluster], v.margin) for v in linked]
    worth = dict(zip((v.cluster for v in linked), calibration.standings(groups), strict=True))
    found.linked, found.standings, found.bound = groups, worth, calibration.bound(groups)
    found.verdicts = [
        v._replace(flagged=v.flagged and worth[v.cluster].kept) if v.cluster in worth else v for v in found.verdicts
    ]


def _clusters(
    plan: Plan,
    links: dict[str, LinkingSignal],
    intents: dict[str, BehaviouralTest],
    trusted: Anchors,
    population: int,
    seed: int,
    progress: Progress,
) -> Findings:
    """Tokens of every channel, weighed, and the clusters they bind."""
    progress.start("links", len(links), "steps")
    plan.run_all((*prompts.STEPS, weights.presence(list(links.values()))))
    if trusted.source != "none":
        trusted = trusted._replace(share=weights.trusted_share(plan.engine))
    for link in links.values():
        rows = plan.run_all((*link.steps, weights.carried(link)))
        rows += plan.run(weights.rare(link, trusted.share, population))
        progress.advance(1, rows)
    tokens = named = weights.weigh(partial(_rare, plan, ""), list(links.values()), trusted.share, population)
    second, latest = 0.0, ""
    if plan.engine.fetch("SELECT MAX(second) AS second FROM entities")["second"][0].as_py():
        second, latest = weights.trusted_share(plan.engine, "second"), "_second"
        for link in links.values():
            plan.run(weights.rare(link, second, population, "second"))
        other = weights.weigh(partial(_rare, plan, latest), list(links.values()), second, population)
        tokens = weights.stronger(named, other)
    progress.end(f"{len(tokens):,} rare incidences")
    progress.start("clusters", 2, "steps")
    weak = [name for name, link in links.items() if link.weak]
    clusters = cluster(tokens, weak, seed)
    progress.advance(1, len(tokens))
    others = int(np.clip(_INCIDENCES // max(1, len(tokens)), *_SEEDS))
    stable, consensus = stability(tokens, weak, clusters, range(seed + 1, seed + 1 + others))
    progress.advance(1, len(tokens) * others)
    progress.end(f"{len(clusters.groups['cluster'].unique()):,} clusters")
    counts = {name: plan.rows[f"rare_{name}{latest}"] for name in links}
    content = selectors(clusters, links)
    return Findings(
        trusted, population, links, intents, clusters, content, whole(clusters, content),
        token_counts=counts,
        chance=[_chance(plan, link.signal.name, link.own_null) for link in links.values() if link.own_null],
        stability=stable, consensus=consensus, seeds=others + 1, named=None if named is tokens else named,
        second=second,
    )  # fmt: skip


def _chance(plan: Plan, name: str, model: ChanceModel) -> dict[str, Any]:
    """What a signal with a chance model of its own found, beside what chance leaves."""
    table = plan.engine.fetch(f'SELECT * FROM "{model.table}"')
    rows = table.sort_by(table.column_names[0]).to_pylist()
    return {"signal": name, "caption": model.caption, "rows": rows}


def _rare(plan: Plan, kind: str, channel: str) -> pa.Table:
    return plan.engine.fetch(f'SELECT * FROM "rare_{channel}{kind}" ORDER BY token, entity')


def _compare(plan: Plan, found: Findings, parties: pa.Table, progress: Progress) -> None:
    """Slices of clusters and honest communities, every intent channel over both, and the verdicts."""
    engine, links = plan.engine, list(found.links.values())
    celled = engine.fetch("SELECT COUNT(cell) AS n FROM exchanges")["n"][0].as_py() > 0
    linked = np.unique(found.clusters.groups["entity"].to_numpy())
    plan.put("linked", pa.table({"entity": pa.array(linked, pa.int32())}))
    progress.start("honest communities", len(links), "steps")
    popular = {}
    for link in links:
        rows = plan.run(communities.popular(link, found.anchors.share))
        popular[link.signal.name] = engine.fetch(f'SELECT * FROM "popular_{link.signal.name}" ORDER BY token, entity')
        progress.advance(1, rows)
    honest_groups, honest_bound = communities.gather(popular, links, parties, linked)
    progress.end(f"{len(honest_groups['cluster'].unique()):,} communities")
    strangers = [quiet(sum(parties["n"].to_pylist())), *slices.of_strangers(celled)]
    steps = [*slices.of_clusters(celled), *(step for intent in found.intents.values() for step in intent.steps)]
    progress.start("intents", len(strangers) + 1 + len(steps), "steps")
    for step in strangers:
        progress.advance(1, plan.run(step))
    if celled:
        join_fragments(plan, found, honest_groups, parties)
    else:
        found.intents = {
            name: test._replace(against=None) if test.against_needs_topics else test
            for name, test in found.intents.items()
        }
    plan.put("groups", pa.concat_tables([found.clusters.groups, honest_groups]))
    # Neighbours are not what is tested: a customer of the same proxy says nothing about who runs it.
    insiders = found.clusters.groups.filter(pa.array(_insiders(found)))
    tested = pa.concat_tables([insiders, honest_groups])
    sliced = slicing(plan, "", tested, pa.concat_tables([found.selectors, honest_bound]), found)
    for step in (sliced, *steps):
        progress.advance(1, plan.run(step))
    tables = {name: engine.fetch(f'SELECT * FROM "behaviour_{name}" ORDER BY cluster') for name in found.intents}
    readings = read_tests(tables, list(found.intents.values()), communities.FIRST)
    sizes = heads(tested)
    ties = found.clusters.ties.join(tested.select(["cluster", "entity"]), ["cluster", "entity"], join_type="inner")
    found.trust = _trust(found, insiders, ties, sizes)
    verdicts = judge(readings, ties, sizes, found.links, found.intents, found.trust)
    found.verdicts = [v for v in verdicts if v.cluster < communities.FIRST]
    found.honest = [v for v in verdicts if v.cluster >= communities.FIRST]
    progress.end(f"{sum(v.flagged for v in found.verdicts)} beyond the line")


def _weights(tokens: pa.Table, others: pa.Table) -> np.ndarray:
    """What each of these tokens weighs among the others, 0 where it is not one of them."""
    keys = ["channel", "token"]
    numbered = tokens.select(keys).append_column("at", pa.array(range(tokens.num_rows)))
    found = numbered.join(others.select([*keys, "weight"]), keys, join_type="inner")
    weight = np.zeros(tokens.num_rows)
    weight[found["at"].to_numpy()] = found["weight"].to_numpy()
    return weight


def _trust(found: Findings, groups: pa.Table, ties: pa.Table, sizes: dict[int, int]) -> dict[int, str]:
    """Whose trust each cluster's links rest on: the operator's, unless they suffice only with the second set.

    groups: the tested parties of clusters.
    """
    if found.named is None:
        return dict.fromkeys(sizes, found.anchors.source)
    listed = ties.filter(pc.equal(ties["channel"], fragments.SIGNAL.signal.name))
    tied = found.clusters.tied
    own = heaviest_ties(groups, tied, _weights(tied.tokens, found.named.tokens))
    held = linkage(pa.concat_tables([own, listed]), sizes, found.links)
    few = {c for c in sizes if c < communities.FIRST and total_bits(held.get(c, ())) < LINK_BITS}
    return {c: "behaviour" if c in few else found.anchors.source for c in sizes}


def _insiders(found: Findings) -> np.ndarray:
    """Which rows of the groups are more than neighbours; all of a cluster where too few would be left."""
    found.ways = ways = standing(found.clusters.ties, found.links)
    groups = found.clusters.groups
    cluster = groups["cluster"].to_numpy()
    inside = np.array(
        [ways.get(k, 0) > 0 for k in zip(cluster.tolist(), groups["entity"].to_pylist(), strict=True)], bool
    )
    left = np.bincount(cluster, inside, int(cluster.max()) + 1 if len(cluster) else 0)
    tested: np.ndarray = inside | (left[cluster] < SMALLEST)
    return tested


def attribute(plan: Plan, found: Findings, progress: Progress) -> None:
    """Posteriors of the exchanges of every reported cluster, as table `posteriors`."""
    reported = {v.cluster: v.belief for v in found.verdicts if is_reported(v)}
    columns = {
        "cluster": pa.array(list(reported), pa.int32()),
        "belief": pa.array(list(reported.values()), pa.float64()),
    }
    plan.put("reported", pa.table(columns))
    outside = {key for key, ways in found.ways.items() if not ways}
    progress.start("attribution", 6, "steps")
    progress.advance(1, plan.run(attribution.QUIET_PROFILE))
    slices = _own_slices(plan, found)
    progress.advance(1, plan.rows[slices])
    steps: list[Step] = [
        attribution.candidates(slices),
        attribution.PROFILES,
        Fold(
            "mixture",
            ("profiles", "quiet_profile"),
            lambda profiles, quiet: attribution.mixture(
                profiles.sort_by([(c, "ascending") for c in profiles.column_names if c != "n"]),
                quiet,
                found.whole,
                outside,
            ),
            _MOST_TOKENS,
        ),
        attribution.POSTERIORS,
    ]
    for step in steps:
        progress.advance(1, plan.run(step))
    progress.end(f"{plan.rows['posteriors']:,} exchanges of linked parties")


def _own_slices(plan: Plan, found: Findings) -> str:
    """The table of slices without what only customers' tokens select; that of all slices where there are none."""
    content = [(name, link.column) for name, link in found.links.items() if link.content]
    plan.run(attribution.token_profiles(content, plan.rows["slices"]))
    profiles, strangers = (plan.engine.fetch(f"SELECT * FROM {name}") for name in ("token_profiles", "quiet_profile"))
    plain = attribution.customers_tokens(profiles, strangers)
    if not plain.num_rows:
        return "slices"
    own = found.selectors.join(plain, ["cluster", "channel", "token"], join_type="left anti")
    tested = plan.engine.fetch("SELECT t.* FROM tested t JOIN reported r ON r.cluster = t.cluster")
    plan.run(slicing(plan, "own_", tested, own, found))
    return "own_slices"


def is_reported(verdict: Verdict) -> bool:
    """Whether a cluster is told of: flagged, or linked well enough for a person to want to know."""
    return verdict.link_bits >= LINK_BITS


def standing(ties: pa.Table, links: dict[str, LinkingSignal]) -> dict[tuple[int, int], int]:
    """How many linking families tie each (cluster, party), 0 where too few beside a typical party of the cluster.

    A party tied by its network or one template alone, where the others are tied in three ways, is a neighbour: a
    customer of the same proxy, or somebody who met the same prompt.
    """
    channel = ties["channel"].combine_chunks().dictionary_encode()
    family = pa.array([links[c].signal.card.family for c in channel.dictionary.to_pylist()], pa.string())
    families = family.take(channel.indices)
    ways = ties.select(["cluster", "entity"]).append_column("family", families)
    ways = ways.group_by(["cluster", "entity", "family"]).aggregate([])
    count = ways.group_by(["cluster", "entity"]).aggregate([("family", "count"), ("family", "min")])
    cluster, entity, kinds = (count[c].to_numpy() for c in ("cluster", "entity", "family_count"))
    routes = pa.array(sorted({link.signal.card.family for link in links.values() if link.route}), pa.string())
    network = pc.is_in(count["family_min"], routes).to_numpy(zero_copy_only=False)
    typical = {int(c): float(np.median(kinds[cluster == c])) for c in np.unique(cluster)}
    usual = np.array([typical[c] for c in cluster.tolist()])
    alone = (kinds == 1) & ((usual >= 3) | (network & (usual >= 2)))
    return dict(
        zip(zip(cluster.tolist(), entity.tolist(), strict=True), np.where(alone, 0, kinds).tolist(), strict=True)
    )


def describe(found: Findings) -> dict[str, Any]:
    """The trusted set, as `scan.json` tells it."""
    return {"source": found.anchors.source, "share": round(found.anchors.share, 6), "count": found.anchors.number}
