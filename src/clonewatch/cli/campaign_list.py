"""Campaigns as the commands list them, and what a scan prints when it is done."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.cli import output

if TYPE_CHECKING:
    import pyarrow as pa


def tell(campaigns: pa.Table, members: pa.Table, summary: dict[str, Any], out: Path, json: bool) -> Counter[str]:
    """Write what a scan found; returns how many groups have each outcome."""
    from clonewatch.report.chapters import ranked
    from clonewatch.report.render import headline

    answer = headline({"campaigns": campaigns, "members": members})
    rows = ranked({"campaigns": campaigns})
    found = outcomes(rows)
    if json:
        head = {"answer": answer.sentence, "outcomes": dict(found)}
        output.as_json(head | {"campaigns": [row_of(row) for row in rows], "scan": summary})
        return found
    output.say(answer.sentence, answer.bound)
    ask(rows, out)
    if rows:
        list_campaigns(rows)
    counts = summary.get("counts") or {}
    output.say(f"{counts.get('kept', 0):,} exchanges of {counts.get('accounts', 0):,} accounts were examined.")
    if counts.get("duplicate"):
        output.say(f"{counts['duplicate']:,} rows repeated an exchange and were merged into it.")
    if counts.get("rejected"):
        output.say(f"{counts['rejected']:,} rows were rejected: see {out / 'rejected.ndjson'}")
    if values := sum(one["values"] for one in summary.get("dropped_values") or []):
        output.say(f"{values:,} optional values did not fit their columns and were left out: see the report")
    for warning in summary.get("warnings") or []:
        output.say(f"Warning: {warning}")
    output.say(f"Report: {out / 'report.html'}")
    return found


def outcomes(rows: list[dict[str, Any]]) -> Counter[str]:
    """How many groups are flagged, for review and listed."""
    from clonewatch.report.standing import outcome

    found = Counter({"flagged": 0, "review": 0, "listed": 0})
    found.update(outcome(row) for row in rows)
    return found


def ask(rows: list[dict[str, Any]], scan: Path) -> None:
    """Say the question about every group for review, and how to answer it."""
    from clonewatch.report.standing import outcome, question

    review = [row for row in rows if outcome(row) == "review"]
    for row in review:
        output.say(f"{row['campaign_id']}: {question(row)}")
    if any(row.get("question") for row in review):
        output.say(f"To answer: clonewatch answer {review[0]['campaign_id']} --scan {scan} --yes (or --no)")


def list_campaigns(rows: list[dict[str, Any]]) -> None:
    """Groups as a table that fits 80 columns, in the order given."""
    from clonewatch.report.numerals import count, number
    from clonewatch.report.standing import outcome

    def short(value: float | None) -> str:
        return "-" if value is None else number(value)

    output.table(
        "",
        ("Group", "Outcome", "Level", "Score", "Ratio", "p", "n", "Accounts", "Attributed"),
        (
            (
                row["campaign_id"],
                outcome(row),
                row["level"],
                short(row["score"]),
                short(row["threshold_ratio"]),
                short(row["p_value"]),
                short(row["p_n"]),
                count(row["accounts"]),
                count(row["harvested_exchanges"]),
            )
            for row in rows
        ),
        right=(3, 4, 5, 6, 7, 8),
    )


def row_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the campaigns table for JSON: tasks as an object."""
    return {**row, "tasks": dict(row["tasks"] or ())}
