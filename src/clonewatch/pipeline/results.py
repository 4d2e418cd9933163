"""The tables of a scan (`model.schema.RESULTS`) from what detection found. All sorted: equal runs, equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import attribution
from clonewatch.campaigns.fusion import BITS_PER_BAN, LINK_BANS, Verdict
from clonewatch.graph import fragments
from clonewatch.graph.clusters import SMALLEST
from clonewatch.graph.tied import carriers
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model import schema
from clonewatch.model.schema import TASKS, Table
from clonewatch.pipeline.basis import evidence_of
from clonewatch.pipeline.detect import is_reported
from clonewatch.pipeline.findings import Findings
from clonewatch.pipeline.plan import Plan

_DAY = 86_400_000_000
_TOKENS_TOLD = 40
# A slice of fewer exchanges than this has not shown enough to be tested.
_VISIBLE_EXCHANGES = 200
_BESIDE = ["cluster", "account", "exchanges"]
ATTRIBUTED = arrow_schema(schema.ATTRIBUTION)
_Rows = list[dict[str, Any]]


def build(plan: Plan, found: Findings, account_ids: list[str]) -> dict[str, pa.Table]:
    """All result tables by name, but for `attribution`, which may be as long as the log."""
    told, names = _told(found), _names(found)
    ids = pa.array(account_ids, pa.string())
    members = _members(plan, found, names, ids)
    totals = _totals(plan, members)
    seen = _visible(plan, found)
    basis = evidence_of(plan, found)
    parts = _parts(found)
    campaigns: _Rows = []
    evidence: _Rows = []
    for verdict in told:
        name = names[verdict.cluster]
        rows = basis(verdict, name)
        evidence += rows
        worth = found.standings[verdict.cluster]
        total = totals.get(verdict.cluster, {})
        when, before = seen.get(verdict.cluster, (None, None))
        campaigns.append({
            "campaign_id": name, "score": verdict.bits / BITS_PER_BAN, "margin": verdict.margin,
            "p_value": worth.p_value, "p_n": worth.n, "e_value": worth.e_value,
            "stability": found.stability.get(verdict.cluster),
            "parts": parts.get(verdict.cluster, (1, None))[0], "parts_p": parts.get(verdict.cluster, (1, None))[1],
            "flagged": verdict.flagged, "level": verdict.level, "visible_ts": when, "visible_exchanges": before,
            "replayed": verdict.cluster in found.crossings,
            "tasks": list(total.pop("tasks", {}).items()), **total,
            "evidence": [{k: r[k] for k in ("signal", "family", "bits", "reason")} for r in rows],
        })  # fmt: skip
    tokens, carriers = _tokens(plan, found, names, ids)
    return {
        "campaigns": _table(schema.CAMPAIGNS, campaigns),
        "members": members.drop_columns(_BESIDE),
        "evidence": _table(schema.EVIDENCE, evidence),
        "tokens": tokens,
        "token_members": carriers,
        "timeline": _timeline(plan, names),
    }


def _parts(found: Findings) -> dict[int, tuple[int, float]]:
    """Per joined cluster: how many groups without a common token it was joined from, and the largest p-value."""
    out: dict[int, tuple[int, float]] = {}
    for row in found.joined.to_pylist():
        out[row["cluster"]] = (out.get(row["cluster"], (0, 0.0))[0] + 1, row["p_value"])
    return out


def _table(table: Table, rows: _Rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=arrow_schema(table))


def _named(names: dict[int, str], cluster: pa.ChunkedArray | pa.Array) -> pa.Array:
    return pa.array([names[c] for c in cluster.to_pylist()], pa.string())


def _members(plan: Plan, found: Findings, names: dict[int, str], ids: pa.Array) -> pa.Table:
    """Accounts of reported clusters: MEMBERS with the cluster number and all exchanges of the account beside it."""
    table = plan.engine.fetch(
        "SELECT p.cluster, p.entity, p.account, COUNT(*) AS exchanges, g.mass,"
        " CAST(SUM(CASE WHEN p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS harvested,"
        " CAST(SUM(CASE WHEN p.likeness >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS alike, r.belief"
        " FROM posteriors p JOIN groups g ON g.cluster = p.cluster AND g.entity = p.entity"
        " JOIN reported r ON r.cluster = p.cluster"
        " GROUP BY p.cluster, p.entity, p.account, g.mass, r.belief ORDER BY p.cluster, p.account"
    )
    keys = zip(table["cluster"].to_pylist(), table["entity"].to_pylist(), strict=True)
    ways = np.array([found.ways.get(key, 0) for key in keys], np.int64)
    alike, exchanges = table["alike"].to_numpy(), table["exchanges"].to_numpy()
    pairs = zip(table["cluster"].to_pylist(), table["entity"].to_pylist(), strict=True)
    together = np.array([found.consensus.get(pair, 1.0) for pair in pairs])
    score, role = attribution.membership(alike, exchanges, table["mass"].to_numpy(), ways, together)
    out = pa.table({
        "campaign_id": _named(names, table["cluster"]),
        "account_id": ids.take(table["account"].combine_chunks()),
        "membership": pa.array(score * table["belief"].to_numpy(), pa.float64()),
        "role": pa.array(role.tolist(), pa.string()),
        "harvested_exchanges": table["harvested"],
        "cluster": table["cluster"],
        "account": table["account"],
        "exchanges": table["exchanges"],
    })  # fmt: skip
    order = [("campaign_id", "ascending"), ("membership", "descending"), ("account_id", "ascending")]
    out = out.sort_by(order)
    head = arrow_schema(schema.MEMBERS)
    inside = out.filter(pc.not_equal(out["role"], "proxy_customer")).select(["cluster", "account"])
    plan.put("member_accounts", inside)
    return out.cast(pa.schema([*head, *(out.schema.field(c) for c in _BESIDE)]))


def _totals(plan: Plan, members: pa.Table) -> dict[int, dict[str, Any]]:
    """Per cluster: member accounts, their exchanges, harvested exchanges with first and last, and tasks."""
    out: dict[int, dict[str, Any]] = {}
    inside = members.filter(pc.not_equal(members["role"], "proxy_customer"))
    for row in inside.group_by("cluster").aggregate([("account_id", "count"), ("exchanges", "sum")]).to_pylist():
        out[row["cluster"]] = {"accounts": row["account_id_count"], "exchanges": row["exchanges_sum"]}
    harvest = plan.engine.fetch(
        "SELECT p.cluster, p.task, COUNT(*) AS n, MIN(p.ts) AS first_ts, MAX(p.ts) AS last_ts FROM posteriors p"
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account WHERE p.posterior >= 0.5"
        " GROUP BY p.cluster, p.task ORDER BY p.cluster, n DESC, p.task"
    )
    for row in harvest.to_pylist():
        total = out.setdefault(row["cluster"], {"accounts": 0, "exchanges": 0})
        total["harvested_exchanges"] = total.get("harvested_exchanges", 0) + row["n"]
        total["first_ts"] = min(total.get("first_ts", row["first_ts"]), row["first_ts"])
        total["last_ts"] = max(total.get("last_ts", row["last_ts"]), row["last_ts"])
        total.setdefault("tasks", {})[_task(row["task"])] = row["n"]
    for total in out.values():
        total.setdefault("harvested_exchanges", 0)
    return out


def _task(code: int) -> str:
    return TASKS[code] if 0 <= code < len(TASKS) else "unknown"


def _visible(plan: Plan, found: Findings) -> dict[int, tuple[int, int]]:
    """When a scan would first have flagged it, or might have, and what had gone by then.

    Where nobody looked back it is when its slice first held enough parties and exchanges to be linked and tested.

    Enough parties: as many as make the linking line with no trusted account among them.
    """
    share = found.anchors.share
    need = max(SMALLEST, int(np.ceil(LINK_BANS / -np.log10(1 - share)))) if share > 0 else SMALLEST
    firsts = plan.engine.fetch(
        "SELECT s.cluster, s.ts, COUNT(*) AS n FROM (SELECT cluster, entity, MIN(ts) AS ts FROM slices"
        " GROUP BY cluster, entity) s JOIN reported r ON r.cluster = s.cluster GROUP BY s.cluster, s.ts"
        " ORDER BY s.cluster, s.ts"
    )
    enough = plan.engine.fetch(
        "SELECT cluster, ts FROM (SELECT s.cluster, s.ts,"
        ' ROW_NUMBER() OVER (PARTITION BY s.cluster ORDER BY s.ts, s."row") AS place'
        " FROM slices s JOIN reported r ON r.cluster = s.cluster) t WHERE place = $place",
        {"place": _VISIBLE_EXCHANGES},
    )
    tested = dict(zip(enough["cluster"].to_pylist(), enough["ts"].to_pylist(), strict=True))
    linked: dict[int, int] = {}
    counts: dict[int, int] = {}
    for cluster, ts, n in zip(*(firsts[c].to_pylist() for c in ("cluster", "ts", "n")), strict=True):
        counts[cluster] = counts.get(cluster, 0) + n
        if counts[cluster] >= need:
            linked.setdefault(cluster, ts)
    when = {c: max(t, tested[c]) for c, t in linked.items() if c in tested} | found.crossings
    if not when:
        return {}
    plan.put("visible", pa.table({"cluster": pa.array(list(when), pa.int32()), "seen": list(when.values())}))
    gone = plan.engine.fetch(
        "SELECT v.cluster, CAST(SUM(CASE WHEN p.ts < v.seen AND p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS n"
        " FROM visible v JOIN posteriors p ON p.cluster = v.cluster"
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account GROUP BY v.cluster"
    )
    return {c: (when[c], n) for c, n in zip(gone["cluster"].to_pylist(), gone["n"].to_pylist(), strict=True)}


def _tokens(plan: Plan, found: Findings, names: dict[int, str], ids: pa.Array) -> tuple[pa.Table, pa.Table]:
    """The strongest tokens of every reported cluster, and the accounts that carry them."""
    bound = found.clusters.bound  # sorted by cluster, strongest first
    cluster = bound["cluster"].to_numpy()
    place = np.arange(len(cluster)) - np.searchsorted(cluster, cluster)
    strongest = bound.filter(pa.array((place < _TOKENS_TOLD) & np.isin(cluster, list(names))))
    rows: _Rows = [
        {
            "campaign_id": names[row["cluster"]], "channel": row["channel"],
            "token": _hex(found, row["channel"], row["token"]), "accounts": row["inside"], "users": row["users"],
            "anchors": row["anchors"], "weight": row["weight"], "exchanges": row["n"],
        }
        for row in strongest.to_pylist()
    ]  # fmt: skip
    key = ["cluster", "channel", "token"]
    owned = plan.engine.fetch("SELECT entity, account FROM owners")
    tied = _carriers(found, strongest).join(owned, "entity", join_type="inner")
    places = {row: i for i, row in enumerate(zip(*(strongest[k].to_pylist() for k in key), strict=True))}
    carried = sorted(
        (names[c], channel, places[c, channel, token], _hex(found, channel, token), account)
        for c, channel, token, account in zip(
            *(tied[k].to_pylist() for k in key), ids.take(tied["account"].combine_chunks()).to_pylist(), strict=True
        )
    )
    head = ("campaign_id", "channel", "place", "token", "account_id")
    members: _Rows = [dict(zip(head, row, strict=True)) for row in carried]
    return _table(schema.TOKENS, rows), _table(schema.TOKEN_MEMBERS, members)


def _carriers(found: Findings, tokens: pa.Table) -> pa.Table:
    """Who carries these tokens: (cluster, channel, token, entity). Working a list that joins pieces is carrying it."""
    ties, name = found.clusters.ties, fragments.LINK.channel.name
    carried = carriers(found.clusters.groups, found.clusters.tied, tokens)
    joined = tokens.filter(pc.equal(tokens["channel"], name))["cluster"].combine_chunks()
    listed = ties.filter(pc.and_(pc.equal(ties["channel"], name), pc.is_in(ties["cluster"], joined)))
    # The token is the number of the cluster.
    listed = listed.append_column("token", listed["cluster"].cast(pa.int64()))
    return pa.concat_tables([carried, listed.select(carried.column_names)])


def _hex(found: Findings, channel: str, token: int) -> str:
    """A token as it is told: hashes as they are, the numbers of our own circles and hours by what they are."""
    if not found.links[channel].hashed:
        return f"{channel}-{token}"
    return f"{token & (2**64 - 1):016x}"


def attribution_of(plan: Plan, found: Findings, account_ids: list[str]) -> Iterator[pa.RecordBatch]:
    """Every exchange of every linked account, with its posterior: batches of ATTRIBUTION, sorted, never held whole."""
    # Sorted by numbers where it can be: names and account ids would be three quarters of what is sorted on disk.
    order = sorted((name, cluster) for cluster, name in _names(found).items())
    numbered = {
        "cluster": pa.array([c for _, c in order], pa.int32()),
        "place": pa.array(range(len(order)), pa.int32()),
    }
    plan.put("places", pa.table(numbered))
    names, ids = pa.array([name for name, _ in order], pa.string()), pa.array(account_ids, pa.string())
    told = plan.engine.stream(
        "SELECT n.place, x.exchange_id, CAST(p.posterior AS FLOAT) AS posterior, p.account FROM posteriors p"
        ' JOIN exchanges x ON x."row" = p."row" JOIN places n ON n.cluster = p.cluster ORDER BY n.place, x.exchange_id'
    )
    return (
        pa.RecordBatch.from_arrays(
            [batch["exchange_id"], names.take(batch["place"]), batch["posterior"], ids.take(batch["account"])],
            names=["exchange_id", "campaign_id", "posterior", "account_id"],
        ).cast(ATTRIBUTED)
        for batch in told
    )


def _told(found: Findings) -> list[Verdict]:
    """The clusters that are told of, flagged ones first."""
    return sorted((v for v in found.verdicts if is_reported(v)), key=lambda v: (not v.flagged, -v.bits, v.cluster))


def _names(found: Findings) -> dict[int, str]:
    return {v.cluster: f"C{i:04d}" for i, v in enumerate(_told(found), 1)}


def _timeline(plan: Plan, names: dict[int, str]) -> pa.Table:
    """Exchanges of member accounts by day and task."""
    table = plan.engine.fetch(
        "SELECT p.cluster, CAST(FLOOR(p.ts / 86400000000) AS BIGINT) AS day, p.task, COUNT(*) AS exchanges,"
        " CAST(SUM(CASE WHEN p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS harvested,"
        " COUNT(DISTINCT p.account) AS accounts FROM posteriors p"
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account"
        " GROUP BY p.cluster, CAST(FLOOR(p.ts / 86400000000) AS BIGINT), p.task ORDER BY p.cluster, day, p.task"
    )
    return pa.table(
        [
            _named(names, table["cluster"]),
            pa.array(table["day"].to_numpy() * _DAY).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            pa.array([_task(t) for t in table["task"].to_pylist()], pa.string()),
            table["exchanges"], table["harvested"], table["accounts"],
        ],
        schema=arrow_schema(schema.TIMELINE),
    ).sort_by([("campaign_id", "ascending"), ("day", "ascending"), ("task", "ascending")])  # fmt: skip
