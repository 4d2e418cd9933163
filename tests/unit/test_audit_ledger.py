"""The ledger: nothing in it can be changed unseen, nothing torn is dropped in silence, secrets stay in their file."""

import hashlib
import json
import multiprocessing
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clonewatch.audit import ledger
from clonewatch.audit.ledger import Ledger, Usage
from clonewatch.model.errors import InputError, KeyFileError, OutputError

SECRET = bytes(range(32))
PLAN = {"prompts": "a" * 64, "alpha": 0.001, "tests": ["watermark"]}


def at(path: Path) -> Ledger:
    return Ledger(path, clock=lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    """A ledger with a record of every kind."""
    kept = at(tmp_path / "ledger.jsonl")
    usage = Usage("2026-01-01", "2026-02-01", ["case-7"])
    commitment = kept.commit("watermark", SECRET, public={"prf": "philox4x32-10-v1", "width": 2}, usage=usage)
    plan = kept.plan(PLAN)
    kept.look(plan, "watermark", commitment, "f" * 64)
    kept.timestamp(b"\x30\x03\x02\x01\x00", kept.head())
    kept.reveal(commitment)
    return kept


def test_a_complete_ledger_is_valid_and_lists_what_was_done_in_order(book: Ledger) -> None:
    assert book.verify() == []
    assert [r.kind for r in book.records()] == ["commit", "plan", "look", "timestamp", "reveal"]
    assert book.verify(head=book.head()) == []
    first = book.records()[0]
    assert first.at == "2026-01-31T12:00:00Z" and first.previous == ledger.FIRST
    assert first.body["carriers"] == ["case-7"] and first.body["public"]["width"] == 2


def test_the_head_is_what_anyone_computes_from_the_file(book: Ledger) -> None:
    """The chain as a stranger would check it, without our code."""
    previous = "0" * 64
    for line in book.path.read_text(encoding="ascii").splitlines():
        told = json.loads(line)
        claimed = told.pop("hash")
        assert told["previous"] == previous
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert previous == claimed
    assert previous == book.head()


def test_a_change_of_any_byte_is_found_at_its_line(book: Ledger) -> None:
    whole = book.path.read_bytes()
    for place in range(0, len(whole) - 1, 5):
        for other in (whole[place] ^ 1, whole[place] ^ 0x20):
            book.path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
            problems = book.verify()
            assert problems, (place, whole[place], other)
            assert problems[0].line == whole[:place].count(b"\n") + 1


@pytest.mark.parametrize("gone", range(4))
def test_a_line_that_was_taken_out_breaks_the_chain(book: Ledger, gone: int) -> None:
    lines = book.path.read_bytes().splitlines(keepends=True)
    book.path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    assert book.verify()[0].line == gone + 1


def test_an_end_that_was_cut_off_is_seen_against_a_published_head(book: Ledger) -> None:
    published = book.head()
    lines = book.path.read_bytes().splitlines(keepends=True)
    book.path.write_bytes(b"".join(lines[:-1]))
    assert book.verify() == []
    assert "cut off" in book.verify(head=published)[0].what


def test_a_record_that_was_written_anew_with_a_right_hash_still_breaks_what_follows(book: Ledger) -> None:
    lines = book.path.read_bytes().splitlines()
    told = json.loads(lines[0])
    told["body"]["since"] = "2020-01-01"
    del told["hash"]
    told["hash"] = hashlib.sha256(ledger.canonical(told)).hexdigest()
    book.path.write_bytes(b"\n".join([ledger.canonical(told), *lines[1:]]) + b"\n")
    assert book.verify()[0].line == 2


def test_a_timestamp_that_was_swapped_or_lost_is_reported(book: Ledger) -> None:
    (token,) = book.path.parent.glob("*.tsr")
    token.write_bytes(b"\x30\x03\x02\x01\x01")
    assert "not the one that was stored" in book.verify()[0].what
    token.unlink()
    assert "is missing" in book.verify()[0].what


def test_the_secret_is_in_no_byte_of_the_ledger_until_it_is_revealed(tmp_path: Path) -> None:
    kept = at(tmp_path / "ledger.jsonl")
    commitment = kept.commit("twin", SECRET)
    assert SECRET.hex() not in kept.path.read_text()
    assert stat.S_IMODE(kept.secrets_path.stat().st_mode) == 0o600
    assert kept.secret(commitment) == SECRET
    kept.reveal(commitment)
    assert SECRET.hex() in kept.path.read_text() and kept.verify() == []


def test_one_secret_twice_has_two_commitments(tmp_path: Path) -> None:
    kept = at(tmp_path / "ledger.jsonl")
    assert kept.commit("twin", SECRET) != kept.commit("twin", SECRET)


def test_another_secret_cannot_be_revealed_in_its_place(book: Ledger) -> None:
    lines = book.path.read_bytes().splitlines()
    told = json.loads(lines[-1])
    told["body"]["secret"] = bytes(32).hex()
    del told["hash"]
    told["hash"] = hashlib.sha256(ledger.canonical(told)).hexdigest()
    book.path.write_bytes(b"\n".join([*lines[:-1], ledger.canonical(told)]) + b"\n")
    assert book.verify() == [ledger.BrokenLine(5, "the revealed secret is not the committed one")]


def test_secrets_that_others_may_read_are_refused(book: Ledger) -> None:
    commitment = book.records()[0].body["commitment"]
    book.secrets_path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        book.secret(commitment)
    with pytest.raises(KeyFileError, match="chmod 600"):
        book.commit("twin", SECRET)
    assert len(book.records()) == 5


def test_a_secret_that_is_not_stored_is_reported(book: Ledger, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no secret is stored"):
        book.secret("0" * 64)
    with pytest.raises(KeyFileError, match="cannot read the secrets"):
        at(tmp_path / "other.jsonl").secret("0" * 64)


def test_a_look_needs_a_plan_that_was_there_before(book: Ledger) -> None:
    with pytest.raises(InputError, match="not registered before"):
        book.look("0" * 64, "watermark")
    assert book.plan(PLAN) == ledger.digest_of(PLAN) != ledger.digest_of({**PLAN, "alpha": 0.01})


@pytest.mark.parametrize("kept_bytes", [1, 40, -1])
def test_a_torn_last_line_is_reported_and_set_aside(book: Ledger, kept_bytes: int) -> None:
    whole = book.path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    torn = last[:kept_bytes]
    book.path.write_bytes(whole[: -len(last)] + torn)
    assert "torn" in book.verify()[-1].what
    book.plan({"another": 1})
    assert book.verify() == []
    told = book.records()[4]
    assert told.kind == "torn" and told.body["bytes"] == len(torn)
    assert (book.path.parent / told.body["file"]).read_bytes() == torn
    assert [r.kind for r in book.records()][-1] == "plan"


def test_a_secret_whose_line_was_torn_does_not_hide_the_others(book: Ledger) -> None:
    commitment = book.records()[0].body["commitment"]
    with book.secrets_path.open("ab") as file:
        file.write(b'{"commitment":"77')
    assert book.secret(commitment) == SECRET
    another = book.commit("twin", b"\7" * 16)
    assert book.secret(another) == b"\7" * 16 and book.secret(commitment) == SECRET


def test_a_changed_ledger_is_not_written_on(book: Ledger) -> None:
    book.path.write_bytes(book.path.read_bytes().replace(b"case-7", b"case-8"))
    with pytest.raises(InputError, match=r"does not hold.*jsonl:1"):
        book.plan({"another": 1})


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b"[" * 100_000, b'{"n":NaN}', b"\xff\xfe", b'{"n":1e999}', b"null"]
)
def test_hostile_lines_are_problems_and_not_crashes(book: Ledger, line: bytes) -> None:
    book.path.write_bytes(line + b"\n" + book.path.read_bytes())
    assert book.verify()[0].line == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("commit", {}),
        ("commit", {"commitment": ["a"]}),
        ("plan", {"digest": {"a": 1}}),
        ("look", {"plan": 1}),
        ("torn", {"file": "none", "sha256": "x"}),
        ("timestamp", {"head": "x", "file": ".", "sha256": "x"}),
        ("other", {}),
    ],
)
def test_a_record_of_another_form_with_a_right_hash_is_a_problem_and_not_a_crash(
    book: Ledger, kind: str, body: dict[str, object]
) -> None:
    told = {"at": "", "body": body, "kind": kind, "n": 5, "previous": book.head()}
    told["hash"] = hashlib.sha256(ledger.canonical(told)).hexdigest()
    book.path.write_bytes(book.path.read_bytes() + ledger.canonical(told) + b"\n")
    assert [problem.line for problem in book.verify()] == [6]


def test_a_timestamp_is_of_a_record_here_and_in_der(book: Ledger) -> None:
    with pytest.raises(InputError, match="DER"):
        book.timestamp(b"-----BEGIN", book.head())
    with pytest.raises(InputError, match="stamped hash"):
        book.timestamp(b"\x30\x00", "0" * 64)


def test_a_location_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the ledger"):
        Ledger(tmp_path / "file" / "ledger.jsonl").plan({})


def _append(path: Path, label: int) -> None:
    for i in range(10):
        Ledger(path).plan({"writer": label, "i": i})


def test_writers_at_the_same_time_leave_one_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    start = multiprocessing.get_context("fork").Process
    writers = [start(target=_append, args=(path, i)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert Ledger(path).verify() == [] and len(Ledger(path).records()) == 30
