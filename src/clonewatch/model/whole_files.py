"""Files written whole or not at all, whenever the process is killed or the disk is full.

The bytes go to a file of another name, which is synced, given its name, and its folder synced too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from errno import EEXIST
from pathlib import Path

from clonewatch.model.errors import OutputError

PRIVATE = 0o600  # the mode of a file for its owner only
PUBLIC = 0o666  # of one that others may read, as far as the process lets them


def write(path: Path, data: bytes, mode: int = PUBLIC, what: str = "the file") -> None:
    """Write a file in place of an earlier one. what: it is, for messages. Raises OutputError."""
    try:
        replace(path, data, mode)
    except OSError as error:
        raise OutputError(
            f"cannot write {what}: {error.strerror or error}", where=str(path), fix="Free some space, or name another"
        ) from error


def replace(path: Path, data: bytes, mode: int = PUBLIC, aside: Path | None = None) -> None:
    """Write a file in place of an earlier one. Raises OSError; the earlier one is then unchanged.

    aside: the other name, where a lock keeps other processes out: what a killed one left there is replaced. None for a
    new name; processes that write at once then each replace the file, and the last one stays. A device or a pipe is
    never replaced: those who use it would not find it again.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(EEXIST, "there is something else than a file", str(path))
    with _aside(path, data, mode, aside) as draft:
        draft.replace(path)


def create(path: Path, data: bytes, mode: int = PRIVATE, aside: Path | None = None) -> None:
    """Write a file where there is none. Raises FileExistsError where there is one, which is unchanged, and OSError."""
    with _aside(path, data, mode, aside) as draft:
        os.link(draft, path)
        draft.unlink()


@contextlib.contextmanager
def _aside(path: Path, data: bytes, mode: int, aside: Path | None) -> Iterator[Path]:
    """The data in a file of another name, on disk; whoever asked gives it its name."""
    draft = aside or path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        yield draft
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def write_all(handle: int, data: bytes) -> None:
    """Write every byte to an open file. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises OSError."""
    if os.name != "posix":  # elsewhere a folder cannot be opened, and its entries need no flush
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
