"""Channels by kind and name, so that a report can print their cards."""

from collections.abc import Iterable

from clonewatch.ports.signal import Signal


class Cards:
    """The channels a report knows; a linking and an intent channel may bear the same name."""

    def __init__(self, channels: Iterable[Signal] = ()) -> None:
        self._held = {(channel.kind, channel.name): channel for channel in channels}

    def find(self, kind: str | None, name: str | None) -> Signal | None:
        """The channel of this kind and name; evidence against names no kind, and gets its intent channel first."""
        for asked in (kind or "", "behaviour", "link"):
            found = self._held.get((asked, name or ""))
            if found is not None:
                return found
        return None
