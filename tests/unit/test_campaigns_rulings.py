"""What a person ruled about a group, as the next scan takes it: no more than it says, and no longer than it holds."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_campaigns_review import HARVEST, MEMBERS, answer, group, verdict

from clonewatch.campaigns.answers import append, read, write
from clonewatch.campaigns.review import LISTED, REVIEW, OnRecord, counting, evidence_odds, review, ruling_on
from clonewatch.model.answers import Answer, Ruled
from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.questions import BY_ID
from clonewatch.model.same_evidence import ACCOUNTS, COVERED, MORE_BITS
from clonewatch.pipeline.daily.detect_window import _mark_answers

FOUND = verdict(HARVEST)
P_VALUE = 0.01
ODDS = evidence_odds(FOUND, P_VALUE)


def ruling(question: str = "one_customer", accounts: frozenset[str] = MEMBERS, **ruled: Any) -> Answer:
    """A ruling on exactly the evidence of FOUND."""
    basis = {"families": frozenset(counting(FOUND)), "odds_bits": ODDS, "case": "K0001"}
    held = Ruled("innocent" if question else "confirmed", **(basis | ruled))
    return Answer(question, True, accounts, "C0007", "2026-05-01T09:00:00Z", "ana", "contract", held)


def on(*answers: Answer, accounts: frozenset[str] = MEMBERS) -> OnRecord | None:
    return ruling_on(FOUND, P_VALUE, accounts, answers)


def outcome(*answers: Answer) -> tuple[str, float]:
    """What FOUND is to a reader, and by how much its odds moved."""
    found = on(*answers)
    standing = review([group(FOUND, p=P_VALUE)], answers, {FOUND.cluster: found} if found else {})[0]
    return standing.outcome, standing.odds_bits - review([group(FOUND, p=P_VALUE)])[0].odds_bits


def test_a_group_that_was_ruled_innocent_is_not_for_review_on_the_same_evidence() -> None:
    assert outcome()[0] == REVIEW
    assert outcome(ruling()) == (LISTED, BY_ID["one_customer"].yes_bits)
    found = on(ruling())
    assert found and found.withholds and found.news == ()


@pytest.mark.parametrize(
    ("changed", "news"),
    [
        ({"families": frozenset(counting(FOUND)[1:])}, f"evidence of another family: {counting(FOUND)[0]}"),
        ({"odds_bits": ODDS - MORE_BITS - 0.1}, "odds higher by 2.1 bits"),
    ],
)
def test_more_evidence_than_was_ruled_on_brings_it_back_and_says_what_is_new(changed: Any, news: str) -> None:
    found = on(ruling(**changed))
    assert found and not found.withholds and found.news == (news,)
    assert outcome(ruling(**changed)) == (REVIEW, 0.0), "the ruling moves nothing: somebody has to look again"


@pytest.mark.parametrize("changed", [{"odds_bits": ODDS - MORE_BITS}, {"odds_bits": None}, {"odds_bits": ODDS + 9}])
def test_odds_within_the_stated_amount_are_the_same_evidence(changed: Any) -> None:
    assert outcome(ruling(**changed))[0] == LISTED


def test_a_group_of_mostly_other_accounts_is_another_one() -> None:
    ruled = frozenset(f"a{i}" for i in range(100))
    for share, withheld in ((1.0, True), (COVERED, True), (COVERED - 0.05, False)):
        old = round(20 * share)
        now = frozenset([*(f"a{i}" for i in range(old)), *(f"new{i}" for i in range(20 - old))])
        found = on(ruling(accounts=ruled), accounts=now)
        assert found and found.withholds is withheld, share
    assert found and found.news == ("6 of 20 accounts were not ruled on",)
    assert on(ruling(accounts=frozenset({"z"}))) is None


def test_accounts_that_are_allowed_whatever_they_do_are_so_until_that_ends() -> None:
    allowed = ruling(scope=ACCOUNTS, until="2026-06-30", families=frozenset(), odds_bits=-9.0)
    assert outcome(allowed)[0] == LISTED
    assert allowed.holds("2026-06-30") and not allowed.holds("2026-07-01") and ruling().holds("2999-01-01")


def test_a_confirmed_case_flags_nothing_and_moves_nothing() -> None:
    assert outcome(ruling("")) == (REVIEW, 0.0)
    found = on(ruling(""))
    assert found and found.answer.ruled and not found.withholds


def test_of_several_rulings_one_that_withholds_counts_and_answers_count_beside() -> None:
    old = ruling(odds_bits=ODDS - 9)
    assert on(ruling(), old) == on(ruling()) and on(old) == OnRecord(old, ("odds higher by 9.0 bits",))
    both = outcome(ruling(), answer("app_users", False))
    assert both == (LISTED, BY_ID["one_customer"].yes_bits + BY_ID["app_users"].no_bits)


def test_rulings_come_back_as_they_were_written_and_answers_may_stand_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "rulings.jsonl"
    given = [ruling(), ruling(""), ruling(scope=ACCOUNTS, until="2026-06-30", odds_bits=None)]
    assert write(path, given) == 3 and read(path) == given
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    append(path, answer("app_users", False))
    assert read(path) == [*given, answer("app_users", False)]
    assert write(path, []) == 0 and read(path) == []
    with pytest.raises(OutputError, match="cannot write the file"):
        write(tmp_path / "none" / "rulings.jsonl", given)


def test_a_window_is_examined_again_when_a_ruling_has_changed() -> None:
    marks = [_mark_answers(given) for given in ([], [ruling()], [ruling(until="2026-06-30")], [ruling(odds_bits=1.0)])]
    assert len({str(mark) for mark in marks}) == 4 and marks[0] == {}
    assert _mark_answers([ruling()]) == marks[1]


GOOD = {"schema": "clonewatch.ruling.v1", "ruling": "innocent", "question": "one_customer", "accounts": ["a"]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ruling": "guilty"}, "guilty"),
        ({"question": ""}, "there is no question ''"),
        ({"question": "who", "ruling": "innocent"}, "there is no question 'who'"),
        ({"scope": "world"}, "world"),
        ({"until": "tomorrow"}, "cannot end on 'tomorrow'"),
        ({"accounts": []}, "names no accounts"),
        ({"schema": "clonewatch.ruling.v2"}, "clonewatch.ruling.v2"),
    ],
)
def test_a_bad_ruling_is_named_with_what_to_do(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = tmp_path / "rulings.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | changed) + "\n", encoding="utf-8")
    with pytest.raises(InputError) as wrong:
        read(path)
    assert said in wrong.value.what and wrong.value.where == f"{path}, line 2"
    assert "clonewatch cases export-rulings" in wrong.value.fix
