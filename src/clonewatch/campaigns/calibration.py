"""How often calibration groups come as close to a flag: p-values, e-values, and which groups are flagged together.

Random accounts are the wrong null, because every app is a community. The null used here is the linked groups that the
same detection finds in logs without an attack: simulated ones that ship with the program, or a quiet period of the
provider's own.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError
from clonewatch.model.text_files import json_of, text_of

SCHEMA = "clonewatch.calibration.v1"
# Groups of similar size and trust are compared with each other (Mondrian), as long as there are this many of them.
_SIZES = (20, 80)
_ENOUGH = 100
# False discoveries allowed among the flagged groups of a scan.
FALSE_DISCOVERIES = 0.05
# Where there are too few calibration groups for that bound, the tightest one that they allow is used, up to this.
_WIDEST_BOUND = 0.25
# The threshold ratio from which a group meets all criteria. Fixed in advance, so that the share of calibration groups
# beyond it makes an e-value.
THRESHOLD = 1.0


class Group(NamedTuple):
    """A linked group as calibration sees it: the source of trust, the number of entities, the threshold ratio."""

    trust: str
    entities: int
    threshold_ratio: float


class CalibratedGroup(NamedTuple):
    """A group's threshold ratio compared with the calibration groups.

    p_value: chance that a calibration group comes as close to a flag. e_value: evidence that may be averaged over days.
    n: calibration groups it was compared with, 0 where there were none. stratum: which ones. kept: the group survives
    the bound on false discoveries among all groups of the scan.
    """

    p_value: float | None
    e_value: float | None
    n: int
    stratum: str
    kept: bool


class Calibration:
    """Threshold ratios of calibration groups, by stratum.

    >>> calibration = Calibration([Group("declared", 30, m / 100) for m in range(199)])
    >>> calibration.calibrate([Group("declared", 25, 2.0)])[0].p_value
    0.005
    """

    def __init__(self, groups: Iterable[Group], logs: int = 0, source: str = "") -> None:
        self.groups = sorted(groups)
        self.logs, self.source = logs, source
        self._ratios: dict[str, list[float]] = {}
        for group in self.groups:
            for name in _strata(group):
                self._ratios.setdefault(name, []).append(group.threshold_ratio)
        for ratios in self._ratios.values():
            ratios.sort()

    def calibrate(self, found: Sequence[Group], q: float = FALSE_DISCOVERIES) -> list[CalibratedGroup]:
        """Compare every group of a scan. q: bound on the false discovery rate, 0..1."""
        strata = [self._stratum(group) for group in found]
        # E-values use all groups of the same trust: only few are beyond the threshold, whatever their size.
        values = [e_value(g.threshold_ratio, self._ratios.get(self._trust_stratum(g), ())) for g in found]
        kept = e_bh(values, self.bound(found, q))
        out = []
        for i, (group, stratum) in enumerate(zip(found, strata, strict=True)):
            ratios = self._ratios.get(stratum, [])
            p = p_value(group.threshold_ratio, ratios) if ratios else None
            out.append(CalibratedGroup(p, values[i] if ratios else None, len(ratios), stratum, i in kept))
        return out

    def bound(self, found: Sequence[Group], q: float = FALSE_DISCOVERIES) -> float:
        """The false discovery rate that can be bounded: q, or what the number of calibration groups allows.

        With n calibration groups, none beyond the threshold, one group of K passes e-BH only where q is at least K / (n
        + 1).
        """
        known = [len(self._ratios.get(self._trust_stratum(group), ())) for group in found]
        return min(max(q, _WIDEST_BOUND), max([q, *(len(found) / (n + 1) for n in known)]))

    def _trust_stratum(self, group: Group) -> str:
        """The stratum of all groups of the same trust, or of all groups where those are too few."""
        return next((n for n in _strata(group)[1:] if len(self._ratios.get(n, ())) >= _ENOUGH), "any")

    def _stratum(self, group: Group) -> str:
        """The narrowest stratum with enough groups, or the widest where none has enough."""
        names = _strata(group)
        return next((n for n in names if len(self._ratios.get(n, ())) >= _ENOUGH), names[-1])

    def describe(self) -> dict[str, Any]:
        """The calibration as `scan.json` shows it."""
        return {
            "source": self.source,
            "logs": self.logs,
            "groups": len(self.groups),
            "beyond_threshold": sum(g.threshold_ratio >= THRESHOLD for g in self.groups),
            "strata": {name: len(m) for name, m in sorted(self._ratios.items())},
        }

    def write(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write it to a JSON file. about: where it came from, as far as is known. Raises OutputError."""
        rows = [[g.trust, g.entities, round(g.threshold_ratio, 4)] for g in self.groups]
        head = json.dumps({"schema": SCHEMA, "source": self.source, "logs": self.logs, "about": dict(about)})
        body = ",\n".join(json.dumps(row) for row in rows)
        whole_files.write(path, f'{head[:-1]}, "groups": [\n{body}\n]}}\n'.encode(), what="the calibration")


def shipped() -> Calibration:
    """The calibration that ships with the program: linked groups of simulated logs without an attack."""
    return _parse((files("clonewatch.campaigns") / "calibration_groups.json").read_text(encoding="utf-8"), "shipped")


def read(path: Path) -> Calibration:
    """A calibration that `clonewatch calibrate` wrote, together with the shipped one. Raises InputError.

    A stratum with enough groups of the provider's own uses only those; the others are filled up with shipped groups.
    """
    try:
        own = _parse(text_of(path), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the calibration: {error}",
            where=str(path),
            fix="Give a file that `clonewatch calibrate` wrote.",
        ) from error
    counts: dict[str, int] = {}
    for group in own.groups:
        counts[_strata(group)[0]] = counts.get(_strata(group)[0], 0) + 1
    filled = [g for g in shipped().groups if counts.get(_strata(g)[0], 0) < _ENOUGH]
    return Calibration([*own.groups, *filled], own.logs, f"{path.name}, filled up with shipped groups")


def _parse(text: str, where: str) -> Calibration:
    try:
        document: Any = json_of(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}, not {SCHEMA!r}")
        groups = [
            Group(str(trust), int(entities), float(threshold_ratio))
            for trust, entities, threshold_ratio in document["groups"]
        ]
        if not all(isfinite(g.threshold_ratio) for g in groups):
            raise ValueError("a threshold ratio is not a finite number")
        return Calibration(groups, int(document["logs"]), str(document["source"]))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"not a calibration: {error}", where=where, fix="Give a file that `clonewatch calibrate` wrote."
        ) from error


def _strata(group: Group) -> tuple[str, str, str]:
    """Names of the strata that a group belongs to, the narrowest first."""
    low, high = _SIZES
    size = f"under {low}" if group.entities < low else f"{low} to {high - 1}" if group.entities < high else f"{high} up"
    return f"{group.trust}, {size} entities", group.trust, "any"


def p_value(threshold_ratio: float, calibration: Sequence[float]) -> float:
    """Conformal p-value of a threshold ratio. calibration: sorted threshold ratios of n calibration groups.

    Vovk, Gammerman and Shafer (2005): p = (1 + #{calibration >= threshold_ratio}) / (n + 1).

    >>> p_value(9.0, [1.0, 2.0, 10.0])
    0.5
    """
    return (1 + len(calibration) - bisect_left(calibration, threshold_ratio)) / (len(calibration) + 1)


def e_value(threshold_ratio: float, calibration: Sequence[float]) -> float:
    """Conformal e-value at the threshold: (n + 1) / (1 + #{calibration beyond it}) for a group beyond it, else 0.

    calibration: sorted threshold ratios of n calibration groups. The mean over exchangeable groups is at most 1,
    because the threshold is fixed in advance (Bashari, Epstein, Romano and Sesia 2023; Ren and Barber 2024). So
    e-values may be averaged over days and clustering seeds.

    >>> e_value(1.2, [0.1, 0.5, 0.9]), e_value(0.9, [0.1, 0.5, 0.9])
    (4.0, 0.0)
    """
    beyond = len(calibration) - bisect_left(calibration, THRESHOLD)
    return (len(calibration) + 1) / (1 + beyond) if threshold_ratio >= THRESHOLD else 0.0


def averaged(values: Sequence[float]) -> float:
    """The e-value of one group over several windows: their mean, under any dependence (Vovk and Wang 2021).

    The largest so far is not an e-value and must not be used instead.

    >>> averaged([0.0, 30.0])
    15.0
    """
    return sum(values) / len(values) if values else 0.0


def e_bh(values: Sequence[float], q: float) -> set[int]:
    """Which of several e-values are discoveries at false discovery rate q, under any dependence.

    Wang and Ramdas (2022): the k largest, for the largest k with the k-th at least K / (q k).

    >>> sorted(e_bh([100.0, 0.0, 70.0], q=0.05))
    [0, 2]
    """
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    most = 0
    for k, i in enumerate(order, 1):
        if values[i] * q * k >= len(values):
            most = k
    return set(order[:most])
