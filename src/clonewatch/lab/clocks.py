"""When requests arrive: sessions of people, machines, cron jobs and work queues, one day at a time."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clonewatch.lab.ids import Hashes
from clonewatch.lab.rows import DAY, HOUR, SECOND, Codes, Ints, Reals

# Share of a person's requests by local hour. Peak/mean 1.66 and trough/mean .07 as measured on RAGPulse.
PEOPLE_HOURS = np.array(
    [.28, .17, .1, .07, .07, .1, .25, .55, .95, 1.35, 1.6, 1.66, 1.4, 1.35, 1.5, 1.6, 1.6, 1.5, 1.3, 1.2, 1.3, 1.25,
     1.0, .6]
)  # fmt: skip
OFFICE_HOURS = np.array(
    [.05, .03, .03, .03, .03, .05, .15, .6, 1.6, 2.4, 2.6, 2.4, 1.6, 2.0, 2.4, 2.4, 2.2, 1.6, .8, .4, .3, .2, .15, .1]
)  # fmt: skip
# A tenant's own customers: hourly peak/mean about 1.7, trough/mean about .27, the medians measured on ServeGen.
TENANT_HOURS = np.array(
    [.45, .35, .3, .27, .27, .3, .4, .6, .9, 1.2, 1.45, 1.6, 1.5, 1.45, 1.55, 1.65, 1.7, 1.6, 1.4, 1.3, 1.25, 1.1, .85,
     .6]
)  # fmt: skip
FLAT_HOURS = np.ones(24)
_MOST_A_DAY = 30_000  # limit on requests per account per day; keeps an extreme draw from filling the log


class Beats(NamedTuple):
    """Arrivals of one day. who: row of the cohort. Rows of a session are adjacent, in order of turn."""

    who: Codes
    ts: Ints
    session: Hashes
    turn: NDArray[np.int16]


class ArrivalClock(Protocol):
    """Decides when requests arrive."""

    def beats(self, day: int, rng: np.random.Generator) -> Beats:
        """The arrivals that start on this day, microseconds from the start of the window."""
        ...


class Turns(NamedTuple):
    """Session lengths: a share of single requests, otherwise 2 + a mixture of two geometric lengths.

    The defaults give a mean of 2.2 and 59 % single: between RAGPulse (1.78, 59 %) and WildChat (2.35, 58 %).
    """

    single: float = 0.59
    again_short: float = 0.5
    again_long: float = 0.78
    long_share: float = 0.4


class Marathon(NamedTuple):
    """Session lengths of coding agents: log-normal, median 44 requests and 95th percentile 208 as measured."""

    median: float = 44.0
    sigma: float = 0.94
    most: int = 400


class Think(NamedTuple):
    """Seconds between turns: log-normal with a share of long pauses.

    Defaults follow RAGPulse in-session gaps (quartiles 23, 40, 89 s, 90th percentile 300 s).
    """

    median: float = 40.0
    sigma: float = 0.8
    pause_share: float = 0.14
    pause: float = 300.0
    pause_sigma: float = 1.0


AGENT_THINK = Think(median=16.0, sigma=0.75, pause_share=0.08, pause=280.0, pause_sigma=1.1)


def hours_table(profile: Reals, resolution: int = 2048) -> Reals:
    """A table of hours for drawing from a profile of 24 weights: quantiles of the day, in hours."""
    cumulated = np.concatenate([[0.0], np.cumsum(profile)]) / profile.sum()
    table: Reals = np.interp((np.arange(resolution) + 0.5) / resolution, cumulated, np.arange(25.0))
    return table


def segments(lengths: Ints) -> tuple[Ints, Ints]:
    """For consecutive runs of these lengths: the run of every element and its position within it.

    >>> [a.tolist() for a in segments(np.array([2, 1]))]
    [[0, 0, 1], [0, 1, 0]]
    """
    run = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return run, place


def running(values: Reals, lengths: Ints) -> Reals:
    """Running sums that restart with every run."""
    total = np.cumsum(values)
    ends = np.cumsum(lengths)
    before = np.concatenate([[0.0], total])[ends - lengths]
    out: Reals = total - np.repeat(before, lengths)
    return out


@dataclass
class SessionClock:
    """People: heavy-tailed numbers of sessions, at hours of their time zone, with think time between turns.

    rate: sessions per account per day. zone: hours from UTC. calendar: a factor for each day of the window.
    restless: sigma of the log-normal factor by which an account's days differ.
    """

    rate: Reals
    zone: Reals
    turns: Turns | Marathon = field(default_factory=Turns)
    think: Think = field(default_factory=Think)
    profile: Reals = field(default_factory=lambda: PEOPLE_HOURS)
    weekend: float = 0.72
    calendar: Reals | None = None
    restless: float = 0.8

    def __post_init__(self) -> None:
        self._hours = hours_table(self.profile)

    def beats(self, day: int, rng: np.random.Generator) -> Beats:
        """Sessions that start today, with all their turns."""
        level = self.weekend if day % 7 in (3, 4) else 1.0  # the window opens on a Wednesday
        if self.calendar is not None:
            level *= float(self.calendar[day])
        mood = np.exp(rng.normal(-(self.restless**2) / 2, self.restless, size=len(self.rate)))
        number = np.minimum(rng.poisson(self.rate * mood * level), _MOST_A_DAY)
        who = np.repeat(np.arange(len(self.rate), dtype=np.int32), number)
        lengths = self._lengths(rng, len(who))
        local = self._hours[rng.integers(len(self._hours), size=len(who))] + rng.normal(0, 0.4, size=len(who))
        begin = (np.mod(local - self.zone[who], 24.0) * HOUR).astype(np.int64) + day * DAY
        run, place = segments(lengths)
        gap = np.exp(rng.normal(np.log(self.think.median), self.think.sigma, size=len(run)))
        long = rng.random(len(run)) < self.think.pause_share
        gap[long] = np.exp(rng.normal(np.log(self.think.pause), self.think.pause_sigma, size=int(long.sum())))
        gap[place == 0] = 0.0
        ts = begin[run] + (running(gap, lengths) * SECOND).astype(np.int64)
        session = rng.integers(1, 2**63, size=len(who)).astype(np.uint64)
        return Beats(who[run], ts, session[run], np.minimum(place, 32_000).astype(np.int16))

    def _lengths(self, rng: np.random.Generator, count: int) -> Ints:
        if isinstance(self.turns, Marathon):
            drawn = np.exp(rng.normal(np.log(self.turns.median), self.turns.sigma, size=count))
            return np.clip(drawn, 1, self.turns.most).astype(np.int64)
        shape = self.turns
        again = np.where(rng.random(count) < shape.long_share, shape.again_long, shape.again_short)
        more = np.floor(np.log1p(-rng.random(count)) / np.log(again)).astype(np.int64)
        return np.where(rng.random(count) < shape.single, 1, 2 + np.minimum(more, 200))


@dataclass
class MachineClock:
    """A program: a renewal process with a coefficient of variation, with or without its users' daily rhythm.

    rate: requests per day. variation: CV of the gaps (benign median about 1.2). flat: no daily rhythm.
    """

    rate: Reals
    zone: Reals
    variation: Reals
    flat: NDArray[np.bool_]
    restless: float = 0.5
    weekend: float = 0.8
    duty: float = 1.0
    calendar: Reals | None = None

    def beats(self, day: int, rng: np.random.Generator) -> Beats:
        """Single requests, each in its own session."""
        level = self.weekend if day % 7 in (3, 4) else 1.0
        if self.calendar is not None:
            level *= float(self.calendar[day])
        mood = np.exp(rng.normal(-(self.restless**2) / 2, self.restless, size=len(self.rate)))
        on = rng.random(len(self.rate)) < self.duty
        number = np.minimum(rng.poisson(self.rate * mood * level * on), _MOST_A_DAY).astype(np.int64)
        who, _ = segments(number + 1)
        shape = 1.0 / np.square(self.variation)
        gap = rng.gamma(np.maximum(shape[who], 1e-3)) + 1e-12
        along = running(gap, number + 1)
        whole = np.repeat(along[np.cumsum(number + 1) - 1], number + 1)
        keep = np.ones(len(who), dtype=bool)
        keep[np.cumsum(number + 1) - 1] = False
        who, share = who[keep], np.clip(along / np.maximum(whole, 1e-9), 0.0, 1.0)[keep]
        table = np.where(self.flat[who], share * 24.0, np.interp(share, *_tenant_day()))
        ts = (np.mod(table - self.zone[who], 24.0) * HOUR).astype(np.int64) + day * DAY
        return alone(who.astype(np.int32), ts, rng)


@dataclass
class CronClock:
    """A schedule: at a fixed interval, a few requests some seconds apart; most schedules start on the hour."""

    period_min: Ints
    phase_min: Ints
    each: Reals
    jitter_s: float = 3.0
    weekdays: bool = False

    def beats(self, day: int, rng: np.random.Generator) -> Beats:
        """The scheduled runs of this day."""
        if self.weekdays and day % 7 in (3, 4):
            return alone(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), rng)
        ticks = np.maximum(0, (1440 - self.phase_min + self.period_min - 1) // self.period_min).astype(np.int64)
        who, tick = segments(ticks)
        start = (self.phase_min[who] + tick * self.period_min[who]) * 60 * SECOND
        number = 1 + rng.poisson(np.maximum(self.each[who] - 1, 0))
        job, place = segments(number)
        wait = rng.exponential(self.jitter_s, size=len(job)) + place * rng.uniform(1.5, 6.0, size=len(job))
        return alone(who[job].astype(np.int32), start[job] + (wait * SECOND).astype(np.int64) + day * DAY, rng)


@dataclass
class QueueClock:
    """One queue distributed over many accounts.

    daily: jobs per day over all accounts. begin, end: when each account is in the pool (microseconds). closed: a fixed
    number of workers each wait for the answer before the next request, so the total is steady; open: random arrivals.
    share: relative use of each account. ramp: a factor for each day. turn_taking: distribute in turn rather than at
    random. profile: its daily rhythm, flat for none.
    """

    daily: float
    begin: Ints
    end: Ints
    share: Reals
    ramp: Reals
    closed: bool = True
    turn_taking: bool = False
    profile: Reals = field(default_factory=lambda: FLAT_HOURS)
    zone: float = 0.0
    per_account: bool = False  # daily is then per account: the total follows the number of active accounts
    _turn: int = 0

    def beats(self, day: int, rng: np.random.Generator) -> Beats:
        """The jobs of this day, assigned to accounts that are in the pool at that time."""
        middle = day * DAY + DAY // 2
        alive = np.flatnonzero((self.begin < (day + 1) * DAY) & (self.end > day * DAY))
        if not len(alive):
            return alone(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), rng)
        present = float(
            np.clip(
                (np.minimum(self.end[alive], (day + 1) * DAY) - np.maximum(self.begin[alive], day * DAY)) / DAY, 0, 1
            ).sum()
        )
        expected = self.daily * (present if self.per_account else 1.0) * float(self.ramp[day])
        count = int(rng.poisson(expected)) if not self.closed else round(expected * float(rng.normal(1, 0.01)))
        if count <= 0:
            return alone(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), rng)
        if self.closed:  # nearly even spacing with the variation of many workers' service times
            along = np.sort((np.arange(count) + rng.normal(0, 1.5, size=count)) / count % 1.0)
        else:
            along = np.sort(rng.random(count))
        hours = np.interp(along, (np.arange(2048) + 0.5) / 2048, hours_table(self.profile))
        ts = (np.mod(hours - self.zone, 24.0) * HOUR).astype(np.int64) + day * DAY
        order = np.argsort(ts, kind="stable")
        ts = ts[order]
        if self.turn_taking:
            who = alive[(self._turn + np.arange(count)) % len(alive)]
            self._turn += count
        else:
            weight = np.cumsum(self.share[alive])
            who = alive[np.searchsorted(weight, rng.random(count) * weight[-1], side="right").clip(0, len(alive) - 1)]
        inside = (ts >= self.begin[who]) & (ts < self.end[who])
        spare = alive[(self.begin[alive] <= middle) & (self.end[alive] > middle)]
        if len(spare):  # a job for an account that is gone goes to another one
            who = np.where(inside, who, spare[rng.integers(len(spare), size=count)])
        return alone(who.astype(np.int32), ts, rng)


def alone(who: Codes, ts: Ints, rng: np.random.Generator) -> Beats:
    """Requests without a conversation: each in its own session."""
    session = rng.integers(1, 2**63, size=len(who)).astype(np.uint64)
    return Beats(who, ts, session, np.zeros(len(who), dtype=np.int16))


def _tenant_day() -> tuple[Reals, Reals]:
    cumulated = np.concatenate([[0.0], np.cumsum(TENANT_HOURS)]) / TENANT_HOURS.sum()
    return cumulated, np.arange(25.0)
