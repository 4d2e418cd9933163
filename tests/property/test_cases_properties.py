"""Whatever people and scans do to cases, in whatever order: log and store agree, and a refusal changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cases_stand import ANA, BOB, group

from clonewatch.cases.arrivals import arrive
from clonewatch.cases.changes import Decision, annotate, assign, merge, rule, split, undo
from clonewatch.cases.rulings import standing
from clonewatch.cases.store import Store, Writing, opened
from clonewatch.cases.store_checking import check_store
from clonewatch.errors import InputError, SetupError, StaleError

CASES = [f"K000{n}" for n in range(1, 6)]
NAMES, ACCOUNTS = st.sampled_from(CASES), st.frozensets(st.sampled_from("abcdefgh"), min_size=1, max_size=6)
RULINGS = st.sampled_from(
    [
        Decision("confirmed"),
        Decision("innocent", "app_users"),
        Decision("innocent", "one_customer", "accounts", "2026-05-06"),
        Decision("needs_more"),
    ]
)
FAMILIES = st.sampled_from([("identity",), ("identity", "load")])
GROUPS = st.lists(st.tuples(ACCOUNTS, FAMILIES, st.sampled_from(["flagged", "review", "listed"])), max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("arrive"), GROUPS, st.integers(1, 9)),
    st.tuples(st.just("rule"), st.lists(NAMES, min_size=1, max_size=2), RULINGS),
    st.tuples(st.just("assign"), st.lists(NAMES, min_size=1, max_size=2), st.sampled_from(["ana", "bob", ""])),
    st.tuples(st.just("merge"), st.lists(NAMES, min_size=1, max_size=2), NAMES),
    st.tuples(st.just("split"), NAMES, ACCOUNTS),
    st.tuples(st.just("note"), NAMES, st.sampled_from(["x", " "])),
    st.tuples(st.just("undo"), NAMES, st.just(None)),
)


def take(change: Writing, what: str, one: object, other: object) -> None:
    """One step."""
    if what == "arrive":
        found = [
            group(f"C{i}", accounts, last=f"2026-05-0{other}", families=families, outcome=outcome)
            for i, (accounts, families, outcome) in enumerate(one)  # type: ignore[arg-type]
        ]
        arrive(change, found, ANA.by, ANA.at)
    elif what == "assign":
        assign(change, one, BOB, other, None)  # type: ignore[arg-type]
    elif what == "note":
        annotate(change, one, other, ANA)  # type: ignore[arg-type]
    elif what == "undo":
        undo(change, one, BOB)  # type: ignore[arg-type]
    else:
        {"rule": rule, "merge": merge, "split": split}[what](change, one, other, ANA)  # type: ignore[operator]


def state(store: Store) -> tuple[object, ...]:
    """Everything a store says, and that it agrees with its log."""
    with store.reading() as held:
        assert check_store(held).faults == ()
        standing(held)
        return held.log(), held.cases()


@given(st.lists(STEPS, min_size=3, max_size=10))
@settings(max_examples=15, deadline=None)
def test_log_and_store_agree_after_every_step_and_a_refused_one_changes_nothing(steps: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = opened(str(Path(folder) / "cases.db"), create=True)
        first = [(frozenset("abc"), ("identity",), "flagged"), (frozenset("def"), ("identity",), "review")]
        for what, one, other in [("arrive", first, 1), *steps]:
            before = state(store)
            try:
                with store.writing() as change:
                    take(change, what, one, other)
            except (InputError, SetupError, StaleError):
                assert what != "arrive" and state(store) == before
        state(store)
