"""Honest people as accounts: where they live, how they pay, how they connect, which client they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonewatch.lab.ids import Hashes, mix, spelled
from clonewatch.lab.network import Pool, Routes, routes
from clonewatch.lab.rows import DAY, Array, Codes, Flags, Ints, Reals
from clonewatch.lab.traffic import NEVER, Manner
from clonewatch.lab.vocabulary import (
    CONSOLE,
    COUNTRIES,
    DIRECT,
    ISSUERS,
    LARGE,
    MAIL,
    MAIL_SHAPE_SHARE,
    MAIL_SHAPES,
    MAIL_SHARE,
    MID,
    REASON,
    SMALL,
    THROWAWAY_MAIL,
)
from clonewatch.lab.world import World

_COUNTRY_SHARE = np.array([c.share for c in COUNTRIES]) / sum(c.share for c in COUNTRIES)
_ZONES = np.array([c.zone for c in COUNTRIES])
_CODES = np.array([c.code for c in COUNTRIES], dtype=object)
_PREFIXES = np.array([c.prefix for c in COUNTRIES], dtype=object)
_DISPOSABLE = 0.012  # share of honest people with a disposable e-mail address
_NEWCOMERS = 0.16  # share of ordinary accounts opened during the window


@dataclass
class Crowd:
    """Some accounts with the facts that their traffic needs. zone: hours from UTC, with a personal shift."""

    ids: Codes
    country: Codes
    zone: Reals
    created: Ints
    begin: Ints
    end: Ints


def opened(world: World, count: int, newcomers: float = _NEWCOMERS) -> Ints:
    """Sign-up times of ordinary accounts: mostly up to three years back, some during the window."""
    rng = world.rng
    past = -np.minimum(rng.exponential(260, size=count) + 2, 1100) * DAY
    during = rng.uniform(0, world.days * 0.95, size=count) * DAY
    return np.where(rng.random(count) < newcomers, during, past).astype(np.int64)


def between(world: World, count: int, low_day: float, high_day: float) -> Ints:
    """Sign-up times between two days of the window (negative: before it)."""
    return (world.rng.uniform(low_day, high_day, size=count) * DAY).astype(np.int64)


def strings(numbers: Hashes, prefix: str) -> NDArray[np.object_]:
    """Ids as text, as objects for the account table."""
    return np.array(spelled(numbers, prefix).to_pylist(), dtype=object)


def enrol(
    world: World,
    count: int,
    role: str,
    *,
    campaign: int = -1,
    created: Ints | None = None,
    country: Array | int | None = None,
    churn: float = 0.08,
    **facts: object,
) -> Crowd:
    """Create accounts for unrelated people; `facts` replaces their defaults.

    churn: share that stops using the service at some time in the window.
    """
    rng = world.rng
    if country is None:
        country = rng.choice(len(COUNTRIES), size=count, p=_COUNTRY_SHARE)
    lives = np.broadcast_to(np.asarray(country, dtype=np.int32), (count,)).copy()
    created = opened(world, count) if created is None else created
    abroad = rng.random(count) < 0.03  # remote workers, students, expatriates
    billing = np.where(abroad, rng.integers(len(COUNTRIES), size=count), lives)
    told: dict[str, object] = {
        "created_at": created,
        "plan": rng.choice(np.array(["free", "pay-as-you-go", "pro"], dtype=object), size=count, p=[0.25, 0.55, 0.2]),
        "payment_fingerprint": strings(world.fresh(count), "pay-"),
        "payment_class": rng.choice(
            np.array(["card", "prepaid", "virtual", "marketplace"], dtype=object),
            size=count,
            p=[0.86, 0.04, 0.06, 0.04],
        ),
        "issuer_class": np.array(ISSUERS, dtype=object)[
            rng.choice(len(ISSUERS), size=count, p=[0.42, 0.3, 0.14, 0.03, 0.05, 0.06])
        ],
        "billing_country": _CODES[billing],
        "email_domain": np.array(MAIL, dtype=object)[rng.choice(len(MAIL), size=count, p=MAIL_SHARE)],
        "email_pattern": np.array(MAIL_SHAPES, dtype=object)[
            rng.choice(len(MAIL_SHAPES), size=count, p=MAIL_SHAPE_SHARE)
        ],
        "device_fingerprint": strings(world.fresh(count), "dev-"),
        "phone_prefix": _PREFIXES[lives],
        "referrer": rng.choice(
            np.array(["search", "friend", "docs", "social", None], dtype=object),
            size=count,
            p=[0.3, 0.2, 0.1, 0.15, 0.25],
        ),
        "org_declared": False,
        "programme": rng.choice(
            np.array([None, "education", "research", "start-up"], dtype=object),
            size=count,
            p=[0.95, 0.025, 0.01, 0.015],
        ),
    }
    disposable = rng.random(count) < _DISPOSABLE
    mail = np.array(told["email_domain"], dtype=object)
    mail[disposable] = np.array(THROWAWAY_MAIL, dtype=object)[
        rng.integers(len(THROWAWAY_MAIL), size=int(disposable.sum()))
    ]
    told["email_domain"] = mail
    told.update(facts)
    ids = world.enrol(count, role, campaign, **told)
    begin = np.maximum(created, 0)
    end = np.where(rng.random(count) < churn, begin + rng.uniform(1, world.days, size=count) * DAY, NEVER)
    zone = _ZONES[lives] + rng.normal(0, 1.2, size=count)
    return Crowd(ids, lives, zone, created, begin, end.astype(np.int64))


def home_routes(
    world: World,
    crowd: Crowd,
    *,
    work: Pool | None = None,
    work_share: float = 0.0,
    mobile: float = 0.22,
    vpn_users: float = 0.05,
) -> Routes:
    """Home with a lease of some days, mobile behind carrier NAT, perhaps work, and for some a VPN."""
    rng, count = world.rng, len(crowd.ids)
    homes = world.network.homes(crowd.country, 3)
    carrier = np.array([world.carrier(int(c)) for c in range(len(COUNTRIES))], dtype=np.int64)[crowd.country]
    office = work or Pool(0, 1)
    vpn = np.array(world.vpns, dtype=np.int64)[rng.integers(len(world.vpns), size=count)]
    uses_vpn = rng.random(count) < vpn_users
    weight = np.stack(
        [
            np.full(count, 1 - mobile) * (1 - work_share),
            mobile * rng.uniform(0.2, 1.8, size=count) * (1 - work_share),
            np.full(count, work_share),
            np.where(uses_vpn, rng.uniform(0.2, 3.0, size=count), 0.0),
        ],
        axis=1,
    )
    full = np.full(count, 1)
    return routes(
        weight,
        [
            (homes, full * 3, 12),
            (carrier[:, 0], carrier[:, 1], 0),
            (full * office.start, full * office.size, 1),
            (vpn[:, 0], vpn[:, 1], 0),
        ],
    )


def server_routes(world: World, crowd: Crowd, kind: int, *, each: int = 2, lease: int = 0) -> Routes:
    """Every account from its own servers: `each` addresses of one network."""
    count = len(crowd.ids)
    starts = np.empty(count, dtype=np.int64)
    for country in np.unique(crowd.country):
        who = np.flatnonzero(crowd.country == country)
        pool = world.network.pool(len(who) * each, kind, int(country), operators=6)
        starts[who] = pool.start + np.arange(len(who)) * each
    return routes(np.ones((count, 1)), [(starts, np.full(count, each), lease)])


def pick_builds(world: World, count: int, families: list[Pool], shares: list[float]) -> tuple[Codes, Ints]:
    """A build for each account, its upgrade, and when. Newer ones are more common; half never upgrade in the window."""
    rng = world.rng
    family = rng.choice(len(families), size=count, p=np.array(shares) / sum(shares))
    start = np.array([f.start for f in families])[family]
    size = np.array([f.size for f in families])[family]
    old = np.floor(size * rng.beta(3.0, 1.3, size=count)).astype(np.int64)
    new = np.minimum(old + rng.integers(1, 6, size=count), size - 1)
    when = np.where(rng.random(count) < 0.5, rng.uniform(0, world.days, size=count) * DAY, NEVER)
    return np.stack([start + old, start + new], axis=1).astype(np.int32), when.astype(np.int64)


def adoption(world: World, count: int, curious: float = 0.55, keen: float = 0.12) -> Ints:
    """When people move to the new model: some at once, most over weeks, many not within the window."""
    rng = world.rng
    wait = np.where(rng.random(count) < keen, rng.exponential(0.6, size=count), rng.gamma(1.3, 8.0, size=count))
    moves = rng.random(count) < curious
    return np.where(moves, world.release + wait * DAY, NEVER).astype(np.int64)


class Habit(NamedTuple):
    """How much accounts differ in length: standard deviation of the log of their median tokens, in and out."""

    inputs: float
    outputs: float


# 1,983 commenters of a news shock differ by .52 in the length of a comment, each varies by .67.
PEOPLE = Habit(0.5, 0.5)
# API tenants of the ServeGen traces differ by 1.0 to 1.2 in and 1.4 to 1.8 out; each varies by .2 and .35.
FIRMS = Habit(1.1, 1.5)
# Users of one product send much of the product's own words. No public figure is known.
USERS = Habit(0.15, 0.3)
# One back end, or one set of questions, behind all accounts.
NOBODY = Habit(0.0, 0.0)
# What is left of the spread of one account: it never falls below that of ServeGen's tenants.
_LEAST_SPREAD = Habit(0.2, 0.35)


def manner(world: World, count: int, *, api: float = 0.45, habit: Habit = PEOPLE, **said: object) -> Manner:
    """How unrelated people ask: own model, console or API, mostly default parameters. `said` replaces parts.

    Tokens: Azure conversation trace, median 1,020 in and 129 out, spread to the quartiles there. That spread, or the
    one in `said`, is that of all accounts together; a part of it is between them.
    """
    rng = world.rng
    by_api = rng.random(count) < api
    model = rng.choice(np.array([SMALL, MID, LARGE, REASON], dtype=np.int8), size=count, p=[0.2, 0.45, 0.25, 0.1])
    warm = rng.choice(
        np.array([np.nan, 0.0, 0.2, 0.7, 1.0], dtype=np.float32), size=count, p=[0.5, 0.18, 0.08, 0.16, 0.08]
    )
    limit = rng.choice(np.array([-1, 512, 1024, 2048, 4096, 8192]), size=count, p=[0.45, 0.05, 0.15, 0.12, 0.15, 0.08])
    made: dict[str, object] = {
        "model": model,
        "adopts": adoption(world, count),
        "inputs": (780.0, 0.88),
        "outputs": (112.0, 0.72),
        "channel": np.where(by_api, DIRECT, CONSOLE).astype(np.int8),
        "temperature": np.where(by_api, warm, np.float32(np.nan)).astype(np.float32),
        "max_tokens": np.where(by_api, limit, -1).astype(np.int32),
        "tools": np.where(by_api & (rng.random(count) < 0.2), rng.integers(1, 9, size=count), 0).astype(np.int16),
    }
    made.update(said)
    for of, name in enumerate(Habit._fields):
        given: tuple[float, float] = made[name]  # type: ignore[assignment]
        median, spread = given
        within = spread if not habit[of] else max(_LEAST_SPREAD[of], max(0.0, spread**2 - habit[of] ** 2) ** 0.5)
        made[name] = (median, within)
        made[f"own_{name}"] = np.exp(world.lengths.normal(0.0, habit[of], size=count))
    return Manner(**made)  # type: ignore[arg-type]


def own_systems(world: World, count: int, share: float = 0.35) -> tuple[Hashes, Hashes]:
    """System prompt and tools of each account: most have none, some a common one, some their own."""
    rng = world.rng
    own, draw = world.fresh(count), rng.random(count)
    stock = mix(np.minimum(rng.geometric(0.02, size=count), 400), world.salt + 77)
    system = np.where(draw < share * 0.6, own, np.where(draw < share, stock, 0)).astype(np.uint64)
    has_tools: Flags = rng.random(count) < 0.12
    return system, np.where(has_tools, world.fresh(count), 0).astype(np.uint64)
