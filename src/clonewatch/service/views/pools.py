"""Groups over time, as pools of accounts: who came when, who went, what bans did, and which models they turned to."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from clonewatch.model import schema
from clonewatch.pipeline.detection.signals import linking_signals
from clonewatch.report import standing
from clonewatch.report.numerals import instant
from clonewatch.service.views.drawings import Mark, Series, by_day
from clonewatch.service.views.results import PAGE, Result

# As the linking signal of successors counts.
REPLACED_WITHIN = timedelta(hours=48)
_DAY = 86_400_000_000
_BEFORE = 7
# A model takes over when it answers this share of two days, and had less than the rest of it in the week before.
_MOST = 0.6


class Ban(NamedTuple):
    """A banned account: when, how many accounts of the group began within two days after it, and how many usually do.

    on: whether it had exchanges after the ban. heir: it carries the mark that another began with its prompts.
    """

    account: str
    at: datetime
    after: int
    usual: float
    on: bool
    heir: bool


class Pivot(NamedTuple):
    """A day from which another model answers most: its share that day and in the week before."""

    day: date
    before: str
    model: str
    share: float
    share_before: float


class Cohort(NamedTuple):
    """Accounts that began in one week: how many, how many days they lasted in the middle, and how many were banned."""

    week: date
    accounts: int
    days: float
    banned: int
    attributed: int


class Pool(NamedTuple):
    """One group as a pool. svg: active accounts, starts and ends by day. unknown: members without times."""

    row: dict[str, Any]
    outcome: str
    svg: Markup
    words: str
    cohorts: list[Cohort]
    bans: list[Ban]
    bans_left: int
    banned: int
    pivots: list[Pivot]
    models: list[tuple[str, int, date, date]]
    unknown: int


class Listed(NamedTuple):
    """A group in the list of pools."""

    row: dict[str, Any]
    outcome: str


class Moved(NamedTuple):
    """An account that is in several groups."""

    account: str
    groups: list[str]


class Pools(NamedTuple):
    """The list of pools, and accounts in several of them. moved_left: how many more of these."""

    shown: list[Listed]
    total: int
    page: int
    pages: int
    moved: list[Moved]
    moved_left: int


def pools(result: Result, page: int) -> Pools:
    """The groups of a result, the first to look at first, and the accounts in several."""
    count = len(result.rows)
    pages = max(1, -(-count // PAGE))
    page = min(max(1, page), pages)
    shown = [Listed(row, standing.outcome(row)) for row in result.rows[(page - 1) * PAGE : page * PAGE]]
    held = result.table(schema.MEMBERS, ("account_id", "campaign_id")).drop_null()
    often = held.group_by("account_id").aggregate([("campaign_id", "count_distinct"), ("campaign_id", "distinct")])
    often = often.filter(pc.greater(often["campaign_id_count_distinct"], 1)).sort_by("account_id")
    moved = [Moved(r["account_id"], sorted(r["campaign_id_distinct"])) for r in often.slice(0, PAGE).to_pylist()]
    return Pools(shown, count, page, pages, moved, max(0, often.num_rows - PAGE))


def pool(result: Result, group: str) -> Pool:
    """One group over time. Raises InputError where there is none."""
    row = result.group(group)
    members = result.table(schema.MEMBERS, campaign_id=group)
    known = members.filter(pc.and_(pc.is_valid(members["first_ts"]), pc.is_valid(members["last_ts"])))
    bans, left, banned = _bans(result, group, known)
    pivots, models = _models(result.table(schema.MODELS, campaign_id=group).to_pylist())
    svg, words = _drawn(known, pivots)
    return Pool(
        row=row,
        outcome=standing.outcome(row),
        svg=svg,
        words=words,
        cohorts=_cohorts(known),
        bans=bans,
        bans_left=left,
        banned=banned,
        pivots=pivots,
        models=models,
        unknown=members.num_rows - known.num_rows,
    )


def _days(column: pa.ChunkedArray) -> np.ndarray:
    """Days since 1970, of moments without nulls."""
    return np.asarray(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())) // _DAY


def _date(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(number))


def _drawn(known: pa.Table, pivots: list[Pivot]) -> tuple[Markup, str]:
    """Active accounts as a line, starts as bars, ends below; with bans apart from other ends."""
    if not known.num_rows:
        return Markup(""), "No times of accounts were recorded: scan again with this version."
    first, last = _days(known["first_ts"]), _days(known["last_ts"])
    begin, end = int(first.min()), int(last.max())
    banned = np.asarray(pc.is_valid(known["banned_ts"]))
    days = end - begin + 1
    starts, ends = (np.bincount(moments - begin, minlength=days) for moments in (first, last))
    stopped = np.bincount(last[banned] - begin, minlength=days)
    active = np.cumsum(starts) - np.concatenate([[0], np.cumsum(ends)[:-1]])
    series = [
        Series("starts", "bars", "c3", starts.tolist()),
        Series("ends", "down", "c5", ends.tolist()),
        Series("of them banned", "down", "warn", stopped.tolist()),
        Series("active", "line", "c1", active.tolist()),
    ]
    marks = [Mark("pivot", pivot.day) for pivot in pivots]
    words = (
        f"Line: active accounts, at most {int(active.max()):,} on one day. Bars up: {known.num_rows:,} accounts by"
        f" their first exchange. Bars down: by their last one, {int(banned.sum()):,} of them banned."
    )
    return by_day(_date(begin), series, marks), words


def _cohorts(known: pa.Table) -> list[Cohort]:
    if not known.num_rows:
        return []
    first, last = _days(known["first_ts"]), _days(known["last_ts"])
    week = (first - first.min()) // 7
    banned = np.asarray(pc.is_valid(known["banned_ts"]))
    attributed = np.asarray(pc.fill_null(known["harvested_exchanges"], 0))
    return [
        Cohort(
            _date(int(first.min()) + 7 * int(number)),
            int((here := week == number).sum()),
            float(np.median(last[here] - first[here] + 1)),
            int(banned[here].sum()),
            int(attributed[here].sum()),
        )
        for number in np.unique(week)
    ]


def _bans(result: Result, group: str, known: pa.Table) -> tuple[list[Ban], int, int]:
    """Banned accounts, the first ones first: those shown, how many are left out, and how many there are."""
    banned = known.filter(pc.is_valid(known["banned_ts"])).sort_by(
        [("banned_ts", "ascending"), ("account_id", "ascending")]
    )
    if not banned.num_rows:
        return [], 0, 0
    starts = np.sort(np.asarray(known["first_ts"].cast(pa.int64())))
    within = int(REPLACED_WITHIN / timedelta(microseconds=1))
    span = max(1, int(starts[-1] - starts[0]))
    usual = len(starts) * min(1.0, within / span)
    heirs = _heirs(result, group)
    shown = []
    for row in banned.slice(0, PAGE).to_pylist():
        at = int(row["banned_ts"].timestamp() * 1_000_000)
        after = int(np.searchsorted(starts, at + within, "right") - np.searchsorted(starts, at, "right"))
        moment = instant(row["banned_ts"]) or datetime(1970, 1, 1, tzinfo=UTC)
        shown.append(
            Ban(row["account_id"], moment, after, usual, row["last_ts"] > row["banned_ts"], row["account_id"] in heirs)
        )
    return shown, max(0, banned.num_rows - PAGE), banned.num_rows


def _heirs(result: Result, group: str) -> set[str]:
    """Accounts of the group that began with a banned one's prompts, or whose prompts another began with."""
    found: set[str] = set()
    for name in (name for name, link in linking_signals().items() if link.successor):
        held = result.table(schema.ATTRIBUTE_ACCOUNTS, ("account_id",), campaign_id=group, signal=name)
        found |= set(held["account_id"].drop_null().unique().to_pylist())
    return found


def _models(rows: list[dict[str, Any]]) -> tuple[list[Pivot], list[tuple[str, int, date, date]]]:
    """Days from which another model answers most, and every model with its exchanges, first and last day.

    Attributed exchanges count, where there are any: what accounts do besides is no matter of the pool.
    """
    column = "harvested" if any(row["harvested"] for row in rows) else "exchanges"
    daily: defaultdict[date, Counter[str]] = defaultdict(Counter)
    for row in rows:
        at = instant(row["day"])
        if at is not None and row["model"] is not None:
            daily[at.date()][row["model"]] += row[column] or 0
    days = sorted(day for day, held in daily.items() if sum(held.values()))
    pivots: list[Pivot] = []
    top = ""
    for i, day in enumerate(days):
        before: Counter[str] = Counter()
        for earlier in days[max(0, i - _BEFORE) : i]:
            before.update(daily[earlier])
        # The day and the one after it: one odd day is no pivot.
        now = daily[day] + (daily[days[i + 1]] if i + 1 < len(days) else Counter())
        leading = now.most_common(1)[0][0]
        if top and leading != top and before and _part(now, leading) >= _MOST and _part(before, leading) <= 1 - _MOST:
            pivots.append(Pivot(day, top, leading, _part(now, leading), _part(before, leading)))
            top = leading
        top = top or leading
    totals: Counter[str] = Counter()
    for held in daily.values():
        totals.update(held)
    used = {name: [day for day in days if daily[day][name]] for name in totals}
    return pivots, [(name, n, used[name][0], used[name][-1]) for name, n in totals.most_common() if n]


def _part(held: Counter[str], name: str) -> float:
    total = sum(held.values())
    return held[name] / total if total else 0.0
