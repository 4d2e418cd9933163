"""The database of a case store: where it is, how it is opened, and what its errors mean to a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from clonewatch.model.errors import SetupError, StoreError

BUSY_SECONDS = 10
NEWEST = "0005_sharing"  # revision of the tables in `tables`
_PRIVATE = 0o600
_LOCK = 0x636C6F6E65  # of PostgreSQL, while tables are made
_NO_STORE = "Start one with `clonewatch cases import RESULT`, or name it with --store"


class Place(NamedTuple):
    """Where a store is. path: its file, where it is one. shown: for messages, without a password."""

    url: URL
    path: Path | None
    shown: str


def place(store: str) -> Place:
    """A store by its file or its address. Raises SetupError for an address of another kind of database."""
    if "://" not in store:
        return Place(URL.create("sqlite", database=store), Path(store), store)
    try:
        url = make_url(store)
    except (ArgumentError, ValueError) as error:
        raise SetupError("this is no address of a database", fix="Write postgresql://user@host/name") from error
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database:
        return Place(URL.create("sqlite", database=url.database), Path(url.database), url.database)
    if kind != "postgresql":
        raise SetupError(f"a case store cannot be in {kind}", fix="Name a file, or write postgresql://user@host/name")
    return Place(url.set(drivername="postgresql+psycopg"), None, url.render_as_string(hide_password=True))


def opened(where: Place, *, read_only: bool = False) -> Engine:
    """The engine of a store. read_only: of a copy in a file, of which nothing is written, not even beside it."""
    if where.path is None:
        wait = {"connect_timeout": BUSY_SECONDS, "options": f"-c lock_timeout={BUSY_SECONDS}s"}
        return _engine(where.url, wait)
    if read_only:
        copy = _copy(where.path)
        return _engine(where.url, {}, lambda: sqlite3.connect(copy, timeout=BUSY_SECONDS, uri=True))
    engine = _engine(where.url, {"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _pragmas)
    return engine


@contextmanager
def guarded(where: Place) -> Iterator[None]:
    """Turn errors of the database into StoreError; the transaction was taken back."""
    try:
        yield
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        raise StoreError(_meaning(said), where=where.shown, fix=_mend(said)) from error
    except NoSuchModuleError as error:
        raise SetupError(
            f"the driver of this database is missing: {error}", fix="pip install psycopg[binary]"
        ) from error


def prepare(where: Place, engine: Engine, first: Callable[[Connection], None] | None) -> None:
    """Bring the tables to this version. first: fills new ones; None where there must be some (StoreError)."""
    if where.path and not where.path.exists():
        if first is None:
            raise StoreError("there is no case store", where=where.shown, fix=_NO_STORE)
        try:
            where.path.touch(mode=_PRIVATE)
        except OSError as error:
            raise StoreError(f"the case store cannot be made: {error.strerror}", where=where.shown) from error
    with engine.connect() as connection:
        now = _revision(connection)
    if now == NEWEST:
        return
    # Slow to import, and hardly ever needed.
    from clonewatch.cases.upgrading import revisions, upgrade

    if now and now not in revisions():
        raise StoreError("a newer version made this store", where=where.shown, fix="Use that version, or a newer one")
    if now is None and first is None:
        raise StoreError("there is no case store in this database", where=where.shown, fix=_NO_STORE)
    with engine.begin() as connection:
        _alone(connection)
        upgrade(connection)
        if first:
            first(connection)


def refuse_other(where: Place, engine: Engine) -> None:
    """Raise StoreError for a copy of another version: nothing is written to a copy, so it stays what it is."""
    with engine.connect() as connection:
        now = _revision(connection)
    if now not in (None, NEWEST):
        raise StoreError(
            "this copy is of another version",
            where=where.shown,
            fix="Open another copy of it once, with `clonewatch cases list --store FILE`, and check that one",
        )


def _revision(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _alone(connection: Connection) -> None:
    """Keep others from making the same tables at the same time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    else:
        connection.execute(text("PRAGMA user_version = 1"))


def _engine(url: URL, wait: dict[str, Any], opener: Callable[[], sqlite3.Connection] | None = None) -> Engine:
    how: dict[str, Any] = {"creator": opener} if opener else {"connect_args": wait}
    engine = create_engine(url, poolclass=NullPool, **how)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _by_hand)
        event.listen(engine, "begin", _begin)
    return engine


def _by_hand(connection: sqlite3.Connection, _record: object) -> None:
    """Transactions begin where we say, tables included; the driver would begin some of them late."""
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _copy(path: Path) -> str:
    """A copy as it lies there. What its log of writes (-wal) holds belongs to it and is read where there is one."""
    beside = path.with_name(path.name + "-wal")
    mode = "mode=ro" if beside.is_file() and beside.stat().st_size else "immutable=1"
    return f"{path.resolve().as_uri()}?{mode}"


def _meaning(said: str) -> str:
    """What an error of the database comes to."""
    if "locked" in said or "lock timeout" in said:
        return f"somebody else holds the case store for more than {BUSY_SECONDS} seconds; nothing was changed"
    if "not a database" in said or "malformed" in said:
        return "the case store is damaged, or is none"
    return f"the case store cannot be used: {said}; nothing was changed"


def _mend(said: str) -> str:
    if "locked" in said or "lock timeout" in said:
        return "Try again when the other command is done"
    if "not a database" in said or "malformed" in said:
        return "Put a copy back, and check it with `clonewatch log verify`"
    return "Check that the file or the server is there and may be written"
