"""Detection over a state gives the result of a scan of the same days, whatever happens to the state in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.fingerprints.keys import load_key
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import OutputError, SetupError, StateError, TooManyRejected
from clonewatch.pipeline.daily import maintenance
from clonewatch.pipeline.daily.detect_window import WindowSettings, windows
from clonewatch.pipeline.daily.ingest import Ingested, IngestSettings, ingest
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.state import store
from clonewatch.state.manifest import Manifest

KILLS = 20
COMMAND = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]


class Days(NamedTuple):
    """A simulated log cut into days. folders: one per day, oldest first. key: of the fingerprints."""

    folders: list[Path]
    log: Path
    key: Path


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    place = tmp_path_factory.mktemp("days")
    simulate("s01_shared_cards", place / "log", seed=5, scale=0.05)
    exchanges = pq.read_table(place / "log" / "exchanges")
    day = pc.floor_temporal(exchanges["ts"], unit="day")
    folders = []
    for one in sorted(pc.unique(day).to_pylist()):
        folder = place / one.date().isoformat()
        (folder / "exchanges").mkdir(parents=True)
        pq.write_table(exchanges.filter(pc.equal(day, one)), folder / "exchanges" / "part.parquet")
        for side in ("accounts.parquet", "events.parquet"):
            shutil.copyfile(place / "log" / side, folder / side)
        folders.append(folder)
    load_key(place / "key")
    return Days(folders, place / "log", place / "key")


@pytest.fixture(scope="module")
def kept(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole log, day by day. Not to be changed by a test."""
    state = tmp_path_factory.mktemp("kept") / "state"
    for folder in days.folders:
        put(days, state, folder)
    return state


@pytest.fixture
def mine(kept: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    shutil.copytree(kept, tmp_path / "state")
    return tmp_path / "state"


def put(days: Days, state: Path, *folders: Path) -> Ingested:
    return ingest(IngestSettings(tuple(map(str, folders)), state, key_file=days.key))


def manifest(days: Days, state: Path) -> Manifest:
    with store.opened(state, load_key(days.key)) as held:
        return held.manifest


def told(folder: Path) -> dict[str, pa.Table]:
    return {file.name: pq.read_table(file) for file in sorted(folder.glob("*.parquet"))}


def scanned(days: Days, folders: list[Path], out: Path) -> dict[str, pa.Table]:
    paths = tuple(str(folder / "exchanges") for folder in folders)
    sides = {"accounts": days.log / "accounts.parquet", "events": days.log / "events.parquet"}
    scan(ScanSettings(paths, out, key_file=days.key, **sides))
    return told(out)


def detected(days: Days, state: Path, out: Path, *lengths: int) -> list[dict[str, pa.Table]]:
    found = windows(WindowSettings(state, out, lengths or (100,), key_file=days.key))
    return [told(window.out) for window in found]


def rows(days: Days, state: Path) -> list[tuple[str, str, int]]:
    """Every exchange that a state holds: its id, its account and its time."""
    with store.opened(state, load_key(days.key)) as held:
        names = [name for file in held.manifest.names for name in held.read(file)["account_id"].to_pylist()]
        found = []
        for part in held.manifest.parts:
            table = held.read(part.exchanges)
            codes = table["account"].to_pylist()
            ids = [names[code] for code in codes]
            found += zip(table["exchange_id"].to_pylist(), ids, table["ts"].to_pylist(), strict=True)
    return sorted(found)


def test_every_window_gives_the_result_of_a_scan_of_its_days(days: Days, kept: Path, tmp_path: Path) -> None:
    week, fortnight, everything = detected(days, kept, tmp_path / "out", 7, 14, 100)
    assert any(pc.sum(table["campaigns.parquet"]["flagged"]).as_py() for table in (week, fortnight, everything))
    for found, folders in ((week, days.folders[-7:]), (fortnight, days.folders[-14:]), (everything, days.folders)):
        expected = scanned(days, folders, tmp_path / f"scan-{len(folders)}")
        assert found.keys() == expected.keys()
        assert [name for name in found if not found[name].equals(expected[name])] == []


def test_an_unchanged_window_is_not_examined_again(days: Days, mine: Path, tmp_path: Path) -> None:
    settings = WindowSettings(mine, tmp_path / "out", (2,), key_file=days.key)
    first, second = windows(settings)[0], windows(settings)[0]
    assert first.result is not None and second.result is None
    maintenance.forget(mine, [rows(days, mine)[-1][1]], days.key)
    assert windows(settings)[0].result is not None


def test_a_file_that_was_read_before_is_not_read_again(days: Days, mine: Path) -> None:
    before = manifest(days, mine)
    again = put(days, mine, days.folders[3])
    assert again.read == 0 and again.skipped == [str(days.folders[3] / "exchanges" / "part.parquet")]
    assert manifest(days, mine) == before


def test_the_same_exchanges_in_another_format_change_nothing(days: Days, mine: Path, tmp_path: Path) -> None:
    table = pq.read_table(days.folders[3] / "exchanges")
    pq.write_table(table, tmp_path / "again.parquet", compression="gzip")
    before = rows(days, mine)
    again = put(days, mine, tmp_path / "again.parquet")
    assert (again.read, again.repeated, again.kept) == (table.num_rows, table.num_rows, 0)
    assert rows(days, mine) == before


def test_late_exchanges_are_added_to_their_day(days: Days, tmp_path: Path) -> None:
    """Halves of a day in two files, the second one ingested after later days; some rows are in both."""
    table = pq.read_table(days.folders[4] / "exchanges")
    half = table.num_rows // 2
    (tmp_path / "early").mkdir(), (tmp_path / "late").mkdir()
    pq.write_table(table.slice(0, half + 50), tmp_path / "early" / "x.parquet")
    pq.write_table(table.slice(half), tmp_path / "late" / "x.parquet")
    state = tmp_path / "state"
    for folder in (*days.folders[:4], tmp_path / "early", *days.folders[5:8], tmp_path / "late"):
        last = put(days, state, folder)
    assert last.repeated == 50 and list(last.days) == [days.folders[4].name]
    put(days, tmp_path / "in order", *days.folders[:8])
    assert rows(days, state) == rows(days, tmp_path / "in order")
    # Numbered in another order, exchanges are shuffled by another die in one channel's own null: groups are the same.
    found, expected = (detected(days, s, tmp_path / f"out of {s.name}")[0] for s in (state, tmp_path / "in order"))
    groups = [
        sorted(t["members.parquet"].select(["account_id", "role"]).to_pylist(), key=str) for t in (found, expected)
    ]
    assert groups[0] == groups[1]


def test_a_run_that_is_killed_at_any_moment_loses_nothing(days: Days, tmp_path: Path) -> None:
    """kill -9 at twenty random moments: the state verifies, and the next run completes."""
    draw = np.random.default_rng(11)
    state, environment = tmp_path / "state", os.environ | {"CLONEWATCH_KEY_FILE": str(days.key)}
    left, killed = list(days.folders[:KILLS]), 0
    while killed < KILLS and left:
        work = ["ingest", str(left[0]), "--state", str(state)] if killed % 4 else ["state", "compact", str(state)]
        if not state.exists():
            work = ["ingest", str(left[0]), "--state", str(state)]
        started = time.monotonic()
        run = subprocess.Popen([*COMMAND, *work, "--quiet"], env=environment, stdout=subprocess.DEVNULL)
        # Only what touches the disk is worth killing: the moment is drawn from when the lock is taken.
        while run.poll() is None and not (state / "lock").exists() and time.monotonic() - started < 30:
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 1.2))
        run.send_signal(signal.SIGKILL)
        run.wait()
        killed += 1
        if (state / "state.json").exists():
            assert maintenance.verify(state, days.key).problems == []
        if killed % 4 == 0:
            put(days, state, left.pop(0))
    put(days, state, *left)
    assert maintenance.verify(state, days.key).problems == []
    assert sorted(p.name for p in state.iterdir() if p.name.startswith(".")) == []
    put(days, tmp_path / "undisturbed", *days.folders[:KILLS])
    assert rows(days, state) == rows(days, tmp_path / "undisturbed")


def test_a_full_disk_leaves_the_state_as_it_was(days: Days, mine: Path, tmp_path: Path) -> None:
    """A limit on the size of a file stands in for a full disk."""
    before, seen = manifest(days, mine), rows(days, mine)
    table = pq.read_table(days.folders[2] / "exchanges")
    ids = pa.array([f"late-{i}" for i in range(table.num_rows)])
    pq.write_table(
        table.set_column(table.column_names.index("exchange_id"), "exchange_id", ids), tmp_path / "x.parquet"
    )
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY));"
        " from clonewatch.cli.main import run; run()"
    )
    work = ["ingest", str(tmp_path / "x.parquet"), "--state", str(mine), "--key", str(days.key), "--quiet"]
    failed = subprocess.run([sys.executable, "-c", script, *work], capture_output=True, text=True, check=False)
    assert failed.returncode == 2 and "Traceback" not in failed.stderr and "Free some space" in failed.stderr
    assert maintenance.verify(mine, days.key).problems == []
    assert manifest(days, mine) == before and rows(days, mine) == seen
    assert put(days, mine, tmp_path / "x.parquet").kept == table.num_rows


def test_a_truncated_part_is_named_and_fixed_by_ingesting_its_log_again(days: Days, mine: Path, tmp_path: Path) -> None:
    seen = rows(days, mine)
    part = manifest(days, mine).parts[6]
    path = mine / "parts" / part.exchanges.name
    path.write_bytes(path.read_bytes()[: part.exchanges.size // 2])
    with pytest.raises(StateError, match=r"damaged: its size differs"):
        detected(days, mine, tmp_path / "out")
    found = maintenance.verify(mine, days.key)
    assert [part.exchanges.name in problem for problem in found.problems] == [True] and not found.fixed
    fixed = maintenance.verify(mine, days.key, fix=True)
    assert fixed.fixed and str(days.folders[6] / "exchanges" / "part.parquet") in fixed.ingest_again
    put(days, mine, days.folders[6])
    assert maintenance.verify(mine, days.key).problems == [] and rows(days, mine) == seen


def test_a_byte_that_changed_on_the_disk_is_found(days: Days, mine: Path) -> None:
    part = manifest(days, mine).parts[2]
    path = mine / "parts" / part.exchanges.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = CliRunner().invoke(app, ["state", "verify", str(mine), "--key", str(days.key), "--quiet"])
    assert result.exit_code == 3 and part.exchanges.name in result.stdout


def test_a_damaged_manifest_is_replaced_by_the_one_before_it(days: Days, mine: Path) -> None:
    (mine / "state.json").write_bytes((mine / "state.json").read_bytes()[:100])
    with pytest.raises(StateError, match="manifest of the state is damaged"):
        rows(days, mine)
    assert maintenance.verify(mine, days.key, fix=True).fixed
    assert manifest(days, mine).generation == len(days.folders) - 1
    put(days, mine, days.folders[-1])
    assert maintenance.verify(mine, days.key).problems == []


def test_a_state_without_its_account_ids_cannot_be_fixed(days: Days, mine: Path) -> None:
    (mine / "parts" / manifest(days, mine).names[0].name).unlink()
    assert maintenance.verify(mine, days.key).problems
    with pytest.raises(StateError, match="account ids are damaged"):
        maintenance.verify(mine, days.key, fix=True)


def test_a_clock_that_steps_changes_nothing(
    days: Days, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours: Iterator[float] = iter(range(10_000_000, 0, -3_600))
    monkeypatch.setattr(time, "time", lambda: float(next(hours)))
    for folder in days.folders:
        put(days, tmp_path / "state", folder)
        os.utime(tmp_path / "state" / "state.json", (0, 0))
    assert [p.exchanges for p in manifest(days, tmp_path / "state").parts] == [
        p.exchanges for p in manifest(days, kept).parts
    ]


def test_exchanges_of_a_clock_that_ran_ahead_do_not_end_the_window(days: Days, mine: Path, tmp_path: Path) -> None:
    table = pq.read_table(days.folders[2] / "exchanges").slice(0, 1)
    ahead = pa.array([datetime(2061, 1, 1, tzinfo=UTC)]).cast(table.schema.field("ts").type)
    table = table.set_column(table.column_names.index("ts"), "ts", ahead)
    table = table.set_column(table.column_names.index("exchange_id"), "exchange_id", pa.array(["from the future"]))
    pq.write_table(table, tmp_path / "x.parquet")
    put(days, mine, tmp_path / "x.parquet")
    [window] = windows(WindowSettings(mine, tmp_path / "out", (3,), key_file=days.key))
    assert window.last == days.folders[-1].name


def test_a_forgotten_account_leaves_no_trace_and_does_not_come_back(days: Days, mine: Path, tmp_path: Path) -> None:
    account = rows(days, mine)[0][1]
    with store.opened(mine, load_key(days.key)) as held:
        names = [name for file in held.manifest.names for name in held.read(file)["account_id"].to_pylist()]
    code, others = names.index(account), [row for row in rows(days, mine) if row[1] != account]
    done = maintenance.forget(mine, [account, "never seen"], days.key)
    assert done.accounts == 1 and done.exchanges == done.exchanges > 0 and done.unknown == ["never seen"]
    for file in (mine / "parts").iterdir():
        table = pq.read_table(file)
        assert account not in table.column(0).to_pylist()
        assert "account" not in table.column_names or code not in table["account"].to_pylist()
    assert rows(days, mine) == others and maintenance.verify(mine, days.key).problems == []
    assert account.encode() not in b"".join(p.read_bytes() for p in mine.rglob("*") if p.is_file())
    late = pq.read_table(days.log / "exchanges")
    mine_only = late.filter(pc.equal(late["account_id"], account))
    pq.write_table(mine_only, tmp_path / "late.parquet")
    banned = {"ts": [mine_only["ts"][0].as_py()], "kind": ["ban"], "account_id": [account]}
    pq.write_table(pa.table(banned), tmp_path / "events.parquet")
    paths, facts = (str(tmp_path / "late.parquet"),), days.log / "accounts.parquet"
    late_log = IngestSettings(paths, mine, accounts=facts, events=tmp_path / "events.parquet", key_file=days.key)
    assert ingest(late_log).kept == 0 and rows(days, mine) == others
    with store.opened(mine, load_key(days.key)) as held:
        assert account not in [n for file in held.manifest.names for n in held.read(file)["account_id"].to_pylist()]


def test_a_state_whose_creation_was_interrupted_can_be_created_again(days: Days, tmp_path: Path) -> None:
    (tmp_path / "state" / "parts").mkdir(parents=True)
    (tmp_path / "state" / ".draft-state.json").write_text("{", encoding="utf-8")
    assert put(days, tmp_path / "state", days.folders[0]).kept
    assert not (tmp_path / "state" / ".draft-state.json").exists()


def test_compacting_changes_no_result_and_deletes_expired_columns(days: Days, mine: Path, tmp_path: Path) -> None:
    late = pq.read_table(days.folders[-3] / "exchanges").slice(0, 40)
    ids = pa.array([f"late-{i}" for i in range(40)])
    pq.write_table(late.set_column(late.column_names.index("exchange_id"), "exchange_id", ids), tmp_path / "x.parquet")
    put(days, mine, tmp_path / "x.parquet")
    [before] = detected(days, mine, tmp_path / "before", 5)
    done = maintenance.compact(mine, days.key, keep=20, fields={"client_ip": 10})
    assert done.days == 20 and len(done.dropped_days) == len(days.folders) - 20 and done.emptied == {"client_ip": 10}
    parts = manifest(days, mine).parts
    assert len(parts) == 20 and [part.lacking for part in parts] == [("network",)] * 10 + [()] * 10
    for part in parts:
        table = pq.read_table(mine / "parts" / part.exchanges.name)
        assert table.schema.equals(EXCHANGE_SCHEMA)
        assert (table["network"].null_count == table.num_rows) == bool(part.lacking)
    assert {p.name for p in (mine / "parts").iterdir()} == {f.name for f in manifest(days, mine).files()}
    [after] = detected(days, mine, tmp_path / "after", 5)
    assert [name for name in before if not before[name].equals(after[name])] == []
    assert maintenance.verify(mine, days.key).problems == []


def test_a_column_that_every_result_needs_is_not_deleted(days: Days, kept: Path) -> None:
    for name in ("exchange_id", "ts", "no_such_column"):
        with pytest.raises(SetupError, match="not a column that can be deleted"):
            maintenance.compact(kept, days.key, fields={name: 3})


def test_two_processes_cannot_hold_one_state(days: Days, mine: Path) -> None:
    with store.opened(mine, load_key(days.key)), pytest.raises(StateError, match=f"process {os.getpid()}"):
        put(days, mine, days.folders[0])


def test_a_state_is_free_for_others_while_a_window_is_examined(days: Days, mine: Path, tmp_path: Path) -> None:
    """A window reads what was there when it began, whatever is forgotten meanwhile."""
    [expected] = detected(days, mine, tmp_path / "before", 6)
    work = ["detect", "--state", str(mine), "--out", str(tmp_path / "out"), "--days", "6", "--key", str(days.key)]
    run = subprocess.Popen([*COMMAND, *work], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(mine.glob(".reading-*/*")) and run.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    maintenance.forget(mine, [rows(days, mine)[0][1]], days.key)
    assert run.wait() == 0
    found = told(tmp_path / "out" / "6-days")
    assert [name for name in found if not found[name].equals(expected[name])] == []


def test_another_key_is_refused(days: Days, mine: Path, tmp_path: Path) -> None:
    load_key(tmp_path / "another")
    with pytest.raises(StateError, match="another fingerprint key"):
        maintenance.verify(mine, tmp_path / "another")


def test_a_log_of_bad_rows_is_not_added(days: Days, mine: Path, tmp_path: Path) -> None:
    before = manifest(days, mine)
    bad = tmp_path / "bad.ndjson"
    good = '{"exchange_id": "a", "ts": "2026-05-01T00:00:00Z", "account_id": "x", "turn": 0}\n'
    bad.write_text(good + '{"exchange_id": "b", "ts": "yesterday", "account_id": "x"}\n', encoding="utf-8")
    with pytest.raises(TooManyRejected, match="nothing was added"):
        put(days, mine, bad)
    assert manifest(days, mine) == before
    [aside] = (mine / "rejected").iterdir()
    assert "ts" in aside.read_text(encoding="utf-8")


def test_a_folder_of_other_files_is_refused_and_unchanged(days: Days, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x", encoding="utf-8")
    with pytest.raises(StateError, match="holds other files"):
        put(days, tmp_path / "letters", days.folders[0])
    with pytest.raises(StateError, match="no state here"):
        detected(days, tmp_path / "nowhere", tmp_path / "out")


def test_a_state_that_cannot_be_written_is_reported(days: Days, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="could not be written"):
        put(days, tmp_path / "file" / "state", days.folders[0])


def test_the_commands_report_what_they_did(days: Days, tmp_path: Path) -> None:
    run, key = CliRunner(), ["--key", str(days.key), "--quiet"]
    state, out = str(tmp_path / "state"), str(tmp_path / "out")
    taken = run.invoke(app, ["ingest", *map(str, days.folders[:9]), "--state", state, *key])
    assert taken.exit_code == 0 and "exchanges of 9 days were taken in" in taken.stdout
    again = run.invoke(app, ["ingest", str(days.folders[0]), "--state", state, "--json", *key])
    assert json.loads(again.stdout)["kept"] == 0 and len(json.loads(again.stdout)["skipped"]) == 1
    shown = run.invoke(app, ["state", "show", state, "--key", str(days.key), "--json"])
    assert len(json.loads(shown.stdout)["days"]) == 9
    looked = run.invoke(app, ["detect", "--state", state, "--out", out, "--json", *key])
    assert [w["days"] for w in json.loads(looked.stdout)["windows"]] == [7, 14]
    for command in (["compact", state, "--keep", "5"], ["forget", state, "acct-1"], ["verify", state]):
        done = run.invoke(app, ["state", *command, *key])
        assert done.exit_code == 0 and done.stdout
