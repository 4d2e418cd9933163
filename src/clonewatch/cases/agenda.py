"""What is due: deadlines of open cases, innocent rulings that end, and answers to appeals."""

from __future__ import annotations

from typing import NamedTuple

from clonewatch.cases.appeals import appeals
from clonewatch.cases.containments import containment
from clonewatch.cases.measures import LIVE
from clonewatch.cases.records import ALIVE, OPEN, Case
from clonewatch.cases.store import Reading


class Due(NamedTuple):
    """Something to do by a day. what: `deadline`, `ruling ends`, or `appeal` and its id. overdue: the day is past."""

    day: str
    what: str
    overdue: bool
    case: Case


def due(store: Reading, today: str, by: str) -> list[Due]:
    """What is due up to a day, the earliest first; what is overdue stays until somebody rules or moves it."""
    found = []
    for case in store.cases():
        if case.status == OPEN and case.due and case.due <= by:
            found.append(Due(case.due, "deadline", case.due < today, case))
        if case.status in ALIVE and case.ruling and case.ruling.until and case.ruling.until <= by:
            found.append(Due(case.ruling.until, "ruling ends", case.ruling.until < today, case))
    for one in appeals(store, states=LIVE):
        last = one.deadline[:10]
        if last <= by:
            about = store.case(containment(store, one.containment).case)
            found.append(Due(last, f"appeal {one.appeal}", last < today, about))
    return sorted(found, key=lambda one: (one.day, one.case.case, one.what))
