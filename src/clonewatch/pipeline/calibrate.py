"""A calibration from the provider's own quiet period: the linked groups of a log that holds no attack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc

from clonewatch.adapters.reading import open_log
from clonewatch.campaigns.calibration import Calibration, Group
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.ports.progress import Progress

# What every batch of a log holds.
_REQUIRED = frozenset({"exchange_id", "ts", "account_id"})


def calibrate(settings: ScanSettings, days: int | None, progress: Progress) -> Calibration:
    """Scan a log that is known to hold no attack and keep the threshold ratios of its linked groups.

    days: length of the windows that the log is cut into, in days; None scans it as one window. Windows do not overlap,
    so that no group is counted twice for the same exchanges. A last window of less than half the length is skipped.
    """
    settings = replace(settings, out=None, calibration=None, first_flag=False, keep_text=False)
    if days:
        windows = _windows(*_span(settings, progress), days)
        scans = [scan(replace(settings, since=since, as_of=until), progress) for since, until in windows]
    else:
        scans = [scan(settings, progress)]
    groups = [Group(*row) for one in scans for row in one.summary["linked_groups"]]
    first, last = scans[0].summary["window"]["first"], scans[-1].summary["window"]["last"]
    return Calibration(groups, len(scans), f"{first[:10]} to {last[:10]}")


def _span(settings: ScanSettings, progress: Progress) -> tuple[datetime, datetime]:
    """The first and the last time in a log. Reads only the required columns."""
    mapping = Path(settings.mapping) if settings.mapping else None
    log = open_log(settings.paths, format=settings.format, mapping=mapping, limits=settings.limits)
    ends: list[tuple[datetime, datetime]] = []
    progress.start("window", log.total_bytes or None, "bytes")
    behind = 0
    for batch in log.batches(_ignore, _REQUIRED):
        if batch.num_rows:
            span = pc.min_max(batch["ts"]).as_py()
            ends.append((span["min"], span["max"]))
        progress.advance(log.bytes_done - behind, batch.num_rows)
        behind = log.bytes_done
    if not ends:
        raise InputError("no exchange could be read", where=", ".join(settings.paths[:3]), fix="Try clonewatch doctor")
    first, last = min(a for a, _ in ends), max(b for _, b in ends)
    progress.end(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}")
    return first, last


def _ignore(rows: Sequence[Rejected]) -> None:
    """Rows that cannot be read are reported by the scans of the windows."""


def _windows(first: datetime, last: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
    length = timedelta(days=days)
    while last - first >= length / 2:
        yield first, first + length
        first += length
