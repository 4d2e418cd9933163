"""Collections of STIX objects in one SQLite file: every version that was added, when, and by whom.

What is added together has one time, and each addition a later one than the last, so that `added_after` never cuts a
release in two. Nothing is added unless all of it can be.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from clonewatch.model.errors import SetupError

MOST_OBJECTS = 1_000_000  # of all versions in a file
_WAIT_SECONDS = 10.0
_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
  version TEXT NOT NULL, told TEXT NOT NULL, spec TEXT NOT NULL, added TEXT NOT NULL, by_whom TEXT NOT NULL,
  body TEXT NOT NULL, UNIQUE (collection, id, version));
CREATE INDEX IF NOT EXISTS by_addition ON objects (collection, added, seq);
CREATE TABLE IF NOT EXISTS statuses (id TEXT PRIMARY KEY, by_whom TEXT NOT NULL, body TEXT NOT NULL);
"""
_NEWEST = "version = (SELECT max(version) FROM objects o WHERE o.collection = objects.collection AND o.id = objects.id)"
_OLDEST = "version = (SELECT min(version) FROM objects o WHERE o.collection = objects.collection AND o.id = objects.id)"


class Wanted(NamedTuple):
    """What is asked for. versions: `last`, `first`, `all` or moments. after: a moment of adding; from_seq: a cursor."""

    after: str = ""
    from_seq: int = 0
    limit: int = 1_000
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    versions: tuple[str, ...] = ("last",)
    specs: tuple[str, ...] = ()


class Held(NamedTuple):
    """A version of an object. version: as the object says it. added: when, in microseconds."""

    seq: int
    id: str
    version: str
    added: str
    body: str


class Store:
    """The file. clock: the time, in UTC."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path, self._clock = path, clock
        with self._open() as base:
            base.executescript(_TABLES)

    def add(self, collection: str, given: Sequence[Mapping[str, Any]], by: str = "") -> int:
        """Add objects together; how many were not there. by: name of the peer, empty for the provider itself.

        Raises SetupError, and adds none, where one is there under this version with other words or by another.
        """
        with self._open() as base:
            base.execute("BEGIN IMMEDIATE")
            added = self._later(base)
            rows = [row for one in given if (row := _row(base, collection, one, added, by))]
            (held,) = base.execute("SELECT count(*) FROM objects").fetchone()
            if held + len(rows) > MOST_OBJECTS:
                raise SetupError(f"the collections hold {held:,} objects, and {MOST_OBJECTS:,} at most")
            columns = "collection, id, type, version, told, spec, added, by_whom, body"
            try:
                base.executemany(f"INSERT INTO objects ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            except sqlite3.IntegrityError:
                raise SetupError("an object is in it twice") from None
            base.execute("COMMIT")
        return len(rows)

    def page(self, collection: str, wanted: Wanted) -> tuple[list[Held], bool]:
        """The next objects in the order of adding, and whether there are more."""
        where, values = _where(collection, wanted)
        query = f"SELECT seq, id, told, added, body FROM objects WHERE {where} ORDER BY seq LIMIT ?"
        with self._open() as base:
            found = [Held(*row) for row in base.execute(query, (*values, wanted.limit + 1))]
        return found[: wanted.limit], len(found) > wanted.limit

    def objects(self, collection: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The newest versions of objects with these ids."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), 500):
            part = tuple(ids[start : start + 500])
            rows, _ = self.page(collection, Wanted(ids=part, limit=len(part)))
            found += [json.loads(one.body) for one in rows]
        return found

    def keep_status(self, name: str, by: str, body: str) -> None:
        """Keep what became of an addition."""
        with self._open() as base:
            base.execute("INSERT INTO statuses (id, by_whom, body) VALUES (?, ?, ?)", (name, by, body))
            base.execute("DELETE FROM statuses WHERE rowid <= (SELECT max(rowid) FROM statuses) - 10000")
            base.commit()

    def status(self, name: str, by: str) -> str | None:
        """What became of an addition, for whoever made it."""
        with self._open() as base:
            row = base.execute("SELECT body FROM statuses WHERE id = ? AND by_whom = ?", (name, by)).fetchone()
        return str(row[0]) if row else None

    def _later(self, base: sqlite3.Connection) -> str:
        """A moment after every addition, and now if the clock was not set back."""
        (last,) = base.execute("SELECT max(added) FROM objects").fetchone()
        now = self._clock()
        if last and spelled(now) <= last:
            now = datetime.strptime(last, "%Y-%m-%dT%H:%M:%S.%f%z") + timedelta(microseconds=1)
        return spelled(now)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            base = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise self._refused(error) from error
        try:
            base.execute("PRAGMA synchronous = FULL")
            yield base
        except sqlite3.DatabaseError as error:
            raise self._refused(error) from error
        finally:
            base.close()  # which takes back what was not committed

    def _refused(self, error: sqlite3.Error) -> SetupError:
        return SetupError(
            f"the collections cannot be opened: {error}", where=str(self._path), fix="Check the folder and the file"
        )


def spelled(at: datetime) -> str:
    """A moment in UTC with microseconds, so that later ones sort later."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def moment(text: str) -> str:
    """A moment of a request in that spelling; what is finer than a microsecond is cut off. Raises ValueError."""
    whole, dot, rest = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or not text.isascii() or (dot and not rest.isdigit()) or len(text) > 40:
        raise ValueError(f"{text[:40]!r} is no moment such as 2026-10-01T09:00:00.000000Z")
    at = datetime.strptime(f"{whole}.{(rest + '000000')[:6]}Z", "%Y-%m-%dT%H:%M:%S.%fZ")
    return spelled(at.replace(tzinfo=UTC))


def _row(
    base: sqlite3.Connection, collection: str, one: Mapping[str, Any], added: str, by: str
) -> tuple[str, ...] | None:
    told = str(one.get("modified") or one.get("created") or added)
    try:
        version = moment(told)
    except ValueError as error:
        raise SetupError(str(error), where=str(one["id"])) from None
    body = json.dumps(one, sort_keys=True)
    query = "SELECT version, by_whom, body FROM objects WHERE collection = ? AND id = ?"
    for held, whose, text in base.execute(query, (collection, one["id"])):
        if held == version and text == body:
            return None
        if held == version:
            raise SetupError("it is there already under this version, and says something else", where=str(one["id"]))
        if whose != by:
            raise SetupError("it is by somebody else", where=str(one["id"]))
    spec = str(one.get("spec_version", "2.1"))
    return collection, str(one["id"]), str(one["type"]), version, told, spec, added, by, body


def _where(collection: str, wanted: Wanted) -> tuple[str, list[Any]]:
    """A condition of fixed words, and the values that it compares with."""
    parts: list[str] = ["collection = ?", "seq > ?"]
    values: list[Any] = [collection, wanted.from_seq]
    if wanted.after:
        parts.append("added > ?")
        values.append(wanted.after)
    for column, held in (("id", wanted.ids), ("type", wanted.types), ("spec", wanted.specs)):
        if held:
            parts.append(f"{column} IN ({', '.join('?' * len(held))})")
            values += held
    if "all" not in wanted.versions:
        any_of = [{"last": _NEWEST, "first": _OLDEST}[one] for one in wanted.versions if one in ("last", "first")]
        named = [one for one in wanted.versions if one not in ("last", "first")]
        if named:
            any_of.append(f"version IN ({', '.join('?' * len(named))})")
            values += named
        parts.append(f"({' OR '.join(any_of)})")
    return " AND ".join(parts), values
