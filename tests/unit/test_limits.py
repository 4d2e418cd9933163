"""Limits on reading move where an operator says so, the message at each names it, and what cannot work is refused."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import clonewatch
from clonewatch.adapters.csv_rows import csv_rows
from clonewatch.adapters.reading import open_log
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.cli.main import app
from clonewatch.errors import SetupError
from clonewatch.model.limits import DEFAULT, Limits, chosen, parsed
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Source


def row(number: int, text: str = "hello") -> bytes:
    told = {"exchange_id": f"e{number}", "ts": "2026-03-01T10:00:00Z", "account_id": "a", "model": text}
    return json.dumps(told).encode() + b"\n"


def read(path: Path, limits: Limits) -> tuple[int, list[Rejected]]:
    rejected: list[Rejected] = []
    log = open_log(path, limits=limits)
    return sum(batch.num_rows for batch in log.batches(rejected.extend)), rejected


def parquet(path: Path) -> None:
    rows = [json.loads(row(n, "m" * (2_000_000 if n == 1 else 5))) for n in range(3)]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.set_column(1, "ts", pa.array([1_777_600_000_000_000] * 3, pa.timestamp("us", "UTC"))), path)


def lines(path: Path) -> None:
    path.write_bytes(b"".join(row(n, "m" * (2_000_000 if n == 1 else 5)) for n in range(3)))


def documents(path: Path) -> None:
    path.write_text(json.dumps([json.loads(row(n, "m" * (2_000_000 if n == 1 else 5))) for n in range(3)], indent=1))


@pytest.mark.parametrize("write", [parquet, lines, documents])
def test_the_limit_on_a_row_moves_in_every_kind_of_file(tmp_path: Path, write: object) -> None:
    path = tmp_path / "log"
    write(path)  # type: ignore[operator]
    assert read(path, DEFAULT)[0] == 3
    rows, rejected = read(path, chosen({"row": "1MB"}))
    assert rows == 2 and len(rejected) == 1
    assert rejected[0].reason == "longer than 1 MiB, which --limit row= raises"


def test_the_limit_on_a_row_moves_in_a_csv_too() -> None:
    text = b"a,b\n" + b"1,2\n" + b'1,"' + b"m\n" * 600_000 + b'"\n' + b"3,4\n"
    for limits, rows in ((DEFAULT, 3), (chosen({"row": "1MB"}), 2)):
        stream = Stream(Tally(io.BytesIO(text), len(text)), limits)
        found = [row for part in csv_rows(Source("log", cast(BinaryIO, stream))) for row in part.rows]
        assert [row for row in found if len(row[1]) != 1_200_000][:2] == [["1", "2"], ["3", "4"]] or rows == 2
        assert (sum(len(row[1]) == 1_200_000 for row in found) == 1) == (rows == 3)


def test_the_limit_on_expansion_moves_and_its_message_names_it(tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson.gz"
    path.write_bytes(gzip.compress(b"".join(row(n) for n in range(100_000)) + row(1, "m" * 4_000_000) * 3))
    low = chosen({"decoded": "1MB", "expansion": 3})
    assert read(path, DEFAULT)[0] == 100_003
    rows, rejected = read(path, low)
    assert rows < 100_003 and "more than 3-fold, which --limit expansion= raises" in rejected[-1].reason
    assert read(path, low._replace(expansion=10_000))[0] == 100_003


def test_a_command_reads_within_its_limits_and_writes_them_down(tmp_path: Path) -> None:
    lines(tmp_path / "log.ndjson")
    words = ["scan", str(tmp_path / "log.ndjson"), "--out", str(tmp_path / "result"), "--quiet", "--max-rejected", "1"]
    words += ["--key", str(tmp_path / "key"), "--limit", "row=1MB", "--limit", "rejected=0"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    held = json.loads((tmp_path / "result" / "scan.json").read_text())["settings"]["limits"]
    assert held == DEFAULT._replace(row=1 << 20, rejected=0)._asdict()
    assert json.loads((tmp_path / "result" / "rejected.ndjson").read_text())["more"] == 1
    found = clonewatch.doctor(tmp_path / "log.ndjson", limit={"row": 1 << 20})
    assert (found["rows"], found["rejected"]) == (2, 1)


@pytest.mark.parametrize(
    "words",
    ["row", "row=", "row=lots", "row=0", "row=-1MB", "row=NaN", "row=1e3", "row=64", "row=128KB", "row=2TB", "rows=1MB",
     "=1MB", "expansion=1", "expansion=2.5", "expansion=5MB", "expansion=9999999999999999999999", "batch=1KB",
     "rejected=-1", "row=1MB row=2MB", "decoded=0", "ROW=1MB", "row=\u0661MB"],
)  # fmt: skip
def test_limits_that_cannot_be_are_refused_with_an_example(words: str) -> None:
    with pytest.raises(SetupError) as raised:
        parsed(words.split())
    assert raised.value.fix and raised.value.where == "--limit"
    assert CliRunner().invoke(app, ["doctor", "log", *(f"--limit={one}" for one in words.split())]).exit_code == 2


@pytest.mark.parametrize("given", [["row=1MB"], {"row": None}, {"row": True}, {"row": 1.5}, {1: 2}, {"row": "\0"}])
def test_python_takes_a_mapping_of_known_names_and_sizes(given: object) -> None:
    with pytest.raises(SetupError):
        clonewatch.doctor("log", limit=given)  # type: ignore[arg-type]
