"""What was asked of us, as a chain of records that no later change goes unnoticed in; budgets are counted from it.

Every record holds the hash of the one before it. A query is in the log, on the disk, before it is answered.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import time

import msgspec
from filelock import FileLock, Timeout

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, LogError, OutputError, StateError
from clonewatch.model.text_files import MOST_OF_ROWS, bytes_of

_FIRST = "0" * 64
_KEEP = "Keep the file as it is, and name a new one once it was looked at"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was asked. n: from 1. at: Unix seconds. values: asked for. refused: why; empty if answered.

    nonce: of the request, so that it is answered once. before: hash of the record before it.
    """

    n: int
    at: int
    peer: str
    epoch: str
    kind: str
    mode: str
    values: int
    nonce: str
    refused: str
    before: str
    hash: str = ""

    def spelled(self) -> bytes:
        """Its one spelling, without its hash."""
        return msgspec.json.encode(msgspec.structs.replace(self, hash=""), order="sorted")


class Spent(Counter[tuple[str, str, str, str]]):
    """Counts by (peer, epoch, kind, mode)."""


class QueryLog:
    """A log in a file that one process at a time appends to. Read in full, and checked, when it is opened."""

    def __init__(self, path: Path, clock: Callable[[], float] = time) -> None:
        """Raises LogError where it is not what was written, StateError where another process has it, OutputError."""
        self.path, self._clock = path, clock
        self.queries, self.values, self.nonces = Spent(), Spent(), set[str]()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self._held = threading.Lock()
        self._lock = FileLock(path.with_name(path.name + ".lock"), mode=0o600)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except Timeout as error:
            raise StateError("another process writes this log", where=str(path), fix="Stop it first") from error
        except OSError as error:
            raise OutputError(f"cannot write the log of queries: {error.strerror}", where=str(path)) from error
        records, whole = read(path, torn=True)
        os.ftruncate(self._file, whole)  # a record that a killed process did not end, so that nothing was answered
        for record in records:
            self._count(record)
        self._last = records[-1] if records else None

    def add(
        self, peer: str, epoch: str, kind: str, mode: str, *, values: int = 0, nonce: str = "", refused: str = ""
    ) -> Record:
        """Append a record and wait until it is on the disk. Raises OutputError; nothing may be answered then."""
        with self._held:
            last = self._last
            number, before = (last.n + 1, last.hash) if last else (1, _FIRST)
            told = Record(number, int(self._clock()), peer, epoch, kind, mode, values, nonce, refused, before)
            made = msgspec.structs.replace(told, hash=hashlib.sha256(told.spelled()).hexdigest())
            size = os.fstat(self._file).st_size
            try:
                whole_files.write_all(self._file, msgspec.json.encode(made, order="sorted") + b"\n")
                os.fdatasync(self._file)
            except OSError as error:
                os.ftruncate(self._file, size)
                raise OutputError(f"cannot write the log of queries: {error.strerror}", where=str(self.path)) from error
            self._last = made
            self._count(made)
            return made

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._file)
        self._lock.release()

    def _count(self, record: Record) -> None:
        if record.nonce:
            self.nonces.add(record.nonce)
        if record.refused:
            self.refusals[record.peer, record.epoch] += 1
            return
        place = (record.peer, record.epoch, record.kind, record.mode)
        self.queries[place] += 1
        self.values[place] += record.values


def read(path: Path, *, torn: bool = False) -> tuple[list[Record], int]:
    """The records of a log, each checked against the one before it, and the bytes that they take.

    torn: leave out a last line without an end. Raises LogError that names the line, InputError.
    """
    try:
        data = bytes_of(path, MOST_OF_ROWS, pipes=False)
    except OSError as error:
        raise InputError(f"cannot read the log of queries: {error.strerror}", where=str(path)) from error
    *lines, rest = data.split(b"\n")
    if rest and not torn:
        raise LogError("the log ends in the middle of a line", where=str(path), fix=_KEEP)
    records: list[Record] = []
    before = _FIRST
    for number, line in enumerate(lines, 1):
        record = _parsed(line)
        if record is None or record.n != number or record.before != before:
            raise LogError("this record was changed, or one before it is gone", where=f"{path}:{number}", fix=_KEEP)
        before = record.hash
        records.append(record)
    return records, len(data) - len(rest)


def _parsed(line: bytes) -> Record | None:
    try:
        record = msgspec.json.decode(line, type=Record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    same = msgspec.json.encode(record, order="sorted") == line
    return record if same and hashlib.sha256(record.spelled()).hexdigest() == record.hash else None
