"""Finds the first hour at which a scan would have flagged a campaign, by detecting again on the log up to that hour."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.calibration import Calibration
from clonewatch.pipeline.detection.detect import detect
from clonewatch.pipeline.detection.stages import Calibrated
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.progress import Progress, Silent

_HOUR = 3_600_000_000
# An earlier group counts as the campaign when at least this share of its accounts belongs to the campaign.
_SAME = 0.5


def first_flags(
    runner: StepRunner, found: Calibrated, seed: int, calibration: Calibration, progress: Progress
) -> dict[int, int]:
    """Flagged cluster -> the earliest hour, in microseconds since 1970, at which a scan would have flagged it.

    Bisects the time of its harvest, which assumes that a campaign stays flagged once it is: one that was flagged, and
    then was not for a while, may get a later hour. Only exchanges and events before the hour are used; account facts
    are those of today.
    """
    members = _members(runner, found)
    spans = runner.engine.fetch(
        "SELECT cluster, MIN(ts) AS first, MAX(ts) AS last FROM posteriors WHERE posterior >= 0.5 GROUP BY cluster"
    )
    seen: dict[int, list[set[int]]] = {}
    first: dict[int, int] = {}
    progress.start("first flags", None, "hours")
    for row in sorted(spans.to_pylist(), key=lambda r: int(r["cluster"])):
        mine = members.get(row["cluster"])
        if not mine:
            continue
        low, high = row["first"] // _HOUR, row["last"] // _HOUR + 1
        while high - low > 1:
            hour = (low + high) // 2
            if hour not in seen:
                seen[hour] = _flagged_by(runner, hour * _HOUR, seed, calibration)
                progress.advance(1, 1)
            if any(len(group & mine) >= _SAME * len(group) for group in seen[hour]):
                high = hour
            else:
                low = hour
        first[row["cluster"]] = high * _HOUR
    progress.end(f"{len(seen)} earlier hours examined")
    return first


def _members(runner: StepRunner, found: Calibrated) -> dict[int, set[int]]:
    """Accounts of every flagged cluster."""
    flagged = pa.array([v.cluster for v in found.verdicts if v.flagged], pa.int32())
    groups = found.judged.merged.clustering.clusters.groups
    inside = groups.filter(pc.is_in(groups["cluster"], flagged)).select(["cluster", "entity"])
    table = inside.join(runner.engine.fetch("SELECT entity, account FROM owners"), "entity", join_type="inner")
    out: dict[int, set[int]] = {}
    for cluster, account in zip(table["cluster"].to_pylist(), table["account"].to_pylist(), strict=True):
        out.setdefault(cluster, set()).add(account)
    return out


def _flagged_by(runner: StepRunner, ts: int, seed: int, calibration: Calibration) -> list[set[int]]:
    """Accounts of every cluster that a scan at that time would have flagged."""
    engine = runner.engine
    with engine.aside():
        for table in ("exchanges", "events"):
            rows = engine.store(table, f"SELECT * FROM {table} WHERE ts < $ts", {"ts": ts})
            if table == "exchanges" and not rows:
                return []
        earlier = StepRunner(engine, ("exchanges", "accounts", "events"))
        found = detect(earlier, seed, calibration, Silent())
        return list(_members(earlier, found).values())
