"""Which case a group continues: recognised by its accounts, opened once, split for good, never by a listed group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.cases_stand import ANA, INNOCENT, filled, group

from clonewatch.cases.arrivals import Arrived, Group, arrive
from clonewatch.cases.changes import Decision, merge, rule, split
from clonewatch.cases.rulings import standing
from clonewatch.cases.store import Store, opened
from clonewatch.cases.store_checking import check_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(str(tmp_path / "cases.db"))


def come(store: Store, *found: Group) -> Arrived:
    with store.writing() as change:
        return arrive(change, found, "ana", ANA.at)


def accounts(store: Store) -> dict[str, str]:
    with store.reading() as held:
        assert check_store(held).faults == ()
        return {case.case: "".join(sorted(held.accounts(case.accounts))) for case in held.cases()}


def test_the_same_scan_twice_changes_nothing(store: Store) -> None:
    again = come(store, group("C0001", "abcd"), group("C0002", "xyz", outcome="review"))
    assert again == Arrived((), (), {}, 2) and accounts(store) == {"K0001": "abcd", "K0002": "xyz"}


def test_a_group_continues_the_case_with_most_of_its_accounts_and_adds_its_own(store: Store) -> None:
    arrived = come(store, group("C0001", "xyw", last="2026-05-08"), group("C0002", "cdef", last="2026-05-08"))
    assert sorted(arrived.again) == ["K0001", "K0002"] and arrived.opened == ()
    assert accounts(store) == {"K0001": "abcdef", "K0002": "wxyz"}


def test_less_than_half_in_common_is_another_case(store: Store) -> None:
    assert come(store, group("C0001", "amnop", last="2026-05-08")).opened == ("K0003",)


@pytest.mark.parametrize(("outcome", "opened_"), [("flagged", 1), ("review", 1), ("listed", 0)])
def test_only_what_a_person_should_look_at_opens_a_case(store: Store, outcome: str, opened_: int) -> None:
    assert len(come(store, group("C0005", "uvw", outcome=outcome)).opened) == opened_
    seen = come(store, group("C0006", "abcd", outcome=outcome, last="2026-05-09"))
    assert seen.again == ("K0001",), "a case is followed whatever its group is"


def test_a_split_stays_a_split(store: Store) -> None:
    with store.writing() as change:
        split(change, "K0001", frozenset("ab"), ANA)
    arrived = come(store, group("C0001", "abcde", last="2026-05-09"))
    assert sorted(arrived.again) == ["K0001", "K0003"]
    assert accounts(store) == {"K0001": "cde", "K0002": "xyz", "K0003": "ab"}
    assert come(store, group("C0001", "abcde", last="2026-05-09")).known == 2


def test_a_case_that_lies_in_two_groups_is_seen_in_both(store: Store) -> None:
    with store.writing() as change:
        split(change, "K0001", frozenset("ab"), ANA)
    arrived = come(store, group("C0001", "abcd", last="2026-05-09"), group("C0002", "abxyz", last="2026-05-09"))
    assert sorted(arrived.again) == ["K0001", "K0002", "K0003", "K0003"]
    assert accounts(store) == {"K0001": "cd", "K0002": "xyz", "K0003": "ab"}


def test_a_merged_case_is_seen_once(store: Store) -> None:
    with store.writing() as change:
        merge(change, ["K0002"], "K0001", ANA)
    arrived = come(store, group("C0001", "abcdxyz", last="2026-05-09"))
    assert arrived.again == ("K0001",)
    assert come(store, group("C0002", "xyz", outcome="review")).known == 1


def test_an_older_scan_that_comes_late_does_not_pass_for_the_newest(store: Store) -> None:
    come(store, group("C0008", "abcd", last="2026-04-20", odds=-2.0))
    with store.reading() as held:
        assert held.case("K0001").seen.odds_bits == 4.0


@pytest.mark.parametrize(
    ("seen", "because"),
    [
        (group("C1", "abcd", last="2026-05-09", odds=5.9), ()),
        (group("C1", "abcd", last="2026-05-09", odds=6.1), ("odds higher by 2.1 bits",)),
        (group("C1", "abcd", last="2026-05-09", odds=9.9, outcome="listed"), ()),
        (group("C1", "abcd", last="2026-05-09", families=("load", "pacing")), ("evidence of another family: pacing",)),
        (group("C1", "abcdefg", last="2026-05-09"), ("3 of 7 accounts were not ruled on",)),
    ],
)
def test_a_ruled_case_is_opened_again_only_by_more_than_was_ruled_on(
    store: Store, seen: Group, because: Sequence[str]
) -> None:
    with store.writing() as change:
        rule(change, ["K0001"], INNOCENT, ANA)
    arrived = come(store, seen)
    assert tuple(arrived.reopened.get("K0001", ())) == tuple(because)
    with store.reading() as held:
        assert held.case("K0001").status == ("open" if because else "ruled")
        assert [a.ruled.case for a in standing(held) if a.ruled] == ["K0001"], "it stands for what it was given on"


def test_a_ruling_that_ended_opens_the_case_again(store: Store) -> None:
    with store.writing() as change:
        rule(change, ["K0001"], Decision("innocent", "app_users", "accounts", "2026-05-20"), ANA)
    assert come(store, group("C1", "abcd", last="2026-05-20", odds=99.0)).reopened == {}
    assert come(store, group("C1", "abcd", last="2026-05-21")).reopened == {
        "K0001": ("its ruling held until 2026-05-20",)
    }


def test_what_stands_is_the_newest_ruling_on_the_accounts_of_then(store: Store) -> None:
    with store.writing() as change:
        rule(change, ["K0001"], INNOCENT, ANA, "contract 4711")
        rule(change, ["K0002"], Decision("needs_more"), ANA)
    come(store, group("C1", "abcde", last="2026-05-09"))
    with store.reading() as held:
        (told,) = standing(held)
    assert (told.accounts, told.question, told.note) == (frozenset("abcd"), "one_customer", "contract 4711")
    assert told.ruled and told.ruled.families == {"identity", "load"} and told.ruled.odds_bits == 4.0
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    with store.reading() as held:
        (told,) = standing(held)
    assert told.ruled and told.ruled.ruling == "confirmed" and told.question == "" and told.note == ""


def test_a_large_case_comes_in_whole(tmp_path: Path) -> None:
    store = opened(str(tmp_path / "cases.db"), create=True)
    ids = [f"acct-{i}" for i in range(25_000)]
    come(store, group("C0001", ids))
    arrived = come(store, group("C0001", [*ids[5000:], "one more"], last="2026-05-09"))
    assert arrived.again == ("K0001",)
    with store.reading() as held:
        assert held.case("K0001").size == 25_001
