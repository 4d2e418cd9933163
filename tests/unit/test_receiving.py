"""The service over HTTP: what it takes, what it refuses and in which words, and that nothing hostile breaks it."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.unit.live_stand import KEY, Service, exchange, serving, settings, spans

from clonewatch.live.api_keys import ApiKey, digest, new
from clonewatch.live.settings import Limits, SpoolSize
from clonewatch.live.spool import sealed

PROTOBUF = "application/x-protobuf"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(settings(tmp_path)) as held:
        yield held


def otlp_json(binary: bytes) -> dict[str, Any]:
    """A request as a collector writes it in JSON: ids in hexadecimal, numbers of 64 bits as text."""
    request = ExportTraceServiceRequest.FromString(binary)
    made = []
    for span in request.resource_spans[0].scope_spans[0].spans:
        values = [
            {"key": a.key, "value": {"stringValue": a.value.string_value}}
            for a in span.attributes
            if a.value.HasField("string_value")
        ]
        ids = {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
        made.append({**ids, "name": "chat", "startTimeUnixNano": str(span.start_time_unix_nano), "attributes": values})
    return {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}


def test_spans_come_in_binary_form_in_json_and_in_gzip(service: Service) -> None:
    body = spans(range(3))
    binary = service.post("/v1/traces", body, PROTOBUF)
    assert binary.status_code == 200 and binary.headers["content-type"] == PROTOBUF
    assert ExportTraceServiceResponse.FromString(binary.content) == ExportTraceServiceResponse()
    assert service.post("/v1/traces", otlp_json(body)).json() == {}
    packed = service.post("/v1/traces", gzip.compress(body), PROTOBUF, content_encoding="gzip")
    assert packed.status_code == 200
    first, second, third = (json.loads(line) for line in service.lines())
    assert first == third
    for one in (first, second):
        found = one["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert [span["spanId"] for span in found] == [f"{n:016x}" for n in range(3)]


def test_a_span_without_an_account_is_said_to_be_rejected(service: Service) -> None:
    answer = service.post("/v1/traces", spans(range(4), "tenant"), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert answer.status_code == 200
    assert (partial.rejected_spans, partial.error_message) == (4, "4 rows: account_id: missing")
    other = service.post("/v1/traces", otlp_json(spans(range(2))))
    assert other.json() == {}  # a moment later nobody looks


def test_the_map_of_a_source_says_where_the_account_is(tmp_path: Path) -> None:
    (tmp_path / "otlp.toml").write_text('format = "otlp"\n[fields]\naccount_id = "tenant"\n')
    with serving(settings(tmp_path, maps={"otlp": str(tmp_path / "otlp.toml")})) as service:
        answer = service.post("/v1/traces", spans(range(4), "tenant"), PROTOBUF)
        assert answer.content == b""
        assert [path.name[10:] for path in service.spool.place.rglob("*.ndjson")] == ["otlp.traces@otlp.ndjson"]


def test_log_records_are_taken(service: Service) -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name="gen_ai.user.message")
    record.body.kvlist_value.values.add(key="content").value.string_value = "hello"
    answer = service.post("/v1/logs", request.SerializeToString(), PROTOBUF)
    assert ExportLogsServiceResponse.FromString(answer.content) == ExportLogsServiceResponse()
    assert b'"eventName":"gen_ai.user.message"' in service.lines()[0]


@pytest.mark.parametrize("shape", ["array", "lines", "one", "spread"])
def test_rows_come_as_an_array_as_lines_or_alone(service: Service, shape: str) -> None:
    rows = [exchange(n) for n in range(3)]
    text = {
        "array": json.dumps(rows),
        "lines": "\n".join(map(json.dumps, rows)),
        "one": json.dumps(rows[0]),
        "spread": json.dumps(rows, indent=2),
    }[shape]
    kind = "application/x-ndjson" if shape == "lines" else "application/json"
    answer = service.post("/v1/exchanges", text.encode(), kind)
    assert answer.json() == {"accepted": 1 if shape == "one" else 3, "rejected": 0}
    assert [json.loads(line) for line in service.lines()] == (rows[:1] if shape == "one" else rows)


def test_litellm_is_known_by_its_way_in(service: Service) -> None:
    row = {"litellm_call_id": "c1", "call_type": "acompletion", "startTime": 1.78e9, "metadata": {}, "model": "m"}
    answer = service.post("/v1/litellm", [row | {"metadata": {"user_api_key_user_id": "u"}}, row])
    assert answer.json() == {"accepted": 1, "rejected": 1, "reasons": {"account_id: missing": 1}}
    assert len(service.lines()) == 2


def test_a_batch_may_name_its_map(service: Service) -> None:
    row = {"time": "2026-06-01T00:00:00Z", "account": "a1"}
    answer = service.post("/v1/exchanges?map=nginx", row)
    assert answer.status_code == 200, answer.text
    assert [path.name[10:] for path in service.spool.place.rglob("*.ndjson")] == ["jsonl_map@nginx.ndjson"]


def test_facts_and_events_are_kept_apart(service: Service) -> None:
    rows = [
        {"kind": "sign_up", "ts": "2026-05-01T00:00:00Z", "account_id": "a1", "payment_fingerprint": "p"},
        {"kind": "verification", "ts": "2026-05-02T00:00:00Z", "account_id": "a1"},
        {"kind": "ban", "ts": "2026-05-03T00:00:00Z", "account_id": "a2"},
        {"kind": "lottery", "ts": 1},
        {"kind": "ban"},
        {"kind": "sign_up", "ts": 1},
        {"kind": "sign_up", "account_id": "a", "salary": 1},
    ]
    answer = service.post("/v1/events", rows).json()
    assert (answer["accepted"], answer["rejected"]) == (3, 4)
    assert set(map(len, answer["reasons"])) and "no column 'salary' in accounts" in answer["reasons"]
    facts = service.post("/v1/accounts", {"account_id": "a3", "created_at": 1_780_000_000, "anchor": True})
    assert facts.json() == {"accepted": 1, "rejected": 0}
    streams = {path.name[10:]: path.read_bytes() for path in service.spool.place.rglob("*.ndjson")}
    assert set(streams) == {"accounts.ndjson", "events.ndjson"}
    assert b'"verified_at":"2026-05-02T00:00:00Z"' in streams["accounts.ndjson"]
    assert streams["events.ndjson"].count(b"\n") == 1


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "said"),
    [
        ("/v1/traces", b"\x00\x01hostile", PROTOBUF, 400, "not this request in binary form"),
        ("/v1/traces", b"{", "application/json", 400, "not JSON of this request"),
        ("/v1/traces", b"[]", "application/json", 400, "not JSON of this request"),
        ("/v1/traces", b'{"spans": []}', "application/json", 400, "has no resourceSpans"),
        ("/v1/traces", b'{"resourceSpans": 1}', "application/json", 400, "is not a list"),
        ("/v1/traces", b"[" * 100_000, "application/json", 400, "not JSON of this request"),
        ("/v1/traces", b"{}", "text/html", 415, "send application/x-protobuf or application/json"),
        ("/v1/traces", b"{}", "", 415, "content type"),
        ("/v1/exchanges", b"nothing", "application/json", 400, "unknown format"),
        ("/v1/exchanges?format=exchange_ndjson", b"nothing", "application/json", 400, "not a JSON object"),
        ("/v1/exchanges", b"", "application/json", 400, "unknown format"),
        ("/v1/exchanges", b'{"a": 1}', "application/json", 400, "unknown format"),
        ("/v1/exchanges?map=absent", b"{}", "application/json", 400, "there is no map 'absent'"),
        ("/v1/exchanges?map=../../etc/passwd", b"{}", "application/json", 400, "there is no map"),
        ("/v1/exchanges?format=absent", b"{}", "application/json", 400, "there is no format"),
        ("/v1/exchanges?fromat=litellm", b"{}", "application/json", 400, "there is no parameter 'fromat'"),
        ("/v1/exchanges?format=exchange_ndjson", b'{"a": ' * 50_000, "application/json", 400, "no row"),
        ("/v1/accounts", b"[1, 2]", "application/json", 400, "not a JSON object"),
        ("/v1/events", b'{"kind": "ban"}', "application/json", 400, "no `ts`"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(
    service: Service, path: str, body: bytes, kind: str, status: int, said: str
) -> None:
    answer = service.post(path, body, kind)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert service.lines() == []
    assert service.receiver.figures.in_flight == 0


def test_nobody_sends_without_a_key_and_nobody_beyond_its_scope(tmp_path: Path) -> None:
    key, hashed = new()
    other = {"events": ApiKey(hashed, ("write:events",))}
    with serving(settings(tmp_path, keys=other)) as service:
        for said in ("", "Bearer", f"Bearer {KEY}", f"Basic {key}", f"Bearer {digest(key)}"):
            typed = {"authorization": said, "content-type": "application/json"}
            refused = service.http.post("/v1/exchanges", content=b"{}", headers=typed)
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        for path, status in (("/v1/exchanges", 403), ("/v1/traces", 403), ("/v1/events", 400)):
            typed = {"authorization": f"Bearer {key}", "content-type": "application/json"}
            assert service.http.post(path, content=b"{}", headers=typed).status_code == status
        assert service.get("/metrics", key).status_code == 403
        assert service.http.get("/metrics").status_code == 401
        assert service.http.get("/health").json() == {"status": "alive"}


def test_other_paths_and_methods_are_answered(service: Service) -> None:
    assert service.http.get("/v1/traces").status_code == 405
    assert service.post("/v1/metrics", {}).status_code == 404
    assert "/v1/traces" in service.http.delete("/elsewhere").json()["error"]


def test_a_body_is_bounded_as_sent_and_as_inflated(tmp_path: Path) -> None:
    with serving(settings(tmp_path, limits=Limits(body="100KB", inflated="1MB"))) as service:
        long = json.dumps(exchange(1, note="x" * 200_000)).encode()
        assert service.post("/v1/exchanges", long).status_code == 413
        chunked = service.http.post(
            "/v1/exchanges",
            content=iter([b" " * 60_000] * 3),
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        )
        assert chunked.status_code == 413
        bomb = gzip.compress(b"\0" * (50 << 20))
        assert len(bomb) < 100 << 10
        answer = service.post("/v1/traces", bomb, PROTOBUF, content_encoding="gzip")
        assert answer.status_code == 413 and "inflates to more than 1,048,576" in answer.json()["error"]
        members = gzip.compress(b"\0" * 600_000) * 3
        assert service.post("/v1/traces", members, PROTOBUF, content_encoding="gzip").status_code == 413
        for body, said in ((gzip.compress(b"{}" * 99)[:-9], "too early"), (b"plain", "not gzip")):
            refused = service.post("/v1/traces", body, PROTOBUF, content_encoding="gzip")
            assert refused.status_code == 400 and said in refused.json()["error"]
        assert service.post("/v1/traces", zlib.compress(b"x"), PROTOBUF, content_encoding="br").status_code == 415
        assert service.receiver.figures.in_flight == 0


@pytest.mark.parametrize("gone", [False, True])
def test_a_body_that_never_ends_and_a_sender_that_leaves_cost_nothing(tmp_path: Path, gone: bool) -> None:
    async def ask(service: Service) -> int:
        parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

        async def receive() -> Any:
            if (part := next(parts, None)) is not None:
                return part
            if not gone:
                await asyncio.sleep(3_600)
            return {"type": "http.disconnect"}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/exchanges", "query_string": b"", "headers": headers}
        await service.receiver.app()(scope, receive, send)
        return int(sent[0]["status"])

    with serving(settings(tmp_path, limits=Limits(seconds=0.05))) as service:
        assert asyncio.run(ask(service)) == (499 if gone else 408)
        assert service.receiver.figures.in_flight == 0 and service.lines() == []


def test_ten_times_too_many_requests_are_told_to_wait(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    slow = {"gateway": ApiKey(chosen.keys["gateway"].sha256, ("write:exchanges",), 60)}
    with serving(settings(tmp_path, keys=slow)) as service:
        answers = [service.post("/v1/exchanges", exchange(n)) for n in range(600)]
        taken = [one for one in answers if one.status_code == 200]
        refused = [one for one in answers if one.status_code == 429]
        assert len(taken) + len(refused) == 600 and len(taken) < 200
        assert {one.headers["retry-after"] for one in refused} == {"1"}
        assert len(service.lines()) == len(taken)


def test_a_full_spool_and_a_full_memory_are_told_before_anything_is_lost(tmp_path: Path) -> None:
    tight = settings(tmp_path, bounds=SpoolSize(size="64KB", seal_seconds=7), limits=Limits(in_flight="64KB"))
    with serving(tight) as service:
        assert service.post("/v1/exchanges", exchange(0, note="x" * 70_000)).status_code == 429
        answers = [service.post("/v1/exchanges", exchange(n, note="x" * 10_000)) for n in range(10)]
        taken = sum(one.status_code == 200 for one in answers)
        assert 0 < taken < 10 and answers[-1].status_code == 429 and answers[-1].headers["retry-after"] == "7"
        assert len(service.lines()) == taken
        service.spool.seal(everything=True)
        for path in sealed(service.spool.place):
            path.unlink()  # as the worker does
        assert service.post("/v1/exchanges", exchange(11)).status_code == 200
        assert service.receiver.figures.in_flight == 0


def test_a_service_says_when_it_is_full(tmp_path: Path) -> None:
    with serving(settings(tmp_path, bounds=SpoolSize(size="64KB"))) as service:
        assert service.get("/ready").json() == {"status": "ready", "problem": ""}
        (service.spool.place / "aside" / "000000001-x.ndjson").write_bytes(b"x" * (1 << 17))
        service.spool.expire()
        ready = service.get("/ready")
        assert ready.status_code == 503 and ready.json()["status"] == "full"


def test_its_figures_name_no_account_and_its_log_no_content(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "clonewatch"):
        service.post("/v1/exchanges", [exchange(1, "secret-account"), {"ts": 1}])
        service.post("/v1/traces", b"hostile", PROTOBUF)
    text = service.get("/metrics").text
    assert 'clonewatch_rows_total{key="gateway",stream="exchange_ndjson"} 2.0' in text
    assert 'clonewatch_requests_total{path="/v1/traces",status="400"} 1.0' in text
    assert 'clonewatch_rows_refused_total{key="gateway"} 1.0' in text
    assert "clonewatch_to_effect_seconds_bucket" in text
    assert "secret-account" not in text + caplog.text and KEY not in text + caplog.text


@given(body=st.binary(max_size=200), kind=st.sampled_from([PROTOBUF, "application/json"]))
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_an_error_of_ours(service: Service, body: bytes, kind: str) -> None:
    for path in ("/v1/traces", "/v1/logs") if kind == PROTOBUF else ("/v1/traces", "/v1/exchanges", "/v1/events"):
        assert service.post(path, body, kind).status_code in (200, 400)


def test_a_value_that_is_nested_deeply_is_left_out(service: Service) -> None:
    request = ExportTraceServiceRequest.FromString(spans(range(1)))
    value = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep").value
    for _ in range(40):
        value = value.array_value.values.add()
    value.string_value = "bottom"
    assert service.post("/v1/traces", request.SerializeToString(), PROTOBUF).status_code == 200
    assert b"bottom" not in service.lines()[0]
    for _ in range(200):
        value = value.array_value.values.add()
    assert service.post("/v1/traces", request.SerializeToString(), PROTOBUF).status_code in (200, 400)
