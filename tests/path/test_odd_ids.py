"""Which rows of a log are one exchange: ids that mean nothing, spans of one call, repeats."""

import json
from pathlib import Path

import pytest
from tests.path.odd_logs import RUNNER, Row, call, doctor, lines, read, scanned, span

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.engines.duckdb import DuckDB
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.pipeline.intake.deduplicate import Repeats, settle
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, Stager
from clonewatch.pipeline.steps import StepRunner


def test_ids_that_a_server_counts_again_are_no_reason_to_drop_calls(tmp_path: Path) -> None:
    file = tmp_path / "ollama.jsonl"
    file.write_text(
        lines(*(call(i, account_id=f"a-{i % 40}", response={"id": f"chatcmpl-{i % 999}"}) for i in range(1200)))
    )
    summary, said = scanned(file, tmp_path / "out")
    assert (summary["counts"]["kept"], summary["counts"]["duplicate"], summary["counts"]["shared_id"]) == (1200, 0, 402)
    assert "402 of 1,200 rows (33.5%) have an exchange id that other accounts" in said
    assert "402 of 1,200 rows" in (tmp_path / "out" / "report.html").read_text()
    told = doctor(file)
    assert told["repeats"] == {"merged": 0, "shared": 402} and any("identify nothing" in w for w in told["warnings"])


def test_one_id_for_every_call_keeps_every_call(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(*(call(i, account_id="a", exchange_id="req") for i in range(50))))
    assert scanned(file, tmp_path / "out")[0]["counts"]["kept"] == 50


@pytest.mark.parametrize("order", [1, -1])
def test_two_spans_of_one_call_are_one_exchange_with_all_that_both_say(tmp_path: Path, order: int) -> None:
    content = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Name a river of Peru please"}]}])
    spans = [
        span("a", ("gen_ai.request.max_tokens", "64"), ("client.address", "198.51.100.7")),
        span("b", ("gen_ai.input.messages", content)),
    ][::order]
    file = tmp_path / "t.jsonl"
    file.write_text(lines({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": spans}]}]}))
    log = open_log(file)
    with DuckDB(threads=1).using() as engine:
        runner, stager = StepRunner(engine), Stager(bytes(32))
        taken = stager.stage_all(log.batches(lambda _: None), Fingerprinter(bytes(32)).apply)
        runner.wrote("arrivals", engine.ingest("arrivals", EXCHANGE_SCHEMA, taken))
        runner.put("families", stager.families(engine))
        assert settle(runner, 2) == Repeats(merged=1, completed=1, shared=0)
        row = engine.fetch("SELECT * FROM exchanges").to_pylist()
    assert len(row) == 1 and all(row[0][n] is not None for n in ("prompt", "template", "network", "shape"))


def test_a_log_of_repeats_is_written_but_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    calls = [call(i, exchange_id=f"e-{i}") for i in range(40)]
    file.write_text(lines(*calls, *calls))
    summary, said = scanned(file, tmp_path / "twice")
    assert summary["counts"]["duplicate"] == 40 and "40 rows repeated an exchange" in said
    assert any("40 of 80 rows (50%) repeat an exchange" in warning for warning in summary["warnings"])
    file.write_text(lines(*calls, *calls, *calls))
    summary, said = scanned(file, tmp_path / "thrice", code=4)
    assert summary["counts"]["kept"] == 40 and "--max-repeated" in said
    assert doctor(file)["repeats"] == {"merged": 80, "shared": 0}


def test_a_state_keeps_what_a_scan_keeps(tmp_path: Path) -> None:
    """Ids that mean nothing, a call that comes twice, and one whose prompt comes later and in another file."""
    calls = [call(i, account_id=f"a-{i % 7}", exchange_id=f"id-{i % 50}") for i in range(200)]
    bare = call(500, exchange_id="late", request={"model": "m"}, client_ip="198.51.100.7")
    first, second, both = tmp_path / "1.jsonl", tmp_path / "2.jsonl", tmp_path / "both"
    first.write_text(lines(*calls[:120], bare))
    second.write_text(lines(*calls[100:], call(500, exchange_id="late")))
    both.mkdir()
    for file in (first, second):
        (both / file.name).write_text(file.read_text())
    counts = scanned(both, tmp_path / "scan")[0]["counts"]
    for file in (first, second):
        arguments = ["ingest", str(file), "--state", str(tmp_path / "state"), "--quiet"]
        assert RUNNER.invoke(app, [*arguments, "--key", str(tmp_path / "scan") + ".key"]).exit_code == 0
    arguments = ["detect", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "windows"), "--days", "7"]
    done = RUNNER.invoke(app, [*arguments, "--quiet", "--key", str(tmp_path / "scan") + ".key"])
    assert done.exit_code == 0, done.output
    window = json.loads((tmp_path / "windows" / "7-days" / "scan.json").read_text())["counts"]
    assert counts["kept"] == window["kept"] == 201
    assert counts["completed"] == window["completed"] == 1


def test_detect_refuses_what_scan_refuses(tmp_path: Path) -> None:
    """A call whose facts come in several rows is stored row by row, and its rows are merged in a window."""
    facts = [{}, {"client_ip": "198.51.100.7"}, {"user_agent": "demo/1.0"}]
    file, key = tmp_path / "e.jsonl", ["--quiet", "--key", str(tmp_path / "key")]
    file.write_text(lines(*(call(i, exchange_id=f"e-{i}", ts=1772359200 + i, **f) for i in range(40) for f in facts)))
    assert RUNNER.invoke(app, ["scan", str(file), "--out", str(tmp_path / "out"), *key]).exit_code == 4
    assert RUNNER.invoke(app, ["ingest", str(file), "--state", str(tmp_path / "state"), *key]).exit_code == 0
    arguments = ["detect", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "w"), "--days", "7", *key]
    for _ in range(2):  # written, and found again unchanged
        done = RUNNER.invoke(app, arguments)
        assert done.exit_code == 4 and "--max-repeated" in done.output and (tmp_path / "w/7-days/scan.json").exists()
    assert RUNNER.invoke(app, [*arguments, "--max-repeated", "0.9"]).exit_code == 0


# ---- spans around each other, and records in another file ------------------------------------------------------------

ASKED = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Name a river of Peru please"}]}])


def nested(own: str, around: str, start: int, end: int, **facts: str) -> Row:
    """A span of a call from one second to another, inside another span."""
    held = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", **facts}
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": own * 16,
        "parentSpanId": around * 16,
        "name": "chat",
        "startTimeUnixNano": f"{1772359200 + start}000000000",
        "endTimeUnixNano": f"{1772359200 + end}000000000",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in held.items()],
    }


def exported(*spans: Row) -> Row:
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": list(spans)}]}]}


OUTER = nested("a", "", 0, 5, **{"user.id": "acme", "gen_ai.input.messages": ASKED})
INNER = nested("b", "a", 1, 4, **{"gen_ai.request.max_tokens": "64", "gen_ai.response.id": "msg-7"})
INNER_MODEL = nested("b", "a", 1, 4, **{"gen_ai.response.model": "m-2026-01-01", "user.id": "acme"})


@pytest.mark.parametrize(
    ("spans", "ids"),
    [
        ([OUTER, INNER], ["msg-7"]),
        ([INNER, OUTER], ["msg-7"]),
        ([nested("a", "c", 0, 6, **{"user.id": "acme"}), nested("b", "a", 1, 5), nested("d", "b", 2, 4)], ["d"]),
        ([INNER, {"traceId": OUTER["traceId"], "spanId": "e" * 16, "parentSpanId": "a" * 16}, OUTER], ["msg-7"]),
        ([OUTER, {**INNER, "parentSpanId": "e" * 16}, {**OUTER, "spanId": "e" * 16, "parentSpanId": "a" * 16,
          "attributes": []}], ["msg-7"]),
        ([OUTER, INNER_MODEL], ["b"]),
        # a second try has the same question, and is a call of its own
        ([OUTER, nested("b", "a", 1, 2), nested("c", "a", 2, 4)], ["b", "c"]),
        # other questions, models, accounts and kinds of calls, and what began before the span around it
        ([OUTER, nested("b", "a", 1, 4, **{"user.id": "acme", "gen_ai.input.messages": ASKED.replace("Peru", "Chad")})],
         ["a", "b"]),
        ([OUTER, nested("b", "a", 1, 4, **{"user.id": "acme", "gen_ai.request.model": "n"})], ["a", "b"]),
        ([OUTER, nested("b", "a", 1, 4, **{"user.id": "beta"})], ["a", "b"]),
        ([OUTER, nested("b", "a", 1, 4, **{"user.id": "acme", "gen_ai.operation.name": "embeddings"})], ["a", "b"]),
        ([OUTER, nested("b", "a", -1, 4, **{"user.id": "acme"})], ["a", "b"]),
        ([OUTER, nested("b", "a", 1, 9, **{"user.id": "acme"})], ["a", "b"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("apart", [False, True])
def test_a_span_around_a_call_is_not_a_second_call(
    tmp_path: Path, spans: list[Row], ids: list[str], apart: bool
) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(lines(*(map(exported, spans) if apart else [exported(*spans)])))
    rows, rejected = read(file)
    found = sorted(row["exchange_id"].rpartition("-" if "msg" not in row["exchange_id"] else " ")[2] for row in rows)
    assert rejected == [] and found == sorted(one if one.startswith("msg") else one * 16 for one in ids)
    assert all(row["account_id"] in ("acme", "beta") for row in rows)
    if ids == ["msg-7"]:
        assert rows[0]["max_tokens"] == 64 and "river" in rows[0]["messages"] and rows[0]["latency_ms"] == 3000


def test_a_span_around_a_call_that_comes_in_a_later_batch_has_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clonewatch.adapters.lines.MOST_ROWS", 1)
    monkeypatch.setattr("clonewatch.adapters.lines._CHUNK", 64)
    for spans in ([INNER_MODEL, OUTER], [OUTER, INNER_MODEL]):
        file = tmp_path / "t.jsonl"
        file.write_text(lines(*map(exported, spans)))
        rows, rejected = read(file)
        assert rejected == [] and len({row["exchange_id"] for row in rows}) == 1
        counts = scanned(file, tmp_path / "out")[0]["counts"]
        assert counts["kept"] == 1


def recorded(own: str, text: str) -> Row:
    """A log record that holds what a span asked."""
    record = {
        "traceId": OUTER["traceId"],
        "spanId": own * 16,
        "eventName": "gen_ai.user.message",
        "timeUnixNano": "1772359200000000000",
        "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": text}}]}},
    }
    return {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [{"logRecords": [record]}]}]}


@pytest.mark.parametrize("names", [("logs.json", "traces.json"), ("spans.json", "z-logs.json")])
@pytest.mark.parametrize("batch", [1, 1000])
def test_prompts_in_another_file_are_joined(
    tmp_path: Path, names: tuple[str, str], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clonewatch.adapters.lines.MOST_ROWS", batch)
    monkeypatch.setattr("clonewatch.adapters.lines._CHUNK", 4096)
    marks = "0123456789abcdef"
    spans = [exported(nested(m, "", i, i + 1, **{"user.id": "acme"})) for i, m in enumerate(marks)]
    records = [recorded(m, f"question {m}") for m in marks]
    for name in names:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(lines(*(records if "logs" in name else spans)))
    rows, rejected = read(tmp_path / "in")
    assert rejected == [] and len(rows) == len(marks)
    assert {row["exchange_id"][-1] for row in rows if f"question {row['exchange_id'][-1]}" in row["messages"]} == set(
        marks
    )
    log = open_log(tmp_path / "in")
    list(log.batches(list))
    assert sorted((one.path.rpartition("/")[2], one.read, one.rejected) for one in log.inputs) == sorted(
        (name, 0 if "logs" in name else len(marks), 0) for name in names
    )
    assert log.bytes_done == log.total_bytes and log.warnings == []
