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


def check_bytes(path: Path, file: File, named: Path) -> None:
    """Raise StateError where a file differs from what was written. named: the path for the message."""
    try:
        check_size(path, file, named)
        found = digest(path)
    except OSError as error:
        raise damaged(named, f"it cannot be read ({error.strerror or error})") from error
    if found != file.sha256:
        raise damaged(named, "its bytes differ from those that were written")


def read_whole(path: Path, named: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a small file. Raises StateError where it is damaged. named: the path for the message."""
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise damaged(named, str(error)) from error


def check_size(path: Path, file: File, named: Path) -> None:
    """Raise StateError where a file is missing or has another size. named: the path for the message."""
    if not path.is_file():
        raise damaged(named, "it is missing")
    if path.stat().st_size != file.size:
        raise damaged(named, "its size differs from what was written")
