"""What each verdict rests on: every reason, its innocent twin, what was found about that twin here, and examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import words
from clonewatch.campaigns.fusion import BITS_PER_BAN, Reading, Verdict
from clonewatch.pipeline.findings import Findings
from clonewatch.pipeline.plan import Plan
from clonewatch.ports.link import Link

_SAMPLE = 5
_Row = dict[str, Any]


def evidence_of(plan: Plan, found: Findings) -> Callable[[Verdict, str], list[_Row]]:
    """A function that gives the rows of EVIDENCE for a verdict under its campaign's name."""
    general = _samples(plan)
    special = {name: _carriers(plan, found, link) for name, link in found.links.items() if link.column}

    def rows(verdict: Verdict, name: str) -> list[_Row]:
        links = [_link_row(tie, verdict.cluster, found, special) for tie in verdict.links]
        by_strength = sorted(verdict.readings, key=lambda r: (-r.bits, r.signal))
        intents = [_intent_row(r, found, general.get(r.cluster, [])) for r in by_strength if r.bits]
        return [{"campaign_id": name, **row} for row in links + intents]

    return rows


def _link_row(
    tie: tuple[str, str, float], cluster: int, found: Findings, special: dict[str, dict[int, list[str]]]
) -> _Row:
    channel, family, bans = tie
    link = found.links[channel]
    bound = found.clusters.bound
    mine = bound.filter(pc.and_(pc.equal(bound["cluster"], cluster), pc.equal(bound["channel"], channel)))
    ties = found.clusters.ties
    inside = ties.filter(pc.and_(pc.equal(ties["cluster"], cluster), pc.equal(ties["channel"], channel)))
    size = int(pc.sum(pc.equal(found.clusters.groups["cluster"], cluster)).as_py())
    parties = int(pc.count_distinct(inside["entity"]).as_py())
    users, trusted = int(pc.sum(mine["users"]).as_py()), int(pc.sum(mine["anchors"]).as_py())
    return {
        "signal": channel, "family": family, "kind": "link", "bits": bans * BITS_PER_BAN, "value": bans, "n": parties,
        "reason": words.of_link(link, mine.num_rows, parties, size),
        "innocent": link.channel.card.innocent,
        "ruled_out": words.link_ruling(link, users, trusted, *_trust(found, cluster)),
        "exchange_ids": special.get(channel, {}).get(cluster, []),
    }  # fmt: skip


def _trust(found: Findings, cluster: int) -> tuple[float, str]:
    """Share and source of the trusted set that a cluster's links rest on."""
    source = found.trust.get(cluster, found.anchors.source)
    return (found.anchors.share if source == found.anchors.source else found.second), source


def _intent_row(reading: Reading, found: Findings, sample: list[str]) -> _Row:
    intent = found.intents[reading.signal]
    honest = [r for v in found.honest for r in v.readings if r.signal == reading.signal]
    alike = sum((r.value >= reading.value) if reading.bits > 0 else (r.value <= reading.value) for r in honest)
    return {
        "signal": reading.signal, "family": reading.family, "kind": "intent" if reading.bits > 0 else "against",
        "bits": reading.bits, "value": reading.value, "reference": reading.usual, "n": reading.n,
        "reason": words.of_reading(reading, intent),
        "innocent": intent.channel.card.innocent,
        "ruled_out": words.intent_ruling(intent, reading.bits > 0, alike, len(honest)),
        "exchange_ids": sample,
    }  # fmt: skip


def _samples(plan: Plan) -> dict[int, list[str]]:
    """A few exchange ids attributed to each cluster, or merely linked to it where none is attributed."""
    table = plan.engine.fetch(
        'SELECT p.cluster, x.exchange_id FROM (SELECT p.cluster, MIN(p."row") AS first FROM posteriors p'
        " JOIN reported r ON r.cluster = p.cluster WHERE p.posterior >= 0.5 * r.belief"
        ' GROUP BY p.cluster, p."row" % $most) p JOIN exchanges x ON x."row" = p.first ORDER BY p.cluster, p.first',
        {"most": _SAMPLE},
    )
    return _grouped(table)


def _carriers(plan: Plan, found: Findings, link: Link) -> dict[int, list[str]]:
    """Early exchanges of each cluster that carry its strongest token of a channel, or one of several as strong."""
    bound = found.clusters.bound.filter(pc.equal(found.clusters.bound["channel"], link.channel.name))
    columns = (bound[name].to_pylist() for name in ("cluster", "token", "weight", "inside"))
    strongest: dict[int, tuple[float, int]] = {}
    top: list[tuple[int, int]] = []
    for cluster, token, weight, inside in zip(*columns, strict=True):
        # bound is sorted, strongest first
        if strongest.setdefault(cluster, (weight, inside)) == (weight, inside):
            top.append((cluster, token))
    name = f"top_{link.channel.name}"
    schema = pa.schema([("cluster", pa.int32()), ("token", pa.int64())])
    plan.put(name, pa.table([[row[i] for row in top] for i in (0, 1)], schema=schema))
    table = plan.engine.fetch(
        f'SELECT s.cluster, x.exchange_id FROM (SELECT t.cluster, MIN(x."row") AS first FROM "{name}" t'
        f" JOIN exchanges x ON x.{link.column} = t.token JOIN owners o ON o.account = x.account"
        ' JOIN groups g ON g.cluster = t.cluster AND g.entity = o.entity GROUP BY t.cluster, x."row" % $most) s'
        ' JOIN exchanges x ON x."row" = s.first ORDER BY s.cluster, s.first',
        {"most": _SAMPLE},
    )
    return _grouped(table)


def _grouped(table: pa.Table) -> dict[int, list[str]]:
    out: dict[int, list[str]] = {}
    for cluster, name in zip(table["cluster"].to_pylist(), table["exchange_id"].to_pylist(), strict=True):
        out.setdefault(cluster, []).append(name)
    return out
