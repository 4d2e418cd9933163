"""The file of rejected rows: the first ones by line, and beyond a bound their number by file and reason.

A reason is longer than a hostile line, so a log could otherwise fill the disk with them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clonewatch.model.limits import DEFAULT
from clonewatch.model.read_results import Rejected

_KINDS = 1_000  # files and reasons that are counted apart
_REST = "other reasons or files"


class RejectedRows:
    """An open file of rejected rows, one JSON object per line. Its methods raise OSError.

    path: added to where it exists, unless `fresh`. most: bytes of rows that are written one by one.
    """

    def __init__(self, path: Path, *, most: int = DEFAULT.rejected, fresh: bool = False) -> None:
        self._file = path.open("w" if fresh else "a", encoding="utf-8", errors="backslashreplace")
        self._left = most
        self._beyond: Counter[tuple[str, str]] = Counter()

    def write(self, rows: Sequence[Rejected]) -> None:
        """Write rows, or only count them."""
        for place, row in enumerate(rows):
            if self._left <= 0:
                self._count(rows[place:])
                return
            line = json.dumps(row._asdict(), ensure_ascii=False) + "\n"
            self._left -= len(line)
            self._file.write(line)

    def _count(self, rows: Sequence[Rejected]) -> None:
        for row in rows:
            kind = (row.file, row.reason)
            self._beyond[kind if kind in self._beyond or len(self._beyond) < _KINDS else ("", _REST)] += 1

    def settle(self) -> None:
        """Write how many rows were only counted, the most frequent kind first; all is then on its way to the disk."""
        for (file, reason), rows in self._beyond.most_common():
            self._file.write(json.dumps({"file": file, "more": rows, "reason": reason}, ensure_ascii=False) + "\n")
        self._beyond.clear()
        self._file.flush()

    def close(self) -> None:
        """Settle, and close the file; once."""
        if self._file.closed:
            return
        try:
            self.settle()
        finally:
            self._file.close()
