"""What is due: deadlines of open cases, and innocent rulings that end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from clonewatch.cases.records import ALIVE, OPEN, Case


class Due(NamedTuple):
    """Something to do by a day. what: `deadline`, or `ruling ends`. overdue: the day is past."""

    day: str
    what: str
    overdue: bool
    case: Case


def due(cases: Iterable[Case], today: str, by: str) -> list[Due]:
    """What is due up to a day, the earliest first; what is overdue stays until somebody rules or moves it."""
    found = []
    for case in cases:
        if case.status == OPEN and case.due and case.due <= by:
            found.append(Due(case.due, "deadline", case.due < today, case))
        if case.status in ALIVE and case.ruling and case.ruling.until and case.ruling.until <= by:
            found.append(Due(case.ruling.until, "ruling ends", case.ruling.until < today, case))
    return sorted(found, key=lambda one: (one.day, one.case.case, one.what))
