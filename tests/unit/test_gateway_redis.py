"""Budgets that gateways on several machines count together, in a real Redis, and without it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.required import required
from tests.unit.gateway_stand import ACCOUNT_KEY, DAY, NOW, SIGNING, entry, published, read

from clonewatch_gateway import Facts, decide
from clonewatch_gateway.main import run
from clonewatch_gateway.redis_counters import RedisMinutes, connected
from clonewatch_gateway.signatures import spelled

REDIS = shutil.which("redis-server")
pytestmark = required("Redis", [] if REDIS else ["redis-server"])
PATIENCE = 30.0
LIMIT = 60_000


class Server:
    """A Redis on a free port, which keeps nothing."""

    def __init__(self, folder: Path) -> None:
        with contextlib.closing(socket.socket()) as held:
            held.bind(("127.0.0.1", 0))
            self.port = int(held.getsockname()[1])
        self.url, self._folder = f"redis://127.0.0.1:{self.port}/0", folder
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        words = [str(REDIS), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._running = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        client = connected(self.url)

        def answers() -> bool:
            with contextlib.suppress(Exception):
                return bool(client.ping())
            return False

        until(answers)
        client.close()
        return self

    def stop(self) -> None:
        if self._running:
            self._running.kill()
            self._running.wait()
            self._running = None


def until(seen: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not seen():
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (folder := tmp_path / "redis").mkdir()
    held = Server(folder).start()
    yield held
    held.stop()


@pytest.fixture
def machines(server: Server) -> Iterator[list[RedisMinutes]]:
    """Gateways on machines of their own."""
    clients = [connected(server.url) for _ in range(3)]
    yield [RedisMinutes(client, clock=lambda: NOW) for client in clients]
    for client in clients:
        client.close()


def test_what_one_machine_counts_refuses_on_another_and_minutes_slide(
    machines: list[RedisMinutes], tmp_path: Path
) -> None:
    one, other, _ = machines
    published(tmp_path, {"a": entry("budget"), "b": entry("budget")})
    watch = read(tmp_path)
    assert "K0001" not in other.at(NOW) and len(other.at(NOW)) == 0 and list(other.at(NOW)) == []
    one.add("K0001", 900, NOW)
    assert one.at(NOW)["K0001"] == 900, "at once where it was counted"
    assert one.exchange() and other.exchange()
    assert decide("b", Facts(200, spent=other.at(NOW)), watch, NOW).status == 429
    assert decide("b", Facts(100, spent=other.at(NOW)), watch, NOW).status == 0
    other.add("K0001", 60, NOW)
    other.add("K0001", -10, NOW)
    assert other.exchange() and one.exchange() and one.exchange()
    assert one.at(NOW)["K0001"] == other.at(NOW)["K0001"] == 950
    assert one.at(NOW + 90)["K0001"] == 475 and one.read("K0001", NOW + 121) is None


def test_redis_forgets_a_minute_and_holds_no_case_by_name(machines: list[RedisMinutes], server: Server) -> None:
    machines[0].add("K0001", 5, NOW)
    assert machines[0].exchange()
    with contextlib.closing(connected(server.url)) as client:
        (key,) = client.keys()
        assert b"K0001" not in key and 0 < client.ttl(key) <= 180


def test_without_redis_each_machine_counts_for_itself_nobody_waits_and_it_is_said(
    server: Server, machines: list[RedisMinutes], tmp_path: Path
) -> None:
    said: list[str] = []
    one, other = (RedisMinutes(held._client, clock=lambda: NOW, said=said.append) for held in machines[:2])
    published(tmp_path, {"a": entry("budget")})
    watch = read(tmp_path)
    one.add("K0001", 600, NOW)
    assert one.exchange() and other.exchange()
    server.stop()
    one.add("K0001", 300, NOW)
    assert not one.exchange() and not one.exchange() and one.problem
    # The one knows of its 900 and refuses what is beyond; the other knows of the 600, and serves on.
    assert decide("a", Facts(200, spent=one.at(NOW)), watch, NOW).status == 429
    assert decide("a", Facts(200, spent=other.at(NOW)), watch, NOW).status == 0
    server.start()
    one.add("K0001", 50, NOW)
    assert one.exchange() and not one.problem
    assert [text.split(":")[0] for text in said] == [
        "budgets are not shared, each gateway counts for itself",
        "budgets are shared again",
    ]
    # What may have been counted is not sent again: with an empty Redis the other hears of the 50 alone.
    assert other.exchange() and other.at(NOW)["K0001"] == 50 and one.at(NOW)["K0001"] == 350


@contextlib.contextmanager
def check(folder: Path, *more: str) -> Iterator[int]:
    """The port of a gateway that follows a list."""
    words = [sys.executable, "-m", "clonewatch_gateway", "check", "--folder", str(folder), "--port", "0", *more]
    words += ["--trust", spelled(SIGNING.public), "--account-key", str(folder / "key")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout
        yield int(process.stdout.readline().rpartition(":")[2])
        process.terminate()
        assert process.wait(20) == 0


def asked(port: int, path: str, body: str | None = None) -> str:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("POST" if body else "GET", path, body)
    found = line.getresponse().read().decode()
    line.close()
    return found


def test_two_gateways_share_a_budget_over_http_and_say_whether_they_do(server: Server, tmp_path: Path) -> None:
    now = int(time.time())
    published(tmp_path, {"a": entry("budget", since=now, expires=now + DAY, ends=now + DAY)}, now)
    (tmp_path / "key").write_text(ACCOUNT_KEY.hex())
    question = json.dumps({"account": "a", "tokens": 900})
    with check(tmp_path, "--redis", server.url) as one, check(tmp_path, "--redis", server.url) as other:
        assert json.loads(asked(one, "/v1/check", question))["status"] == 0
        # The first that is served of the other's is 900 as well; soon both know of both.
        until(lambda: json.loads(asked(other, "/v1/check", question))["status"] == 429)
        until(lambda: json.loads(asked(one, "/v1/check", question))["status"] == 429)
        assert "clonewatch_budgets_shared 1" in asked(one, "/metrics")
        server.stop()
        until(lambda: "clonewatch_budgets_shared 0" in asked(one, "/metrics"))
        assert json.loads(asked(one, "/v1/check", json.dumps({"account": "a", "tokens": 1})))["status"] == 0
    assert run(["check", "--folder", str(tmp_path), "--trust", spelled(SIGNING.public), "--account-key",
                str(tmp_path / "key"), "--redis", "nonsense"]) == 2  # fmt: skip


def test_three_machines_overshoot_a_budget_by_moments_and_not_three_times(server: Server, tmp_path: Path) -> None:
    """Each machine asks 300 times a second for 100 tokens: 90,000 in three seconds, of which 60,000 are allowed."""
    published(tmp_path, {"a": entry("budget", bound={"tokens_per_minute": LIMIT})})
    watch, served = read(tmp_path), 0
    machines = [RedisMinutes(connected(server.url)).start() for _ in range(3)]
    begun = time.time()
    moment = begun // 60 * 60 + 30  # no minute ends meanwhile
    for held in machines:
        held._clock = lambda: moment
    asked = refused = 0
    while refused < 300:
        for held in machines:
            decision = decide("a", Facts(100, spent=held.at(moment)), watch, NOW)
            asked += 1
            refused += decision.status == 429
            if decision.charge:
                held.add(decision.charge, 100, moment)
                served += 100
        time.sleep(1 / 300)
        assert time.time() - begun < PATIENCE
    for held in machines:
        held.stop()
        held._client.close()
    sys.stdout.write(f"three machines served {served / LIMIT:.2f} times the budget, {asked:,} asked\n")
    assert LIMIT <= served < 2 * LIMIT
