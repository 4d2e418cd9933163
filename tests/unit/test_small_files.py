"""A log of many small files: the same exchanges, ids, digests and rejections as file by file, in fewer batches."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from clonewatch.adapters import bundling
from clonewatch.adapters.gathering import ENOUGH_ROWS, gathered
from clonewatch.adapters.reading import open_log
from clonewatch.model.read_results import Measured, Rejected

MAP = 'format = "jsonl_map"\n[fields]\nts = "when"\naccount_id = "user.id"\nmodel = "model"\n'


def lean(i: int) -> str:
    return json.dumps(
        {"exchange_id": f"x{i}", "ts": 1_772_359_200 + i, "account_id": f"a{i % 7}", "turn": i % 3 or None}
    )


def foreign(i: int) -> str:
    return json.dumps({"when": 1_772_359_200 + i, "user": {"id": f"a{i % 7}"}, "model": "m" if i % 2 else None})


def call(i: int) -> str:
    request = {"model": "m", "messages": [{"role": "user", "content": f"Say {i}"}]}
    answer = {"choices": [{"message": {"role": "assistant", "content": "ok"}}], "object": "chat.completion"}
    return json.dumps(
        {"ts": 1_772_359_200 + i, "account_id": f"a{i}", "request": request, "response": answer, "more": 1}, indent=1
    )


def read(log: Path, mapping: Path | None) -> tuple[pa.Table, list[Rejected], list[Measured], list[str], int]:
    opened = open_log(log, mapping=mapping)
    rejected: list[Rejected] = []
    batches = list(opened.batches(rejected.extend))
    table = pa.concat_tables([pa.Table.from_batches([b]) for b in batches], promote_options="default")
    assert opened.bytes_done == opened.total_bytes
    return table, rejected, opened.inputs, opened.warnings, len(batches)


def both(folder: Path, monkeypatch: pytest.MonkeyPatch, mapping: Path | None = None) -> list[Rejected]:
    """Reads a folder together and file by file, compares everything; returns what was rejected."""
    *together, batches = read(folder, mapping)
    monkeypatch.setattr(bundling, "SMALL_BYTES", 0)
    monkeypatch.setattr("clonewatch.adapters.reading.gathered", lambda found, order: found)
    *alone, one_by_one = read(folder, mapping)
    order = together[0].column_names
    assert sorted(order) == sorted(alone[0].column_names)
    assert together[0].equals(alone[0].select(order))
    assert together[1:] == alone[1:]
    assert batches < one_by_one
    return together[1]


@pytest.mark.parametrize("row", [lean, foreign, call])
def test_small_files_read_together_give_what_they_give_one_by_one(
    row: Callable[[int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for i in range(40):
        ends = ("\n", "", "\r\n", "\n\n")[i % 4]
        (folder / f"{i:03d}.json").write_bytes((b"\xef\xbb\xbf" if i % 9 == 4 else b"") + (row(i) + ends).encode())
    (tmp_path / "map.toml").write_text(MAP)
    assert both(folder, monkeypatch, tmp_path / "map.toml" if row is foreign else None) == []


def test_a_rejected_row_among_small_files_keeps_its_file_line_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(33):
        (tmp_path / f"{i:03d}.json").write_text(lean(i) + "\n" + lean(i + 100) + "\n")
    (tmp_path / "007.json").write_text(lean(7) + '\n{"exchange_id": "torn", "ts"')
    (tmp_path / "020.json").write_text('{"exchange_id": "y", "ts": 3, "account_id": "a"}\n' + lean(20) + "\n")
    rejected = both(tmp_path, monkeypatch)
    assert [(Path(r.file).name, r.line) for r in rejected] == [("007.json", 2), ("020.json", 1)]
    assert "cut off" in rejected[0].reason and "not a time" in rejected[1].reason


def test_large_batches_pass_and_small_ones_are_joined_in_order() -> None:
    large = pa.record_batch({"a": list(range(ENOUGH_ROWS))})
    small = [pa.record_batch({"a": [-1]}), pa.record_batch({"b": ["x"], "a": [-2]})]
    made = list(gathered([*small, large, small[0]], ["a", "b"]))
    assert [b.num_rows for b in made] == [2, ENOUGH_ROWS, 1] and made[1] is large
    assert made[0].to_pydict() == {"a": [-1, -2], "b": [None, "x"]}


def test_what_holds_for_many_files_is_said_once(tmp_path: Path) -> None:
    for i in range(9):
        row = json.loads(lean(i)) | {"strange": 1}
        (tmp_path / f"{i}.json").write_text(json.dumps(row) + "\n")
    log = open_log(tmp_path)
    list(log.batches(list))
    assert log.warnings == [f"{tmp_path / '0.json'} and 8 more files: columns not read: strange"]


@pytest.mark.parametrize("rows", [3, 3_000])
def test_files_of_one_name_in_two_folders_give_different_ids_to_rows_that_have_none(rows: int, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    for day in (1, 2):
        folder = tmp_path / "log" / f"day-{day}"
        folder.mkdir(parents=True)
        (folder / "gateway.jsonl").write_text("".join(foreign(i + 86_400 * day) + "\n" for i in range(rows)))
    table = read(tmp_path / "log", tmp_path / "map.toml")[0]
    assert len(table) == len(set(table["exchange_id"].to_pylist())) == 2 * rows
