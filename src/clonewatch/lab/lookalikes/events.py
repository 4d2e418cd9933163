"""Honest crowds that share an occasion or a schedule: classes, hackathons, rings of friends, cron jobs."""

from __future__ import annotations

import numpy as np

from clonewatch.lab.clocks import CronClock, SessionClock
from clonewatch.lab.content import CODE, HOMEWORK, Fixed
from clonewatch.lab.lookalikes.agents import spread_over, traffic_of
from clonewatch.lab.network import routes, shared
from clonewatch.lab.people import (
    NOBODY,
    USERS,
    between,
    enrol,
    home_routes,
    manner,
    pick_builds,
    server_routes,
    strings,
)
from clonewatch.lab.population import chatting, curiosity, heavy_tail, product_cells
from clonewatch.lab.vocabulary import EDUCATION, HOSTING, SMALL
from clonewatch.lab.world import World


def university_class(world: World, size: int) -> None:
    """A course: accounts created in the same week, one campus network, the same exercises, rushes before deadlines."""
    rng, knobs = world.rng, world.knobs.under("university_class")
    start = knobs.real("first_day", 0, world.days * 0.3)
    campus = world.network.pool(knobs.whole("addresses", 1, 4), EDUCATION, int(rng.integers(18)), together=True)
    crowd = enrol(
        world,
        size,
        "university_class",
        created=between(world, size, start, start + 5),
        plan="free",
        programme="education",
        email_domain="campus.example",
        email_pattern="initial.last",
        country=int(rng.integers(18)),
    )
    week = np.arange(world.days) % 7
    calendar = np.choose(week, [0.5, 0.4, 0.4, 0.6, 1.2, 2.6, 1.0]).astype(float)
    lessons = (np.arange(world.days) // 7 * 12).astype(np.int64)
    exercises = Fixed(
        np.zeros(size, dtype=np.int32),
        12,
        product_cells(world, 1, 40)[0],
        world.salt + 500,
        in_order=False,
        reworded=knobs.real("reworded", 0.4, 0.8),
        genre=HOMEWORK,
        templates=6,
        lessons=lessons,
    )
    clock = SessionClock(heavy_tail(world, size, 0.5, 0.7), crowd.zone, calendar=calendar)
    ways = home_routes(world, crowd, work=campus, work_share=knobs.real("on_campus", 0.4, 0.9))
    world.traffic.append(
        chatting(
            world,
            crowd,
            np.zeros(size),
            clock=clock,
            content=exercises,
            routes=ways,
            manner=manner(world, size, api=0.2, habit=USERS),
        )
    )


def hackathon(world: World, size: int) -> None:
    """A weekend: new accounts, one starter kit, one hall, the newest model, then silence."""
    rng, knobs = world.rng, world.knobs.under("hackathon")
    day = int(rng.integers(1, max(2, world.days - 3)))
    hall = world.network.pool(2, EDUCATION, int(rng.integers(18)), together=True)
    crowd = enrol(world, size, "hackathon", created=between(world, size, day - 0.2, day + 0.3), referrer="starter-kit")
    calendar = np.zeros(world.days)
    calendar[day : day + 2] = 1.0
    calendar[day + 2 :] = 0.01
    kit = world.builds.family("starter-kit", 2, platforms=1)
    clock = SessionClock(
        heavy_tail(world, size, knobs.real("sessions_a_day", 4, 10), 0.6), crowd.zone, calendar=calendar
    )
    content = curiosity(world, size, system=np.full(size, world.fresh(1)[0], dtype=np.uint64), genre=CODE)
    ways = manner(world, size, api=1.0, adopts=np.full(size, world.release), inputs=(900.0, 0.9))
    world.traffic.append(
        chatting(
            world,
            crowd,
            np.zeros(size),
            clock=clock,
            content=content,
            routes=shared(hall, size, 1),
            manner=ways,
            client=np.full((size, 2), kit.start, dtype=np.int32),
        )
    )


def free_tier_ring(world: World, size: int) -> None:
    """Friends or one person with three to seven free accounts on one device or card, on personal questions."""
    rng = world.rng
    rings = max(1, round(size / 5))
    ring = np.repeat(np.arange(rings), rng.integers(3, 8, size=rings))
    count = len(ring)
    device = strings(world.fresh(rings), "dev-")[ring]
    card = np.where(
        (rng.random(rings) < 0.5)[ring], strings(world.fresh(rings), "pay-")[ring], strings(world.fresh(count), "pay-")
    )
    crowd = enrol(
        world,
        count,
        "free_tier_ring",
        country=rng.integers(18, size=rings)[ring],
        device_fingerprint=device,
        payment_fingerprint=card,
        plan="free",
        created=between(world, count, -60, world.days * 0.8),
    )
    interests = world.topics.popular(rng, (rings, 7))[ring]
    homes = world.network.homes(rng.integers(18, size=rings).astype(np.int32), 2)[ring]
    world.traffic.append(
        chatting(
            world,
            crowd,
            heavy_tail(world, count, 0.6),
            content=curiosity(world, count, interests=interests),
            routes=routes(np.ones((count, 1)), [(homes, np.full(count, 2), 10)]),
        )
    )


def ci_fleet(world: World, size: int) -> None:
    """Pipelines of unrelated teams that use one public action: cron, one template, cloud runners, own repository."""
    rng, knobs = world.rng, world.knobs.under("ci_fleet")
    crowd = enrol(world, size, "ci_fleet", plan="pay-as-you-go", churn=0.03)
    clock = CronClock(
        period_min=rng.choice(np.array([60, 180, 360, 720, 1440]), size=size, p=[0.05, 0.1, 0.25, 0.25, 0.35]),
        phase_min=np.where(rng.random(size) < 0.5, 0, rng.integers(0, 60, size=size)),
        each=np.full(size, knobs.real("requests_a_run", 1, 2.5)),
    )
    content = Fixed(
        np.arange(size, dtype=np.int32),
        6,
        world.topics.about(("software_engineering",)),
        world.salt + 540,
        reworded=0.5,
        genre=CODE,
        templates=2,
    )
    action = world.builds.family("review-action", 6, platforms=1)
    client, upgrade = pick_builds(world, size, [action], [1.0])
    runners = world.network.pool(max(8, size * 2), HOSTING, 0, operators=2, together=True)
    world.traffic.append(
        traffic_of(
            world,
            crowd,
            clock=clock,
            content=_same_action(content, world),
            client=client,
            upgrade=upgrade,
            manner=manner(world, size, api=1.0, inputs=(2600.0, 0.6), outputs=(220.0, 0.6)),
            routes=routes(np.ones((size, 1)), [(np.full(size, runners.start), np.full(size, runners.size), 0)]),
        )
    )


def drift_monitor(world: World, size: int) -> None:
    """Teams that send the same probes every few hours to see whether answers drift: an ordinary practice."""
    rng, knobs = world.rng, world.knobs.under("drift_monitor")
    products = max(1, size // 8)
    crowd = enrol(world, size, "drift_monitor", churn=0.0)
    probes = knobs.whole("probes", 6, 20)
    clock = CronClock(
        period_min=rng.choice(np.array([480, 720, 1440]), size=size, p=[0.2, 0.2, 0.6]),
        phase_min=rng.integers(0, 60, size=size),
        each=np.full(size, float(probes)),
    )
    content = Fixed(
        spread_over(world, size, products), probes, world.topics.popular(rng, 200), world.salt + 560, templates=probes
    )
    client, upgrade = pick_builds(world, size, [world.python, world.node], [0.8, 0.2])
    world.traffic.append(
        traffic_of(
            world,
            crowd,
            clock=clock,
            content=content,
            client=client,
            upgrade=upgrade,
            manner=manner(
                world,
                size,
                api=1.0,
                habit=NOBODY,
                inputs=(240.0, 0.5),
                outputs=(110.0, 0.5),
                temperature=np.zeros(size, dtype=np.float32),
                model=np.full(size, SMALL, dtype=np.int8),
            ),
            routes=server_routes(world, crowd, HOSTING),
        )
    )


def _same_action(content: Fixed, world: World) -> Fixed:
    """One published action: everybody has its system prompt, each repository has its own questions."""
    content.common_system = int(world.fresh(1)[0])
    return content
