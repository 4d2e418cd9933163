"""Every hostile input ends in what is expected of it, and the page says so."""

import pytest
from tests.hostile.inputs import CASES
from tests.hostile.page import bad, outcomes, table, written
from tests.hostile.running import HANG, LOST, MEMORY, RIGHT, TRACEBACK, WRONG, Answer, Expected, judged


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outcomes(tmp_path_factory.mktemp("hostile"))


def test_there_are_as_many_inputs_as_the_page_promises() -> None:
    assert len(CASES) >= 400


def test_no_hostile_input_ends_in_a_traceback_a_hang_a_flood_of_memory_or_lost_rows(found: dict[str, str]) -> None:
    assert bad(found) == {}


def test_the_page_shows_the_outcomes_of_this_run(found: dict[str, str]) -> None:
    assert written() == table(found), "run `python -m tests.hostile.page`"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(0, '{"rows": 9, "rejected": 1, "warnings": []}', ""), RIGHT),
        (Answer(0, '{"rows": 8, "rejected": 2, "warnings": []}', ""), LOST),
        (Answer(0, '{"rows": 9, "rejected": 0, "warnings": []}', ""), LOST),
        (Answer(2, "", "Error: no\nFix: none"), WRONG),
        (Answer(0, "{}", "\x1b[2J"), WRONG),
        (Answer(1, "", "", "ValueError()"), TRACEBACK),
        (HANG, HANG),
        (MEMORY, MEMORY),
    ],
)
def test_an_outcome_is_told_from_the_others(answer: Answer | str, outcome: str) -> None:
    assert judged(Expected(frozenset({0}), rows=9, tries=1), answer) == outcome
