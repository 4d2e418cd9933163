"""One chapter per campaign: its rows collected and put into words for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch.model import schema
from clonewatch.report import charts, incidence_diagram, phrases, standing
from clonewatch.report.cards import Cards
from clonewatch.report.numerals import amount, count, instant, number, share
from clonewatch.report.tables import by_campaign, whole

# A page a person can read: beyond these the tables beside the report hold the rest, and the page says so.
FLAGGED_IN_FULL = 60
REVIEW_IN_FULL = 20
LINKED_IN_FULL = 20
# By outcome, in the order of the page.
IN_FULL = {"flagged": FLAGGED_IN_FULL, "review": REVIEW_IN_FULL, "listed": LINKED_IN_FULL}
MEMBERS_SHOWN = 50
ATTRIBUTES_SHOWN = 20
EXCHANGES_SHOWN = 5
# The file of a signal, by its kind.
_SHELVES = {"link": "links/signals/{}.py", "behaviour": "behaviour/tests/{}.py"}


class Reason(NamedTuple):
    """A piece of evidence in words. side: for, against, or nothing when its strength is zero or unknown."""

    title: str
    family: str
    kind: str
    module: str
    strength: str
    bar: float
    bits: float | None
    value: float | None
    reference: float | None
    n: int | None
    reason: str | None
    innocent: str | None
    ruled_out: str | None
    tell_tale: str | None
    exchange_ids: list[str]
    side: str


class Chapter(NamedTuple):
    """One campaign as the page shows it."""

    anchor: str
    row: Mapping[str, Any]
    title: str
    level: phrases.Level
    roles: list[tuple[str, int]]
    tasks: list[tuple[str, int, float]]
    chart: charts.Timeline | None
    chart_words: str
    drawing: incidence_diagram.Drawing | None
    attributes: list[Mapping[str, Any]]
    attributes_left: int
    evidence: list[Reason]
    against: list[Reason]
    neutral: list[Reason]
    families: list[str]
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
    reasons = _reasons(row, parts["evidence"], cards)
    for_it = [r for r in reasons if r.side == "for"]
    tasks = _tasks(row)
    seen = instant(row["visible_ts"])
    before, harvested = row["visible_exchanges"], row["harvested_exchanges"]
    top = members.sort_by(order).slice(0, MEMBERS_SHOWN).to_pylist()
    roles = Counter(role or "role not recorded" for role in members["role"].to_pylist())
    return Chapter(
        anchor=f"campaign-{place}",
        row=row,
        title=_title(row, roles),
        level=phrases.level(row["level"]),
        roles=sorted(
            roles.items(), key=lambda r: (list(phrases.ROLES).index(r[0]) if r[0] in phrases.ROLES else 9, r[0])
        ),
        tasks=tasks,
        chart=charts.timeline(parts["timeline"].to_pylist(), seen),
        chart_words=_chart_words(row, tasks),
        drawing=incidence_diagram.draw(attributes, parts["attribute_accounts"].to_pylist()),
        attributes=attributes[:ATTRIBUTES_SHOWN],
        attributes_left=max(0, len(attributes) - ATTRIBUTES_SHOWN),
        evidence=for_it,
        against=[r for r in reasons if r.side == "against"],
        neutral=[r for r in reasons if r.side == "neutral"],
        families=sorted({r.family for r in for_it}),
        standing=[s for s in (standing.verdict(row), standing.merged(row)) if s],
        review=standing.looked_at(row),
        members=top,
        members_left=max(0, members.num_rows - len(top)),
        visible=seen,
        leaked=min(1.0, before / harvested) if before is not None and harvested else None,
    )


def _title(row: Mapping[str, Any], roles: Mapping[str, int]) -> str:
    """The finding in a line; bystanders are not counted among those who act."""
    acting = sum(n for role, n in roles.items() if role != phrases.BYSTANDER) if roles else row["accounts"]
    if row["flagged"]:
        return f"{amount(acting, 'declared-unrelated account')} act as one operator"
    accounts = amount(row["accounts"], "declared-unrelated account")
    return f"{accounts} linked, and {'for review' if standing.outcome(row) == 'review' else 'not flagged'}"


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


def _reasons(row: Mapping[str, Any], evidence: pa.Table, cards: Cards) -> list[Reason]:
    """Evidence rows in words, strongest first. An old scan without an evidence table gives its campaign's own list."""
    rows: list[dict[str, Any]] = evidence.to_pylist()
    if not rows:
        rows = [dict(item) for item in row["evidence"] or () if item is not None]
    reasons = [_reason(item, cards) for item in rows]
    return sorted(reasons, key=lambda r: (-abs(r.bits or 0.0), r.title))


def _reason(item: Mapping[str, Any], cards: Cards) -> Reason:
    signal, bits, kind = item.get("signal"), item.get("bits"), item.get("kind")
    known = cards.find(signal)
    measured = bits if bits is not None and bits == bits else None
    against = (measured is not None and measured < 0) or (kind == "against" and bool(measured))
    # A general tell-tale copied from the card says what would show the innocent twin, not that it was ruled out.
    tell_tale = known.card.excluded_by if known and item.get("ruled_out") == known.card.excluded_by else None
    return Reason(
        title=known.card.title if known else phrases.signal(signal),
        family=phrases.plain(item.get("family")),
        kind=kind or "",
        module=_SHELVES.get(known.kind, "{}").format(known.name) if known else "",
        strength=phrases.strength(measured),
        bar=min(1.0, abs(measured or 0.0) / phrases.FULL_BAR),
        bits=measured,
        value=item.get("value"),
        reference=item.get("reference"),
        n=item.get("n"),
        reason=item.get("reason"),
        innocent=item.get("innocent") or (known.card.innocent if known else None),
        ruled_out=None if tell_tale else item.get("ruled_out"),
        tell_tale=tell_tale,
        exchange_ids=[i for i in item.get("exchange_ids") or [] if i is not None][:EXCHANGES_SHOWN],
        side="against" if against else "for" if measured else "neutral",
    )


def measured_words(reason: Reason) -> str:
    """The figures behind a reason: value, reference and number of observations.

    >>> from collections import defaultdict
    >>> blank = Reason(*[None] * 16)._replace(value=2.5, reference=0.1, n=1200)
    >>> measured_words(blank)
    'measured 2.5; reference communities of this log 0.1; 1,200 observations'
    """
    said = []
    if reason.value is not None:
        said.append(f"measured {number(reason.value)}")
        if reason.reference is not None:
            said.append(f"reference communities of this log {number(reason.reference)}")
        elif reason.kind in ("behaviour", "support"):
            said.append("no reference community to compare with")
    if reason.n is not None:
        said.append(amount(reason.n, "observation"))
    return "; ".join(said)
