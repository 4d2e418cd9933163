"""Tables as text: bytes, quotes, separators, lines before the header."""

import bz2
import datetime
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.path.odd_logs import MAP, RUNNER, SPEND, Row, mapped, read

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected

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


@pytest.mark.parametrize(
    "cut", [f'2,{DAY},b,"the first of', f'2,{DAY},b,"the first\n\nof many', f'2,{DAY},b,"say ""hi""']
)
def test_a_last_row_that_ends_within_quotes_is_no_row(tmp_path: Path, cut: str) -> None:
    file = tmp_path / "e.csv"
    file.write_text(f'id,when,acct,prompt\n1,{DAY},a,"whole\ntext"\n{cut}', encoding="utf-8")
    log = open_log(file, mapping=mapped(tmp_path, FIELDS))
    rejected: list[Rejected] = []
    rows = [row for batch in log.batches(rejected.extend) for row in batch.to_pylist()]
    assert said(rows) == [("a", "whole\ntext")]
    assert [(r.file, r.line, "cut off" in r.reason) for r in rejected] == [(str(file), 4, True)]


@pytest.mark.parametrize(
    ("last", "told"), [(f"2,{DAY},b,the first of", 1), (f"2,{DAY},b,whole\n", 0), (f'2,{DAY},b,"whole"', 0)]
)
def test_a_last_cell_that_may_have_been_cut_is_told(tmp_path: Path, last: str, told: int) -> None:
    file = tmp_path / "e.csv"
    file.write_text(f"id,when,acct,prompt\n1,{DAY},a,x\n{last}", encoding="utf-8")
    log = open_log(file, mapping=mapped(tmp_path, FIELDS))
    rows = [row for batch in log.batches(list) for row in batch.to_pylist()]
    assert [row["account_id"] for row in rows] == ["a", "b"]
    warning = f"{file}: line 3, the last one, has no line ending; its last cell may have been cut off"
    assert log.warnings == [warning] * told


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


UUIDS = [bytes(range(n, n + 16)) for n in (1, 128)]
SECONDS = [1772359200, 1772359201]
TYPES: list[tuple[str, pa.Array, list[object]]] = [
    ("ts", pa.array([Decimal("1772359200.250001"), Decimal(1772359201)], pa.decimal128(18, 6)), [250001, 0]),
    ("ts", pa.array([Decimal(1000 * s) for s in SECONDS], pa.decimal256(40, 0)), [0, 0]),
    ("ts", pa.array([s * 10**9 + 1001 for s in SECONDS], pa.timestamp("ns", "Europe/Berlin")), [1, 1]),
    ("ts", pa.array([datetime.date(2026, 3, 1)] * 2, pa.date32()), [0, 0]),
    ("account_id", pa.array([Decimal(7), Decimal(8)], pa.decimal128(38, 0)), ["7", "8"]),
    ("account_id", pa.array([Decimal("7.00"), Decimal("8.00")], pa.decimal128(10, 2)), ["7", "8"]),
    ("account_id", pa.array([Decimal(10**45 + 7), Decimal(10**45 + 8)], pa.decimal256(50, 0)),
     [str(10**45 + 7), str(10**45 + 8)]),
    ("account_id", pa.array(UUIDS, pa.binary(16)), [one.hex() for one in UUIDS]),
    ("account_id", pa.array(UUIDS, pa.binary()), [one.hex() for one in UUIDS]),
    ("account_id", pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
    ("account_id", pa.array([{"id": Decimal(7)}, {"id": Decimal(8)}]), ["7", "8"]),
    ("account_id", pa.array([{"id": one} for one in UUIDS]), [one.hex() for one in UUIDS]),
    ("input_tokens", pa.array([Decimal("7.0"), None], pa.decimal128(10, 1)), [7, None]),
    ("temperature", pa.array([Decimal("0.5"), Decimal("0.25")], pa.decimal128(5, 2)), [0.5, 0.25]),
    ("latency_ms", pa.array([1500, 2500], pa.duration("ms")), [1500, 2500]),
    ("latency_ms", pa.array([Decimal("950.4"), Decimal("12.0")], pa.decimal128(9, 1)), [950, 12]),
    ("stream", pa.array([Decimal(1), Decimal(0)], pa.decimal128(1, 0)), [True, False]),
    ("messages", pa.array([[{"role": "user", "at": 1772359200000000001}]] * 2,
                          pa.list_(pa.struct([("role", pa.large_string()), ("at", pa.timestamp("ns"))]))),
     ['[{"role":"user","at":"2026-03-01T10:00:00"}]'] * 2),
]  # fmt: skip


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize(("column", "values", "expected"), TYPES)
def test_physical_types_of_parquet_are_read_as_what_they_mean(
    tmp_path: Path, column: str, values: pa.Array, expected: list[object], by_row: bool
) -> None:
    table = {"exchange_id": ["x", "y"], "ts": SECONDS, "account_id": ["a", "b"], column: values}
    pq.write_table(pa.table(table), tmp_path / "e.parquet")
    fields = "".join(f'{name} = "{name}"\n' for name in table)
    if pa.types.is_struct(values.type):
        fields = fields.replace(f'"{column}"', f'"{column}.id"')
    more = "[where]\nexchange_id = {present = true}\n" if by_row else ""
    (tmp_path / MAP).write_text(f'format = "parquet_map"\n{more}[fields]\n{fields}')
    rows, rejected = read(tmp_path / "e.parquet", tmp_path / MAP)
    found = [row.get(column) for row in rows]
    assert rejected == [] and [one.microsecond if column == "ts" else one for one in found] == expected


def test_a_table_with_nanoseconds_is_surveyed(tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    pq.write_table(pa.table({"when": pa.array([1772359200000000001], pa.timestamp("ns")), "who": ["a"]}), file)
    done = RUNNER.invoke(app, ["doctor", str(file)])
    assert done.exit_code == 2 and 'ts = "when"' in done.stdout


def test_lines_that_end_in_a_carriage_return_alone(tmp_path: Path) -> None:
    rows, rejected = table(tmp_path, f'1,{DAY},a,"x, y"', f"2,{DAY},b,z", end="\r")
    assert rejected == [] and said(rows) == [("a", "x, y"), ("b", "z")]


def test_a_header_that_comes_again_is_no_row(tmp_path: Path) -> None:
    rows, rejected = table(tmp_path, f"1,{DAY},a,x", "\ufeffid,when,acct,prompt", f"2,{DAY},b,y")
    assert rejected == [] and said(rows) == [("a", "x"), ("b", "y")]


def archive(**members: str | bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in members.items():
            made.writestr(name, text)
    return held.getvalue()


TABLES = {
    "a.csv": f"id,when,acct,prompt\n1,{DAY},a,x\n",
    "b.csv": f"id,when,acct,prompt\n2,{DAY},b,y\n",
    "c.csv": f"prompt;acct;note;when;id\nz;c;n;{DAY};3\nw;c;n;{DAY};4",
    "d.csv": f"when,id\n{DAY},5\n",
    "e.csv": f"id,when,acct,prompt\n6,{DAY},e,v\n",
}


def test_each_table_of_an_archive_has_its_own_header(tmp_path: Path) -> None:
    file = tmp_path / "e.zip"
    file.write_bytes(archive(**TABLES))
    rows, rejected = read(file, mapped(tmp_path, FIELDS))
    assert said(rows) == [("a", "x"), ("b", "y"), ("c", "z"), ("c", "w"), ("e", "v")]
    assert [r.reason for r in rejected] == ["account_id: missing"]


@pytest.mark.parametrize(
    "packed",
    [
        archive(**{"in.zip": archive(**TABLES)}),
        archive(**{"in.csv.gz": gzip.compress(TABLES["a.csv"].encode()), "b.csv": TABLES["b.csv"]}),
        gzip.compress(archive(**TABLES)),
        gzip.compress(bz2.compress(gzip.compress((TABLES["a.csv"] + TABLES["b.csv"]).encode()))),
    ],
)
def test_an_archive_in_an_archive_is_unpacked(tmp_path: Path, packed: bytes) -> None:
    file = tmp_path / "e.packed"
    file.write_bytes(packed)
    rows, _ = read(file, mapped(tmp_path, FIELDS))
    assert said(rows)[:2] == [("a", "x"), ("b", "y")]


def test_archives_beyond_the_bounds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, deep = tmp_path / "e.packed", TABLES["a.csv"].encode()
    for _ in range(5):
        deep = gzip.compress(deep)
    file.write_bytes(deep)
    with pytest.raises(InputError, match="nested more than 3 deep"):
        open_log(file)
    monkeypatch.setattr("clonewatch.adapters.unpacking._MOST_NESTED", 10)
    file.write_bytes(archive(**{"in.zip": archive(**TABLES)}))
    with pytest.raises(InputError, match="in an archive; unpack it first"):
        open_log(file)


def test_a_spend_table_with_a_line_for_excel_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text(f"sep=,\n{','.join(SPEND)}\n{','.join(map(str, SPEND.values()))}\n")
    rows, rejected = read(file)
    assert rejected == [] and rows[0]["exchange_id"] == "l-1" and rows[0]["input_tokens"] == 21


SPARK = {
    r'{"model": "m", "messages": [{"role": "user", "content": "say \"hi, you\"\nnow"}]}': 'say "hi, you"\nnow',
    r'{"model": "m", "messages": [{"role": "user", "content": "it ends so: \\"}]}': "it ends so: \\",
}


def test_quotes_that_a_backslash_escapes_are_quotes(tmp_path: Path) -> None:
    """As Spark writes them: the backslashes before a quote are escaped as well."""
    cells = [re.sub(r'(\\*)"', lambda m: m[1] * 2 + '\\"', body) for body in SPARK]
    rows, rejected = table(tmp_path, *(f'{i},{DAY},a{i},"{cell}"' for i, cell in enumerate(cells)), f"7,{DAY},b,x")
    assert rejected == [] and [row["account_id"] for row in rows] == ["a0", "a1", "b"]
    asked = [json.loads(row["messages"])["messages"][0]["content"] for row in rows[:2]]
    assert asked == list(SPARK.values())


def test_a_space_after_a_separator_is_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_text(f'id, when, acct, prompt\n1, {DAY}, a, "hi, you"\n2, {DAY}, b, x\n')
    rows, rejected = read(file, mapped(tmp_path, FIELDS))
    assert rejected == [] and said(rows) == [("a", "hi, you"), ("b", "x")]


def tarred(**members: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as out:
        out.addfile(tarfile.TarInfo("logs/empty.csv"), io.BytesIO())
        for name, text in {"logs/._hidden": "x", **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            out.addfile(member, io.BytesIO(text.encode()))
    return held.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, lambda data: archive(**{"in.tar": data})])
def test_the_tables_of_a_tar_archive_are_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "e.packed"
    file.write_bytes(pack(tarred(**TABLES)))
    rows, rejected = read(file, mapped(tmp_path, FIELDS))
    assert said(rows) == [("a", "x"), ("b", "y"), ("c", "z"), ("c", "w"), ("e", "v")]
    assert [r.reason for r in rejected] == ["account_id: missing"]


def test_a_tar_archive_without_its_end_is_told(tmp_path: Path) -> None:
    file, packed = tmp_path / "e.tar", tarred(**{"a.csv": TABLES["a.csv"] * 9})
    file.write_bytes(packed[: packed.index(b"id,when") + 100])
    rows, rejected = read(file, mapped(tmp_path, FIELDS))
    assert rows and "the tar data is truncated" in [one.reason for one in rejected]
    file.write_bytes(packed.replace(b"00000000000\0", b"nonsense000\0"))
    rows, rejected = read(file, mapped(tmp_path, FIELDS))
    assert rows == [] and [one.reason for one in rejected] == ["the tar data is damaged"]
    with pytest.raises(InputError, match="the tar data is damaged"):
        open_log(file)


def test_files_that_a_system_adds_to_an_archive_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "e.zip"
    file.write_bytes(archive(**{"a.csv": TABLES["a.csv"], "__MACOSX/._a.csv": "\0\5\x16\7", ".DS_Store": "x"}))
    rows, rejected = read(file, mapped(tmp_path, FIELDS))
    assert rejected == [] and said(rows) == [("a", "x")]
