"""The answers file: what was found out about groups, one JSON object a line, answers and rulings on cases.

Ids of groups change from scan to scan, so an answer names the accounts that it is about.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock

from clonewatch.model import whole_files
from clonewatch.model.answers import CONFIRMED, Answer, Ruled
from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.questions import BY_ID
from clonewatch.model.text_files import plain, text_of

SCHEMA: Literal["clonewatch.answer.v1"] = "clonewatch.answer.v1"
# A kind of line of its own, so that a version that knows no rulings refuses it rather than believe it for ever.
RULING: Literal["clonewatch.ruling.v1"] = "clonewatch.ruling.v1"
# An answer is about a group of which it covers at least this share of the accounts: most of them, as in `tracks`.
SAME = 0.5


class _Line(msgspec.Struct, frozen=True, tag_field="schema", tag=SCHEMA):
    """A line of the file that holds an answer."""

    question: str
    answer: Literal["yes", "no"]
    accounts: list[str]
    group: str = ""
    at: str = ""
    by: str = ""
    note: str = ""


class _RulingLine(msgspec.Struct, frozen=True, tag_field="schema", tag=RULING):
    """A line of the file that holds a ruling. question: its innocent explanation; empty for one that confirms."""

    ruling: Literal["innocent", "confirmed"]
    accounts: list[str]
    question: str = ""
    scope: Literal["evidence", "accounts"] = "evidence"
    until: str = ""
    families: list[str] = []
    odds_bits: float | None = None
    case: str = ""
    group: str = ""
    at: str = ""
    by: str = ""
    note: str = ""


def is_about(answer: Answer, accounts: frozenset[str]) -> bool:
    """Whether an answer covers at least half of a group's accounts."""
    return bool(accounts) and len(answer.accounts & accounts) >= SAME * len(accounts)


def newest(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """The last answer to every question, in the order in which the questions were first answered."""
    return tuple({answer.question: answer for answer in answers}.values())


def read(path: Path) -> list[Answer]:
    """All answers of a file, oldest first; empty lines are skipped. Raises InputError, which names the bad line."""
    try:
        text = text_of(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the answers: {error.strerror if isinstance(error, OSError) else error}",
            where=str(path),
            fix="Record a first one with `clonewatch answer`, or leave out --answers",
        ) from error
    return [_answer(line, f"{path}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def append(path: Path, answer: Answer) -> None:
    """Add one answer at the end of a file, which is created for its owner only. Raises OutputError."""
    line = _encoded(answer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock"), mode=whole_files.PRIVATE):
            _append(path, line)
    except OSError as error:
        raise OutputError(
            f"cannot write the answer: {error.strerror or error}",
            where=str(path),
            fix="Name another file with --answers",
        ) from error


def write(path: Path, rulings: Iterable[Answer]) -> int:
    """Write rulings to a file of their own, in place of an earlier one; returns how many. Raises OutputError."""
    lines = [_encoded(ruling) for ruling in rulings]
    whole_files.write(path, b"".join(lines), whole_files.PRIVATE)
    return len(lines)


def digest(answers: Iterable[Answer]) -> str:
    """A hash of everything that a result depends on in these answers, their order included."""
    found = hashlib.sha256()
    for answer in answers:
        found.update(_encoded(answer))
    return found.hexdigest()


def _encoded(answer: Answer) -> bytes:
    """An answer as a line of the file."""
    told = {
        "question": answer.question,
        "accounts": sorted(answer.accounts),
        **{name: plain(getattr(answer, name)) for name in ("group", "at", "by", "note")},
    }
    if answer.ruled is None:
        held = told | {"schema": SCHEMA, "answer": "yes" if answer.yes else "no"}
        return msgspec.json.encode(msgspec.convert(held, _Line)) + b"\n"
    ruled = answer.ruled._asdict() | {"families": sorted(answer.ruled.families)}
    return msgspec.json.encode(msgspec.convert(told | ruled | {"schema": RULING}, _RulingLine)) + b"\n"


def _append(path: Path, line: bytes) -> None:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, whole_files.PRIVATE)
    try:
        size = os.fstat(file).st_size
        # On a line of its own even after one that a crash cut off.
        torn = size and os.pread(file, 1, size - 1) != b"\n"
        data = (b"\n" if torn else b"") + line
        if os.write(file, data) != len(data):
            raise OSError(None, "the disk is full")
        os.fsync(file)
    finally:
        os.close(file)


def _answer(line: str, where: str) -> Answer:
    fix = "Correct that line or delete it; `clonewatch answer` and `clonewatch cases export-rulings` write such lines"
    try:
        row = msgspec.json.decode(line, type=_Line | _RulingLine)
    except (msgspec.MsgspecError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"this is no answer: {what}", where=where, fix=fix) from error
    if row.question not in BY_ID and not (isinstance(row, _RulingLine) and row.ruling == CONFIRMED):
        raise InputError(
            f"there is no question {row.question!r}", where=where, fix=f"{fix}. Questions: {', '.join(BY_ID)}"
        )
    if not row.accounts:
        raise InputError("this answer names no accounts", where=where, fix=fix)
    yes = isinstance(row, _RulingLine) or row.answer == "yes"
    ruled = _ruled(row, where, fix) if isinstance(row, _RulingLine) else None
    return Answer(row.question, yes, frozenset(row.accounts), row.group, row.at, row.by, row.note, ruled)


def _ruled(row: _RulingLine, where: str, fix: str) -> Ruled:
    try:
        until = date.fromisoformat(row.until).isoformat() if row.until else ""
    except ValueError as error:
        raise InputError(f"a ruling cannot end on {row.until!r}", where=where, fix=fix) from error
    return Ruled(row.ruling, row.scope, until, frozenset(row.families), row.odds_bits, row.case)
