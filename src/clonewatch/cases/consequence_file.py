"""Consequences as a file that other systems follow: one JSON line for each measure applied or taken back."""

from __future__ import annotations

import json
import os
from pathlib import Path

from clonewatch.model.errors import OutputError
from clonewatch.ports.consequences import Consequence

_PRIVATE = 0o600
_NAME_LENGTH = 40


class ConsequenceFile:
    """Appends every consequence to a file that only its owner can read. Each is on the disk before it is recorded.

    name: after the file, so another file begins at the beginning. A line that a crash cut short is ended by the next
    run, and its consequence is written again.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"file {path.name}"[:_NAME_LENGTH]
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE)
            with os.fdopen(handle, "r+b", buffering=0) as file:
                if file.seek(0, os.SEEK_END) and not self._ends(path):
                    file.write(b"\n")
        except OSError as error:
            raise OutputError(f"cannot write: {error.strerror}", where=str(path)) from error

    @staticmethod
    def _ends(path: Path) -> bool:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def apply(self, consequence: Consequence) -> None:
        """Write that a measure stands."""
        self._append("apply", consequence)

    def take_back(self, consequence: Consequence) -> None:
        """Write that none does."""
        self._append("take_back", consequence)

    def _append(self, what: str, consequence: Consequence) -> None:
        line = json.dumps({"what": what, **consequence._asdict()}, ensure_ascii=False)
        with self.path.open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())
            os.fsync(file.fileno())
