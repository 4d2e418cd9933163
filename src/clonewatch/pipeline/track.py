"""Several scans read back as sightings of the same groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.campaigns.tracks import Sighting, Track, track
from clonewatch.model.errors import InputError

_FIX = "Give folders that `clonewatch scan --out` wrote, one for each window."


def track_scans(folders: Sequence[Path]) -> tuple[list[Track], list[str], float]:
    """The groups of several scans followed over time: tracks, the scans in order of their windows, and the bound.

    The bound on the false discovery rate is the widest that one of the scans had to use. Raises InputError where a
    folder holds no scan, two have the same window, or a scan has no e-values.
    """
    if len(folders) < 2:
        raise InputError("one scan has nothing to be followed to", where=str(folders[0]) if folders else "", fix=_FIX)
    told = sorted(((_summary(folder), folder) for folder in folders), key=lambda pair: _window(*pair))
    for (before, one), (after, other) in pairwise(told):
        if _window(before, one) == _window(after, other):
            raise InputError(f"the same window as {one.name}", where=str(other), fix="Leave one of the two out.")
    sightings = [s for place, (_, folder) in enumerate(told) for s in _sightings(place, folder)]
    bound = max(float(summary["thresholds"]["false_discoveries"]) for summary, _ in told)
    return track(sightings, len(told), bound), [str(folder) for _, folder in told], bound


def _summary(folder: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((folder / "scan.json").read_text(encoding="utf-8"))
        float(told["thresholds"]["false_discoveries"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"no finished scan of this version: {error}", where=str(folder), fix=_FIX) from error
    return told


def _window(summary: dict[str, Any], folder: Path) -> tuple[str, str]:
    try:
        return str(summary["window"]["last"]), str(summary["window"]["first"])
    except (KeyError, TypeError) as error:
        raise InputError("a scan without a window", where=str(folder), fix=_FIX) from error


def _sightings(place: int, folder: Path) -> list[Sighting]:
    try:
        campaigns = pq.read_table(folder / "campaigns.parquet", columns=["campaign_id", "e_value", "flagged"])
        members = pq.read_table(folder / "members.parquet", columns=["campaign_id", "account_id", "role"])
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise InputError(f"cannot read the tables of a scan: {error}", where=str(folder), fix=_FIX) from error
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
