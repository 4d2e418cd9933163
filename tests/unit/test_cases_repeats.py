"""A measure against accounts that went on after an earlier one is longer, by a stated rule, while that one holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.appeals_stand import ANA, BOB, EVA, HOLDER, PLAN, at, contained
from tests.unit.cases_stand import filled

from clonewatch.cases.appeals import Answer, decide, write
from clonewatch.cases.containments import ask, bearer, begin, containment, end
from clonewatch.cases.repeats import counted, earlier
from clonewatch.cases.store import Store
from clonewatch.model.errors import StaleError
from clonewatch.policy.entries import DAY, Measure


def again(store: Store, day: str) -> tuple[str, int, tuple[str, ...]]:
    """ana asks once more: name and days of what is planned, and what made it longer."""
    with store.writing() as change:
        made = ask(change, "K0001", PLAN, "they went on", at(ANA, day))
        return made.containment, made.days, counted(change, made)


def stopped(store: Store, name: str, day: str) -> None:
    with store.writing() as change:
        end(change, name, "it is enough", at(ANA, day))


def test_each_earlier_measure_that_ended_doubles_the_days(tmp_path: Path) -> None:
    store = filled(str(tmp_path / "cases.db"))
    first, _ = contained(store)
    assert (first.days, first.until) == (30, "2026-06-05")
    stopped(store, "B0001", "10")
    assert again(store, "11") == ("B0002", 60, ("B0001",))
    with store.writing() as change:
        begun, _ = begin(change, "B0002", at(BOB, "12"))
        assert begun.until == "2026-07-11" and earlier(change, begun) == ("B0001",)
    stopped(store, "B0002", "13")
    assert again(store, "14") == ("B0003", 120, ("B0001", "B0002"))
    with store.reading() as held:
        said = next(e for _, e in held.history("K0001") if e.what == "plan" and "120 days" in e.because)
        assert said.because == ("suspend", "120 days", "repeat of B0001", "repeat of B0002")


def test_what_was_taken_back_makes_nothing_longer_and_what_was_asked_for_by_it_is_outdated(tmp_path: Path) -> None:
    store = filled(str(tmp_path / "cases.db"))
    _, links = contained(store)
    with store.writing() as change:
        who = at(HOLDER, "09")
        write(change, bearer(change, links[0].token, who.at), "we are a school", who, ())
    stopped(store, "B0001", "10")
    assert again(store, "11")[1] == 60
    with store.writing() as change:
        decide(change, "A0001", Answer("overturn", whole=True), "they are", at(EVA, "13"), None)
    with store.writing() as change, pytest.raises(StaleError, match="was changed since"):
        begin(change, "B0002", at(BOB, "14"))
    with store.reading() as held:
        assert earlier(held, containment(held, "B0002")) == ()


def test_a_rule_of_a_policy_holds_as_much_longer_as_the_measure() -> None:
    measure = Measure("budget", "K0001", ("ana", "bob"), 0, 60 * DAY, repeats=1)
    assert [measure.until(days) for days in (10, 30, 40)] == [20 * DAY, 60 * DAY, 60 * DAY]
    assert measure._replace(repeats=0).until(10) == 10 * DAY
