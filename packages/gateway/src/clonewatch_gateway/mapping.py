"""Maps a file into memory, as a copy that nobody else writes.

A file that is cut short while it is mapped ends the process that reads it (SIGBUS): a worker of the gateway. So what is
mapped is a copy: named by its content in a folder of the gateway, so that workers share it, or else without a name, for
this process alone.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import IO, BinaryIO

from clonewatch_gateway.refusal import DAMAGED, MISSING, UNREADABLE, Refused

MOST_BYTES = 8 << 30
_PIECE = 1 << 20
_SUFFIX = ".cwl"
_HOUR = 3_600


def mapped(path: Path, shared: Path | None) -> tuple[mmap.mmap, str]:
    """A file in memory, read-only, and the name of its copy. shared: folder of copies for workers. Raises Refused."""
    try:
        with path.open("rb") as file:
            if not 0 < os.fstat(file.fileno()).st_size <= MOST_BYTES:
                raise Refused(DAMAGED, f"{path.name} is empty, or far too long")
            with _shared(file, shared) if shared is not None else _own(file) as copy:
                return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ), Path(str(copy.name)).name
    except FileNotFoundError as error:
        raise Refused(MISSING, f"there is no {path.name}") from error
    except (OSError, ValueError) as error:  # ValueError: it became empty meanwhile
        raise Refused(UNREADABLE, f"{path.name} cannot be read: {error}") from error


def forget(shared: Path, kept: set[str], now: float) -> None:
    """Remove copies that are older than an hour, except some. A process that has one mapped keeps it.

    kept: names. A younger one may be what another worker is about to open.
    """
    for one in shared.glob("*"):
        with contextlib.suppress(OSError):
            if one.name not in kept and now - one.stat().st_mtime > _HOUR:
                one.unlink()


def _own(file: BinaryIO) -> BinaryIO:
    copy = tempfile.TemporaryFile()
    _copied(file, copy)
    return copy


def _shared(file: BinaryIO, folder: Path) -> BinaryIO:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as copy:
        try:
            name = _copied(file, copy.file) + _SUFFIX
            # It is found by its name from now on: its content may not be lost behind it.
            os.fsync(copy.file.fileno())
            # Two workers that copy at once write the same bytes, and one file of that name stays.
            if not (folder / name).exists():
                Path(copy.name).rename(folder / name)
        finally:
            Path(copy.name).unlink(missing_ok=True)
    return (folder / name).open("rb")


def _copied(file: BinaryIO, copy: IO[bytes]) -> str:
    """Copy a file; the SHA-256 of what was copied, in hex."""
    state = sha256()
    while piece := file.read(_PIECE):
        state.update(piece)
        copy.write(piece)
    copy.flush()
    return state.hexdigest()
