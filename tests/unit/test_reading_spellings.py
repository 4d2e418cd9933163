"""Values that software writes in other ways than the usual one mean the same."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected

Row = dict[str, Any]
NOON = 1772366400
ROLE = "arn:aws:sts::123456789012:assumed-role/AppRole"


def read(path: Path, mapping: Path | None = None) -> tuple[list[Row], list[Rejected]]:
    """The exchanges of a log without their empty columns, and the rejected rows."""
    rejected: list[Rejected] = []
    batches = open_log(path, mapping=mapping).batches(rejected.extend)
    return [{k: v for k, v in row.items() if v is not None} for b in batches for row in b.to_pylist()], rejected


def mapped(folder: Path, fields: str, form: str) -> Path:
    file = folder / "map.toml"
    file.write_text(f'format = "{form}"\n{fields}\n')
    return file


# ---- files of columns -----------------------------------------------------------------------------------------------

ENCODINGS = {
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "view": pa.string_view(),
    "bytes": pa.binary(),
    "text": pa.string(),
}


@pytest.mark.parametrize("how", ["exchange_parquet", "parquet_map", "parquet_map, row by row", "exchange_arrow"])
@pytest.mark.parametrize("kind", ENCODINGS.values(), ids=ENCODINGS)
def test_text_means_the_same_however_a_file_encodes_it(kind: pa.DataType, how: str, tmp_path: Path) -> None:
    def text(*values: str | None) -> pa.Array:
        plain = pa.array(values, pa.string())
        return plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)

    table = pa.table({
        "exchange_id": text("1", "2", "3", "4"),
        "ts": [NOON] * 4,
        "account_id": text(f"{ROLE}/s1", f"{ROLE}/s2", "None", "acme"),
        "client_ip": text("203.0.113.7:80", "203.0.113.7:81", None, "198.51.100.1, 203.0.113.9"),
        "messages": text("hello", "[REDACTED]", "x", "y"),
    })  # fmt: skip
    file = tmp_path / "log"
    mapping = None
    if how == "exchange_arrow":
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, file)
    if how.startswith("parquet_map"):
        fields = "".join(f'{name} = "{name}{" | no" if "row" in how else ""}"\n' for name in table.column_names)
        mapping = mapped(tmp_path, f"[fields]\n{fields}", "parquet_map")
    rows, rejected = read(file, mapping)
    assert [r.reason for r in rejected] == ["account_id: missing"]
    assert [r["account_id"] for r in rows] == [ROLE, ROLE, "acme"]
    assert [r["client_ip"] for r in rows] == ["203.0.113.7", "203.0.113.7", "203.0.113.9"]
    assert [r.get("messages") for r in rows] == ["hello", None, "y"]
    assert [r.get("end_user_id") for r in rows] == ["s1", "s2", None]


def test_a_list_of_hops_in_a_column_is_the_client(tmp_path: Path) -> None:
    hops = pa.array([["198.51.100.1", "203.0.113.9", "10.0.0.1"], ["203.0.113.7:80"], None])
    pq.write_table(
        pa.table({"exchange_id": ["1", "2", "3"], "ts": [NOON] * 3, "account_id": ["a"] * 3, "client_ip": hops}),
        tmp_path / "x.parquet",
    )
    rows, rejected = read(tmp_path / "x.parquet")
    assert rejected == [] and [r.get("client_ip") for r in rows] == ["203.0.113.9", "203.0.113.7", None]


@pytest.mark.parametrize("how", ["exchange_parquet", "parquet_map"])
def test_binary_ids_are_written_in_hexadecimal(how: str, tmp_path: Path) -> None:
    ids = [uuid.UUID(int=255 << 120 | i) for i in range(3)]
    names = ("exchange_id", "ts", "account_id") if how == "exchange_parquet" else ("id", "t", "a")
    columns = [pa.array([i.bytes for i in ids], pa.binary(16)), pa.array([NOON] * 3), pa.array(["a"] * 3)]
    pq.write_table(pa.table(columns, names=names), tmp_path / "x.parquet")
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"'
    rows, rejected = read(
        tmp_path / "x.parquet", mapped(tmp_path, fields, "parquet_map") if how == "parquet_map" else None
    )
    assert rejected == [] and [r["exchange_id"] for r in rows] == [i.hex for i in ids]


# ---- field maps -----------------------------------------------------------------------------------------------------


def test_items_beyond_the_bound_of_a_list_are_counted(tmp_path: Path) -> None:
    items = [{"id": f"e-{i}"} for i in range(10_003)]
    (tmp_path / "x.jsonl").write_text(json.dumps({"t": NOON, "a": "acme", "calls": items}) + "\n")
    fields = 'each = "calls"\n[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"'
    rows, rejected = read(tmp_path / "x.jsonl", mapped(tmp_path, fields, "jsonl_map"))
    assert len(rows) == 10_000 and rows[-1]["exchange_id"] == "e-9999"
    reason = "an item beyond the first 10,000 of the list that `each` names"
    assert [(r.line, r.reason) for r in rejected] == [(1, reason)] * 3


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("yes", "no"), [("t", "f"), ("on", "off"), ("Y", "N"), ("1.0", "0.0"), ("yes", "no")])
def test_true_and_false_are_read_as_databases_write_them(yes: str, no: str, tmp_path: Path) -> None:
    rows = "".join(f"{i},{NOON},a,{value}\n" for i, value in enumerate((yes, no, "maybe")))
    (tmp_path / "e.csv").write_text(f"id,t,a,s\n{rows}")
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"\nstream = "s"'
    found, rejected = read(tmp_path / "e.csv", mapped(tmp_path, fields, "csv_map"))
    assert rejected == [] and [r.get("stream") for r in found] == [True, False, None]


def test_trust_is_read_as_databases_write_it(tmp_path: Path) -> None:
    (tmp_path / "exchanges.ndjson").write_text(json.dumps({"exchange_id": "e", "ts": NOON, "account_id": "a"}) + "\n")
    (tmp_path / "accounts.csv").write_text("account_id,trusted\na,t\nb,f\n")
    accounts = open_log(tmp_path / "exchanges.ndjson", accounts=tmp_path / "accounts.csv").accounts()
    assert accounts is not None and accounts.column("anchor").to_pylist() == [True, False]


@pytest.mark.parametrize("nothing", ["-", "None", "NULL", "<nil>", "\\N", "n/a"])
def test_a_word_for_nothing_is_no_hash_that_accounts_share(nothing: str, tmp_path: Path) -> None:
    rows = [{"id": f"e-{i}", "t": NOON, "a": f"a-{i}", "p": p, "q": p} for i, p in enumerate((nothing, nothing, "v"))]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"\nprompt_id = "p"\ntools_hash = "q"'
    found, rejected = read(tmp_path / "x.jsonl", mapped(tmp_path, fields, "jsonl_map"))
    assert rejected == [] and [("prompt_id" in r, "tools_hash" in r) for r in found] == [(False,) * 2] * 2 + [
        (True,) * 2
    ]


GOLDEN = Path(__file__).parents[1] / "golden" / "adapters"


@pytest.mark.parametrize("written", [str, float], ids=["text", "float"])
def test_counts_are_counts_as_text_and_as_floats(written: Callable[[int], object], tmp_path: Path) -> None:
    usage = {"input": written(9), "input_cached_tokens": written(2), "output": written(4)}
    call = json.loads((GOLDEN / "langfuse.ndjson").read_text().splitlines()[0]) | {"usage_details": usage}
    (tmp_path / "langfuse.ndjson").write_text(json.dumps(call) + "\n")
    row = read(tmp_path / "langfuse.ndjson")[0][0]
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (11, 2, 4)
    answer = {
        "candidates": [{"content": {"parts": [{"text": "The Rhine."}]}}],
        "usageMetadata": {"candidatesTokenCount": written(4), "thoughtsTokenCount": written(3)},
    }
    asked = {"contents": [{"role": "user", "parts": [{"text": "Name a river"}]}]}
    call = {"ts": NOON, "account_id": "a", "request_id": "r", "request": asked, "response": answer}
    (tmp_path / "gemini.jsonl").write_text(json.dumps(call) + "\n")
    row = read(tmp_path / "gemini.jsonl")[0][0]
    assert (row["output_tokens"], row["reasoning_tokens"]) == (7, 3)
    traces = json.loads((GOLDEN / "jaeger.json").read_text())
    for span in traces["data"][0]["spans"]:
        span |= {"startTime": written(span["startTime"]), "duration": written(span["duration"])}
    (tmp_path / "jaeger.json").write_text(json.dumps(traces))
    assert read(tmp_path / "jaeger.json")[0] == read(GOLDEN / "jaeger.json")[0] != []


# ---- accounts and addresses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nobody",
    ["<nil>", "\\N", "(none)", "<none>", " None ", "anonymousUser", "(unknown)", "{}", "\ufeff", str(uuid.UUID(int=0))],
)
@pytest.mark.parametrize("fields", ['"a | b | c"', '["a", "b", "c"]'], ids=["alternatives", "a list"])
def test_the_first_account_that_is_somebody_counts(fields: str, nobody: str, tmp_path: Path) -> None:
    rows = [{"id": "1", "t": NOON, "a": nobody, "b": "acme "}, {"id": "2", "t": NOON, "a": nobody, "b": nobody}]
    rows += [{"id": "3", "t": NOON, "a": nobody, "b": nobody, "c": " acme"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mapping = mapped(tmp_path, f'[fields]\nexchange_id = "id"\nts = "t"\naccount_id = {fields}', "jsonl_map")
    found, rejected = read(tmp_path / "x.jsonl", mapping)
    assert [(r["exchange_id"], r["account_id"]) for r in found] == [("1", "acme"), ("3", "acme")]
    assert [(r.line, r.reason) for r in rejected] == [(2, "account_id: missing")]


def test_white_space_around_an_account_is_no_part_of_it_in_any_table(tmp_path: Path) -> None:
    (tmp_path / "exchanges.ndjson").write_text(
        json.dumps({"exchange_id": "e", "ts": NOON, "account_id": "\ufeffa\u200b "}) + "\n"
    )
    (tmp_path / "accounts.csv").write_text("account_id,trusted\n a ,true\n")
    log = open_log(tmp_path / "exchanges.ndjson", accounts=tmp_path / "accounts.csv")
    accounts = log.accounts()
    assert accounts is not None and accounts.column("account_id").to_pylist() == ["a"]
    assert [r["account_id"] for r in read(tmp_path / "exchanges.ndjson")[0]] == ["a"]


@pytest.mark.parametrize(
    ("logged", "client"),
    [
        ("/203.0.113.7:5000", "203.0.113.7"),
        ("/[2001:db8::7]:5000", "2001:db8::7"),
        ("ipv4:203.0.113.7:5000", "203.0.113.7"),
        ("ipv6:[2001:db8::7]:5000", "2001:db8::7"),
        ("('203.0.113.7', 5000)", "203.0.113.7"),
        ("('2001:db8::7', 5000, 0, 0)", "2001:db8::7"),
        ("tcp://203.0.113.7:99", "203.0.113.7"),
        ("tcp/203.0.113.7:99", "203.0.113.7"),
        ("https://203.0.113.7:99/", "203.0.113.7"),
        ("203.0.113.7;10.0.0.1", "203.0.113.7"),
        ("198.51.100.9 203.0.113.7 10.0.0.1", "203.0.113.7"),
        ("a keyed hash", "a keyed hash"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("2001:db8::7/128", "2001:db8::7"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("/a/keyed/hash", "/a/keyed/hash"),
        ("0.0.0.0, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        ("10.0.0.0", "10.0.0.0"),
    ],
)
def test_an_address_is_found_however_a_server_writes_it(logged: str, client: str, tmp_path: Path) -> None:
    row = {"exchange_id": "e", "ts": NOON, "account_id": "a", "client_ip": logged}
    (tmp_path / "e.ndjson").write_text(json.dumps(row) + "\n")
    assert [r["client_ip"] for r in read(tmp_path / "e.ndjson")[0]] == [client]


@pytest.mark.parametrize("form", ["csv_map", "jsonl_map", "parquet_map"])
def test_accounts_in_another_encoding_do_not_become_one(form: str, tmp_path: Path) -> None:
    rows = [("1", "m\xfcller"), ("2", "m\xf6ller"), ("3", "acme")]
    file = tmp_path / "log"
    if form == "csv_map":
        text = "id,t,a,p\n" + "".join(f"{i},{NOON},{a},gr\xfc\xdfe\n" for i, a in rows)
        file.write_bytes(text.encode("latin-1"))
    elif form == "jsonl_map":
        texts = [json.dumps({"id": i, "t": NOON, "a": a, "p": "gr\xfc\xdfe"}, ensure_ascii=False) for i, a in rows]
        file.write_bytes("".join(text + "\n" for text in texts).encode("latin-1"))
    else:
        accounts, prompts = (
            pa.array([t.encode("latin-1") for t in texts]).view(pa.string())
            for texts in ([a for _, a in rows], ["gr\xfc\xdfe"] * 3)
        )
        table = pa.table({"id": [i for i, _ in rows], "t": [NOON] * 3, "a": accounts, "p": prompts})
        pq.write_table(table, file)
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"\nmessages = "p"'
    found, rejected = read(file, mapped(tmp_path, fields, form))
    assert [(r["account_id"], r["messages"]) for r in found] == [("acme", "gr\ufffd\ufffde")]
    assert len(rejected) == 2 and all(r.reason.startswith("account_id: not UTF-8 text") for r in rejected)


def test_an_exchange_id_in_another_encoding_costs_no_row_and_joins_no_others(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(f"id,t,a\n\xfc,{NOON},a\n\xf6,{NOON},b\n".encode("latin-1"))
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"'
    found, rejected = read(tmp_path / "x.csv", mapped(tmp_path, fields, "csv_map"))
    assert rejected == [] and [r["account_id"] for r in found] == ["a", "b"]
    assert len({r["exchange_id"] for r in found}) == 2 and not any("\ufffd" in r["exchange_id"] for r in found)


# ---- what messages say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        f"1,{NOON},secret-account,my secret prompt",
        '{"id": "secret","t": 1,"a": 2,"p": 3}',
        "my secret plan is,to go to the secret sea,and stay there for good,a secret!",
    ],
)
def test_no_message_quotes_a_row_that_stands_where_the_header_should(first: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{first}\n{first}\n")
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "acct"'
    log = open_log(tmp_path / "x.csv", mapping=mapped(tmp_path, fields, "csv_map"))
    with pytest.raises(MappingError) as told:
        list(log.batches(list))
    assert "secret" not in str(told.value) and "The first line must name the columns" in str(told.value)


def test_doctor_quotes_no_row_that_stands_where_the_header_should(tmp_path: Path) -> None:
    row = f"1,{NOON},secret-account,secret\n"
    (tmp_path / "x.csv").write_text(row * 3)
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "x.csv")])
    assert done.exit_code == 2 and "secret" not in done.output and "without a header line" in done.output


def test_a_message_lists_a_few_names_of_a_header(tmp_path: Path) -> None:
    names = ["id", "t", "what the client wrote, and more", "x" * 41, *(f"c{i}" for i in range(12))]
    (tmp_path / "x.csv").write_text(";".join(names) + "\n" + ";".join("1" for _ in names) + "\n")
    fields = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "acct"'
    log = open_log(tmp_path / "x.csv", mapping=mapped(tmp_path, fields, "csv_map"))
    with pytest.raises(MappingError) as told:
        list(log.batches(list))
    assert f"The header has: id, t, {'x' * 40}, c0, c1, c2, c3, c4, c5, c6, ..." in str(told.value)


@pytest.mark.parametrize(
    ("written", "took"),
    [
        ("1m2.5s", 62500), ("950.4ms", 950), ("2500µs", 2), ("1h", 3_600_000), ("PT1.25S", 1250), ("PT1M2S", 62000),
        ("00:00:01.250", 1250), ("1250000us", 1250), ("1:2", None), ("1 day", None), ("s", None), ("PT", None),
    ],
)  # fmt: skip
def test_a_duration_that_names_its_units_has_them(written: str, took: int | None, tmp_path: Path) -> None:
    log = tmp_path / "e.ndjson"
    log.write_text(json.dumps({"exchange_id": "e", "ts": NOON, "account_id": "a", "latency_ms": written}))
    rows, rejected = read(log)
    assert rejected == [] and rows[0].get("latency_ms") == took


@pytest.mark.parametrize(
    ("column", "written", "meant"),
    [
        ("asn", "AS64500", 64500),
        ("asn", "AS64500 Example Ltd", 64500),
        ("asn", "64500", 64500),
        ("asn", "Example", None),
        ("client_ip", "ipv6:%5B2001:db8::1%5D:443", "2001:db8::1"),
        ("client_ip", "ipv4:203.0.113.7:443", "203.0.113.7"),
        ("client_ip", "0.0.0.0", None),  # noqa: S104
        ("client_ip", "::", None),
        ("client_ip", "0.0.0.0:0", None),
        ("stream", "Streaming", True),
        ("stream", "Non-Streaming", False),
    ],
)
def test_what_software_writes_around_a_value_is_no_part_of_it(
    column: str, written: str, meant: object, tmp_path: Path
) -> None:
    log = tmp_path / "e.ndjson"
    log.write_text(json.dumps({"exchange_id": "e", "ts": NOON, "account_id": "a", column: written}))
    rows, rejected = read(log)
    assert rejected == [] and rows[0].get(column) == meant


@pytest.mark.parametrize(
    "written",
    [
        {"seconds": NOON, "nanoseconds": 0}, {"_seconds": NOON, "_nanoseconds": 0}, {"epochSecond": NOON, "nano": 0},
        {"epochSecond": NOON, "nanoOfSecond": 0}, f"@{NOON}", "2026-03-01T12:00:00\u221200:00",
    ],
    ids=str,
)  # fmt: skip
def test_a_time_is_read_however_stores_and_loggers_write_it(written: object, tmp_path: Path) -> None:
    log = tmp_path / "e.ndjson"
    log.write_text(json.dumps({"exchange_id": "e", "ts": written, "account_id": "a"}))
    rows, rejected = read(log)
    assert rejected == [] and [row["ts"].timestamp() for row in rows] == [NOON]


def test_an_object_that_is_no_time_is_in_an_unknown_spelling_and_not_in_another_century(tmp_path: Path) -> None:
    log = tmp_path / "e.ndjson"
    log.write_text(json.dumps({"exchange_id": "e", "ts": {"year": 2026, "month": 3}, "account_id": "a"}))
    rows, (rejected,) = read(log)
    assert rows == [] and rejected.reason.startswith("ts: written in an unknown way")
