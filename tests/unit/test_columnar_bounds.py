"""Columnar files that repeat values for a few bits are read in small pieces, whatever repeats them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from clonewatch.adapters import parquet_pages
from clonewatch.adapters.columnar_bounds import cut
from clonewatch.adapters.columnar_files import columns_of, pieces
from clonewatch.adapters.parquet_plan import plan
from clonewatch.adapters.reading import open_log
from clonewatch.model.errors import InputError
from clonewatch.model.limits import DEFAULT
from clonewatch.ports.adapter import Source

ROWS, LONG = 3_000, "s" * 400_000


def views(rows: int) -> pa.Array:
    """Views of one text, all of it in each row."""
    held = np.zeros((rows, 4), np.int32)
    held[:, 0], held[:, 1] = len(LONG), int.from_bytes(b"ssss", "little")
    return pa.Array.from_buffers(
        pa.string_view(), rows, [None, pa.py_buffer(held.tobytes()), pa.py_buffer(LONG.encode())]
    )


def repeated(rows: int = ROWS) -> dict[str, pa.Array]:
    """A long text in every row, in each way that Arrow knows to write it once."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([LONG]))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array([LONG]))
    each = pa.array(range(rows + 1), pa.int32())
    items = pa.array(["s" * 400] * 1000)
    return {
        "dictionary": words,
        "views": views(rows),
        "runs": runs,
        "lists of a dictionary": pa.ListArray.from_arrays(each, words),
        "lists of views": pa.ListArray.from_arrays(each, views(rows)),
        "lists of runs": pa.ListArray.from_arrays(each, runs),
        "structs": pa.StructArray.from_arrays([words], ["content"]),
        "lists of structs": pa.ListArray.from_arrays(each, pa.StructArray.from_arrays([words, words], ["a", "b"])),
        "maps": pa.MapArray.from_arrays(each, pa.array(["k"] * rows), words),
        "lists of one length": pa.FixedSizeListArray.from_arrays(words, 1),
        "views of lists": pa.ListViewArray.from_arrays(
            pa.array([0] * rows, pa.int32()), pa.array([1000] * rows, pa.int32()), items
        ),
        "a dictionary of lists": pa.DictionaryArray.from_arrays(words.indices, pa.array([["s" * 400] * 1000])),
    }  # fmt: skip


@pytest.mark.parametrize("way", repeated(1))
def test_what_is_written_once_and_repeated_is_cut_before_it_is_decoded(way: str) -> None:
    batch = pa.record_batch({"messages": repeated()[way]})
    parts = list(cut(batch))
    assert sum(part.num_rows for _, part, _ in parts) == ROWS
    decoded = sum(more for _, _, more in parts)
    assert ROWS * len(LONG) <= decoded <= 3 * ROWS * len(LONG)
    assert max(more for _, _, more in parts) <= 33 << 20
    first = columns_of(parts[0][1])["messages"]
    row = (first.to_pylist() if isinstance(first, pa.Array) else first)[0]
    assert LONG[:400] in str(row) and len(str(row)) >= len(LONG)


@pytest.mark.parametrize("way", ["lists of a dictionary", "lists of views", "lists of runs"])
def test_a_row_that_is_too_long_is_rejected_and_those_around_it_are_kept(way: str) -> None:
    texts = repeated(50)[way].values  # one row of fifty texts among empty ones
    rows = pa.ListArray.from_arrays(pa.array([0, 0, 50, 50], pa.int32()), texts)
    batch = pa.record_batch({"n": [1, 2, 3], "messages": rows})
    found = list(pieces(batch, 10, Source("log", None)))  # type: ignore[arg-type]
    assert [r.line for _, _, rejected, _ in found for r in rejected] == [12]
    assert [n for _, numbers, _, _ in found for n in numbers] == [11, 13]
    assert [n for part, *_ in found for n in columns_of(part)["n"].to_pylist()] == [1, 3]  # type: ignore[union-attr]


def parquet(path: Path, values: pa.Array, rows: int, **options: Any) -> Path:
    more = {"exchange_id": pa.array([f"x{i}" for i in range(rows)]), "account_id": pa.array(["a"] * rows),
            "ts": pa.array([1_777_600_000_000_000] * rows, pa.timestamp("us", "UTC"))}  # fmt: skip
    pq.write_table(pa.table({**more, "messages": values}), path, compression="zstd", **options)
    return path


def planned(path: Path) -> tuple[int, list[str]]:
    with pq.ParquetFile(path) as file:
        return plan(file, file.schema_arrow.names, path, str(path))


def test_text_that_a_dictionary_repeats_stays_in_it_also_within_lists(tmp_path: Path) -> None:
    for name, path in (("dictionary", "messages"), ("lists of structs", "messages.list.element.a")):
        file = parquet(tmp_path / name, repeated()[name], ROWS)
        assert path in planned(file)[1], name


def test_values_that_repeat_the_one_before_make_batches_small_or_the_file_is_refused(tmp_path: Path) -> None:
    options = {"use_dictionary": False, "column_encoding": {"messages": "DELTA_BYTE_ARRAY"}}
    rows, kept = planned(parquet(tmp_path / "flat", pa.array([LONG] * ROWS), ROWS, **options))
    assert rows * len(LONG) <= 256 << 20 and not kept
    options = {"use_dictionary": False, "column_encoding": {"messages.list.element": "DELTA_BYTE_ARRAY"}}
    lists = parquet(tmp_path / "lists", pa.array([[LONG]] * ROWS), ROWS, **options)
    with pytest.raises(InputError, match=r"repeat each other.*This bound is fixed"):
        planned(lists)


def test_values_of_one_length_make_batches_small(tmp_path: Path) -> None:
    fixed = pa.array([LONG.encode()] * 300, pa.binary(len(LONG)))
    assert planned(parquet(tmp_path / "fixed", fixed, 300))[0] * len(LONG) <= 64 << 20


def test_many_columns_of_middling_text_share_one_bound(tmp_path: Path) -> None:
    same = pa.array(["p" * 20_000] * ROWS).dictionary_encode()
    pq.write_table(pa.table({f"c{n}": same for n in range(40)}), tmp_path / "many")
    rows, kept = planned(tmp_path / "many")
    assert rows * 20_000 * (40 - len(kept)) <= 256 << 20


def test_a_log_of_ordinary_text_is_read_in_large_batches_and_without_dictionaries(tmp_path: Path) -> None:
    prompts = pa.array([f"prompt number {i} " * 20 for i in range(20_000)])
    assert (
        planned(parquet(tmp_path / "plain", prompts, 20_000)) == (20_000, []) or planned(tmp_path / "plain")[0] >= 4096
    )


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_longest_value_of_a_dictionary_is_found(tmp_path: Path, compression: str, version: str) -> None:
    texts = {"one length": ["abcd", "efgh"], "several": ["a", "bb" * 700, "", "c\0\0\0d"], "none": [""]}
    for values in texts.values():
        path = tmp_path / "log"
        pq.write_table(pa.table({"t": values * 40}), path, compression=compression, data_page_version=version)
        chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
        with path.open("rb") as opened:
            first, *rest = parquet_pages.pages(opened.fileno(), chunk)
            assert first.kind == parquet_pages.DICTIONARY and sum(page.values for page in rest) == chunk.num_values
            assert parquet_pages.longest(opened.fileno(), first, chunk) == max(len(v) for v in values)


def test_damaged_page_headers_end_the_list_of_pages_and_nothing_else(tmp_path: Path) -> None:
    path = parquet(tmp_path / "log", pa.array(["a", "b"] * 500), 1000)
    whole = path.read_bytes()
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(3)
    for at in range(chunk.dictionary_page_offset, chunk.dictionary_page_offset + 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with path.open("rb") as opened:
            assert len(list(parquet_pages.pages(opened.fileno(), chunk))) < 50
        list(open_log(path).batches(list))


def test_a_message_at_a_bound_names_the_limit_that_moves_it(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"messages": ["m" * 3_000_000] * 3}), path, use_dictionary=False, compression="zstd")
    file = pq.ParquetFile(path)
    for limits, says in (
        (DEFAULT._replace(expansion=2, decoded=1 << 20), "--limit expansion=VALUE or --limit decoded=VALUE"),
        (DEFAULT._replace(batch=100), "--limit batch=VALUE"),
    ):
        with pytest.raises(InputError, match=says):
            plan(file, ["messages"], path, "log.parquet", limits)
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"sketch": pa.array([b"s" * 2000], pa.binary(2000))}), path)
    with pytest.raises(InputError, match="--limit row=VALUE"):
        plan(pq.ParquetFile(path), ["sketch"], path, "wide.parquet", DEFAULT._replace(row=1000))
