"""Builds the result tables (`model.schema.RESULTS`) from what detection found. All are sorted, so runs are equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.review import OnRecord
from clonewatch.graph import sub_clusters
from clonewatch.graph.clusters import Clusters
from clonewatch.graph.incidences import carriers
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model import schema
from clonewatch.model.answers import INNOCENT, Answer, Ruled
from clonewatch.model.schema import TASKS, Table
from clonewatch.pipeline.detection.stages import Clustering, Ranked
from clonewatch.pipeline.reporting.evidence_rows import evidence_of
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.linking import LinkingSignal

_DAY = 86_400_000_000
_ATTRIBUTES_REPORTED = 40
ATTRIBUTED = arrow_schema(schema.ATTRIBUTION)
_Rows = list[dict[str, Any]]
# Of accounts of reported clusters: sign-up, first ban and first lifting of a ban.
_ACCOUNT_FACTS = (
    "SELECT p.account, MIN(a.created) AS created, MIN(e.banned) AS banned, MIN(e.unbanned) AS unbanned"
    " FROM (SELECT DISTINCT account FROM posteriors) p LEFT JOIN accounts a ON a.account = p.account"
    " LEFT JOIN (SELECT account, MIN(CASE WHEN kind = 'ban' THEN ts END) AS banned,"
    " MIN(CASE WHEN kind <> 'ban' THEN ts END) AS unbanned FROM events WHERE kind IN ('ban', 'unban', 'appeal_upheld')"
    " GROUP BY account) e ON e.account = p.account GROUP BY p.account ORDER BY p.account"
)


def build(runner: StepRunner, found: Ranked, account_ids: list[str]) -> dict[str, pa.Table]:
    """All result tables by name except `attribution`, which may be as long as the log.

    account_ids: account ids by code.
    """
    calibrated, members = found.calibrated, found.dated.attributed.members
    clustering = calibrated.judged.merged.clustering
    names, ids = group_names(found), pa.array(account_ids, pa.string())
    rows_of = evidence_of(runner, calibrated.judged)
    evidence = {verdict.cluster: rows_of(verdict, names[verdict.cluster]) for verdict in found.in_order}
    attributes, carriers = _attributes(runner, clustering, names, ids)
    return {
        "campaigns": _table(schema.CAMPAIGNS, _campaigns(found, names, evidence, _totals(runner, members))),
        "members": _members(runner, members, names, ids),
        "evidence": _table(schema.EVIDENCE, [row for rows in evidence.values() for row in rows]),
        "attributes": attributes,
        "attribute_accounts": carriers,
        "timeline": _timeline(runner, names),
        "models": _models(runner, names),
    }


def _campaigns(
    found: Ranked, names: Mapping[int, str], evidence: Mapping[int, _Rows], totals: Mapping[int, dict[str, Any]]
) -> _Rows:
    """The rows of CAMPAIGNS. evidence: rows of each cluster. totals: result of `_totals`."""
    calibrated, dated = found.calibrated, found.dated
    merged = calibrated.judged.merged
    merges = _merges(merged.merges)
    rows: _Rows = []
    for verdict in found.in_order:
        group, standing = calibrated.calibrated_groups[verdict.cluster], found.standings[verdict.cluster]
        total = totals.get(verdict.cluster, {})
        when, before = dated.visible.get(verdict.cluster, (None, None))
        rows.append(
            {
                "campaign_id": names[verdict.cluster],
                "score": verdict.bits,
                "threshold_ratio": verdict.threshold_ratio,
                "p_value": group.p_value,
                "p_n": group.n,
                "e_value": group.e_value,
                "stability": merged.clustering.stability.overlap.get(verdict.cluster),
                "sub_clusters": merges.get(verdict.cluster, (1, None))[0],
                "merge_p_value": merges.get(verdict.cluster, (1, None))[1],
                "flagged": verdict.flagged,
                "outcome": standing.outcome,
                "rank": standing.rank,
                "odds_bits": standing.odds_bits,
                "limiting_criterion": standing.limiting_criterion,
                "limiting_ratio": standing.limiting_ratio,
                "question": standing.question,
                "look_alike": standing.look_alike,
                "answered": [_said(answer) for answer in standing.answers if not answer.ruled],
                "evidence_odds_bits": standing.evidence_bits,
                "families": list(standing.families),
                "ruled": [_ruled(standing.ruling)] if standing.ruling else [],
                "level": verdict.level,
                "attributed_by": dated.attributed.told_by.get(verdict.cluster),
                "visible_ts": when,
                "visible_exchanges": before,
                "visible_is_first_flag": verdict.cluster in dated.first_flags,
                "tasks": list(total.get("tasks", {}).items()),
                **{k: v for k, v in total.items() if k != "tasks"},
                "evidence": [
                    {k: r[k] for k in ("signal", "family", "bits", "reason")} for r in evidence[verdict.cluster]
                ],
            }
        )
    return rows


def _said(answer: Answer) -> dict[str, Any]:
    """An answer as table `campaigns` stores it."""
    kept = {name: getattr(answer, name) for name in ("question", "at", "by", "note")}
    return kept | {"yes": answer.yes, "bits": answer.bits}


def _ruled(found: OnRecord) -> dict[str, Any]:
    """A ruling as table `campaigns` stores it."""
    answer, ruled = found.answer, found.answer.ruled or Ruled(INNOCENT)
    kept = {name: getattr(answer, name) for name in ("question", "at", "by", "note")}
    held = {name: getattr(ruled, name) for name in ("ruling", "case", "scope", "until")}
    bits = answer.bits if found.withholds else 0.0
    return kept | held | {"withholds": found.withholds, "bits": bits, "news": list(found.news)}


def _merges(merges: pa.Table) -> dict[int, tuple[int, float]]:
    """Per merged cluster: how many sub-clusters without a shared attribute were merged, and the largest p-value."""
    out: dict[int, tuple[int, float]] = {}
    for row in merges.to_pylist():
        out[row["cluster"]] = (out.get(row["cluster"], (0, 0.0))[0] + 1, row["p_value"])
    return out


def _table(table: Table, rows: _Rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=arrow_schema(table))


def _named(names: Mapping[int, str], cluster: pa.ChunkedArray | pa.Array) -> pa.Array:
    return pa.array([names[c] for c in cluster.to_pylist()], pa.string())


def _members(runner: StepRunner, members: pa.Table, names: Mapping[int, str], ids: pa.Array) -> pa.Table:
    """Accounts of reported clusters with campaign ids and account ids. members: MEMBER_SCHEMA."""
    facts = runner.engine.fetch(_ACCOUNT_FACTS)
    place = pc.index_in(members["account"], value_set=facts["account"].combine_chunks())
    columns = {
        "campaign_id": _named(names, members["cluster"]),
        "account_id": ids.take(members["account"].combine_chunks()),
        "membership": members["membership"],
        "role": members["role"],
        "harvested_exchanges": members["harvested"],
        "exchanges": members["exchanges"],
        "first_ts": _moments(members["first"]),
        "last_ts": _moments(members["last"]),
        **{f"{name}_ts": _moments(facts[name].take(place)) for name in ("created", "banned", "unbanned")},
    }
    order = [("campaign_id", "ascending"), ("membership", "descending"), ("account_id", "ascending")]
    return pa.table(columns).sort_by(order).cast(arrow_schema(schema.MEMBERS))


def _moments(microseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return microseconds.cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))


def _totals(runner: StepRunner, members: pa.Table) -> dict[int, dict[str, Any]]:
    """Per cluster: member accounts, their exchanges, harvested exchanges with first and last, and tasks."""
    # A group of bystanders alone has no members, and its numbers are zero.
    out: dict[int, dict[str, Any]] = {
        c: {"accounts": 0, "exchanges": 0} for c in members["cluster"].unique().to_pylist()
    }
    inside = members.filter(pc.not_equal(members["role"], "proxy_customer"))
    for row in inside.group_by("cluster").aggregate([("account", "count"), ("exchanges", "sum")]).to_pylist():
        out[row["cluster"]] = {"accounts": row["account_count"], "exchanges": row["exchanges_sum"]}
    harvest = runner.engine.fetch(
        "SELECT p.cluster, p.task, COUNT(*) AS n, MIN(p.ts) AS first_ts, MAX(p.ts) AS last_ts FROM posteriors p"
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account WHERE p.posterior >= 0.5"
        " GROUP BY p.cluster, p.task ORDER BY p.cluster, n DESC, p.task"
    )
    for row in harvest.to_pylist():
        total = out[row["cluster"]]
        total["harvested_exchanges"] = total.get("harvested_exchanges", 0) + row["n"]
        total["first_ts"] = min(total.get("first_ts", row["first_ts"]), row["first_ts"])
        total["last_ts"] = max(total.get("last_ts", row["last_ts"]), row["last_ts"])
        total.setdefault("tasks", {})[_task(row["task"])] = row["n"]
    for total in out.values():
        total.setdefault("harvested_exchanges", 0)
    return out


def _task(code: int) -> str:
    return TASKS[code] if 0 <= code < len(TASKS) else "unknown"


def _attributes(
    runner: StepRunner, clustering: Clustering, names: Mapping[int, str], ids: pa.Array
) -> tuple[pa.Table, pa.Table]:
    """The strongest attributes of every reported cluster, and the accounts that carry them."""
    found, signals = clustering.clusters.attributes, clustering.signals  # sorted by cluster, strongest first
    cluster = found["cluster"].to_numpy()
    place = np.arange(len(cluster)) - np.searchsorted(cluster, cluster)
    strongest = found.filter(pa.array((place < _ATTRIBUTES_REPORTED) & np.isin(cluster, list(names))))
    rows: _Rows = [
        {
            "campaign_id": names[row["cluster"]],
            "signal": row["signal"],
            "attribute": _hex(signals[row["signal"]], row["attribute"]),
            "entities": row["inside"],
            "users": row["users"],
            "trusted": row["trusted"],
            "weight": row["weight"],
            "exchanges": row["n"],
        }
        for row in strongest.to_pylist()
    ]
    owned = runner.engine.fetch("SELECT entity, account FROM owners")
    carrying = _carriers(clustering.clusters, strongest).join(owned, "entity", join_type="inner")
    accounts = ids.take(carrying["account"].combine_chunks()).to_pylist()
    key = ("cluster", "signal", "attribute")
    places = {row: i for i, row in enumerate(zip(*(strongest[k].to_pylist() for k in key), strict=True))}
    carried = sorted(
        (names[c], signal, places[c, signal, attribute], _hex(signals[signal], attribute), account)
        for (c, signal, attribute), account in zip(
            zip(*(carrying[k].to_pylist() for k in key), strict=True), accounts, strict=True
        )
    )
    head = ("campaign_id", "signal", "place", "attribute", "account_id")
    members: _Rows = [dict(zip(head, row, strict=True)) for row in carried]
    return _table(schema.ATTRIBUTES, rows), _table(schema.ATTRIBUTE_ACCOUNTS, members)


def _carriers(clusters: Clusters, attributes: pa.Table) -> pa.Table:
    """Which entities carry these attributes: (cluster, signal, attribute, entity).

    An entity that works a list which merges sub-clusters carries that list.
    """
    edges, name = clusters.edges, sub_clusters.SIGNAL.signal.name
    carried = carriers(clusters.groups, clusters.incidences, attributes)
    merged = attributes.filter(pc.equal(attributes["signal"], name))["cluster"].combine_chunks()
    listed = edges.filter(pc.and_(pc.equal(edges["signal"], name), pc.is_in(edges["cluster"], merged)))
    # The attribute is the number of the cluster.
    listed = listed.append_column("attribute", listed["cluster"].cast(pa.int64()))
    return pa.concat_tables([carried, listed.select(carried.column_names)])


def _hex(link: LinkingSignal, attribute: int) -> str:
    """An attribute as it is reported: a keyed hash in hex; the signal and a number for ego networks, hours, lists."""
    if not link.hashed:
        return f"{link.signal.name}-{attribute}"
    return f"{attribute & (2**64 - 1):016x}"


def attribution_of(runner: StepRunner, found: Ranked, account_ids: list[str]) -> Iterator[pa.RecordBatch]:
    """Every exchange of every linked account with its posterior: sorted batches of ATTRIBUTION, streamed."""
    # Sorted by numbers where possible: names and account ids would be three quarters of the data sorted on disk.
    order = sorted((name, cluster) for cluster, name in group_names(found).items())
    numbered = {
        "cluster": pa.array([c for _, c in order], pa.int32()),
        "place": pa.array(range(len(order)), pa.int32()),
    }
    runner.put("places", pa.table(numbered))
    names, ids = pa.array([name for name, _ in order], pa.string()), pa.array(account_ids, pa.string())
    batches = runner.engine.stream(
        "SELECT n.place, x.exchange_id, CAST(p.posterior AS FLOAT) AS posterior, p.account FROM posteriors p"
        ' JOIN exchanges x ON x."row" = p."row" JOIN places n ON n.cluster = p.cluster ORDER BY n.place, x.exchange_id'
    )
    return (
        pa.RecordBatch.from_arrays(
            [batch["exchange_id"], names.take(batch["place"]), batch["posterior"], ids.take(batch["account"])],
            names=["exchange_id", "campaign_id", "posterior", "account_id"],
        ).cast(ATTRIBUTED)
        for batch in batches
    )


def group_names(found: Ranked) -> dict[int, str]:
    """The id of every reported group, by cluster."""
    return {cluster: f"C{i:04d}" for i, cluster in enumerate(found.order, 1)}


def _timeline(runner: StepRunner, names: Mapping[int, str]) -> pa.Table:
    """Exchanges of member accounts by day and task."""
    table = runner.engine.fetch(
        "SELECT p.cluster, CAST(FLOOR(p.ts / 86400000000) AS BIGINT) AS day, p.task, COUNT(*) AS exchanges,"
        " CAST(SUM(CASE WHEN p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS harvested,"
        " COUNT(DISTINCT p.account) AS accounts FROM posteriors p"
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account"
        " GROUP BY p.cluster, CAST(FLOOR(p.ts / 86400000000) AS BIGINT), p.task ORDER BY p.cluster, day, p.task"
    )
    return pa.table(
        [
            _named(names, table["cluster"]),
            _moments(pc.multiply(table["day"], _DAY)),
            pa.array([_task(t) for t in table["task"].to_pylist()], pa.string()),
            table["exchanges"],
            table["harvested"],
            table["accounts"],
        ],
        schema=arrow_schema(schema.TIMELINE),
    ).sort_by([("campaign_id", "ascending"), ("day", "ascending"), ("task", "ascending")])


def _models(runner: StepRunner, names: Mapping[int, str]) -> pa.Table:
    """Exchanges of member accounts by day and model."""
    table = runner.engine.fetch(
        "SELECT p.cluster, CAST(FLOOR(p.ts / 86400000000) AS BIGINT) AS day, p.model, COUNT(*) AS exchanges,"
        " CAST(SUM(CASE WHEN p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS harvested,"
        ' COUNT(DISTINCT p.account) AS accounts, MIN(p.ts) AS first, MIN(p."row") AS place FROM posteriors p'
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account"
        " GROUP BY p.cluster, CAST(FLOOR(p.ts / 86400000000) AS BIGINT), p.model"
    )
    # By first use within the day: the value of a hash decides nothing.
    columns = {
        "campaign_id": _named(names, table["cluster"]),
        "day": _moments(pc.multiply(table["day"], _DAY)),
        "model": pa.array([None if m is None else f"{m & (2**64 - 1):016x}" for m in table["model"].to_pylist()]),
        **{name: table[name] for name in ("exchanges", "harvested", "accounts", "first", "place")},
    }
    order = [(name, "ascending") for name in ("campaign_id", "day", "first", "place")]
    return pa.table(columns).sort_by(order).select(schema.MODELS.names).cast(arrow_schema(schema.MODELS))
