"""A calibration from the operator's own quiet period: the linked groups of logs that hold no attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from clonewatch.campaigns.calibration import Calibration, Group
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.ports.progress import Progress


def calibrate(settings: ScanSettings, days: int | None, progress: Progress) -> Calibration:
    """Scan a log that is known to hold no attack and keep the margins of its linked groups.

    days: length of the windows it is cut into, in days; None takes it whole. Windows do not overlap, so that no group
    is counted twice for the same exchanges. A last window of less than half the length is left out.
    """
    settings = replace(settings, out=None, calibration=None, replay=False, keep_text=False)
    whole = scan(settings, progress)
    scans = [whole]
    if days:
        first, last = (datetime.fromisoformat(whole.summary["window"][end]) for end in ("first", "last"))
        scans = [
            scan(replace(settings, since=start, as_of=start + timedelta(days=days)), progress)
            for start in _starts(first, last, days)
        ]
    groups = [Group(*row) for one in scans for row in one.summary["linked_groups"]]
    window = whole.summary["window"]
    return Calibration(groups, len(scans), f"{window['first'][:10]} to {window['last'][:10]}")


def _starts(first: datetime, last: datetime, days: int) -> Iterator[datetime]:
    start = first
    while last - start >= timedelta(days=days) / 2:
        yield start
        start += timedelta(days=days)
