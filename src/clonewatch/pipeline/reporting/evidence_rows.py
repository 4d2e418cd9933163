"""Rows of table `evidence`: each reason for a verdict, its innocent explanation, what was found about it, examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import sentences
from clonewatch.campaigns.fusion import Reading, Verdict
from clonewatch.graph.clusters import Clusters
from clonewatch.pipeline.detection.stages import Judged
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.linking import LinkingSignal

_SAMPLE = 5
_Row = dict[str, Any]


def evidence_of(runner: StepRunner, judged: Judged) -> Callable[[Verdict, str], list[_Row]]:
    """A function that returns the rows of EVIDENCE for a verdict. Its second argument is the campaign's id."""
    general = _samples(runner)
    clustering = judged.merged.clustering
    special = {n: _carriers(runner, clustering.clusters, link) for n, link in clustering.signals.items() if link.column}

    def rows(verdict: Verdict, name: str) -> list[_Row]:
        links = [_link_row(link, verdict.cluster, judged, special) for link in verdict.links]
        by_strength = sorted(verdict.readings, key=lambda r: (-r.bits, r.signal))
        tests = [_test_row(r, judged, general.get(r.cluster, [])) for r in by_strength if r.bits]
        return [{"campaign_id": name, **row} for row in links + tests]

    return rows


def _link_row(
    found: tuple[str, str, float], cluster: int, judged: Judged, special: dict[str, dict[int, list[str]]]
) -> _Row:
    signal, family, bits = found
    clustering = judged.merged.clustering
    link, clusters = clustering.signals[signal], clustering.clusters
    attributes, edges = clusters.attributes, clusters.edges
    mine = attributes.filter(pc.and_(pc.equal(attributes["cluster"], cluster), pc.equal(attributes["signal"], signal)))
    inside = edges.filter(pc.and_(pc.equal(edges["cluster"], cluster), pc.equal(edges["signal"], signal)))
    size = int(pc.sum(pc.equal(clusters.groups["cluster"], cluster)).as_py())
    entities = int(pc.count_distinct(inside["entity"]).as_py())
    users, trusted = int(pc.sum(mine["users"]).as_py()), int(pc.sum(mine["trusted"]).as_py())
    return {
        "signal": signal,
        "family": family,
        "kind": "link",
        "bits": bits,
        "value": bits,
        "n": entities,
        "reason": sentences.of_link(link, mine.num_rows, entities, size),
        "innocent": link.signal.card.innocent,
        "ruled_out": sentences.link_ruling(link, users, trusted, *_trust(judged, cluster)),
        "exchange_ids": special.get(signal, {}).get(cluster, []),
    }


def _trust(judged: Judged, cluster: int) -> tuple[float, str]:
    """Share and source of the trusted set that a cluster's links rest on."""
    trusted, second = judged.merged.linked.entities.trusted, judged.merged.linked.second
    source = judged.trust.get(cluster, trusted.source)
    return (second.share if second and source != trusted.source else trusted.share), source


def _test_row(reading: Reading, judged: Judged, sample: list[str]) -> _Row:
    test = judged.tests[reading.signal]
    references = [r for v in judged.reference_verdicts for r in v.readings if r.signal == reading.signal]
    alike = sum((r.value >= reading.value) if reading.bits > 0 else (r.value <= reading.value) for r in references)
    return {
        "signal": reading.signal,
        "family": reading.family,
        "kind": "against" if reading.bits <= 0 else "support" if test.supporting else "behaviour",
        "bits": reading.bits,
        "value": reading.value,
        "reference": reading.usual,
        "n": reading.n,
        "reason": sentences.of_reading(reading, test),
        "innocent": test.signal.card.innocent,
        "ruled_out": sentences.behaviour_ruling(reading.bits > 0, alike, len(references)),
        "exchange_ids": sample,
    }


def _samples(runner: StepRunner) -> dict[int, list[str]]:
    """A few exchange ids per reported cluster, from the upper half of its posterior scale."""
    table = runner.engine.fetch(
        'SELECT p.cluster, x.exchange_id FROM (SELECT p.cluster, MIN(p."row") AS first FROM posteriors p'
        " JOIN reported r ON r.cluster = p.cluster WHERE p.posterior >= 0.5 * r.posterior_scale"
        ' GROUP BY p.cluster, p."row" % $most) p JOIN exchanges x ON x."row" = p.first ORDER BY p.cluster, p.first',
        {"most": _SAMPLE},
    )
    return _grouped(table)


def _carriers(runner: StepRunner, clusters: Clusters, link: LinkingSignal) -> dict[int, list[str]]:
    """Early exchanges of each cluster that carry its strongest attribute of a signal, or an equally strong one."""
    attributes = clusters.attributes.filter(pc.equal(clusters.attributes["signal"], link.signal.name))
    columns = (attributes[name].to_pylist() for name in ("cluster", "attribute", "weight", "inside"))
    strongest: dict[int, tuple[float, int]] = {}
    top: list[tuple[int, int]] = []
    for cluster, attribute, weight, inside in zip(*columns, strict=True):
        # the table is sorted, strongest first
        if strongest.setdefault(cluster, (weight, inside)) == (weight, inside):
            top.append((cluster, attribute))
    name = f"top_{link.signal.name}"
    schema = pa.schema([("cluster", pa.int32()), ("attribute", pa.int64())])
    runner.put(name, pa.table([[row[i] for row in top] for i in (0, 1)], schema=schema))
    table = runner.engine.fetch(
        f'SELECT s.cluster, x.exchange_id FROM (SELECT t.cluster, MIN(x."row") AS first FROM "{name}" t'
        f" JOIN exchanges x ON x.{link.column} = t.attribute JOIN owners o ON o.account = x.account"
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
