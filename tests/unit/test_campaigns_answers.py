"""The answers file: appended whole, private, and refused with the line that is wrong."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clonewatch.campaigns.answers import append, is_about, newest, read
from clonewatch.model.answers import Answer
from clonewatch.model.errors import InputError, OutputError


def answer(question: str = "app_users", yes: bool = False, note: str = "") -> Answer:
    return Answer(question, yes, frozenset({"a1", "a2"}), "C0001", "2026-05-01T09:00:00Z", "ana", note)


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    given = [answer(), answer("colleagues", True, 'a "quoted"\nnote \u202e')]
    for one in given:
        append(path, one)
    assert read(path) == given
    assert len(path.read_bytes().splitlines()) == 2, "a line per answer, whatever the note holds"


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    append(tmp_path / "answers.jsonl", answer())
    assert stat.S_IMODE((tmp_path / "answers.jsonl").stat().st_mode) == 0o600


def test_answers_of_several_people_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    notes = [f"note {i} " + "x" * 9000 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda note: append(path, answer(note=note)), notes))
    assert sorted(one.note for one in read(path)) == sorted(notes)


def test_an_answer_after_a_line_that_a_crash_cut_off_is_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"schema":"clonewatch.answ')
    append(path, answer())
    with pytest.raises(InputError) as wrong:
        read(path)
    assert wrong.value.where == f"{path}, line 1"
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert read(path) == [answer()]


GOOD = {"schema": "clonewatch.answer.v1", "question": "app_users", "answer": "no", "accounts": ["a1"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "this is no answer"),
        ("[1]", "this is no answer"),
        (json.dumps(GOOD | {"answer": "perhaps"}), "'perhaps'"),
        (json.dumps(GOOD | {"question": "who"}), "there is no question 'who'"),
        (json.dumps(GOOD | {"accounts": []}), "names no accounts"),
        (json.dumps(GOOD | {"accounts": "a1"}), "accounts"),
        (json.dumps(GOOD | {"schema": "clonewatch.answer.v9"}), "clonewatch.answer.v9"),
    ],
)
def test_a_bad_line_is_named_with_what_to_do(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as wrong:
        read(path)
    assert said in wrong.value.what and wrong.value.where == f"{path}, line 3"
    assert "Correct that line or delete it" in wrong.value.fix


def test_what_a_later_version_adds_to_a_line_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(GOOD | {"case": 7}) + "\n", encoding="utf-8")
    assert read(path)[0].accounts == {"a1"}


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clonewatch answer"):
        read(tmp_path / "answers.jsonl")


def test_a_place_that_cannot_be_written_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--answers"):
        append(tmp_path / "file" / "answers.jsonl", answer())


def test_the_last_answer_to_a_question_is_the_newest() -> None:
    first, other, last = answer(), answer("colleagues"), answer(yes=True)
    assert newest([first, other, last]) == (last, other)


def test_an_answer_is_about_no_group_without_accounts() -> None:
    assert not is_about(answer(), frozenset())
