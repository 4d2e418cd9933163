"""Reads several scans back and follows their groups over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from clonewatch.campaigns.tracks import Sighting, Track, track
from clonewatch.model.errors import InputError
from clonewatch.pipeline.scan_result import read_summary, read_table

_FIX = "Pass folders that `clonewatch scan --out` wrote, one per window."


def track_scans(folders: Sequence[Path]) -> tuple[list[Track], list[str], float]:
    """Follow the groups of several scans over time: tracks, the scans in order of their windows, and the bound.

    The bound on the false discovery rate is the widest that any of the scans used. Raises InputError where a folder
    holds no scan, two scans have the same window, or a scan has no e-values.
    """
    if len(folders) < 2:
        raise InputError("tracking needs at least two scans", where=str(folders[0]) if folders else "", fix=_FIX)
    scans = sorted(((_summary(folder), folder) for folder in folders), key=lambda pair: _window(*pair))
    for (before, one), (after, other) in pairwise(scans):
        if _window(before, one) == _window(after, other):
            raise InputError(
                f"this scan has the same window as {one.name}", where=str(other), fix="Leave out one of the two."
            )
    sightings = [s for place, (_, folder) in enumerate(scans) for s in _sightings(place, folder)]
    bound = max(float(summary["thresholds"]["false_discoveries"]) for summary, _ in scans)
    return track(sightings, len(scans), bound), [str(folder) for _, folder in scans], bound


def _summary(folder: Path) -> dict[str, Any]:
    summary = read_summary(folder)
    try:
        float(summary["thresholds"]["false_discoveries"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"there is no finished scan of this version: {error}", where=str(folder), fix=_FIX) from error
    return summary


def _window(summary: dict[str, Any], folder: Path) -> tuple[str, str]:
    try:
        return str(summary["window"]["last"]), str(summary["window"]["first"])
    except (KeyError, TypeError) as error:
        raise InputError("the scan has no window", where=str(folder), fix=_FIX) from error


def _sightings(place: int, folder: Path) -> list[Sighting]:
    campaigns, members = (read_table(folder, name) for name in ("campaigns", "members"))
    accounts: dict[str, set[str]] = {}
    for row in members.to_pylist():
        if row["role"] != "proxy_customer":
            accounts.setdefault(row["campaign_id"], set()).add(row["account_id"])
    return [
        Sighting(
            place,
            row["campaign_id"],
            frozenset(accounts.get(row["campaign_id"], ())),
            float(row["e_value"] or 0.0),
            bool(row["flagged"]),
        )
        for row in campaigns.to_pylist()
    ]
