"""The ledger: secrets committed before release, plans before looks, in a file in which no change goes unnoticed.

One JSON record per line, each with the SHA-256 of its canonical text and of the previous record, so a change breaks the
chain at its line. A chain cannot show that its end was cut off: publish or timestamp `head()`, and pass it to `verify`.
Secrets are in a separate file that only its owner can read; the ledger contains SHA-256(tag, salt, secret) until a
secret is revealed.

    {"at": "2026-01-31T12:00:00Z", "body": {...}, "kind": "commit", "n": 0, "previous": "00...", "hash": "..."}
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets as entropy
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock

from clonewatch.model.errors import InputError, KeyFileError, OutputError

Kind = Literal["commit", "reveal", "plan", "look", "timestamp", "torn"]

FIRST = "0" * 64
_TAG = b"clonewatch.commitment.v1\0"
_SALT_BYTES = 32
_FIELDS = {"at", "body", "hash", "kind", "n", "previous"}


class Usage(NamedTuple):
    """When and for whom a secret is used. since, until: ISO dates. carriers: labels of the cases or accounts served."""

    since: str = ""
    until: str = ""
    carriers: Sequence[str] = ()


UNNAMED = Usage()


class Record(NamedTuple):
    """One line of the ledger. n: its number from 0. at: UTC, by the clock of who wrote it. body: by kind."""

    n: int
    at: str
    kind: str
    body: dict[str, Any]
    previous: str
    hash: str


class BrokenLine(NamedTuple):
    """An invalid line, counted from 1, and why."""

    line: int
    what: str


class Ledger:
    """An append-only file of commitments, plans and looks.

    path: the ledger, a JSONL file. Its secrets are stored beside it in `<path>.secrets`, mode 0600. clock: for tests.

    Several processes may append at a time: each append takes a lock, and is on disk before it returns. A line that was
    torn by a crash is moved to a separate file, and a record of kind `torn` reports it.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self.secrets_path = path.with_name(path.name + ".secrets")
        self._clock = clock

    def commit(
        self,
        kind: str,
        secret: bytes,
        *,
        public: Mapping[str, object] | None = None,
        usage: Usage = UNNAMED,
    ) -> str:
        """Commit to a secret before anything that carries it is released; returns the commitment, 64 hex digits.

        kind: `watermark`, `canary` or `twin`. public: scheme and parameters that are not secret. usage: when it is
        used, and for whom.
        """
        salt = entropy.token_bytes(_SALT_BYTES)
        commitment = commitment_of(salt, secret)
        body = {
            "secret": kind,
            "commitment": commitment,
            "public": dict(public or {}),
            "since": usage.since,
            "until": usage.until,
            "carriers": list(usage.carriers),
        }
        with self._locked():
            # The secret first: a commitment whose secret was lost would be useless.
            self._keep_secret({"commitment": commitment, "salt": salt.hex(), "secret": secret.hex()})
            self._append("commit", body)
        return commitment

    def reveal(self, commitment: str) -> Record:
        """Publish a secret in the ledger: from then on everybody can check its tests, and nobody may use it."""
        kept = self._secret(commitment)
        with self._locked():
            return self._append("reveal", {"commitment": commitment, "salt": kept["salt"], "secret": kept["secret"]})

    def secret(self, commitment: str) -> bytes:
        """The secret of a commitment. Raises KeyFileError if its file is open to others or does not contain it."""
        return bytes.fromhex(self._secret(commitment)["secret"])

    def plan(self, plan: Mapping[str, object] | bytes) -> str:
        """Register a plan before any request to a suspect; returns its digest, SHA-256 of its canonical text."""
        digest = digest_of(plan)
        with self._locked():
            self._append("plan", {"digest": digest})
        return digest

    def look(self, plan: str, test: str, commitment: str = "", result: str = "") -> Record:
        """Record that a test was run under a plan, whatever the outcome. result: digest of its result.

        Raises InputError if the plan was not registered before.
        """
        with self._locked():
            if all(r.kind != "plan" or r.body["digest"] != plan for r in self.records()):
                raise InputError(
                    "this plan was not registered before", where=plan, fix="Register it, then collect again"
                )
            return self._append("look", {"plan": plan, "test": test, "commitment": commitment, "result": result})

    def timestamp(self, token: bytes, head: str, note: str = "") -> Record:
        """Keep an RFC 3161 timestamp of the head: the DER bytes go to a separate file, their digest into the ledger.

        head: the hash that was stamped. Check the authority's signature with its own tools, as docs/audit.md describes.
        """
        if not token.startswith(b"\x30"):
            raise InputError("a timestamp token is a DER sequence", fix="Use the .tsr file as the authority sent it")
        with self._locked():
            held = self.records()
            if all(r.hash != head for r in held):
                raise InputError("no record of this ledger has the stamped hash", where=head)
            place = self.path.with_name(f"{self.path.name}.{len(held)}.tsr")
            _write(place, token, 0o644, os.O_TRUNC)
            body = {"head": head, "file": place.name, "sha256": hashlib.sha256(token).hexdigest(), "note": note}
            return self._append("timestamp", body)

    def records(self) -> list[Record]:
        """Every complete record. Raises InputError for an invalid line; a torn last line is left out."""
        found = []
        for line, text in self._lines():
            record = _parsed(text)
            if isinstance(record, str):
                raise InputError(f"the ledger does not hold: {record}", where=f"{self.path}:{line}")
            found.append(record)
        return found

    def head(self) -> str:
        """The hash of the last record: publish it, or have it timestamped."""
        held = self.records()
        return held[-1].hash if held else FIRST

    def verify(self, head: str = "") -> list[BrokenLine]:
        """Every invalid line; an empty list if the whole ledger is valid.

        head: a hash that was published; it must belong to some record, or the end was cut off.
        """
        problems: list[BrokenLine] = []
        previous, n = FIRST, 0
        commitments: set[str] = set()
        plans: set[str] = set()
        hashes = set()
        for line, text in self._lines():
            record = _parsed(text)
            if isinstance(record, str):
                problems.append(BrokenLine(line, record))
                break
            if record.previous != previous:
                problems.append(BrokenLine(line, "the chain breaks: this record does not follow the one before it"))
                break
            if record.n != n:
                problems.append(BrokenLine(line, f"record {record.n} is in place of record {n}"))
            problems += [BrokenLine(line, what) for what in self._wrong(record, commitments, plans)]
            if record.kind == "commit":
                commitments.add(record.body["commitment"])
            if record.kind == "plan":
                plans.add(record.body["digest"])
            hashes.add(record.hash)
            previous, n = record.hash, n + 1
        if self._tail():
            problems.append(BrokenLine(n + 1, "the last line is torn: it was never acknowledged"))
        if head and head not in hashes:
            problems.append(
                BrokenLine(n + 1, "no record has the published hash: the end was cut off, or it is another ledger")
            )
        return problems

    def _wrong(self, record: Record, commitments: set[str], plans: set[str]) -> list[str]:
        """The false claims of a record, apart from its place in the chain."""
        body = record.body
        try:
            if record.kind == "reveal":
                if body["commitment"] not in commitments:
                    return ["a revealed secret was not committed before"]
                if commitment_of(bytes.fromhex(body["salt"]), bytes.fromhex(body["secret"])) != body["commitment"]:
                    return ["the revealed secret is not the committed one"]
            elif record.kind == "look":
                if body["plan"] not in plans:
                    return ["a test was run under a plan that was not registered before"]
                if body["commitment"] and body["commitment"] not in commitments:
                    return ["a test was run with a secret that was not committed before"]
            elif record.kind == "timestamp":
                place = self.path.with_name(Path(body["file"]).name)
                if not place.is_file():
                    return [f"the timestamp {place.name} is missing"]
                if hashlib.sha256(place.read_bytes()).hexdigest() != body["sha256"]:
                    return [f"the timestamp {place.name} is not the one that was stored"]
            elif record.kind == "commit":
                str(body["commitment"])
            elif record.kind == "plan":
                str(body["digest"])
            elif record.kind != "torn":
                return [f"a record of unknown kind {record.kind!r}"]
        except (KeyError, TypeError, ValueError) as error:
            return [f"the body of this {record.kind} is invalid: {error!r}"]
        return []

    def _append(self, kind: Kind, body: Mapping[str, object]) -> Record:
        """Append a record, on disk before this returns. The caller has the lock."""
        self._set_aside()
        held = self.records()
        at = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told: dict[str, Any] = {"n": len(held), "at": at, "kind": kind, "body": dict(body)}
        told["previous"] = held[-1].hash if held else FIRST
        told["hash"] = hashlib.sha256(canonical(told)).hexdigest()
        _write(self.path, canonical(told) + b"\n", 0o644)
        return Record(**told)

    def _set_aside(self) -> None:
        """Move a torn last line to a separate file, and record that in the ledger."""
        torn = self._tail()
        if not torn:
            return
        digest = hashlib.sha256(torn).hexdigest()
        aside = self.path.with_name(f"{self.path.name}.torn-{digest[:12]}")
        _write(aside, torn, 0o600, os.O_TRUNC)
        with self.path.open("r+b") as file:
            file.truncate(self.path.stat().st_size - len(torn))
            os.fsync(file.fileno())
        self._append("torn", {"file": aside.name, "sha256": digest, "bytes": len(torn)})

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise InputError(f"cannot read the ledger: {error.strerror}", where=str(self.path)) from error

    def _tail(self) -> bytes:
        """What follows the last line ending."""
        return self._bytes().rpartition(b"\n")[2]

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        return enumerate(self._bytes().split(b"\n")[:-1], 1)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path.with_name(self.path.name + ".lock"), mode=0o600)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise OutputError(f"cannot write the ledger: {error.strerror}", where=str(self.path)) from error
        try:
            yield
        finally:
            lock.release()

    def _keep_secret(self, row: Mapping[str, str]) -> None:
        if self.secrets_path.exists():
            self._guarded()
        # On its own line even after a torn one.
        _write(self.secrets_path, b"\n" + canonical(row) + b"\n", 0o600)

    def _guarded(self) -> None:
        mode = self.secrets_path.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(
                f"the secrets are open to other users (mode {stat.S_IMODE(mode):04o})",
                where=str(self.secrets_path),
                fix=f"Run: chmod 600 {self.secrets_path}, and commit new secrets if others may have read these",
            )

    def _secret(self, commitment: str) -> dict[str, str]:
        try:
            self._guarded()
            rows = self.secrets_path.read_bytes().split(b"\n")
        except OSError as error:
            raise KeyFileError(
                f"cannot read the secrets: {error.strerror}",
                where=str(self.secrets_path),
                fix="Restore the file from its backup",
            ) from error
        for row in rows:
            try:
                kept = json.loads(row) if row else {}
            except ValueError:
                continue  # a torn line: its commitment was never written
            if kept.get("commitment") == commitment:
                if commitment_of(bytes.fromhex(kept["salt"]), bytes.fromhex(kept["secret"])) != commitment:
                    raise KeyFileError("the stored secret is not the committed one", where=str(self.secrets_path))
                return dict(kept)
        raise KeyFileError("no secret is stored for this commitment", where=f"{self.secrets_path}, {commitment[:12]}")


def commitment_of(salt: bytes, secret: bytes) -> str:
    """SHA-256 of tag, salt and secret, in hex: binding, and hiding while the 32-byte salt is unknown.

    >>> commitment_of(bytes(32), b"key") == commitment_of(bytes(32), b"other")
    False
    """
    if len(salt) != _SALT_BYTES:
        raise ValueError(f"a salt has {_SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(_TAG + salt + secret).hexdigest()


def canonical(told: Mapping[str, object]) -> bytes:
    """The canonical text of a JSON object: keys sorted, no spaces, ASCII.

    >>> canonical({"b": 1, "a": [True]})
    b'{"a":[true],"b":1}'
    """
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest_of(plan: Mapping[str, object] | bytes) -> str:
    """SHA-256 of bytes, or of the canonical text of an object, in hex."""
    return hashlib.sha256(plan if isinstance(plan, bytes) else canonical(plan)).hexdigest()


def _parsed(text: bytes) -> Record | str:
    """A line as a record, or what is wrong with it. The line must be the canonical text, so every byte of it counts."""
    try:
        told = json.loads(text.decode("ascii"))
        again = canonical(told)
    except (ValueError, RecursionError):
        return "this line is not a JSON record"
    if not isinstance(told, dict) or set(told) != _FIELDS or not isinstance(told["body"], dict):
        return "this line is not a ledger record"
    if not isinstance(told["n"], int) or not all(isinstance(told[k], str) for k in _FIELDS - {"body", "n"}):
        return "this line is not a ledger record"
    if again != text:
        return "this line was changed: it is not in canonical form"
    record = Record(**told)
    if hashlib.sha256(canonical({k: v for k, v in told.items() if k != "hash"})).hexdigest() != record.hash:
        return "this record was changed: its hash does not match"
    return record


def _write(place: Path, data: bytes, mode: int, how: int = os.O_APPEND) -> None:
    """Append bytes to a file created with this mode, or replace it, and sync it to disk. Raises OutputError."""
    try:
        new = not place.exists()
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | how, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if new and os.name == "posix":  # on other systems a folder cannot be opened, and its entries need no flush
            folder = os.open(place.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror}", where=str(place), fix="Free space, or choose another location"
        ) from error
