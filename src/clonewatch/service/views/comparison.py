"""Two groups side by side: what they share, and whether one operator would explain both."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from clonewatch.model import schema
from clonewatch.model.criteria import CRITERIA
from clonewatch.report import phrases
from clonewatch.report.numerals import amount, instant, number
from clonewatch.service.views.alike import kind
from clonewatch.service.views.drawings import Series, by_day, spread
from clonewatch.service.views.results import Result, cards

ACCOUNTS_SHOWN = 100
# Shared by both groups, a thing that this many bits or more of surprise hang on counts.
_RARE = 3.3
_ALIKE = 0.8


class Both(NamedTuple):
    """A shared attribute that accounts of both groups carry. one, other: entities of each. weight: the smaller one."""

    kind: str
    family: str
    name: str
    one: int
    other: int
    users: int | None
    trusted: int | None
    weight: float
    places: tuple[int, int]


class Side(NamedTuple):
    """One of the two groups. svg: its exchanges by day, on the days of both."""

    row: dict[str, Any]
    svg: Markup
    tasks: dict[str, float]
    models: frozenset[str]


class Comparison(NamedTuple):
    """Two groups compared. verdict, reasons: whether one operator would explain both, and what speaks for and against.

    accounts: those in both; more: how many further. days: in common, and in either. hours: of neither: not kept.
    """

    one: Side
    other: Side
    verdict: str
    reasons: list[tuple[str, str]]
    both: list[Both]
    bits: float
    accounts: list[str]
    more: int
    tasks: list[tuple[str, float, float]]
    overlap: float | None
    days: tuple[int, int]
    models: tuple[int, int]


def comparison(result: Result, one: str, other: str) -> Comparison:
    """Compare two groups. Raises InputError where there is none of that name."""
    rows = result.group(one), result.group(other)
    timelines = [result.table(schema.TIMELINE, campaign_id=name).to_pylist() for name in (one, other)]
    active = [_active(timeline) for timeline in timelines]
    models = [
        frozenset(result.table(schema.MODELS, ("model",), campaign_id=name)["model"].drop_null().unique().to_pylist())
        for name in (one, other)
    ]
    mixes = [_mix(timeline) for timeline in timelines]
    every = sorted(set(active[0]) | set(active[1]))
    sides = [Side(rows[i], _drawn(active[i], every, f"c{i + 1}"), mixes[i], models[i]) for i in (0, 1)]
    both = _attributes(result, one, other)
    inside = _accounts(result, one, other)
    overlap = sum(min(mixes[0].get(task, 0.0), mixes[1].get(task, 0.0)) for task in mixes[0]) if all(mixes) else None
    bits = _bits(both)
    days = len(set(active[0]) & set(active[1])), len(every)
    names = sorted(set(mixes[0]) | set(mixes[1]), key=lambda t: -(mixes[0].get(t, 0.0) + mixes[1].get(t, 0.0)))
    verdict, reasons = _judged(bits, both, len(inside), overlap, days)
    return Comparison(
        one=sides[0],
        other=sides[1],
        verdict=verdict,
        reasons=reasons,
        both=both,
        bits=bits,
        accounts=inside.slice(0, ACCOUNTS_SHOWN).to_pylist(),
        more=max(0, len(inside) - ACCOUNTS_SHOWN),
        tasks=[(name, mixes[0].get(name, 0.0), mixes[1].get(name, 0.0)) for name in names],
        overlap=overlap,
        days=days,
        models=(len(models[0] & models[1]), len(models[0] | models[1])),
    )


def _active(timeline: list[dict[str, Any]]) -> dict[date, int]:
    """Exchanges by day."""
    found: Counter[date] = Counter()
    for row in timeline:
        at = instant(row["day"])
        if at is not None:
            found[at.date()] += row["exchanges"] or 0
    return {day: n for day, n in found.items() if n}


def _drawn(active: dict[date, int], every: list[date], colour: str) -> Markup:
    if not every:
        return Markup("")
    found = [(moment, float(n)) for day, n in active.items() if (moment := instant(day.isoformat())) is not None]
    return by_day(every[0], [Series("exchanges", "bars", colour, spread(every[0], every[-1], found))])


def _mix(timeline: list[dict[str, Any]]) -> dict[str, float]:
    """Share of each task in the exchanges whose task is known: of attributed ones, where there are any."""
    column = "harvested" if any(row["harvested"] for row in timeline) else "exchanges"
    totals: Counter[str] = Counter()
    for row in timeline:
        if row["task"] not in (None, "unknown"):
            totals[phrases.task(row["task"])] += row[column] or 0
    known = sum(totals.values())
    return {name: n / known for name, n in totals.items() if n} if known else {}


def _attributes(result: Result, one: str, other: str) -> list[Both]:
    """The attributes that are among the strongest of both groups, strongest first."""
    held = []
    for name in (one, other):
        rows = result.table(schema.ATTRIBUTES, campaign_id=name).to_pylist()
        rows.sort(key=lambda t: (-(t["weight"] or 0.0), -(t["entities"] or 0), str(t["signal"]), str(t["attribute"])))
        held.append({(t["signal"], t["attribute"]): (i, t) for i, t in enumerate(rows, 1)})
    found = []
    for key in held[0].keys() & held[1].keys():
        (i, mine), (j, theirs) = held[0][key], held[1][key]
        known = cards().find(key[0])
        found.append(
            Both(
                kind(key[0]),
                known.card.family if known else phrases.plain(key[0]),
                phrases.thing(key[1], key[0]),
                mine["entities"] or 0,
                theirs["entities"] or 0,
                mine["users"],
                mine["trusted"],
                min(mine["weight"] or 0.0, theirs["weight"] or 0.0),
                (i, j),
            )
        )
    return sorted(found, key=lambda both: (-both.weight, both.kind, both.name))


def _accounts(result: Result, one: str, other: str) -> pa.Array:
    mine, theirs = (
        result.table(schema.MEMBERS, ("account_id",), campaign_id=name)["account_id"].combine_chunks()
        for name in (one, other)
    )
    return mine.filter(pc.is_in(mine, value_set=theirs)).sort()


def _bits(both: list[Both]) -> float:
    """The best weight of every family, added up."""
    best: defaultdict[str, float] = defaultdict(float)
    for one in both:
        best[one.family] = max(best[one.family], one.weight)
    return sum(best.values())


def _judged(
    bits: float, both: list[Both], accounts: int, overlap: float | None, days: tuple[int, int]
) -> tuple[str, list[tuple[str, str]]]:
    """Whether one operator would explain both, and each reason with its side: for, against or neither."""
    needed = CRITERIA["linkage"].threshold
    rare = [one for one in both if one.weight >= _RARE]
    said = []
    if rare:
        said.append(
            ("for", f"They share {amount(len(rare), 'rare thing')}: {number(bits)} bits, the best of each family.")
        )
    elif both:
        said.append(("neither", f"They share {amount(len(both), 'thing')}, none of them rare among trusted accounts."))
    else:
        said.append(("against", "None of the strongest shared attributes of one is among those of the other."))
    if accounts:
        said.append(
            (
                "for",
                f"{amount(accounts, 'account')} are in both groups."
                if accounts > 1
                else "1 account is in both groups.",
            )
        )
    else:
        said.append(("neither", "No account is in both, as with every pool that is split on purpose."))
    if overlap is not None:
        alike = overlap >= _ALIKE
        text = f"Their tasks overlap by {number(overlap)}" + (
            ", which honest coding tools do as well." if alike else "."
        )
        said.append(("neither" if alike else "against", text))
    if days[1]:
        text = f"Both had exchanges on {amount(days[0], 'day')} of {days[1]:,}."
        said.append(("against" if not days[0] and not rare else "neither", text))
    if bits >= needed and len({one.family for one in rare}) > 1:
        verdict = "One operator would explain both: they share as much as the accounts of one group must."
    elif bits >= needed and not accounts:
        verdict = "A hint: what they share is rare, but of one family, and one signal alone never shows one operator."
    elif rare or accounts:
        verdict = "One operator could explain both, but what they share is less than a group of its own would need."
    else:
        verdict = "Nothing here calls for one operator: two would explain it as well."
    return verdict, said
