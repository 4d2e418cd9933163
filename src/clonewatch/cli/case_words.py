"""Cases as the commands show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clonewatch.cases.sentences import ruling_text
from clonewatch.cli import output

if TYPE_CHECKING:
    from clonewatch.cases.records import Case


def row(case: Case) -> tuple[object, ...]:
    """A case as `cases list` shows it."""
    odds = case.seen.odds_bits
    return (
        case.case,
        case.status,
        ruling_text(case),
        f"{case.size:,}",
        f"{case.seen.exchanges:,}",
        "" if odds is None else f"{odds:+.1f}",
        f"{case.seen.outcome}, {case.seen.last[:10]}",
        case.assignee,
        case.due,
        case.version,
    )


def accounts_of(case: Case) -> str:
    """How many accounts a case has."""
    return f"{case.size:,} account{'' if case.size == 1 else 's'}"


def tell(case: Case) -> None:
    """Say what a case is."""
    seen = case.seen
    odds = "" if seen.odds_bits is None else f", odds of {seen.odds_bits:+.1f} bits on the evidence alone"
    lineage = [
        f"It was merged into {case.merged_into}." if case.merged_into else "",
        f"It took in {', '.join(case.absorbed)}." if case.absorbed else "",
        f"It was split from {case.split_from}." if case.split_from else "",
    ]
    output.say(
        f"{case.case}: {accounts_of(case)}, {case.status}, version {case.version}.",
        f"Last seen as {seen.group}, {seen.outcome}, in the scan to {seen.last[:10]}: {seen.exchanges:,} exchanges"
        f"{odds}.",
        f"Families of evidence that count: {', '.join(seen.families) or 'none'}.",
        *(line for line in lineage if line),
        f"Ruled {ruling_text(case)}, by {case.ruling.by} on {case.ruling.at[:10]}."
        if case.ruling
        else "Nobody has ruled.",
        f"Assigned to {case.assignee or 'nobody'}{f', due {case.due}' if case.due else ''}.",
    )
