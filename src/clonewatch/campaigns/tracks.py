"""The same group over several scans: tracked by its accounts, with its e-value averaged over all scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clonewatch.campaigns.calibration import averaged, e_bh
from clonewatch.kernels.overlap import continued, overlaps


class Sighting(NamedTuple):
    """A linked group in one scan. scan: index of the scan in order. e_value: 0 for a group below the threshold."""

    scan: int
    group: str
    accounts: frozenset[str]
    e_value: float
    flagged: bool


class Track(NamedTuple):
    """One group over several scans. e_value: the mean over all scans, 0 where it is absent. kept: by e-BH."""

    sightings: tuple[Sighting, ...]
    e_value: float
    kept: bool

    @property
    def accounts(self) -> frozenset[str]:
        """Every account that was ever in it."""
        return frozenset().union(*(s.accounts for s in self.sightings))


def track(sightings: Sequence[Sighting], scans: int, q: float) -> list[Track]:
    """Groups tracked over scans, those with the largest mean e-value first.

    scans: number of scans, including those without a group. q: bound on the false discovery rate over all groups
    together, 0..1. A group continues the track whose last sighting has the most accounts in common with it. One group
    per scan continues a track, and a group that splits off starts its own.

    The mean of e-values is an e-value however much the scans overlap (Vovk and Wang 2021), and e-BH holds under any
    dependence (Wang and Ramdas 2022). The maximum over scans is not an e-value, so a track's best scan proves nothing.

    >>> ring = frozenset("abcd")
    >>> seen = [Sighting(0, "C0001", ring, 0.0, False), Sighting(1, "C0002", ring | {"e"}, 90.0, True)]
    >>> [(len(t.sightings), t.e_value, t.kept) for t in track(seen, 3, 0.05)]
    [(2, 30.0, True)]
    """
    paths: list[list[Sighting]] = []
    for scan in sorted({s.scan for s in sightings}):
        here = sorted((s for s in sightings if s.scan == scan), key=lambda s: s.group)
        place = continued(overlaps([path[-1].accounts for path in paths], [s.accounts for s in here]))
        for i, s in enumerate(here):
            if i in place:
                paths[place[i]].append(s)
        paths += [[s] for i, s in enumerate(here) if i not in place]
    values = [averaged([s.e_value for s in path] + [0.0] * (scans - len(path))) for path in paths]
    kept = e_bh(values, q)
    found = [Track(tuple(path), values[i], i in kept) for i, path in enumerate(paths)]
    return sorted(found, key=lambda t: (-t.e_value, t.sightings[0].scan, t.sightings[0].group))
