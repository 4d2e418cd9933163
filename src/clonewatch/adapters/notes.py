"""The messages of a reader, next to its rows."""

from __future__ import annotations

from typing import Protocol

from clonewatch.model.read_results import Dropped


class Watcher(Protocol):
    """Something that watches what is read, and has something to say at the end."""

    def sentences(self) -> list[str]:
        """What to say."""
        ...


class Notes:
    """What is said about one input. dropped: values left out. watch: of the paths that a field map names.

    units: of the numbers in columns of times and durations, as decided by the first ones.
    """

    def __init__(self) -> None:
        self._said: list[str] = []
        self.watch: Watcher | None = None
        self.dropped = Dropped()
        self.units: dict[str, str] = {}

    def warn(self, sentence: str) -> None:
        """Add a sentence unless it is already there."""
        if sentence not in self._said:
            self._said.append(sentence)

    @property
    def warnings(self) -> list[str]:
        """What was said, and what a watcher says."""
        return [*self._said, *(self.watch.sentences() if self.watch is not None else ())]

    def unknown(self, columns: list[str]) -> None:
        """Add a warning about columns that were not read."""
        if columns:
            shown = ", ".join(c if c.isprintable() and len(c) <= 64 else "(unprintable)" for c in columns[:20])
            self.warn(f"columns not read: {shown}{', ...' if len(columns) > 20 else ''}")
