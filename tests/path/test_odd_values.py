"""Optional values of the wrong shape keep their row."""

import json
from pathlib import Path

import pytest
from tests.path.odd_logs import MAP, RUNNER, Row, call, doctor, lines, mapped, read, scanned

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.model.read_results import Rejected


@pytest.mark.parametrize(
    ("facts", "column", "value"),
    [
        ({"latency_ms": 950.37}, "latency_ms", 950),
        ({"latency_ms": -3}, "latency_ms", None),
        ({"status": "200 OK"}, "status", 200),
        ({"user_agent": ["demo/1.0", "x"]}, "user_agent", "demo/1.0, x"),
        ({"end_user_id": {"id": 7}}, "end_user_id", None),
        ({"headers": {"User-Agent": ["demo/1.0"]}}, "user_agent", "demo/1.0"),
        ({"headers": [["User-Agent", "demo/1.0"]]}, "user_agent", "demo/1.0"),
        ({"headers": [{"name": "User-Agent", "value": "demo/1.0"}]}, "user_agent", "demo/1.0"),
        ({"headers": "POST / HTTP/1.1\r\nHost: x\r\nUser-Agent: demo/1.0\r\n"}, "user_agent", "demo/1.0"),
        ({"headers": ["Host", "x", "User-Agent", "demo/1.0"]}, "user_agent", "demo/1.0"),
        ({"headers": [{"User-Agent": "demo/1.0"}]}, "user_agent", "demo/1.0"),
        ({"headers": {"user-agent": [{"key": "User-Agent", "value": "demo/1.0"}]}}, "user_agent", "demo/1.0"),
        ({"channel": " Direct"}, "channel", "direct"),
        ({"channel": "somewhere"}, "channel", None),
        ({"end_user_id": "e", "end_user_provenance": "SIGNED"}, "end_user_provenance", "signed"),
        ({"end_user_id": "e", "end_user_provenance": "sure"}, "end_user_provenance", None),
        ({"account_id": {"$oid": "507f1f77bcf86cd799439011"}}, "account_id", "507f1f77bcf86cd799439011"),
        ({"status": {"$numberInt": "429"}}, "status", 429),
        ({"latency_ms": {"$numberDouble": "950.2"}}, "latency_ms", 950),
        ({"exchange_id": "None"}, "exchange_id", "chatcmpl-0"),
    ],
)
def test_a_logged_call_keeps_its_row_whatever_its_facts_look_like(
    tmp_path: Path, facts: Row, column: str, value: object
) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(call(**facts)))
    rows, rejected = read(file)
    assert rejected == [] and len(rows) == 1 and rows[0].get(column) == value


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-01t10:00:00.25z",
        "2026-03-01 10:00:00.250000001z",
        {"$date": "2026-03-01T10:00:00.25Z"},
        {"$date": {"$numberLong": "1772359200250"}},
        {"$numberDouble": "1772359200.25"},
        {"seconds": "1772359200", "nanos": 250000000},
    ],
)
def test_times_in_the_spellings_of_databases(tmp_path: Path, time: object) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(call(0, ts=time)))
    rows, rejected = read(file)
    assert rejected == [] and str(rows[0]["ts"]) == "2026-03-01 10:00:00.250000+00:00"


def test_kinds_of_events_in_any_case(tmp_path: Path) -> None:
    file, events = tmp_path / "e.jsonl", tmp_path / "events.csv"
    file.write_text(lines(call(0)))
    events.write_text("ts,kind,account_id\n2026-03-01T10:00:00Z,Ban,a-0\n2026-03-01,Key Leak,a-0\n2026-03-01,party,a\n")
    rejected: list[Rejected] = []
    log = open_log(file, events=events)
    log.read_sides(rejected.extend)
    table = log.events()
    assert table is not None and table["kind"].to_pylist() == ["ban", "key_leak"]
    assert [r.reason for r in rejected] == ["kind: not a known kind of event"]


def test_odd_counts_in_a_table_are_empty_and_their_rows_stay(tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_text(
        'id,when,acct,tin,tout\n1,2026-03-01T10:00:00Z,a,"1,234",4.0\n2,2026-03-01T10:00:01Z,b,-1,4\n'
        "3,2026-03-01T10:00:02Z,c,12.0,\n4,2026-03-01T10:00:02Z,d,nan,None\n5,2026-03-01T10:00:02Z,d,\\N,NULL\n"
    )
    fields = 'exchange_id="id"\nts="when"\naccount_id="acct"\ninput_tokens="tin"\noutput_tokens="tout"'
    rows, rejected = read(file, mapped(tmp_path, fields))
    assert rejected == []
    assert [(r.get("input_tokens"), r.get("output_tokens")) for r in rows] == [
        (None, 4), (None, 4), (12, None), (None, None), (None, None),
    ]  # fmt: skip


def test_seconds_are_not_taken_for_milliseconds(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text(lines({"msec": "1772359200.250", "request_id": "n-1", "account_id": "acme", "latency_ms": "1.25"}))
    rows, rejected = read(file, Path("nginx"))
    assert rejected == [] and [(r["exchange_id"], r.get("latency_ms")) for r in rows] == [("n-1", 1250)]


@pytest.mark.parametrize(
    ("given", "read_as", "unit"),
    [
        ([0.8, 12.4, 33.1, 2], [800, 12400, 33100, 2000], "s"),
        (["0.8", "12.4", "33.1", "950ms"], [800, 12400, 33100, 950], "s"),
        ([1.25, "1.5s", None, "-"], [1250, 1500, None, None], "s"),
        ([950.37, 8.2, 1210.5, 31.0], [950, 8, 1210, 31], "ms"),
        ([3, 12, 40], [3, 12, 40], "ms"),
    ],
)
def test_latencies_of_a_file_have_one_unit(
    tmp_path: Path, given: list[object], read_as: list[int | None], unit: str
) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(*(call(i, latency_ms=value) for i, value in enumerate(given))))
    rows, rejected = read(file)
    assert rejected == [] and [row.get("latency_ms") for row in rows] == read_as
    assert doctor(file)["units"] == {"exchanges.latency_ms": [unit], "exchanges.ts": ["s"]}


def test_times_of_a_file_have_one_unit(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    # the second is seventeen days after 1970 in the unit of the file, and was read as a time of 2017
    times = [1772359200250, 1_500_000_000, 1772359201250, "2026-03-01T10:00:02Z"]
    file.write_text(lines(*(call(i, ts=time) for i, time in enumerate(times))))
    rows, rejected = read(file)
    assert [row["exchange_id"] for row in rows] == ["chatcmpl-0", "chatcmpl-2", "chatcmpl-3"]
    assert [(r.line, "another unit" in r.reason) for r in rejected] == [(2, True)]
    assert "Numbers in exchanges.ts are milliseconds." in RUNNER.invoke(app, ["doctor", str(file)]).stdout
    (tmp_path / MAP).write_text('format = "openai"\ntime = "each"\n')
    assert [row["ts"].year for row in read(file, tmp_path / MAP)[0]] == [2026, 2017, 2026, 2026]


def test_dropped_values_are_counted_by_column_and_reason_wherever_a_log_is_described(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(call(0, latency_ms=-3), call(1, latency_ms=-4), call(2, end_user_id={"id": 7})))
    latency = "not a number of milliseconds from 0 to 2147483647"
    expected = [
        {"column": "exchanges.latency_ms", "reason": latency, "values": 2},
        {"column": "exchanges.end_user_id", "reason": "not text", "values": 1},
    ]
    assert doctor(file)["dropped"] == expected
    said = RUNNER.invoke(app, ["doctor", str(file)]).stdout
    assert "Dropped values" in said and latency in said
    summary, terminal = scanned(file, tmp_path / "out")
    assert summary["dropped_values"] == expected and "3 optional values did not fit" in terminal
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Dropped values" in report and latency in report
    arguments = ["ingest", str(file), "--state", str(tmp_path / "state"), "--json", "--quiet"]
    done = RUNNER.invoke(app, [*arguments, "--key", str(tmp_path / "state.key")])
    assert json.loads(done.stdout)["dropped"] == expected
