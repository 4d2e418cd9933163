"""Honest customers with many accounts whom nobody declared: a card, a network or a ban in common, and no harvest."""

from __future__ import annotations

import numpy as np

from clonewatch.lab.clocks import OFFICE_HOURS, CronClock, SessionClock
from clonewatch.lab.content import CODE, Fixed
from clonewatch.lab.lookalikes.agents import spread_over, traffic_of
from clonewatch.lab.lookalikes.organisations import relay
from clonewatch.lab.network import routes, shared
from clonewatch.lab.people import USERS, between, enrol, home_routes, manner, pick_builds, strings
from clonewatch.lab.population import chatting, curiosity, heavy_tail
from clonewatch.lab.rows import DAY, HOUR
from clonewatch.lab.vocabulary import CORPORATE, HOSTING
from clonewatch.lab.world import World


def one_card_office(world: World, size: int) -> None:
    """Small firms whose people have accounts of their own on the firm's card, in one office, and no organisation."""
    rng, knobs = world.rng, world.knobs.under("one_card_office")
    firms = max(1, round(size / knobs.real("seats", 8, 30)))
    firm = spread_over(world, size, firms)
    crowd = enrol(
        world,
        size,
        "one_card_office",
        payment_fingerprint=strings(world.fresh(firms), "pay-")[firm],
        payment_class="card",
    )
    offices = np.array([world.network.pool(1, CORPORATE, int(rng.integers(18)), together=True) for _ in range(firms)])
    homes = world.network.homes(crowd.country, 2)
    at_work = knobs.real("at_work", 0.5, 0.95)
    ways = routes(
        np.tile([at_work, 1 - at_work], (size, 1)),
        [(offices[firm, 0], offices[firm, 1], 0), (homes, np.full(size, 2), 10)],
    )
    clock = SessionClock(heavy_tail(world, size, 0.9), crowd.zone, profile=OFFICE_HOURS, weekend=0.15)
    content = curiosity(world, size, system=world.fresh(firms)[firm], own_template=0.15)
    world.traffic.append(chatting(world, crowd, np.zeros(size), clock=clock, content=content, routes=ways))


def key_pool(world: World, size: int) -> None:
    """An aggregator that nobody declared: keys in turn, one card, one hosting network, its customers' conversations."""
    knobs = world.knobs.under("key_pool")
    crowd = enrol(
        world,
        size,
        "key_pool",
        payment_fingerprint=strings(world.fresh(1), "pay-")[0],
        created=between(world, size, -200, -10),
        churn=0.0,
    )
    pool = world.network.pool(6, HOSTING, 0, together=True)
    relay(world, crowd, np.full(size, knobs.real("sessions_a_day", 2.0, 8.0)), shared(pool, size, 0))


def small_monitors(world: World, size: int) -> None:
    """Firms that probe answers for drift from a few accounts on one card: the same questions every few hours."""
    rng, knobs = world.rng, world.knobs.under("small_monitors")
    firms = max(1, round(size / 5))
    firm = spread_over(world, size, firms)
    crowd = enrol(
        world,
        size,
        "small_monitors",
        payment_fingerprint=strings(world.fresh(firms), "pay-")[firm],
        churn=0.0,
        created=between(world, size, -300, -5),
    )
    probes = knobs.whole("probes", 6, 40)
    clock = CronClock(
        period_min=rng.choice(np.array([240, 480, 1440]), size=firms)[firm],
        phase_min=rng.integers(0, 60, size=firms)[firm],
        each=np.full(size, float(probes)),
    )
    content = Fixed(firm, probes, world.topics.popular(rng, 200), world.salt + 620, templates=3, genre=CODE)
    pools = np.array([world.network.pool(2, HOSTING, int(rng.integers(18)), together=True) for _ in range(firms)])
    client, upgrade = pick_builds(world, size, [world.python, world.raw], [0.8, 0.2])
    world.traffic.append(
        traffic_of(
            world,
            crowd,
            clock=clock,
            content=content,
            client=client,
            upgrade=upgrade,
            manner=manner(world, size, api=1.0, habit=USERS, inputs=(260.0, 0.5), outputs=(130.0, 0.5)),
            routes=routes(np.ones((size, 1)), [(pools[firm, 0], pools[firm, 1], 0)]),
        )
    )


def agency(world: World, size: int) -> None:
    """An agency works for its clients from its own office, with an account of each client on the client's card."""
    rng, knobs = world.rng, world.knobs.under("agency")
    crowd = enrol(world, size, "agency", churn=0.02)
    office = world.network.pool(2, CORPORATE, int(rng.integers(18)), together=True)
    clock = SessionClock(
        heavy_tail(world, size, knobs.real("sessions_a_day", 0.8, 3.0), 0.8), crowd.zone * 0, profile=OFFICE_HOURS
    )
    content = curiosity(world, size, system=np.full(size, world.fresh(1)[0], dtype=np.uint64), own_template=0.3)
    client, upgrade = pick_builds(world, size, [world.builds.family("agency-desk", 3, platforms=1)], [1.0])
    world.traffic.append(
        chatting(
            world,
            crowd,
            np.zeros(size),
            clock=clock,
            content=content,
            client=client,
            upgrade=upgrade,
            routes=home_routes(world, crowd, work=office, work_share=0.9, mobile=0.05),
        )
    )


def returners(world: World, size: int) -> None:
    """Customers banned by mistake in one wave come back: a new account, the same card, device, home and topics."""
    rng, knobs = world.rng, world.knobs.under("returners")
    wave = int(knobs.real("wave_day", 0.3 * world.days, 0.7 * world.days) * DAY)
    ban = wave + rng.integers(0, 3 * HOUR, size=size)
    back = ban + (rng.exponential(knobs.real("hours_away", 6, 40), size=size) * HOUR).astype(np.int64) + HOUR // 4
    person = np.tile(np.arange(size), 2)
    country = rng.integers(18, size=size)[person]
    cards, devices = strings(world.fresh(size), "pay-"), strings(world.fresh(size), "dev-")
    crowd = enrol(
        world,
        2 * size,
        "returners",
        country=country,
        payment_fingerprint=cards[person],
        device_fingerprint=devices[person],
        created=np.concatenate([between(world, size, -300, -3), back - HOUR // 6]),
        churn=0.0,
    )
    crowd.zone = crowd.zone[person]
    crowd.begin = np.concatenate([crowd.begin[:size], back])
    crowd.end = np.concatenate([ban, crowd.end[size:]])
    homes = world.network.homes(country[:size].astype(np.int32), 2)[person]
    asking = manner(world, 2 * size)
    asking.own_inputs, asking.own_outputs = asking.own_inputs[person], asking.own_outputs[person]
    rate = heavy_tail(world, size, knobs.real("sessions_a_day", 0.5, 2.0))[person]
    interests = world.topics.popular(rng, (size, 7))[person]
    world.traffic.append(
        chatting(
            world,
            crowd,
            rate,
            content=curiosity(world, 2 * size, interests=interests),
            manner=asking,
            routes=routes(np.ones((2 * size, 1)), [(homes, np.full(2 * size, 2), 10)]),
        )
    )
    for account, ts in zip(crowd.ids[:size].tolist(), ban.tolist(), strict=True):
        world.events.append((int(ts), "ban", int(account), None, None))
