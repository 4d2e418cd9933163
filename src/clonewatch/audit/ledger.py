"""The ledger: secrets committed before release, plans before looks, in a file in which no change goes unnoticed.

One JSON record per line, each with the SHA-256 of its canonical text and of the previous record, so a change breaks the
chain at its line. A chain cannot show that its end was cut off, or how old it is: publish or timestamp `head()`, and
pass it to `verify`.
Secrets are in a separate file that only its owner can read; the ledger contains SHA-256(tag, salt, secret) until a
secret is revealed.

    {"at": "2026-01-31T12:00:00Z", "body": {...}, "kind": "commit", "n": 0, "previous": "00...", "hash": "..."}
"""

from __future__ import annotations

import hashlib
import re
import secrets as entropy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock

from clonewatch.audit import storage
from clonewatch.audit.json_text import canonical, digest_of, parsed
from clonewatch.audit.secret_store import SALT_BYTES, SecretStore, commitment_of
from clonewatch.model.errors import InputError, KeyFileError, OutputError
from clonewatch.model.text_files import MOST_OF_ROWS, bytes_of

__all__ = ["FIRST", "UNNAMED", "BrokenLine", "Issued", "Ledger", "Record", "Usage", "canonical", "digest_of"]

Kind = Literal["commit", "reveal", "plan", "look", "timestamp", "torn"]

FIRST = "0" * 64
_SECRET_BYTES = 32
# What the body of a record holds, by its kind.
_BODIES: dict[str, dict[str, type]] = {
    "commit": {"secret": str, "commitment": str, "public": dict, "since": str, "until": str, "carriers": list},
    "reveal": {"commitment": str, "salt": str, "secret": str},
    "plan": {"digest": str},
    "look": {"plan": str, "test": str, "commitment": str, "result": str},
    "timestamp": {"head": str, "file": str, "sha256": str},
    "torn": {"file": str, "sha256": str},
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST_LABEL = 200
_RESTORE = "Name a ledger, or restore it from its backup"
_FIELDS = {"at", "body", "hash", "kind", "n", "previous"}


class Usage(NamedTuple):
    """When and for whom a secret is used, as its owner states it: the ledger cannot check that.

    since, until: days, such as 2026-03-01. carriers: labels of the cases or accounts served.
    """

    since: str = ""
    until: str = ""
    carriers: Sequence[str] = ()

    def check(self) -> None:
        """Raise InputError for what would stay in the ledger for good and mean nothing."""
        for name, told in (("since", self.since), ("until", self.until)):
            if told and not _is_day(told):
                raise InputError(f"{name} is {told!r}, not a day", where=f"--{name}", fix="Such as 2026-03-01")
        if self.since and self.until and self.until < self.since:
            raise InputError(f"until {self.until} is before since {self.since}", where="--until", fix="Exchange them")
        for label in self.carriers:
            if not label.strip() or not label.isprintable() or len(label) > _LONGEST_LABEL:
                what = "a label is empty, too long, or has signs that cannot be printed"
                raise InputError(what, where="--carrier", fix="case-7")
        if len(set(self.carriers)) < len(self.carriers):
            raise InputError("a label occurs twice", where="--carrier", fix="Give each once")


UNNAMED = Usage()


class Record(NamedTuple):
    """One line of the ledger. n: its number from 0. at: UTC, by the clock of who wrote it. body: by kind."""

    n: int
    at: str
    kind: str
    body: dict[str, Any]
    previous: str
    hash: str


class Issued(NamedTuple):
    """A committed secret. resumed: it was committed by an earlier run of the same command, which did not finish."""

    commitment: str
    secret: bytes
    resumed: bool


class BrokenLine(NamedTuple):
    """An invalid line, counted from 1, and why."""

    line: int
    what: str


class Ledger:
    """An append-only file of commitments, plans and looks.

    path: the ledger, a JSONL file. Its secrets are stored beside it in `<path>.secrets`, mode 0600. clock: for tests.

    Several processes may append at a time: each append takes a lock, and is on disk before it returns. A line that was
    torn by a crash is moved to a separate file, and a record of kind `torn` reports it. What is recorded once is not
    recorded again: a step that was interrupted can be repeated.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self.secrets_path = path.with_name(path.name + ".secrets")
        self._store = SecretStore(self.secrets_path)
        self._pending = path.with_name(path.name + ".pending")
        self._clock = clock

    def commit(
        self,
        kind: str,
        secret: bytes | None = None,
        *,
        public: Mapping[str, object] | None = None,
        usage: Usage = UNNAMED,
        publish: Callable[[Issued], None] = lambda _: None,
    ) -> str:
        """Commit to a secret before anything that carries it is released; returns the commitment, 64 hex digits.

        kind: `watermark`, `canary` or `twin`. secret: None to have 32 bytes drawn here and now; the record says whether
        it was `drawn` or `imported`. public: scheme and parameters that are not secret. usage: when it is used, and for
        whom. publish: called when the commitment is recorded. Until it returns the commitment is pending: the same
        command, given again, goes on with the same secret.
        """
        usage.check()
        body: dict[str, object] = {
            "secret": kind,
            "origin": "drawn" if secret is None else "imported",
            "public": dict(public or {}),
            "since": usage.since,
            "until": usage.until,
            "carriers": list(usage.carriers),
        }
        with self._locked():
            issued = self._resumed(body, secret)
            if issued is None:
                salt, drawn = entropy.token_bytes(SALT_BYTES), secret or entropy.token_bytes(_SECRET_BYTES)
                issued = Issued(commitment_of(salt, drawn), drawn, False)
                # The secret first: a commitment whose secret was lost would be useless.
                self._store.keep(issued.commitment, salt, drawn)
                storage.put(self._pending, canonical({"body": body, "commitment": issued.commitment}), 0o600)
            if self._of("commit", commitment=issued.commitment) is None:
                self._append("commit", {**body, "commitment": issued.commitment})
            publish(issued)
            storage.remove(self._pending)
        return issued.commitment

    def pending(self) -> str:
        """The kind of a secret whose command was interrupted; empty if none was."""
        try:
            return str(parsed(bytes_of(self._pending, pipes=False))["body"]["secret"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _resumed(self, body: Mapping[str, object], secret: bytes | None) -> Issued | None:
        """The pending commitment, if it is of the same command."""
        try:
            told = parsed(bytes_of(self._pending, pipes=False))
            if told["body"] != body:
                return None
            _, kept = self._store.find(told["commitment"])
        except (OSError, ValueError, KeyError, TypeError, KeyFileError):
            return None
        return Issued(told["commitment"], kept, True) if secret in (None, kept) else None

    def reveal(self, commitment: str) -> Record:
        """Publish a secret in the ledger: from then on everybody can check its tests, and nobody may use it."""
        salt, secret = self._store.find(commitment)
        with self._locked():
            body = {"commitment": commitment, "salt": salt.hex(), "secret": secret.hex()}
            return self._of("reveal", **body) or self._append("reveal", body)

    def secret(self, commitment: str) -> bytes:
        """The secret of a commitment. Raises KeyFileError if its file is open to others or does not contain it."""
        return self._store.find(commitment)[1]

    def plan(self, plan: Mapping[str, object] | bytes) -> str:
        """Register a plan before any request to a suspect; returns its digest, SHA-256 of its canonical text."""
        digest = digest_of(plan)
        with self._locked():
            if self._of("plan", digest=digest) is None:
                self._append("plan", {"digest": digest})
        return digest

    def look(self, plan: str, test: str, commitment: str = "", result: str = "") -> Record:
        """Record that a test was run under a plan, whatever the outcome. result: digest of its result.

        Raises InputError if the plan was not registered before.
        """
        with self._locked():
            if self._of("plan", digest=plan) is None:
                raise InputError(
                    "this plan was not registered before", where=plan, fix="Register it, then collect again"
                )
            body = {"plan": plan, "test": test, "commitment": commitment, "result": result}
            return self._of("look", **body) or self._append("look", body)

    def mend(self) -> None:
        """Set a torn last line aside, as every append does."""
        if self._tail():
            with self._locked():
                self._set_aside()

    def _of(self, kind: Kind, **wanted: str) -> Record | None:
        """The record of this kind whose body has these values."""
        held = (r for r in self.records() if r.kind == kind)
        return next((r for r in held if all(r.body.get(name) == value for name, value in wanted.items())), None)

    def timestamp(self, token: bytes, head: str, note: str = "") -> Record:
        """Keep an RFC 3161 timestamp of the head: the DER bytes go to a separate file, their digest into the ledger.

        head: the hash that was stamped. Check the authority's signature with its own tools, as docs/audit.md describes.
        """
        if not token.startswith(b"\x30"):
            raise InputError("a timestamp token is a DER sequence", fix="Use the .tsr file as the authority sent it")
        with self._locked():
            held = self.records()
            if all(r.hash != head for r in held):
                raise InputError("no record of this ledger has the stamped hash", where=head, fix="Stamp its head")
            place = self.path.with_name(f"{self.path.name}.{len(held)}.tsr")
            storage.put(place, token)
            body = {"head": head, "file": place.name, "sha256": hashlib.sha256(token).hexdigest(), "note": note}
            return self._append("timestamp", body)

    def records(self) -> list[Record]:
        """Every complete record. Raises InputError for an invalid line; a torn last line is left out."""
        found = []
        for line, text in self._lines():
            record = _parsed(text)
            if isinstance(record, str):
                raise InputError(f"the ledger does not hold: {record}", where=f"{self.path}:{line}", fix=_RESTORE)
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
            for kind, field, seen in (("commit", "commitment", commitments), ("plan", "digest", plans)):
                if record.kind == kind and isinstance(record.body.get(field), str):
                    seen.add(record.body[field])
            hashes.add(record.hash)
            previous, n = record.hash, n + 1
        if self._tail():
            problems.append(BrokenLine(n + 1, "the last line is torn; the next command that writes sets it aside"))
        if head and head not in hashes:
            problems.append(
                BrokenLine(n + 1, "no record has the published hash: the end was cut off, or it is another ledger")
            )
        return problems

    def _wrong(self, record: Record, commitments: set[str], plans: set[str]) -> list[str]:
        """The false claims of a record, apart from its place in the chain."""
        body, form = record.body, _BODIES.get(record.kind)
        if form is None:
            return [f"a record of unknown kind {record.kind!r}"]
        wrong = [name for name, kind in form.items() if type(body.get(name)) is not kind]
        if wrong:
            return [f"the body of this {record.kind} is invalid: {', '.join(wrong)}"]
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
            elif record.kind == "torn":
                place = self.path.with_name(Path(body["file"]).name)
                if not place.is_file() or hashlib.sha256(place.read_bytes()).hexdigest() != body["sha256"]:
                    return [f"the torn line in {place.name} is missing or was changed"]
        except (OSError, ValueError) as error:
            return [f"the body of this {record.kind} is invalid: {error!r}"]
        return []

    def _append(self, kind: Kind, body: Mapping[str, object]) -> Record:
        """Append a record, on disk before this returns. The caller has the lock."""
        self._set_aside()
        return self._record(kind, body)

    def _record(self, kind: Kind, body: Mapping[str, object]) -> Record:
        held = self.records()
        at = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told: dict[str, Any] = {"n": len(held), "at": at, "kind": kind, "body": dict(body)}
        told["previous"] = held[-1].hash if held else FIRST
        told["hash"] = hashlib.sha256(canonical(told)).hexdigest()
        storage.append(self.path, canonical(told) + b"\n")
        return Record(**told)

    def _set_aside(self) -> None:
        """Move a torn last line to a separate file, and record that in the ledger."""
        torn = self._tail()
        if torn:
            digest = hashlib.sha256(torn).hexdigest()
            storage.put(self.path.with_name(f"{self.path.name}.torn-{digest[:12]}"), torn, 0o600)
            storage.cut(self.path, self.path.stat().st_size - len(torn))
        # Also what an interrupted run moved and did not record.
        known = {r.body.get("file") for r in self.records() if r.kind == "torn"}
        for place in sorted(self.path.parent.glob("*.torn-????????????")):
            if place.name.startswith(self.path.name + ".torn-") and place.name not in known and place.is_file():
                held = place.read_bytes()
                body = {"file": place.name, "sha256": hashlib.sha256(held).hexdigest(), "bytes": len(held)}
                self._record("torn", body)

    def _bytes(self) -> bytes:
        try:
            return bytes_of(self.path, MOST_OF_ROWS, pipes=False) if self.path.exists() else b""
        except OSError as error:
            raise InputError(f"cannot read the ledger: {error.strerror}", where=str(self.path), fix=_RESTORE) from error

    def _tail(self) -> bytes:
        """What follows the last line ending."""
        return self._bytes().rpartition(b"\n")[2]

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        return enumerate(self._bytes().split(b"\n")[:-1], 1)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path.with_name(self.path.name + ".lock"), mode=0o600)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
        except OSError as error:
            raise OutputError(f"cannot write the ledger: {error.strerror}", where=str(self.path)) from error
        try:
            yield
        finally:
            lock.release()


def _parsed(text: bytes) -> Record | str:
    """A line as a record, or what is wrong with it. The line must be the canonical text, so every byte of it counts."""
    try:
        told = parsed(text.decode("ascii"))
        again = canonical(told)
    except (ValueError, RecursionError, AttributeError):
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


def _is_day(told: str) -> bool:
    try:
        return bool(_DAY.fullmatch(told)) and date.fromisoformat(told) is not None
    except ValueError:
        return False
