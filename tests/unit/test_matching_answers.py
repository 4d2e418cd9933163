"""A holder answers peers that hold the epoch, within budgets, once, and after it logged what was asked."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.matching_stand import LIBRARY, agreed, cards, csv_of, holding

from clonewatch.model.errors import LogError, StateError
from clonewatch.sharing.matching import blinding, kept_setups, messages, query_log, values
from clonewatch.sharing.matching.answering import MOST_BODY_BYTES
from clonewatch.sharing.matching.blinding import Asker, BlindError
from clonewatch.sharing.matching.epoch import Epoch
from clonewatch.sharing.matching.query_log import QueryLog

pytestmark = LIBRARY


def elements(folder: Path, rows: list[tuple[str, str, str]], epoch: Epoch) -> list[str]:
    return values.read(csv_of(folder / "asked.csv", rows), epoch).elements("payment")


def test_the_intersection_is_exact_and_a_count_says_no_more_than_the_number(tmp_path: Path) -> None:
    epoch = agreed()
    asked = elements(tmp_path, cards(0, 60), epoch)
    with holding(tmp_path, cards(40, 200), epoch) as stand:
        setup = stand.ask("GET", f"{messages.SETUP}/payment").content
        both = set(asked) & set(elements(tmp_path, cards(40, 200), epoch))
        asker = Asker(asked, "which")
        answer = stand.ask("POST", f"{messages.QUERY}/payment/which", asker.request)
        assert answer.status_code == 200 and asker.matched(setup, answer.content) == both and len(both) == 20
        counting = Asker(asked, "count")
        answer = stand.ask("POST", f"{messages.QUERY}/payment/count", counting.request)
        assert counting.matched(setup, answer.content) == 20
        # Sorted: the place of a value in the answer is not that in the question.
        points = blinding._parsed(blinding._library().Response, answer.content).encrypted_elements
        assert list(points) == sorted(points)
        with pytest.raises(BlindError):
            Asker(asked, "which").matched(setup, b"\xff")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\xff\xff\xff", "no message of the protocol"),
        (b"", "at least 5 values"),
        (b"\x08\x01" + b"\x12\x21" * 1, "no message of the protocol"),
        (b"\x12\x03abc" * 5, "has 33 bytes"),
        ((b"\x12\x21" + b"\xff" * 33) * 5, "no point of the curve"),
        ((b"\x12\x21" + b"\x02" * 33) * 25_001, "a body has at most|at most 25,000 values"),
        (b"\x08\x01" + (b"\x12\x21" + b"\x02" * 33) * 5, "another mode"),
    ],
)
def test_a_malformed_query_is_refused_with_its_reason_and_logged(tmp_path: Path, body: bytes, said: str) -> None:
    with holding(tmp_path, cards(0, 60), agreed()) as stand:
        answer = stand.ask("POST", f"{messages.QUERY}/payment/count", body)
        assert answer.status_code in (400, 413)
        assert any(part in answer.json()["error"] for part in said.split("|"))
        assert stand.ask("GET", messages.HELLO).status_code == 200


def test_a_body_that_is_too_long_is_not_read_and_a_stranger_is_not_listened_to(tmp_path: Path) -> None:
    with holding(tmp_path, cards(0, 60), agreed()) as stand:
        assert stand.ask("POST", messages.SIGHTINGS, b"x" * (MOST_BODY_BYTES + 1)).status_code == 413
        assert stand.ask("GET", messages.HELLO, key="cwk_" + "A" * 43).status_code == 401
        assert stand.ask("GET", messages.HELLO, authorization="Basic x").status_code == 401
        assert not (tmp_path / "queries.ndjson").read_bytes()


def test_a_request_is_answered_once_however_often_it_is_sent_and_after_a_new_start(tmp_path: Path) -> None:
    epoch = agreed()
    proof = messages.proven(epoch, "GET", messages.HELLO, b"")
    with holding(tmp_path, cards(0, 60), epoch) as stand:
        assert stand.ask("GET", messages.HELLO, **proof).status_code == 200
        again = stand.ask("GET", messages.HELLO, **proof)
        assert again.status_code == 409 and "answered before" in again.json()["error"]
    with holding(tmp_path, cards(0, 60), epoch) as stand:
        assert stand.ask("GET", messages.HELLO, **proof).status_code == 409


def test_another_epoch_secret_rule_body_or_time_is_refused_with_the_reason(tmp_path: Path) -> None:
    epoch = agreed()
    with holding(tmp_path, cards(0, 60), epoch) as stand:
        other = msgspec.structs.replace(epoch, name="e2")
        refused = stand.ask("GET", messages.HELLO, by=other)
        assert refused.status_code == 409 and "this is epoch e1" in refused.json()["error"]
        for by in (msgspec.structs.replace(epoch, secret="0" * 64), msgspec.structs.replace(epoch, floor=9)):
            refused = stand.ask("GET", messages.HELLO, by=by)
            assert refused.status_code == 403 and "another secret or other rules" in refused.json()["error"]
        proof = messages.proven(epoch, "POST", messages.SIGHTINGS, b"{}")
        assert stand.ask("POST", messages.SIGHTINGS, b"{} ", **proof).status_code == 403
        assert stand.ask("GET", messages.HELLO, clonewatch_time="x").status_code == 400
        assert stand.ask("GET", messages.HELLO, clonewatch_nonce="short").status_code == 400
        assert stand.ask("GET", f"{messages.SETUP}/mail").status_code == 404
        assert stand.ask("GET", "/match/v1/more").status_code == 404
    now = [0.0]
    with holding(tmp_path, cards(0, 60), epoch, clock=lambda: now[0]) as stand:
        assert "seconds off" in stand.ask("GET", messages.HELLO).json()["error"]


def test_after_its_last_day_an_epoch_is_gone(tmp_path: Path) -> None:
    old = msgspec.structs.replace(agreed(), since="2026-01-01", until="2026-01-31")
    with holding(tmp_path, cards(0, 60), old) as stand:
        answer = stand.ask("GET", messages.HELLO)
        assert answer.status_code == 410 and "ended on 2026-01-31" in answer.json()["error"]


def test_budgets_are_spent_before_the_answer_and_a_new_start_does_not_refill_them(tmp_path: Path) -> None:
    epoch = agreed()
    asked = elements(tmp_path, cards(0, 30), epoch)
    with holding(tmp_path, cards(0, 60), epoch, queries=3, values=70) as stand:
        assert stand.query(asked).status_code == 200
        forged = (b"\x12\x21" + b"\xff" * 33) * 30
        assert stand.ask("POST", f"{messages.QUERY}/payment/count", forged).status_code == 400  # spent all the same
    with holding(tmp_path, cards(0, 60), epoch, queries=3, values=70) as stand:
        refused = stand.query(asked)
        assert refused.status_code == 429 and "10 are left" in refused.json()["error"]
        assert stand.query(asked[:10]).status_code == 200
        assert "queries of this kind and epoch are spent" in stand.query(asked[:10]).json()["error"]
        assert stand.query(asked[:10], "which").status_code == 200  # each mode has its own


def test_a_peer_asks_only_what_its_key_may(tmp_path: Path) -> None:
    epoch = agreed()
    with holding(tmp_path, cards(0, 60), epoch, modes=("count",)) as stand:
        refused = stand.query(elements(tmp_path, cards(0, 30), epoch), "which")
        assert refused.status_code == 403 and "may ask for count" in refused.json()["error"]


def test_every_query_is_in_a_chain_that_shows_each_change(tmp_path: Path) -> None:
    epoch = agreed()
    with holding(tmp_path, cards(0, 60), epoch) as stand:
        stand.query(elements(tmp_path, cards(0, 30), epoch))
        stand.query(elements(tmp_path, cards(0, 2), epoch))
        with pytest.raises(StateError, match="another process"):
            QueryLog(tmp_path / "queries.ndjson")
    path = tmp_path / "queries.ndjson"
    records, _ = query_log.read(path)
    assert [(one.mode, one.values, one.refused[:3]) for one in records] == [("count", 30, ""), ("count", 0, "400")]
    lines = path.read_bytes().splitlines(keepends=True)
    for broken in (lines[0].replace(b'"values":30', b'"values":29') + lines[1], lines[1], b"".join(lines[::-1])):
        path.write_bytes(broken)
        with pytest.raises(LogError):
            query_log.read(path)
        with pytest.raises(LogError):
            QueryLog(path)
    path.write_bytes(lines[0] + lines[1][:40])  # as a killed process leaves it: nothing was answered
    log = QueryLog(path)
    assert log.add("north", "e1", "", "look").n == 2
    log.close()
    assert len(query_log.read(path)[0]) == 2


def test_a_set_up_is_kept_for_its_owner_and_made_again_when_values_or_the_epoch_change(tmp_path: Path) -> None:
    epoch = agreed()
    held = {"payment": elements(tmp_path, cards(0, 60), epoch)}
    first = kept_setups.setups(tmp_path / "s", epoch, held)["payment"]
    (path,) = (tmp_path / "s").glob("*.setup")
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_setups.setups(tmp_path / "s", epoch, held)["payment"] == first
    fewer = kept_setups.setups(tmp_path / "s", epoch, {"payment": held["payment"][1:]})["payment"]
    assert fewer.key != first.key and fewer.elements == 59
    path.write_bytes(b"damaged")
    assert kept_setups.setups(tmp_path / "s", epoch, held)["payment"].elements == 60


def test_a_set_up_that_would_end_the_process_is_refused_before_the_library_sees_it() -> None:
    asker = Asker([f"{n:032x}" for n in range(5)], "which")
    setup = blinding.prepared([f"{n:032x}" for n in range(9)])
    answer = blinding.answered(setup.key, asker.request, "which")
    library = blinding._library()
    for field, value in (("hash_range", 0), ("hash_range", -1), ("div", 0), ("div", 200)):
        held = library.ServerSetup.FromString(setup.message)
        setattr(held.gcs, field, value)
        with pytest.raises(BlindError, match="Golomb"):
            asker.matched(held.SerializeToString(), answer)
    # Answers for more values than were asked for would name some twice.
    twice = library.Response.FromString(answer)
    twice.encrypted_elements.extend(list(twice.encrypted_elements))
    with pytest.raises(BlindError, match="were asked for"):
        asker.matched(setup.message, twice.SerializeToString())
