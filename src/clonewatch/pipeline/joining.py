"""Fragments of one operation: clusters that share no token, joined before any of them is tested."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.fusion import linkage, total_bits
from clonewatch.graph import communities, fragments
from clonewatch.pipeline.findings import Findings, heads
from clonewatch.pipeline.plan import Plan
from clonewatch.pipeline.slicing import selectors, slicing, whole


def join_fragments(plan: Plan, found: Findings, honest_groups: pa.Table, parties: pa.Table) -> None:
    """Clusters that work one list together under one number, before any of them is tested."""
    sizes = heads(found.clusters.groups)
    held = linkage(found.clusters.ties, sizes, found.links)
    eligible = sorted(
        (c for c, ties in held.items() if total_bits(ties) >= fragments.LEAST_BITS), key=lambda c: (-sizes[c], c)
    )
    pieces = np.array(sorted(eligible[: fragments.MOST_PIECES]), np.int32)
    if len(pieces) < 2:
        return
    mine = pc.is_in(found.clusters.groups["cluster"], pa.array(pieces))
    random = pc.greater_equal(honest_groups["cluster"], communities.FIRST_RANDOM)
    groups = pa.concat_tables([found.clusters.groups.filter(mine), honest_groups.filter(random)])
    everyone = np.unique(groups["cluster"].to_numpy())
    sql = slicing(plan, "piece_", groups, found.selectors, found).sql
    plan.run(fragments.counted(sql))
    cells, background = (plan.engine.fetch(f"SELECT * FROM {name}") for name in ("piece_cells", "quiet_cells"))
    honest = everyone >= communities.FIRST
    same, usual = fragments.topics(everyone, cells, background)
    alike = fragments.candidates(everyone, honest, same, usual)
    rates = plan.engine.fetch("SELECT same_cell, same_prompt FROM quiet_pairs").to_pylist()[0]
    if not len(alike) or not rates["same_cell"] or not rates["same_prompt"]:
        return
    plan.put("piece_compared", pa.table({"cluster": pa.array([*alike, *everyone[honest]], pa.int32())}))
    plan.run(fragments.asked(sql))
    prompts = fragments.repeats(everyone, plan.engine.fetch("SELECT * FROM piece_prompts"))
    counts = fragments.Counts(same, prompts, usual)
    joins = fragments.joins(everyone, honest, counts, rates["same_prompt"] / rates["same_cell"])
    if not joins:
        return
    found.joined = fragments.joined(joins)
    plan.put("piece_joined", found.joined)
    plan.run_all(fragments.worked(sql))
    works = fragments.workers(_workload(plan), background)
    trusted = parties.sort_by("entity")["anchor"].to_numpy() > 0
    found.links[fragments.SIGNAL.signal.name] = fragments.SIGNAL
    _carry_stability(found)
    found.clusters = fragments.join(found.clusters, found.joined, works, trusted, found.anchors.share)
    found.selectors = selectors(found.clusters, found.links)
    found.whole = whole(found.clusters, found.selectors)


def _workload(plan: Plan) -> fragments.Workload:
    """What the parties of joined pieces asked; their cells, which may be many, come in parts, always in one order."""
    engine = plan.engine
    return fragments.Workload(
        engine.fetch(
            "SELECT p.cluster, p.entity, p.n, COALESCE(k.known, 0) AS known FROM (SELECT cluster, entity,"
            " CAST(SUM(n) AS BIGINT) AS n FROM piece_parties GROUP BY cluster, entity) p LEFT JOIN piece_known k"
            " ON k.cluster = p.cluster AND k.entity = p.entity ORDER BY p.cluster, p.entity"
        ),
        engine.fetch("SELECT cluster, cell, CAST(SUM(n) AS BIGINT) AS n FROM piece_parties GROUP BY cluster, cell"),
        engine.stream("SELECT * FROM piece_parties ORDER BY cluster, entity, cell"),
    )


def _carry_stability(found: Findings) -> None:
    """Stability and consensus of joined pieces under their new number: means by size, and each party's own."""
    sizes = heads(found.clusters.groups)
    for number in np.unique(found.joined["cluster"].to_numpy()).tolist():
        mine = found.joined.filter(pc.equal(found.joined["cluster"], number))["piece"].to_pylist()
        weight = [sizes[piece] for piece in mine]
        found.stability[number] = float(np.average([found.stability[piece] for piece in mine], weights=weight))
        for piece, entity in [k for k in found.consensus if k[0] in mine and k[0] != number]:
            found.consensus[number, entity] = found.consensus[piece, entity]
