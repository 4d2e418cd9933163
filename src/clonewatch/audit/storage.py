"""How bytes get to disk: a file is as it was or has all of its new bytes, and a line is there or it is not.

A process may be killed at any moment, and any write may fail. What a kill leaves behind is a file with the suffix
PART, which the next run of the same step replaces, or a torn last line, which the next append sets aside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, OutputError

PART = ".part"
_FIX = "Free space, or correct what prevents writing, and run the same command again"


def put(place: Path, data: bytes, mode: int = 0o644) -> None:
    """Store a file atomically, in place of an earlier one. Raises OutputError; the earlier one is then unchanged."""
    with _telling(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        whole_files.replace(place, data, mode, _part(place))


def put_new(place: Path, data: bytes, mode: int = 0o644) -> None:
    """Store a file atomically where there is none, or the same one. Raises InputError if there is another one."""
    with _telling(place):
        if place.is_file() and place.read_bytes() == data:
            _part(place).unlink(missing_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            whole_files.create(place, data, mode, _part(place))
        except FileExistsError:
            raise InputError(
                "this file exists already", where=str(place), fix="Name another: it is never overwritten"
            ) from None


def _part(place: Path) -> Path:
    return place.with_name(place.name + PART)


def append(place: Path, data: bytes, mode: int = 0o644) -> None:
    """Append bytes, on disk before this returns. Raises OutputError, and then leaves the file as it was if it can."""
    with _telling(place):
        new = not place.exists()
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode)
        try:
            before = os.fstat(handle).st_size
            try:
                whole_files.write_all(handle, data)
                _sync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
        if new:
            whole_files.sync_folder(place.parent)


def move(place: Path, to: Path) -> None:
    """Give a file another name in its folder, in place of an earlier one. Raises OutputError."""
    with _telling(to):
        place.replace(to)
        whole_files.sync_folder(to.parent)


def remove(place: Path) -> None:
    """Remove a file, if there is one. Raises OutputError."""
    with _telling(place):
        place.unlink(missing_ok=True)


def cut(place: Path, size: int) -> None:
    """Cut a file to a number of bytes. Raises OutputError."""
    with _telling(place):
        handle = os.open(place, os.O_WRONLY)
        try:
            os.ftruncate(handle, size)
            _sync(handle)
        finally:
            os.close(handle)


def _sync(handle: int) -> None:
    """Flush what was appended; not every system has the cheaper call for that."""
    getattr(os, "fdatasync", os.fsync)(handle)


@contextmanager
def _telling(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror or error}", where=str(place), fix=_FIX) from error
