"""The same group in several scans: followed by its accounts, and its e-values averaged over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clonewatch.campaigns.calibration import averaged, e_bh

# A group is the one seen before when at least this share of the smaller one's accounts is in both.
SAME = 0.5


class Sighting(NamedTuple):
    """A linked group in one scan. scan: its place in the order of scans. e_value: at the threshold, 0 below it."""

    scan: int
    group: str
    accounts: frozenset[str]
    e_value: float
    flagged: bool


class Track(NamedTuple):
    """One group over several scans. e_value: the mean over all scans, those without it counting 0. kept: by e-BH."""

    sightings: tuple[Sighting, ...]
    e_value: float
    kept: bool

    @property
    def accounts(self) -> frozenset[str]:
        """Every account that was in it."""
        return frozenset().union(*(s.accounts for s in self.sightings))


def track(sightings: Sequence[Sighting], scans: int, q: float) -> list[Track]:
    """Groups followed over scans, those with the largest mean e-value first.

    scans: how many there were, groups in them or not. q: bound on the false discovery rate over all groups together,
    0..1. A scan's group carries on the track whose last sighting has most of its accounts; a track is carried on by one
    group a scan, and whatever splits off begins a track of its own.

    The mean of e-values is an e-value however much the scans overlap (Vovk and Wang 2021); e-BH holds under any
    dependence (Wang and Ramdas 2022). The largest over scans would be neither, and a track's best scan proves nothing.

    >>> ring = frozenset("abcd")
    >>> seen = [Sighting(0, "C0001", ring, 0.0, False), Sighting(1, "C0002", ring | {"e"}, 90.0, True)]
    >>> [(len(t.sightings), t.e_value, t.kept) for t in track(seen, 3, 0.05)]
    [(2, 30.0, True)]
    """
    paths: list[list[Sighting]] = []
    for scan in sorted({s.scan for s in sightings}):
        here = [s for s in sightings if s.scan == scan]
        pairs = sorted((-_alike(path[-1], s), place, s.group, s) for s in here for place, path in enumerate(paths))
        taken: set[int] = set()
        placed: set[str] = set()
        for minus, place, group, s in pairs:
            if -minus >= SAME and place not in taken and group not in placed:
                paths[place].append(s)
                taken.add(place)
                placed.add(group)
        paths += [[s] for s in here if s.group not in placed]
    values = [averaged([s.e_value for s in path] + [0.0] * (scans - len(path))) for path in paths]
    kept = e_bh(values, q)
    found = [Track(tuple(path), values[i], i in kept) for i, path in enumerate(paths)]
    return sorted(found, key=lambda t: (-t.e_value, t.sightings[0].scan, t.sightings[0].group))


def _alike(a: Sighting, b: Sighting) -> float:
    """Share of the smaller group's accounts that are in both (Szymkiewicz and Simpson's overlap)."""
    return len(a.accounts & b.accounts) / max(1, min(len(a.accounts), len(b.accounts)))
