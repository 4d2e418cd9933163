"""A containment that has begun, and a system that carries measures out, which the tests of appeals share."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.unit.cases_stand import filled, group

from clonewatch.cases.appeals import Answer, decide, write
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.attachments import File
from clonewatch.cases.changes import Decision, Who, rule
from clonewatch.cases.containments import Link, Plan, ask, bearer, begin
from clonewatch.cases.measures import Appeal, Containment
from clonewatch.cases.store import Store
from clonewatch.ports.consequences import Consequence

ANA, BOB, EVA = (Who(name, "2026-05-06T09:00:00Z") for name in ("ana", "bob", "eva"))
HOLDER = Who("account holder", "2026-05-07T09:00:00Z", "appeal link")
PLAN = Plan("suspend", "Section 4: nobody may use several accounts to get around limits")


def at(who: Who, time: str) -> Who:
    """The same person at another time, of 2026-05 where it is a day."""
    return who._replace(at=f"2026-05-{time}T09:00:00Z" if len(time) == 2 else time)


class Stand(NamedTuple):
    """A store in which B0001 suspends a, b, c and d of K0001 from 6 May to 5 June, and the links of these."""

    store: Store
    held: Containment
    links: list[Link]

    def appeal(
        self, number: int = 0, text: str = "we are a school", files: tuple[File, ...] = (), when: str = "07"
    ) -> Appeal:
        """What the holder of an account writes by the link."""
        with self.store.writing() as change:
            return write(
                change, bearer(change, self.links[number].token, at(HOLDER, when).at), text, at(HOLDER, when), files
            )

    def decide(self, name: str, answer: Answer, who: Who = EVA, when: str = "08", version: int | None = None) -> Appeal:
        """Answer an appeal."""
        with self.store.writing() as change:
            return decide(change, name, answer, "because we looked again", at(who, when), version)

    def states(self) -> list[tuple[str, str]]:
        """State and measure of every account under B0001, as the table has them."""
        from sqlalchemy import select

        from clonewatch.cases.tables import HOLDERS

        with self.store.reading() as held:
            wanted = select(HOLDERS.c.state, HOLDERS.c.measure).where(HOLDERS.c.containment == "B0001")
            return [tuple(row) for row in held.connection.execute(wanted.order_by(HOLDERS.c.number))]


def planned(place: str, key: Path | None = None) -> Store:
    """A store in which ana ruled K0001 confirmed and asked for B0001."""
    store = filled(place, key)
    plan(store)
    return store


def plan(store: Store) -> None:
    """ana rules K0001 confirmed and asks for B0001."""
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
        ask(change, "K0001", PLAN, "seen twice", ANA)


def contained(store: Store) -> tuple[Containment, list[Link]]:
    """The same, and bob begins it."""
    plan(store)
    with store.writing() as change:
        return begin(change, "B0001", BOB)


def begun(place: str, key: Path | None = None) -> Stand:
    """The stand."""
    store = planned(place, key)
    with store.writing() as change:
        return Stand(store, *begin(change, "B0001", BOB))


def seen_again(store: Store, families: tuple[str, ...] = ("identity", "load"), odds: float = 4.0) -> None:
    """A later scan finds the same accounts."""
    with store.writing() as change:
        arrive(change, [group("C0001", "abcd", last="2026-05-20", families=families, odds=odds)], "ana", ANA.at)


class Recorder:
    """A system that carries measures out as the interface asks, and fails when it is told to."""

    def __init__(self, name: str = "gateway") -> None:
        self.name, self.calls, self.failing = name, list[tuple[str, str, str, int]](), 0
        self.stands: dict[str, str] = {}
        self._versions: dict[tuple[str, str], int] = {}

    def apply(self, consequence: Consequence) -> None:
        """Remember that a measure stands."""
        self._call("apply", consequence)

    def take_back(self, consequence: Consequence) -> None:
        """Remember that none does."""
        self._call("take back", consequence)

    def _call(self, what: str, one: Consequence) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("the gateway is away")
        self.calls.append((what, one.account, one.measure, one.version))
        if self._versions.get((one.containment, one.account), 0) <= one.version:
            self._versions[one.containment, one.account] = one.version
            self.stands[one.account] = one.measure
