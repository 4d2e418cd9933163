"""The one document that says what a state holds. Whatever it does not name is not part of the state."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from clonewatch.model.errors import StateError

VERSION = "clonewatch.state.v2"
NAME = "state.json"
DAY = 86_400_000_000  # microseconds


class TornManifest(StateError):
    """The document is not as it was written, and the one before it may take its place."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One immutable file of the state. sha256: hexadecimal digits of its bytes. size: bytes."""

    name: str
    rows: int
    size: int
    sha256: str


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exchanges of one day that came at one time.

    day: days since 1970, UTC. first_ts, last_ts: microseconds since 1970. filled: staged column -> values that are not
    null. sources: digests of the files that were read with them. lacking: columns that were let go of in time.
    """

    day: int
    exchanges: File
    first_ts: int
    last_ts: int
    filled: dict[str, int]
    sources: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the log that was read: what it was called, its bytes, and what it gave."""

    path: str
    format: str
    size: int
    read: int
    rejected: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a state is made of.

    generation: how many changes were made. key_check: tells whether a fingerprint key is the one these hashes were made
    with. rows: exchanges ever numbered. names: parts of the book of accounts, in order. accounts: ids in the book.
    sketches: the first sketch of every template. facts, events: account facts and events. sources: by SHA-256.
    forgotten: keyed hashes of accounts whose exchanges are not to be taken in again. columns: kind of file -> column ->
    type, of all files of that kind together; a file that lacks one of them holds nulls.
    """

    schema: str
    generation: int
    key_check: str
    rows: int = 0
    accounts: int = 0
    parts: tuple[Part, ...] = ()
    names: tuple[File, ...] = ()
    sketches: tuple[File, ...] = ()
    facts: File | None = None
    events: File | None = None
    sources: dict[str, Source] = {}
    forgotten: tuple[str, ...] = ()
    columns: dict[str, dict[str, str]] = {}

    def kinds(self) -> dict[str, tuple[File, ...]]:
        """The files of each kind."""
        return {
            "exchanges": tuple(part.exchanges for part in self.parts),
            "names": self.names,
            "sketches": self.sketches,
            "facts": (self.facts,) if self.facts else (),
            "events": (self.events,) if self.events else (),
        }

    def files(self) -> list[File]:
        """Every file the state is made of."""
        return [file for files in self.kinds().values() for file in files]

    def days(self) -> dict[int, int]:
        """Exchanges of each day that holds any, oldest first."""
        count: dict[int, int] = {}
        for part in self.parts:
            count[part.day] = count.get(part.day, 0) + part.exchanges.rows
        return dict(sorted(count.items()))


def key_check(key: bytes) -> str:
    """A value that only this key gives, and that says nothing about it."""
    told = hashlib.blake2b(b"which key made these hashes", key=key, digest_size=16, person=b"clonewatch.state")
    return told.hexdigest()


def day_of(ts: int) -> int:
    """The day, since 1970 and in UTC, of an instant in microseconds.

    >>> day_name(day_of(1_700_000_000_000_000))
    '2023-11-14'
    """
    return ts // DAY


def day_name(day: int) -> str:
    """A day as people write it."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - date(1970, 1, 1)).days


def encode(manifest: Manifest) -> bytes:
    """The document as it is written."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(data: bytes, where: Path) -> Manifest:
    """The document as it was written. Raises TornManifest where it is torn, StateError where it is not ours to read."""
    try:
        version = msgspec.json.decode(data, type=dict[str, object]).get("schema")
    except msgspec.DecodeError as error:
        raise torn(str(error), where) from error
    if version != VERSION:
        raise StateError(
            f"this state is of version {version!r}, and this program reads {VERSION!r}",
            where=str(where),
            fix="Use the program that made it, or ingest the log into a new folder",
        )
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise StateError(
            f"the manifest of the state holds what this version does not know: {error}",
            where=str(where),
            fix="Use the version of Clonewatch that wrote it; if none did, put the file back from a backup",
        ) from error


def torn(what: str, where: Path) -> TornManifest:
    """The error for a document that is not as it was written."""
    return TornManifest(
        f"the manifest of the state is damaged: {what}",
        where=str(where),
        fix="Put it back from a backup, or run `clonewatch state verify --fix` to go back by one change",
    )
