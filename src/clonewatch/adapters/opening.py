"""Files of a log as streams: opened, named for messages, told from pipes, and measured when they have been read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from clonewatch.adapters.inputs import STANDARD_INPUT
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Measured
from clonewatch.model.text_files import plain
from clonewatch.ports.adapter import Source


def opened(path: Path) -> Stream:
    """The decompressed bytes of a file, or of standard input. Raises InputError."""
    if str(path) == STANDARD_INPUT:
        return Stream(Tally(sys.stdin.buffer, None))
    with readable(path):
        raw = path.open("rb")
        return Stream(Tally(raw, None if is_pipe(path) else path.stat().st_size))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the error of an unreadable file into one that says what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(
            "cannot be read", where=str(path), fix=f"Check its permissions ({type(error).__name__})"
        ) from error


def source_of(path: Path, stream: Stream, columns: frozenset[str] | None = None) -> Source:
    """A stream as an adapter reads it."""
    return Source(named(path), cast(BinaryIO, stream), None if is_pipe(path) else str(path), columns)


def named(path: Path) -> str:
    """The name of a file in results and messages."""
    return str(plain(str(path)))


def is_pipe(path: Path) -> bool:
    """Standard input, a named pipe or the shell's <(...): they can be read only once and have no size."""
    return str(path) == STANDARD_INPUT or not path.is_file()


def measured(name: str, tally: Tally, form: str, read: int, rejected: int) -> Measured:
    """The counts of a file that has been read."""
    digest = tally.sha256  # reads the rest that the adapter did not read, so that the count below is complete
    return Measured(name, tally.done, digest, form, read, rejected)
