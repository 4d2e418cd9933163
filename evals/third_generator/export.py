"""Writes a world as a log folder with labels, without the columns that this world's operator does not log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model.schema import ACCOUNTS, EXCHANGES, Table
from evals.third_generator import ranges
from evals.third_generator.fingerprints import Gateway
from evals.third_generator.world import DAY, LARGE, Call, World

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
# The columns behind each name in ranges.MISSING, of exchanges and of accounts.
_BEHIND = {
    "trusted": ("anchor",),
    "payment": ("payment_fingerprint", "payment_class", "issuer_class", "billing_country"),
    "address": ("client_ip", "signup_ip"),
    "device": ("device_fingerprint", "phone_prefix"),
    "e-mail": ("email_domain", "email_pattern"),
    "network": ("asn", "egress"),
    "client": ("user_agent", "sdk"),
    "tls": ("tls_fingerprint",),
    "session": ("session_id", "turn"),
    "parameters": ("max_tokens", "temperature", "stream"),
    "latency": ("latency_ms",),
    "sign-up": ("created_at", "referrer"),
    "key": ("api_key_id",),
    "country": ("country",),
}


def export(world: World, folder: Path) -> dict[str, Any]:
    """Write the folder; returns what it contains and lacks."""
    random = world.random
    missing = [name for name, p in ranges.MISSING.items() if random.random() < p]
    dropped = {c for name in missing for c in _BEHIND.get(name, ())}
    gateway = Gateway(world.seed) if world.seed % 2 == 0 else None
    share = random.uniform(*ranges.TRUSTED)
    for account in world.accounts.values():
        trusted = account.role != "member" and account.created < 0 and random.random() < share
        account.facts["anchor"] = trusted or account.facts.get("org_declared") is True
    outages = _outages(world)
    calls = sorted(world.calls, key=lambda c: (c.ts, c.account, c.turn))
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "exchanges").mkdir(parents=True)
    (folder / "labels").mkdir()
    hashed = gateway or Gateway(world.seed)
    hide = "hashed address" in missing

    def place(ip: str | None) -> str | None:
        return f"{hashed.hash('ip' + ip):016x}" if hide and ip else ip

    rows = list(_rows(world, calls, outages, gateway, place))
    _write(folder / "exchanges" / "part-0.parquet", EXCHANGES, rows, dropped)
    _write(
        folder / "accounts.parquet",
        ACCOUNTS,
        [
            {"account_id": a.id, "created_at": _time(a.created)}
            | a.facts
            | {"signup_ip": place(a.facts.get("signup_ip"))}
            for a in sorted(world.accounts.values(), key=lambda a: a.id)
        ],
        dropped,
    )
    if "events" not in missing:
        events = [*world.events, {"ts": world.release, "kind": "model_release", "model": LARGE}]
        events += [{"ts": a, "kind": "outage", "until": _time(b)} for a, b in outages]
        events = sorted(
            (e for e in events if e["ts"] < world.days * DAY), key=lambda e: (e["ts"], e.get("account_id", ""))
        )
        stamp = pa.timestamp("us", "UTC")
        schema = pa.schema(
            [
                ("ts", stamp),
                ("kind", pa.string()),
                ("account_id", pa.string()),
                ("model", pa.string()),
                ("until", stamp),
            ]
        )
        table = [{n: e.get(n) for n in schema.names} | {"ts": _time(e["ts"])} for e in events]
        pq.write_table(pa.Table.from_pylist(table, schema), folder / "events.parquet")
    _labels(world, calls, folder / "labels")
    roles: dict[str, int] = {}
    for account in world.accounts.values():
        roles[account.role] = roles.get(account.role, 0) + 1
    return {
        "seed": world.seed,
        "days": world.days,
        "accounts": len(world.accounts),
        "exchanges": len(calls),
        "roles": dict(sorted(roles.items())),
        "missing": missing,
        "text": gateway is None,
        "trusted": 0 if "trusted" in missing else sum(bool(a.facts["anchor"]) for a in world.accounts.values()),
    }


def _time(seconds: float) -> datetime:
    return START + timedelta(microseconds=int(seconds * 1e6))


def _outages(world: World) -> list[tuple[float, float]]:
    random = world.random
    starts = [random.uniform(1, world.days - 1) * DAY for _ in range(random.randint(0, 3))]
    return sorted((s, s + random.uniform(900, 5400)) for s in starts)


def _rows(
    world: World, calls: list[Call], outages: list[tuple[float, float]], gateway: Gateway | None, place: Any
) -> Iterable[dict[str, Any]]:
    random = world.random
    failed = random.uniform(*ranges.FAILED)
    habits: dict[str, tuple[Any, ...]] = {}
    for i, c in enumerate(calls):
        if c.account not in habits:
            habits[c.account] = (
                random.choice((None, 1024, 2048, 4096)),
                random.choice((None, 0.0, 0.7, 1.0)),
                random.random() < 0.6,
            )
        limit, temperature, stream = habits[c.account]
        down = any(a <= c.ts < b for a, b in outages)
        status = 503 if down else random.choice((429, 500)) if random.random() < failed else 200
        answer = 0 if status != 200 else min(c.answer, limit or 8_000)
        asked = int((len(c.text) + len(c.system)) / 4.2) + c.turn * 180 + 3
        row: dict[str, Any] = {
            "exchange_id": f"x{i:08d}",
            "ts": _time(c.ts),
            "account_id": c.account,
            "org_id": world.accounts[c.account].facts.get("org_id"),
            "api_key_id": f"key_{c.account[5:]}",
            "end_user_id": c.end_user,
            "session_id": c.session,
            "turn": c.turn,
            "channel": c.channel,
            "operation": "chat",
            "model": c.model,
            "status": status,
            "stop_reason": None
            if status != 200
            else "length"
            if answer == limit
            else "tool_use"
            if c.tools and random.random() < 0.85
            else "stop",
            "input_tokens": asked,
            "output_tokens": answer,
            "reasoning_tokens": answer // 2 if c.model.startswith("thinker") else 0,
            "latency_ms": 300 + answer * 14 + random.randint(0, 900),
            "stream": stream,
            "max_tokens": limit,
            "temperature": temperature,
            "n": c.n,
            "tools_count": c.tools,
            "client_ip": place(c.address.ip),
            "asn": c.address.asn,
            "country": c.address.country,
            "egress": c.address.egress,
            "user_agent": c.client,
            "sdk": c.client.split("/")[0],
            "tls_fingerprint": f"t13d_{c.client[:6]}",
        }
        if gateway is None:
            row["system_text"] = c.system or None
            row["messages"] = json.dumps([{"role": "user", "content": c.text}])
        else:
            row |= gateway.of(c.system, c.text, c.tools > 0)
        yield row


def _write(path: Path, table: Table, rows: list[dict[str, Any]], dropped: set[str]) -> None:
    """A table without dropped columns and without columns that are empty in every row."""
    used = {k for row in rows for k, v in row.items() if v is not None} - dropped
    fields = [f for f in arrow_schema(table) if f.name in used]
    columns = [pa.array((r.get(f.name) for r in rows), f.type) for f in fields]
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)), path)


def _labels(world: World, calls: list[Call], folder: Path) -> None:
    accounts = sorted(world.accounts.values(), key=lambda a: a.id)
    harvested = [(f"x{i:08d}", c.campaign) for i, c in enumerate(calls) if c.campaign]
    strings = pa.string()
    table = {
        "account_id": pa.array([a.id for a in accounts], strings),
        "campaign_id": pa.array([a.campaign for a in accounts], strings),
        "role": pa.array([a.role for a in accounts], strings),
    }
    pq.write_table(pa.table(table), folder / "accounts.parquet")
    ids, names = pa.array([x for x, _ in harvested], strings), pa.array([c for _, c in harvested], strings)
    pq.write_table(pa.table({"exchange_id": ids, "campaign_id": names}), folder / "exchanges.parquet")
