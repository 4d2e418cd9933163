"""The messages of a reader, next to its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from clonewatch.model.read_results import Dropped

# A sentence about more files than this names only the first of them.
_FILES_NAMED = 3


class Watcher(Protocol):
    """Something that watches what is read, and has something to say at the end."""

    def sentences(self) -> list[str]:
        """What to say."""
        ...


class Notes:
    """What is said about one input. dropped: values left out. watch: of the paths that a field map names.

    units: of the numbers in columns of times and durations, as decided by the first ones. ended: why reading ended
    before the end of the file, empty if it did not.
    """

    def __init__(self) -> None:
        self._said: list[str] = []
        self.watch: Watcher | None = None
        self.dropped = Dropped()
        self.units: dict[str, str] = {}
        self.ended = ""

    def warn(self, sentence: str) -> None:
        """Add a sentence unless it is already there."""
        if sentence not in self._said:
            self._said.append(sentence)

    def end(self, why: str) -> None:
        """Reading ends here, before the end of the file."""
        self.ended = self.ended or why
        self.warn(f"{why}; the rows before that were read")

    @property
    def warnings(self) -> list[str]:
        """What was said, and what a watcher says."""
        return [*self._said, *(self.watch.sentences() if self.watch is not None else ())]

    def unknown(self, columns: list[str]) -> None:
        """Add a warning about columns that were not read."""
        if columns:
            shown = ", ".join(c if c.isprintable() and len(c) <= 64 else "(unprintable)" for c in columns[:20])
            self.warn(f"columns not read: {shown}{', ...' if len(columns) > 20 else ''}")


def together(noted: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences about files, each after the name of its file; one about many files appears once.

    >>> together([("a", "empty"), ("b", "empty"), ("a", "torn")])
    ['a: empty', 'b: empty', 'a: torn']
    """
    files: dict[str, list[str]] = {}
    for name, sentence in noted:
        files.setdefault(sentence, []).append(name)
    return [
        f"{name}: {sentence}"
        for sentence, names in files.items()
        for name in (names if len(names) <= _FILES_NAMED else [f"{names[0]} and {len(names) - 1:,} more files"])
    ]
