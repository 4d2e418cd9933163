"""What time does to measures: they end, and lapse where nobody answers. Whoever was ruled innocent since is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from clonewatch.cases.appeals import appeals, following
from clonewatch.cases.changes import Who
from clonewatch.cases.containments import Holder, containment, containments, settle
from clonewatch.cases.measures import ACTIVE, ENDED, LAPSED, LIFTED, LIVE, STANDING, Containment
from clonewatch.cases.records import INNOCENT, RULED
from clonewatch.cases.store import Reading, Writing
from clonewatch.cases.tables import HOLDERS


class Ended(NamedTuple):
    """What the clock ended. what: lapsed, ended or lifted. accounts: how many. appeal: empty where there is none."""

    containment: str
    what: str
    accounts: int
    appeal: str = ""


def run(store: Writing, who: Who) -> list[Ended]:
    """End what is over at this time. Run twice, the second time changes nothing."""
    return [*_lapse(store, who), *_lift(store, who), *_end(store, who)]


def in_force(store: Reading, now: str) -> list[Holder]:
    """The accounts under a measure at a time, whether or not somebody ran the clock since."""
    found = []
    for held in containments(store, state=STANDING):
        if held.until < now[:10]:
            continue
        late = {one.holder for one in appeals(store, held.containment, LIVE) if one.deadline < now}
        rows = store.connection.execute(
            select(HOLDERS)
            .where(HOLDERS.c.containment == held.containment, HOLDERS.c.state.in_(ACTIVE))
            .order_by(HOLDERS.c.number)
        ).all()
        accounts = sorted(store.accounts(held.accounts))
        found += [
            Holder(held, row.number, accounts[row.number], row.state, row.measure, row.version, row.token_until)
            for row in rows
            if row.number not in late
        ]
    return found


def _lapse(store: Writing, who: Who) -> list[Ended]:
    done = []
    for one in appeals(store, states=LIVE):
        if one.deadline >= who.at:
            continue
        held, lapsed = containment(store, one.containment), following(one, state=LAPSED, answer_by="")
        because = (f"no answer by {one.deadline}",)
        settle(store, held, [one.holder], LAPSED, "lapse", who, appeal=lapsed, because=because)
        done.append(Ended(held.containment, LAPSED, 1, one.appeal))
    return done


def _lift(store: Writing, who: Who) -> list[Ended]:
    """Free accounts that somebody ruled innocent after their measure began."""
    done = []
    for held in containments(store, state=STANDING):
        numbers = _innocent(store, held)
        if numbers:
            settle(store, held, numbers, LIFTED, "lift", who, because=("ruled innocent",))
            done.append(Ended(held.containment, LIFTED, len(numbers)))
    return done


def _innocent(store: Reading, held: Containment) -> Sequence[int]:
    accounts = sorted(store.accounts(held.accounts))
    free: set[str] = set()
    for case in store.sharing(accounts):
        ruling = case.ruling if case.status == RULED else None
        if ruling and ruling.ruling == INNOCENT and ruling.at >= held.begins:
            free |= store.accounts(ruling.accounts) & store.accounts(case.accounts)
    numbers = [number for number, account in enumerate(accounts) if account in free]
    return [number for number in numbers if held.holder(number).state in ACTIVE]


def _end(store: Writing, who: Who) -> list[Ended]:
    done = []
    for held in containments(store, state=STANDING):
        if held.until < who.at[:10]:
            still = sum(one.state in ACTIVE for one in held.holders())
            settle(store, held, None, ENDED, "end", who, because=(f"its last day was {held.until}",))
            done.append(Ended(held.containment, ENDED, still))
    return done
