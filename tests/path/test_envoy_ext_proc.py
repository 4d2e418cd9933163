"""Envoy asks the check by ext_proc: refused, changed, counted and throttled, and served when the check is gone."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from tests.path.gateway_walk import EXAMPLES, ROOT, free_ports
from tests.path.test_gateway_pages import REAL
from tests.unit.gateway_stand import ACCOUNT_KEY, SIGNING, entry, published

from clonewatch_gateway.signatures import spelled

pytestmark = pytest.mark.skipif(not (REAL / "envoy").exists(), reason=f"no envoy in {REAL}")
# A function from a body to attributes, as an operator writes one.
ATTRIBUTES = """
def of_body(body):
    return ["template:0123456789abcdef"] if b"poem" in body else ["template:ffffffffffffffff"]
"""
KEYS = ("suspended", "budgeted", "plain", "sliced", "tried", "acme")


class Stand:
    """Envoy, the check and a model server, each a process of its own. account = key."""

    def __init__(self, folder: Path) -> None:
        now = int(time.time())
        times = {"since": now, "expires": now + 3_600, "ends": now + 3_600}
        said = {
            "suspended": entry("suspend", **times),
            "budgeted": entry("budget", bound={"tokens_per_minute": 20}, campaign="K0002", **times),
            "plain": entry("drop_logprobs", **times),
            "sliced": entry("throttle_slice", bound={"tokens_per_minute": 1}, campaign="K0003", **times),
            "tried": entry("suspend", mode="shadow", **times),
        }
        published(folder / "list", said, now)
        (folder / "own.py").write_text(ATTRIBUTES)
        (folder / "account.key").write_text(ACCOUNT_KEY.hex())
        self.folder, self._running = folder, ExitStack()
        self.port, self.admin, self.http, self.grpc, self.model = free_ports(5)

    def __enter__(self) -> Stand:
        try:
            self._all()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _all(self) -> None:
        words = [
            sys.executable,
            "-m",
            "clonewatch_gateway",
            "check",
            "--folder",
            "list",
            "--account-key",
            "account.key",
        ]
        words += ["--trust", spelled(SIGNING.public), "--port", str(self.http), "--grpc", str(self.grpc)]
        self.check = self._begin([*words, "--attributes", "own:of_body"], self.http)
        self._begin([sys.executable, str(EXAMPLES / "upstream.py"), str(self.model)], self.model)
        self.envoy(self.port, self.admin)

    def envoy(self, port: int, admin: int, *more: tuple[str, str]) -> None:
        """Envoy as the example has it, with every account's key. more: texts that are replaced."""
        text = (EXAMPLES / "envoy" / "ext_proc.yaml").read_text(encoding="utf-8")
        # A loaded machine may answer late.
        swaps = {"8080": port, "9901": admin, "8645": self.grpc, "9000": self.model, "0.1s": "9s"}
        for old, new in [*((old, str(new)) for old, new in swaps.items()), *more]:
            text = re.sub(rf"\b{old}\b", new, text)
        credentials = "\n".join(f"              - {{key: sk-{one}, client: {one}}}" for one in KEYS)
        text = re.sub(r"(credentials:\n)(?: +- \{key: .*\n)+", rf"\1{credentials}\n", text)
        (self.folder / f"{port}.yaml").write_text(text, encoding="utf-8")
        words = [str(REAL / "envoy"), "-c", f"{port}.yaml", "-l", "error", "--concurrency", "1"]
        self._begin([*words, "--disable-hot-restart"], port)

    def _begin(self, words: list[str], port: int) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": f"{ROOT / 'packages' / 'gateway' / 'src'}:{self.folder}"}
        log = self._running.enter_context((self.folder / f"{port}.log").open("wb"))
        process = subprocess.Popen(words, cwd=self.folder, env=env, stdout=log, stderr=log)
        self._running.callback(lambda: (process.kill(), process.wait()))
        for _ in range(400):
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            assert process.poll() is None, (self.folder / f"{port}.log").read_text()
            time.sleep(0.05)
        raise AssertionError((self.folder / f"{port}.log").read_text())

    def ask(self, account: str, body: Any, port: int = 0, **headers: str) -> tuple[int, dict[str, str], Any]:
        named = {"authorization": f"Bearer sk-{account}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        with closing(http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)) as line:
            line.request("POST", "/v1/chat/completions", json.dumps(body), named)
            answer = line.getresponse()
            return answer.status, {n.lower(): v for n, v in answer.getheaders()}, json.loads(answer.read())

    def said(self, account: str) -> dict[str, Any]:
        """The newest line of Envoy's access log about an account."""
        for _ in range(200):
            lines = [json.loads(one) for one in (self.folder / "access.log").read_text().splitlines()]
            if mine := [one for one in lines if one["account"] == account]:
                return mine[-1]
            time.sleep(0.05)
        raise AssertionError("nothing in the access log")

    def counted(self) -> str:
        return self._got(self.http, "/metrics")

    def stats(self, name: str) -> int:
        """What Envoy counted, over all filters."""
        return sum(map(int, re.findall(r": (\d+)", self._got(self.admin, f"/stats?filter={name}$"))))

    def _got(self, port: int, path: str) -> str:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as line:
            line.request("GET", path)
            return line.getresponse().read().decode()


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("envoy")) as held:
        yield held


def test_a_refusal_has_its_status_its_notice_and_its_body(stand: Stand) -> None:
    status, headers, body = stand.ask("suspended", {"messages": []})
    assert status == 403 and headers["account-notice"].startswith("suspend; ")
    assert headers["content-type"] == "application/json" and body["error"]["case"] == "K0001"
    assert (stand.said("suspended")["action"], stand.said("suspended")["would"]) == ("suspend", "403")


def test_what_is_simulated_is_served_and_said(stand: Stand) -> None:
    status, headers, _ = stand.ask("tried", {"messages": []})
    assert status == 200 and "account-notice" not in headers
    told = stand.said("tried")
    assert (told["mode"], told["would"], told["status"]) == ("shadow", "403", 200)


def test_headers_that_only_the_gateway_sets_do_not_come_from_clients(stand: Stand) -> None:
    status, _, body = stand.ask("acme", {"messages": []}, clonewatch_counter="mine", clonewatch_account="suspended")
    assert status == 200
    assert json.loads(body["choices"][0]["message"]["content"]) == {"clonewatch-account": "acme"}


def test_a_body_is_changed_where_the_list_says_so_and_the_client_is_told(stand: Stand) -> None:
    status, headers, body = stand.ask("plain", {"messages": [], "logprobs": True, "n": 1})
    assert (status, body["asked"]) == (200, {"messages": [], "n": 1})
    assert headers["account-notice"].startswith("drop_logprobs; ")
    assert stand.ask("acme", {"logprobs": True})[2]["asked"] == {"logprobs": True}


def test_a_body_that_cannot_be_changed_passes_and_nobody_is_told_that_it_was(stand: Stand) -> None:
    for odd in ({"logprobs": True, "text": "x" * 1_200_000}, ["logprobs"]):
        status, headers, body = stand.ask("plain", odd)
        assert status == 200 and body["asked"] == odd and "account-notice" not in headers
    assert stand.said("plain")["reason"] == "not_carried_out"


def test_tokens_of_answers_are_counted_and_then_it_is_429(stand: Stand) -> None:
    # A request of 16 bytes has 4 tokens, and an answer 7 of its own.
    asked, headers, body = stand.ask("budgeted", {"messages": []})
    assert asked == 200 and "account-notice" in headers
    assert json.loads(body["choices"][0]["message"]["content"])["clonewatch-counter"] == "K0002"
    assert stand.ask("budgeted", {"messages": []})[0] == 200
    status, headers, _ = stand.ask("budgeted", {"messages": []})
    assert status == 429 and 1 <= int(headers["retry-after"]) <= 60


def test_only_requests_of_the_slice_are_throttled(stand: Stand) -> None:
    status, headers, _ = stand.ask("sliced", {"messages": [{"role": "user", "content": "write a poem"}]})
    assert status == 429 and headers["account-notice"].startswith("throttle_slice; ")
    assert stand.ask("sliced", {"messages": [{"role": "user", "content": "add two numbers"}]})[0] == 200
    assert 'action="throttle_slice",mode="",reason="outside_slice"' in stand.counted()


def test_envoys_own_shadow_mode_serves_whatever_is_decided_and_the_check_counts_it(stand: Stand) -> None:
    port, admin = free_ports(2)
    stand.envoy(port, admin, ("allow_mode_override: true", "observability_mode: true"))
    refused = r'reason="linked_campaign",would="403"\} (\d+)'
    before = re.findall(refused, stand.counted())
    assert stand.ask("suspended", {"messages": []}, port)[0] == 200
    for _ in range(400):
        if re.findall(refused, stand.counted()) != before:
            return
        time.sleep(0.05)
    raise AssertionError("the check saw nothing")


def test_a_check_that_is_killed_refuses_nobody_and_the_proxy_counts_it(stand: Stand) -> None:
    before = stand.stats("failure_mode_allowed")
    stand.check.send_signal(signal.SIGKILL)
    stand.check.wait()
    assert stand.ask("suspended", {"messages": []})[0] == 200
    assert stand.stats("failure_mode_allowed") > before
