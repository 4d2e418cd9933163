"""What holds for any seed: determinism of words, session order, injective ids, bounds of the metrics."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clonewatch.lab.clocks import Marathon, QueueClock, SessionClock, running, segments
from clonewatch.lab.ids import mix, spelled
from clonewatch.lab.rows import DAY
from clonewatch.lab.text.casual import casual
from clonewatch.lab.text.harvests import grade_message, harvest_message, reworded_message, rewrite_message, tidy_message
from clonewatch.lab.text.programs import agent_message, app_message, harness_prompt, label_message, system_prompt

SEEDS = st.integers(0, 2**32 - 1)
IDS = st.integers(1, 2**63 - 1)
CELLS = st.integers(0, 4095)


@given(st.lists(st.integers(1, 2**63), min_size=1, max_size=200, unique=True), SEEDS)
def test_mixing_never_maps_two_numbers_to_one(numbers: list[int], salt: int) -> None:
    assert len(np.unique(mix(np.array(numbers, dtype=np.uint64), salt))) == len(numbers)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=100))
def test_ids_are_spelled_in_hexadecimal_and_zero_is_null(numbers: list[int]) -> None:
    made = spelled(np.array(numbers, dtype=np.uint64), "x-")
    made.validate(full=True)
    assert made.equals(pa.array([f"x-{n:016x}" if n else None for n in numbers], pa.string()))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_running_sums_restart_with_every_run(lengths: list[int]) -> None:
    sizes = np.array(lengths)
    _, place = segments(sizes)
    assert np.array_equal(running(np.ones(len(place)), sizes), place + 1.0)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(0, 20), st.booleans())
def test_turns_of_a_session_follow_one_another_in_time(seed: int, day: int, long: bool) -> None:
    turns = Marathon() if long else SessionClock(np.zeros(1), np.zeros(1)).turns
    clock = SessionClock(np.full(30, 0.8), np.linspace(-11, 12, 30), turns)
    beats = clock.beats(day, np.random.default_rng(seed))
    same = beats.session[1:] == beats.session[:-1]
    assert (np.diff(beats.ts)[same] >= 0).all() and (np.diff(beats.turn.astype(int))[same] == 1).all()
    first = beats.turn == 0
    assert ((beats.ts[first] >= day * DAY) & (beats.ts[first] < (day + 1) * DAY)).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.booleans(), st.booleans())
def test_a_queue_uses_only_accounts_that_are_alive(seed: int, closed: bool, turns: bool) -> None:
    rng = np.random.default_rng(seed)
    begin = (rng.uniform(0, 3, size=20) * DAY).astype(np.int64)
    end = begin + (rng.uniform(0.5, 3, size=20) * DAY).astype(np.int64)
    clock = QueueClock(500, begin, end, np.ones(20), np.ones(9), closed=closed, turn_taking=turns)
    for day in range(9):
        beats = clock.beats(day, rng)
        touching = (begin < (day + 1) * DAY) & (end > day * DAY)
        assert touching[beats.who].all()
        assert (np.diff(beats.ts) >= 0).all()


@given(IDS, IDS, CELLS, st.booleans(), st.sampled_from([0, 7, 12345]))
def test_the_same_ids_give_the_same_words_without_open_slots(t: int, p: int, cell: int, why: bool, form: int) -> None:
    for write in (
        lambda: casual(t, p, cell, "code"),
        lambda: casual(t, p, cell, "data"),
        lambda: app_message(t, p, cell),
        lambda: agent_message(t, p, cell, False),
        lambda: label_message(t, p, cell),
        lambda: harvest_message(t, p, cell, why, form),
        lambda: reworded_message(t, p, cell, why, form),
        lambda: grade_message(t, p, cell),
        lambda: rewrite_message(t, p, cell),
        lambda: tidy_message(t, p, cell),
        lambda: system_prompt(t),
        lambda: harness_prompt(t),
    ):
        said = write()
        assert said == write() and said.strip()
        assert "{thing" not in said and "{n" not in said and "{topic" not in said
