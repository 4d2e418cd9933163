"""A service as operators run it: real senders, killed at any moment, with nothing lost and nothing counted twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from tests.path.live_process import Process
from tests.unit.certificates import certified, shown
from tests.unit.live_stand import exchange, held, ids, spans

from clonewatch.live.api_keys import new

PROTOBUF = "application/x-protobuf"
FAST = "[bounds]\nseal_seconds = 0.3\n[detect]\nevery_minutes = 0.02\ndays = [1]\n"


def free_port() -> int:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


GRPC = free_port()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("served"), f"{FAST}[listen]\ngrpc = {GRPC}\n") as process:
        yield process


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(one) for one in found.stdout.split()]


def exported(exporter: SpanExporter, numbers: range) -> None:
    """Calls of a model, as an instrumented gateway exports them."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("gateway")
    for number in numbers:
        said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"Sum the first {number} primes"}]}])
        facts = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": said}
        with tracer.start_as_current_span("chat m", attributes=facts | {"user.id": f"a{number % 5}"}):
            pass
    provider.shutdown()


def test_real_exporters_are_heard_over_http_and_grpc(served: Process) -> None:
    key = f"Bearer {served.key}"
    http = OTLPSpanExporter(
        endpoint=f"{served.url}/v1/traces", headers={"authorization": key}, compression=Compression.Gzip
    )
    exported(http, range(20))
    grpc = GrpcExporter(endpoint=f"127.0.0.1:{GRPC}", insecure=True, headers={"authorization": key})
    exported(grpc, range(20, 40))
    served.wait(lambda: served.figure("taken_exchanges_total") >= 40, "the spans do not come in")
    rows = held(served.folder / "state")
    assert len(rows) == 40 and all(row["prompt"] is not None for row in rows)
    served.wait(lambda: served.figure("looks_total") >= 1, "nobody looks")
    assert served.figure("to_effect_seconds_count") == 40
    assert list((served.folder / "results" / "1-days").glob("scan.json"))


def test_the_example_of_the_page_is_taken_as_it_says(served: Process) -> None:
    page = (Path(__file__).parents[2] / "docs" / "using" / "live.md").read_text(encoding="utf-8")
    body = page.partition("-d '")[2].partition("'")[0]
    answer = served.post("/v1/exchanges", body.encode())
    assert f"```text\n{answer.text}\n```" in page


def test_nothing_that_was_sent_is_left_in_the_spool_or_the_log(served: Process) -> None:
    prompt = "a-prompt-that-nobody-else-has"
    row = exchange(10_000, "an-account-in-the-log")
    row["messages"] = [{"role": "user", "content": prompt}]
    assert served.post("/v1/exchanges", json.dumps(row).encode()).status_code == 200
    served.wait_until_taken()
    for path in served.folder.rglob("*"):
        assert not path.is_file() or prompt.encode() not in path.read_bytes(), path
    assert "an-account-in-the-log" not in served.log.read_text()


def test_a_worker_that_is_killed_is_begun_again(served: Process) -> None:
    running = served._running
    assert running is not None
    before = served.figure("worker_starts_total")
    assert served.post("/v1/exchanges", json.dumps([exchange(20_000)]).encode()).status_code == 200
    for pid in children(running.pid):
        os.kill(pid, signal.SIGKILL)
    assert served.post("/v1/exchanges", json.dumps([exchange(20_001)]).encode()).status_code == 200
    served.wait(lambda: served.figure("worker_starts_total") > before, "no worker is begun")
    served.wait_until_taken()
    assert {"x20000", "x20001"} <= set(ids(served.folder / "state"))


def test_it_ends_when_it_is_asked_to_and_keeps_what_it_acknowledged(served: Process) -> None:
    for number in range(30_000, 30_050):
        assert served.post("/v1/exchanges", json.dumps([exchange(number)]).encode()).status_code == 200
    assert served.stop() == 0
    assert '"event": "stopped"' in served.log.read_text()
    served.start()
    served.wait_until_taken()
    assert {f"x{number}" for number in range(30_000, 30_050)} <= set(ids(served.folder / "state"))


def test_its_certificate_and_its_keys_change_while_it_takes_batches(tmp_path: Path) -> None:
    first, grpc = certified(tmp_path, "one"), free_port()
    tls = f"[listen]\ncertificate = 'tls.pem'\nprivate_key = 'tls.key'\ngrpc = {grpc}\n"
    with Process(tmp_path, FAST + tls, ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))) as process:
        assert process.url.startswith("https://") and shown(process.port) == shown(grpc) == first
        assert process.post("/v1/exchanges", json.dumps(exchange(1)).encode()).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(process.url.replace("https", "http"))
        second = certified(tmp_path, "two")
        process.wait(lambda: shown(process.port) == shown(grpc) == second, "the certificate stays")
        # The connection of before goes on, and a new key comes beside the old one, which goes then.
        settings = (tmp_path / "serve.toml").read_text()
        key, hashed = new()
        added = f'[keys.other]\nsha256 = "{hashed}"\nscopes = ["write:exchanges", "read:metrics"]\n'
        old, body = process.key, json.dumps(exchange(2)).encode()
        (tmp_path / "serve.toml").write_text(f"{settings}\n[keys")
        (tmp_path / "serve.toml").write_text(f"{settings}\n{added}")

        def taken(with_: str) -> bool:
            process.key = with_
            return process.post("/v1/exchanges", body).status_code == 200

        process.wait(lambda: taken(key), "the new key is not known")
        assert taken(old) and taken(key)
        (tmp_path / "serve.toml").write_text(f"{settings.partition('[keys.gateway]')[0]}\n{added}")
        process.wait(lambda: not taken(old), "the old key is still known")
        assert taken(key)


def test_killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    process = Process(tmp_path, FAST)
    bodies = [json.dumps([exchange(100 * n + i) for i in range(100)]).encode() for n in range(30)]
    traces = spans(range(200))
    taken = tmp_path / "spool" / "taken"
    with process:
        for number, body in enumerate(bodies):
            if number in (3, 15):
                if number == 15:  # in the middle of a batch
                    process.wait(lambda: any(taken.iterdir()), "nothing is taken")
                process.kill()
                with pytest.raises(httpx.TransportError):
                    process.post("/v1/exchanges", body)
                process.start()
            # Every third is sent again, as by a sender who did not hear the answer.
            for _ in range(1 + (number % 3 == 0)):
                assert process.post("/v1/exchanges", body).status_code == 200
                assert number % 10 or process.post("/v1/traces", traces, PROTOBUF).status_code == 200
        process.wait_until_taken()
        found = ids(tmp_path / "state")
        assert [one for one in found if one.startswith("x")] == sorted(f"x{n}" for n in range(3000))
        assert len(found) == 3200
        assert process.figure("segments_set_aside_total") == 0
