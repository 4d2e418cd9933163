"""Writes a world to files, with the columns that its operator keeps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.model.schema import ACCOUNTS, EXCHANGES
from evals.second_generator.other_world import COUNTRIES, EGRESS, NONE, TASKS, Column, OtherWorld, mix
from evals.second_generator.processes import DAY

# Logs begin early in 2026; the date has no other effect.
EPOCH = 1_767_225_600
STAMP = pa.timestamp("us", tz="UTC")
TYPES = {
    "int16": pa.int16(),
    "int32": pa.int32(),
    "float32": pa.float32(),
    "bool": pa.bool_(),
    "uint64": pa.uint64(),
    "string": pa.string(),
    "timestamp": STAMP,
}
CHANNELS = ("direct", "cloud", "aggregator", "console")
# Columns that are always present: a row without them is no exchange.
KEPT = {"exchange_id", "ts", "account_id"}
# Columns from one source are present or absent together.
BUNDLES = ({"session_id", "turn"}, {"user_agent", "sdk"}, {"asn", "egress"})


def write(world: OtherWorld, out: Path, campaign: str | None, seed: int) -> dict[str, Any]:
    """Write the log folder of a world; returns what `scenario.json` says. The same world gives the same bytes."""
    rng = world.rng
    trusted = _trusted(world)
    names = np.array([f"u{h:016x}" for h in mix(np.arange(len(trusted)), seed + 11).tolist()], dtype=object)
    rows = {k: np.concatenate([r[k] for r in world.log]) for k in world.log[0]}
    rows = _outages(world, rows)
    order = np.lexsort((rows["session"], rows["ts"]))
    rows = {k: v[order] for k, v in rows.items()}
    ids = pa.array([f"q{h:016x}" for h in mix(np.arange(len(order)), seed + 13).tolist()])
    log = _exchanges(world, rows, ids, names, seed)
    absent = sorted(c for c in log.column_names if c not in KEPT and rng.random() < world.parameters.unlogged)
    for bundle in BUNDLES:
        if bundle & set(absent):
            absent = sorted(set(absent) | bundle)
    facts = _accounts(world, names, trusted, seed)
    unknown = sorted(c for c in facts.column_names[1:] if c != "anchor" and rng.random() < world.parameters.unlogged)
    (out / "exchanges").mkdir(parents=True)
    (out / "labels").mkdir()
    pq.write_table(_blanked(world, log.drop_columns(absent)), out / "exchanges" / "part-0000.parquet")
    pq.write_table(facts.drop_columns(unknown), out / "accounts.parquet")
    pq.write_table(_events(world, names), out / "events.parquet")
    held = rows["harvest"]
    labels = {"account_id": names, "campaign_id": world.book["campaign"], "role": world.book["role"]}
    pq.write_table(
        pa.table({k: pa.array(v, pa.string()) for k, v in labels.items()}), out / "labels" / "accounts.parquet"
    )
    harvested = pa.table(
        {"exchange_id": ids.filter(pa.array(held)), "campaign_id": pa.array([campaign] * int(held.sum()), pa.string())}
    )
    pq.write_table(harvested, out / "labels" / "exchanges.parquet")
    said = {
        "campaign": campaign,
        "seed": seed,
        "size": world.size,
        "days": world.parameters.days,
        "accounts": len(names),
        "exchanges": log.num_rows,
        "harvested": int(held.sum()),
        "trusted": int(trusted.sum()),
        "absent_columns": absent,
        "absent_account_facts": unknown,
    }
    (out / "scenario.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return said


def _trusted(world: OtherWorld) -> Column:
    """Trusted accounts: mostly old, paying or contracted ones; sometimes, by mistake, members of a campaign."""
    rng, book = world.rng, world.book
    n = len(book["role"])
    member = book["role"] == "member"
    weight = 1.0 + 2.0 * (book["created"] < -90 * DAY) + 1.5 * (book["pay_class"] == "invoice") + 4.0 * book["declared"]
    weight = np.where(book["created"] > -7 * DAY, 0.0, weight) * ~member
    want = min(round(world.parameters.trusted_share * n), int((weight > 0).sum()))
    found = np.zeros(n, dtype=bool)
    found[rng.choice(n, want, replace=False, p=weight / weight.sum())] = True
    return np.asarray(found | (member & (rng.random(n) < world.parameters.mistaken_trust)))


def _outages(world: OtherWorld, rows: dict[str, Column]) -> dict[str, Column]:
    """Zero to two outages: most requests are lost, and many are repeated in the minutes after."""
    rng, ts = world.rng, rows["ts"]
    lost = np.zeros(len(ts), dtype=bool)
    for _ in range(int(rng.integers(0, 3))):
        begin, long = float(rng.uniform(0, world.end * 0.97)), float(rng.uniform(900, 10_000))
        struck = (ts >= begin) & (ts < begin + long)
        back = struck & (rng.random(len(ts)) < 0.3)
        ts = np.where(back, begin + long + rng.exponential(240, len(ts)), ts)
        lost |= struck & ~back
        world.happened.append((begin, "outage", NONE, None, begin + long))
    return {k: v[~lost] for k, v in (rows | {"ts": ts}).items()}


def _start(world: OtherWorld) -> int:
    return EPOCH + 86_400 * (world.parameters.weekday + 28)


def _instants(world: OtherWorld, seconds: Column) -> pa.Array:
    return pa.array(np.round((seconds + _start(world)) * 1e6).astype(np.int64), pa.int64()).cast(STAMP)


def _hashes(code: Column, salt: int) -> pa.Array:
    return pa.array(mix(code, salt), pa.uint64(), mask=code == NONE)


def _words(code: Column, salt: int, prefix: str) -> pa.Array:
    """Codes as opaque strings; computed once per distinct code."""
    unique, back = np.unique(code, return_inverse=True)
    names = pa.array(
        [
            None if u == NONE else f"{prefix}{h:016x}"
            for u, h in zip(unique.tolist(), mix(unique, salt).tolist(), strict=True)
        ],
        pa.string(),
    )
    return names.take(pa.array(back))


def _exchanges(world: OtherWorld, rows: dict[str, Column], ids: pa.Array, names: Column, seed: int) -> pa.Table:
    book, rng, n = world.book, world.rng, len(ids)
    who, client, net = rows["account"], rows["client"], rows["net"]
    bad = rows["status"] != 200
    out = np.where(bad, 0, rows["output_tokens"])
    think = (rows["model"] == 3) & ~bad
    columns: dict[str, Any] = {
        "exchange_id": ids,
        "ts": _instants(world, rows["ts"]),
        "account_id": pa.array(names).take(pa.array(who)),
        "org_id": _words(book["org"][who], seed, "o"),
        "api_key_id": _words(who * 8 + rows["key"], seed + 1, "k"),
        "end_user_id": _words(rows["end_user"], seed + 2, "e"),
        "session_id": _words(rows["session"], seed + 3, "s"),
        "turn": rows["turn"],
        "channel": np.array(CHANNELS, object)[rows["channel"]],
        "operation": np.where(rows["batch"], "batch", "chat").astype(object),
        "model": np.array(world.models, object)[rows["model"]],
        "status": rows["status"],
        "stop_reason": pa.array(np.full(n, "end_turn", object), pa.string(), mask=bad),
        "input_tokens": rows["input_tokens"],
        "output_tokens": out,
        "reasoning_tokens": np.where(think, out * rng.gamma(2, 1.0, n), 0),
        "cached_tokens": np.where(rows["turn"] > 0, rows["input_tokens"] * 0.6, 0),
        "latency_ms": 350 + out * rng.gamma(8, 2.2, n),
        "stream": rows["stream"],
        "temperature": pa.array(rows["temperature"].astype(np.float32), from_pandas=True),
        "max_tokens": pa.array(rows["max_tokens"].astype(np.int32), pa.int32(), mask=rows["max_tokens"] == NONE),
        "n": rows["n"],
        "tools_count": rows["tools_count"],
        "client_ip": pa.array(world.ips).take(pa.array(net)),
        "asn": np.array(world.systems)[net],
        "country": np.array([c[0] for c in COUNTRIES], object)[np.array(world.places)[net]],
        "egress": np.array(EGRESS, object)[np.array(world.kinds)[net]],
        "user_agent": np.array([c[0] for c in world.clients], object)[client],
        "sdk": np.array([c[1] for c in world.clients], object)[client],
        "tls_fingerprint": np.array([c[2] for c in world.clients], object)[client],
        "system_hash": _hashes(rows["system"], seed + 4),
        "tools_hash": _hashes(rows["tools"], seed + 5),
        "template_id": _hashes(rows["template"], seed + 6),
        "prompt_id": _hashes(rows["prompt"], seed + 7),
        "format_hash": _hashes(rows["format"], seed + 8),
        "cell": rows["cell"],
        "task": np.array(TASKS, object)[rows["task"]],
        "elicitation": rows["elicitation"],
    }
    return _table(EXCHANGES.columns, columns)


def _accounts(world: OtherWorld, names: Column, trusted: Column, seed: int) -> pa.Table:
    book = world.book
    ips = np.array(world.ips, object)[book["signup_net"]]
    return _table(
        ACCOUNTS.columns,
        {
            "account_id": names,
            "created_at": _instants(world, book["created"]),
            "org_id": _words(book["org"], seed, "o"),
            "org_declared": book["declared"],
            "anchor": trusted,
            "programme": book["programme"],
            "plan": book["plan"],
            "payment_fingerprint": _words(book["pay"], seed + 20, "p"),
            "payment_class": book["pay_class"],
            "issuer_class": book["issuer"],
            "billing_country": np.array([c[0] for c in COUNTRIES], object)[book["country"]],
            "email_domain": book["domain"],
            "email_pattern": book["shape"],
            "device_fingerprint": _words(book["device"], seed + 21, "d"),
            "phone_prefix": book["phone"],
            "signup_ip": ips,
            "referrer": book["referrer"],
            "declared_use": book["declared_use"],
            "training_permitted": pa.array(book["permitted"], pa.bool_(), mask=~book["permitted"]),
        },
    )


def _table(known: tuple[Any, ...], columns: dict[str, Any]) -> pa.Table:
    """Columns in the order and with the types of the schema."""
    return pa.table({c.name: _typed(columns[c.name], TYPES[c.type]) for c in known if c.name in columns})


def _typed(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if pa.types.is_integer(kind):
        return pa.array(np.asarray(values).astype(np.int64)).cast(kind)
    return pa.array(values.astype(np.float32) if pa.types.is_floating(kind) else values, kind)


def _blanked(world: OtherWorld, log: pa.Table) -> pa.Table:
    """Blank some values of some optional columns."""
    for i, name in enumerate(log.column_names):
        if name not in KEPT and world.chance(0.3):
            lost = world.rng.random(log.num_rows) < world.parameters.blanks
            log = log.set_column(i, name, pc.if_else(pa.array(lost), pa.scalar(None, log[name].type), log[name]))
    return log


def _events(world: OtherWorld, names: Column) -> pa.Table:
    rows = sorted(world.happened, key=lambda e: e[0])
    instant = [_start(world) + e[0] for e in rows]
    until = [None if e[4] is None else int((_start(world) + e[4]) * 1e6) for e in rows]
    return pa.table(
        {
            "ts": pa.array([int(t * 1e6) for t in instant], pa.int64()).cast(STAMP),
            "kind": pa.array([e[1] for e in rows], pa.string()),
            "account_id": pa.array([None if e[2] == NONE else names[e[2]] for e in rows], pa.string()),
            "model": pa.array([e[3] for e in rows], pa.string()),
            "until": pa.array(until, pa.int64()).cast(STAMP),
        }
    )
