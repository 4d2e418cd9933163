"""Other systems carry measures out and take them back: what is left to do is asked of them until they did it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import and_, func, insert, select, update

from clonewatch.cases.changes import Who
from clonewatch.cases.containments import containment
from clonewatch.cases.records import Entry
from clonewatch.cases.store import Reading, Store
from clonewatch.cases.tables import CARRIED, HOLDERS
from clonewatch.ports.consequences import Consequence, Consequences

_AT_ONCE = 500
_ERROR_LENGTH = 200


class Left(NamedTuple):
    """Something a system has still to do. error: of the last try; empty for none."""

    number: int
    consequence: Consequence
    tries: int
    error: str


class Done(NamedTuple):
    """What became of a run with one system: measures applied and taken back, and tries that failed."""

    target: str
    applied: int
    taken_back: int
    failed: int


def carry_out(store: Store, targets: Sequence[Consequences], who: Who) -> list[Done]:
    """Ask each system for everything that it has not done, once; whatever fails stays for the next run.

    Systems are called while no transaction is open. If this process ends between a call and its record, the call is
    made again.
    """
    done = []
    for target in targets:
        applied = taken_back = failed = 0
        for batch in _batches(store, target.name):
            results = [(one, _asked(target, one.consequence)) for one in batch]
            _record(store, target.name, results, who)
            failed += sum(bool(error) for _, error in results)
            applied += sum(not error and bool(one.consequence.measure) for one, error in results)
            taken_back += sum(not error and not one.consequence.measure for one, error in results)
        done.append(Done(target.name, applied, taken_back, failed))
    return done


def left(store: Reading, target: str, after: tuple[str, int] = ("", -1), most: int | None = None) -> list[Left]:
    """What a system has still to do, by containment and account, after one of them."""
    same = and_(
        CARRIED.c.containment == HOLDERS.c.containment, CARRIED.c.number == HOLDERS.c.number, CARRIED.c.target == target
    )
    beyond = (HOLDERS.c.containment > after[0]) | ((HOLDERS.c.containment == after[0]) & (HOLDERS.c.number > after[1]))
    rows = store.connection.execute(
        select(
            HOLDERS.c.containment,
            HOLDERS.c.number,
            HOLDERS.c.measure,
            HOLDERS.c.version,
            func.coalesce(CARRIED.c.tries, 0),
            func.coalesce(CARRIED.c.error, ""),
        )
        .outerjoin(CARRIED, same)
        .where(beyond, HOLDERS.c.version > func.coalesce(CARRIED.c.version, 0))
        .order_by(HOLDERS.c.containment, HOLDERS.c.number)
        .limit(most)
    ).all()
    held = {name: containment(store, name) for name in {row[0] for row in rows}}
    accounts = {name: sorted(store.accounts(one.accounts)) for name, one in held.items()}
    return [
        Left(n, Consequence(name, accounts[name][n], measure, held[name].until, version), tries, error)
        for name, n, measure, version, tries, error in rows
    ]


def _batches(store: Store, target: str) -> Iterator[list[Left]]:
    after = ("", -1)
    while True:
        with store.reading() as held:
            batch = left(held, target, after, _AT_ONCE)
        if not batch:
            return
        after = (batch[-1].consequence.containment, batch[-1].number)
        yield batch


def _asked(target: Consequences, one: Consequence) -> str:
    """Call a system; what went wrong in a few words, empty for nothing."""
    try:
        target.apply(one) if one.measure else target.take_back(one)
    except Exception as error:  # noqa: BLE001  (whatever it is: the others are asked nevertheless)
        return f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
    return ""


def _record(store: Store, target: str, results: Sequence[tuple[Left, str]], who: Who) -> None:
    with store.writing() as change:
        for one, error in results:
            asked = one.consequence
            this = and_(
                CARRIED.c.containment == asked.containment, CARRIED.c.number == one.number, CARRIED.c.target == target
            )
            before = change.connection.execute(select(CARRIED.c.version).where(this)).scalar_one_or_none()
            # A run that was slower never takes back what a later one recorded.
            if before is not None and before >= asked.version:
                continue
            version = (before or 0) if error else asked.version
            row = {"version": version, "tries": one.tries + 1, "error": error, "at": who.at}
            if before is None:
                key = {"containment": asked.containment, "number": one.number, "target": target}
                change.connection.execute(insert(CARRIED).values(**key, **row))
            else:
                change.connection.execute(update(CARRIED).where(this).values(**row))
        good = [one.consequence for one, error in results if not error]
        because = (
            target,
            f"applied {sum(bool(one.measure) for one in good)}",
            f"took back {sum(not one.measure for one in good)}",
            f"failed {len(results) - len(good)}",
        )
        cases = sorted({containment(change, one.consequence.containment).case for one, _ in results})
        change.add(Entry("carry", who.at, who.by, tuple(cases), because=because, via=who.via))
