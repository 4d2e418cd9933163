"""A copy of a log in one file, which anybody can check offline: JSON lines, one spelling for every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec

from clonewatch.cases.heads import PublicKey, public_key
from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, LogError
from clonewatch.model.text_files import MOST_OF_ROWS, bytes_of

_T = TypeVar("_T")
LOG: Literal["clonewatch.log.v1"] = "clonewatch.log.v1"
WITNESS: Literal["clonewatch.witness.v1"] = "clonewatch.witness.v1"


class LogCopy(NamedTuple):
    """Everything that a log says. entries: their spellings, oldest first. heads: signed notes, oldest first."""

    key: PublicKey
    entries: Sequence[str]
    heads: Sequence[str]


class Witness(NamedTuple):
    """A head that somebody remembered apart from the log, with the key to check it."""

    key: PublicKey
    note: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.log.v1"]
    key: str
    entries: int
    heads: int


class _Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.witness.v1"]
    key: str
    head: str


def write(path: Path, log: LogCopy) -> None:
    """Write a copy of a log: a header, the entries, the heads. Raises OutputError."""
    header = _Header(LOG, log.key.text, len(log.entries), len(log.heads))
    lines = [_spelled(header), *log.entries, *(_spelled(note) for note in log.heads)]
    whole_files.write(path, "".join(f"{line}\n" for line in lines).encode(), whole_files.PRIVATE)


def read(path: Path) -> LogCopy:
    """Read a copy of a log. Raises LogError for whatever `write` does not write, InputError if it cannot be read."""
    lines = _text(path, "the copy of a log").split("\n")
    if lines.pop() or not lines:
        raise LogError("the copy ends in the middle of a line", where=str(path))
    header = _strict(lines[0], _Header, f"{path}, line 1")
    if len(lines) != 1 + header.entries + header.heads:
        said = f"the copy has {len(lines)} lines, and its header promises {1 + header.entries + header.heads}"
        raise LogError(said, where=str(path))
    first = 1 + header.entries
    notes = [_strict(line, str, f"{path}, line {first + n}") for n, line in enumerate(lines[first:], 1)]
    return LogCopy(_key(header.key, path), lines[1:first], notes)


def is_copy(path: Path) -> bool:
    """Whether a file looks like a copy of a log rather than a store."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError as error:
        raise InputError(
            f"cannot read it: {error.strerror}",
            where=str(path),
            fix="Name a store such as cases.db, or a copy that `clonewatch log export` wrote",
        ) from error


def write_witness(path: Path, witness: Witness) -> None:
    """Remember a head in a file of its own, in place of an earlier one. Raises OutputError."""
    whole_files.write(
        path, f"{_spelled(_Witness(WITNESS, witness.key.text, witness.note))}\n".encode(), whole_files.PRIVATE
    )


def read_witness(path: Path) -> Witness:
    """A remembered head. Raises LogError if it was changed, InputError if it cannot be read."""
    text = _text(path, "the witness file")
    if not text.endswith("\n"):
        raise LogError("the witness file ends in the middle of a line", where=str(path))
    held = _strict(text[:-1], _Witness, str(path))
    return Witness(_key(held.key, path), held.head)


def _key(text: str, path: Path) -> PublicKey:
    try:
        return public_key(text)
    except LogError as error:
        raise LogError(error.what, where=str(path), fix=error.fix) from error


def _strict(line: str, kind: type[_T], where: str) -> _T:
    """One line, refused unless it is spelled as we spell it."""
    try:
        held = msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise LogError(f"this line cannot be read: {error}", where=where) from error
    if _spelled(held) != line:
        raise LogError("this line is not spelled as this program spells it", where=where)
    return held


def _spelled(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _text(path: Path, what: str) -> str:
    try:
        return bytes_of(path, MOST_OF_ROWS).decode()
    except UnicodeDecodeError as error:
        raise LogError(f"{what} is no text", where=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot read {what}: {error.strerror}", where=str(path)) from error
