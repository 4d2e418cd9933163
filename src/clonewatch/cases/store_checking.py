"""Whether the tables of a store say what its log says: cases, accounts and notes, each against the newest entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from clonewatch.cases.appeals_checking import check_appeals
from clonewatch.cases.checking import Checked, check
from clonewatch.cases.log_file import Witness
from clonewatch.cases.merkle import Frontier, leaf_hash
from clonewatch.cases.records import ALIVE, Case, Entry, accounts_digest, accounts_text, note_digest
from clonewatch.cases.rights_checking import check_rights
from clonewatch.cases.sharing_checking import check_sharing
from clonewatch.cases.store import Reading, hashed
from clonewatch.cases.tables import ACCOUNT_SETS, CASE_ACCOUNTS, CASES, ENTRIES, HEADS, NOTES, TOUCHED, row_of


def check_store(store: Reading, witnesses: Sequence[Witness] = ()) -> Checked:
    """Check the log of a store, and its tables against the log."""
    found = check(store.log(), witnesses)
    connection = store.connection
    numbers = connection.execute(select(ENTRIES.c.number).order_by(ENTRIES.c.number)).scalars().all()
    faults = list(found.faults)
    if list(numbers) != list(range(len(numbers))):
        faults.append("the entries are not numbered without a gap")
    newest = _newest(found.entries)
    faults += _cases(connection, newest)
    faults += _account_sets(connection, found.entries)
    faults += _case_accounts(store, newest)
    faults += _notes(connection, found.entries)
    faults += _touched(connection, found.entries)
    faults += _peaks(connection)
    faults += check_rights(connection, found.entries)
    faults += check_appeals(store, found.entries)
    faults += check_sharing(connection, found.entries)
    return found._replace(faults=tuple(faults))


def _newest(entries: Mapping[int, Entry]) -> dict[str, Case]:
    """Every case as the log has it."""
    return {case.case: case for _, entry in sorted(entries.items()) for case in entry.cases}


def _cases(connection: Connection, newest: Mapping[str, Case]) -> list[str]:
    held = {row["case_id"]: dict(row) for row in _rows(connection, CASES)}
    differ = sorted(name for name in held.keys() & newest.keys() if held[name] != row_of(newest[name]))
    return [
        *(f"{name} is not what the log says of it" for name in differ),
        *(f"{name} is in the log and not in the table of cases" for name in sorted(newest.keys() - held.keys())),
        *(f"{name} is in the table of cases and not in the log" for name in sorted(held.keys() - newest.keys())),
    ]


def _account_sets(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    named = {case.accounts: case.case for entry in entries.values() for case in entry.cases}
    faults, held = [], set()
    for row in _rows(connection, ACCOUNT_SETS):
        digest, text = str(row["digest"]), str(row["accounts"])
        held.add(digest)
        accounts = _decoded(text)
        if accounts_digest(accounts) != digest or accounts_text(accounts) != text:
            faults.append(f"a list of accounts of {named.get(digest, 'no case')} was changed")
        elif digest not in named:
            faults.append("a list of accounts belongs to no case in the log")
    return faults + [f"a list of accounts of {named[digest]} is gone" for digest in sorted(named.keys() - held)]


def _case_accounts(store: Reading, newest: Mapping[str, Case]) -> list[str]:
    held: dict[str, set[str]] = {}
    for row in _rows(store.connection, CASE_ACCOUNTS):
        held.setdefault(str(row["case_id"]), set()).add(str(row["account"]))
    wanted = {}
    for name, case in newest.items():
        text = store.connection.execute(
            select(ACCOUNT_SETS.c.accounts).where(ACCOUNT_SETS.c.digest == case.accounts)
        ).scalar_one_or_none()
        # A list that is damaged was reported above.
        if case.status in ALIVE and text and accounts_digest(_decoded(text)) == case.accounts:
            wanted[name] = {hashed(account) for account in _decoded(text)}
    known = {name: accounts for name, accounts in held.items() if name in wanted or name not in newest}
    return [
        f"the index of accounts is wrong about {name}"
        for name in sorted(wanted.keys() | known.keys())
        if wanted.get(name) != known.get(name)
    ]


def _decoded(text: str) -> list[str]:
    """The accounts of a list; none for one that is damaged."""
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError:
        return []


def _notes(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {number: entry.note for number, entry in entries.items() if entry.note}
    held = {row["entry"]: note_digest(str(row["salt"]), str(row["text"])) for row in _rows(connection, NOTES)}
    return [
        *(f"the note of entry {n} was removed" for n in sorted(wanted.keys() - held.keys())),
        *(f"the note of entry {n} is not in the log" for n in sorted(held.keys() - wanted.keys())),
        *(f"the note of entry {n} was changed" for n in sorted(held.keys() & wanted.keys()) if held[n] != wanted[n]),
    ]


def _touched(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {(number, name) for number, entry in entries.items() for name in entry.of}
    held = {(row["entry"], row["case_id"]) for row in _rows(connection, TOUCHED)}
    return [f"the index of entries is wrong about {name}" for name in sorted({name for _, name in wanted ^ held})]


def _peaks(connection: Connection) -> list[str]:
    """The frontiers from which the next heads are made."""
    bodies = connection.execute(select(ENTRIES.c.body).order_by(ENTRIES.c.number)).scalars().all()
    frontier, faults = Frontier(), []
    for row in sorted(_rows(connection, HEADS), key=lambda row: int(row["size"])):
        frontier = frontier.grown(leaf_hash(body.encode()) for body in bodies[frontier.size : row["size"]])
        if (row["size"], row["peaks"]) != (frontier.size, frontier.text):
            faults.append(f"the frontier beside the head of size {row['size']} is wrong")
    return faults


def _rows(connection: Connection, table: Table) -> Sequence[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(select(table)).mappings()]
