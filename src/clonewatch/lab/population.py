"""The honest world without look-alikes: individuals, families who share a card, businesses with their own app."""

from __future__ import annotations

import numpy as np

from clonewatch.lab.clocks import MachineClock, SessionClock, Think, Turns
from clonewatch.lab.content import App, People
from clonewatch.lab.people import (
    FIRMS,
    Crowd,
    enrol,
    home_routes,
    manner,
    own_systems,
    pick_builds,
    server_routes,
    strings,
)
from clonewatch.lab.rows import DAY, Codes, Reals
from clonewatch.lab.traffic import Traffic
from clonewatch.lab.vocabulary import CLOUD, DIRECT, HOSTING, LARGE, MID, SMALL
from clonewatch.lab.world import World

_BANNED = 0.004  # honest accounts banned in the window; no public figure is more precise than "a few in a thousand"
_LEAKED = 0.001
_INTERESTS = 7  # cells to which a person returns


def curiosity(world: World, count: int, **said: object) -> People:
    """Content of people who ask what they like."""
    system, toolset = own_systems(world, count)
    made: dict[str, object] = {
        "habits": world.habits,
        "interests": world.topics.popular(world.rng, (count, _INTERESTS)),
        "system": system,
        "toolset": toolset,
    }
    made.update(said)
    return People(**made)  # type: ignore[arg-type]


def heavy_tail(world: World, count: int, mean: float, sigma: float = 1.25) -> Reals:
    """Rates of different people: log-normal with this mean."""
    found: Reals = np.exp(world.rng.normal(np.log(mean) - sigma**2 / 2, sigma, size=count))
    return np.minimum(found, mean * 60)


def chatting(world: World, crowd: Crowd, rate: Reals, **said: object) -> Traffic:
    """People at home: sessions, own interests, own clients. `said` replaces clock, content, manner or routes."""
    count = len(crowd.ids)
    client, upgrade = pick_builds(
        world,
        count,
        [world.browser, world.python, world.node, world.wrapper, world.raw],
        [0.52, 0.24, 0.12, 0.07, 0.05],
    )
    made: dict[str, object] = {
        "clock": SessionClock(rate, crowd.zone, Turns(), Think()),
        "content": curiosity(world, count),
        "manner": manner(world, count),
        "routes": home_routes(world, crowd),
        "client": client,
        "upgrade": upgrade,
    }
    made.update(said)
    return Traffic(crowd.ids, crowd.begin, crowd.end, **made)  # type: ignore[arg-type]


def individuals(world: World, count: int, rate: float) -> None:
    """Everybody else. rate: mean requests per account per day; sessions are that over the mean session length."""
    crowd = enrol(world, count, "benign")
    sessions = heavy_tail(world, count, rate / 2.2)
    _misfortunes(world, crowd)
    world.traffic.append(chatting(world, crowd, sessions))


def _misfortunes(world: World, crowd: Crowd) -> None:
    """Some honest accounts are banned for other reasons or by mistake; some keys leak."""
    rng, count = world.rng, len(crowd.ids)
    when = (rng.uniform(0, world.days, size=count) * DAY).astype(np.int64)
    banned = (rng.random(count) < _BANNED) & (when > crowd.begin)
    crowd.end = np.where(banned, np.minimum(when, crowd.end), crowd.end)
    for account in np.flatnonzero(banned):
        world.events.append((int(crowd.end[account]), "ban", int(crowd.ids[account]), None, None))
    for account in np.flatnonzero(rng.random(count) < _LEAKED):
        world.events.append((int(when[account]), "key_leak", int(crowd.ids[account]), None, None))


def families(world: World, count: int, rate: float) -> None:
    """Households of two to five accounts on one card, some on one computer."""
    rng = world.rng
    sizes = rng.integers(2, 6, size=max(1, count // 3))
    home = np.repeat(np.arange(len(sizes)), sizes)
    cards, devices = strings(world.fresh(len(sizes)), "pay-"), strings(world.fresh(len(sizes)), "dev-")
    own = strings(world.fresh(len(home)), "dev-")
    device = np.where(rng.random(len(home)) < 0.4, devices[home], own)
    country = rng.integers(0, 18, size=len(sizes))[home]
    crowd = enrol(
        world, len(home), "benign", country=country, payment_fingerprint=cards[home], device_fingerprint=device
    )
    world.traffic.append(chatting(world, crowd, heavy_tail(world, len(home), rate / 2.2)))


def businesses(world: World, count: int, rate: float) -> None:
    """Companies with a product on the API: one account each or a declared organisation with a few.

    Volumes are log-normal (Gini near the measured .83 before the cap), gaps have the measured CV, some are flat.
    """
    rng = world.rng
    of = np.repeat(np.arange(count), np.where(rng.random(count) < 0.25, rng.integers(2, 5, size=count), 1))
    total = len(of)
    org = strings(world.fresh(count), "org-")[of]
    card = strings(world.fresh(count), "pay-")[of]
    declared = (rng.random(count) < 0.8)[of]
    crowd = enrol(
        world,
        total,
        "benign",
        org_id=org,
        org_declared=declared,
        payment_fingerprint=card,
        plan="business",
        payment_class=np.where(declared, "invoice", "card"),
        email_domain=np.char.add("firm-", of.astype(str)).astype(object),
        email_pattern="first.last",
        churn=0.02,
        trust=1.3,
    )
    volume = np.minimum(np.exp(rng.normal(np.log(rate) - 1.6, 1.8, size=count)), rate * 12)[of]
    cells = product_cells(world, count)
    clock = MachineClock(
        rate=volume,
        zone=crowd.zone,
        variation=np.clip(np.exp(rng.normal(np.log(1.15), 0.45, size=total)), 0.3, 9.0),
        flat=rng.random(total) < 0.13,
        duty=0.92,
    )
    content = App(
        of.astype(np.int32),
        cells,
        world.salt + 200,
        rng.integers(1, 6, size=count),
        repeats=0.06,
        releases=14,
        end_users=0.3,
        elicitation=0.06,
    )
    model = rng.choice(np.array([SMALL, MID, LARGE], dtype=np.int8), size=count, p=[0.4, 0.4, 0.2])[of]
    ways = manner(
        world,
        total,
        api=1.0,
        habit=FIRMS,
        model=model,
        inputs=(1900.0, 0.7),
        outputs=(190.0, 0.8),
        same_input=0.1,
        cached=0.4,
        channel=np.where(rng.random(total) < 0.2, CLOUD, DIRECT).astype(np.int8),
        failures=0.012,
        refusals=0.003,
    )
    client, upgrade = pick_builds(world, total, [world.python, world.node, world.raw], [0.55, 0.3, 0.15])
    world.traffic.append(
        Traffic(
            crowd.ids,
            crowd.begin,
            crowd.end,
            clock,
            content,
            ways,
            server_routes(world, crowd, HOSTING),
            client,
            upgrade,
        )
    )


def product_cells(world: World, count: int, width: int = 16) -> Codes:
    """The topics of products: each a popular one and its random surroundings."""
    return world.topics.popular(world.rng, (count, width))
