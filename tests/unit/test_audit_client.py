"""Asking a suspect: patience with limits, nothing asked twice, nothing lost, and the key nowhere."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.audit_stand import Reply, honest, planned, standing

from clonewatch.audit.client import LONGEST_WAIT, TRIES, Client, ClientError, Environment, key_of
from clonewatch.audit.plan import ModelEndpoint
from clonewatch.audit.requests import Request
from clonewatch.audit.run import collect, run_tests
from clonewatch.model.errors import ClonewatchError, InputError, KeyFileError, OutputError, SetupError

httpx = pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")

ASK = Request("suspect/answer-00000", "suspect", "/completions", {"model": "m"})
KEY = "very-secret-value-12345"


class Script:
    """A model that answers by a list, and notes how long it was waited for."""

    def __init__(self, *replies: Any, **source: str) -> None:
        self.left, self.waits = list(replies), []
        self.sent: list[int] = []
        self.source = ModelEndpoint(url="https://suspect.invalid/v1", model="m", **source)

    def ask(self) -> dict[str, Any]:
        def answer(request: Any) -> Any:
            told = self.left.pop(0)
            if isinstance(told, Exception):
                raise told
            return told

        noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        environment = Environment(httpx.MockTransport(answer), self.waits.append, lambda: noon)
        with Client("suspect", self.source, environment=environment) as client:
            return client.ask(ASK, self.sent.append)

    @property
    def paused(self) -> list[float]:
        return [w for w in self.waits if w > 0]


def test_the_client_waits_for_a_busy_suspect_as_long_as_requested() -> None:
    script = Script(
        httpx.Response(429, headers={"Retry-After": "17"}),
        httpx.Response(429, headers={"Retry-After": "Sun, 01 Mar 2026 12:00:40 GMT"}),
        httpx.Response(200, json={"choices": []}),
    )
    assert script.ask()["status"] == 200
    assert script.paused == [17.0, 40.0] and script.sent == [1, 2, 3]


def test_a_suspect_that_requests_an_hour_stops_the_collection_at_once() -> None:
    script = Script(httpx.Response(429, headers={"Retry-After": f"{LONGEST_WAIT + 1:.0f}"}))
    with pytest.raises(ClientError, match="status 429, and requests a wait of 301 seconds"):
        script.ask()
    assert script.sent == [1]


def test_server_errors_and_lost_connections_are_tried_again_with_growing_pauses() -> None:
    script = Script(httpx.Response(503), httpx.ConnectError("gone"), httpx.ReadTimeout("slow"), httpx.Response(200))
    assert script.ask()["attempt"] == 4
    first, second, third = script.paused
    assert 0.5 <= first <= 1.5 and 1 <= second <= 3 and 2 <= third <= 6


def test_after_the_last_attempt_collection_stops_and_explains_how_to_resume() -> None:
    script = Script(*[httpx.Response(500)] * TRIES)
    with pytest.raises(ClientError, match=r"does not answer \(status 500\).*run the same command again"):
        script.ask()


def test_a_refusal_is_an_answer_and_is_kept() -> None:
    told = Script(httpx.Response(400, json={"error": "content policy"})).ask()
    assert told["status"] == 400 and "content policy" in told["body"]


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_what_no_later_request_would_change_stops_at_once(status: int) -> None:
    script = Script(httpx.Response(status, headers={"Location": "https://elsewhere.invalid"}))
    with pytest.raises(SetupError):
        script.ask()
    assert script.sent == [1]


def test_an_endless_answer_is_cut_off_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clonewatch.audit.client.MOST_BYTES", 1000)
    told = Script(httpx.Response(200, content=b"x" * 5000)).ask()
    assert told["body"] == "" and "longer than 1,000 bytes" in told["problem"]


def test_how_long_an_answer_may_be_follows_from_its_request() -> None:
    told = Script(httpx.Response(200, content=b"x" * (2**20 + 1))).ask()
    assert told["body"] == "" and "longer than 1,048,576 bytes" in told["problem"]


def test_bytes_that_are_no_text_are_kept_as_they_came() -> None:
    told = Script(httpx.Response(200, content=b"\xff\xfe")).ask()
    assert told["body64"] == "//4="


def test_a_suspect_that_repeats_the_key_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUSPECT_KEY", KEY)
    script = Script(httpx.Response(400, json={"error": f"bad key {KEY}"}), key_env="SUSPECT_KEY")
    with pytest.raises(ClientError, match="repeats the API key") as caught:
        script.ask()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two\nlines", "ключ"])
def test_a_key_that_is_none_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SUSPECT_KEY", key)
    with pytest.raises(KeyFileError) as caught:
        key_of("suspect", ModelEndpoint(url="https://a.invalid", model="m", key_env="SUSPECT_KEY"))
    assert "SUSPECT_KEY" in str(caught.value) and (not key or key not in str(caught.value))


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "key"
    place.write_text(KEY + "\n", encoding="utf-8")
    place.chmod(0o644)
    source = ModelEndpoint(url="https://a.invalid", model="m", key_file=str(place))
    with pytest.raises(KeyFileError, match="open to other users") as caught:
        key_of("suspect", source)
    assert KEY not in str(caught.value)
    place.chmod(0o600)
    assert key_of("suspect", source) == KEY


def test_a_collection_that_was_interrupted_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    down = True

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        return (404, {}, {}) if down and number == 9 else honest(model, body, number)

    with standing(behave) as (url, asked):
        kept, ledger = planned(tmp_path, url)
        with pytest.raises(ClonewatchError):
            collect(kept, ledger)
        with pytest.raises(InputError, match="never sealed"):
            run_tests(kept, ledger)
        down = False
        assert collect(kept, ledger)[0] == 24 - 8
        assert collect(kept, ledger)[0] == 0
    lost = asked.pop(8)
    answered = [(a["model"], a["prompt"]) for a in asked]
    assert len(set(answered)) == len(answered) == 24 and (lost["model"], lost["prompt"]) in answered
    assert len(kept.rows("sent.jsonl")) == 25


def test_a_collection_that_is_killed_goes_on_and_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    def slow(model: str, body: dict[str, Any], number: int) -> Reply:
        time.sleep(0.05)
        return honest(model, body, number)

    with standing(slow) as (url, asked):
        kept, ledger = planned(tmp_path, url)
        command = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", "audit", "collect"]
        with subprocess.Popen([*command, str(kept.path)], stderr=subprocess.DEVNULL) as running:
            while len(list(kept.path.glob("raw/*/*.json"))) < 5:
                assert running.poll() is None
                time.sleep(0.01)
            running.send_signal(signal.SIGKILL)
        held = {p.as_posix() for p in kept.path.glob("raw/*/*.json")}
        on_its_way = len(asked) - len(held)
        assert collect(kept, ledger)[0] == 24 - len(held)
    questions = [(a["model"], a["prompt"]) for a in asked]
    assert len(set(questions)) == 24 and len(questions) - 24 == on_its_way <= 1
    assert len(kept.rows("sent.jsonl")) - 24 <= 1


def test_a_full_disk_stops_the_collection_and_loses_no_answer_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing(honest) as (url, asked):
        kept, ledger = planned(tmp_path, url)
        real, synced = os.fsync, []

        def full(handle: int) -> None:
            synced.append(stat.S_ISREG(os.fstat(handle).st_mode))
            if synced.count(True) == 6:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(handle)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            collect(kept, ledger)
        monkeypatch.setattr(os, "fsync", real)
        assert len(list(kept.path.glob("raw/*/*.json"))) == 5 and not list(kept.path.rglob("*.part"))
        assert collect(kept, ledger)[0] == 19
    assert len(asked) == 25


def test_a_line_of_the_list_of_requests_that_was_torn_does_not_stop_the_next_run(tmp_path: Path) -> None:
    with standing(honest) as (url, _):
        kept, ledger = planned(tmp_path, url)
        kept.note({"ask": "suspect/answer-00000", "attempt": 1})
        with (kept.path / "sent.jsonl").open("ab") as file:
            file.write(b'{"ask":"suspect/answer-0')
        assert collect(kept, ledger)[0] == 24
    assert len(kept.rows("sent.jsonl")) == 25


def test_the_key_goes_to_the_suspect_and_into_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUSPECT_KEY", KEY)
    with standing(honest) as (url, asked):
        kept, ledger = planned(tmp_path, url, sources='key_env = "SUSPECT_KEY"')
        collect(kept, ledger)
    assert {a["model"]: a["key"] for a in asked} == {"suspect": f"Bearer {KEY}", "control": ""}
    assert [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()] == []


def test_answers_of_another_audit_are_taken_for_the_same_requests_and_no_others(tmp_path: Path) -> None:
    with standing(honest) as (url, asked):
        first, ledger = planned(tmp_path, url)
        collect(first, ledger)
        first.path.rename(tmp_path / "earlier")
        again, ledger = planned(tmp_path, url)
        assert collect(again, ledger, replay=tmp_path / "earlier")[0] == 24
        assert len(asked) == 24
        results = run_tests(again, ledger)
        assert results["sources"]["suspect"]["replayed"] == 12
        again.path.rename(tmp_path / "again")
        other, ledger = planned(tmp_path, url, more="temperature = 0.5")
        with pytest.raises(InputError, match="sent a different request"):
            collect(other, ledger, replay=tmp_path / "earlier")


def test_a_raw_answer_is_a_file_with_the_request_the_bytes_and_their_hash(tmp_path: Path) -> None:
    with standing(honest) as (url, _):
        kept, ledger = planned(tmp_path, url)
        collect(kept, ledger)
    told = json.loads((kept.path / "raw/suspect/answer-00003.json").read_text(encoding="utf-8"))
    assert told["request"]["prompt"] and json.loads(told["body"])["choices"] and len(told["sha256"]) == 64
