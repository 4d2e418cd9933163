"""What gateways are told: the decisions of the list that is in a folder, with how many accounts each is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clonewatch.policy.publishing import DELTA_NAME, SNAPSHOT_NAME, File, places, read_file
from clonewatch.policy.watch_list_file import LIFTED, halves


class Decision(NamedTuple):
    """An entry of a list, and how many accounts it is about."""

    entry: Mapping[str, Any]
    accounts: int


class InPlace(NamedTuple):
    """The list of a folder. issued, valid_until: seconds since 1970. Its signature is for gateways to check."""

    name: str
    serial: int
    issued: int
    valid_until: int
    decisions: list[Decision]


def in_place(folder: Path) -> InPlace | None:
    """The list of a folder; None where nothing was published yet. Raises InputError for what is no list."""
    snapshot = read_file(folder / SNAPSHOT_NAME)
    if snapshot is None:
        return None
    delta = read_file(folder / DELTA_NAME)
    if delta and (delta.header["base"], delta.header["base_body"]) != (
        snapshot.header["serial"],
        snapshot.header["body_sha256"],
    ):
        delta = None  # to another snapshot, which comes or went
    newest = delta or snapshot
    changes = newest.header["changes"]
    entries = [changes.get(str(number), one) for number, one in enumerate(snapshot.header["entries"])]
    found = _counted(snapshot, entries, _apart(snapshot, delta))
    if delta:
        found += _counted(delta, delta.header["entries"], np.zeros(len(delta.held.numbers), bool))
    head = newest.header
    return InPlace(head["list"], head["serial"], head["issued"], head["valid_until"], found)


def _apart(snapshot: File, delta: File | None) -> Any:
    """Which accounts of a snapshot a delta says something else about."""
    if delta is None:
        return np.zeros(len(snapshot.held.numbers), bool)
    return places(halves(snapshot.held.hashes), halves(delta.held.hashes)) >= 0


def _counted(file: File, entries: list[Mapping[str, Any] | None], apart: Any) -> list[Decision]:
    numbers = file.held.numbers[~apart]
    counts = np.bincount(numbers[numbers != LIFTED].astype(np.int64), minlength=len(entries))
    return [Decision(one, int(n)) for one, n in zip(entries, counts.tolist(), strict=False) if one is not None and n]
