"""Honest organisations: one card, one network or one queue behind many accounts, openly."""

from __future__ import annotations

import numpy as np

from clonewatch.lab.clocks import OFFICE_HOURS, ArrivalClock, MachineClock, QueueClock, SessionClock
from clonewatch.lab.content import GRADE, LABEL, App, Content, Fixed
from clonewatch.lab.lookalikes.agents import spread_over, traffic_of
from clonewatch.lab.network import Routes, routes, shared
from clonewatch.lab.people import (
    NOBODY,
    Crowd,
    between,
    enrol,
    home_routes,
    manner,
    pick_builds,
    server_routes,
    strings,
)
from clonewatch.lab.population import chatting, curiosity, heavy_tail, product_cells
from clonewatch.lab.rows import DAY, Array, Reals
from clonewatch.lab.traffic import Manner
from clonewatch.lab.vocabulary import AGGREGATOR, BATCH, CORPORATE, HOSTING, MID, SMALL, TASK
from clonewatch.lab.world import World


def enterprise(world: World, size: int) -> None:
    """Seats of one company: one card, one office network, office hours, templates spread by teams."""
    rng, knobs = world.rng, world.knobs.under("enterprise")
    office = world.network.pool(knobs.whole("addresses", 1, 3), CORPORATE, 0, together=True)
    crowd = enrol(
        world,
        size,
        "enterprise",
        country=0,
        org_id="org-northwind",
        org_declared=True,
        plan="enterprise",
        payment_class="invoice",
        payment_fingerprint=strings(world.fresh(1), "pay-")[0],
        issuer_class="corporate-card",
        email_domain="northwind.example",
        email_pattern="first.last",
        trust=1.6,
        billing_country="US",
    )
    team = world.fresh(max(2, size // 25))
    content = curiosity(world, size, own_template=0.2, system=team[rng.integers(len(team), size=size)])
    clock = SessionClock(heavy_tail(world, size, 0.7), crowd.zone, profile=OFFICE_HOURS, weekend=0.12)
    world.traffic.append(
        chatting(
            world,
            crowd,
            np.zeros(size),
            clock=clock,
            content=content,
            routes=home_routes(world, crowd, work=office, work_share=knobs.real("at_work", 0.6, 0.9)),
        )
    )


def reseller(world: World, size: int) -> None:
    """A declared reseller's key pool: one card, one hosting network, balanced keys, public conversations."""
    knobs = world.knobs.under("reseller")
    pool = world.network.pool(8, HOSTING, 0, together=True)
    crowd = enrol(
        world,
        size,
        "reseller",
        org_id="org-modelmart",
        org_declared=True,
        declared_use="reseller",
        trust=1.5,
        payment_class="invoice",
        payment_fingerprint=strings(world.fresh(1), "pay-")[0],
        email_domain="modelmart.example",
        plan="partner",
    )
    rate = np.full(size, knobs.real("sessions_a_day", 2.0, 5.0))
    relay(world, crowd, rate, shared(pool, size, 0), users=300)


def multi_provider_router(world: World, size: int) -> None:
    """Small honest routers that nobody declared: a few accounts each, mixed customers, retries across accounts."""
    rng, knobs = world.rng, world.knobs.under("multi_provider_router")
    firms = max(2, round(size / 4))
    firm = spread_over(world, size, firms)
    crowd = enrol(
        world,
        size,
        "multi_provider_router",
        payment_fingerprint=strings(world.fresh(firms), "pay-")[firm],
        email_domain=np.char.add("router-", firm.astype(str)).astype(object) + ".example",
        churn=0.02,
        trust=0.9,
    )
    pools = np.array([world.network.pool(3, HOSTING, int(rng.integers(18)), together=True) for _ in range(firms)])
    ways = routes(np.ones((size, 1)), [(pools[firm, 0], pools[firm, 1], 0)])
    rate = heavy_tail(world, firms, knobs.real("sessions_a_day", 1.5, 4.0), 0.8)[firm]
    relay(world, crowd, rate, ways)


def relay(world: World, crowd: Crowd, rate: Reals, ways: Routes, users: int = 0) -> None:
    """Conversations of the public, passed on by one back end over all accounts. users: end users that each names."""
    size = len(crowd.ids)
    everyone = world.topics.popular(world.rng, (size, 400))  # not one person's interests but the public's
    client, upgrade = pick_builds(world, size, [world.wrapper, world.python], [0.7, 0.3])
    world.traffic.append(
        chatting(
            world,
            crowd,
            rate,
            clock=SessionClock(rate, crowd.zone * 0, weekend=0.9, restless=0.3),
            content=curiosity(world, size, interests=everyone, own_template=0.0, users=users),
            routes=ways,
            client=client,
            upgrade=upgrade,
            manner=manner(
                world, size, api=1.0, habit=NOBODY, channel=np.full(size, AGGREGATOR, dtype=np.int8), failures=0.035
            ),
        )
    )


def batch_customer(world: World, size: int) -> None:
    """One declared customer labelling its own data: one template, no repeats, a steady queue over its accounts."""
    knobs = world.knobs.under("batch_customer")
    crowd = enrol(
        world,
        size,
        "batch_customer",
        org_id="org-labelworks",
        org_declared=True,
        plan="business",
        trust=1.2,
        payment_fingerprint=strings(world.fresh(1), "pay-")[0],
        payment_class="invoice",
        churn=0.0,
        created=between(world, size, -400, -100),
    )
    content = App(
        np.zeros(size, dtype=np.int32),
        product_cells(world, 1, knobs.whole("cells", 1, 4)),
        world.salt + 400,
        np.ones(1, dtype=np.int64),
        repeats=0.0,
        formatted=1.0,
        genre=LABEL,
        task=TASK["data_analysis"],
    )
    clock = QueueClock(
        knobs.real("a_day_each", 12, 40), crowd.begin, crowd.end, np.ones(size), np.ones(world.days), per_account=True
    )
    ways = manner(
        world,
        size,
        api=1.0,
        habit=NOBODY,
        inputs=(420.0, 0.3),
        outputs=(18.0, 0.4),
        model=np.full(size, SMALL, dtype=np.int8),
        operation=BATCH,
        same_input=0.2,
    )
    _machine(world, crowd, clock, content, ways)


def annotation_vendor(world: World, size: int) -> None:
    """An annotation vendor: workers' accounts that grade answers by a rubric, declared use, one network."""
    knobs = world.knobs.under("annotation_vendor")
    crowd = enrol(
        world,
        size,
        "annotation_vendor",
        country=4,
        org_id="org-tagline",
        org_declared=True,
        declared_use="annotation",
        payment_fingerprint=strings(world.fresh(1), "pay-")[0],
        payment_class="invoice",
        trust=1.2,
    )
    grading = world.topics.about(("grading",))
    content = App(
        np.zeros(size, dtype=np.int32),
        grading[None, : knobs.whole("cells", 10, 60)],
        world.salt + 420,
        np.full(1, 3),
        repeats=0.02,
        formatted=1.0,
        genre=GRADE,
        flatness=1.2,
    )
    clock = SessionClock(heavy_tail(world, size, 2.0, 0.5), crowd.zone, profile=OFFICE_HOURS, weekend=0.3)
    ways = manner(world, size, api=0.8, habit=NOBODY, inputs=(1600.0, 0.5), outputs=(90.0, 0.6))
    office = world.network.pool(2, CORPORATE, 4, together=True)
    client, upgrade = pick_builds(world, size, [world.browser], [1.0])
    world.traffic.append(
        traffic_of(
            world,
            crowd,
            clock=clock,
            content=content,
            manner=ways,
            client=client,
            upgrade=upgrade,
            routes=shared(office, size, 1),
        )
    )


def synthetic_data_firm(world: World, size: int) -> None:
    """A licensed producer of training data: a real curriculum, uniform and without repeats, under contract."""
    knobs = world.knobs.under("synthetic_data_firm")
    crowd = enrol(
        world,
        size,
        "synthetic_data_firm",
        org_id="org-syntho",
        org_declared=True,
        declared_use="synthetic_data",
        training_permitted=True,
        payment_fingerprint=strings(world.fresh(1), "pay-")[0],
        payment_class="invoice",
        plan="enterprise",
        trust=1.2,
        churn=0.0,
        created=between(world, size, -300, -20),
    )
    cells = world.topics.about(("reasoning", "software_engineering", "data_analysis"))
    content = App(
        np.zeros(size, dtype=np.int32),
        cells[None, :],
        world.salt + 440,
        np.full(1, knobs.whole("templates", 4, 40)),
        repeats=0.0,
        formatted=1.0,
        flatness=1.0,
        elicitation=0.5,
    )
    clock = QueueClock(
        knobs.real("a_day_each", 15, 60), crowd.begin, crowd.end, np.ones(size), np.ones(world.days), per_account=True
    )
    _machine(
        world,
        crowd,
        clock,
        content,
        manner(world, size, api=1.0, habit=NOBODY, inputs=(300.0, 0.4), outputs=(900.0, 0.5)),
    )


def eval_lab(world: World, size: int) -> None:
    """Laboratories that run the same benchmarks, most on release day; some belong to no declared organisation."""
    rng, knobs = world.rng, world.knobs.under("eval_lab")
    crowd = enrol(
        world,
        size,
        "eval_lab",
        declared_use=_some(world, size, 0.3, "evaluation"),
        churn=0.0,
        created=between(world, size, -600, -5),
        trust=1.0,
    )
    suites = knobs.whole("benchmarks", 2, 4)
    items = knobs.whole("items", 60, 200)
    cells = world.topics.popular(rng, 300)
    content = Fixed(
        rng.integers(suites, size=size).astype(np.int32),
        items,
        cells,
        world.salt + 460,
        templates=2,
        elicitation=0.35,
        formatted=True,
    )
    calendar = np.full(world.days, 0.06)
    day = min(int(world.release // DAY), world.days - 1)
    calendar[day : day + 3] = (1.0, 0.8, 0.3)[: len(calendar[day : day + 3])]
    clock = MachineClock(
        rate=np.full(size, items * knobs.real("passes", 0.5, 1.0)),
        zone=crowd.zone,
        variation=np.full(size, 1.5),
        flat=np.zeros(size, dtype=bool),
        calendar=calendar,
        restless=0.6,
    )
    ways = manner(
        world,
        size,
        api=1.0,
        habit=NOBODY,
        inputs=(350.0, 0.6),
        outputs=(420.0, 0.7),
        adopts=np.full(size, world.release),
        eager=0.95,
        temperature=np.zeros(size, dtype=np.float32),
        model=np.full(size, MID, dtype=np.int8),
    )
    _machine(world, crowd, clock, content, ways)


def _machine(world: World, crowd: Crowd, clock: ArrivalClock, content: Content, ways: Manner) -> None:
    client, upgrade = pick_builds(world, len(crowd.ids), [world.python, world.node, world.raw], [0.75, 0.1, 0.15])
    world.traffic.append(
        traffic_of(
            world,
            crowd,
            clock=clock,
            content=content,
            manner=ways,
            client=client,
            upgrade=upgrade,
            routes=server_routes(world, crowd, HOSTING, each=2),
        )
    )


def _some(world: World, size: int, share: float, value: str) -> Array:
    """The value for a share of accounts, null for the rest."""
    told = np.full(size, None, dtype=object)
    told[world.rng.random(size) < share] = value
    return told
