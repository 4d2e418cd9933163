"""Proxies that ask by headers, what is counted of them, and the canary that proves that one of them acts."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.unit.gateway_stand import DAY, KEYS, entry, published

from clonewatch.policy.canary import Canary as Own
from clonewatch.policy.entries import Chosen, with_canary
from clonewatch_gateway import Follower
from clonewatch_gateway.canary import Canary, Gap, proved
from clonewatch_gateway.check import Service
from clonewatch_gateway.main import run
from clonewatch_gateway.serving import configured, listening

FORWARD, NGINX = "/v1/forward/v1/chat/completions?beta=1", "/v1/auth-request"


def times(seconds: int = DAY) -> dict[str, int]:
    now = int(time.time())
    return {"since": now, "expires": now + seconds, "ends": now + seconds}


class Server:
    """A service that listens on loopback, in a thread."""

    def __init__(self, folder: Path, said: dict[str, dict[str, Any]]) -> None:
        published(folder, said, int(time.time()))
        self.service = Service(Follower(folder, KEYS), 100)
        self.socket = listening("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        self.running = uvicorn.Server(configured(self.service))
        self.thread = threading.Thread(target=self.running.run, args=([self.socket],))
        self.thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.should_exit = True
        self.thread.join()
        self.socket.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    said = {
        "bad": entry("suspend", **times()),
        "shared": entry("budget", **times()),
        "tried": entry("suspend", mode="shadow", **times()),
        "plain": entry("drop_logprobs", **times()),
        "schüle": entry("suspend", **times()),
    }
    with Server(tmp_path_factory.mktemp("list"), said) as held:
        yield held


def asked(
    server: Server, path: str, account: str, method: str = "GET", **more: str
) -> tuple[int, dict[str, str], bytes]:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    named = {"clonewatch-account": account.encode(), **{name.replace("_", "-"): value for name, value in more.items()}}
    line.request(method, path, headers=named)  # type: ignore[arg-type]
    answer = line.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    line.close()
    return found


def test_a_refusal_is_a_status_with_its_notice_and_its_body(server: Server) -> None:
    for path in (FORWARD, NGINX):
        status, headers, body = asked(server, path, "bad", "POST")
        assert status == 403 and headers["account-notice"].startswith("suspend; ") and "appeal=" in str(headers)
        assert json.loads(body)["error"]["case"] == headers["clonewatch-case"] == "K0001"
    assert asked(server, FORWARD, "schüle", "DELETE")[0] == 403
    assert asked(server, FORWARD, "bad", "HEAD")[2] == b""


def test_a_budget_is_429_and_for_nginx_401_and_its_counter_goes_on_to_the_limiter_behind(server: Server) -> None:
    status, headers, body = asked(server, FORWARD, "shared", clonewatch_bytes="3000")
    assert (status, headers["clonewatch-counter"], body) == (200, "K0001", b"")
    assert server.service.counters.at(time.time())["K0001"] == 750 + 100
    status, headers, _ = asked(server, FORWARD, "shared", clonewatch_bytes="600")
    assert status == 429 and 1 <= int(headers["retry-after"]) <= 60 and "clonewatch-counter" not in headers
    assert asked(server, NGINX, "shared", clonewatch_bytes="600")[0] == 401
    assert asked(server, FORWARD, "shared", clonewatch_bytes="many")[0] == 200


def test_what_is_simulated_acts_on_nobody_and_says_what_it_would_do(server: Server) -> None:
    status, headers, _ = asked(server, NGINX, "tried")
    assert (status, headers["clonewatch-mode"], headers["clonewatch-would"]) == (200, "shadow", "403")
    assert "account-notice" not in headers


def test_nobody_is_told_of_a_change_that_a_proxy_cannot_make(server: Server) -> None:
    status, headers, _ = asked(server, FORWARD, "plain")
    assert (status, headers["clonewatch-reason"]) == (200, "not_carried_out") and "account-notice" not in headers


def test_a_request_without_an_account_is_served_and_said(server: Server) -> None:
    status, headers, _ = asked(server, FORWARD, "")
    assert (status, headers["clonewatch-reason"]) == (200, "no_account")


def test_a_body_that_a_proxy_sends_along_changes_nothing_and_other_paths_are_no_question(server: Server) -> None:
    status, headers, _ = asked(server, FORWARD, "bad", content_length="10000000")
    assert (status, headers["connection"]) == (403, "close")
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for sent in (b"{}", iter([b"x" * 10, b"y" * 10])):
        line.request("POST", FORWARD, sent, {"clonewatch-account": "bad"})
        answer = line.getresponse()
        assert answer.status == 403 and answer.read()
    line.close()
    assert asked(server, "/v1/other", "bad", "PUT")[0] == asked(server, "/v1/forwarded", "bad")[0] == 404


def guarded(server: Server, body: Any) -> tuple[int, dict[str, Any]]:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    line.request("POST", "/beta/litellm_basic_guardrail_api", json.dumps(body))
    answer = line.getresponse()
    found = answer.status, json.loads(answer.read())
    line.close()
    return found


def test_litellm_is_answered_about_the_owner_of_a_key(server: Server) -> None:
    question = {"input_type": "request", "texts": ["x" * 90_000], "request_data": {"user_api_key_user_id": "bad"}}
    status, answer = guarded(server, question)
    assert (status, answer["action"]) == (200, "BLOCKED") and 'case="K0001"' in answer["blocked_reason"]
    assert guarded(server, {**question, "input_type": "response"}) == (200, {"action": "NONE"})
    for owner, action in (
        ({"user_api_key_user_id": "default_user_id", "user_api_key_team_id": "bad"}, "BLOCKED"),
        ({"user_api_key_user_id": None, "user_api_key_hash": "bad"}, "BLOCKED"),
        ({"user_api_key_user_id": "somebody", "user_api_key_team_id": "bad"}, "NONE"),
        ({}, "NONE"),
    ):
        assert guarded(server, {**question, "request_data": owner})[1]["action"] == action
    for odd in ([], {"request_data": 1}, {}):
        assert guarded(server, odd)[0] == 400


def test_decisions_are_counted_by_action_mode_and_reason_and_no_account_is_in_it(server: Server) -> None:
    asked(server, FORWARD, "tried")
    text = asked(server, "/metrics", "")[2].decode()
    assert '{action="suspend",mode="shadow",reason="linked_campaign",would="403"}' in text
    assert "clonewatch_list_in_use 1\n" in text and "clonewatch_list_serial 1\n" in text
    assert "tried" not in text and "bad" not in text


def canary(port: int, **other: Any) -> Canary:
    url = f"http://127.0.0.1:{port}/v1/forward"
    return Canary(url, {"clonewatch-account": "canary-1"}, b"{}", **{"within": 0.2, **other})


def listed(mode: str, seconds: int) -> dict[str, dict[str, Any]]:
    """What publishing says of a canary."""
    own = Own("canary-1", "ana", mode, seconds)
    made = with_canary(Chosen([], {}, {}, {}, {}, {}), own, "https://example.com/appeal", int(time.time()))
    return {"canary-1": made.entries[made.numbers["canary-1"]]}


def test_a_gateway_that_does_not_act_or_does_not_lift_is_a_gap(tmp_path: Path) -> None:
    with Server(tmp_path / "shadow", listed("shadow", 60)) as server:
        with pytest.raises(Gap, match=r"not refused within 0\.2 seconds of asking: the last answer was 200"):
            proved(canary(server.port))
    passing = iter(range(0, 10**6, 50))  # each look at the clock is 50 seconds after the one before
    with Server(tmp_path / "long", listed("enforce", DAY)) as server:
        begins = time.time()
        slow = canary(server.port, clock=lambda: begins + next(passing), pause=lambda _: None)
        with pytest.raises(Gap, match="still refused"):
            proved(slow)
    with pytest.raises(Gap, match="it does not answer"):
        proved(canary(server.port))


class InBody(BaseHTTPRequestHandler):
    """Refuses once, with the notice in the JSON of the body, as LiteLLM without code does."""

    asked = 0

    def do_POST(self) -> None:
        notice = 'budget; reason="canary"; case="canary"; until="2026-01-01T00:00:00Z"; appeal="https://example.com/a"'
        body = json.dumps({"error": {"message": f"account-notice: {notice}"}}).encode()
        type(self).asked += 1
        self.send_response(400 if self.asked == 1 else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_notice_in_the_body_of_a_refusal_will_do() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), InBody) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        seen = proved(canary(server.server_address[1], within=10**9))
        server.shutdown()
    assert (seen.status, seen.appeal) == (400, "https://example.com/a")


class Elsewhere(BaseHTTPRequestHandler):
    """Refuses, or leads away, for reasons of its own."""

    status = 401

    def do_POST(self) -> None:
        self.send_response(self.status)
        self.send_header("location", "http://127.0.0.1:1/")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("status", [401, 302, 502])
def test_a_refusal_that_is_not_ours_proves_nothing_and_the_key_follows_no_redirect(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Elsewhere,), {"status": status})) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        words = [
            "canary",
            canary(server.server_address[1]).url,
            "--header",
            "authorization: Bearer k",
            "--body",
            "{}",
            "--within",
            "0.2",
        ]
        assert run(words) == 3
        server.shutdown()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("GAP: the canary at http") and f"answered {status}" in said


def test_a_canary_that_cannot_be_asked_is_set_up_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ftp://x"], ["http://x", "--header", "key"], ["http://x", "--header-file", str(tmp_path / "none")]):
        assert run(["canary", *words]) == 2
        assert capsys.readouterr().err.startswith("Error: ")
