"""The files of a state: where they are, and whether they are what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.state.columns import damaged
from clonewatch.state.manifest import File

PARTS = "parts"
_CHUNK = 1 << 20


def digest(path: Path, watch: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file, in hexadecimal digits. watch: called with the number of bytes of each chunk."""
    found = hashlib.sha256()
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK):
            found.update(chunk)
            watch(len(chunk))
    return found.hexdigest()


def part_path(place: Path, file: File) -> Path:
    """The path of a file of the state in folder `place`."""
    return place / PARTS / file.name


def difference(path: Path, file: File, *, watch: Callable[[int], None] = lambda _: None, whole: bool = True) -> str:
    """How a file differs from what was written, in words; empty if it does not.

    whole: compare every byte, not only the size. watch: called with the number of bytes of each chunk.
    """
    try:
        if not path.is_file():
            return "it is missing"
        if path.stat().st_size != file.size:
            return "its size differs from what was written"
        if whole and digest(path, watch) != file.sha256:
            return "its bytes differ from those that were written"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    return ""


def check_bytes(path: Path, file: File, named: Path, *, whole: bool = True) -> None:
    """Raise StateError where a file differs from what was written. named: the path for the message."""
    if what := difference(path, file, whole=whole):
        raise damaged(named, what)


def read_whole(path: Path, named: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a small file. Raises StateError where it is damaged. named: the path for the message."""
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise damaged(named, str(error)) from error
