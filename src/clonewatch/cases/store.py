"""A case store: cases and the log of every change to them, which one transaction writes or none of both."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, update

from clonewatch.cases import database
from clonewatch.cases.heads import Signer, new_key, public_key, read_key
from clonewatch.cases.log_file import LogCopy
from clonewatch.cases.merkle import Frontier, leaf_hash
from clonewatch.cases.records import ALIVE, Case, Entry, accounts_digest, accounts_text, encoded, entry
from clonewatch.cases.tables import (
    ACCOUNT_SETS,
    APPEALS,
    CASE_ACCOUNTS,
    CASES,
    CONTAINMENTS,
    ENTRIES,
    HEADS,
    NOTES,
    STORE,
    TOUCHED,
    appeal_row,
    containment_row,
    row_of,
)
from clonewatch.model.errors import InputError, KeyFileError, SetupError, StaleError, StoreError

# As many accounts are looked up at once; databases bound the number of values in a statement.
_AT_ONCE = 5_000


class Note(NamedTuple):
    """A note and the salt of its hash."""

    salt: str
    text: str


class Store:
    """An open case store. where: its place. log_key: file of the key that signs heads, read to write."""

    def __init__(self, where: database.Place, engine: Engine, log_key: Path | None) -> None:
        self.where, self._engine, self._log_key = where, engine, log_key

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Read one state of the store, whatever others write meanwhile. Raises StoreError."""
        with database.guarded(self.where), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield Reading(connection)

    def signer(self) -> Signer:
        """The key that signs the log. Raises KeyFileError."""
        return read_key(_key_file(self.where, self._log_key))

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Change the store: all of it and its log when the block ends, nothing if it raises. Raises StoreError."""
        signer = self.signer()
        with database.guarded(self.where), self._engine.begin() as connection:
            # The first statement: it waits for others that write, and what is read after it is what they left.
            connection.execute(update(STORE).values(writes=STORE.c.writes + 1))
            change = Writing(connection)
            if change.log_key() != signer.public.text:
                raise KeyFileError(
                    "this key is not that of the store's log",
                    where=str(_key_file(self.where, self._log_key)),
                    fix="Name the key file that was made with the store: --log-key FILE",
                )
            yield change
            change.sign(signer)

    @contextmanager
    def tending(self) -> Iterator[Connection]:
        """Change what is not in the log: sessions, saved views, counts of wrong passwords. Raises StoreError."""
        with database.guarded(self.where), self._engine.begin() as connection:
            yield connection


def opened(store: str, log_key: Path | None = None, *, create: bool = False) -> Store:
    """Open a store by its file or address. create: also make it, with a key for its log, where there is none.

    Raises SetupError for an address that cannot be one, StoreError where there is no store or it cannot be used.
    """
    where = database.place(store)
    engine = database.opened(where)

    def first(connection: Connection) -> None:
        if connection.execute(select(func.count()).select_from(STORE)).scalar_one() == 0:
            key = _key_file(where, log_key)
            signer = read_key(key) if key.exists() else new_key(key)
            connection.execute(insert(STORE).values(id=1, writes=0, log_key=signer.public.text))

    with database.guarded(where):
        database.prepare(where, engine, first if create else None)
    return Store(where, engine, log_key)


def copied(path: Path) -> Store:
    """A store in a file as it lies there, of which nothing is written: a copy on another disk, for instance."""
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), fix="Name a store, such as cases.db")
    where = database.place(str(path))
    engine = database.opened(where, read_only=True)
    with database.guarded(where):
        database.refuse_other(where, engine)
    return Store(where, engine, None)


class Reading:
    """What a store holds, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def log_key(self) -> str:
        """The key to check the heads of the log with, as text."""
        return str(self.connection.execute(select(STORE.c.log_key)).scalar_one())

    def log(self) -> LogCopy:
        """The whole log."""
        entries = self.connection.execute(select(ENTRIES.c.body).order_by(ENTRIES.c.number)).scalars().all()
        heads = self.connection.execute(select(HEADS.c.note).order_by(HEADS.c.size)).scalars().all()
        return LogCopy(public_key(self.log_key()), entries, heads)

    def size(self) -> int:
        """How many entries the log has: another number whenever something was changed."""
        newest: int | None = self.connection.execute(select(func.max(ENTRIES.c.number))).scalar_one()
        return 0 if newest is None else newest + 1

    def cases(self) -> list[Case]:
        """All cases, by id."""
        rows = self.connection.execute(select(CASES.c.body).order_by(CASES.c.case_id)).scalars()
        return [msgspec.json.decode(body, type=Case) for body in rows]

    def case(self, name: str) -> Case:
        """One case. Raises InputError for an id that no case has."""
        wanted = select(CASES.c.body).where(CASES.c.case_id == name.upper())
        body = self.connection.execute(wanted).scalar_one_or_none()
        if body is None:
            raise InputError(f"there is no case {name!r}", fix="`clonewatch cases list --all` lists all of them")
        return msgspec.json.decode(body, type=Case)

    def history(self, name: str) -> list[tuple[int, Entry]]:
        """The entries about a case with their numbers, oldest first."""
        rows = self.connection.execute(
            select(ENTRIES.c.number, ENTRIES.c.body)
            .join(TOUCHED, TOUCHED.c.entry == ENTRIES.c.number)
            .where(TOUCHED.c.case_id == name)
            .order_by(ENTRIES.c.number)
        )
        return [(number, entry(body, number)) for number, body in rows]

    def accounts(self, digest: str) -> frozenset[str]:
        """A set of account ids by its hash."""
        wanted = select(ACCOUNT_SETS.c.accounts).where(ACCOUNT_SETS.c.digest == digest)
        return frozenset(msgspec.json.decode(self.connection.execute(wanted).scalar_one(), type=list[str]))

    def note(self, number: int) -> Note | None:
        """The note of an entry."""
        row = self.connection.execute(select(NOTES.c.salt, NOTES.c.text).where(NOTES.c.entry == number)).one_or_none()
        return Note(*row) if row else None

    def sharing(self, accounts: Sequence[str]) -> list[Case]:
        """The open and ruled cases that have any of these accounts, by id."""
        hashes = [hashed(account) for account in accounts]
        found: set[str] = set()
        for i in range(0, len(hashes), _AT_ONCE):
            wanted = select(CASE_ACCOUNTS.c.case_id).where(CASE_ACCOUNTS.c.account.in_(hashes[i : i + _AT_ONCE]))
            found.update(self.connection.execute(wanted.distinct()).scalars())
        return [self.case(name) for name in sorted(found)]


class Writing(Reading):
    """A change to a store: what it adds is in the log and in the tables, or in neither."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._new: list[str] = []
        newest = select(func.max(ENTRIES.c.number))
        self._next = (self._last(newest) + 1) if self._last(newest) is not None else 0

    def _last(self, wanted: object) -> int:
        found: int = self.connection.execute(wanted).scalar_one()  # type: ignore[call-overload]
        return found

    def new_id(self) -> str:
        """The id of the next case."""
        return f"K{self.connection.execute(select(func.count()).select_from(CASES)).scalar_one() + 1:04d}"

    def keep(self, accounts: frozenset[str]) -> str:
        """Keep a set of account ids; returns the hash by which cases name it."""
        digest = accounts_digest(accounts)
        held = select(ACCOUNT_SETS.c.digest).where(ACCOUNT_SETS.c.digest == digest)
        if self.connection.execute(held).scalar_one_or_none() is None:
            self.connection.execute(insert(ACCOUNT_SETS).values(digest=digest, accounts=accounts_text(accounts)))
        return digest

    def add(self, new: Entry, note: Note | None = None) -> int:
        """Add an entry and change the cases, the containment and the appeal that it holds; returns its number.

        Raises StaleError where one of them is not the one that was read before.
        """
        number, body = self._next, encoded(new)
        self.connection.execute(insert(ENTRIES).values(number=number, body=body))
        for case in new.cases:
            self._put(case)
        if new.containment is not UNSET:
            self._put_row(CONTAINMENTS, "containment", containment_row(new.containment))
        if new.appeal is not UNSET:
            self._put_row(APPEALS, "appeal", appeal_row(new.appeal))
        if new.of:
            self.connection.execute(insert(TOUCHED), [{"entry": number, "case_id": name} for name in new.of])
        if note:
            self.connection.execute(insert(NOTES).values(entry=number, salt=note.salt, text=note.text))
        self._new.append(body)
        self._next += 1
        return number

    def sign(self, signer: Signer) -> None:
        """Sign the head of the log with what was added."""
        if not self._new:
            return
        row = self.connection.execute(select(HEADS).order_by(HEADS.c.size.desc()).limit(1)).one_or_none()
        peaks = tuple(bytes.fromhex(peak) for peak in row.peaks.split()) if row else ()
        frontier = Frontier(row.size if row else 0, peaks).grown(leaf_hash(body.encode()) for body in self._new)
        if frontier.size != self._next:
            raise StoreError("the log and its head disagree", fix="See what is wrong with `clonewatch log verify`")
        number = 1 + self.connection.execute(select(func.count()).select_from(HEADS)).scalar_one()
        head = signer.sign(frontier.size, frontier.root(), number, entry(self._new[-1], self._next - 1).at)
        self.connection.execute(insert(HEADS).values(size=head.size, note=head.note, peaks=frontier.text))

    def _put_row(self, table: Table, key: str, row: dict[str, object]) -> None:
        """Put a record by its id, where it follows the one that is there."""
        this = table.c[key] == row[key]
        held = self.connection.execute(select(table.c.version).where(this)).scalar_one_or_none() or 0
        if row["version"] != held + 1:
            raise StaleError(
                f"{row[key]} was changed by somebody else", fix="Look at it again: clonewatch appeals show"
            )
        self.connection.execute(update(table).where(this).values(**row) if held else insert(table).values(**row))

    def _put(self, case: Case) -> None:
        columns = row_of(case)
        held = self.connection.execute(
            select(CASES.c.version, CASES.c.accounts, CASES.c.status).where(CASES.c.case_id == case.case)
        ).one_or_none()
        if (held.version if held else 0) != case.version - 1:
            raise StaleError(f"{case.case} was changed by somebody else", fix="Look at it again: clonewatch cases show")
        if held is None:
            self.connection.execute(insert(CASES).values(**columns))
        else:
            self.connection.execute(update(CASES).where(CASES.c.case_id == case.case).values(**columns))
        if held is None or (held.accounts, held.status in ALIVE) != (case.accounts, case.status in ALIVE):
            self.connection.execute(delete(CASE_ACCOUNTS).where(CASE_ACCOUNTS.c.case_id == case.case))
            rows = [{"case_id": case.case, "account": hashed(a)} for a in self.accounts(case.accounts)]
            if case.status in ALIVE and rows:
                self.connection.execute(insert(CASE_ACCOUNTS), rows)


def new_note(text: str) -> Note:
    """A note with a salt of its own."""
    return Note(secrets.token_hex(16), text)


def hashed(account: str) -> str:
    """The hash by which `case_accounts` names an account."""
    return sha256(account.encode()).hexdigest()


def _key_file(where: database.Place, log_key: Path | None) -> Path:
    if log_key:
        return log_key
    if where.path:
        return where.path.with_name(where.path.name + ".key")
    raise SetupError(
        "the key of the log is not named, and a store on a server has no file beside it",
        where=where.shown,
        fix="Name its file with --log-key or CLONEWATCH_LOG_KEY; `clonewatch cases import` makes it on first use",
    )
