"""What others are told of changes. The entries of the log are what happened; how far each target was told is here.

An entry is written in the transaction of the change that it tells of. So whatever happened is told, and nothing else: a
target reads the log from where it stopped, and what it has to hear is a row until it was delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from clonewatch.cases.people import later
from clonewatch.cases.records import Entry, entry
from clonewatch.cases.store import Reading, Store
from clonewatch.cases.tables import DELIVERIES, ENTRIES, TARGETS

WAITING, SENT, DEAD = "waiting", "sent", "dead"
# A new target hears of the last day, so that whoever sets one up after an import sees that it works.
FIRST_HOURS = 24
# Deliveries that were made are kept as long, so that nothing is told twice, and then removed.
KEPT = timedelta(days=90)
# How long a delivery belongs to the process that tries it; after that, it died.
_LEASE = timedelta(minutes=10)
_ENTRIES_AT_ONCE = 5_000


class Message(NamedTuple):
    """What a target has to hear. event: its id. kind: its type. body: the event as JSON."""

    event: str
    kind: str
    body: str


class Delivery(NamedTuple):
    """A message to a target and what became of it. tries: how often it was tried. due: when it is tried next."""

    target: str
    event: str
    kind: str
    body: str
    state: str
    tries: int
    due: str
    error: str
    made: str


Telling = Callable[[Reading, int, Entry], Message | None]
Reminding = Callable[[Reading], Iterable[Message]]


def gather(store: Store, target: str, telling: Telling, reminding: Reminding, now: str) -> int:
    """Read the log from where a target stopped, and put down what it has to hear; returns how much that is."""
    with store.tending() as connection:
        held = Reading(connection)
        start = _next(connection, target, now)
        wanted = select(ENTRIES).where(ENTRIES.c.number >= start).order_by(ENTRIES.c.number).limit(_ENTRIES_AT_ONCE)
        rows = connection.execute(wanted).all()
        found = [telling(held, row.number, entry(row.body, row.number)) for row in rows]
        messages = {one.event: one for one in (*found, *reminding(held)) if one}
        known = set(connection.execute(select(DELIVERIES.c.event).where(DELIVERIES.c.target == target)).scalars())
        new = [one for one in messages.values() if one.event not in known]
        if new:
            blank = {"target": target, "state": WAITING, "tries": 0, "due": now, "error": "", "made": now}
            connection.execute(insert(DELIVERIES), [{**one._asdict(), **blank} for one in new])
        if rows:
            done = rows[-1].number + 1
            connection.execute(update(TARGETS).where(TARGETS.c.target == target).values(next=done))
    return len(new)


def claim(store: Store, target: str, now: str) -> Delivery | None:
    """Take the delivery that has waited longest for a target, so that no other process tries it meanwhile."""
    due = (DELIVERIES.c.target == target) & (DELIVERIES.c.state == WAITING) & (DELIVERIES.c.due <= now)
    with store.tending() as connection:
        # Written to first: processes that do this at once come one after the other.
        connection.execute(update(TARGETS).where(TARGETS.c.target == target).values(next=TARGETS.c.next))
        row = connection.execute(
            select(DELIVERIES).where(due).order_by(DELIVERIES.c.due, DELIVERIES.c.made, DELIVERIES.c.event).limit(1)
        ).first()
        if row is None:
            return None
        taken = Delivery(*row)._replace(tries=row.tries + 1, due=later(now, _LEASE))
        _put(connection, taken)
    return taken


def settle(store: Store, delivery: Delivery) -> None:
    """Record what became of a delivery."""
    with store.tending() as connection:
        _put(connection, delivery)


def revive(store: Store, now: str, target: str | None = None, events: Sequence[str] = ()) -> list[Delivery]:
    """Let dead deliveries be tried again: all of them, those to a target, or of some events."""
    with store.tending() as connection:
        wanted = DELIVERIES.c.state == DEAD
        if target is not None:
            wanted &= DELIVERIES.c.target == target
        if events:
            wanted &= DELIVERIES.c.event.in_(events)
        connection.execute(update(TARGETS).values(next=TARGETS.c.next))
        rows = connection.execute(select(DELIVERIES).where(wanted).order_by(DELIVERIES.c.made)).all()
        found = [Delivery(*row)._replace(state=WAITING, tries=0, due=now) for row in rows]
        for one in found:
            _put(connection, one)
    return found


def deliveries(store: Reading, states: Sequence[str]) -> list[Delivery]:
    """Deliveries in some states, the oldest first."""
    wanted = select(DELIVERIES).where(DELIVERIES.c.state.in_(states))
    ordered = wanted.order_by(DELIVERIES.c.made, DELIVERIES.c.target, DELIVERIES.c.event)
    return [Delivery(*row) for row in store.connection.execute(ordered)]


def counts(store: Reading) -> dict[tuple[str, str], int]:
    """How many deliveries there are by target and state."""
    wanted = select(DELIVERIES.c.target, DELIVERIES.c.state, func.count()).group_by(
        DELIVERIES.c.target, DELIVERIES.c.state
    )
    return {(row[0], row[1]): row[2] for row in store.connection.execute(wanted)}


def forget(store: Store, now: str) -> None:
    """Remove deliveries that were made long ago."""
    with store.tending() as connection:
        old = (DELIVERIES.c.state == SENT) & (DELIVERIES.c.made < later(now, -KEPT))
        connection.execute(delete(DELIVERIES).where(old))


def _next(connection: Connection, target: str, now: str) -> int:
    """The number of the entry from which a target reads; a new one begins with the last day."""
    this = TARGETS.c.target == target
    # Written to first: processes that do this at once come one after the other.
    if connection.execute(update(TARGETS).where(this).values(next=TARGETS.c.next)).rowcount:
        return int(connection.execute(select(TARGETS.c.next).where(this)).scalar_one())
    newest = select(ENTRIES).order_by(ENTRIES.c.number.desc())
    since, first = later(now, -timedelta(hours=FIRST_HOURS)), 0
    for row in connection.execute(newest):
        if entry(row.body, row.number).at < since:
            first = row.number + 1
            break
    connection.execute(insert(TARGETS).values(target=target, next=first))
    return first


def _put(connection: Connection, delivery: Delivery) -> None:
    this = (DELIVERIES.c.target == delivery.target) & (DELIVERIES.c.event == delivery.event)
    values = {"state": delivery.state, "tries": delivery.tries, "due": delivery.due, "error": delivery.error}
    connection.execute(update(DELIVERIES).where(this).values(**values))
