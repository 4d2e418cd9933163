"""What a file is, whatever stands around its rows."""

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from tests.path.odd_logs import SPEND, Row, call, doctor, lines, mapped, read, scanned, span

from clonewatch.adapters.reading import open_log
from clonewatch.model.errors import InputError

PLAIN = lines(*(call(i) for i in range(3)))
BEDROCK = {
    "schemaType": "ModelInvocationLog", "timestamp": "2026-03-01T10:00:00Z", "requestId": "b-1", "modelId": "m",
    "identity": {"arn": "arn:aws:iam::123456789012:user/acct-1"}, "operation": "InvokeModel",
}  # fmt: skip
OTLP = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": [span("a")]}]}]}


def zipped(*members: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{number}.jsonl", member)
    return held.getvalue()


def lz4(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as packed:
        packed.write(data)
    return bytes(sink.getvalue().to_pybytes())


def framed(*rows: Row) -> bytes:
    """As the collector's file exporter packs its messages."""
    packed = [zstandard.compress(json.dumps(row).encode()) for row in rows]
    return b"".join(len(one).to_bytes(4, "big") + one for one in packed)


def each(prefix: str, *rows: Row) -> str:
    return "".join(f"{prefix}{json.dumps(row)}\n" for row in rows)


def carriers(key: str, *rows: Row, end: str = "\n", **beside: object) -> list[Row]:
    return [{key: json.dumps(row) + end, **beside} for row in rows]


CALLS = [call(i) for i in range(3)]
READ_AS_CALLS = {
    "a failed call without a body first": lines({"ts": 1772359199, "account_id": "a-9", "status": 401}) + PLAIN,
    "an event first": lines({"ts": 1772359199, "account_id": "a", "event": "startup"}) + PLAIN,
    "JSON in text": "".join(json.dumps(json.dumps(c)) + "\n" for c in CALLS),
    "a bulk request": "".join(lines({"index": {"_index": "calls", "_id": f"{i}"}}, c) for i, c in enumerate(CALLS)),
    "docker": lines(*carriers("log", *CALLS, stream="stdout", time="2026-03-01T10:00:00.1Z")),
    "docker of prefixed lines": lines(*({"log": "INFO " + json.dumps(c) + "\n", "stream": "stdout"} for c in CALLS)),
    "kubernetes": each("2026-03-01T10:00:00.123456789Z stdout F ", *CALLS),
    "syslog": each("Mar  1 10:00:00 host app[7]: ", *CALLS),
    "a time in brackets": each("[2026-03-01 10:00:00] INFO ", *CALLS),
    "cloudwatch": each("2026-03-01T10:00:00.000Z ", *CALLS),
    "cloudwatch events": json.dumps(
        {"events": carriers("message", *CALLS, end="", timestamp=1772359200250), "searchedLogStreams": []}
    ),
    "a list under data": json.dumps({"data": CALLS, "total": 3, "page": {"next": {"a": [{}]}}}),
    "a list under result, spread": json.dumps({"status": "ok", "result": CALLS}, indent=1),
    "lists under records, line by line": lines({"records": CALLS[:2]}, {"records": CALLS[2:]}),
    "UTF-16": "\ufeff".encode("utf-16-le") + PLAIN.encode("utf-16-le"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16, big end first": "\ufeff".encode("utf-16-be") + PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "UTF-32 without a mark": PLAIN.encode("utf-32-le"),
    "UTF-32, big end first": PLAIN.encode("utf-32-be"),
    "lz4": lz4(PLAIN.encode()),
    "lz4, two frames": lz4(lines(*CALLS[:1]).encode()) + lz4(lines(*CALLS[1:]).encode()),
    "zstd, a frame a message": framed(*CALLS),
    "bzip2": bz2.compress(PLAIN.encode()) + bz2.compress(b"\n"),
    "zip": zipped(lines(*CALLS[:1]), lines(*CALLS[1:])),
    "UTF-16 in gzip": gzip.compress(PLAIN.encode("utf-16")),
}


@pytest.mark.parametrize("written", READ_AS_CALLS.values(), ids=READ_AS_CALLS)
def test_the_calls_of_a_log_are_read_whatever_stands_around_them(tmp_path: Path, written: str | bytes) -> None:
    file = tmp_path / "e.log"
    file.write_bytes(written.encode() if isinstance(written, str) else written)
    rows, rejected = read(file)
    assert rejected == []
    found = {
        r["exchange_id"]: (r["account_id"], json.loads(r["messages"])["messages"][0]["content"])
        for r in rows
        if "messages" in r
    }
    assert found == {f"chatcmpl-{i}": (f"a-{i}", f"hello {i}") for i in range(3)}
    assert open_log(file).formats == ["openai"]


@pytest.mark.parametrize("first", [{"status": 401}, {"event": "startup"}])
def test_a_first_row_that_differs_is_a_row_of_its_format(tmp_path: Path, first: Row) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines({"ts": 1772359199, "account_id": "a-9"} | first) + PLAIN)
    rows, rejected = read(file)
    assert rejected == [] and [r["account_id"] for r in rows] == ["a-9", "a-0", "a-1", "a-2"]
    assert rows[0].get("status") == first.get("status") and open_log(file).formats == ["openai"]


def test_a_map_reaches_rows_after_the_prefix_of_syslog(tmp_path: Path) -> None:
    file = tmp_path / "sys.log"
    row = {"msec": "1772359200.250", "account_id": "acme", "status": "200"}
    file.write_text(each("Mar  1 10:00:00 host nginx: ", row | {"request_id": "n-0"}, row | {"request_id": "n-1"}))
    rows, rejected = read(file, Path("nginx"))
    assert rejected == [] and [(r["exchange_id"], r["account_id"], r["status"]) for r in rows] == [
        ("n-0", "acme", 200), ("n-1", "acme", 200),
    ]  # fmt: skip


@pytest.mark.parametrize("written", [json.dumps, lambda rows: json.dumps(rows, indent=2), lambda rows: lines(*rows)])
def test_all_rows_of_a_spend_table_are_read_however_it_was_exported(
    tmp_path: Path, written: Callable[[list[Row]], str]
) -> None:
    file = tmp_path / "out.json"
    file.write_text(written([SPEND | {"litellm_call_id": f"l-{i}", "request_id": f"r-{i}"} for i in range(4)]))
    rows, rejected = read(file)
    assert rejected == [] and [r["exchange_id"] for r in rows] == [f"l-{i}" for i in range(4)]
    assert open_log(file).formats == ["litellm_spend"]


def test_parts_of_a_line_that_kubernetes_cut_are_put_together(tmp_path: Path) -> None:
    text = json.dumps(call(1))
    file = tmp_path / "pod.log"
    at = "2026-03-01T10:00:00.123456789Z stdout"
    file.write_text(each(f"{at} F ", call(0)) + f"{at} P {text[:80]}\n{at} P {text[80:99]}\n{at} F {text[99:]}\n")
    rows, rejected = read(file)
    assert rejected == [] and [r["exchange_id"] for r in rows] == ["chatcmpl-0", "chatcmpl-1"]


def test_a_line_whose_last_part_is_missing_is_counted(tmp_path: Path) -> None:
    file, at = tmp_path / "pod.log", "2026-03-01T10:00:00.123456789Z stdout"
    file.write_text(each(f"{at} F ", call(0), call(1)) + f"{at} P {json.dumps(call(2))[:80]}\n")
    rows, rejected = read(file)
    assert [r["exchange_id"] for r in rows] == ["chatcmpl-0", "chatcmpl-1"]
    assert [(r.line, r.reason) for r in rejected] == [(3, "the line is cut off at the end of the file")]


def test_parts_of_two_streams_are_told_apart(tmp_path: Path) -> None:
    one, two = json.dumps(call(1)), json.dumps(call(2))
    file, at = tmp_path / "pod.log", "2026-03-01T10:00:00.123456789Z"
    pieces = [f"stdout P {one[:80]}", f"stderr P {two[:70]}", f"stdout F {one[80:]}", f"stderr F {two[70:]}"]
    file.write_text("".join(f"{at} {piece}\n" for piece in [f"stdout F {json.dumps(call(0))}", *pieces]))
    rows, rejected = read(file)
    assert rejected == [] and [r["exchange_id"] for r in rows] == [f"chatcmpl-{i}" for i in range(3)]


def test_parts_of_a_line_that_docker_cut_are_put_together(tmp_path: Path) -> None:
    file = tmp_path / "container-json.log"
    texts = [json.dumps(call(i, note="x" * 40_000)) + "\n" for i in range(2)]
    split = [text[at : at + 16_384] for text in texts for at in range(0, len(text), 16_384)]
    parts = [{"log": part, "stream": "stdout", "time": "2026-03-01T10:00:00.1Z"} for part in split]
    parts.insert(1, {"log": "GET /health\n", "stream": "stderr", "time": "2026-03-01T10:00:00.1Z"})
    file.write_text(lines(*parts))
    rows, rejected = read(file)
    assert [r["exchange_id"] for r in rows if "messages" in r] == ["chatcmpl-0", "chatcmpl-1"]
    assert [r.line for r in rejected] == [2]
    file.write_text(lines(*parts[:-1]))
    rows, rejected = read(file)
    assert [(r.line, r.reason) for r in rejected][1:] == [(6, "the line is cut off at the end of the file")]


@pytest.mark.parametrize(
    "banner", ["# exported 2026-03-01\n", "Starting...\nlistening on :4000\n", '{"ts": 1, "torn\n']
)
def test_a_banner_or_a_torn_first_line_costs_itself_and_nothing_else(tmp_path: Path, banner: str) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(banner + PLAIN)
    rows, rejected = read(file)
    assert len(rows) == 3 and {r.reason for r in rejected} == {"not JSON"} and len(rejected) == banner.count("\n")


@pytest.mark.parametrize(
    ("form", "written", "value"),
    [
        ("litellm_spend", lines(SPEND), {"exchange_id": "l-1", "account_id": "acme", "input_tokens": 21}),
        ("litellm_spend", json.dumps({"data": [SPEND], "total": 1}), {"exchange_id": "l-1"}),
        ("bedrock", gzip.compress(each("2026-03-01T10:00:00.000Z ", BEDROCK).encode()), {"exchange_id": "b-1"}),
        ("bedrock", json.dumps({"events": carriers("message", BEDROCK, end="", timestamp=1)}), {"exchange_id": "b-1"}),
        ("otlp", framed(OTLP), {"exchange_id": "msg-1", "account_id": "acme", "model": "m"}),
        ("otlp", json.dumps(OTLP) + "\n", {"exchange_id": "msg-1"}),
    ],
)
def test_other_formats_are_told_by_their_rows_too(tmp_path: Path, form: str, written: str | bytes, value: Row) -> None:
    file = tmp_path / "x"
    file.write_bytes(written.encode() if isinstance(written, str) else written)
    rows, rejected = read(file)
    assert rejected == [] and len(rows) == 1 and value.items() <= rows[0].items()
    assert open_log(file).formats == [form]


def test_copied_text_of_a_database_is_read_without_its_doubled_backslashes(tmp_path: Path) -> None:
    said = {"choices": [{"message": {"content": 'A "quoted" answer,\nwith lines'}}]}
    row = json.dumps(SPEND | {"response": said})
    file = tmp_path / "out.json"
    file.write_text(row.replace("\\", "\\\\") + "\n")
    rows, rejected = read(file)
    assert rejected == [] and rows[0]["response_text"] == 'A "quoted" answer,\nwith lines'


def test_a_map_reaches_the_rows_of_a_wrapped_list(tmp_path: Path) -> None:
    file = tmp_path / "eh.json"
    row = {"time": "2026-03-01T10:00:00.1234567Z", "correlationId": "c-1", "properties": '{"objectId": "acct-1"}'}
    file.write_text(json.dumps({"records": [row]}))
    fields = 'exchange_id="correlationId"\naccount_id="properties.objectId"\nts="time"'
    rows, rejected = read(file, mapped(tmp_path, fields, "jsonl_map"))
    assert rejected == [] and [(r["exchange_id"], r["account_id"]) for r in rows] == [("c-1", "acct-1")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"{'who': 'ann', 'when': 1}\n{'who': 'bob', 'when': 2}\n", "dictionaries as Python prints them"),
        (b"-- PostgreSQL database dump\n--\nSET client_encoding = 'UTF8';\nCOPY x (a) FROM stdin;\n", "an SQL dump"),
        (b"r-1\t0.5\t\\N\t2026-03-01\nr-2\t0.5\t\\N\t2026-03-01\n", "4 values in a line without a header line"),
        (b"who,when,what\na,b,c\n", "a table with the columns who, when, what"),
        (b'{"who": 1, "when": 2, "ann@example": 3}\n', "JSON objects with the keys who, when, aaa@aaaaaaa"),
        (b"2026-03-01 10:00:00, acme, said hello\n", "3 values in a line without a header line"),
        (b"dear ann; this is private; to you\n" + b"x" * 99, "text without JSON or columns"),
        (b"\xff\x06\x00\x00sNaPpY" + bytes(9), "a snappy file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary data"),
        (b"hello\n", "text without JSON or columns"),
    ],
)
def test_a_file_of_unknown_format_is_described(tmp_path: Path, written: bytes, said: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(written)
    with pytest.raises(InputError) as error:
        open_log(file)
    assert said in error.value.what and error.value.fix


def test_a_file_left_out_of_a_folder_is_loud_and_counts(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "1.jsonl").write_text(PLAIN)
    (folder / "2.jsonl").write_text(lines({"who": "x", "when": 1}) * 20)
    summary, said = scanned(folder, tmp_path / "out", code=4)
    assert "1 of 2 files" in said and "were left out" in said
    assert any("left out: unknown format (JSON objects with the keys who, when)" in w for w in summary["warnings"])
    assert doctor(folder)["left_out"] == [str(folder / "2.jsonl")]
    (folder / "2.jsonl").write_text("x\n")
    (folder / "1.jsonl").write_text(lines(*(call(i) for i in range(100))))
    assert scanned(folder, tmp_path / "again")[0]["counts"]["kept"] == 100
