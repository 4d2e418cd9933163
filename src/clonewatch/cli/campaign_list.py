"""Campaigns as the commands list them, and what a scan prints when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.cli import output

if TYPE_CHECKING:
    import pyarrow as pa


def tell(campaigns: pa.Table, members: pa.Table, summary: dict[str, Any], out: Path, json: bool) -> int:
    """Write what a scan found; returns how many campaigns are flagged."""
    from clonewatch.report.render import headline

    answer = headline({"campaigns": campaigns, "members": members})
    rows = campaigns.to_pylist()
    flagged = sum(bool(row["flagged"]) for row in rows)
    if json:
        output.as_json({"answer": answer.sentence, "campaigns": [row_of(row) for row in rows], "scan": summary})
        return flagged
    output.say(answer.sentence, answer.bound)
    if rows:
        list_campaigns(rows)
    counts = summary.get("counts") or {}
    output.say(f"{counts.get('kept', 0):,} exchanges of {counts.get('accounts', 0):,} accounts were examined.")
    if counts.get("rejected"):
        output.say(f"{counts['rejected']:,} rows were rejected: see {out / 'rejected.ndjson'}")
    for warning in summary.get("warnings") or []:
        output.say(f"Warning: {warning}")
    output.say(f"Report: {out / 'report.html'}")
    return flagged


def list_campaigns(rows: list[dict[str, Any]]) -> None:
    """Campaigns as a table that fits 80 columns, in the order given."""
    from clonewatch.report.numerals import count, number

    def short(value: float | None) -> str:
        return "-" if value is None else number(value)

    output.table(
        "",
        ("Group", "Flagged", "Level", "Score", "Ratio", "p", "n", "Accounts", "Attributed"),
        (
            (
                row["campaign_id"],
                "yes" if row["flagged"] else "no",
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
