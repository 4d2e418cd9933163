"""What becomes of single rows and values, well-formed and otherwise."""

import gzip
import io
import json
import random
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from clonewatch.adapters import csv_rows
from clonewatch.adapters import lines as cutting
from clonewatch.adapters.columns import conform
from clonewatch.adapters.event_streams import assembled
from clonewatch.adapters.identities import settled
from clonewatch.adapters.instants import TimeFormat, instant, instants, time_format
from clonewatch.adapters.lines import documents, lines
from clonewatch.adapters.reading import open_log
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.adapters.value_hashes import hashed
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES

GOOD = b'{"exchange_id": "e", "ts": "2026-03-01T10:00:00Z", "account_id": "a"}\n'
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())


def read(path: Path) -> tuple[list[dict[str, object]], list[Rejected], list[str]]:
    rejected: list[Rejected] = []
    log = open_log(path)
    return [row for b in log.batches(rejected.extend) for row in b.to_pylist()], rejected, log.warnings


def one(path: Path, **fields: object) -> dict[str, object] | str:
    """The row that these fields give, or the reason why there is none."""
    row = {"exchange_id": "e", "ts": NOON, "account_id": "a"} | fields
    path.write_text(json.dumps(row) + "\n" + GOOD.decode())
    rows, rejected, _ = read(path)
    return rejected[0].reason if rejected else rows[0]


# ---- lines ----------------------------------------------------------------------------------------------------------


def test_a_line_over_the_bound_is_rejected_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_bytes(GOOD + b'{"messages": "' + b"x" * (DEFAULT.row + 1) + b'"}\n' + GOOD)
    rows, rejected, _ = read(file)
    assert len(rows) == 2
    assert [(r.line, r.reason) for r in rejected] == [(2, "longer than 16 MiB, which --limit row= raises")]


def test_a_line_without_end_never_fills_the_memory() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return b"x" * size if self.given < 20 * DEFAULT.row else b""

    batches = list(lines(Endless()))
    assert [b.oversized for b in batches] == [[1]] and batches[0].lines == []


def test_a_row_of_a_csv_with_too_many_lines_is_rejected_and_those_after_it_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_MOST_LINES", 50)
    row = "x{n},2026-05-01T00:00:00Z,a1,{cell}\n"
    lines = [
        row.format(n=0, cell='"' + "y\n" * 40 + '"'),
        row.format(n=1, cell='"' + "y\n" * 90),
        row.format(n=2, cell="z"),
    ]
    (tmp_path / "log.csv").write_text("exchange_id,ts,account_id,user_agent\n" + "".join(lines))
    (tmp_path / "map.toml").write_text(
        'format = "csv_map"\n[fields]\n' + "".join(f'{n} = "{n}"\n' for n in ("exchange_id", "ts", "account_id"))
    )
    rejected: list[Rejected] = []
    log = open_log([tmp_path / "log.csv"], mapping=str(tmp_path / "map.toml"))
    read = [n for batch in log.batches(rejected.extend) for n in batch["exchange_id"].to_pylist()]
    assert read == ["x0", "x2"]
    assert (rejected[0].line, rejected[0].reason) == (43, "a quote that is never closed")


def test_line_numbers_count_empty_lines_and_windows_ends(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\r\n\n" + GOOD.replace(b"\n", b"\r\n") + b"oops\r\n")
    rows, rejected, _ = read(file)
    assert len(rows) == 2
    assert [(r.line, r.reason) for r in rejected] == [(5, "not JSON")]


def test_a_torn_last_line_is_called_torn_and_a_whole_one_without_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_bytes(GOOD + GOOD[:30])
    rows, rejected, _ = read(file)
    assert len(rows) == 1 and "cut off" in rejected[0].reason
    file.write_bytes(GOOD + GOOD.rstrip())
    rows, rejected, _ = read(file)
    assert len(rows) == 2 and rejected == []


def test_objects_are_found_however_they_are_laid_out_and_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [{"a": 'quotes " and \\ and }{'}, {"b": {"c": [{}, "\\\\"]}}, {}, {"d": '\\"'}]
    for chunk in (1, 2, 3, 7, 1 << 20):
        monkeypatch.setattr(cutting, "_CHUNK", chunk)
        for text in (
            json.dumps(objects),
            json.dumps(objects, indent=2),
            "\n".join(json.dumps(o, indent=1) for o in objects),
        ):
            found = [json.loads(d) for batch in documents(io.BytesIO(text.encode())) for d in batch.lines]
            assert found == objects


def test_an_object_over_the_bound_is_counted_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_CHUNK", 16)
    text = json.dumps([{"a": 1}, {"b": "x" * 100}, {"c": 2}])
    stream = Stream(Tally(io.BytesIO(text.encode()), len(text)), DEFAULT._replace(row=50))
    (batch,) = documents(cast(BinaryIO, stream))
    assert batch.lines == [b'{"a": 1}', b'{"c": 2}'] and batch.oversized == [2] and batch.numbers == [1, 3]


def test_broken_text_is_fixed_so_that_it_cannot_hide_a_row(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    agent = rb'{"exchange_id":"e","ts":1772359200,"account_id":"a","user_agent":'
    file.write_bytes(
        agent
        + b'"\xff\xfe bot"}\n'
        + agent
        + rb'"half \ud83d pair"}'
        + b"\n"
        + agent
        + rb'"\\ud83d whole \ud83d\ude00"}'
        + b"\n"
    )
    rows, rejected, _ = read(file)
    assert rejected == []
    assert [r["user_agent"] for r in rows] == ["�� bot", "half � pair", "\\ud83d whole 😀"]


# ---- packed data ----------------------------------------------------------------------------------------------------


def packed(raw: bytes, limits: Limits = DEFAULT) -> Stream:
    return Stream(Tally(io.BytesIO(raw), None), limits)


def lz4(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACKS = pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lz4], ids=["gzip", "zstd", "lz4"])


@PACKS
def test_packed_data_in_several_parts_is_one_stream(pack: object) -> None:
    parts = [b"one\n", b"two\n" * 100_000, b""]
    stream = packed(b"".join(pack(p) for p in parts))  # type: ignore[operator]
    assert stream.read() == b"".join(parts) and stream.torn == ""


@PACKS
def test_truncated_packed_data_gives_the_rows_before_the_cut(pack: object, tmp_path: Path) -> None:
    noise = random.Random(1)  # noqa: S311 - a fixed sample
    rows = [json.dumps({"exchange_id": str(i), "ts": NOON, "account_id": str(noise.random())}) for i in range(20_000)]
    whole = pack("\n".join(rows).encode())  # type: ignore[operator]
    file = tmp_path / "x.ndjson"
    file.write_bytes(whole[: len(whole) // 2])
    kept, rejected, warnings = read(file)
    assert 0 < len(kept) < len(rows)
    assert any("is truncated" in r.reason for r in rejected) and any("is truncated" in w for w in warnings)


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress, lambda raw: lz4(raw)[:-4] + b"\xff" * 400],
    ids=["gzip", "zstd", "lz4"],
)
def test_damaged_packed_data_is_reported_as_damaged(pack: object) -> None:
    noise = random.Random(1).randbytes(1 << 18)  # noqa: S311 - a fixed sample
    raw = bytearray(pack(noise))  # type: ignore[operator]
    raw[len(raw) // 2 : len(raw) // 2 + 40] = b"\xff" * 40
    stream = packed(bytes(raw))
    stream.read()
    assert stream.torn


def test_reading_of_a_decompression_bomb_stops_in_time() -> None:
    early = DEFAULT._replace(decoded=1 << 20)
    bomb = zlib.compressobj(9, wbits=31)
    raw = bomb.compress(b"\n" * (64 << 20)) + bomb.flush()
    stream = packed(raw, early)
    assert len(stream.read()) < 64 << 20
    assert "500-fold" in stream.torn
    bomb2 = zstandard.compress(b"\n" * (64 << 20))
    stream = packed(bomb2, early)
    assert len(stream.read()) < 64 << 20 and "500-fold" in stream.torn


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        (NOON, "auto"),
        (NOON * 1000, "auto"),
        (NOON * 10**6, "auto"),
        (NOON * 10**9, "auto"),
        (float(NOON), "auto"),
        (str(NOON), "auto"),
        (f"{NOON}.0", "auto"),
        ("2026-03-01T12:00:00Z", "auto"),
        ("2026-03-01 12:00:00", "iso"),
        ("2026-03-01T12:00:00.000000000Z", "auto"),
        ("20260301T120000Z", "auto"),
        ("01/Mar/2026:12:00:00 +0000", "auto"),
        ("2026-03-01T13:00:00+01:00", "iso"),
        (NOON * 1000, "ms"),
        (3600 * 12, "s since 2026-03-01"),
        (-3600.0, "s since 2026-03-01T13:00:00Z"),
    ],
)
def test_noon_is_noon_however_it_is_written(written: object, unit: str) -> None:
    at = time_format(unit)
    assert at is not None
    assert instant(written, at) == NOON * 10**6
    column, bad = instants(pa.array([written, None]), at)
    assert column.cast(pa.int64()).to_pylist() == [NOON * 10**6, None] and not bad.any()


@pytest.mark.parametrize(
    "written",
    [
        0,
        -1,
        10**30,
        1e300,
        float("inf"),
        "",
        "soon",
        "9" * 19,
        "-1",
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        True,
    ],
)
def test_what_is_no_time_is_no_time(written: object) -> None:
    assert instant(written) is None


@pytest.mark.parametrize("kind", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamps_of_any_unit_and_zone_are_the_same_moment(kind: str, zone: str | None) -> None:
    column, bad = instants(pa.array([datetime.fromtimestamp(NOON, UTC)]).cast(pa.timestamp(kind, zone or "UTC")))
    assert column.cast(pa.int64()).to_pylist() == [NOON * 10**6] and not bad.any()


def test_a_timestamp_too_far_to_count_in_microseconds_does_not_wrap_round() -> None:
    for value in (2**62, -(2**62), 2**63 - 1):
        column, bad = instants(pa.array([value], pa.int64()).cast(pa.timestamp("s")))
        assert column.null_count == 1 and bad.all()


def test_numbers_as_text_and_whole_floats_are_numbers_but_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    assert one(file, status="200", input_tokens=12.0, temperature="0.5", stream="true") == {
        "exchange_id": "e",
        "ts": datetime.fromtimestamp(NOON, UTC),
        "account_id": "a",
        "status": 200,
        "input_tokens": 12,
        "temperature": 0.5,
        "stream": True,
    }
    assert one(file, account_id=" ") == "account_id: missing"
    assert one(file, account_id=None) == "account_id: missing"
    assert one(file, account_id=["a", "b"]) == "account_id: not text"
    assert one(file, exchange_id={"a": 1}) == "exchange_id: not text"
    assert one(file, exchange_id="None") == "exchange_id: missing"
    assert one(file, sketch=[2**32 - 1] * 64)["sketch"] == [2**32 - 1] * 64  # type: ignore[index]


STATUS = "not a whole number from 100 to 999"
WHOLE = "not a whole number from 0 to "
LATENCY = f"not a number of milliseconds from 0 to {2**31 - 1}"


@pytest.mark.parametrize(
    ("column", "written", "kept", "reason"),
    [
        ("latency_ms", 950.37, 950, ""),
        ("latency_ms", "950.5ms", 950, ""),
        ("latency_ms", "1.25 s", 1250, ""),
        ("latency_ms", 3.0, 3, ""),
        ("latency_ms", 1.25, 1250, ""),
        ("latency_ms", -3, None, LATENCY),
        ("latency_ms", [950], None, LATENCY),
        ("status", "200 OK", 200, ""),
        ("status", "HTTP/1.1 503 Service Unavailable", 503, ""),
        ("status", "502, 504 : 200", 200, ""),
        ("status", "'429'", 429, ""),
        ("status", "fine", None, STATUS),
        ("status", {"code": 200}, None, STATUS),
        ("status", 0, None, STATUS),
        ("status", "000", None, STATUS),
        ("turn", 40_000, None, WHOLE + "32767"),
        ("input_tokens", -1, None, WHOLE + "2147483647"),
        ("input_tokens", 1.5, None, WHOLE + "2147483647"),
        ("input_tokens", "1,234", None, WHOLE + "2147483647"),
        ("input_tokens", 10**40, None, WHOLE + "2147483647"),
        ("input_tokens", True, None, WHOLE + "2147483647"),
        ("input_tokens", "None", None, ""),
        ("input_tokens", "\\N", None, ""),
        ("input_tokens", "nan", None, ""),
        ("temperature", 1e39, None, "not a finite number"),
        ("temperature", [0.5], None, "not a finite number"),
        ("stream", "perhaps", None, "not true or false"),
        ("system_hash", "0x" + "f" * 17, None, "not an unsigned 64-bit number"),
        ("sketch", [1, 2], None, "not 64 unsigned 32-bit numbers"),
        ("sketch", [2**32] * 64, None, "not 64 unsigned 32-bit numbers"),
        ("sketch", [False] * 64, None, "not 64 unsigned 32-bit numbers"),
        ("sketch", "x", None, "not 64 unsigned 32-bit numbers"),
        ("model", ["m"], "m", ""),
        ("model", ["m", "n"], None, "not text"),
        ("user_agent", ["demo/1.0", "x"], "demo/1.0, x", ""),
        ("user_agent", "None", None, ""),
        ("user_agent", "-", None, ""),
        ("end_user_id", {"id": 7}, None, "not text"),
        ("session_id", 1.5, None, "not text"),
        ("country", "NA", "NA", ""),
    ],
)
def test_an_optional_value_of_the_wrong_shape_is_converted_or_dropped_and_counted_but_the_row_stays(
    tmp_path: Path, column: str, written: object, kept: object, reason: str
) -> None:
    row = {"exchange_id": "e", "ts": NOON, "account_id": "a", column: written}
    file = tmp_path / "x.ndjson"
    file.write_text(json.dumps(row) + "\n")
    rejected: list[Rejected] = []
    log = open_log(file)
    rows = [r for b in log.batches(rejected.extend) for r in b.to_pylist()]
    assert rejected == [] and len(rows) == 1
    assert rows[0].get(column) == kept
    assert dict(log.dropped) == ({(f"exchanges.{column}", reason): 1} if reason else {})


@pytest.mark.parametrize("form", ["parquet", "arrows"])
@pytest.mark.parametrize(
    ("column", "written", "kept", "count"),
    [
        ("latency_ms", pa.array([950.37, 1.25, -3.0, None, float("inf"), 7.0]), [950, 1, None, None, None, 7], 2),
        ("status", pa.array([0, 99, 100, 999, 1000], pa.int16()), [None, None, 100, 999, None], 3),
        ("status", pa.array(["200 OK", "oops", "None", "", None, "404"]), [200, None, None, None, None, 404], 1),
        ("input_tokens", pa.array([1.5, float("nan"), 2.0, -1.0, None, 3.0]), [None, None, 2, None, None, 3], 2),
        ("user_agent", pa.array([["a"], ["a", "b"], [], None, ["c"], ["d"]]), ["a", "a, b", None, None, "c", "d"], 1),
        ("user_agent", pa.array(["-", "None", "x", "", None, "app/1.0"]), [None, None, "x", None, None, "app/1.0"], 0),
        ("model", pa.array([{"a": 1}] * 6), [None] * 6, 6),
        ("api_key_id", pa.array([b"k", b"\xff", b"k", b"k", None, b"k"]), ["k", None, "k", "k", None, "k"], 1),
    ],
)  # fmt: skip
def test_columnar_files_lose_no_row_to_an_optional_value_either(
    tmp_path: Path, form: str, column: str, written: pa.Array, kept: list[object], count: int
) -> None:
    file = tmp_path / f"x.{form}"
    rows = len(written)
    table = pa.table(
        {"exchange_id": [str(i) for i in range(rows)], "ts": [NOON] * rows, "account_id": ["a"] * rows, column: written}
    )
    if form == "parquet":
        pq.write_table(table, file)
    else:
        with pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    rejected: list[Rejected] = []
    log = open_log(file)
    found = [r.get(column) for b in log.batches(rejected.extend) for r in b.to_pylist()]
    assert rejected == [] and found == kept
    assert sum(log.dropped.values()) == count


def test_text_that_is_no_utf8_in_a_column_of_text_keeps_its_row() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"caf\xe9", b"x"]).buffers())
    batch, rejected = conform(
        {"exchange_id": ["a", "b"], "ts": [NOON, NOON], "account_id": ["x", "y"], "user_agent": broken},
        EXCHANGES, "f", [1, 2],
    )  # fmt: skip
    assert rejected == [] and batch["user_agent"].to_pylist() == ["caf\ufffd", "x"]


def test_empty_optional_text_is_missing_so_that_nobody_is_linked_by_it(tmp_path: Path) -> None:
    row = one(tmp_path / "x.ndjson", session_id="", org_id="", user_agent="x")
    assert isinstance(row, dict) and "session_id" not in row and "org_id" not in row


def test_numbers_that_json_lacks_are_missing_values(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_text(
        '{"exchange_id":"e","ts":1772359200,"account_id":"a","top_p": NaN, "temperature":-Infinity,"model":"m"}\n'
    )
    rows, rejected, _ = read(file)
    assert rejected == [] and rows[0]["model"] == "m" and "top_p" not in rows[0] and "temperature" not in rows[0]


def test_of_a_doubled_key_the_last_counts(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_bytes(b'{"exchange_id":"e","ts":1772359200,"account_id":"a","account_id":"b"}\n')
    assert read(file)[0][0]["account_id"] == "b"


def test_parquet_columns_of_neighbouring_types_are_taken_and_bad_rows_named(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    nan = float("nan")
    table = pa.table(
        {
            "account_id": pa.array(["a", "a", "", None, "a", "a"]).dictionary_encode(),
            "exchange_id": pa.array(list("uvwxyz"), pa.large_string()),
            "ts": pa.array([NOON, NOON, NOON, NOON, 0, NOON], pa.timestamp("s", "Asia/Tokyo")),
            "input_tokens": pa.array([1.0, nan, 1, 1, 1, 7.5], pa.float64()),
            "temperature": pa.array([nan, float("inf"), 1, 1, 1, 1], pa.float64()),
            "system_hash": pa.array([-1, 2, 3, 4, 5, 6], pa.int64()),
            "turn": pa.array([1, 2, 3, 4, 5, 6], pa.uint8()),
            "stream": pa.array([1, 0, 1, 0, 1, 0], pa.int8()),
            "messages": pa.array([[{"role": "user", "content": "x"}]] * 6),
            "sketch": pa.array([[7] * 64] * 6, pa.large_list(pa.uint64())),
            "cell": pa.nulls(6),
        }
    )
    pq.write_table(table, file)
    rows, rejected, _ = read(file)
    assert [r["exchange_id"] for r in rows] == ["u", "v", "z"]
    assert rows[0]["system_hash"] == 2**64 - 1 and rows[0]["input_tokens"] == 1 and rows[0]["stream"] is True
    assert rows[0]["messages"] == '[{"role":"user","content":"x"}]' and rows[0]["sketch"] == [7] * 64
    assert rows[0]["temperature"] is rows[1]["temperature"] is rows[2]["input_tokens"] is None and "cell" not in rows[0]
    assert [(r.line, r.reason) for r in rejected] == [
        (3, "account_id: missing"),
        (4, "account_id: missing"),
        (5, "ts: not a time between 2000 and 2100"),
    ]


def test_a_parquet_column_of_a_hopeless_type_is_dropped_and_its_rows_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"exchange_id": ["a"], "ts": [NOON], "account_id": ["a"], "status": [{"code": 1}], "sketch": ["x"]}),
        file,
    )
    rows, rejected, _ = read(file)
    assert rejected == [] and [set(row) for row in rows] == [{"exchange_id", "ts", "account_id"}]


def test_text_that_is_no_utf8_in_a_binary_column_rejects_the_row() -> None:
    batch, rejected = conform(
        {"exchange_id": pa.array([b"a", b"\xff"]), "ts": [NOON, NOON], "account_id": ["x", "y"]}, EXCHANGES, "f", [1, 2]
    )
    assert batch.num_rows == 1 and rejected == [Rejected("f", 2, "exchange_id: not text")]


def test_equal_values_hash_alike_as_number_text_or_dictionary_and_others_do_not() -> None:
    plain = hashed([7, "7", 7.0, 8, None, ""]).to_pylist()
    assert plain[0] == plain[1] == plain[2] != plain[3] and plain[4:] == [None, None]
    assert hashed(pa.array([7, 8])).to_pylist() == [plain[0], plain[3]]
    assert hashed(pa.array(["7", "8", None]).dictionary_encode()).to_pylist() == [plain[0], plain[3], None]
    assert hashed(pa.array([[1, 2], [2, 1], []])).to_pylist() == hashed([[1, 2], [2, 1], []]).to_pylist()
    assert len(set(hashed(pa.array(np.arange(10_000))).to_pylist())) == 10_000


def test_a_second_row_for_an_account_is_noted_and_unknown_events_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "exchanges").mkdir()
    (tmp_path / "exchanges" / "1.ndjson").write_bytes(GOOD)
    (tmp_path / "accounts.ndjson").write_text(
        '{"account_id": "a", "plan": "one"}\n{"account_id": "a", "plan": "two"}\n{"plan": "three"}\n'
    )
    (tmp_path / "events.csv").write_text("ts,kind\n2026-03-01,ban\n2026-03-01,party\n,outage\n2026-03-01\n")
    rejected: list[Rejected] = []
    log = open_log(tmp_path)
    list(log.batches(rejected.extend))
    accounts, events = log.accounts(), log.events()
    assert accounts is not None and accounts.column("plan").to_pylist() == ["one"]
    assert events is not None and events.column("kind").to_pylist() == ["ban"]
    assert {r.reason for r in rejected} == {
        "account_id: missing",
        "kind: not a known kind of event",
        "ts: missing",
        "1 cells, not 2",
    }
    assert any("1 rows describe an account that an earlier row describes" in warning for warning in log.warnings)


def test_a_truncated_stream_still_yields_the_text_before_the_cut() -> None:
    cut = 'data: {"choices":[{"delta":{"content":"Half an"}}]}\n\ndata: {"choices":[{"delta":{"cont'
    assert assembled(cut)["choices"][0]["message"]["content"] == "Half an"
    assert assembled("no stream at all") == {} and assembled(None) == {} and assembled([1, None]) == {}


def test_a_relative_time_needs_its_clock() -> None:
    assert instant(5.0) is None
    assert instant(5.0, TimeFormat("s", NOON * 10**6)) == (NOON + 5) * 10**6


def test_a_gateway_may_log_two_apis_to_one_file(tmp_path: Path) -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "adapters"
    calls = [(golden / f"{n}.ndjson").read_text().splitlines()[:2] for n in ("openai", "anthropic")]
    for order in (calls, calls[::-1]):
        file = tmp_path / "x.ndjson"
        file.write_text("\n".join(order[0] + order[1]) + "\n")
        rows, rejected, _ = read(file)
        assert rejected == []
        assert {(r["exchange_id"], r["stop_reason"], r["response_text"]) for r in rows} == {
            ("chatcmpl-1", "stop", "The Rhine."),
            ("r-2", "length", "Lake Geneva"),
            ("msg-1", "end_turn", "The Po."),
            ("msg-2", "end_turn", "Lake Como"),
        }


def test_what_a_client_puts_into_a_body_cannot_cost_the_row(tmp_path: Path) -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "adapters"
    good = (golden / "openai.ndjson").read_text().splitlines()[0]
    call = json.loads(good)
    odd = [[], {}, -1, 10**30, "x" * 10_000, True, None, [[[]]], {"a": {"b": []}}, "\ud800"]
    lines_ = [good]
    keys = "model messages temperature max_tokens n tools stream user logprobs conversation metadata input prompt"
    for key in keys.split():
        lines_ += [json.dumps(call | {"request": call["request"] | {key: value}}) for value in odd]
    lines_ += [json.dumps(call | {"request": value}) for value in odd]
    lines_ += [good.replace('"n":1', f'"n":{n}') for n in ("NaN", "-Infinity", "1e999", "[1e400]", '"\\ud83d"')]
    lines_ += [good.replace('"n":1', '"n":' + "[" * 400 + "]" * 400)]
    file = tmp_path / "x.ndjson"
    file.write_text("\n".join(lines_) + "\n")
    rows, rejected, _ = read(file)
    assert rejected == [] and len(rows) == len(lines_)


@pytest.mark.parametrize(
    "text",
    [
        "[REDACTED]", "redacted", "***", "data:;base64, x", "{}", "null", '[{"content": "[redacted]"}]',
        "eyJtZXNzYWdlcyI6IFt7InJvbGUiOiAidXNlciIsICJjb250ZW50IjogIkhpIn1dfQ==", "Why was this redacted?", "",
    ],
)  # fmt: skip
def test_a_column_of_prompts_and_a_list_of_them_are_settled_alike(text: str) -> None:
    texts = ["Name a river that flows through three countries, and say which", text, None]
    for kind in (pa.string(), pa.large_string()):
        found = settled({"messages": pa.array(texts, kind)})["messages"]
        plain = found.to_pylist() if isinstance(found, pa.Array) else found
        assert plain == settled({"messages": list(texts)})["messages"]


@pytest.mark.parametrize("given", ["7", "007", "40000", "", None, "9" * 18, "9" * 19, "1.0", " 7"])
def test_a_count_is_the_same_beside_plain_numbers_and_beside_others(given: str | None) -> None:
    def read(beside: str) -> object:
        rows = {"exchange_id": ["a", "b"], "ts": [1772359200] * 2, "account_id": ["x"] * 2}
        batch, _ = conform({**rows, "input_tokens": [beside, given]}, EXCHANGES, "log", [1, 2])
        return batch.column("input_tokens")[1].as_py()

    assert read("1") == read("1.0")
