"""Shares with their 95 % intervals, and precision at realistic base rates."""

from __future__ import annotations

from typing import Literal, NamedTuple

from scipy.stats import binomtest

LEVEL = 0.95


class Share(NamedTuple):
    """A count, its total and the interval of the share; the bounds are None where the total is zero."""

    part: int
    whole: int
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """The share itself, None where the total is zero."""
        return self.part / self.whole if self.whole else None

    def __str__(self) -> str:
        if not self.whole:
            return "none"
        low, value, high = (percent(x or 0.0) for x in (self.low, self.value, self.high))
        return f"{self.part:,} of {self.whole:,} ({value}; {low} to {high})"


def percent(share: float) -> str:
    """A share in percent: two decimals, or two digits where these would show none.

    >>> percent(0.9712), percent(0.0), percent(8.6e-6)
    ('97.12%', '0.00%', '0.00086%')
    """
    return f"{share:.2%}" if share == 0 or share >= 0.0001 else f"{float(f'{100 * share:.2g}'):.10f}".rstrip("0") + "%"


def exact(count: int, whole: int) -> Share:
    """The interval of Clopper and Pearson (1934): conservative; for counts near zero or near the total.

    >>> str(exact(0, 100))
    '0 of 100 (0.00%; 0.00% to 3.62%)'
    """
    return _interval(count, whole, "exact")


def wilson(count: int, whole: int) -> Share:
    """The interval of Wilson (1927): close to nominal coverage on average.

    >>> str(wilson(46, 50))
    '46 of 50 (92.00%; 81.16% to 96.85%)'
    """
    return _interval(count, whole, "wilson")


def _interval(count: int, whole: int, method: Literal["exact", "wilson"]) -> Share:
    if not whole:
        return Share(count, whole, None, None)
    found = binomtest(count, whole).proportion_ci(LEVEL, method)
    return Share(count, whole, float(found.low), float(found.high))


def precision_at(base: float, recall: float, rate: float) -> float | None:
    """Share of flagged accounts that are members, where members are this share of all accounts. None: none flagged.

    base: share of members, 0..1. recall: share of members flagged. rate: share of honest accounts flagged.

    >>> round(precision_at(1e-4, 1.0, 1e-4), 3)
    0.5
    """
    flagged = base * recall + (1 - base) * rate
    return base * recall / flagged if flagged else None
