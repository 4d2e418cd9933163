"""The page of one group: what was observed, what follows from it, what does not, and what would change it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from markupsafe import Markup

from clonewatch.model import schema
from clonewatch.model.criteria import CRITERIA
from clonewatch.model.rulings import ruled_out
from clonewatch.report import phrases, standing
from clonewatch.report.chapters import Chapter, chapters
from clonewatch.report.numerals import amount, count, day, instant, share
from clonewatch.report.reasons import Reason
from clonewatch.service.views.alike import Attribute, Picture, picture, shared
from clonewatch.service.views.drawings import Mark, Series, by_day
from clonewatch.service.views.results import Result, cards

# Kinds of shared attributes that the first sentence names.
_NAMED = 3


class Leak(NamedTuple):
    """Attributed exchanges, added up: a picture and a row per week."""

    svg: Markup
    rows: list[tuple[datetime, int, int]]
    words: str


class Criterion(NamedTuple):
    """One criterion of a flag: what it asks, and whether it is the one that limits this group."""

    title: str
    holds: str
    threshold: float
    limits: bool


class Campaign(NamedTuple):
    """A group as its page shows it. observed, inferred, unsaid: sentences, kept apart. wrong: what would undo it."""

    chapter: Chapter
    outcome: str
    observed: list[str]
    inferred: list[str]
    unsaid: list[str]
    picture: Picture
    attributes: tuple[Attribute, ...]
    leak: Leak | None
    wrong: list[tuple[str, str]]
    open_twins: list[Reason]
    missing: str
    question: str
    criteria: list[Criterion]
    off: list[str]


def campaign(result: Result, group: str) -> Campaign:
    """The page of a group. Raises InputError where there is none."""
    row = result.group(group)
    # Carriers are as many as accounts times attributes: the picture reads them without making a row of each.
    tables = {
        one.name: result.table(one, campaign_id=group)
        for one in (schema.MEMBERS, schema.EVIDENCE, schema.ATTRIBUTES, schema.TIMELINE)
    }
    (chapter,) = chapters(tables, [row], cards())
    outcome = standing.outcome(row)
    return Campaign(
        chapter=chapter,
        outcome=outcome,
        observed=_observed(row, chapter),
        inferred=[
            s for s in (f"{chapter.level.code}, {chapter.level.name}. {chapter.level.says}", *_inferred(row)) if s
        ],
        unsaid=[chapter.level.not_said, phrases.NEVER_SAID],
        picture=picture(shared(result, group), tables["members"].num_rows),
        attributes=shared(result, group).attributes,
        leak=_leak(row, tables["timeline"].to_pylist(), chapter.visible),
        wrong=_wrong(chapter),
        open_twins=[r for r in chapter.evidence if not ruled_out(r.ruled_out)],
        missing=standing.missing(row),
        question=standing.question(row) if outcome == "review" else "",
        criteria=[
            Criterion(c.title, c.holds, c.threshold, c.name == row["limiting_criterion"]) for c in CRITERIA.values()
        ],
        off=[used.title for used in result.method.off],
    )


def _observed(row: dict[str, Any], chapter: Chapter) -> list[str]:
    """What the log holds, without a conclusion."""
    said = [f"{amount(row['accounts'], 'account')} sent {amount(row['exchanges'], 'exchange')} in the window."]
    kinds: Counter[str] = Counter(t["signal"] for t in chapter.attributes)
    if kinds:
        titles = [known.card.title if (known := cards().find(name)) else phrases.signal(name) for name in kinds]
        more = f", and {amount(len(titles) - _NAMED, 'more kind')}" if len(titles) > _NAMED else ""
        said.append(f"They have in common: {'; '.join(titles[:_NAMED]).lower()}{more}.")
    if row["flagged"] and row["harvested_exchanges"]:
        said.append(
            f"{amount(row['harvested_exchanges'], 'exchange')} ({share(row['harvested_exchanges'], row['exchanges'])})"
            f" fit the pattern, from {day(row['first_ts'])} to {day(row['last_ts'])}."
        )
    return said


def _inferred(row: dict[str, Any]) -> list[str]:
    return [standing.verdict(row), standing.odds(row) if not row["flagged"] else "", standing.merged(row)]


def _leak(row: dict[str, Any], timeline: list[dict[str, Any]], visible: datetime | None) -> Leak | None:
    """Attributed exchanges by day, added up; None for a group without any."""
    daily: Counter[datetime] = Counter()
    for one in timeline:
        at = instant(one["day"])
        if at is not None:
            daily[at] += one["harvested"] or 0
    if not row["flagged"] or not sum(daily.values()):
        return None
    first, last = min(daily), max(daily)
    total, sums, weeks = 0, [], []
    for number in range((last - first).days + 1):
        at = first + timedelta(days=number)
        total += daily[at]
        sums.append(float(total))
        if number % 7 == 6 or at == last:
            begun = at - timedelta(days=number % 7)
            weeks.append((begun, sum(n for d, n in daily.items() if begun <= d <= at), total))
    marks = [Mark("visible", visible.date())] if visible else []
    svg = by_day(first.date(), [Series("attributed, added up", "line", "c1", sums)], marks)
    words = f"Line: {count(total)} attributed exchanges added up from {day(first)} to {day(last)}."
    return Leak(svg, weeks, words)


def _wrong(chapter: Chapter) -> list[tuple[str, str]]:
    """What it would take for this to be wrong: a short name and a sentence."""
    found = [("The level would fall with", chapter.level.lowered_by)]
    found += [(f"“{r.title}” would fall if", r.tell_tale or "") for r in chapter.evidence if r.tell_tale]
    return found
