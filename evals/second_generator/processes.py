"""The random processes of a world: repetition, interests, visits and gaps."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.second_generator.parameters import Parameters

DAY = 86_400.0
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Urn:
    """A Pitman-Yor process as a Chinese restaurant: old dishes recur, and new dishes keep appearing.

    A dish is drawn again in proportion to its count less `discount`, a new one with the remaining probability. An urn
    with a `base` takes its new dishes from there (hierarchical Pitman-Yor; Teh 2006), otherwise from `fresh`.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        discount: float,
        strength: float,
        fresh: Callable[[], int] | None = None,
        base: "Urn | None" = None,
    ) -> None:
        self.rng, self.discount, self.strength = rng, discount, strength
        self.fresh, self.base = fresh, base
        self.seats: list[int] = []
        self.heads: list[int] = []
        self.dishes: list[int] = []

    def draw(self, n: int) -> Ints:
        """Draw n dishes in sequence."""
        found = np.empty(n, dtype=np.int64)
        for i in range(n):
            seated = len(self.seats)
            new = (self.strength + self.discount * len(self.heads)) / (self.strength + seated)
            if self.rng.random() < new:
                table = len(self.heads)
                self.heads.append(0)
                if self.base is not None:
                    self.dishes.append(int(self.base.draw(1)[0]))
                else:
                    self.dishes.append(self.fresh() if self.fresh else table)
            else:
                table = self._seat()
            self.heads[table] += 1
            self.seats.append(table)
            found[i] = self.dishes[table]
        return found

    def _seat(self) -> int:
        """A table in proportion to its guests less the discount, by rejection sampling."""
        while True:
            table = self.seats[int(self.rng.random() * len(self.seats))]
            if self.rng.random() * self.heads[table] >= self.discount:
                return table


def sticks(rng: np.random.Generator, rows: int, atoms: int, concentration: Floats) -> Floats:
    """Cumulative stick-breaking weights of Dirichlet processes, one per row; the last is 1. (rows, atoms)"""
    cut = rng.beta(1.0, concentration[:, None], size=(rows, atoms))
    left = np.cumprod(1 - cut, axis=1)
    whole = 1 - left
    whole[:, -1] = 1.0
    return np.asarray(whole, dtype=np.float64)


def pick(rng: np.random.Generator, cumulative: Floats, rows: Ints) -> Ints:
    """One column for each row number, drawn by that row's cumulative weights."""
    return np.asarray((cumulative[rows] < rng.random(len(rows))[:, None]).sum(axis=1), dtype=np.int64)


def hours(rng: np.random.Generator, n: int, evening: Floats) -> Floats:
    """Local hours of the day, 0..24: working hours with a lunch dip, or evenings, or any hour at all."""
    kind = rng.random(n)
    work = np.where(rng.random(n) < 0.45, rng.normal(10.6, 1.3, n), rng.normal(15.2, 1.7, n))
    night = 24 * rng.vonmises(2 * np.pi * (21 - 12) / 24, 3.0, n) / (2 * np.pi) + 12
    anytime = rng.uniform(0, 24, n)
    return np.asarray(np.where(kind < 0.06, anytime, np.where(rng.random(n) < evening, night, work)) % 24)


class Visitors(NamedTuple):
    """Accounts that visit, one row each.

    per_day: mean requests per day. begin, end: seconds in which the account is active. zone: hours ahead of UTC.
    evening: share of its visits that start in the evening.
    """

    per_day: Floats
    begin: Floats
    end: Floats
    zone: Floats
    evening: Floats


def hawkes(rng: np.random.Generator, parameters: Parameters, visitors: Visitors) -> tuple[Ints, Floats, Ints, Ints]:
    """Self-exciting visits: visits start by time of day, and each request triggers others after Weibull lags.

    Returns account row, seconds, visit number and turn of every request (Hawkes 1971, as clusters).
    """
    per_day, begin, end, zone, evening = visitors
    alive = np.maximum(end - begin, 0) / DAY
    visits = rng.poisson(per_day * alive * (1 - parameters.excitation))
    who = np.repeat(np.arange(len(per_day)), visits)
    day = np.floor(rng.uniform(begin[who], np.maximum(end, begin + 1)[who]) / DAY)
    rest = (day + parameters.weekday) % 7 >= 5
    keep = rng.random(len(who)) < np.where(
        rest, min(parameters.weekend, 1.0), min(1.0, 1 / max(parameters.weekend, 1.0))
    )
    who, day = who[keep], day[keep]
    first = (day + (hours(rng, len(who), evening[who]) - zone[who]) / 24) * DAY
    rows, times, visit = [who], [first], [np.arange(len(who))]
    # Thirty generations contain nearly all of the cascade at the strongest excitation.
    for _ in range(30):
        children = rng.poisson(parameters.excitation, len(rows[-1]))
        if not children.sum():
            break
        lag = parameters.lag_seconds * rng.weibull(parameters.lag_shape, int(children.sum())) + rng.gamma(
            2.0, 2.0, int(children.sum())
        )
        rows.append(np.repeat(rows[-1], children))
        visit.append(np.repeat(visit[-1], children))
        times.append(np.repeat(times[-1], children) + lag)
    row, ts, session = np.concatenate(rows), np.concatenate(times), np.concatenate(visit)
    inside = (ts >= begin[row]) & (ts < end[row])
    row, ts, session = row[inside], ts[inside], session[inside]
    order = np.lexsort((ts, session))
    row, ts, session = row[order], ts[order], session[order]
    return row, ts, session, turns(session)


def turns(session: Ints) -> Ints:
    """0, 1, 2... within each run of equal numbers.

    >>> turns(np.array([4, 4, 4, 7, 7])).tolist()
    [0, 1, 2, 0, 1]
    """
    if not len(session):
        return np.zeros(0, dtype=np.int64)
    edge = np.r_[True, session[1:] != session[:-1]]
    here = np.arange(len(session))
    return np.asarray(here - np.maximum.accumulate(np.where(edge, here, 0)), dtype=np.int64)


def renewal(rng: np.random.Generator, n: int, begin: float, end: float, shape: float) -> Floats:
    """n instants with Weibull gaps between two bounds. shape: below 1 bursty, above 3 nearly regular."""
    gaps = rng.weibull(shape, n + 1)
    return np.asarray(begin + (end - begin) * np.cumsum(gaps)[:-1] / max(float(gaps.sum()), 1e-9))
