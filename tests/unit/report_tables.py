"""Hand-made tables of a scan, as a report reads them: realistic in shape, invented in every value."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model import schema
from clonewatch.pipeline.reporting.result_folder import ResultFolder
from clonewatch.ports.signal import Card, Signal

START = datetime(2026, 4, 22, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\u202egnp.exe"

SIGNALS = (
    Signal(
        "payment",
        "link",
        Card(
            "Shared payment instrument",
            "identity",
            "Accounts paid for with one instrument that trusted accounts do not use.",
            "One instrument per account.",
            "A company card, an agency that pays for its clients, a cloud marketplace.",
            "Trusted accounts use it too, or the accounts have one declared owner.",
        ),
        (("accounts.payment_fingerprint",),),
    ),
    Signal(
        "work_partition",
        "behaviour",
        Card(
            "Work divided without repeats",
            "content",
            "Unrelated accounts that ask near each other but never the same thing.",
            "Many answers drawn for each question.",
            "One team that splits its test set.",
            "A declared owner; people repeat each other.",
        ),
        (("exchanges.prompt_id", "exchanges.cell"),),
    ),
    Signal(
        "reasoning_replay",
        "behaviour",
        Card(
            "Reasoning signatures replayed",
            "elicitation",
            "Signatures redeemed outside the session they were issued in.",
            "Signatures that are not logged.",
            "A conversation moved to a new session.",
            "Rare, and within one account.",
        ),
        (("exchanges.signature_id", "exchanges.signature_session_id"),),
    ),
)


def table(shape: schema.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table of the scan, absent values null."""
    return pa.Table.from_pylist(rows, schema=arrow_schema(shape))


def campaign(name: str = "C1", *, flagged: bool = True, accounts: int = 180, **other: Any) -> dict[str, Any]:
    """One row of the campaigns table."""
    return {
        "campaign_id": name,
        "score": 5.4 if flagged else 1.1,
        "threshold_ratio": 1.31 if flagged else 0.42,
        "p_value": 0.0045 if flagged else 0.37,
        "p_n": 220,
        "e_value": 221.0 if flagged else 0.0,
        "stability": 0.973,
        "sub_clusters": 1,
        "merge_p_value": None,
        "flagged": flagged,
        "level": "L3" if flagged else "L1",
        "accounts": accounts,
        "exchanges": 61200,
        "harvested_exchanges": 48250,
        "first_ts": START + timedelta(hours=3),
        "last_ts": START + timedelta(days=44, hours=5),
        "visible_ts": START + timedelta(days=6, hours=14),
        "visible_exchanges": 4100,
        "visible_is_first_flag": False,
        "tasks": [("software_engineering", 21000), ("reasoning", 14250), ("agentic_tool_use", 9000), ("grading", 4000)],
        "evidence": [{"signal": "payment", "family": "identity", "bits": 18.0, "reason": "Few cards pay for many."}],
        **other,
    }


def members(name: str, accounts: int) -> list[dict[str, Any]]:
    """Members of a campaign: mostly core, some fringe, a few bystanders."""
    roles = ["core"] * 8 + ["fringe", "proxy_customer"]
    return [
        {
            "campaign_id": name,
            "account_id": f"{name}-acct-{i:05d}",
            "membership": round(1.0 - i / (2 * accounts), 4),
            "role": roles[i % 10],
            "harvested_exchanges": 268 - i % 40,
            "exchanges": 340,
            "first_ts": START + timedelta(days=i % 30, hours=3),
            "last_ts": START + timedelta(days=min(44, 8 + i % 40), hours=5),
            "created_ts": START - timedelta(days=20 - i % 30),
            "banned_ts": START + timedelta(days=8 + i % 40, hours=5) if i % 4 == 1 else None,
            "unbanned_ts": None,
        }
        for i in range(accounts)
    ]


def evidence(name: str) -> list[dict[str, Any]]:
    """Two families for, one against, one without a result."""
    return [
        {
            "campaign_id": name,
            "signal": "payment",
            "family": "identity",
            "kind": "link",
            "bits": 18.2,
            "value": 0.0,
            "reference": 0.21,
            "n": 180,
            "reason": "180 accounts pay with 4 instruments; no trusted account does.",
            "innocent": "A company card used by one firm's teams.",
            "ruled_out": "No two of the accounts share a declared organisation.",
            "exchange_ids": ["ex-000017", "ex-000423"],
        },
        {
            "campaign_id": name,
            "signal": "work_partition",
            "family": "content",
            "kind": "behaviour",
            "bits": 9.6,
            "value": 3.1,
            "reference": 0.2,
            "n": 44210,
            "reason": "In a topic cell two accounts ask the same question 20 times less often than"
            " calibration groups do.",
            "innocent": "One team that splits a test set.",
            "ruled_out": None,
            "exchange_ids": ["ex-000018"],
        },
        {
            "campaign_id": name,
            "signal": "night_rest",
            "family": "timing",
            "kind": "against",
            "bits": -2.4,
            "value": 0.4,
            "reference": None,
            "n": 44,
            "reason": "Traffic falls by half at night, as people's does.",
            "innocent": None,
            "ruled_out": None,
            "exchange_ids": [],
        },
        {
            "campaign_id": name,
            "signal": "reasoning_replay",
            "family": "elicitation",
            "kind": "behaviour",
            "bits": None,
            "value": None,
            "reference": None,
            "n": 0,
            "reason": None,
            "innocent": None,
            "ruled_out": None,
            "exchange_ids": None,
        },
    ]


def ties(name: str, accounts: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Attributes in three signals, each carried by a deterministic part of the accounts."""
    attributes, carriers = [], []
    for place, (signal, parts) in enumerate((("payment", 4), ("egress", 3), ("template", 2))):
        for part in range(parts):
            held = [i for i in range(accounts) if (i * 7 // (place + 2)) % parts == part]
            key = f"{place:02x}{part:02x}9f3a7c11d2e4b6"
            attributes.append(
                {
                    "campaign_id": name,
                    "signal": signal,
                    "attribute": key,
                    "entities": len(held),
                    "users": len(held) + place * 3,
                    "trusted": place // 2,
                    "weight": 8.0 - place - part / 4,
                    "exchanges": 0 if signal == "payment" else 250 * len(held),
                }
            )
            carriers += [
                {"campaign_id": name, "signal": signal, "attribute": key, "account_id": f"{name}-acct-{i:05d}"}
                for i in held
            ]
    return attributes, carriers


def timeline(name: str, days: int = 45) -> list[dict[str, Any]]:
    """A ramp of several tasks with a weekly dip, as the lab's campaigns have."""
    wave = np.random.default_rng(3)
    rows = []
    for day in range(days):
        for task, level in (
            ("software_engineering", 520),
            ("reasoning", 340),
            ("agentic_tool_use", 220),
            ("grading", 100),
        ):
            rise = min(1.0, (day + 2) / 12) * (0.7 if day % 7 > 4 else 1.0) * wave.uniform(0.85, 1.15)
            rows.append(
                {
                    "campaign_id": name,
                    "day": START + timedelta(days=day),
                    "task": task,
                    "exchanges": int(level * rise * 1.27),
                    "harvested": int(level * rise),
                    "accounts": int(150 * rise),
                }
            )
    return rows


def models(name: str, days: int = 45) -> list[dict[str, Any]]:
    """Two models, the second from its release on."""
    return [
        {
            "campaign_id": name,
            "day": START + timedelta(days=day),
            "model": key,
            "exchanges": 900 - 200 * place,
            "harvested": 700 - 200 * place,
            "accounts": 150,
        }
        for day in range(days)
        for place, key in enumerate(("76c2af55a5bba2b8", "ee697972e8f9ed92"))
        if place == (day >= 20)
    ]


def scan(flagged: int = 2, linked: int = 1, accounts: int = 180) -> dict[str, pa.Table]:
    """All tables of a scan with so many flagged and linked groups of so many accounts."""
    names = [(f"C{i + 1}", True) for i in range(flagged)] + [(f"G{i + 1}", False) for i in range(linked)]
    tied = {name: ties(name, accounts) for name, _ in names}
    return {
        "campaigns": table(schema.CAMPAIGNS, [campaign(n, flagged=f, accounts=accounts) for n, f in names]),
        "members": table(schema.MEMBERS, [row for n, _ in names for row in members(n, accounts)]),
        "attribution": table(
            schema.ATTRIBUTION, [{"exchange_id": "ex-000017", "campaign_id": n, "posterior": 0.97} for n, _ in names]
        ),
        "evidence": table(schema.EVIDENCE, [row for n, _ in names for row in evidence(n)]),
        "attributes": table(schema.ATTRIBUTES, [row for n, _ in names for row in tied[n][0]]),
        "attribute_accounts": table(schema.ATTRIBUTE_ACCOUNTS, [row for n, _ in names for row in tied[n][1]]),
        "timeline": table(schema.TIMELINE, [row for n, _ in names for row in timeline(n)]),
        "models": table(schema.MODELS, [row for n, _ in names for row in models(n)]),
    }


def summary() -> dict[str, Any]:
    """What scan.json holds after such a scan."""
    return {
        "schema": "clonewatch.scan.v1",
        "version": "0.1.0",
        "window": {"first": "2026-04-22T00:00:04+00:00", "last": "2026-06-05T23:59:41+00:00"},
        "inputs": [
            {
                "path": "logs/may.ndjson.gz",
                "bytes": 912345678,
                "sha256": "ab" * 32,
                "format": "ndjson",
                "read": 2250318,
                "rejected": 118,
            }
        ],
        "settings": {"seed": 0, "memory": "1GB", "mapping": None},
        "versions": {"python": "3.11.9", "duckdb": "1.4.1"},
        "counts": {
            "read": 2250318,
            "rejected": 118,
            "duplicate": 200,
            "kept": 2250000,
            "accounts": 50870,
            "entities": 48112,
            "trusted": 9822,
        },
        "trust": {"source": "declared", "share": 0.204},
        "stages": [{"name": "read", "seconds": 41.2, "cpu_seconds": 60.1, "rows": 2250000, "bytes": 912345678}],
        "peak_memory_mb": 611.0,
        "signals": [
            {"name": "payment", "kind": "link", "family": "identity", "used": True, "missing": [], "attributes": 412},
            {
                "name": "work_partition",
                "kind": "behaviour",
                "family": "content",
                "used": True,
                "missing": [],
                "attributes": None,
            },
            {
                "name": "reasoning_replay",
                "kind": "behaviour",
                "family": "elicitation",
                "used": False,
                "missing": ["exchanges.signature_id"],
                "attributes": None,
            },
        ],
        "chance": [
            {
                "signal": "synchrony",
                "caption": "Groups found, and those that chance leaves.",
                "rows": [
                    {"scale_seconds": 60, "groups": 3, "accounts": 412, "null_groups": 0.2, "null_accounts": 1.4},
                    {"scale_seconds": 3600, "groups": 9, "accounts": 700, "null_groups": 7.5, "null_accounts": 610.0},
                ],
            }
        ],
        "calibration": {
            "source": "simulated worlds without an attack",
            "logs": 300,
            "groups": 1234,
            "beyond_threshold": 3,
            "strata": {"any": 1234, "declared": 700, "declared, 80 up entities": 220},
        },
        "linked_groups": [["declared", 180, 1.31], ["declared", 180, 1.31], ["declared", 180, 0.42]],
        "clustering_seeds": 10,
        "thresholds": {"flag": {"score_bits": 12.0, "families": 2}, "false_discoveries": 0.05},
        "warnings": ["Unknown columns were left out: colour, flavour."],
    }


def publish(folder: Path, tables: dict[str, pa.Table], said: dict[str, Any] | None = None) -> Path:
    """Write tables as a scan would. said: the summary; the usual one if None."""
    full = {known.name: tables.get(known.name, arrow_schema(known).empty_table()) for known in schema.RESULTS}
    with ResultFolder(folder) as result:
        result.publish(full, summary() if said is None else said, "")
    return folder
