"""From staged exchanges to verdicts: entities, links, clusters, slices, intents, fusion. Stops 3 to 7 of the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import attribution
from clonewatch.campaigns.calibration import Calibration, Group, Standing
from clonewatch.campaigns.fusion import LINK_BANS, Verdict, judge, linkage, read_channels, total_bans
from clonewatch.entities import ownership
from clonewatch.entities.ownership import Anchors, anchors
from clonewatch.graph import communities, fragments, weights
from clonewatch.graph.clusters import SMALLEST, Clusters, cluster, stability
from clonewatch.intents import slices as slicing
from clonewatch.links import prompts
from clonewatch.pipeline.plan import Plan
from clonewatch.ports.engine import Fold, Query, Step
from clonewatch.ports.intent import Intent
from clonewatch.ports.link import Link
from clonewatch.ports.progress import Progress
from clonewatch.ports.shelf import Shelf

LINKS = Shelf("clonewatch.links.channels", "LINK")
INTENTS = Shelf("clonewatch.intents.channels", "INTENT")
# What strangers do is measured on whole parties, as many as make about this many exchanges.
_QUIET_EXCHANGES = 3_000_000
# A cluster's content tokens select its slice when this share of its parties carries one; otherwise all their exchanges.
_CONTENT_COVER = 0.25
# Weaker content tokens than this share of a cluster's strongest are habits of its cover, not its curriculum.
_SELECTS = 0.3
_MOST_TOKENS = 50_000_000
# Clusterings with other seeds that a scan compares its own with: as many as fit this many incidences in all.
_SEEDS, _INCIDENCES = (2, 9), 1_000_000


@dataclass
class Findings:
    """What detection found, before it is told: verdicts on clusters, and the tables they rest on."""

    anchors: Anchors
    population: int
    links: dict[str, Link]
    intents: dict[str, Intent]
    clusters: Clusters
    selectors: pa.Table
    whole: dict[int, bool]
    verdicts: list[Verdict] = field(default_factory=list)
    honest: list[Verdict] = field(default_factory=list)
    token_counts: dict[str, int] = field(default_factory=dict)
    synchrony_null: list[dict[str, int]] = field(default_factory=list)
    joined: pa.Table = field(default_factory=fragments.JOIN_SCHEMA.empty_table)
    standings: dict[int, Standing] = field(default_factory=dict)
    linked: list[Group] = field(default_factory=list)
    bound: float = 0.0
    named: pa.Table | None = None
    second: float = 0.0
    trust: dict[int, str] = field(default_factory=dict)
    stability: dict[int, float] = field(default_factory=dict)
    consensus: dict[tuple[int, int], float] = field(default_factory=dict)
    seeds: int = 0
    crossings: dict[int, int] = field(default_factory=dict)


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
    links = {name: LINKS.load(name) for name in LINKS.names()}
    intents = {name: INTENTS.load(name) for name in INTENTS.names()}
    found = _clusters(plan, links, intents, trusted, parties.num_rows, seed, progress)
    _compare(plan, found, parties, progress)
    _calibrate(found, calibration)
    return found


def _calibrate(found: Findings, calibration: Calibration) -> None:
    """What each linked group's margin is worth; flags that would let in too many false ones are taken back."""
    linked = [v for v in found.verdicts if is_reported(v)]
    sizes = _sizes(found.clusters.groups)
    groups = [Group(found.trust[v.cluster], sizes[v.cluster], v.margin) for v in linked]
    worth = dict(zip((v.cluster for v in linked), calibration.standings(groups), strict=True))
    found.linked, found.standings, found.bound = groups, worth, calibration.bound(groups)
    found.verdicts = [
        v._replace(flagged=v.flagged and worth[v.cluster].kept) if v.cluster in worth else v for v in found.verdicts
    ]


def _clusters(
    plan: Plan, links: dict[str, Link], intents: dict[str, Intent], trusted: Anchors, population: int, seed: int,
    progress: Progress,
) -> Findings:  # fmt: skip
    """Tokens of every channel, weighed, and the clusters they bind."""
    progress.start("links", len(links), "steps")
    rare = {}
    plan.run_all((*prompts.STEPS, weights.presence(list(links.values()))))
    if trusted.source != "none":
        trusted = trusted._replace(share=weights.trusted_share(plan.engine))
    for name, link in links.items():
        rows = plan.run_all((*link.steps, weights.carried(link)))
        rows += plan.run(weights.rare(link, trusted.share, population))
        rare[name] = plan.engine.fetch(f'SELECT * FROM "rare_{name}" ORDER BY token, entity')
        progress.advance(1, rows)
    tokens = weights.weigh(rare, list(links.values()), trusted.share, population)
    named = tokens
    second = weights.trusted_share(plan.engine, "second")
    if plan.engine.fetch("SELECT MAX(second) AS second FROM entities")["second"][0].as_py():
        for name, link in links.items():
            plan.run(weights.rare(link, second, population, "second"))
            rare[name] = plan.engine.fetch(f'SELECT * FROM "rare_{name}_second" ORDER BY token, entity')
        tokens = weights.stronger(named, weights.weigh(rare, list(links.values()), second, population))
    progress.end(f"{tokens.num_rows:,} rare incidences")
    progress.start("clusters", 2, "steps")
    weak = [name for name, link in links.items() if link.weak]
    clusters = cluster(tokens, weak, seed)
    progress.advance(1, tokens.num_rows)
    others = int(np.clip(_INCIDENCES // max(1, tokens.num_rows), *_SEEDS))
    stable, consensus = stability(tokens, weak, clusters, range(seed + 1, seed + 1 + others))
    progress.advance(1, tokens.num_rows * others)
    progress.end(f"{len(clusters.groups['cluster'].unique()):,} clusters")
    counts = {name: table.num_rows for name, table in rare.items()}
    selectors = _selectors(clusters, links)
    return Findings(
        trusted, population, links, intents, clusters, selectors, _whole(clusters, selectors),
        token_counts=counts,
        synchrony_null=plan.engine.fetch("SELECT * FROM synchrony_null ORDER BY scale_seconds").to_pylist(),
        stability=stable, consensus=consensus, seeds=others + 1, named=None if named is tokens else named,
        second=second,
    )  # fmt: skip


def _selectors(clusters: Clusters, links: dict[str, Link]) -> pa.Table:
    """The content tokens that single out a cluster's own exchanges: those not much weaker than its strongest."""
    bound = clusters.bound
    content = bound.filter(pc.is_in(bound["channel"], pa.array([n for n, link in links.items() if link.content])))
    cluster, weight = content["cluster"].to_numpy(), content["weight"].to_numpy()
    top = np.zeros(int(cluster.max()) + 1 if len(cluster) else 0)
    np.maximum.at(top, cluster, weight)
    return content.filter(pa.array(weight >= _SELECTS * top[cluster]))


def _whole(clusters: Clusters, selectors: pa.Table) -> dict[int, bool]:
    """Per cluster: whether its slice is all its parties' exchanges, because few of them carry a content token."""
    keys = ["cluster", "channel", "token"]
    carried = clusters.ties.join(selectors.select(keys), keys, join_type="inner").group_by("cluster")
    carriers = carried.aggregate([("entity", "count_distinct")])
    count = dict(zip(carriers["cluster"].to_pylist(), carriers["entity_count_distinct"].to_pylist(), strict=True))
    return {c: count.get(c, 0) < _CONTENT_COVER * n for c, n in _sizes(clusters.groups).items()}


def _sizes(groups: pa.Table) -> dict[int, int]:
    clusters, counts = np.unique(groups["cluster"].to_numpy(), return_counts=True)
    return dict(zip(clusters.tolist(), counts.tolist(), strict=True))


def _compare(plan: Plan, found: Findings, parties: pa.Table, progress: Progress) -> None:
    """Slices of clusters and honest communities, every intent channel over both, and the verdicts."""
    engine, links = plan.engine, list(found.links.values())
    celled = engine.fetch("SELECT COUNT(cell) AS n FROM exchanges")["n"][0].as_py() > 0
    linked = np.unique(found.clusters.groups["entity"].to_numpy())
    _put(plan, "linked", pa.table({"entity": pa.array(linked, pa.int32())}))
    progress.start("honest communities", len(links), "steps")
    popular = {}
    for link in links:
        rows = plan.run(communities.popular(link, found.anchors.share))
        popular[link.channel.name] = engine.fetch(f'SELECT * FROM "popular_{link.channel.name}" ORDER BY token, entity')
        progress.advance(1, rows)
    honest_groups, honest_bound = communities.gather(popular, links, parties, linked)
    progress.end(f"{len(honest_groups['cluster'].unique()):,} communities")
    strangers = [_quiet(sum(parties["n"].to_pylist())), *slicing.of_strangers(celled)]
    steps = [*slicing.of_clusters(celled), *(step for intent in found.intents.values() for step in intent.steps)]
    progress.start("intents", len(strangers) + 1 + len(steps), "steps")
    for step in strangers:
        progress.advance(1, plan.run(step))
    if celled:
        _join_fragments(plan, found, honest_groups, parties)
    else:
        # Without topics nobody knows whether strangers would have asked the same.
        found.intents["division"] = found.intents["division"]._replace(against=None)
    _put(plan, "groups", pa.concat_tables([found.clusters.groups, honest_groups]))
    # Neighbours are not what is tested: a customer of the same proxy says nothing about who runs it.
    inside = _insiders(found)
    tested = pa.concat_tables([found.clusters.groups.filter(pa.array(inside)), honest_groups])
    slices = _slicing(plan, "", tested, pa.concat_tables([found.selectors, honest_bound]), found)
    for step in (slices, *steps):
        progress.advance(1, plan.run(step))
    tables = {name: engine.fetch(f'SELECT * FROM "intent_{name}" ORDER BY cluster') for name in found.intents}
    readings = read_channels(tables, list(found.intents.values()), communities.FIRST)
    sizes = _sizes(tested)
    ties = found.clusters.ties.join(tested.select(["cluster", "entity"]), ["cluster", "entity"], join_type="inner")
    found.trust = _trust(found, ties, sizes)
    verdicts = judge(readings, ties, sizes, found.links, found.trust)
    found.verdicts = [v for v in verdicts if v.cluster < communities.FIRST]
    found.honest = [v for v in verdicts if v.cluster >= communities.FIRST]
    progress.end(f"{sum(v.flagged for v in found.verdicts)} beyond the line")


def _carry_stability(found: Findings) -> None:
    """Stability and consensus of joined pieces under their new number: means by size, and each party's own."""
    sizes = _sizes(found.clusters.groups)
    for number in np.unique(found.joined["cluster"].to_numpy()).tolist():
        mine = found.joined.filter(pc.equal(found.joined["cluster"], number))["piece"].to_pylist()
        weight = [sizes[piece] for piece in mine]
        found.stability[number] = float(np.average([found.stability[piece] for piece in mine], weights=weight))
        for piece, entity in [k for k in found.consensus if k[0] in mine and k[0] != number]:
            found.consensus[number, entity] = found.consensus[piece, entity]


def _trust(found: Findings, ties: pa.Table, sizes: dict[int, int]) -> dict[int, str]:
    """Whose trust each cluster's links rest on: the operator's, unless they suffice only with the second set."""
    if found.named is None:
        return dict.fromkeys(sizes, found.anchors.source)
    keys = ["channel", "entity", "token"]
    listed = ties.filter(pc.equal(ties["channel"], fragments.LINK.channel.name))
    own = ties.drop_columns(["weight"]).join(found.named.select([*keys, "weight"]), keys, join_type="inner")
    held = linkage(pa.concat_tables([own.select(ties.column_names), listed]), sizes, found.links)
    few = {c for c in sizes if c < communities.FIRST and total_bans(held.get(c, ())) < LINK_BANS}
    return {c: "behaviour" if c in few else found.anchors.source for c in sizes}


def _insiders(found: Findings) -> np.ndarray:
    """Which rows of the groups are more than neighbours; all of a cluster where too few would be left."""
    ways = standing(found)
    groups = found.clusters.groups
    cluster = groups["cluster"].to_numpy()
    inside = np.array(
        [ways.get(k, 0) > 0 for k in zip(cluster.tolist(), groups["entity"].to_pylist(), strict=True)], bool
    )
    left = np.bincount(cluster, inside, int(cluster.max()) + 1 if len(cluster) else 0)
    tested: np.ndarray = inside | (left[cluster] < SMALLEST)
    return tested


def _slicing(plan: Plan, prefix: str, groups: pa.Table, bound: pa.Table, found: Findings) -> Query:
    """The step that slices these groups, as table `<prefix>slices`; the small tables that it reads are put in place.

    A group that no content token selects is sliced whole.
    """
    sliced = set(bound["cluster"].to_pylist())
    modes = {c: found.whole.get(c, c not in sliced) for c in _sizes(groups)}
    _put(plan, f"{prefix}tested", groups)
    _put(plan, f"{prefix}bound", bound.select(["cluster", "channel", "token"]))
    columns = {"cluster": pa.array(list(modes), pa.int32()), "whole": pa.array(list(modes.values()), pa.bool_())}
    _put(plan, f"{prefix}modes", pa.table(columns))
    return _slices(prefix, [link for link in found.links.values() if link.content])


def _join_fragments(plan: Plan, found: Findings, honest_groups: pa.Table, parties: pa.Table) -> None:
    """Clusters that work one list together under one number, before any of them is tested."""
    sizes = _sizes(found.clusters.groups)
    held = linkage(found.clusters.ties, sizes, found.links)
    eligible = sorted(
        (c for c, ties in held.items() if total_bans(ties) >= fragments.LEAST_BANS), key=lambda c: (-sizes[c], c)
    )
    pieces = np.array(sorted(eligible[: fragments.MOST_PIECES]), np.int32)
    if len(pieces) < 2:
        return
    mine = pc.is_in(found.clusters.groups["cluster"], pa.array(pieces))
    random = pc.greater_equal(honest_groups["cluster"], communities.FIRST_RANDOM)
    groups = pa.concat_tables([found.clusters.groups.filter(mine), honest_groups.filter(random)])
    everyone = np.unique(groups["cluster"].to_numpy())
    sql = _slicing(plan, "piece_", groups, found.selectors, found).sql
    plan.run_all(fragments.steps(sql))
    cells, background = (plan.engine.fetch(f"SELECT * FROM {name}") for name in ("piece_cells", "quiet_by_cell"))
    honest = everyone >= communities.FIRST
    same, usual = fragments.topics(everyone, cells, background)
    alike = fragments.candidates(everyone, honest, same, usual)
    rates = plan.engine.fetch("SELECT same_cell, same_prompt FROM quiet_pairs").to_pylist()[0]
    if not len(alike) or not rates["same_cell"] or not rates["same_prompt"]:
        return
    _put(plan, "piece_compared", pa.table({"cluster": pa.array([*alike, *everyone[honest]], pa.int32())}))
    plan.run(fragments.asked(sql))
    prompts = fragments.repeats(everyone, plan.engine.fetch("SELECT * FROM piece_prompts"))
    counts = fragments.Counts(same, prompts, usual)
    joins = fragments.joins(everyone, honest, counts, rates["same_prompt"] / rates["same_cell"])
    if not joins:
        return
    found.joined = fragments.joined(joins)
    _put(plan, "piece_joined", found.joined)
    plan.run(fragments.worked(sql))
    strays = fragments.strays(plan.engine.fetch("SELECT * FROM piece_parties"), background)
    trusted = parties.sort_by("entity")["anchor"].to_numpy() > 0
    found.links[fragments.LINK.channel.name] = fragments.LINK
    _carry_stability(found)
    found.clusters = fragments.join(found.clusters, found.joined, strays, trusted, found.anchors.share)
    found.selectors = _selectors(found.clusters, found.links)
    found.whole = _whole(found.clusters, found.selectors)


def _slices(prefix: str, content: list[Link]) -> Query:
    """Every exchange of a cluster or community that carries one of its content tokens, or all where whole."""
    joins = "".join(
        f" LEFT JOIN {prefix}bound b{i} ON b{i}.cluster = g.cluster AND b{i}.channel = '{link.channel.name}'"
        f" AND b{i}.token = x.{link.column}"
        for i, link in enumerate(content)
    )
    held = "".join(f" OR b{i}.token IS NOT NULL" for i in range(len(content)))
    return Query(
        f"{prefix}slices",
        ("exchanges", "owners", f"{prefix}tested", f"{prefix}modes", f"{prefix}bound"),
        'SELECT g.cluster, g.entity, x."row", x.ts, x.turn, x.model, x.prompt, x.cell, x.task, x.elicitation,'
        " x.n AS answers, x.logprobs"
        f" FROM exchanges x JOIN owners o ON o.account = x.account JOIN {prefix}tested g ON g.entity = o.entity"
        f" JOIN {prefix}modes m ON m.cluster = g.cluster{joins} WHERE m.whole{held}",
    )


def _quiet(exchanges: int) -> Query:
    """Exchanges of parties that no cluster holds; of one party in so many where there are more than enough."""
    return Query(
        "quiet",
        ("exchanges", "owners", "linked"),
        "SELECT o.entity, x.task, x.cell, x.prompt, x.turn, x.elicitation, x.n AS answers, x.logprobs"
        " FROM exchanges x JOIN owners o ON o.account = x.account LEFT JOIN linked l ON l.entity = o.entity"
        " WHERE l.entity IS NULL AND o.entity % $every = 0",
        {"every": max(1, exchanges // _QUIET_EXCHANGES)},
    )


def attribute(plan: Plan, found: Findings, progress: Progress) -> None:
    """Posteriors of the exchanges of every reported cluster, as table `posteriors`."""
    reported = {v.cluster: v.belief for v in found.verdicts if is_reported(v)}
    columns = {
        "cluster": pa.array(list(reported), pa.int32()),
        "belief": pa.array(list(reported.values()), pa.float64()),
    }
    _put(plan, "reported", pa.table(columns))
    outside = {key for key, ways in standing(found).items() if not ways}
    steps: list[Step] = [
        attribution.CANDIDATES,
        attribution.PROFILES,
        attribution.QUIET_PROFILE,
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
    progress.start("attribution", len(steps), "steps")
    for step in steps:
        progress.advance(1, plan.run(step))
    progress.end(f"{plan.rows['posteriors']:,} exchanges of linked parties")


def is_reported(verdict: Verdict) -> bool:
    """Whether a cluster is told of: flagged, or linked well enough for a person to want to know."""
    return verdict.bans >= LINK_BANS


def standing(found: Findings) -> dict[tuple[int, int], int]:
    """How many linking families tie each (cluster, party), 0 where too few beside a typical party of the cluster.

    A party tied by its network or one template alone, where the others are tied in three ways, is a neighbour: a
    customer of the same proxy, or somebody who met the same prompt.
    """
    ties = found.clusters.ties
    families = pa.array([found.links[c].channel.card.family for c in ties["channel"].to_pylist()], pa.string())
    ways = ties.select(["cluster", "entity"]).append_column("family", families)
    ways = ways.group_by(["cluster", "entity", "family"]).aggregate([])
    count = ways.group_by(["cluster", "entity"]).aggregate([("family", "count"), ("family", "min")])
    cluster, entity, kinds = (count[c].to_numpy() for c in ("cluster", "entity", "family_count"))
    network = pc.equal(count["family_min"], "network").to_numpy(zero_copy_only=False)
    typical = {int(c): float(np.median(kinds[cluster == c])) for c in np.unique(cluster)}
    usual = np.array([typical[c] for c in cluster.tolist()])
    alone = (kinds == 1) & ((usual >= 3) | (network & (usual >= 2)))
    return dict(
        zip(zip(cluster.tolist(), entity.tolist(), strict=True), np.where(alone, 0, kinds).tolist(), strict=True)
    )


def _put(plan: Plan, name: str, table: pa.Table) -> None:
    plan.engine.put(name, table)
    plan.wrote(name, table.num_rows)


def describe(found: Findings) -> dict[str, Any]:
    """The trusted set, as `scan.json` tells it."""
    return {"source": found.anchors.source, "share": round(found.anchors.share, 6), "count": found.anchors.number}
