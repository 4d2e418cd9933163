"""Which files a log is made of, and what is said when there are none."""

import io
import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from clonewatch.adapters.inputs import find_inputs
from clonewatch.adapters.reading import open_log
from clonewatch.model.errors import InputError, MappingError
from clonewatch.model.read_results import Rejected

LINE = '{"exchange_id": "%s", "ts": "2026-03-01T10:00:00Z", "account_id": "a"}\n'


def put(file: Path, *ids: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(LINE % i for i in ids))
    return file


def ids(*paths: Path | str, **options: Path) -> list[str]:
    rejected: list[Rejected] = []
    log = open_log(list(paths), **options)
    found = [i for b in log.batches(rejected.extend) for i in b.column("exchange_id").to_pylist()]
    assert rejected == []
    return found


@pytest.mark.parametrize(
    ("table", "trusted"),
    [
        ("account_id,anchor\na,true\n", [True]),
        ("account_id,trusted\na,true\n", [True]),
        ("account_id,trusted,anchor\na,true,false\n", [False]),
    ],
    ids=["anchor", "trusted", "both: the name that the schema has always had"],
)
def test_trusted_accounts_are_marked_under_either_name(tmp_path: Path, table: str, trusted: list[bool]) -> None:
    put(tmp_path / "exchanges.ndjson", "one")
    (tmp_path / "facts.csv").write_text(table)
    accounts = open_log([tmp_path / "exchanges.ndjson"], accounts=tmp_path / "facts.csv").accounts()
    assert accounts is not None and accounts.column("anchor").to_pylist() == trusted


def test_a_folder_is_read_to_any_depth_in_a_fixed_order_without_its_hidden_files(tmp_path: Path) -> None:
    put(tmp_path / "b" / "2.ndjson", "third")
    put(tmp_path / "b" / "1.ndjson", "second")
    put(tmp_path / "a.ndjson", "first")
    put(tmp_path / ".hidden.ndjson", "never")
    put(tmp_path / "b" / ".cache" / "x.ndjson", "never")
    assert ids(tmp_path) == ["first", "second", "third"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = put(tmp_path / "x.ndjson", "one")
    (tmp_path / "link.ndjson").symlink_to(file)
    assert ids(file, tmp_path, tmp_path / "*.ndjson", str(tmp_path / "." / "x.ndjson")) == ["one"]


def test_a_glob_reaches_the_files_that_it_names(tmp_path: Path) -> None:
    put(tmp_path / "p" / "1.ndjson", "one")
    put(tmp_path / "q" / "2.ndjson", "two")
    put(tmp_path / "q" / "2.txt", "no")
    assert ids(tmp_path / "**" / "*.ndjson") == ["one", "two"]


def test_a_name_with_glob_signs_is_a_name_when_it_exists(tmp_path: Path) -> None:
    assert ids(put(tmp_path / "log[1].ndjson", "one")) == ["one"]


def test_a_log_folder_gives_its_accounts_and_events_but_never_its_labels(tmp_path: Path) -> None:
    put(tmp_path / "log" / "exchanges" / "1.ndjson", "one")
    put(tmp_path / "log" / "labels" / "exchanges.ndjson", "never")
    put(tmp_path / "log" / "other.ndjson", "never")
    (tmp_path / "log" / "accounts.csv").write_text("account_id,anchor\na,true\n")
    (tmp_path / "log" / "events.ndjson").write_text('{"ts": 1772359200, "kind": "ban", "account_id": "a"}\n')
    for path in (tmp_path / "log", tmp_path):
        log = open_log(path)
        assert [i for b in log.batches(list) for i in b.column("exchange_id").to_pylist()] == ["one"]
        accounts, events = log.accounts(), log.events()
        assert accounts is not None and accounts.column("anchor").to_pylist() == [True]
        assert events is not None and events.column("kind").to_pylist() == ["ban"]
        assert [m.format for m in log.inputs] == ["accounts (csv)", "events (ndjson)", "exchange_ndjson"]


def test_a_folder_named_labels_is_ignored_wherever_it_is(tmp_path: Path) -> None:
    put(tmp_path / "1.ndjson", "one")
    put(tmp_path / "labels" / "2.ndjson", "never")
    assert ids(tmp_path) == ["one"]


def test_accounts_named_on_the_command_line_replace_those_found(tmp_path: Path) -> None:
    put(tmp_path / "exchanges" / "1.ndjson", "one")
    (tmp_path / "accounts.csv").write_text("account_id,plan\na,found\n")
    named = tmp_path / "mine.csv"
    named.write_text("account_id,plan\na,named\n")
    accounts = open_log(tmp_path, accounts=named).accounts()
    assert accounts is not None and accounts.column("plan").to_pylist() == ["named"]
    with pytest.raises(InputError, match="no such file"):
        open_log(tmp_path, events=tmp_path / "nowhere.csv")


def test_standard_input_is_read_once_and_may_be_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    data = gzip.compress((LINE % "one").encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    log = open_log("-")
    assert log.total_bytes == 0
    assert [b.num_rows for b in log.batches(list)] == [1]
    assert log.inputs[0].path == "-" and log.inputs[0].bytes == len(data)


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(LINE % "one",))
    writer.start()
    assert ids(pipe) == ["one"]
    writer.join()


def test_an_arrow_file_without_its_end_is_refused_by_name_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.arrow"
    table = pa.table({"exchange_id": ["x"], "ts": [1772359200], "account_id": ["a"]})
    with pa.ipc.new_file(file, table.schema) as sink:
        sink.write_table(table)
    assert ids(file) == ["x"]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a complete Arrow file"):
        open_log(file)


@pytest.mark.parametrize("name", ["nowhere.ndjson", "no*where"])
def test_a_path_that_leads_nowhere_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="where") as error:
        open_log(tmp_path / name)
    assert error.value.fix


def test_empty_input_is_refused_and_an_empty_file_among_others_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files"):
        open_log(tmp_path / "empty")
    hollow = tmp_path / "hollow.ndjson"
    hollow.write_text("")
    with pytest.raises(InputError, match="no exchanges"):
        open_log(hollow)
    with pytest.raises(InputError, match="nothing to read"):
        find_inputs([])
    log = open_log([hollow, put(tmp_path / "x.ndjson", "one")])
    assert sum(b.num_rows for b in log.batches(list)) == 1
    assert any("empty" in w for w in log.warnings)


def test_accounts_above_a_folder_of_exchanges_that_was_named_itself_are_mentioned(tmp_path: Path) -> None:
    (tmp_path / "log" / "exchanges").mkdir(parents=True)
    put(tmp_path / "log" / "exchanges" / "x.ndjson", "one")
    (tmp_path / "log" / "accounts.csv").write_text("account_id,anchor\na,true\n")
    log = open_log(tmp_path / "log" / "exchanges")
    assert [w for w in log.warnings if "accounts.csv: not read: it lies above the folder that was named" in w]
    assert open_log(tmp_path / "log").warnings == []
    given = open_log(tmp_path / "log" / "exchanges", accounts=tmp_path / "log" / "accounts.csv")
    assert given.warnings == []


def test_an_accounts_file_without_ids_is_told_which_columns_it_has(tmp_path: Path) -> None:
    put(tmp_path / "x.ndjson", "one")
    (tmp_path / "facts.csv").write_text("id,anchor\na,true\n")
    with pytest.raises(MappingError, match=r"no column account_id .*the header has: id, anchor"):
        open_log(tmp_path / "x.ndjson", accounts=tmp_path / "facts.csv").accounts()


def test_a_file_that_nothing_reads_is_sent_to_the_doctor(tmp_path: Path) -> None:
    (tmp_path / "gateway.txt").write_text("these are our logs")
    (tmp_path / "none.ndjson").write_text("")
    for name in ("gateway.txt", "none.ndjson"):
        with pytest.raises(InputError, match="clonewatch doctor FILE"):
            open_log(tmp_path / name)


def test_files_of_unknown_format_in_a_folder_are_skipped_with_a_warning_but_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path / "x.ndjson", "one")
    stranger = tmp_path / "README.txt"
    stranger.write_text("these are our logs")
    log = open_log(tmp_path)
    assert sum(b.num_rows for b in log.batches(list)) == 1
    assert any("README.txt" in w for w in log.warnings)
    with pytest.raises(InputError, match="unknown format"):
        open_log([tmp_path, stranger])


def test_a_parquet_file_without_its_end_is_refused_by_name_before_anything_is_read(tmp_path: Path) -> None:
    good = tmp_path / "a.parquet"
    pq.write_table(pa.table({"exchange_id": ["x"], "ts": [1772359200], "account_id": ["a"]}), good)
    torn = tmp_path / "b.parquet"
    torn.write_bytes(good.read_bytes()[:-20])
    with pytest.raises(InputError, match="footer") as error:
        open_log([good, torn])
    assert error.value.where == str(torn)


def test_a_parquet_file_of_another_kind_is_refused_with_its_columns(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"who": ["x"], "ts": [1]}), file)
    with pytest.raises(MappingError, match=r"account_id.*parquet_map.*who, ts"):
        open_log(file)


def test_unknown_columns_are_named_once_for_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_text('{"exchange_id":"a","ts":1772359200,"account_id":"b","colour":1,"taste":2}\n' * 3)
    log = open_log(file)
    list(log.batches(list))
    assert [w for w in log.warnings if "colour" in w] == [f"{file}: columns not read: colour, taste"]


def test_progress_ends_at_the_total_and_the_hash_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    import gzip
    import hashlib

    packed = tmp_path / "a.ndjson.gz"
    packed.write_bytes(gzip.compress((LINE % "one").encode()))
    columns = tmp_path / "b.parquet"
    pq.write_table(pa.table({"exchange_id": ["x"], "ts": [1772359200], "account_id": ["a"]}), columns)
    log = open_log([packed, columns])
    assert log.bytes_done == 0
    list(log.batches(list))
    assert log.bytes_done == log.total_bytes == packed.stat().st_size + columns.stat().st_size
    for measured, file in zip(log.inputs, (packed, columns), strict=True):
        assert measured.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (measured.read, measured.rejected, measured.bytes) == (1, 0, file.stat().st_size)


def test_a_file_that_grows_is_read_up_to_the_size_it_had(tmp_path: Path) -> None:
    file = put(tmp_path / "x.ndjson", *[str(i) for i in range(40_000)])
    log = open_log(file)
    seen = []
    for batch in log.batches(list):
        if not seen:
            with file.open("a") as more:
                more.write(LINE % "late")
        seen += batch.column("exchange_id").to_pylist()
    assert seen == [str(i) for i in range(40_000)]


@pytest.mark.parametrize("titles", ["Usage, November\n", "Usage export\n\n"])
def test_a_title_above_a_header_is_told_from_the_header(tmp_path: Path, titles: str) -> None:
    table = tmp_path / "usage.csv"
    table.write_text(f"{titles}call,ts,tenant,tokens in\n1,2026-03-01,acme,12\n2,2026-03-01,acme,13\n")
    with pytest.raises(
        InputError, match=r"its header on line \d, below other text: call, ts, tenant, tokens in"
    ) as error:
        open_log([table])
    assert f"tail -n +{titles.count(chr(10)) + 1} FILE" in error.value.fix


def test_what_stands_below_another_header_is_not_taken_for_one(tmp_path: Path) -> None:
    table = tmp_path / "usage.csv"
    table.write_text("a,b,c,d\nred,green,blue,pink\nred,green,blue,pink\n")
    with pytest.raises(InputError, match="a table with the columns a, b, c, d"):
        open_log([table])
