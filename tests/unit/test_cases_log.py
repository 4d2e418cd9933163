"""The log of cases: nobody changes a byte of it, takes a row out, rewrites it or brings back an old copy unseen."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cases_stand import ANA, busy, filled, group
from typer.testing import CliRunner

from clonewatch.cases import log_file
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.changes import annotate
from clonewatch.cases.checking import check
from clonewatch.cases.heads import PublicKey, new_key, public_key, read_key
from clonewatch.cases.log_file import Witness
from clonewatch.cases.merkle import Frontier, consistency_proof, is_consistent, leaf_hash
from clonewatch.cases.store import copied, opened
from clonewatch.cases.store_checking import check_store
from clonewatch.cli.main import app
from clonewatch.model.errors import KeyFileError, LogError


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with some history, its log in one file, and a witness that saw it."""
    home = tmp_path_factory.mktemp("log")
    busy(filled(str(home / "cases.db")))
    assert ask("log", "export", "--store", home / "cases.db", "--out", home / "log.jsonl").exit_code == 0
    assert ask("log", "head", home / "cases.db", "--out", home / "witness.json").exit_code == 0
    return home


def faults(path: Path, *more: object) -> list[str]:
    """What `log verify` finds; its exit code says so too."""
    done = ask("log", "verify", path, "--json", *more)
    if done.exit_code == 3 and not done.stdout:
        return [done.stderr]
    told = json.loads(done.stdout)
    assert done.exit_code == (0 if told["holds"] else 3) and told["holds"] == (not told["faults"])
    found: list[str] = told["faults"]
    return found


def test_what_was_written_holds_in_the_store_and_in_the_copy(home: Path) -> None:
    for path in (home / "cases.db", home / "log.jsonl"):
        assert faults(path) == [] == faults(path, "--witness", home / "witness.json")
    said = ask("log", "verify", home / "log.jsonl").stdout
    assert "The log holds: 10 entries, 7 signed heads" in said
    assert "Without a witness file, whoever holds its key could have rewritten it" in said
    assert (
        "It continues what the witness saw."
        in ask("log", "verify", home / "log.jsonl", "--witness", home / "witness.json").stdout
    )


def test_the_copy_names_no_account_and_holds_no_note(home: Path) -> None:
    held = (home / "log.jsonl").read_text(encoding="utf-8")
    assert "4711" not in held and "asked sales" not in held
    with copied(home / "cases.db").reading() as store:
        named = [set(held.split('"')) & store.accounts(case.accounts) for case in store.cases()]
    assert named == [set()] * len(named)


def test_every_changed_byte_of_a_copy_is_found(home: Path, tmp_path: Path) -> None:
    """Every byte of a short one, and every 37th of a longer one."""
    with opened(str(tmp_path / "cases.db"), create=True).writing() as change:
        arrive(change, [group("C0001", "ab")], ANA.by, ANA.at)
    short, copy = tmp_path / "short.jsonl", tmp_path / "log.jsonl"
    dice = random.Random(4)  # noqa: S311 - a fixed sample
    assert ask("log", "export", "--store", tmp_path / "cases.db", "--out", short).exit_code == 0
    for path, step in ((short, 1), (home / "log.jsonl", 37)):
        held, key = path.read_bytes(), log_file.read(path).key
        for place in range(0, len(held), step):
            copy.write_bytes(held[:place] + bytes([held[place] ^ (1 << dice.randrange(8))]) + held[place + 1 :])
            assert refused(copy, key), f"byte {place} was changed unseen"


def refused(copy: Path, key: PublicKey, *witnesses: Witness) -> bool:
    """Whether a copy is found to be another than what was signed."""
    try:
        log = log_file.read(copy)
    except LogError:
        return True
    return bool(check(log, witnesses).faults) or log.key != key


def test_every_row_that_is_removed_doubled_or_moved_is_found(home: Path, tmp_path: Path) -> None:
    lines, copy = (home / "log.jsonl").read_text(encoding="utf-8").splitlines(), tmp_path / "log.jsonl"
    seen = log_file.read_witness(home / "witness.json")
    for place in range(1, len(lines)):
        without = [line for i, line in enumerate(lines) if i != place]
        moved = [*without[: place - 1], lines[place], *without[place - 1 :]]
        doubled = [*lines[:place], lines[place], *lines[place:]]
        kinds = [without, doubled, *([moved] if place > 1 else [])]
        for changed in kinds:
            header = json.loads(changed[0])
            heads = sum(line.startswith('"') for line in changed)
            fresh = header | {"entries": len(changed) - 1 - heads, "heads": heads}
            copy.write_text("\n".join([json.dumps(fresh, separators=(",", ":")), *changed[1:], ""]), encoding="utf-8")
            assert refused(copy, seen.key), (place, changed[0])


def test_every_value_of_the_store_that_is_changed_is_found(home: Path, tmp_path: Path) -> None:
    """Every cell of every table, one after the other, and every row removed."""
    copy = tmp_path / "cases.db"
    tables = ("entries", "heads", "cases", "account_sets", "case_accounts", "notes", "touched")
    seen = set()
    for table in tables:
        with sqlite3.connect(home / "cases.db") as held:
            columns = [row[1] for row in held.execute(f"PRAGMA table_info({table})")]
            rows = held.execute(f"SELECT rowid, * FROM {table}").fetchall()
        held.close()
        assert rows, table
        for row in rows[:: max(1, len(rows) // 3)]:
            for place, column in enumerate(columns, 1):
                value = row[place] + 40 if isinstance(row[place], int) else f"{row[place]}x"
                changed = f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?'
                assert tampered(home, copy, changed, (value, row[0])), f"{table}.{column}"
                seen.add((table, column))
            assert tampered(home, copy, f"DELETE FROM {table} WHERE rowid = ?", (row[0],)), f"a row of {table}"
    assert len(seen) > 20


def tampered(home: Path, copy: Path, statement: str, values: tuple[object, ...]) -> tuple[str, ...]:
    """What is found after a statement was run on a copy of the store."""
    shutil.copy(home / "cases.db", copy)
    held = sqlite3.connect(copy)
    held.execute("PRAGMA journal_mode=DELETE")
    held.execute(statement, values)
    held.commit()
    held.close()
    with copied(copy).reading() as store:
        return check_store(store, [log_file.read_witness(home / "witness.json")]).faults


def test_an_older_copy_and_a_rewritten_history_are_found_by_a_witness_only(tmp_path: Path) -> None:
    place, old, witness = tmp_path / "cases.db", tmp_path / "old.jsonl", tmp_path / "witness.json"
    store = filled(str(place))
    assert ask("log", "export", "--store", place, "--out", old).exit_code == 0
    with store.writing() as change:
        annotate(change, "K0001", "what later nobody wants to have written", ANA)
    assert faults(place, "--witness", witness, "--remember") == []
    assert faults(old) == []
    assert "an older copy, or entries were removed" in faults(old, "--witness", witness)[0]
    # Whoever holds the key writes another second entry.
    copy, signer = log_file.read(old), read_key(tmp_path / "cases.db.key")
    other = copy.entries[1].replace('"by":"ana"', '"by":"eve"')
    entries = [copy.entries[0], other, *copy.entries[2:], copy.entries[0].replace("K0001", "K0009")]
    forged = Frontier().grown(leaf_hash(entry.encode()) for entry in entries)
    head = signer.sign(forged.size, forged.root(), 1, "2026-05-06T09:00:00Z")
    log_file.write(tmp_path / "forged.jsonl", copy._replace(entries=entries, heads=[head.note]))
    assert faults(tmp_path / "forged.jsonl") == []
    assert "the history was rewritten" in faults(tmp_path / "forged.jsonl", "--witness", witness)[0]


def test_a_history_signed_with_another_key_is_found_by_a_witness(home: Path, tmp_path: Path) -> None:
    copy, signer = log_file.read(home / "log.jsonl"), new_key(tmp_path / "other.key")
    whole = Frontier().grown(leaf_hash(entry.encode()) for entry in copy.entries)
    head = signer.sign(whole.size, whole.root(), 1, "2026-05-06T09:00:00Z")
    log_file.write(tmp_path / "log.jsonl", copy._replace(key=signer.public, heads=[head.note]))
    assert faults(tmp_path / "log.jsonl") == []
    assert "of another key" in faults(tmp_path / "log.jsonl", "--witness", home / "witness.json")[0]


def test_a_witness_is_remembered_only_when_all_is_well(home: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness.json"
    bad = tmp_path / "log.jsonl"
    bad.write_text((home / "log.jsonl").read_text(encoding="utf-8").replace("ana", "eve"), encoding="utf-8")
    assert faults(bad, "--witness", witness, "--remember") and not witness.exists()
    assert faults(home / "log.jsonl", "--witness", witness, "--remember") == []
    assert witness.read_bytes() == (home / "witness.json").read_bytes()
    assert stat.S_IMODE(witness.stat().st_mode) == 0o600
    assert ask("log", "verify", home / "log.jsonl", "--remember").exit_code == 2


def test_two_heads_of_a_log_are_shown_to_be_consistent_by_a_proof(home: Path) -> None:
    copy = log_file.read(home / "log.jsonl")
    first, last = (copy.key.check(note) for note in (copy.heads[0], copy.heads[-1]))
    leaves = [leaf_hash(entry.encode()) for entry in copy.entries]
    proof = consistency_proof(leaves[: last.size], first.size)
    assert is_consistent(first.size, first.root, last.size, last.root, proof)
    with pytest.raises(LogError, match="signature"):
        copy.key.check(copy.heads[0].replace("\n2\n", "\n3\n"))


def test_a_key_is_its_owners_alone_and_another_one_is_refused(home: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE((home / "cases.db.key").stat().st_mode) == 0o600
    key = tmp_path / "k"
    made = new_key(key)
    assert new_key(key).public == made.public == read_key(key).public, "of two that start together, the first wins"
    done = ask("cases", "note", "K0001", "x", "--store", home / "cases.db", "--log-key", key)
    assert done.exit_code == 2 and "not that of the store's log" in done.stderr
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to other users"):
        read_key(key)
    key.chmod(0o600)
    key.write_text("x")
    with pytest.raises(KeyFileError, match="no key of a log"):
        read_key(key)


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AQ==", "clonewatch+zz+AAAA"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(LogError):
        public_key(text)


def test_a_path_without_a_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("{no log")
    (tmp_path / "noise").write_bytes(b"\x00" * 5000)
    for name, code in (("none", 2), ("text", 3), ("noise", 2)):
        done = ask("log", "verify", tmp_path / name)
        assert done.exit_code == code and "Error:" in done.stderr, done.output


def test_a_witness_file_that_was_changed_is_refused(home: Path, tmp_path: Path) -> None:
    held, witness = (home / "witness.json").read_bytes(), tmp_path / "w.json"
    for place in range(0, len(held), 31):
        witness.write_bytes(held[:place] + bytes([held[place] ^ 4]) + held[place + 1 :])
        assert faults(home / "log.jsonl", "--witness", witness), place
    assert Witness(*log_file.read_witness(home / "witness.json")).note
