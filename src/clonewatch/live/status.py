"""What a worker did, as a small file in the spool: the process that answers over HTTP reads it for its figures."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from clonewatch.live.spool import Arrived
from clonewatch.model import whole_files

NAME = "worker.json"
HOUR = 60  # minutes that are kept
# Seconds; the last one holds everything else.
BUCKETS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, float("inf"))


class Waits(msgspec.Struct):
    """How long rows waited: how many by bucket, the sum in seconds."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * len(BUCKETS))
    total: float = 0.0

    def add(self, waits: Mapping[float, int]) -> None:
        """Count rows by the seconds that they waited."""
        for wait, rows in waits.items():
            self.counts[bisect_left(BUCKETS, wait)] += rows
            self.total += wait * rows


class Status(msgspec.Struct):
    """Counts since the worker began.

    to_state, to_effect: waits from arrival until rows are in the state, and until a look has seen them and its watch
    list is published. taken_at, looked_at: seconds since 1970, 0 for never. serial, listed: of the watch list.
    grown: accounts that joined groups since the last look. newest: when the newest row in the state arrived, in seconds
    since 1970. minutes: rows in the state by the minute since 1970 in which they arrived, of the last hour.
    problem: what the worker waits for, in words; "" for nothing.
    """

    batches: int = 0
    exchanges: int = 0
    repeated: int = 0
    rejected: int = 0
    set_aside: int = 0
    failures: int = 0
    accounts: int = 0
    looks: int = 0
    flagged: int = 0
    look_seconds: float = 0.0
    taken_at: float = 0.0
    looked_at: float = 0.0
    serial: int = 0
    listed: int = 0
    grown: int = 0
    newest: float = 0.0
    minutes: dict[int, int] = {}
    problem: str = ""
    to_state: Waits = msgspec.field(default_factory=Waits)
    to_effect: Waits = msgspec.field(default_factory=Waits)

    def arrived(self, times: Iterable[Arrived]) -> None:
        """Count rows that came into the state."""
        for one in times:
            minute = int(one.at // 60)
            self.minutes[minute] = self.minutes.get(minute, 0) + one.rows
            self.newest = max(self.newest, one.at)
        last = int(self.newest // 60)
        for minute in [held for held in self.minutes if not last - HOUR < held <= last]:
            del self.minutes[minute]

    def write(self, place: Path) -> None:
        """Write it into a spool; a full disk only makes it old."""
        try:
            whole_files.replace(place / NAME, msgspec.json.encode(self), whole_files.PRIVATE)
        except OSError:
            self.failures += 1


def read(place: Path) -> Status:
    """The status of the worker of a spool; an empty one where there is none."""
    try:
        return msgspec.json.decode((place / NAME).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return Status()
