"""What others are told: an event for an entry of the log that they may want to hear of, in ids and counts.

No event holds an account, a name, a note, a text, or a value of anything that accounts share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from clonewatch.cases.agenda import Due, due
from clonewatch.cases.appeals import appeal
from clonewatch.cases.measures import Appeal, Containment
from clonewatch.cases.outbox import Message
from clonewatch.cases.records import Case, Entry
from clonewatch.cases.standing_odds import posterior_bits
from clonewatch.cases.store import Reading

# Every type of event, with what it tells of.
KINDS = {
    "case.flagged": "a scan flagged a group: a new case, or one that was not flagged before",
    "case.review": "a group for review whose odds reach the bound of the target",
    "case.reopened": "a scan found more than was ruled on, so a ruled case is open again",
    "case.ruled": "somebody ruled on a case",
    "case.merged": "cases were merged into one",
    "case.split": "accounts of a case were moved to a new one",
    "case.undone": "a ruling, answer, assignment, merge or split was taken back",
    "containment.begun": "a measure against the accounts of a case began",
    "containment.ended": "a measure ended, was lifted, or lapsed because nobody answered an appeal",
    "appeal.received": "the holder of an account appealed",
    "appeal.replied": "the holder of an account wrote again",
    "appeal.answered": "somebody answered an appeal",
    "overdue": "a deadline of a case, a ruling's end, or the answer to an appeal is overdue",
}
_SIMPLE = {
    "rule": "case.ruled",
    "merge": "case.merged",
    "split": "case.split",
    "undo": "case.undone",
    "contain": "containment.begun",
    "end": "containment.ended",
    "lift": "containment.ended",
    "lapse": "containment.ended",
    "appeal": "appeal.received",
    "reply": "appeal.replied",
    "decide": "appeal.answered",
}


class Event(msgspec.Struct, frozen=True):
    """What happened. id: the same at every try, for whoever has to tell whether it heard that before."""

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]


class Wanted(NamedTuple):
    """What a target wants to hear. kinds: of KINDS. review_from_bits: log2 of the odds from which a review is told."""

    kinds: frozenset[str]
    review_from_bits: float
    console: str


def told(store: Reading, number: int, entry: Entry, wanted: Wanted) -> Message | None:
    """What a target hears of an entry; None for what it does not want, or is told to nobody."""
    before = _before(store, number, entry) if entry.what == "seen" else None
    kind = _seen(entry, before, wanted.review_from_bits) if entry.what == "seen" else _SIMPLE.get(entry.what)
    if kind is None or kind not in wanted.kinds or not entry.of:
        return None
    case = entry.cases[0] if entry.cases else store.case(entry.of[0])
    data = _case(store, case, wanted.console) | {"entry": number}
    if len(entry.of) > 1:
        data["others"] = sorted(set(entry.of) - {case.case})
    if entry.containment is not UNSET:
        data |= _containment(entry.containment)
    if entry.appeal is not UNSET:
        data |= _appeal(entry.appeal)
    return _message(Event(f"{_log(store)}-{number}", kind, entry.at, data))


def reminders(store: Reading, now: str, wanted: Wanted) -> Iterator[Message]:
    """What is overdue, each told once."""
    if "overdue" not in wanted.kinds:
        return
    for one in due(store, now[:10], now[:10]):
        if one.overdue:
            data = _case(store, one.case, wanted.console) | {"overdue": one.what, "day": one.day}
            name = f"{_log(store)}-{one.case.case}-{one.what.replace(' ', '_')}-{one.day}"
            yield _message(Event(name, "overdue", now, data | _of_appeal(store, one)))


def _seen(entry: Entry, before: Case | None, bound: float) -> str | None:
    """What a sighting comes to for whoever heard of the earlier ones."""
    now = entry.cases[0]
    if entry.because:
        return "case.reopened"
    if now.seen.outcome == "flagged":
        return None if before and before.seen.outcome == "flagged" else "case.flagged"
    if now.seen.outcome != "review" or not _reaches(now, bound):
        return None
    return (
        None if before and before.seen.outcome in ("review", "flagged") and _reaches(before, bound) else "case.review"
    )


def _reaches(case: Case, bound: float) -> bool:
    odds = posterior_bits(case)
    return odds is not None and odds >= bound


def _before(store: Reading, number: int, entry: Entry) -> Case | None:
    """The case of a sighting as it was before."""
    now = entry.cases[0]
    if now.version == 1:
        return None
    past = [one for n, held in store.history(now.case) if n < number for one in held.cases if one.case == now.case]
    return past[-1] if past else None


def _case(store: Reading, case: Case, console: str) -> dict[str, Any]:
    seen, ruling = case.seen, case.ruling
    odds = posterior_bits(case)
    data: dict[str, Any] = {
        "case": case.case,
        "version": case.version,
        "status": case.status,
        "outcome": seen.outcome,
        "accounts": case.size,
        "exchanges": seen.exchanges,
        "odds_bits": None if odds is None else round(odds, 1),
        "families": list(seen.families),
        "window": {"first": seen.first, "last": seen.last},
        "opened": store.history(case.case)[0][1].at,
    }
    if ruling:
        data["ruling"] = {"ruling": ruling.ruling, "explanation": ruling.explanation, "until": ruling.until}
    if console:
        data["link"] = f"{console.rstrip('/')}/cases/{case.case}"
    return data


def _containment(held: Containment) -> dict[str, Any]:
    told = {"id": held.containment, "measure": held.measure, "state": held.state, "until": held.until}
    return {"containment": told | {"accounts": held.size}}


def _appeal(held: Appeal) -> dict[str, Any]:
    told = {"id": held.appeal, "state": held.state, "deadline": held.deadline, "outcome": held.outcome}
    return {"appeal": told | {"containment": held.containment}}


def _of_appeal(store: Reading, one: Due) -> dict[str, Any]:
    what, _, name = one.what.partition(" ")
    return _appeal(appeal(store, name)) if what == "appeal" else {}


def _log(store: Reading) -> str:
    """The name of the log, which no two stores have in common: without it, ids of two stores would be the same."""
    return store.log_key().split("+")[0]


def _message(event: Event) -> Message:
    return Message(event.id, event.type, msgspec.json.encode(event, order="sorted").decode())
