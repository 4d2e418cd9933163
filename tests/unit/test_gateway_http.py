"""The middleware and the HTTP endpoint, with a real application behind the one and a real process for the other."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway_stand import ACCOUNT_KEY, DAY, NOW, SIGNING, entry, listed, published, read

from clonewatch_gateway import WatchList
from clonewatch_gateway.asgi import COUNTER, Middleware
from clonewatch_gateway.decisions import Decision
from clonewatch_gateway.signatures import spelled

PIECES = (b"data: one\n\n", b"data: two\n\n", b'data: {"usage": {"output_tokens": 700}}\n\n')


class Upstream:
    """An application that says what it was sent, and streams its answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.body, more = b"", True
        while more:
            message = await receive()
            self.body, more = self.body + message.get("body", b""), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        for piece in PIECES:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


class Stand:
    """A middleware over one list, and what became of requests."""

    def __init__(self, watch: WatchList | None, now: float = NOW, **other: Any) -> None:
        self.upstream, self.recorded, self.now = Upstream(), list[tuple[str, Decision]](), now
        self.app = Middleware(
            self.upstream,
            lambda: watch,
            lambda scope: dict(scope["headers"]).get(b"x-account", b"").decode() or None,
            record=lambda account, decision: self.recorded.append((account, decision)),
            clock=lambda: self.now,
            **other,
        )

    def ask(self, account: str, body: bytes = b"{}", *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
        """The messages that a client gets. A body comes in two pieces."""
        sent: list[dict[str, Any]] = []
        pieces = [body[: len(body) // 2], body[len(body) // 2 :]]

        async def receive() -> dict[str, Any]:
            if not pieces:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        named = [(b"x-account", account.encode()), (b"content-length", str(len(body)).encode()), *headers]
        asyncio.run(self.app({"type": "http", "headers": named}, receive, send))
        return sent


def heads(sent: list[dict[str, Any]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_a_suspended_account_is_refused_with_reason_and_appeal_and_others_stream_through(tmp_path: Path) -> None:
    stand = Stand(listed(tmp_path, "suspend"))
    sent = stand.ask("suspend")
    assert sent[0]["status"] == 403 and "appeal=" in heads(sent)["account-notice"]
    error = json.loads(sent[1]["body"])["error"]
    assert (error["code"], error["case"]) == ("linked_campaign", "K0001") and stand.upstream.body == b""
    sent = stand.ask("somebody", b'{"a": 1}')
    assert sent[0]["status"] == 200 and heads(sent) == {"x-own": "1"}
    assert [one.get("body", b"") for one in sent[1:]] == [*PIECES, b""] and stand.upstream.body == b'{"a": 1}'
    assert [(account, one.reason) for account, one in stand.recorded] == [
        ("suspend", "linked_campaign"),
        ("somebody", "not_listed"),
    ]


def test_in_shadow_nothing_reaches_client_or_upstream_and_the_decision_is_recorded(tmp_path: Path) -> None:
    stand = Stand(listed(tmp_path, "suspend", "drop_logprobs", mode="shadow"))
    for account in ("suspend", "drop_logprobs"):
        sent = stand.ask(account, b'{"logprobs": true}')
        assert heads(sent) == {"x-own": "1"} and stand.upstream.body == b'{"logprobs": true}'
    assert [one.simulated for _, one in stand.recorded] == [True, True]


def test_a_body_is_changed_and_its_length_with_it_and_the_client_is_told(tmp_path: Path) -> None:
    stand = Stand(listed(tmp_path, "drop_logprobs"))
    sent = stand.ask("drop_logprobs", '{"logprobs": true, "q": "\u00e9"}'.encode())
    assert stand.upstream.body == '{"q": "\u00e9"}'.encode()
    assert stand.upstream.headers["content-length"] == str(len(stand.upstream.body))
    assert heads(sent)["account-notice"].startswith("drop_logprobs; ")
    for odd in (b"no json", b"[1]", b"[" * 100_000, b"", b'{"logprobs": true' + b" " * (4 << 20) + b"}"):
        sent = stand.ask("drop_logprobs", odd)
        assert sent[0]["status"] == 200 and stand.upstream.body == odd
        # Nobody is told of what did not happen, and whoever watches is.
        assert "account-notice" not in heads(sent) and stand.recorded[-1][1].reason == "not_carried_out"


def test_a_budget_counts_what_answers_used_and_names_its_counter_to_the_limiter_behind(tmp_path: Path) -> None:
    published(tmp_path, {"a": entry("budget"), "b": entry("budget")})
    stand = Stand(read(tmp_path))
    assert stand.ask("a", b"x" * 400, (COUNTER.encode(), b"forged"))[0]["status"] == 200
    assert stand.upstream.headers[COUNTER] == "K0001"
    assert stand.app.counters.at(NOW)["K0001"] == 100 + 700  # a quarter of the bytes asked, and the usage answered
    refused = stand.ask("b", b"x" * 1_200)
    assert refused[0]["status"] == 429 and 1 <= int(heads(refused)["retry-after"]) <= 60
    stand.ask("nobody", b"", (COUNTER.encode(), b"forged"))
    assert COUNTER not in stand.upstream.headers


def test_a_budget_in_shadow_is_counted_and_named_to_nobody(tmp_path: Path) -> None:
    published(tmp_path, {"a": entry("budget", mode="shadow")})
    stand = Stand(read(tmp_path))
    assert stand.ask("a", b"x" * 400, (COUNTER.encode(), b"forged"))[0]["status"] == 200
    assert COUNTER not in stand.upstream.headers and stand.app.counters.at(NOW)["K0001"] == 800


def test_a_fault_of_ours_refuses_nobody(tmp_path: Path) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("a bug")

    for other in ({"facts": broken}, {}):
        stand = Stand(listed(tmp_path, "suspend") if other else None, **other)
        assert stand.ask("suspend")[0]["status"] == 200
    stand = Stand(listed(tmp_path, "suspend"))
    assert stand.ask("suspend")[0]["status"] == 403
    stand.app._record = lambda *_: broken(None)
    assert stand.ask("suspend")[0]["status"] == 200, "nothing is done to anybody without a record"


def test_what_is_no_http_passes() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Middleware(app, lambda: None, lambda _: "a")({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A folder with a list, and the port of a process that follows it."""
    folder = tmp_path_factory.mktemp("list")
    now = int(time.time())
    times = {"since": now, "expires": now + DAY, "ends": now + DAY}
    published(folder, {"bad": entry("suspend", **times), "shared": entry("budget", **times)}, now)
    (folder / "key").write_text(ACCOUNT_KEY.hex())
    words = [sys.executable, "-m", "clonewatch_gateway", "check", "--folder", str(folder), "--port", "0"]
    words += ["--trust", spelled(SIGNING.public), "--account-key", str(folder / "key")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout
        yield folder, int(process.stdout.readline().rpartition(":")[2])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def asked(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request(method, path, body if isinstance(body, bytes | None) else json.dumps(body), headers)
    answer = line.getresponse()
    found = answer.status, json.loads(answer.read())
    line.close()
    return found


def test_the_endpoint_answers_with_decisions(place: tuple[Path, int]) -> None:
    _, port = place
    status, decision = asked(port, "POST", "/v1/check", {"account": "bad"})
    assert (status, decision["status"], decision["action"]) == (200, 403, "suspend")
    assert "appeal=" in decision["headers"]["account-notice"]
    assert asked(port, "POST", "/v1/check", {"account": "other"})[1]["reason"] == "not_listed"
    assert asked(port, "POST", "/v1/check", {"account": "shared", "tokens": 900})[1]["reason"] == "within_budget"
    assert asked(port, "POST", "/v1/check", {"account": "shared", "tokens": 900})[1]["status"] == 429
    assert asked(port, "GET", "/readyz")[0] == asked(port, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"account": 1}', b"[" * 60_000, {"account": "a", "tokens": -1},
     {"account": "a", "tokens": "1"},
     {"account": "a", "attributes": "x"}, {"account": "a", "attributes": [1]}, {"account": "a", "verified_at": True}],
)  # fmt: skip
def test_the_endpoint_refuses_what_is_no_question(place: tuple[Path, int], body: Any) -> None:
    status, said = asked(place[1], "POST", "/v1/check", body)
    assert status == 400 and said["error"]


def test_the_endpoint_bounds_what_it_reads(place: tuple[Path, int]) -> None:
    _, port = place
    assert asked(port, "POST", "/v1/check", None, **{"content-length": "10000000"})[0] == 413
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("POST", "/v1/check", iter([b"x" * 40_000] * 2))
    assert line.getresponse().status == 413
    line.close()
    line.request("POST", "/v1/check", None, {"content-length": "many"})
    assert line.getresponse().status == 400
    line.close()
    assert asked(port, "POST", "/v1/other", b"{}")[0] == asked(port, "GET", "/v1/check")[0] == 404


def test_the_endpoint_serves_on_and_says_so_when_its_list_is_replaced_by_a_bad_one(place: tuple[Path, int]) -> None:
    folder, port = place
    whole = (folder / "snapshot.cwl").read_bytes()
    (folder / "aside").write_bytes(whole[:-1])
    (folder / "aside").replace(folder / "snapshot.cwl")
    for _ in range(200):
        said = asked(port, "GET", "/readyz")
        if said[1]["problem"]:
            break
        time.sleep(0.05)
    assert said == (200, {"status": "ready", "list": "accounts 1", "problem": "damaged"})
    assert asked(port, "POST", "/v1/check", {"account": "bad"})[1]["status"] == 403
