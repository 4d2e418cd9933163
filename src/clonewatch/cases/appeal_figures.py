"""Figures about measures and appeals over a window of days, each with what it counts."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from sqlalchemy import select

from clonewatch.cases.appeals import appeals
from clonewatch.cases.containments import containments, new_since
from clonewatch.cases.measures import CLEARED, LAPSED, LIVE, OVERTURNED, PARTIAL, PLANNED, UPHELD, Containment
from clonewatch.cases.people import seconds_between
from clonewatch.cases.store import Reading
from clonewatch.cases.tables import HOLDERS

DEFINED = {
    "containments": "containments that began in the window",
    "accounts": "accounts under them",
    "received": "appeals that came in in the window",
    "answered": "appeals upheld, overturned or partly granted in the window",
    "upheld": "of these, upheld",
    "overturned": "of these, overturned",
    "partial": "of these, granted in part: a milder measure",
    "lapsed": "appeals whose deadline in the window passed without an answer, recorded as lapsed",
    "overturn_rate": "overturned / answered; nothing where none was answered",
    "days_to_answer_median": "from the appeal to the answer, of the answered; nothing where none was",
    "days_to_answer_longest": "the longest of these",
    "open": "appeals without a final answer now",
    "open_past_deadline": "of these, past their deadline: the clock was not run",
    "re_actions": "accounts under a containment that began in the window on the evidence that they had been cleared on:"
    " must be 0",
}


class Figures(NamedTuple):
    """Figures from one day to another, both included; see DEFINED."""

    first: str
    last: str
    containments: int
    accounts: int
    received: int
    answered: int
    upheld: int
    overturned: int
    partial: int
    lapsed: int
    overturn_rate: float | None
    days_to_answer_median: float | None
    days_to_answer_longest: float | None
    open: int
    open_past_deadline: int
    re_actions: int


def figures(store: Reading, first: str, last: str, now: str) -> Figures:
    """The figures of a window of days. now: a time."""

    def inside(at: str) -> bool:
        return first <= at[:10] <= last

    every = appeals(store)
    begun = [held for held in containments(store) if held.state != PLANNED and inside(held.begins)]
    answered = [one for one in every if one.state in (UPHELD, OVERTURNED, PARTIAL) and inside(one.answered_at)]
    days = [seconds_between(one.at, one.answered_at) / 86_400 for one in answered]
    by_state = {state: sum(one.state == state for one in answered) for state in (UPHELD, OVERTURNED, PARTIAL)}
    still = [one for one in every if one.state in LIVE]
    return Figures(
        first=first,
        last=last,
        containments=len(begun),
        accounts=sum(held.size for held in begun),
        received=sum(inside(one.at) for one in every),
        answered=len(answered),
        upheld=by_state[UPHELD],
        overturned=by_state[OVERTURNED],
        partial=by_state[PARTIAL],
        lapsed=sum(one.state == LAPSED and inside(one.deadline) for one in every),
        overturn_rate=by_state[OVERTURNED] / len(answered) if answered else None,
        days_to_answer_median=median(days) if days else None,
        days_to_answer_longest=max(days, default=None),
        open=len(still),
        open_past_deadline=sum(one.deadline < now for one in still),
        re_actions=sum(_re_actions(store, held) for held in begun),
    )


def _re_actions(store: Reading, held: Containment) -> int:
    """How many accounts a containment acts on though an earlier one was cleared for them, on the same evidence."""
    earlier = {
        one.containment
        for one in containments(store)
        if one.containment != held.containment and one.state != PLANNED and one.begins <= held.begins
        if not new_since(one, held)
    }
    mine = select(HOLDERS.c.account).where(HOLDERS.c.containment == held.containment)
    rows = store.connection.execute(
        select(HOLDERS.c.account, HOLDERS.c.containment).where(
            HOLDERS.c.account.in_(mine), HOLDERS.c.state.in_(CLEARED), HOLDERS.c.containment.in_(sorted(earlier))
        )
    )
    return len({account for account, _ in rows})
