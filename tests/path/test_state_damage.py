"""A damaged state is refused by name, with the way out, and nothing is made of what it seems to say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.path.test_state import Days, detected, manifest, put, rows
from tests.path.test_state_columns import days, rewritten
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.model.errors import StateError
from clonewatch.pipeline.daily import maintenance
from clonewatch.pipeline.daily.state_tables import LAYOUTS

__all__ = ["days"]
MANIFEST = "state.json"


@pytest.fixture(scope="module")
def two(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the three parts of the log, ingested one by one. Tests must not change it."""
    state = tmp_path_factory.mktemp("two") / "state"
    for folder in days.folders[:2]:
        put(days, state, folder)
    return state


@pytest.fixture
def mine(two: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    shutil.copytree(two, tmp_path / "state")
    return tmp_path / "state"


def flip(path: Path, start: float = 0.25, count: int = 40) -> None:
    """Change bytes in the middle of a file; its size and its footer stay."""
    data = bytearray(path.read_bytes())
    first = int(len(data) * start)
    for at in range(first, first + count):
        data[at] ^= 0xA5
    path.write_bytes(data)


def refused(act: Callable[[], object], name: str) -> None:
    """An act ends in an error that names the file and the command that repairs it."""
    with pytest.raises(StateError) as caught:
        act()
    assert name in caught.value.where and ".reading-" not in caught.value.where
    assert "clonewatch state verify --repair" in caught.value.fix


@pytest.mark.parametrize("kind", ["accounts", "facts", "events", "exchanges"])
def test_changed_bytes_are_noticed_by_every_command_that_reads_them(
    days: Days, mine: Path, tmp_path: Path, kind: str
) -> None:
    """Account ids whose bytes changed would name accounts that do not exist."""
    name = next(file.name for file in reversed(manifest(days, mine).files()) if kind in file.name)
    flip(mine / "parts" / name)
    before = (mine / MANIFEST).read_bytes()
    account = pq.read_table(days.folders[0] / "exchanges")["account_id"][0].as_py()
    refused(lambda: detected(days, mine, tmp_path / "out"), name)
    assert not list((tmp_path / "out").rglob("*.parquet"))
    refused(lambda: put(days, mine, days.folders[2]), name)
    refused(lambda: maintenance.forget(mine, [account], days.key), name)
    assert (mine / MANIFEST).read_bytes() == before


def files(state: Path) -> dict[str, bytes]:
    """Every file of a state except its lock."""
    found = (path for path in state.rglob("*") if path.is_file() and not path.name.startswith("lock"))
    return {str(path.relative_to(state)): path.read_bytes() for path in found}


@pytest.fixture
def single(days: Days, tmp_path: Path) -> Path:
    """A state after its first ingest: there is no manifest before its own."""
    put(days, tmp_path / "single", days.folders[0])
    return tmp_path / "single"


def test_a_state_whose_only_manifest_is_missing_is_refused_and_keeps_its_parts(days: Days, single: Path) -> None:
    (single / MANIFEST).unlink()
    before = files(single)
    acts: list[Callable[[], object]] = [
        lambda: put(days, single, days.folders[1]),
        lambda: maintenance.look(single, days.key),
        lambda: maintenance.verify(single, days.key, fix=True),
    ]
    for act in acts:
        with pytest.raises(StateError, match=r"it is missing.*into a new folder"):
            act()
    assert files(single) == before


def test_a_missing_manifest_is_replaced_by_the_one_before_it(days: Days, mine: Path) -> None:
    (mine / MANIFEST).unlink()
    before = files(mine)
    refused(lambda: put(days, mine, days.folders[2]), MANIFEST)
    refused(lambda: maintenance.look(mine, days.key), MANIFEST)
    assert files(mine) == before
    assert maintenance.verify(mine, days.key, fix=True).restored


def test_a_torn_manifest_without_one_before_it_is_no_dead_end(days: Days, single: Path) -> None:
    (single / MANIFEST).write_bytes((single / MANIFEST).read_bytes()[:200])
    before = files(single)
    acts: list[Callable[[], object]] = [
        lambda: put(days, single, days.folders[1]),
        lambda: maintenance.verify(single, days.key, fix=True),
    ]
    for act in acts:
        with pytest.raises(StateError, match=r"no intact one before it.*ingest the logs into a new folder") as caught:
            act()
        assert caught.value.where == str(single / MANIFEST) and "--repair" not in caught.value.fix
    assert files(single) == before


def test_repairing_a_manifest_lists_the_logs_of_the_lost_change(days: Days, mine: Path) -> None:
    seen = rows(days, mine)
    (mine / MANIFEST).write_bytes((mine / MANIFEST).read_bytes()[:200])
    command = ["state", "verify", str(mine), "--repair", "--key", str(days.key), "--quiet"]
    told = CliRunner().invoke(app, command).stdout
    log = days.folders[1] / "exchanges" / "part.parquet"
    assert f"Ingest again: {log}" in " ".join(told.split("\n")) and "unchanged" not in told
    assert "as it was before its latest change" in told
    put(days, mine, log.parent.parent)
    assert [row[1:] for row in rows(days, mine)] == [row[1:] for row in seen]


def test_repairing_a_manifest_says_so_where_the_lost_logs_are_not_known(days: Days, mine: Path) -> None:
    (mine / MANIFEST).write_bytes(b"")
    (mine / "state.json.logs").write_bytes(b"[\xff")
    found = maintenance.verify(mine, days.key, fix=True)
    assert found.ingest_again == [] and "ingest the newest logs again" in found.problems[0]


def test_a_manifest_with_a_byte_that_is_not_utf8_is_damaged_and_can_be_replaced(days: Days, mine: Path) -> None:
    data = (mine / MANIFEST).read_bytes()
    (mine / MANIFEST).write_bytes(data.replace(b"exchanges", b"exch\xffnges", 1))
    refused(lambda: maintenance.look(mine, days.key), MANIFEST)
    refused(lambda: maintenance.verify(mine, days.key), MANIFEST)
    refused(lambda: put(days, mine, days.folders[2]), MANIFEST)
    assert maintenance.verify(mine, days.key, fix=True).restored


def test_every_flipped_byte_of_the_manifest_is_noticed(days: Days, mine: Path) -> None:
    """It carries its own hash; many bytes of it, such as a time or a count, contradict nothing else."""
    data = (mine / MANIFEST).read_bytes()
    for at in {0, len(data) - 1, *range(7, len(data), max(1, len(data) // 60))}:
        for bit in (0x01, 0x20):
            (mine / MANIFEST).write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
            with pytest.raises(StateError) as caught:
                maintenance.verify(mine, days.key)
            assert MANIFEST in caught.value.where and "--repair" in caught.value.fix, (at, bit)


NEEDED = [(kind, column) for kind, layout in LAYOUTS.items() for column in layout.needed if kind != "sketches"]


def without(table: pa.Table, column: str) -> pa.Table:
    """A table that lacks a column, and still has one."""
    rest = table.drop_columns([column])
    return rest if rest.num_columns else pa.table({"other": pa.nulls(table.num_rows, pa.int64())})


@pytest.mark.parametrize(("kind", "column"), NEEDED)
def test_a_file_without_a_needed_column_is_refused_by_every_command(
    days: Days, mine: Path, tmp_path: Path, kind: str, column: str
) -> None:
    account = pq.read_table(days.folders[0] / "exchanges")["account_id"][0].as_py()
    rewritten(mine, kind, lambda table: without(table, column))
    before = files(mine)
    acts: list[Callable[[], object]] = [
        lambda: put(days, mine, days.folders[2]),
        lambda: detected(days, mine, tmp_path / "out"),
        lambda: maintenance.compact(mine, days.key, keep=100),
        lambda: maintenance.forget(mine, [account], days.key),
        lambda: maintenance.verify(mine, days.key, fix=True),
    ]
    for act in acts:
        with pytest.raises(StateError, match=rf"lacks {column}, which this version needs") as caught:
            act()
        assert str(mine / "parts") in caught.value.where
    assert files(mine) == before


@pytest.mark.parametrize("kind", ["accounts", "facts", "events", "exchanges"])
def test_a_file_that_is_no_parquet_is_refused_by_every_command(
    days: Days, mine: Path, tmp_path: Path, kind: str
) -> None:
    """Its first and last bytes changed too, so that no reader can open it."""
    name = next(file.name for file in reversed(manifest(days, mine).files()) if kind in file.name)
    path = mine / "parts" / name
    path.write_bytes(bytes(path.stat().st_size))
    refused(lambda: detected(days, mine, tmp_path / "out"), name)
    refused(lambda: put(days, mine, days.folders[2]), name)
    refused(lambda: maintenance.compact(mine, days.key), name)
    refused(lambda: maintenance.forget(mine, ["acct-1"], days.key), name)


def test_an_exchange_without_its_hash_hides_no_new_ones(days: Days, two: Path, mine: Path, tmp_path: Path) -> None:
    def unhashed(table: pa.Table) -> pa.Table:
        at = table.column_names.index("xid")
        return table.set_column(at, "xid", pa.nulls(table.num_rows, table.schema.field("xid").type))

    shutil.copytree(two, tmp_path / "whole")
    expected = put(days, tmp_path / "whole", days.folders[2])
    rewritten(mine, "exchanges", unhashed)
    assert put(days, mine, days.folders[2]).days == expected.days
