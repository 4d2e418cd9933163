"""A service that takes live traffic: exchanges a second of one core, memory over time, and what is lost.

    python benchmarks/live.py [--seconds 60] [--senders 4] [--spans 512] [--out FILE.json]

`clonewatch serve` runs as operators run it, with its worker. Senders in another process push spans over OTLP/HTTP, in
binary form, as fast as they are answered. Every request has ids of its own. When time is over, everything that was
acknowledged has to be in the state. Exchanges a second are by processor time of the process that receives, and of the
worker. The floor is one process that parses the same bytes, and nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_TICKS = os.sysconf("SC_CLK_TCK")
_MARK = b"\x01clonew\x02"  # in every trace id, and replaced in every request
_KINDS = 16  # requests that are made beforehand
_COMMAND = [sys.executable, "-u", "-c", "from clonewatch.cli.main import run; run()"]
_SETTINGS = """\
[keys.gateway]
sha256 = "{}"
scopes = ["write:exchanges", "read:metrics"]
requests_per_minute = 10000000
[bounds]
seal_seconds = 5
size = "4GB"
[detect]
every_minutes = 1440
"""


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--spans", type=int, default=512, help="spans of a request: the batch of an exporter")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "live.json")
    parser.add_argument("--send", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.send:
        print(json.dumps(sent(asked)))
        return
    sys.path.insert(0, str(HERE))
    from scan import machine

    told: dict[str, Any] = {"machine": machine(), "spans": asked.spans, "senders": asked.senders}
    told["floor"] = floor(asked.spans)
    with tempfile.TemporaryDirectory() as place:
        told["service"] = service(Path(place), asked)
    told["machine"]["load_after"] = [round(load, 2) for load in os.getloadavg()]
    for name in ("floor", "service"):
        print(name, json.dumps(told[name]))
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def request(kind: int, spans: int) -> bytes:
    """An export request; a span holds about 1.8 KB."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "gateway"
    scope = group.scope_spans.add()
    now = time.time_ns()
    for n in range(spans):
        number = kind * spans + n
        span = scope.spans.add(name="chat", trace_id=_MARK + number.to_bytes(8), span_id=number.to_bytes(8))
        span.start_time_unix_nano, span.end_time_unix_nano = now + number * 1_000, now + number * 1_000 + 10**9
        asked = [{"role": "user", "parts": [{"type": "text", "content": f"Question {number}: " + "what of it? " * 80}]}]
        said = [{"role": "assistant", "parts": [{"type": "text", "content": "It depends. " * 40}]}]
        for name, value in {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m-1",
            "user.id": f"account-{number % 5_000}",
            "client.address": f"198.51.{number % 100}.{number % 250}",
            "gen_ai.input.messages": json.dumps(asked),
            "gen_ai.output.messages": json.dumps(said),
        }.items():
            span.attributes.add(key=name).value.string_value = value
        for name, value in {"gen_ai.usage.input_tokens": 250, "gen_ai.usage.output_tokens": 120}.items():
            span.attributes.add(key=name).value.int_value = value
    return made.SerializeToString()


def floor(spans: int) -> dict[str, Any]:
    """Spans of a second of processor time, for parsing alone, and with the writing of the line for the spool."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from clonewatch.live import otlp

    bodies = [request(kind, spans) for kind in range(_KINDS)]

    def rate(work: Any) -> int:
        best = 0.0
        for _ in range(5):
            begun = time.process_time()
            for body in bodies:
                work(body)
            best = max(best, _KINDS * spans / (time.process_time() - begun))
        return round(best)

    size = sum(map(len, bodies)) / (_KINDS * spans)
    parsed = rate(ExportTraceServiceRequest.FromString)
    return {
        "bytes_per_span": round(size),
        "parse_only": parsed,
        "parse_and_line": rate(lambda body: otlp.line_of(body, otlp.TRACES)),
    }


def service(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run a service, let another process send, and look at both of its processes meanwhile."""
    from clonewatch.live.api_keys import new

    key, hashed = new()
    (folder / "serve.toml").write_text(_SETTINGS.format(hashed))
    words = ["serve", "serve.toml", "--listen", "127.0.0.1:0", "--key", "fingerprint.key"]
    with subprocess.Popen(
        [*_COMMAND, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            said = server.stdout.readline() if server.stdout else ""
            port = int(re.search(r":(\d+)\.", said)[1])  # type: ignore[index]
            return watched(server.pid, port, key, asked)
        finally:
            server.send_signal(signal.SIGTERM)


def watched(pid: int, port: int, key: str, asked: argparse.Namespace) -> dict[str, Any]:
    """What senders got through, at which cost, and what is in the state after it."""
    while not children(pid):
        time.sleep(0.1)
    time.sleep(5)  # the worker begins
    worker = children(pid)[0]
    before = {"receiver": cpu(pid), "worker": cpu(worker)}
    words = [sys.executable, __file__, "--send", f"{port} {key}", "--seconds", str(asked.seconds)]
    words += ["--senders", str(asked.senders), "--spans", str(asked.spans)]
    memory: list[list[int]] = []
    begun = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as senders:
        while senders.poll() is None:
            memory.append([round(time.monotonic() - begun), rss(pid), rss(worker)])
            time.sleep(max(1.0, asked.seconds / 20))
        got = json.loads(senders.stdout.read()) if senders.stdout else {}
    receiving = cpu(pid) - before["receiver"]
    until = time.monotonic() + 600
    while figure(port, key, "taken_exchanges_total") < got["acknowledged"] and time.monotonic() < until:
        time.sleep(1)
    taken = figure(port, key, "taken_exchanges_total")
    working = cpu(worker) - before["worker"]
    return {
        **got,
        "in_state": round(taken),
        "lost": round(got["acknowledged"] - taken),
        "receiver_per_cpu_second": round(got["acknowledged"] / receiving),
        "worker_per_cpu_second": round(taken / working),
        "both_per_cpu_second": round(taken / (receiving + working)),
        "memory_mb": memory,  # seconds, receiver, worker
        "receiver_peak_mb": peak(pid),
        "worker_peak_mb": peak(worker),
    }


def sent(asked: argparse.Namespace) -> dict[str, Any]:
    """Send for so many seconds over several connections."""
    port, key = asked.send.split()
    bodies = [request(kind, asked.spans) for kind in range(_KINDS)]
    counts = {"acknowledged": 0, "told_to_wait": 0, "other": 0}
    lock = threading.Lock()
    begun = time.monotonic()
    took: list[float] = []

    def send(sender: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", int(port), timeout=120)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/x-protobuf"}
        number = 0
        while time.monotonic() - begun < asked.seconds:
            number += 1
            mark = sender.to_bytes(2) + number.to_bytes(6)
            body = bodies[number % _KINDS].replace(_MARK, mark)
            at = time.perf_counter()
            line.request("POST", "/v1/traces", body, headers)
            answer = line.getresponse()
            wait = answer.getheader("retry-after")
            answer.read()
            with lock:
                took.append((time.perf_counter() - at) * 1_000)
                kind = {200: "acknowledged", 429: "told_to_wait"}.get(answer.status, "other")
                counts[kind] += asked.spans if kind == "acknowledged" else 1
            if wait:
                time.sleep(min(float(wait), 1.0))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(asked.senders)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    seconds = time.monotonic() - begun
    took.sort()
    per = {name: round(took[int(p * len(took))], 1) for name, p in (("p50_ms", 0.5), ("p99_ms", 0.99))}
    return {**counts, "seconds": round(seconds, 1), "per_second": round(counts["acknowledged"] / seconds), **per}


def figure(port: int, key: str, name: str) -> float:
    """A figure of the service."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    line.request("GET", "/metrics", headers={"authorization": f"Bearer {key}"})
    found = re.search(rf"^clonewatch_{name} (\S+)$", line.getresponse().read().decode(), re.M)
    return float(found[1]) if found else 0.0


def children(pid: int) -> list[int]:
    """The workers of a process: spawned ones, without the tracker of their resources."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    lines = [line.split(None, 1) for line in found.stdout.splitlines()]
    return [int(one) for one, words in lines if "spawn_main" in words]


def cpu(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss(pid: int) -> int:
    """Megabytes of memory now."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most megabytes of memory so far."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) >> 10  # type: ignore[index]


if __name__ == "__main__":
    main()
