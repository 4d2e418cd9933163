"""The example of docs/concepts.md is a log that is really scanned, and the page states what the scan says."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch import scan
from clonewatch.campaigns.fusion import BITS_PER_BAN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts.md"
DAYS, START = 30, datetime(2026, 4, 24, tzinfo=UTC)
OPERATOR = [f"a{i}" for i in range(1, 9)]
TOPICS, QUESTIONS = 60, 8  # of the operator's list; honest people ask about five times as many topics
ALL_TOPICS, PRIVATE = 300, 1 << 50
TOOL, TOOL_USERS, HONEST = 555, 80, 290
SCHOOL = range(181, 191)
TRUSTED = {*range(24), *range(80, 145), 181}


def operated(rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """A queue that deals every question of one list once, to eight accounts in turn, for two weeks."""
    questions = rng.permutation(TOPICS * QUESTIONS)
    step = timedelta(days=14) / len(questions)
    for place, question in enumerate(questions.tolist()):
        topic, number = divmod(question, QUESTIONS)
        yield {
            "account_id": OPERATOR[place % len(OPERATOR)],
            "ts": START + timedelta(days=10) + step * (place + 1.8 * rng.random()),
            "session_id": f"list-{place}",
            "turn": 0,
            "client_ip": "203.0.113.7",
            "system_hash": 777,
            "template_id": 888,
            "prompt_id": PRIVATE + 100 * topic + number,
            "cell": topic + 5,
            "task": "reasoning",
            "elicitation": 0.9,
        }


def personal(account: str, address: str, system: int | None, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """What a person does: some days, some conversations in bursts, popular topics and popular questions."""
    popular = 1 / np.arange(1, ALL_TOPICS + 1) ** 0.9
    days = rng.choice(DAYS, int(rng.integers(2, 8)), replace=False)
    left, hour = int(rng.lognormal(2.6, 1.0)) + 9, int(rng.integers(6, 22))
    while left > 0:
        ts = START + timedelta(days=int(rng.choice(days)), hours=float((hour + rng.normal(0, 2)) % 24))
        topic = int(rng.choice(ALL_TOPICS, p=popular / popular.sum()))
        turns = min(left, int(rng.geometric(0.45)))
        for turn in range(turns):
            ts += timedelta(seconds=float(rng.exponential(70)))
            yield {
                "account_id": account,
                "ts": ts,
                "session_id": f"{account}-{left}",
                "turn": turn,
                "client_ip": address,
                "system_hash": system,
                "template_id": None,
                "prompt_id": 5_000 * topic + int(min(rng.zipf(1.6), 4_000)),
                "cell": topic,
                "task": ("software_engineering", "chat", "reasoning")[int(rng.integers(3))],
                "elicitation": 0.9 if rng.random() < 0.02 else 0.0,
            }
        left -= turns


def write(folder: Path) -> None:
    """The log of the example: 301 accounts of 300 entities, 90 of them trusted."""
    rng, place = np.random.default_rng(1), count()
    rows = list(operated(rng))
    accounts = [{"account_id": a, "payment_fingerprint": "one card", "anchor": False} for a in OPERATOR]
    people = ["v", "acme-1", "acme-2", *(f"p{i}" for i in range(HONEST))]
    for number, account in enumerate(people, -3):
        school, tool = number in SCHOOL, 0 <= number < TOOL_USERS
        address = "203.0.113.9" if account == "v" else "198.51.100.5" if school else f"10.0.{number + 3}.1"
        rows += personal(account, address, TOOL if tool else None, rng)
        acme = account.startswith("acme")
        card = "card of acme" if acme else f"card of {account}"
        org = {"org_id": "acme", "org_declared": True} if acme else {}
        accounts.append({"account_id": account, "payment_fingerprint": card, "anchor": number in TRUSTED, **org})
    # Sign-ups lie apart, so that nothing but the four attributes of the page is shared.
    born = [START - timedelta(days=5 + 2 * i) for i in range(len(accounts))]
    facts = pa.Table.from_pylist([{**a, "created_at": b, "org_id": a.get("org_id"), "org_declared": a.get("org_declared")}
                                  for a, b in zip(accounts, born, strict=True)])
    (folder / "exchanges").mkdir(parents=True)
    pq.write_table(facts, folder / "accounts.parquet")
    rows = [{"exchange_id": f"x{next(place)}", **row} for row in sorted(rows, key=lambda row: str(row["ts"]))]
    kinds = {"ts": pa.timestamp("us", "UTC"), "turn": pa.int16(), "cell": pa.int32(), "elicitation": pa.float32()}
    kinds |= dict.fromkeys(("system_hash", "template_id", "prompt_id"), pa.uint64())
    names = list(rows[0])
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "exchanges" / "part-0.parquet")
