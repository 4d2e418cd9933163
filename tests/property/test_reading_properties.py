"""Properties of reading that hold whatever the rows, their layout and their packing."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clonewatch.adapters import lines as cutting
from clonewatch.adapters.columns import conform
from clonewatch.adapters.instants import EARLIEST, LATEST, instant
from clonewatch.adapters.lines import documents, lines
from clonewatch.adapters.outline import outline
from clonewatch.adapters.placeholders import is_nobody
from clonewatch.adapters.reading import open_log
from clonewatch.adapters.rows import fix
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.adapters.value_hashes import hashed
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES

SCHEMA = arrow_schema(EXCHANGES)
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.text(min_size=1, max_size=8).filter(lambda t: not is_nobody(t))
moments = st.integers(EARLIEST, LATEST - 1)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
exchanges = st.fixed_dictionaries(
    {"exchange_id": words, "ts": moments, "account_id": words},
    optional={
        "model": words,
        "status": st.integers(0, 599),
        "input_tokens": st.integers(0, 2**31 - 1),
        "stream": st.booleans(),
        "temperature": st.floats(0, 2, width=32),
        "template_id": st.integers(0, 2**64 - 1),
        "sketch": st.lists(st.integers(0, 2**32 - 1), min_size=64, max_size=64),
        "messages": words,
    },
)


def read(path: Path) -> tuple[list[dict[str, object]], list[Rejected]]:
    rejected: list[Rejected] = []
    found = []
    for batch in open_log(path).batches(rejected.extend):
        for row in batch.to_pylist():
            found.append({k: v for k, v in row.items() if v is not None})
    return found, rejected


@FEW
@given(rows=st.lists(exchanges, min_size=1, max_size=12))
def test_parquet_and_json_lines_give_the_same_exchanges(rows: list[dict[str, object]], tmp_path: Path) -> None:
    text, columns = tmp_path / "x.ndjson", tmp_path / "x.parquet"
    text.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = [SCHEMA.field(n) for n in EXCHANGES.names if any(n in row for row in rows)]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), columns)
    from_text, rejected = read(text)
    assert (from_text, rejected) == (read(columns)[0], [])
    assert [r["exchange_id"] for r in from_text] == [r["exchange_id"] for r in rows]


@FEW
@given(rows=st.lists(exchanges, min_size=1, max_size=12), cut=st.data())
def test_one_file_or_several_packed_or_not_is_the_same_log(
    rows: list[dict[str, object]], cut: st.DataObject, tmp_path: Path
) -> None:
    raw = [json.dumps(row).encode() + b"\n" for row in rows]
    at = cut.draw(st.integers(0, len(raw)))
    whole = tmp_path / "whole.ndjson"
    whole.write_bytes(b"".join(raw))
    folder = tmp_path / "parts"
    folder.mkdir(exist_ok=True)
    (folder / "1.gz").write_bytes(gzip.compress(b"".join(raw[:at])))
    (folder / "2.zst").write_bytes(zstandard.compress(b"".join(raw[at:])))
    assert read(folder) == read(whole)


@MANY
@given(fields=st.dictionaries(st.sampled_from(EXCHANGES.names), anything, max_size=8))
def test_whatever_a_row_holds_it_is_an_exchange_or_rejected(fields: dict[str, object], tmp_path: Path) -> None:
    row = {"exchange_id": "e", "ts": 1772359200, "account_id": "a"} | fields
    file = tmp_path / "x.ndjson"
    good = '{"exchange_id": "good", "ts": 1772359200, "account_id": "a"}\n'
    file.write_text(good + json.dumps(row, allow_nan=True) + "\n" + good)
    rows, rejected = read(file)
    assert len(rows) + len(rejected) == 3 and len(rows) >= 2
    assert all(r.line == 2 for r in rejected)


@MANY
@given(values=st.lists(anything, min_size=1, max_size=6), name=st.sampled_from(EXCHANGES.names))
def test_any_plain_values_of_a_column_become_its_type_or_reject_their_row(values: list[object], name: str) -> None:
    found: dict[str, list[object]] = {n: ["x"] * len(values) for n in ("exchange_id", "account_id")}
    found["ts"] = [1772359200] * len(values)
    found[name] = values
    batch, rejected = conform(found, EXCHANGES, "f", range(1, len(values) + 1))
    batch.validate(full=True)
    assert batch.num_rows + len(rejected) == len(values)
    assert all(batch.schema.field(n).type == SCHEMA.field(n).type for n in batch.schema.names)


@MANY
@given(
    values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5)
    | st.lists(st.none() | st.floats(), min_size=1, max_size=5)
    | st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=5)
    | st.lists(st.none() | st.binary(max_size=5), min_size=1, max_size=5)
    | st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=5),
    name=st.sampled_from(EXCHANGES.names),
)
def test_any_arrow_column_becomes_its_type_or_rejects_its_rows(values: list[object], name: str) -> None:
    rows = len(values)
    found: dict[str, object] = {n: pa.array(["x"] * rows) for n in ("exchange_id", "account_id")}
    found["ts"] = pa.array([1772359200] * rows)
    found[name] = pa.array(values)
    batch, rejected = conform(found, EXCHANGES, "f", range(1, rows + 1))  # type: ignore[arg-type]
    batch.validate(full=True)
    assert batch.num_rows + len(rejected) == rows


@MANY
@given(raw=st.binary(max_size=200), chunk=st.integers(1, 9))
def test_lines_are_what_split_would_give_however_they_are_chunked(
    raw: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "_CHUNK", chunk)
    got = [(n, line) for b in lines(io.BytesIO(raw)) for n, line in zip(b.numbers, b.lines, strict=True)]
    if chunk >= 3:  # a byte order mark is dropped from a first chunk that holds all of it
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    expected = [(i, line) for i, line in enumerate(raw.split(b"\n"), 1) if line.strip(b"\r") or len(line) > 1]
    assert [(n, line) for n, line in got if line.strip()] == [(n, line) for n, line in expected if line.strip()]


@MANY
@given(
    values=st.lists(st.dictionaries(st.text(max_size=4), anything, max_size=3), min_size=1, max_size=4),
    indent=st.sampled_from([None, 1]),
    chunk=st.integers(1, 9),
    plain=st.booleans(),
)
def test_documents_are_the_objects_of_an_array_however_it_is_laid_out(
    values: list[dict[str, object]], indent: int | None, chunk: int, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "_CHUNK", chunk)
    text = json.dumps(values, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    found = [json.loads(d) for b in documents(io.BytesIO(text)) for d in b.lines]
    assert json.dumps(found) == json.dumps(values)


@MANY
@given(raw=st.binary(max_size=300))
def test_no_bytes_at_the_start_of_a_file_break_the_outline_or_the_stream(raw: bytes) -> None:
    assert isinstance(outline(raw), dict) and isinstance(outline(b"{" + raw), dict)
    for magic in (b"", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"):
        stream = Stream(Tally(io.BytesIO(magic + raw), None))
        head = stream.head()
        assert stream.read() == head
        alone = b"\n" not in raw and b"\x00" not in raw  # carriage returns that end lines by themselves
        assert magic or head == (raw.replace(b"\r", b"\n") if alone else raw) or stream.packing


@MANY
@given(value=anything)
def test_a_whole_object_has_its_top_level_keys_in_the_outline(value: object) -> None:
    keys = {"alpha", "beta"}
    found = outline(json.dumps({"alpha": value, "beta": 1}).encode())
    assert keys <= found.keys() and found["beta"] == "1"


@MANY
@given(text=st.text(alphabet=st.characters(), max_size=20))
def test_fixing_keeps_valid_text_and_makes_invalid_text_valid(text: str) -> None:
    escaped = json.dumps(text).encode()
    fixed = json.loads(fix(escaped))
    fixed.encode()  # raises for half of a pair
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert fix(escaped) == escaped and fixed == text


@MANY
@given(micros=moments)
def test_a_time_is_read_back_from_every_notation(micros: int) -> None:
    from datetime import UTC, datetime, timedelta

    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    assert instant(micros) == instant(when) == instant(when.isoformat()) == instant(str(micros)) == micros
    assert instant(micros * 1000) == micros
    assert instant(micros // 10**6) == micros // 10**6 * 10**6


@MANY
@given(values=st.lists(anything, max_size=6))
def test_a_hash_depends_on_its_value_alone(values: list[object]) -> None:
    together = hashed(values).to_pylist()
    assert together == [hashed([v]).to_pylist()[0] for v in values]
