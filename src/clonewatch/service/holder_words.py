"""What the holder of an account reads about the state of a measure and of an appeal."""

from __future__ import annotations

from typing import NamedTuple

from clonewatch.cases.containments import Holder
from clonewatch.cases.measures import (
    ACTIVE,
    CONDITIONAL,
    ENDED,
    LAPSED,
    LIFTED,
    LIVE,
    MEASURES,
    OVERTURNED,
    PARTIAL,
    UPHELD,
    WAITING,
    Appeal,
)
from clonewatch.report.numerals import day

_FREE = {
    ENDED: "The measure has ended.",
    LIFTED: "The measure was lifted: we no longer believe what it rested on.",
    LAPSED: "The measure has lapsed: your appeal was not answered in time.",
    OVERTURNED: "You were right: the measure was overturned, and everything that it did is taken back.",
}
_ANSWERED = {
    UPHELD: "Your appeal was answered: the measure stays. The reasons are below.",
    OVERTURNED: "Your appeal was answered: the measure was wrong.",
    PARTIAL: "Your appeal was answered: a milder measure takes the place of the first. The reasons are below.",
    LAPSED: "Your appeal was not answered in time. The measure no longer holds for your account.",
}


class State(NamedTuple):
    """Whether something stands against an account, and what is to be said about it and about the appeal."""

    stands: bool
    measure: str
    appeal: str


def state(holder: Holder, held: Appeal | None, now: str) -> State:
    """The state at a time, whether or not somebody ran the clock since."""
    late = held is not None and held.state in LIVE and held.deadline < now
    over = holder.containment.until < now[:10]
    stands = holder.state in ACTIVE and not late and not over
    if stands:
        measure = f"Now in force, to {day(holder.containment.until)}: {MEASURES[holder.measure]}."
    else:
        measure = _FREE[LAPSED if late else ENDED if holder.state in ACTIVE else holder.state]
    return State(stands, measure, _appeal(held, late))


def _appeal(held: Appeal | None, late: bool) -> str:
    if held is None:
        return ""
    if late or held.state not in LIVE:
        return _ANSWERED.get(LAPSED if late else held.state, "Your appeal is closed.")
    if held.state == WAITING:
        return (
            f"We asked you something: please reply below, by {day(held.answer_by)}. Until then our clock stands still."
        )
    if held.state == CONDITIONAL:
        return (
            f"The measure ends if what we wrote below is met by {day(held.answer_by)}. We decide by"
            f" {day(held.deadline)}; otherwise it lapses for your account."
        )
    return f"We have your appeal, and answer by {day(held.deadline)}. Otherwise the measure lapses for your account."
