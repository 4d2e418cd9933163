"""One chapter per campaign: its rows collected and put into words for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch.model import schema
from clonewatch.model.rulings import counted
from clonewatch.report import charts, incidence_diagram, phrases, standing, sums
from clonewatch.report.cards import Cards
from clonewatch.report.first_checks import first_checks
from clonewatch.report.numerals import count, instant, share
from clonewatch.report.reasons import Reason, reasons_of, without_repeated_examples
from clonewatch.report.tables import by_campaign, whole

# A page a person can read: beyond these the tables beside the report hold the rest, and the page says so.
FLAGGED_IN_FULL = 60
REVIEW_IN_FULL = 20
LINKED_IN_FULL = 20
# By outcome, in the order of the page.
IN_FULL = {"flagged": FLAGGED_IN_FULL, "review": REVIEW_IN_FULL, "listed": LINKED_IN_FULL}
MEMBERS_SHOWN = 50
ATTRIBUTES_SHOWN = 20
# Templates come by the dozen; cards, networks and clients must show beside them.
ATTRIBUTES_PER_KIND = 4


class Chapter(NamedTuple):
    """One campaign as the page shows it."""

    anchor: str
    row: Mapping[str, Any]
    title: str
    level: phrases.Level
    roles: list[tuple[phrases.Role, int]]
    tasks: list[tuple[str, int, float]]
    chart: charts.Timeline | None
    chart_words: str
    drawing: incidence_diagram.Drawing | None
    attributes: list[dict[str, Any]]
    attributes_left: int
    evidence: list[Reason]
    against: list[Reason]
    neutral: list[Reason]
    families: list[str]
    sum: list[sums.Part]
    explained: str
    first: list[str]
    examples: list[str]
    standing: list[str]
    review: list[str]
    members: list[Mapping[str, Any]]
    members_left: int
    visible: datetime | None
    leaked: float | None


def ranked(tables: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
    """Rows of the campaigns table by rank; of a scan that ranked none, flagged ones first, then by score and name."""
    rows: list[dict[str, Any]] = whole(tables, schema.CAMPAIGNS).to_pylist()
    return sorted(rows, key=lambda r: (r["rank"] or 0, not r["flagged"], -(r["score"] or 0.0), str(r["campaign_id"])))


def chapters(tables: Mapping[str, pa.Table], rows: list[dict[str, Any]], cards: Cards) -> list[Chapter]:
    """The chapters of these campaigns, in their order."""
    ids = [row["campaign_id"] for row in rows]
    parts = {
        table.name: by_campaign(whole(tables, table), ids)
        for table in (schema.MEMBERS, schema.EVIDENCE, schema.ATTRIBUTES, schema.ATTRIBUTE_ACCOUNTS, schema.TIMELINE)
    }
    return [
        _chapter(row, i, {name: part[row["campaign_id"]] for name, part in parts.items()}, cards)
        for i, row in enumerate(rows, 1)
    ]


def _chapter(row: Mapping[str, Any], place: int, parts: Mapping[str, pa.Table], cards: Cards) -> Chapter:
    members = parts["members"]
    order = [("membership", "descending"), ("harvested_exchanges", "descending"), ("account_id", "ascending")]
    attributes = parts["attributes"].to_pylist()
    attributes.sort(key=lambda t: (-(t["weight"] or 0.0), -(t["entities"] or 0), str(t["signal"])))
    reasons, examples = without_repeated_examples(reasons_of(row, parts["evidence"], cards))
    for_it, against = ([r for r in reasons if r.side == side] for side in ("for", "against"))
    tasks = _tasks(row)
    seen = instant(row["visible_ts"])
    before, harvested = row["visible_exchanges"], row["harvested_exchanges"]
    top = members.sort_by(order).slice(0, MEMBERS_SHOWN).to_pylist()
    roles: Counter[str] = Counter(members["role"].to_pylist())
    shown = of_each_kind(attributes)
    return Chapter(
        anchor=f"campaign-{place}",
        row=row,
        title=_title(row, roles),
        level=phrases.level(row["level"]),
        roles=[(phrases.role(name, row["flagged"]), n) for name, n in sorted(roles.items(), key=_place)],
        tasks=tasks,
        chart=charts.timeline(parts["timeline"].to_pylist(), seen),
        chart_words=_chart_words(row, tasks),
        drawing=incidence_diagram.draw(attributes, parts["attribute_accounts"].to_pylist()),
        attributes=shown,
        attributes_left=len(attributes) - len(shown),
        evidence=for_it,
        against=against,
        neutral=[r for r in reasons if r.side == "neutral"],
        families=list(sums.best(reasons, "behaviour")),
        sum=sums.parts(reasons, row["score"]),
        explained=counted(r.ruled_out for r in for_it),
        first=first_checks(row, for_it, against, roles),
        examples=examples,
        standing=[s for s in (standing.verdict(row), standing.told_apart(row), standing.merged(row)) if s],
        review=standing.looked_at(row),
        members=top,
        members_left=max(0, members.num_rows - len(top)),
        visible=seen,
        leaked=min(1.0, before / harvested) if before is not None and harvested else None,
    )


def of_each_kind(attributes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The strongest attributes, at most so many of a kind. attributes: strongest first."""
    kinds: Counter[str] = Counter()
    kept = []
    for attribute in attributes:
        kinds[attribute["signal"]] += 1
        if kinds[attribute["signal"]] <= ATTRIBUTES_PER_KIND:
            kept.append(attribute)
    return kept[:ATTRIBUTES_SHOWN]


def _place(role: tuple[str, int]) -> tuple[int, str]:
    """The order of roles: those known first."""
    known = list(phrases.ROLES)
    return known.index(role[0]) if role[0] in known else len(known), str(role[0])


def _title(row: Mapping[str, Any], roles: Mapping[str, int]) -> str:
    """The finding in a line; bystanders are not counted among those who act."""
    acting = sum(n for role, n in roles.items() if role != phrases.BYSTANDER) if roles else row["accounts"]
    if row["flagged"]:
        return f"{phrases.accounts_of(acting)} act as one operator"
    state = "for review" if standing.outcome(row) == "review" else "not flagged"
    return f"{phrases.accounts_of(row['accounts'])}: linked, {state}"


def _tasks(row: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Tasks in words with attributed exchanges and their share of all with a task, largest first."""
    totals: Counter[str] = Counter()
    for name, exchanges in dict(row["tasks"] or ()).items():
        totals[phrases.task(name)] += exchanges or 0
    known = sum(totals.values())
    return [(name, n, n / known) for name, n in sorted(totals.items(), key=lambda t: (-t[1], t[0])) if n]


def _chart_words(row: Mapping[str, Any], tasks: list[tuple[str, int, float]]) -> str:
    """What the chart shows, for a reader who cannot see it."""
    most = f"; most are {tasks[0][0]} ({share(tasks[0][1], sum(t[1] for t in tasks))})" if tasks else ""
    return (
        f"Bar chart: {count(row['harvested_exchanges'])} exchanges attributed to this group over time, by task{most}."
    )
