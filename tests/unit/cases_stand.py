"""Groups and a small store that the tests of cases share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clonewatch.cases.arrivals import Group, arrive
from clonewatch.cases.changes import Decision, Who, annotate, assign, merge, rule, split, undo
from clonewatch.cases.records import Sighting
from clonewatch.cases.store import Store, opened

ANA, BOB = Who("ana", "2026-05-04T09:00:00Z"), Who("bob", "2026-05-05T09:00:00Z")
INNOCENT = Decision("innocent", "one_customer")


def group(
    name: str,
    accounts: Iterable[str],
    *,
    last: str = "2026-05-01",
    outcome: str = "flagged",
    families: tuple[str, ...] = ("identity", "load"),
    odds: float | None = 4.0,
) -> Group:
    held = frozenset(accounts)
    window = ("2026-04-01T00:00:00Z", f"{last}T00:00:00Z")
    return Group(Sighting(f"scan of {last}", name, outcome, len(held), 100, families, odds, *window), held)


def filled(store: str, log_key: Path | None = None) -> Store:
    """A store with two cases, K0001 of a, b, c, d and K0002 of x, y, z."""
    made = opened(store, log_key, create=True)
    with made.writing() as change:
        arrive(change, [group("C0001", "abcd"), group("C0002", "xyz", outcome="review")], ANA.by, ANA.at)
    return made


def busy(store: Store) -> None:
    """Do one of everything."""
    with store.writing() as change:
        rule(change, ["K0001"], INNOCENT, ANA, "contract 4711")
    with store.writing() as change:
        annotate(change, "K0002", "asked sales", BOB)
        assign(change, ["K0002"], ANA, "bob", "2026-06-01")
    with store.writing() as change:
        merge(change, ["K0002"], "K0001", BOB)
    with store.writing() as change:
        undo(change, "K0001", ANA)
    with store.writing() as change:
        split(change, "K0001", frozenset("ab"), ANA)
    with store.writing() as change:
        arrive(change, [group("C0001", "abcdef", last="2026-05-09")], BOB.by, BOB.at)
