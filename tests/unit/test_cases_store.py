"""The case store, on SQLite and on PostgreSQL: changes by several people at once, killed, locked and gone."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_args

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import event, text
from tests import postgres
from tests.required import required
from tests.unit.cases_stand import ANA, BOB, INNOCENT, busy, filled, group
from typer.testing import CliRunner

from clonewatch.cases import database, upgrading
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.changes import Decision, Who, annotate, assign, merge, rule, split, undo
from clonewatch.cases.records import Entry, What
from clonewatch.cases.sentences import claimed, said
from clonewatch.cases.store import Store, copied, opened
from clonewatch.cases.store_checking import check_store
from clonewatch.cases.tables import METADATA
from clonewatch.cli.main import app
from clonewatch.errors import InputError, SetupError, StaleError, StoreError

NEEDS_SERVER = required("the case store on PostgreSQL", postgres.lacking())


@pytest.fixture
def store(place: tuple[str, Path]) -> Store:
    return filled(*place)


def sound(store: Store) -> int:
    """Check that log and tables agree; returns the number of entries."""
    with store.reading() as held:
        found = check_store(held)
    assert found.faults == ()
    return found.size


def states(store: Store) -> dict[str, tuple[str, int, str]]:
    """Status, accounts and ruling of every case."""
    with store.reading() as held:
        return {c.case: (c.status, c.size, c.ruling.ruling if c.ruling else "") for c in held.cases()}


def test_everything_that_is_done_to_cases_is_in_the_log_and_agrees_with_it(store: Store) -> None:
    busy(store)
    assert sound(store) == 10
    assert states(store) == {
        "K0001": ("open", 4, "innocent"),
        "K0002": ("open", 3, ""),
        "K0003": ("open", 2, "innocent"),
    }


def test_the_tables_are_those_of_the_program(store: Store) -> None:
    engine = database.opened(store.where)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert upgrading.revisions()[0] == database.NEWEST


def test_a_store_is_made_once_however_often_it_is_opened(place: tuple[str, Path]) -> None:
    made: list[Store] = []
    both = [threading.Thread(target=lambda: made.append(opened(*place, create=True))) for _ in range(3)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(made) == 3 and place[1].exists()
    for one in made:
        with one.writing() as change:
            arrive(change, [group("C1", "ab")], "ana", ANA.at)
    assert sound(made[0]) == 1, "the second and third saw it before"


def test_a_merge_and_a_split_keep_their_lineage_and_can_be_undone(store: Store) -> None:
    with store.writing() as change:
        rule(change, ["K0001"], INNOCENT, ANA)
        whole = merge(change, ["k0002"], "K0001", ANA)
    assert (whole.size, whole.absorbed, whole.ruling, whole.status) == (7, ("K0002",), None, "open")
    assert states(store)["K0002"] == ("merged", 3, "")
    with pytest.raises(InputError, match="merged into K0001"), store.writing() as change:
        rule(change, ["K0002"], INNOCENT, ANA)
    with store.writing() as change:
        assert undo(change, "K0002", BOB)[0] == "merge"
    assert states(store) == {"K0001": ("ruled", 4, "innocent"), "K0002": ("open", 3, "")}
    with store.writing() as change:
        rest, part = split(change, "K0001", frozenset("ab"), ANA)
    assert (rest.size, part.size, part.split_from) == (2, 2, "K0001") and part.ruling == rest.ruling
    with store.writing() as change:
        undo(change, "K0001", BOB)
    assert states(store)["K0001"] == ("ruled", 4, "innocent") and states(store)["K0003"][0] == "void"
    with store.writing() as change:
        undo(change, "K0001", BOB)
    assert states(store)["K0003"][0] == "ruled", "an undo can be undone"
    sound(store)


def test_what_was_changed_again_cannot_be_undone(store: Store) -> None:
    with store.writing() as change:
        merge(change, ["K0002"], "K0001", ANA)
        assign(change, ["K0001"], BOB, "bob", None)
    with pytest.raises(StaleError, match="bob assigned it on 2026-05-05"), store.writing() as change:
        undo(change, "K0002", ANA)
    with store.writing() as change:
        assert undo(change, "K0001", ANA)[0] == "assign"
    sound(store)


def test_a_scan_that_sees_a_case_again_does_not_keep_a_ruling_from_being_undone(store: Store) -> None:
    with store.writing() as change:
        rule(change, ["K0001"], INNOCENT, ANA)
    with store.writing() as change:
        arrive(change, [group("C0007", "abcd", last="2026-05-09")], "ana", ANA.at)
        undo(change, "K0001", BOB)
    assert states(store)["K0001"] == ("open", 4, "")
    with store.reading() as held:
        assert held.case("K0001").seen.group == "C0007"
    with pytest.raises(InputError, match="cannot be undone"), store.writing() as change:
        undo(change, "K0002", BOB)


def test_a_stale_ruling_is_refused_with_who_changed_what(store: Store) -> None:
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), BOB, version=1)
    with pytest.raises(StaleError, match="at version 2, not 1: bob ruled on it on 2026-05-05") as stale:
        with store.writing() as change:
            rule(change, ["K0002"], INNOCENT, ANA)
            rule(change, ["K0001"], INNOCENT, ANA, version=1)
    assert "cases show K0001" in stale.value.fix
    with pytest.raises(SetupError, match="no version in common"), store.writing() as change:
        rule(change, ["K0001", "K0002"], INNOCENT, ANA, version=1)
    assert states(store) == {"K0001": ("ruled", 4, "confirmed"), "K0002": ("open", 3, "")}, "all or nothing"
    sound(store)


def test_an_entry_that_rests_on_an_older_state_of_a_case_is_refused(store: Store) -> None:
    """Whoever reads in one transaction and writes in another, as a page with a form does."""
    with store.reading() as held:
        seen = held.case("K0001")
    with store.writing() as change:
        assign(change, ["K0001"], BOB, "bob", None)
    with pytest.raises(StaleError, match="K0001 was changed by somebody else"), store.writing() as change:
        change.add(Entry("assign", ANA.at, "ana", ("K0001",), (replace(seen, version=2, assignee="ana"),)))
    assert sound(store) == 3


RULE = """
import sys
from pathlib import Path
from clonewatch.cases.changes import Decision, Who, annotate, rule
from clonewatch.cases.store import opened
from clonewatch.errors import StaleError
store, key, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
input()
with opened(store, key).writing() as change:
    annotate(change, "K0002", f"note of {name}", Who(name, "2026-05-06T09:00:00Z"))
for i in range(4):
    with opened(store, key).writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), Who(name, "2026-05-06T09:00:00Z"))
try:
    with opened(store, key).writing() as change:
        rule(change, ["K0002"], Decision("confirmed"), Who(name, "2026-05-06T09:00:00Z"), version=1)
    print("won")
except StaleError as error:
    print("lost:", error)
"""


def test_two_processes_that_rule_at_once_lose_nothing_and_one_of_them_is_told(
    store: Store, place: tuple[str, Path]
) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RULE, place[0], str(place[1]), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("ana", "bob")
    ]
    for one in running:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    said = sorted(one.communicate(timeout=120)[0].strip().partition(":")[0] for one in running)
    assert said == ["lost", "won"]
    with store.reading() as held:
        history = [entry for _, entry in held.history("K0001")]
        assert [entry.by for entry in history[1:]].count("ana") == 4 == [e.by for e in history].count("bob")
        assert held.case("K0001").version == 9
        assert sum(entry.what == "note" for _, entry in held.history("K0002")) == 2
    assert sound(store) == 2 + 2 * 5 + 1


def killed_at(store: Store, key: Path, last: int) -> bool:
    """Change a store in a process that is killed before its statement of this number; whether it was."""
    child = os.fork()
    if not child:
        engine, done = database.opened(store.where), [0]

        def step(*_: object) -> None:
            done[0] += 1
            if done[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(engine, "before_cursor_execute", step)
        event.listen(engine, "commit", step)
        with Store(store.where, engine, key).writing() as change:
            rule(change, ["K0001"], INNOCENT, ANA, "contract")
            merge(change, ["K0002"], "K0001", ANA)
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WIFSIGNALED(ended)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_moment_of_a_change_log_and_store_agree(store: Store, place: tuple[str, Path]) -> None:
    """Killed before its first statement, its second one, and so on, until it ends by itself."""
    before, killed = states(store), 0
    while killed_at(store, place[1], killed + 1):
        killed += 1
        assert states(store) == before and sound(store) == 2
    assert killed > 15 and states(store)["K0002"][0] == "merged" and sound(store) == 4


def test_a_store_that_another_process_holds_says_so_and_is_changed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    store = filled(str(tmp_path / "cases.db"))
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = opened(str(tmp_path / "cases.db"))
    with pytest.raises(StoreError, match="somebody else holds the case store for more than 1 seconds; nothing was"):
        with waiting.writing() as change:
            annotate(change, "K0001", "x", ANA)
    assert len(states(store)) == 2, "it can still be read"
    other.execute("ROLLBACK")
    other.close()
    with waiting.writing() as change:
        annotate(change, "K0001", "x", ANA)
    assert sound(store) == 3


def test_a_file_that_is_gone_damaged_or_none_says_so_and_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "cases.db"
    with pytest.raises(StoreError, match="there is no case store") as none:
        opened(str(place))
    assert "clonewatch cases import" in none.value.fix and not place.exists()
    store = filled(str(place))
    shutil.move(place, tmp_path / "away")
    with pytest.raises(StoreError), store.writing() as change:
        annotate(change, "K0001", "x", ANA)
    for beside in tmp_path.glob("cases.db*"):
        if not beside.name.endswith(".key"):
            beside.unlink()
    shutil.move(tmp_path / "away", place)
    with store.writing() as change:
        annotate(change, "K0001", "x", ANA)
    assert sound(store) == 3
    place.write_bytes(b"no database" * 900)
    with pytest.raises(StoreError, match="damaged, or is none"):
        opened(str(place))


@NEEDS_SERVER
def test_a_server_that_is_gone_says_so_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as gone:
        opened("postgresql://ana:secret@127.0.0.1:1/cases", tmp_path / "k", create=True)
    assert "cannot be used" in gone.value.what and gone.value.where == "postgresql://ana:***@127.0.0.1:1/cases"
    assert "secret" not in str(gone.value)


@NEEDS_SERVER
def test_a_store_on_a_server_needs_a_key_file(server: str) -> None:
    with pytest.raises(SetupError, match="the key of the log is not named"):
        opened(f"{server}postgres", create=True)


def test_the_commands_work_on_both(place: tuple[str, Path], store: Store) -> None:
    def ask(*words: object) -> str:
        done = CliRunner().invoke(app, [str(w) for w in words])
        assert done.exit_code == 0, done.output
        return done.stdout

    at, key, witness = ("--store", place[0]), ("--log-key", place[1]), place[1].with_name("witness.json")
    ask("cases", "rule", "K0001", "--innocent", "app_users", *at, *key)
    assert "innocent: app users" in ask("cases", "list", "--all", *at)
    ask("log", "head", place[0], "--out", witness)
    ask("cases", "undo", "K0001", *at, *key)
    assert "It continues what the witness saw." in ask("log", "verify", place[0], "--witness", witness)


@NEEDS_SERVER
def test_a_connection_that_the_server_ends_changes_nothing(server: str, tmp_path: Path) -> None:
    name = f"ended{abs(hash(tmp_path))}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as other:
        other.execute(f"CREATE DATABASE {name}".encode())
        store = filled(f"{server}{name}", tmp_path / "log.key")
        with pytest.raises(StoreError, match="nothing was changed"), store.writing() as change:
            annotate(change, "K0001", "lost", ANA)
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            annotate(change, "K0001", "lost", ANA)
    assert sound(store) == 2
    with store.writing() as change:
        annotate(change, "K0001", "kept", ANA)
    assert sound(store) == 3


def test_a_store_of_a_newer_version_is_refused(store: Store, place: tuple[str, Path]) -> None:
    engine = database.opened(store.where)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="a newer version made this store"):
        opened(*place)


def test_a_copy_of_an_older_version_says_how_to_check_it(tmp_path: Path) -> None:
    store = filled(str(tmp_path / "cases.db"))
    with database.opened(store.where).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002_people'"))
    with pytest.raises(StoreError, match="this copy is of another version") as older:
        copied(tmp_path / "cases.db")
    assert "clonewatch cases list --store" in older.value.fix


@pytest.mark.parametrize("address", ["mysql://x/y", "sqlite://", "postgresql://x:y/z", "a://b://"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(SetupError):
        opened(address)


def test_only_one_who_reads_sees_one_state(store: Store) -> None:
    with store.reading() as held:
        before = held.cases()
        with store.writing() as change:
            annotate(change, "K0001", "meanwhile", ANA)
            assign(change, ["K0001"], Who("eve", ANA.at), "eve", None)
        assert held.cases() == before and check_store(held).faults == ()


def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(StoreError), database.guarded(store.where), database.opened(store.where).begin() as connection:
        connection.execute(text("INSERT INTO touched (entry, case_id) VALUES (0, 'K9999')"))


def test_every_connection_is_closed(tmp_path: Path) -> None:
    store = filled(str(tmp_path / "cases.db"))
    still: list[object] = []
    engine = database.opened(store.where)
    event.listen(engine, "connect", lambda connection, _: still.append(connection))
    with Store(store.where, engine, None).reading() as held:
        held.cases()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        still[0].execute("SELECT 1")  # type: ignore[attr-defined]


def test_every_kind_of_entry_is_said_in_words() -> None:
    """No reader meets the bare name of a kind; where somebody only claimed a name, it is said."""
    # These say what they did to a case that they hold, or what they hold beside.
    of_cases = {"seen", "rule", "assign", "merge", "split", "person"}
    for kind in set(get_args(What)) - of_cases:
        told = said(Entry(kind, "2026-05-04T09:00:00Z", "ana", ("K0001",), because=("one", "two")))
        assert told.partition(":")[0] != kind, kind
    assert claimed(Entry("note", "2026-05-04T09:00:00Z", "ana", ())) == "as claimed on the command line"
    assert claimed(Entry("note", "2026-05-04T09:00:00Z", "ana", (), via="console")) == ""
