"""Logs as real software writes them: each case is a kind of oddity, read through the command line, checked by value."""

import bz2
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.engines.duckdb import DuckDB
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.deduplicate import Repeats, settle
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, Stager
from clonewatch.pipeline.steps import StepRunner

Row = dict[str, Any]
MAP = Path("map.toml")
RUNNER = CliRunner()


def call(i: int = 0, **facts: object) -> Row:
    """A logged OpenAI-style call, as the page of formats shows it."""
    return {
        "ts": 1772359200 + i,
        "account_id": f"a-{i}",
        "status": 200,
        "request": {"model": "m", "messages": [{"role": "user", "content": f"hello {i}"}]},
        "response": {"id": f"chatcmpl-{i}", "object": "chat.completion", "choices": [{"finish_reason": "stop"}]},
    } | facts


def lines(*rows: Row) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(path: Path, mapping: Path | None = None) -> tuple[list[Row], list[Rejected]]:
    """The exchanges of a log without their empty columns, and the rejected rows."""
    rejected: list[Rejected] = []
    batches = open_log(path, mapping=mapping).batches(rejected.extend)
    return [{k: v for k, v in row.items() if v is not None} for b in batches for row in b.to_pylist()], rejected


def mapped(folder: Path, fields: str, form: str = "csv_map") -> Path:
    file = folder / MAP
    file.write_text(f'format = "{form}"\n[fields]\n{fields}\n')
    return file


def doctor(*arguments: object) -> Row:
    """What `clonewatch doctor --json` says."""
    done = RUNNER.invoke(app, ["doctor", "--json", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    answer: Row = json.loads(done.stdout)
    return answer


def scanned(log: Path, out: Path, code: int = 0) -> tuple[Row, str]:
    """The summary of a scan, and what the terminal said."""
    done = RUNNER.invoke(app, ["scan", str(log), "--out", str(out), "--quiet", "--key", str(out) + ".key"])
    assert done.exit_code == code, done.output
    summary: Row = json.loads((out / "scan.json").read_text())
    return summary, done.output


def span(mark: str, *attributes: tuple[str, str]) -> Row:
    """A span of one call, with these attributes beside its account, model and response id."""
    held = [("user.id", "acme"), ("gen_ai.request.model", "m"), ("gen_ai.response.id", "msg-1"), *attributes]
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": mark * 16,
        "name": "chat",
        "startTimeUnixNano": f"177235920{0 if mark == 'a' else 1}250000000",
        "endTimeUnixNano": "1772359205500000000",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in held],
    }


# ---- which rows are one exchange -------------------------------------------------------------------------------------


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


# ---- what a file is --------------------------------------------------------------------------------------------------

PLAIN = lines(*(call(i) for i in range(3)))
SPEND = {
    "request_id": "r-1", "call_type": "acompletion", "api_key": "ab12", "spend": 0.001, "prompt_tokens": 21,
    "startTime": "2026-03-01T10:00:00Z", "endTime": "2026-03-01T10:00:01Z", "user": "acme", "litellm_call_id": "l-1",
}  # fmt: skip
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
        (b"-- PostgreSQL database dump\n--\nSET client_encoding = 'UTF8';\nCOPY x (a) FROM stdin;\n", "an SQL dump"),
        (b"r-1\t0.5\t\\N\t2026-03-01\nr-2\t0.5\t\\N\t2026-03-01\n", "4 values in a line without a header line"),
        (b"who,when,what\na,b,c\n", "a table with the columns who, when, what"),
        (b'{"who": 1, "when": 2, "ann@example": 3}\n', "JSON objects with the keys who, when, aaa@aaaaaaa"),
        (b"2026-03-01 10:00:00, acme, said hello\n", "3 values in a line without a header line"),
        (b"dear ann; this is private; to you\n" + b"x" * 99, "text without JSON or columns"),
        (b"\xfd7zXZ\x00\x00\x04", "an xz archive"),
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


# ---- tables as text --------------------------------------------------------------------------------------------------

FIELDS = 'exchange_id="id"\nts="when"\naccount_id="acct"\nmessages="prompt"'
DAY = "2026-03-01T10:00:00Z"


def table(
    folder: Path, *rows: str, end: str = "\n", before: str = "", form: str = "utf-8"
) -> tuple[list[Row], list[Rejected]]:
    file = folder / "e.csv"
    text = before + end.join(["id,when,acct,prompt", *rows]) + end
    file.write_bytes(text.encode())
    return read(file, mapped(folder, FIELDS))


def said(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row["account_id"], row["messages"]) for row in rows]


def test_bytes_that_are_no_text_cost_neither_their_row_nor_the_next(tmp_path: Path) -> None:
    broken = f'1,{DAY},a,"first line\nsecond \udcff line"'
    file = tmp_path / "e.csv"
    rows = [f'2,{DAY},b,"hi"', f"3,{DAY},c,caf\udce9", f"4,{DAY},d,plain"]
    file.write_bytes("\n".join(["id,when,acct,prompt", broken, *rows, ""]).encode("utf-8", "surrogateescape"))
    found, rejected = read(file, mapped(tmp_path, FIELDS))
    assert rejected == []
    assert said(found) == [
        ("a", "first line\nsecond \ufffd line"), ("b", "hi"), ("c", "caf\ufffd"), ("d", "plain"),
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_in_a_cell_are_part_of_it_and_others_are_not_rows(tmp_path: Path, end: str) -> None:
    rows, rejected = table(tmp_path, f'1,{DAY},a,"first{end}{end}{end}third"', "", "", f"2,{DAY},b,x", end=end)
    assert rejected == [] and said(rows) == [("a", f"first{end}{end}{end}third"), ("b", "x")]


@pytest.mark.parametrize(
    "rows",
    [
        (f'1,{DAY},a,"never closed', f'2,{DAY},b,"hi"', f"3,{DAY},c,yo"),
        (f'1,{DAY},a,"never closed', f"2,{DAY},b,hi", f'3,{DAY},c,"yo"'),
        (f'1,{DAY},a,"never closed', f"2,{DAY},b,hi", f"3,{DAY},c,yo"),
        (f'1,{DAY},a,"never closed', f'"2",{DAY},b,"hi"', f'"3",{DAY},c,"yo"'),
        (f'1,{DAY},a,"never ""closed', f'2,{DAY},b,"hi"', f'3,{DAY},c,"yo"'),
    ],
)
def test_a_quote_that_is_never_closed_costs_its_own_row_only(tmp_path: Path, rows: tuple[str, ...]) -> None:
    found, rejected = table(tmp_path, f"0,{DAY},z,before", *rows)
    assert said(found) == [("z", "before"), ("b", "hi"), ("c", "yo")]
    assert [(r.line, r.reason) for r in rejected] == [(3, "a quote that is never closed")]
    log = open_log(tmp_path / "e.csv", mapping=tmp_path / MAP)
    list(log.batches(list))
    assert any("1 rows with a quote" in warning for warning in log.warnings)


@pytest.mark.parametrize(
    ("neighbour", "prompt"), [(f'2,{DAY},b,", and then?"', ", and then?"), (f'2,{DAY},b,"\nhello b"', "\nhello b")]
)
def test_a_row_that_was_cut_does_not_take_its_neighbour(tmp_path: Path, neighbour: str, prompt: str) -> None:
    rows, rejected = table(tmp_path, f'1,{DAY},a,"cut', neighbour, f'3,{DAY},c,"plain"')
    assert said(rows) == [("b", prompt), ("c", "plain")]
    assert [(r.line, r.reason) for r in rejected] == [(2, "a quote that is never closed")]


@pytest.mark.parametrize("after", [f'3,{DAY},c,"more\nlines"', f"3,{DAY},c,x", f'3,{DAY},c,"never closed'])
def test_a_table_in_a_prompt_is_no_row_of_the_log(tmp_path: Path, after: str) -> None:
    pasted = f"read this\n7,{DAY},victim,x\n8,{DAY},victim,"
    rows, _ = table(tmp_path, f'1,{DAY},a,"{pasted}"', after)
    assert said(rows)[0] == ("a", pasted) and {account for account, _ in said(rows)} <= {"a", "c"}


def test_quotes_that_should_have_been_doubled_do_not_cost_the_row(tmp_path: Path) -> None:
    rows, rejected = table(tmp_path, f'1,{DAY},a,"say "hi" now"', f'2,{DAY},b,"two\nlines "so" quoted"', f"3,{DAY},c,x")
    assert rejected == [] and [account for account, _ in said(rows)] == ["a", "b", "c"]
    assert "hi" in rows[0]["messages"] and "quoted" in rows[1]["messages"]


@pytest.mark.parametrize("before", ["sep=,\n", "SEP=,\r\n", "# exported 2026-03-01\n", "\ufeffsep=,\n"])
def test_a_line_that_names_the_separator_and_comments_are_no_header(tmp_path: Path, before: str) -> None:
    rows, rejected = table(tmp_path, f"1,{DAY},a,x", before=before)
    assert rejected == [] and said(rows) == [("a", "x")]


@pytest.mark.parametrize("separator", list(";\t|^"))
def test_the_separator_is_the_one_that_splits_the_rows(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "e.csv"
    top = "sep=^\n" if separator == "^" else ""
    names = separator.join(["id", "when", "acct", '"prompt, with answer, and more, and more"'])
    cells = separator.join(["1", DAY, "a", '"x, y"'])
    file.write_text(f"{top}{names}\n{cells}\n")
    fields = FIELDS.replace('"prompt"', '"prompt, with answer, and more, and more"')
    rows, rejected = read(file, mapped(tmp_path, fields))
    assert rejected == [] and said(rows) == [("a", "x, y")]


def test_a_spend_table_with_a_line_for_excel_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text(f"sep=,\n{','.join(SPEND)}\n{','.join(map(str, SPEND.values()))}\n")
    rows, rejected = read(file)
    assert rejected == [] and rows[0]["exchange_id"] == "l-1" and rows[0]["input_tokens"] == 21


# ---- optional values of the wrong shape -----------------------------------------------------------------------------


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
    assert rejected == [] and [(r["exchange_id"], r.get("latency_ms")) for r in rows] == [("n-1", None)]


def test_dropped_values_are_counted_by_column_and_reason_wherever_a_log_is_described(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(call(0, latency_ms=-3), call(1, latency_ms=-4), call(2, end_user_id={"id": 7})))
    latency = "not milliseconds from 0 to 2147483647; a fraction below 10 is taken for seconds"
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
