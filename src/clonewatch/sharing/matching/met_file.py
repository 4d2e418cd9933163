"""Files of meetings: which groups of ours met which of a peer's, one JSON object a line, for their owner only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.text_files import bytes_of
from clonewatch.sharing.matching.sightings import Met, Sighting

SCHEMA: Literal["clonewatch.met.v1"] = "clonewatch.met.v1"


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.met.v1"]
    peer: str
    group: str
    ours: Sighting
    theirs: Sighting


def append(path: Path, met: Iterable[Met]) -> None:
    """Add meetings to a file, on the disk when it returns. Raises OutputError."""
    rows = [msgspec.json.encode(_Row(SCHEMA, *one)) + b"\n" for one in met]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock"), mode=0o600):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, whole_files.PRIVATE)
            try:
                whole_files.write_all(handle, b"".join(rows))
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write what was seen: {error.strerror}", where=str(path)) from error


def read(paths: Sequence[Path]) -> list[Met]:
    """The meetings of several files; the last word of a peer about a group counts. Raises InputError."""
    found: dict[tuple[str, str, str], Met] = {}
    for path in paths:
        try:
            lines = bytes_of(path, pipes=False).splitlines()
        except OSError as error:
            raise InputError(f"cannot read what was seen: {error.strerror}", where=str(path)) from error
        for number, line in enumerate(lines, 1):
            try:
                row = msgspec.json.decode(line, type=_Row)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                row = None
            if row is None or row.ours.fault() or row.theirs.fault():
                raise InputError("this line is no meeting of two groups", where=f"{path}:{number}")
            found[row.peer, row.group, row.theirs.id] = Met(row.peer, row.group, row.ours, row.theirs)
    return list(found.values())
