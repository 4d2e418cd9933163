"""The answers file: what was found out about groups, one JSON object a line, appended and never rewritten.

Ids of groups change from scan to scan, so an answer names the accounts that it is about.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from filelock import FileLock

from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.questions import BY_ID
from clonewatch.model.text_files import plain, text_of

SCHEMA: Literal["clonewatch.answer.v1"] = "clonewatch.answer.v1"
# An answer is about a group of which it covers at least this share of the accounts: most of them, as in `tracks`.
SAME = 0.5
_PRIVATE = 0o600  # the file names accounts


class Answer(NamedTuple):
    """One answer. group: the id of the group in the scan that it was given on. at: ISO 8601, UTC. by: a user's name."""

    question: str
    yes: bool
    accounts: frozenset[str]
    group: str
    at: str
    by: str
    note: str

    @property
    def bits(self) -> float:
        """By how many bits it moves the odds that the group is one covert operator."""
        question = BY_ID[self.question]
        return question.yes_bits if self.yes else question.no_bits


class _Line(msgspec.Struct, frozen=True):
    """A line of the file."""

    schema: Literal["clonewatch.answer.v1"]
    question: str
    answer: Literal["yes", "no"]
    accounts: list[str]
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
    row = _Line(
        SCHEMA,
        answer.question,
        "yes" if answer.yes else "no",
        sorted(answer.accounts),
        answer.group,
        answer.at,
        plain(answer.by),
        plain(answer.note),
    )
    line = msgspec.json.encode(row) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock"), mode=_PRIVATE):
            _append(path, line)
    except OSError as error:
        raise OutputError(
            f"cannot write the answer: {error.strerror or error}",
            where=str(path),
            fix="Name another file with --answers",
        ) from error


def _append(path: Path, line: bytes) -> None:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE)
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
    fix = "Correct that line or delete it; `clonewatch answer` writes such lines"
    try:
        row = msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"this is no answer: {what}", where=where, fix=fix) from error
    if row.question not in BY_ID:
        raise InputError(
            f"there is no question {row.question!r}", where=where, fix=f"{fix}. Questions: {', '.join(BY_ID)}"
        )
    if not row.accounts:
        raise InputError("this answer names no accounts", where=where, fix=fix)
    return Answer(row.question, row.answer == "yes", frozenset(row.accounts), row.group, row.at, row.by, row.note)
