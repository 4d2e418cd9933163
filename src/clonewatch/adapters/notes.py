"""The messages of a reader, next to its rows."""

from __future__ import annotations

from clonewatch.model.read_results import Dropped


class Notes:
    """What is said about one input. warnings: sentences, each at most once. dropped: values left out.

    units: of the numbers in columns of times and durations, as decided by the first ones.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.dropped = Dropped()
        self.units: dict[str, str] = {}

    def warn(self, sentence: str) -> None:
        """Add a sentence unless it is already there."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def unknown(self, columns: list[str]) -> None:
        """Add a warning about columns that were not read."""
        if columns:
            shown = ", ".join(c if c.isprintable() and len(c) <= 64 else "(unprintable)" for c in columns[:20])
            self.warn(f"columns not read: {shown}{', ...' if len(columns) > 20 else ''}")
