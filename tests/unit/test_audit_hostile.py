"""A hostile suspect: one bad answer is recorded as unusable and passed over, and no answer holds a collection."""

import errno
import gzip
import json
import os
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.audit_stand import WORDS, Reply, honest, planned, standing, written

from clonewatch.audit import client
from clonewatch.audit.client import Client, ClientError
from clonewatch.audit.folder import Folder
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.plan import ModelEndpoint
from clonewatch.audit.requests import Request
from clonewatch.audit.run import collect, run_tests
from clonewatch.audit.verification import verify, write_report
from clonewatch.model.errors import ClonewatchError

pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")

ASK = Request("suspect/answer-00000", "suspect", "/completions", {"model": "m", "n": 1, "max_tokens": 8})


def finished(kept: Folder, ledger: Ledger) -> dict[str, Any]:
    """The results, which hold."""
    results = run_tests(kept, ledger)
    write_report(kept, ledger, "")
    assert verify(kept, ledger) == []
    return results


ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "half a character": lambda told: told["choices"][0].update(text="a \ud800 b") or told,
    "half a character in a token": lambda told: told["choices"][0]["logprobs"]["tokens"].append("\udfff") or told,
    "not a number": lambda told: (
        told["choices"][0]["logprobs"]["top_logprobs"][0].update({" bal": float("nan")}) or told
    ),
    "an endless number": lambda told: json.dumps(told).replace("-3.9", "-1e999").encode(),
    "a number without end": lambda told: json.dumps(told).replace("-3.9", "-" + "9" * 400).encode(),
    "a number of 5,000 digits": lambda told: json.dumps(told).replace("-3.9", "-" + "9" * 5000).encode(),
    "a thousand answers": lambda told: told.update(choices=told["choices"] * 500) or told,
    "an answer of a megabyte": lambda told: told["choices"][0].update(text=" bal" * 250_000) or told,
    "a likely word for every number": lambda told: (
        told["choices"][0]["logprobs"]["top_logprobs"][0].update({str(i): -20.0 for i in range(20_000)}) or told
    ),
    "no words but numbers": lambda told: told["choices"][0]["logprobs"].update(tokens=list(range(30))) or told,
    "choices by name": lambda told: {"choices": {"a": 1}},
    "nothing": lambda told: b"",
    "nesting": lambda told: b'{"choices":' * 100_000,
    "another encoding": lambda told: json.dumps(told).encode("utf-16"),
}


@pytest.mark.parametrize("first", [0, len(ODD) // 2])
def test_odd_answers_are_passed_over_and_the_audit_goes_on(tmp_path: Path, first: int) -> None:
    odd = list(ODD.items())[first : first + len(ODD) // 2]

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        if body.get("echo"):
            return 200, {}, {"choices": []}
        told, place = written(body, number), WORDS.index(body["prompt"].split()[0])
        return 200, {}, odd[place][1](told) if model == "suspect" and place < len(odd) else told

    with standing(behave) as (url, _):
        # Our own model is sent the answers too.
        ours = f'[ours]\nurl = "{url}"\nmodel = "ours"'
        kept, ledger = planned(tmp_path, url, more='access = "logprobs"', control=ours)
        collect(kept, ledger)
    results = finished(kept, ledger)
    assert len(odd) == 7 and results["sources"]["suspect"]["usable"] >= 10
    assert results["tests"][0]["suspect"]["n_raw"] >= 10 * 29


class Raw:
    """A server that writes bytes as it likes. write: gets the socket, and an event that says when to stop."""

    def __init__(self, write: Callable[[socket.socket, threading.Event], None]) -> None:
        self._write, self._stop = write, threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self.asked = 0

    def serve(self) -> None:
        while True:
            try:
                told, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            with told:
                told.recv(65536)
                try:
                    self._write(told, self._stop)
                except OSError:
                    continue

    def close(self) -> None:
        self._stop.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def raw(write: Callable[[socket.socket, threading.Event], None]) -> Iterator[Raw]:
    server = Raw(write)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def dripping(first: bytes, drop: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Writes something, and then a little of something again and again, so that it is never silent."""

    def write(told: socket.socket, stop: threading.Event) -> None:
        told.sendall(first)
        while not stop.wait(0.01):
            told.sendall(drop)

    return write


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (HEAD, b""),
    ],
    ids=["body", "chunks", "headers", "silence"],
)
def test_a_server_that_drips_is_left_at_the_deadline_and_its_answer_recorded_as_unusable(
    monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes
) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    with raw(dripping(first, drop)) as server, Client("suspect", ModelEndpoint(url=server.url, model="m")) as asked:
        told = asked.ask(ASK, lambda _: None)
    assert told["problem"] == "no complete answer within 0.2 seconds" and told["attempt"] == client.LATE_TRIES


def once(answer: bytes) -> Callable[[socket.socket, threading.Event], None]:
    return lambda told, _: told.sendall(answer)


BOMB = gzip.compress(bytes(2**26), 9)


@pytest.mark.parametrize(
    ("coding", "body", "problem"),
    [
        (b"gzip", gzip.compress(b"{}"), ""),
        (b"gzip", BOMB, "longer than 1,052,672 bytes, and not stored"),
        (b"gzip, gzip", gzip.compress(BOMB), "it has an encoding that was not asked for"),
        (b"zstd", b"\x28\xb5\x2f\xfd", "it has an encoding that was not asked for"),
        (b"br", b"\xcb\xff", "it has an encoding that was not asked for"),
    ],
    ids=["gzip", "bomb", "gzip in gzip", "zstd", "br"],
)
def test_an_answer_is_unpacked_no_further_than_it_may_be_long(coding: bytes, body: bytes, problem: str) -> None:
    packed = HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body
    with raw(once(packed)) as server, Client("suspect", ModelEndpoint(url=server.url, model="m")) as asked:
        tracemalloc.start()
        told = asked.ask(ASK, lambda _: None)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert told["problem"] == problem and told["body"] == ("" if problem else "{}")
    assert most < 16 * 2**20


def test_a_file_that_cannot_be_read_for_once_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(honest) as (url, _):
        kept, ledger = planned(tmp_path, url)
        collect(kept, ledger)
    before, real, opened = len(ledger.records()), os.open, list[str]()

    def failing(path: Any, *told: Any, **named: Any) -> int:
        opened.append(Path(path).name)
        # It is read twice, of either model, to compare its hash, and then for the test.
        if opened.count("answer-00003.json") == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *told, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(ClonewatchError, match="cannot read"):
            run_tests(kept, ledger)
    assert len(ledger.records()) == before
    assert "refused" not in finished(kept, ledger)["tests"][0]["suspect"]


def test_an_answer_whose_encoding_is_broken_is_recorded_as_unusable() -> None:
    broken = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
    with raw(once(broken)) as server, Client("suspect", ModelEndpoint(url=server.url, model="m")) as asked:
        assert asked.ask(ASK, lambda _: None)["problem"] == "its encoding cannot be decoded"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x00\xff garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", HEAD + b"X: \xff\r\n" * 9000],
)
def test_what_is_no_http_ends_in_a_message(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    with raw(once(answer)) as server, Client("suspect", ModelEndpoint(url=server.url, model="m")) as asked:
        with pytest.raises(ClientError, match="does not answer"):
            asked.ask(ASK, lambda _: None)
        assert server.asked == client.TRIES


@pytest.mark.parametrize("status", [500, 404, 403, 429])
def test_a_request_that_is_never_answered_stops_one_run_and_is_passed_over_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        stubborn = model == "suspect" and body["prompt"].startswith(WORDS[4])
        return (status, {}, {}) if stubborn else honest(model, body, number)

    with standing(behave) as (url, _):
        kept, ledger = planned(tmp_path, url)
        with pytest.raises(ClonewatchError):
            collect(kept, ledger)
        assert collect(kept, ledger)[0] > 1
    results = finished(kept, ledger)
    told = results["sources"]["suspect"]
    assert told["usable"] == 22 and sum(told["unusable"].values()) == 1


def test_a_server_that_is_down_again_stops_the_run_again_and_nothing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    down = [True]

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        return (503, {}, {}) if down[0] and model == "suspect" else honest(model, body, number)

    with standing(behave) as (url, _):
        kept, ledger = planned(tmp_path, url)
        for _ in range(3):
            with pytest.raises(ClientError):
                collect(kept, ledger)
        down[0] = False
        collect(kept, ledger)
    assert finished(kept, ledger)["sources"]["suspect"]["unusable"] == {}


def test_two_commands_do_not_work_on_one_audit_at_a_time(tmp_path: Path) -> None:
    held, go_on = threading.Event(), threading.Event()

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        held.set()
        go_on.wait(60)
        return honest(model, body, number)

    with standing(behave) as (url, _):
        kept, ledger = planned(tmp_path, url)
        first = threading.Thread(target=collect, args=(kept, ledger))
        first.start()
        try:
            held.wait(60)
            with pytest.raises(ClonewatchError, match="another command is at work"):
                collect(Folder(kept.path), ledger)
        finally:
            go_on.set()
            first.join()
    finished(kept, ledger)


@pytest.mark.parametrize(
    "told", ["9" * 5000, "Sun, 01 Mar 99999 12:00:40 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "\xff", "²"]
)
def test_a_wait_that_makes_no_sense_is_no_wait_or_a_long_one(told: str) -> None:
    wait = client._retry_after(told, datetime.now(UTC))
    assert wait is None or wait >= 0
