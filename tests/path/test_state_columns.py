"""A column that only another version stores damages no state and changes no result."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.path.test_state import Days, detected, manifest, put, rows, told

from clonewatch.fingerprints.keys import load_key
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import StateError
from clonewatch.pipeline.daily import maintenance
from clonewatch.pipeline.daily.detect_window import WindowSettings, windows
from clonewatch.pipeline.daily.ingest import IngestSettings, ingest
from clonewatch.pipeline.daily.state_tables import LAYOUTS
from clonewatch.state import manifest as manifests
from clonewatch.state import store
from clonewatch.state.manifest import File, Manifest
from clonewatch.state.sealed import seal, unsealed

NEXT = [sys.executable, str(Path(__file__).with_name("next_version.py"))]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """A log in three parts, cut in the middle of a day."""
    place = tmp_path_factory.mktemp("columns")
    simulate("s01_shared_cards", place / "log", seed=5, scale=0.05)
    exchanges = pq.read_table(place / "log" / "exchanges").sort_by("ts")
    third = exchanges.num_rows // 3
    folders = []
    for at in range(3):
        folder = place / f"third-{at}"
        (folder / "exchanges").mkdir(parents=True)
        part = exchanges.slice(at * third, third if at < 2 else None)
        pq.write_table(part, folder / "exchanges" / "part.parquet")
        for side in ("accounts.parquet", "events.parquet"):
            shutil.copyfile(place / "log" / side, folder / side)
        folders.append(folder)
    load_key(place / "key")
    return Days(folders, place / "log", place / "key")


@pytest.fixture(scope="module")
def plain(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state that this version alone writes from the log. Tests must not change it."""
    state = tmp_path_factory.mktemp("plain") / "state"
    for folder in days.folders:
        put(days, state, folder)
    return state


@pytest.fixture(scope="module")
def between(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but the next version ingested the second part. Tests must not change it."""
    state = tmp_path_factory.mktemp("between") / "state"
    first, second, third = days.folders
    put(days, state, first)
    by_next(days, "ingest", str(second), "--state", str(state))
    put(days, state, third)
    return state


@pytest.fixture
def mixed(between: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    shutil.copytree(between, tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture(scope="module")
def expected(days: Days, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    """The result of a state that never had the column."""
    [found] = detected(days, plain, tmp_path_factory.mktemp("expected"))
    assert pc.sum(found["campaigns.parquet"]["flagged"]).as_py()
    return found


def by_next(days: Days, *command: str) -> str:
    """Run a command of the next version; returns its output."""
    done = subprocess.run([*NEXT, *command, "--key", str(days.key), "--quiet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def differing(found: dict[str, pa.Table], expected: dict[str, pa.Table]) -> list[str]:
    assert found.keys() == expected.keys()
    return [name for name in found if not found[name].equals(expected[name])]


def kept(days: Days, state: Path) -> dict[str, pa.Table]:
    """The content of a state in the columns of this version."""
    with store.opened(state, load_key(days.key)) as held:
        tables = {kind: held.table(files, LAYOUTS[kind]) for kind, files in held.manifest.kinds().items()}
    known = {kind: table.select(LAYOUTS[kind].schema.names) for kind, table in tables.items()}
    return known | {"exchanges": known["exchanges"].sort_by("row")}


def filled(days: Days, state: Path, kind: str, column: str) -> list[int]:
    """How many values of a column each file of one kind holds; files without the column are left out."""
    with store.opened(state, load_key(days.key)) as held:
        tables = [held.read(file) for file in held.manifest.kinds()[kind]]
    return [t.num_rows - t[column].null_count for t in tables if column in t.column_names]


def rewritten(state: Path, kind: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Files of one kind as another version would have written them."""
    path = state / manifests.NAME
    held = manifests.decode(path.read_bytes(), path)
    columns = {name: dict(found) for name, found in held.columns.items()}

    def again(file: File) -> File:
        table = change(pq.read_table(state / "parts" / file.name))
        pq.write_table(table, state / "parts" / file.name)
        data = (state / "parts" / file.name).read_bytes()
        columns[kind] |= {field.name: str(field.type) for field in table.schema}
        return File(file.name, table.num_rows, len(data), hashlib.sha256(data).hexdigest())

    changed: dict[str, object] = {
        "exchanges": lambda: {"parts": tuple(replace(p, exchanges=again(p.exchanges)) for p in held.parts)},
        "names": lambda: {"names": tuple(map(again, held.names))},
        "sketches": lambda: {"sketches": tuple(map(again, held.sketches))},
        "facts": lambda: {"facts": again(held.facts) if held.facts else None},
        "events": lambda: {"events": again(held.events) if held.events else None},
    }[kind]()
    path.write_bytes(manifests.encode(replace(held, columns=columns, **changed)))


replace = msgspec.structs.replace


def with_ones(table: pa.Table) -> pa.Table:
    return table.append_column("newer", pa.array([1] * table.num_rows, pa.int32()))


def test_a_state_of_two_versions_gives_the_result_of_a_state_of_one(
    days: Days, plain: Path, between: Path, expected: dict[str, pa.Table], tmp_path: Path
) -> None:
    held = manifest(days, between).columns
    assert held["exchanges"]["temperature"] == "float" and held["facts"]["domain"] == "int64"
    assert kept(days, between) == kept(days, plain)
    [found] = detected(days, between, tmp_path / "ours")
    assert differing(found, expected) == []
    by_next(days, "detect", "--state", str(between), "--out", str(tmp_path / "next"), "--days", "100")
    assert differing(told(tmp_path / "next" / "100-days"), expected) == []


def test_a_version_with_one_more_column_continues_a_state_that_lacks_it(
    days: Days, plain: Path, expected: dict[str, pa.Table], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(plain, state)
    before = (state / manifests.NAME).read_bytes()
    by_next(days, "detect", "--state", str(state), "--out", str(tmp_path / "out"), "--days", "100")
    assert differing(told(tmp_path / "out" / "100-days"), expected) == []
    assert by_next(days, "state", "verify", str(state), "--repair").startswith("Intact")
    assert (state / manifests.NAME).read_bytes() == before and rows(days, state) == rows(days, plain)
    by_next(days, "state", "compact", str(state))
    assert kept(days, state) == kept(days, plain)


def test_neither_version_finds_damage_or_repairs_what_the_other_one_wrote(days: Days, mixed: Path) -> None:
    before = (mixed / manifests.NAME).read_bytes()
    for fix in (False, True):
        found = maintenance.verify(mixed, days.key, fix=fix)
        assert found.problems == [] and not found.fixed
        assert by_next(days, "state", "verify", str(mixed), *["--repair"] * fix).startswith("Intact")
    assert (mixed / manifests.NAME).read_bytes() == before


def test_a_damaged_file_is_dropped_and_the_other_columns_stay(days: Days, mixed: Path) -> None:
    held, values = manifest(days, mixed), filled(days, mixed, "exchanges", "temperature")
    torn = mixed / "parts" / held.parts[0].exchanges.name
    torn.write_bytes(torn.read_bytes()[:-5])
    assert maintenance.verify(mixed, days.key, fix=True).fixed
    assert len(manifest(days, mixed).parts) == len(held.parts) - 1
    assert filled(days, mixed, "exchanges", "temperature") == values and sum(values)


def test_compacting_keeps_a_column_that_this_version_does_not_know(
    days: Days, mixed: Path, expected: dict[str, pa.Table], tmp_path: Path
) -> None:
    values = sum(filled(days, mixed, "exchanges", "temperature"))
    parts = len(manifest(days, mixed).parts)
    maintenance.compact(mixed, days.key)
    assert len(manifest(days, mixed).parts) == parts - 2  # each cut was in the middle of a day
    assert sum(filled(days, mixed, "exchanges", "temperature")) == values > 0
    assert manifest(days, mixed).columns["exchanges"]["temperature"] == "float"
    assert maintenance.verify(mixed, days.key).problems == []
    [found] = detected(days, mixed, tmp_path / "out")
    assert differing(found, expected) == []


def test_a_column_that_no_file_has_any_more_is_no_longer_listed(days: Days, mixed: Path) -> None:
    maintenance.compact(mixed, days.key, keep=2)
    assert "temperature" not in manifest(days, mixed).columns["exchanges"]


def test_forgetting_leaves_the_content_of_a_one_version_state_and_the_extra_column(
    days: Days, plain: Path, mixed: Path, tmp_path: Path
) -> None:
    other = tmp_path / "plain"
    shutil.copytree(plain, other)
    account = rows(days, plain)[0][1]
    done, same = (maintenance.forget(state, [account], days.key) for state in (mixed, other))
    assert done == same and done.exchanges and kept(days, mixed) == kept(days, other)
    assert sum(filled(days, mixed, "exchanges", "temperature")) and maintenance.verify(mixed, days.key).problems == []


def test_what_the_next_version_knows_of_an_account_outlives_a_log_of_this_version(days: Days, between: Path) -> None:
    """The third part contains the facts again, and this version reads no `domain` from them."""
    known = pq.read_table(days.log / "accounts.parquet")["email_domain"]
    assert filled(days, between, "facts", "domain") == [len(known) - known.null_count]


@pytest.mark.parametrize("kind", ["exchanges", "names", "facts", "events"])
def test_an_extra_column_of_any_kind_of_file_survives_every_command(
    days: Days, plain: Path, tmp_path: Path, kind: str
) -> None:
    state = tmp_path / "state"
    shutil.copytree(plain, state)
    rewritten(state, kind, with_ones)
    before = filled(days, state, kind, "newer")
    assert before and all(before) and maintenance.verify(state, days.key, fix=True).problems == []
    name, first = days.folders[0].name, rows(days, state)[0]
    late = pq.read_table(days.folders[0] / "exchanges").slice(0, 30)
    ids = pa.array([f"late-{i}" for i in range(30)])
    late = late.set_column(late.column_names.index("exchange_id"), "exchange_id", ids)
    (tmp_path / name / "exchanges").mkdir(parents=True)
    pq.write_table(late, tmp_path / name / "exchanges" / "late.parquet")
    for side in ("accounts.parquet", "events.parquet"):
        shutil.copyfile(days.log / side, tmp_path / name / side)
    put(days, state, tmp_path / name)
    maintenance.compact(state, days.key)
    assert sum(filled(days, state, kind, "newer")) == sum(before)
    maintenance.forget(state, [first[1]], days.key)
    assert 0 < sum(filled(days, state, kind, "newer")) <= sum(before)
    assert maintenance.verify(state, days.key).problems == []


def test_an_extra_column_beside_sketches_of_texts_survives_every_command(days: Days, tmp_path: Path) -> None:
    state = tmp_path / "state"
    asked = ("Please sum up this chapter of the book on bees.", "Translate the notice at the harbour into Welsh.")
    for piece, text in enumerate(asked):
        lines = [
            {
                "exchange_id": f"{piece}-{i}",
                "ts": f"2026-05-0{1 + piece}T00:00:{i:02}Z",
                "account_id": f"acct-{i % 7}",
                "messages": [{"role": "user", "content": text}],
            }
            for i in range(40)
        ]
        (tmp_path / f"{piece}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        put(days, state, tmp_path / f"{piece}.ndjson")
        if not piece:
            rewritten(state, "sketches", with_ones)
    before = filled(days, state, "sketches", "newer")
    assert len(manifest(days, state).sketches) == 2 and len(before) == 1 and before[0]
    maintenance.compact(state, days.key)
    assert len(manifest(days, state).sketches) == 1 and filled(days, state, "sketches", "newer") == before
    maintenance.forget(state, ["acct-1"], days.key)
    [found] = windows(WindowSettings(state, tmp_path / "out", (7,), key_file=days.key))
    assert found.days == 2 and maintenance.verify(state, days.key).problems == []


def test_events_that_differ_only_in_what_another_version_wrote_all_stay(
    days: Days, plain: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(plain, state)

    def doubled(table: pa.Table) -> pa.Table:
        both = pa.concat_tables([table, table])
        return both.append_column("newer", pa.array(range(both.num_rows), pa.int32()))

    rewritten(state, "events", doubled)
    late = pq.read_table(days.folders[0] / "exchanges").slice(0, 1)
    pq.write_table(late, tmp_path / "late.parquet")
    ingest(
        IngestSettings((str(tmp_path / "late.parquet"),), state, events=days.log / "events.parquet", key_file=days.key)
    )
    assert filled(days, state, "events", "newer") == [2 * pq.read_table(days.log / "events.parquet").num_rows]


def test_two_types_of_one_column_are_refused_by_every_command_and_nothing_is_changed(
    days: Days, mixed: Path, tmp_path: Path
) -> None:
    def wide(table: pa.Table) -> pa.Table:
        at = table.column_names.index("cell")
        return table.set_column(at, "cell", table["cell"].cast(pa.int64()))

    rewritten(mixed, "exchanges", wide)
    before = {path: path.read_bytes() for path in mixed.rglob("*") if path.is_file() and "lock" not in path.name}
    commands: list[Callable[[], object]] = [
        lambda: put(days, mixed, days.folders[0]),
        lambda: windows(WindowSettings(mixed, tmp_path / "out", (7,), key_file=days.key)),
        lambda: maintenance.compact(mixed, days.key),
        lambda: maintenance.forget(mixed, ["acct-1"], days.key),
        lambda: maintenance.verify(mixed, days.key),
        lambda: maintenance.verify(mixed, days.key, fix=True),
    ]
    for command in commands:
        with pytest.raises(StateError, match="column 'cell' has type int64 here, and type int32") as refused:
            command()
        assert str(mixed) in refused.value.where and "new folder" in refused.value.fix
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "change",
    [{"schema": "clonewatch.state.v9"}, {"schema": "clonewatch.state.v1"}, {"cases": 3}],
    ids=["later", "earlier", "field"],
)
def test_a_manifest_of_another_version_does_not_count_as_damaged(
    days: Days, mixed: Path, change: dict[str, object]
) -> None:
    path = mixed / manifests.NAME
    told = json.loads(unsealed(path.read_bytes())) | change
    path.write_bytes(seal(json.dumps(told, indent=1).encode()))
    before = path.read_bytes()
    with pytest.raises(StateError, match=r"version|does not know"):
        maintenance.verify(mixed, days.key, fix=True)
    assert path.read_bytes() == before


def test_what_a_killed_reader_left_is_removed_and_what_a_reader_reads_is_not(days: Days, mixed: Path) -> None:
    """Whatever its process was called: in a container every process has the same number."""
    left = mixed / f".reading-{os.getpid()}-left"
    left.mkdir()
    (left / "lock").touch()
    with store.opened(mixed, load_key(days.key)) as held:
        taken = held.snapshot(held.manifest.files())
    assert not left.exists()
    with store.opened(mixed, load_key(days.key)) as held:
        assert isinstance(held.manifest, Manifest) and taken.place.is_dir()
    taken.close()
    assert not taken.place.exists()
