"""Decisions over HTTP under load, and what they add to a request through nginx and Envoy.

    python benchmarks/gateway_load.py [--rate 2000] [--seconds 10] [--rounds 5] [--envoy PROGRAM] [--out FILE.json]

The list has a million accounts, and the account that is asked about is one of them, in shadow under a budget. This
process asks; the check, the proxies and the server behind them are others. Under load, questions come at a fixed rate
whether or not earlier ones were answered, so one that waits for a connection counts as waiting; in alternation the
same server is asked for its health, which decides nothing, and an nginx that answers at once: what the machine allows.
Through proxies one request follows the other, in alternation with the same proxy without the filter. Reported are
medians over the rounds, and the load of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gateway import ACCOUNT_KEY, GATEWAY, publishing
from scan import machine

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples" / "gateways"
ACCOUNT = "acct-00000000"
KEY = "sk-acme"
CONNECTIONS = 32
_BODY = json.dumps({"messages": [{"role": "user", "content": "x" * 400}]}).encode()
_NGINX_UPSTREAM = """
pid upstream.pid; error_log upstream.err error; worker_processes 1;
events { worker_connections 512; }
http { access_log off; client_body_temp_path u1; proxy_temp_path u2; fastcgi_temp_path u3; uwsgi_temp_path u4;
  scgi_temp_path u5; server { listen 127.0.0.1:PORT; keepalive_requests 1000000; location / { return 200 '{}'; } } }
"""


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--campaigns", type=int, default=2_000)
    parser.add_argument("--rate", type=int, default=2_000, help="questions a second")
    parser.add_argument("--seconds", type=float, default=10, help="of each round under load")
    parser.add_argument("--requests", type=int, default=1_000, help="of each round through a proxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nginx", default=shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin"))
    parser.add_argument("--envoy", default=shutil.which("envoy"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gateway_load.json")
    asked = parser.parse_args()
    told: dict[str, Any] = {"machine": machine(), "accounts": asked.accounts, "rounds": asked.rounds}
    with tempfile.TemporaryDirectory() as place, ExitStack() as running:
        folder = Path(place)
        publishing(folder, asked)
        port = running.enter_context(check(folder))
        upstream = running.enter_context(behind(folder, asked.nginx)) if asked.nginx else 0
        told["load"] = under_load(port, upstream, asked)
        print("load", json.dumps(told["load"]), flush=True)
        if upstream:
            for name, program in (("nginx", asked.nginx), ("envoy", asked.envoy)):
                if program:
                    told[name] = through(name, program, folder / name, (port, upstream), asked)
                    print(name, json.dumps(told[name]), flush=True)
    told["machine"]["load_after"] = [round(one, 2) for one in os.getloadavg()]
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


@contextmanager
def check(folder: Path) -> Iterator[int]:
    """The port of `clonewatch-gateway check` on a list."""
    from clonewatch_gateway.signatures import spelled

    (folder / "account.key").write_text(ACCOUNT_KEY.hex())
    words = [sys.executable, "-m", "clonewatch_gateway", "check", "--folder", str(folder), "--port", "0"]
    words += ["--trust", spelled(bytes.fromhex((folder / "public").read_text()))]
    words += ["--account-key", str(folder / "account.key"), "--answer-tokens", "500"]
    env = {**os.environ, "PYTHONPATH": str(GATEWAY)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            yield int((server.stdout.readline() if server.stdout else "").rpartition(":")[2])
        finally:
            server.terminate()


def under_load(port: int, upstream: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of questions at a fixed rate, beside those of its health, and of nginx that answers at once."""
    body = json.dumps({"account": ACCOUNT, "tokens": 1}).encode()
    question = b"POST /v1/check HTTP/1.1\r\nhost: check\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    health = b"GET /healthz HTTP/1.1\r\nhost: check\r\n\r\n"
    servers = {"check": (port, question), "health": (port, health), "nginx alone": (upstream, question)}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name, (at, _) in servers.items() if at}
    for _ in range(asked.rounds):
        for name in rounds:
            took = sorted(asyncio.run(_at_rate(*servers[name], asked.rate, asked.seconds)))
            rounds[name].append((_percentile(took, 0.5), _percentile(took, 0.99)))
    found: dict[str, Any] = {"rate": asked.rate, "seconds": asked.seconds, "connections": CONNECTIONS}
    for name, held in rounds.items():
        found[name] = {"p50_ms": _median(one[0] for one in held), "p99_ms": _median(one[1] for one in held)}
        found[name]["p99_ms_of_rounds"] = [round(one[1], 2) for one in held]
    pairs = zip(rounds["check"], rounds["health"], strict=True)
    return found | {"p50_ratio": _median(one[0] / other[0] for one, other in pairs)}


async def _at_rate(port: int, sent: bytes, rate: int, seconds: float) -> list[float]:
    """Milliseconds from when each question was due to the end of its answer."""
    waiting: asyncio.Queue[float] = asyncio.Queue()
    took: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            due = await waiting.get()
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            took.append((time.perf_counter() - due) * 1_000)
            waiting.task_done()

    tasks = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0.2)
    begun, count = time.perf_counter(), 0
    while (now := time.perf_counter()) < begun + seconds:
        # The clock of this process is coarse: what is due by now is due now.
        for _ in range(int((now - begun) * rate) - count):
            waiting.put_nowait(now)
            count += 1
        await asyncio.sleep(0.0005)
    await waiting.join()
    for task in tasks:
        task.cancel()
    return took


@contextmanager
def behind(folder: Path, nginx: str) -> Iterator[int]:
    """The port of a server that answers at once, in the place of a model."""
    (place := folder / "upstream").mkdir()
    port = _free()
    (place / "nginx.conf").write_text(_NGINX_UPSTREAM.replace("PORT", str(port)))
    with _process([nginx, "-p", str(place), "-c", "nginx.conf", "-g", "daemon off;"], place, port):
        yield port


def through(name: str, program: str, place: Path, ports: tuple[int, int], asked: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds through a proxy as its example has it, and without the filter."""
    bare = {"nginx": _bare_nginx, "envoy": _bare_envoy}[name]
    with ExitStack() as running:
        with_, without = (
            running.enter_context(_proxy(name, program, place / kind, ports, change))
            for kind, change in (("with", str), ("without", bare))
        )
        for port in (with_, without):
            _one_by_one(port, asked.requests)
        rounds = [
            (_one_by_one(with_, asked.requests), _one_by_one(without, asked.requests)) for _ in range(asked.rounds)
        ]
    return {
        "with_p50_ms": _median(one[0] for one, _ in rounds),
        "without_p50_ms": _median(other[0] for _, other in rounds),
        "added_p50_ms": _median(one[0] - other[0] for one, other in rounds),
        "ratio_p50": _median(one[0] / other[0] for one, other in rounds),
        "added_p99_ms": _median(one[1] - other[1] for one, other in rounds),
    }


@contextmanager
def _proxy(name: str, program: str, place: Path, ports: tuple[int, int], change: Callable[[str], str]) -> Iterator[int]:
    shutil.copytree(EXAMPLES / name, place)
    port, admin = _free(), _free()
    swaps = {"8080": port, "8643": ports[0], "9000": ports[1], "9901": admin}
    for file in place.iterdir():
        text = change(file.read_text(encoding="utf-8"))
        for old, new in swaps.items():
            text = re.sub(rf"\b{old}\b", str(new), text)
        # The key's account is one of the list.
        text = re.sub(r"client: acme\b|(?<=\s)acme;", lambda found: found[0].replace("acme", ACCOUNT), text)
        file.write_text(text, encoding="utf-8")
    words = {
        "nginx": [program, "-p", str(place), "-e", "error.log", "-c", "nginx.conf", "-g", "daemon off;"],
        "envoy": [program, "-c", "envoy.yaml", "-l", "error", "--concurrency", "1", "--disable-hot-restart"],
    }[name]
    with _process(words, place, port):
        yield port


def _bare_nginx(text: str) -> str:
    """The file without the question, and without what is taken from its answer."""
    text = re.sub(r"\n *auth_request /[^;]*;", "", text)
    return re.sub(r"auth_request_set (\$\w+) [^;]*;", r'set \1 "";', text)


def _bare_envoy(text: str) -> str:
    """The file without the filter that asks."""
    return re.sub(r" {10}- name: envoy\.filters\.http\.ext_authz\n.*?(?= {10}- name: )", "", text, flags=re.DOTALL)


def _one_by_one(port: int, count: int) -> tuple[float, float]:
    """Median and 99th percentile of requests on one connection."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        line.request("POST", "/v1/chat/completions", _BODY, {"authorization": f"Bearer {KEY}"})
        answer = line.getresponse()
        answer.read()
        took.append((time.perf_counter() - begun) * 1_000)
        if answer.status != 200:
            raise RuntimeError(f"{port} answers {answer.status}")
    took.sort()
    return _percentile(took, 0.5), _percentile(took, 0.99)


@contextmanager
def _process(words: list[str], place: Path, port: int) -> Iterator[None]:
    with (place / "said").open("w") as said, subprocess.Popen(words, cwd=place, stdout=said, stderr=said) as process:
        try:
            for _ in range(200):
                with socket.socket() as line:
                    if line.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            else:
                raise RuntimeError((place / "said").read_text())
            yield
        finally:
            process.terminate()


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _percentile(ascending: list[float], place: float) -> float:
    return ascending[int(place * len(ascending))]


def _median(values: Any) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
