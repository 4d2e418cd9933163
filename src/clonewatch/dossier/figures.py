"""Every figure of a dossier, computed from its tables alone: name, unit, what it counts, and from which table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.dossier.prices import Prices

# In the company of a group, and not said to act for its operator.
BYSTANDER = "proxy_customer"
ATTRIBUTED = 0.5  # posterior from which an exchange counts as the group's
_TASK = "attributed_exchanges_by_task."
Value: TypeAlias = int | float | str | None


class Figure(NamedTuple):
    """A figure. counts: its definition in words. table: where it is computed from."""

    unit: str
    counts: str
    table: str


FIGURES: dict[str, Figure] = {
    "log_exchanges": Figure("exchanges", "exchanges of all accounts that the scan examined", "scan.json"),
    "log_accounts": Figure("accounts", "accounts that the scan examined", "scan.json"),
    "linked_groups": Figure("groups", "linked groups in the scan, this one included", "scan.json"),
    "accounts": Figure("accounts", "member accounts of the group, bystanders left out", "members"),
    "core_accounts": Figure("accounts", "member accounts with the role core", "members"),
    "bystanders": Figure("accounts", "accounts that share a route with it and are likely bystanders", "members"),
    "case_accounts": Figure("accounts", "accounts of the case, over all scans that saw it", "case_accounts"),
    "case_accounts_in_group": Figure("accounts", "of these, member accounts of the group", "case_accounts"),
    "exchanges": Figure("exchanges", "all exchanges of the member accounts in the window", "attribution"),
    "attributed_exchanges": Figure(
        "exchanges", "exchanges attributed to the group: posterior of at least 0.5", "attribution"
    ),
    "active_days": Figure("days", "UTC days with at least one attributed exchange", "timeline"),
    "peak_day_exchanges": Figure("exchanges", "attributed exchanges on the UTC day with most of them", "timeline"),
    "exchanges_per_account_day": Figure(
        "exchanges", "attributed exchanges, divided by member accounts and by active days", "attribution"
    ),
    "first_attributed": Figure("time, UTC", "the first attributed exchange", "campaigns"),
    "last_attributed": Figure("time, UTC", "the last attributed exchange", "campaigns"),
    "shared_things": Figure("things", "shared things that link its accounts, the 40 strongest at most", "attributes"),
    "evidence_for": Figure("pieces", "pieces of evidence with a strength above 0 bits", "evidence"),
    "evidence_against": Figure("pieces", "pieces of evidence that speak against", "evidence"),
    "families": Figure("families", "independent families of evidence that count", "campaigns"),
    "score": Figure("bits", "families of tests added up, less what speaks against; no probability", "campaigns"),
    "threshold_ratio": Figure("", "smallest ratio of a criterion to its threshold; flagged from 1 on", "campaigns"),
    "odds_bits": Figure("bits", "log2 of the posterior odds, with look-alike and answers", "campaigns"),
    "evidence_odds_bits": Figure("bits", "log2 of the posterior odds on the evidence alone", "campaigns"),
    "p_value": Figure("", "how often linked groups of honest logs come this close to the threshold", "campaigns"),
    "p_n": Figure("groups", "calibration groups behind the p-value, which cannot fall below 1/(n + 1)", "campaigns"),
    "e_value": Figure("", "conformal e-value at the threshold", "campaigns"),
    "stability": Figure("", "mean overlap with the nearest group under other clustering seeds, 0 to 1", "campaigns"),
    "exchanges_with_tokens": Figure("exchanges", "attributed exchanges whose tokens the log states", "usage"),
    "input_tokens": Figure("tokens", "tokens in, of the attributed exchanges whose tokens the log states", "usage"),
    "output_tokens": Figure("tokens", "tokens out, of the attributed exchanges whose tokens the log states", "usage"),
    "exchanges_priced": Figure(
        "exchanges", "attributed exchanges with tokens and with a model in the price file", "usage"
    ),
    "list_price": Figure("currency", "those tokens at list price, without discounts of any kind", "usage"),
}
_READ = (
    "score",
    "threshold_ratio",
    "odds_bits",
    "evidence_odds_bits",
    "p_value",
    "p_n",
    "e_value",
    "stability",
)


def definition(name: str, currency: str = "") -> Figure:
    """The definition of a figure by its name; tasks have one each.

    >>> definition("attributed_exchanges_by_task.reasoning").table
    'timeline'
    """
    if name.startswith(_TASK):
        task = name.removeprefix(_TASK)
        return Figure("exchanges", f"attributed exchanges with the task label {task}", "timeline")
    found = FIGURES[name]
    return found._replace(unit=currency) if found.unit == "currency" else found


def computed(tables: Mapping[str, pa.Table], scan: Mapping[str, Any], prices: Prices | None = None) -> dict[str, Value]:
    """All figures by name. tables: those of a dossier, of one group. scan: `scan.json`.

    None where the tables do not say. The figures of tokens are left out without table `usage`, and that of money
    without prices.
    """
    counts = scan.get("counts") or {}
    row = tables["campaigns"].to_pylist()[0]
    found: dict[str, Value] = {
        "log_exchanges": counts.get("kept"),
        "log_accounts": counts.get("accounts"),
        "linked_groups": len(scan.get("linked_groups") or ()),
        **_accounts(tables["members"], tables["case_accounts"]),
        **_exchanges(tables),
        "first_attributed": _iso(row["first_ts"]),
        "last_attributed": _iso(row["last_ts"]),
        "shared_things": tables["attributes"].num_rows,
        "evidence_for": sum(bits > 0 for bits in tables["evidence"]["bits"].to_pylist()),
        "evidence_against": sum(bits < 0 for bits in tables["evidence"]["bits"].to_pylist()),
        "families": len(row["families"] or ()),
        **{name: _finite(row[name]) for name in _READ},
    }
    return found | (tokens(tables["usage"], prices) if "usage" in tables else {})


def inside(members: pa.Table) -> pa.Array:
    """The member accounts of the group, bystanders left out."""
    return members.filter(pc.not_equal(members["role"], BYSTANDER))["account_id"].combine_chunks()


def _accounts(members: pa.Table, case: pa.Table) -> dict[str, Value]:
    roles = Counter(members["role"].to_pylist())
    return {
        "accounts": members.num_rows - roles[BYSTANDER],
        "core_accounts": roles["core"],
        "bystanders": roles[BYSTANDER],
        "case_accounts": case.num_rows,
        "case_accounts_in_group": int(pc.sum(pc.is_in(case["account_id"], inside(members))).as_py() or 0),
    }


def _exchanges(tables: Mapping[str, pa.Table]) -> dict[str, Value]:
    members, rows, timeline = tables["members"], tables["attribution"], tables["timeline"]
    own = inside(members)
    attributed = int(pc.sum(pc.greater_equal(rows["posterior"], ATTRIBUTED)).as_py() or 0)
    days: Counter[datetime] = Counter()
    tasks: Counter[str] = Counter()
    for row in timeline.to_pylist():
        days[row["day"]] += row["harvested"]
        tasks[row["task"]] += row["harvested"]
    active = sum(n > 0 for n in days.values())
    return {
        "exchanges": int(pc.sum(pc.is_in(rows["account_id"], own)).as_py() or 0),
        "attributed_exchanges": attributed,
        "active_days": active,
        "peak_day_exchanges": max(days.values(), default=0),
        "exchanges_per_account_day": attributed / (len(own) * active) if len(own) and active else None,
        **{f"{_TASK}{task}": n for task, n in sorted(tasks.items()) if n},
    }


def tokens(usage: pa.Table, prices: Prices | None) -> dict[str, Value]:
    """The figures of tokens, and of money where there are prices. usage: see `dossier.tables.usage`."""
    known = priced = into = out = 0
    parts = []
    for row in (
        usage.group_by(["model", "known"])
        .aggregate([("input_tokens", "sum"), ("output_tokens", "sum"), ("exchange_id", "count")])
        .sort_by([("model", "ascending"), ("known", "ascending")])
        .to_pylist()
    ):
        if not row["known"]:
            continue
        ins, outs = row["input_tokens_sum"] or 0, row["output_tokens_sum"] or 0
        known, into, out = known + row["exchange_id_count"], into + ins, out + outs
        price = prices.models.get(row["model"]) if prices else None
        if price:
            priced += row["exchange_id_count"]
            parts += [ins * price.input, outs * price.output]
    found: dict[str, Value] = {"exchanges_with_tokens": known, "input_tokens": into, "output_tokens": out}
    if prices is None:
        return found
    return found | {"exchanges_priced": priced, "list_price": round(math.fsum(parts) / 1e6, 2)}


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
