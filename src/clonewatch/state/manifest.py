"""The manifest: the one document that lists the files of a state. A file that it does not list is not part of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from clonewatch.model.errors import StateError
from clonewatch.state.sealed import is_sealed, seal, unsealed

VERSION = "clonewatch.state.v3"
NAME = "state.json"
DAY = 86_400_000_000  # microseconds


class TornManifest(StateError):
    """The manifest differs from what was written, and the one before it may replace it."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One immutable file of the state. sha256: hexadecimal digits of its bytes. size: bytes."""

    name: str
    rows: int
    size: int
    sha256: str


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exchanges of one day that were ingested in one run.

    day: days since 1970, UTC. first_ts, last_ts: microseconds since 1970. filled: staged column -> number of values
    that are not null. sources: digests of the files they were read from. lacking: columns deleted after their retention
    time.
    """

    day: int
    exchanges: File
    first_ts: int
    last_ts: int
    filled: dict[str, int]
    sources: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the log that was read: its path, format and size in bytes, rows read and rejected."""

    path: str
    format: str
    size: int
    read: int
    rejected: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All files of a state, and what is known of them.

    generation: how many changes were committed. key_check: shows whether a key is the one these hashes were made with.
    rows: exchanges ever numbered. names: files of account ids, in order of their codes. accounts: number of ids.
    sketches: the first sketch of every template. facts, events: account facts and events. sources: by SHA-256.
    forgotten: keyed hashes of accounts that are ignored from now on. columns: kind of file -> column -> type, over all
    files of that kind; a column that a file lacks reads as null.
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
        """Every file of the state."""
        return [file for files in self.kinds().values() for file in files]

    def days(self) -> dict[int, int]:
        """Number of exchanges of each day that has any, oldest first."""
        count: dict[int, int] = {}
        for part in self.parts:
            count[part.day] = count.get(part.day, 0) + part.exchanges.rows
        return dict(sorted(count.items()))


def key_check(key: bytes) -> str:
    """A value that only this key gives, and that reveals nothing about the key."""
    digest = hashlib.blake2b(b"which key made these hashes", key=key, digest_size=16, person=b"clonewatch.state")
    return digest.hexdigest()


def day_of(ts: int) -> int:
    """The day, since 1970 and in UTC, of an instant in microseconds.

    >>> day_name(day_of(1_700_000_000_000_000))
    '2023-11-14'
    """
    return ts // DAY


def day_name(day: int) -> str:
    """A day in ISO 8601 form."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - date(1970, 1, 1)).days


def encode(manifest: Manifest) -> bytes:
    """The manifest as bytes, which carry their own hash."""
    return seal(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def decode(data: bytes, where: Path) -> Manifest:
    """Decode a manifest. Raises TornManifest where it is damaged, StateError where another version wrote it."""
    try:
        version = msgspec.json.decode(data, type=dict[str, object]).get("schema")
        if version == VERSION or is_sealed(data):  # other versions wrote no hash
            data = unsealed(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise torn(str(error), where) from error
    if version != VERSION:
        raise StateError(
            f"this state has version {version!r}, and this program reads {VERSION!r}",
            where=str(where),
            fix="Use the version of Clonewatch that wrote it, or ingest the logs into a new folder",
        )
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise StateError(
            f"the manifest of the state holds what this version does not know: {error}",
            where=str(where),
            fix="Use the version of Clonewatch that wrote it; if none did, restore the file from a backup",
        ) from error


def torn(what: str, where: Path) -> TornManifest:
    """The error for a manifest that differs from what was written."""
    return TornManifest(
        f"the manifest of the state is damaged: {what}",
        where=str(where),
        fix="Restore it from a backup, or run `clonewatch state verify --repair` to go back by one change",
    )


def lost(what: str, where: Path) -> StateError:
    """The error for a manifest that cannot be read and that no earlier one can replace."""
    return StateError(
        f"{what}, and there is no intact one before it",
        where=str(where),
        fix="Restore it from a backup, or ingest the logs into a new folder; no file was changed",
    )
