"""Decisions over HTTP under load, and what they add to a request through nginx and Envoy.

    python benchmarks/gateway_load.py [--rate 2000] [--seconds 10] [--rounds 5] [--envoy PROGRAM] [--out FILE.json]

The list has a million accounts, and the account that is asked about is one of them, in shadow under a budget. The
check, the proxies and the server behind them are processes of their own. Under load, `at_rate.py` asks from the other
core at a fixed rate, whether or not earlier questions were answered; in alternation the same server is asked for its
health, which decides nothing, and an nginx that answers at once. Each is asked twice a round: beside whatever else runs
on the machine, and with the right to go before it, which leaves what they take by themselves. Both say how much
processor time a question took, how long the processes waited for a core, and what the histogram of the check says.
Through proxies one request follows the other, in alternation with the same proxy without the filter. Reported are
medians over the rounds, and the load of the machine.
"""

from __future__ import annotations

import argparse
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
from typing import Any, NamedTuple

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
        server = running.enter_context(check(folder))
        upstream = running.enter_context(behind(folder, asked.nginx)) if asked.nginx else None
        told["load"] = under_load(server, upstream, folder, asked)
        print("load", json.dumps(told["load"]), flush=True)
        if upstream:
            ports = {"8643": server.port, "8645": server.grpc, "9000": upstream.port}
            for name, program in (("nginx", asked.nginx), ("envoy", asked.envoy), ("ext_proc", asked.envoy)):
                if program:
                    told[name] = through(name, program, folder / name, ports, asked)
                    print(name, json.dumps(told[name]), flush=True)
    told["machine"]["load_after"] = [round(one, 2) for one in os.getloadavg()]
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


class Server(NamedTuple):
    """A running server: where it listens, and the process that answers."""

    port: int
    pid: int
    grpc: int = 0


@contextmanager
def check(folder: Path) -> Iterator[Server]:
    """`clonewatch-gateway check` on a list, on the first core."""
    from clonewatch_gateway.signatures import spelled

    (folder / "account.key").write_text(ACCOUNT_KEY.hex())
    words = [sys.executable, "-m", "clonewatch_gateway", "check", "--folder", str(folder), "--port", "0"]
    words += ["--trust", spelled(bytes.fromhex((folder / "public").read_text()))]
    words += ["--account-key", str(folder / "account.key"), "--answer-tokens", "500", "--grpc", "0"]
    env = {**os.environ, "PYTHONPATH": str(GATEWAY)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            os.sched_setaffinity(server.pid, {min(os.sched_getaffinity(0))})
            lines = iter(server.stdout or ())
            ports = [int(next(lines).rpartition(":")[2]) for _ in range(2)]
            yield Server(ports[0], server.pid, ports[1])
        finally:
            server.terminate()


def under_load(server: Server, upstream: Server | None, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Figures of questions at a fixed rate, beside those of its health, and of nginx that answers at once."""
    body = json.dumps({"account": ACCOUNT, "tokens": 1}).encode()
    question = b"POST /v1/check HTTP/1.1\r\nhost: check\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    health = b"GET /healthz HTTP/1.1\r\nhost: check\r\n\r\n"
    servers = {"check": (server, question), "health": (server, health)}
    if upstream is not None:
        servers["nginx alone"] = (upstream, question)
    found: dict[str, Any] = {"rate": asked.rate, "seconds": asked.seconds, "connections": CONNECTIONS}
    for first in (False, True):
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
        for _ in range(asked.rounds):
            for name in rounds:
                before = _histogram(server.port)
                rounds[name].append(_asking(*servers[name], folder, asked, first=first))
                if name == "check":
                    rounds[name][-1] |= _server_says(before, _histogram(server.port))
        found["alone" if first else "beside others"] = {name: _of_rounds(held) for name, held in rounds.items()}
    return found


def _asking(server: Server, sent: bytes, folder: Path, asked: argparse.Namespace, *, first: bool) -> dict[str, Any]:
    (file := folder / "request").write_bytes(sent)
    words = [sys.executable, str(HERE / "at_rate.py"), str(server.port), str(file), "--pid", str(server.pid)]
    words += ["--rate", str(asked.rate), "--seconds", str(asked.seconds), "--connections", str(CONNECTIONS)]
    words += ["--core", str(max(os.sched_getaffinity(0)))] + (["--first"] if first else [])
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _of_rounds(held: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds, and the 99th percentile of each."""
    told: dict[str, Any] = {name: _median(one[name] for one in held) for name in held[0]}
    return told | {"p99_ms_of_rounds": [round(one["p99_ms"], 2) for one in held]}


def _histogram(port: int) -> dict[float, int]:
    """Answers so far that took no longer than some seconds, by the check's own figures."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    pairs = re.findall(r'^clonewatch_answer_seconds_bucket\{le="([^"]+)"\} (\d+)$', text, re.M)
    return {float(bound): int(count) for bound, count in pairs}


def _server_says(before: dict[float, int], after: dict[float, int]) -> dict[str, float]:
    """Within how many milliseconds the check itself answered half and 99 %: bounds of its histogram."""
    counts = {bound: count - before[bound] for bound, count in after.items()}
    total = max(counts.values())
    places = (("own_p50_ms", 0.5), ("own_p99_ms", 0.99))
    return {n: min(b for b, count in counts.items() if count >= place * total) * 1_000 for n, place in places}


@contextmanager
def behind(folder: Path, nginx: str) -> Iterator[Server]:
    """An nginx that answers at once, in the place of a model, on the first core."""
    (place := folder / "upstream").mkdir()
    port = _free()
    (place / "nginx.conf").write_text(_NGINX_UPSTREAM.replace("PORT", str(port)))
    with _process([nginx, "-p", str(place), "-c", "nginx.conf", "-g", "daemon off;"], place, port):
        master = (place / "upstream.pid").read_text().strip()
        worker = int(Path(f"/proc/{master}/task/{master}/children").read_text())
        os.sched_setaffinity(worker, {min(os.sched_getaffinity(0))})
        yield Server(port, worker)


def through(name: str, program: str, place: Path, ports: dict[str, int], asked: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds through a proxy as its example has it, and without the filter."""
    bare = {"nginx": _bare_nginx, "envoy": _bare_envoy, "ext_proc": _bare_envoy}[name]
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
def _proxy(name: str, program: str, place: Path, ports: dict[str, int], change: Callable[[str], str]) -> Iterator[int]:
    shutil.copytree(EXAMPLES / ("nginx" if name == "nginx" else "envoy"), place)
    port, admin = _free(), _free()
    swaps = {"8080": port, "9901": admin, **ports}
    for file in place.iterdir():
        text = change(file.read_text(encoding="utf-8"))
        for old, new in swaps.items():
            text = re.sub(rf"\b{old}\b", str(new), text)
        # The key's account is one of the list.
        text = re.sub(r"client: acme\b|(?<=\s)acme;", lambda found: found[0].replace("acme", ACCOUNT), text)
        file.write_text(text, encoding="utf-8")
    words = [program, "-p", str(place), "-e", "error.log", "-c", "nginx.conf", "-g", "daemon off;"]
    if name != "nginx":
        words = [program, "-c", f"{name}.yaml", "-l", "error", "--concurrency", "1", "--disable-hot-restart"]
    with _process(words, place, port):
        yield port


def _bare_nginx(text: str) -> str:
    """The file without the question, and without what is taken from its answer."""
    text = re.sub(r"\n *auth_request /[^;]*;", "", text)
    return re.sub(r"auth_request_set (\$\w+) [^;]*;", r'set \1 "";', text)


def _bare_envoy(text: str) -> str:
    """The file without the filter that asks."""
    return re.sub(
        r" {10}- name: envoy\.filters\.http\.ext_(?:authz|proc)\n.*?(?= {10}- name: )", "", text, flags=re.DOTALL
    )


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
