"""Signals by name, so that a report can print their cards."""

from collections.abc import Iterable

from clonewatch.ports.signal import Signal


class Cards:
    """The linking signals and behavioural tests that a report knows; no two share a name."""

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self._held = {signal.name: signal for signal in signals}

    def find(self, name: str | None) -> Signal | None:
        """The signal of this name; None where this version has none."""
        return self._held.get(name or "")
