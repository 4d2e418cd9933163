"""The accounts of a harvest: how they were opened, paid for, connected, banned and replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from clonewatch.lab.campaigns._curriculum import Curriculum, Harvest, ramp_up
from clonewatch.lab.campaigns._plan import Drawn, PoolPlan
from clonewatch.lab.clocks import FLAT_HOURS, PEOPLE_HOURS, ArrivalClock, Beats, QueueClock, SessionClock, Think, Turns
from clonewatch.lab.content import GRADE, HARVEST, REWRITE, Agent, Content
from clonewatch.lab.ids import Hashes
from clonewatch.lab.knobs import Knobs
from clonewatch.lab.lookalikes.agents import agent_content, agent_harness, agent_manner, proxy_customers
from clonewatch.lab.network import Pool, Routes, routes
from clonewatch.lab.people import NOBODY, PEOPLE, Crowd, adoption, enrol, home_routes, manner, pick_builds, strings
from clonewatch.lab.population import chatting, curiosity
from clonewatch.lab.rows import DAY, HOUR, Ints, Rows
from clonewatch.lab.topics import Topics
from clonewatch.lab.traffic import Manner, Traffic
from clonewatch.lab.vocabulary import (
    COUNTRIES,
    DIRECT,
    HOSTING,
    LARGE,
    MID,
    PROXY,
    REASON,
    RESIDENTIAL,
    TASK,
    THROWAWAY_MAIL,
    VPN,
)
from clonewatch.lab.world import World

_STUBBORN = HOUR // 3  # how long the queue still tries a banned account


class Life(NamedTuple):
    """When each account of a pool works, and which were banned."""

    begin: Ints
    end: Ints
    banned: Ints


class Operation(NamedTuple):
    """One harvest under construction: its world, knobs, content, and the number of its campaign."""

    world: World
    drawn: Drawn
    curriculum: Curriculum
    number: int


def launch(world: World, name: str, plan: PoolPlan, *, egress: Pool | None = None) -> Pool | None:
    """Start a harvest. egress: addresses shared with another campaign. Returns the addresses it uses."""
    number = len(world.campaigns)
    world.campaigns.append(name)
    knobs = world.knobs.under(name)
    drawn = Drawn(plan, knobs)
    total = max(plan.least, round(drawn["accounts"] * world.scale))
    knobs.drawn[f"{name}.accounts"] = total
    cells = world.topics.about(plan.tasks)
    width = min(len(cells), max(20, round(drawn["width"])))
    curriculum = Curriculum(
        world.rng.permutation(cells)[:width],
        world.salt + 5000 + 97 * number,
        rollouts=round(drawn["rollouts"]),
        varied=plan.varied,
        popular=drawn["popular"],
        shards=round(drawn["shards"]),
    )
    operation = Operation(world, drawn, curriculum, number)
    used = egress
    for part in range(plan.split):
        share = total // plan.split + (part < total % plan.split)
        if share:
            used = _pool(operation, part, share, used if plan.split == 1 else None)
    if plan.probing:
        _probing(operation)
    if drawn["customers"] and used is not None:
        proxy_customers(world, max(4, round(drawn["customers"] * world.scale)), used)
    # Last, so that whatever they are, everything before them is as without them.
    for place, (day, size) in enumerate(plan.later):
        begun = Drawn(replace(plan, first_day=(day, day), ramp=(0.0, 0.0), wave=0.0), Knobs(world.rng, {}))
        begun.values = {**drawn.values, "first_day": day, "ramp": 0.0}
        _pool(operation._replace(drawn=begun), 200 + place, size, None)
    return used


def _pool(operation: Operation, part: int, size: int, egress: Pool | None) -> Pool | None:
    """Create the accounts of one part of a harvest and their traffic; returns the addresses they share, if any."""
    world, d, curriculum, number = operation
    plan = d.plan
    life = _lives(world, d, size)
    count = len(life.begin)
    crowd = _accounts(world, d, life, number)
    home = egress or _addresses(world, d, size)
    ways = _ways(world, plan, crowd, home)
    salt = world.salt + 9000 + 131 * number + 17 * part
    system, toolset = _systems(world, count, plan.system)
    content: Content = Harvest(
        curriculum,
        salt,
        max(1, round(d["templates"])),
        d["paraphrase"],
        d["formatted"],
        (max(0.0, d["elicitation"] - 0.1), min(1.0, d["elicitation"] + 0.1)),
        system,
        toolset,
        task=TASK[plan.task] if plan.task else None,
        clean=plan.clean,
        replay=plan.replay,
        genre={"grading": GRADE, "sensitive_rewrite": REWRITE}.get(plan.task, HARVEST),
    )
    client, upgrade = pick_builds(world, count, [_builds(world, max(1, round(d["builds"])), plan.public_builds)], [1.0])
    ways_of_asking = _manner(world, d, count)
    if plan.mimic:
        forge, forge_salt = agent_harness(world)
        client, upgrade = pick_builds(world, count, [Pool(forge.start + forge.size - 12, 12)], [1.0])
        agent = agent_content(world, count, forge_salt)
        content = _Mimic(content, agent)
    harvest = Traffic(
        crowd.ids,
        life.begin,
        life.end,
        _clock(world, d, crowd, life),
        content,
        ways_of_asking,
        ways,
        client,
        upgrade,
        campaign=number,
        grace=np.where(life.banned, _STUBBORN, 0),
    )
    world.traffic.append(harvest)
    if d["cover"] > 0.01:
        _cover(world, d, crowd, harvest)
    for account in np.flatnonzero(life.banned):
        world.events.append((int(life.end[account]), "ban", int(crowd.ids[account]), None, None))
    return home if plan.egress != "own" else None


def _lives(world: World, d: Drawn, size: int) -> Life:
    """Accounts over the window: each may be banned at some time, and is then replaced by a new one."""
    rng, window = world.rng, world.days * DAY
    first, last = d["first_day"] * DAY, int(window * d["last"])
    start = (first + rng.uniform(0, max(d["ramp"], 0.2), size=size) * DAY).astype(np.int64)
    begins, ends, bans = [], [], []
    hazard = d["ban"]
    while len(start):
        lasts = rng.exponential(1 / hazard, size=len(start)) if hazard > 0 else np.full(len(start), np.inf)
        end = np.minimum(start + np.minimum(lasts, 10_000) * DAY, last).astype(np.int64)
        if d.plan.wave:
            wave = np.int64(d.plan.wave * window)
            end = np.where((start < wave) & (end > wave), wave + rng.integers(0, HOUR, size=len(start)), end)
        banned = end < last
        begins.append(start)
        ends.append(end)
        bans.append(banned)
        gone = end[banned]
        start = gone + (rng.uniform(0.3, 1.7, size=len(gone)) * d["replace_hours"] * HOUR).astype(np.int64)
        start = start[start < last]
    return Life(np.concatenate(begins), np.concatenate(ends), np.concatenate(bans))


def _accounts(world: World, d: Drawn, life: Life, number: int) -> Crowd:
    rng, count = world.rng, len(life.begin)
    low, high = d.plan.created
    created = (rng.uniform(low, high, size=count) * DAY).astype(np.int64)
    if d.plan.bursts:  # created in batches within an hour or two
        batches = max(1, count // 25)
        batch = rng.integers(batches, size=count)
        moment = (rng.uniform(low, high, size=batches) * DAY).astype(np.int64)
        created = moment[batch] + rng.integers(0, 2 * HOUR, size=count)
    created = np.minimum(created, life.begin - rng.integers(HOUR // 6, 8 * HOUR, size=count))
    lives = rng.choice(len(COUNTRIES), size=max(1, round(d["countries"])), replace=False)
    home = lives[rng.integers(len(lives), size=count)].astype(np.int32)
    throwaway = rng.random(count) < d.plan.throwaway
    mail = np.array(THROWAWAY_MAIL, dtype=object)[rng.integers(len(THROWAWAY_MAIL), size=count)]
    told: dict[str, object] = {
        "payment_fingerprint": _shared_facts(world, count, d["per_card"], "pay-"),
        "device_fingerprint": _shared_facts(world, count, d["per_device"], "dev-"),
        "programme": _programmes(world, count, d["programme"]),
        "trust": np.where(rng.random(count) < d.plan.anchors, 1e9, 0.0),
    }
    if d.plan.per_card[1] > 1:
        told["payment_class"] = np.where(rng.random(count) < 0.6, "virtual", "card")
        told["issuer_class"] = np.where(rng.random(count) < 0.6, "virtual-issuer", "neobank")
    crowd = enrol(world, count, "member", campaign=number, created=created, country=home, churn=0.0, **told)
    if d.plan.throwaway:
        world.overwrite("email_domain", crowd.ids, throwaway, mail)
        world.overwrite("email_pattern", crowd.ids, throwaway, np.full(count, "nick99", dtype=object))
    return crowd


def _programmes(world: World, count: int, share: float) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Preferential programmes that were joined under a pretext."""
    told = np.full(count, None, dtype=object)
    told[world.rng.random(count) < share] = ("education", "research", "start-up")[int(world.rng.integers(3))]
    return told


def _shared_facts(world: World, count: int, per: float, prefix: str) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    if per <= 1.0:
        return strings(world.fresh(count), prefix)
    stock = strings(world.fresh(max(1, round(count / per))), prefix)
    return stock[world.rng.integers(len(stock), size=count)]


def _addresses(world: World, d: Drawn, size: int) -> Pool:
    rented = (PROXY, PROXY, HOSTING, HOSTING, VPN)[int(world.rng.integers(5))]
    kind = {"pool": rented, "hosting": HOSTING, "residential": RESIDENTIAL}.get(d.plan.egress, RESIDENTIAL)
    country = int(world.rng.integers(len(COUNTRIES)))
    addresses = max(2, round(size / d["per_address"]))
    return world.network.pool(addresses, kind, country, operators=max(1, addresses // 8), together=kind != RESIDENTIAL)


def _ways(world: World, plan: PoolPlan, crowd: Crowd, pool: Pool) -> Routes:
    count = len(crowd.ids)
    if plan.egress == "own":
        return home_routes(world, crowd, mobile=0.05, vpn_users=0.0)
    return routes(np.ones((count, 1)), [(np.full(count, pool.start), np.full(count, pool.size), plan.lease_days)])


def _systems(world: World, count: int, share: float) -> tuple[Hashes, Hashes]:
    """One system prompt for the whole pool, or none."""
    one = world.fresh(1)[0] if world.rng.random() < share else np.uint64(0)
    return np.full(count, one, dtype=np.uint64), np.zeros(count, dtype=np.uint64)


def _builds(world: World, count: int, public_chance: float) -> Pool:
    """Client builds of a pool: some of the public ones, or public names on its own TLS stack."""
    names = {
        "lumen-python": world.python,
        "http-client": world.raw,
        "openchain": world.wrapper,
        "lumen-node": world.node,
    }
    name = list(names)[int(world.rng.integers(len(names)))]
    if world.rng.random() < public_chance:
        public = names[name]
        few = min(count, public.size)
        return Pool(public.start + int(world.rng.integers(public.size - few + 1)), few)
    return world.builds.family(name, count, platforms=max(1, count // 3))


def _manner(world: World, d: Drawn, count: int) -> Manner:
    rng = world.rng
    if d.plan.mimic:
        return agent_manner(
            world, count, habit=NOBODY, adopts=_reaction(world, d, count), inputs=(30_000.0, 0.6), outputs=(500.0, 0.7)
        )
    model = (MID, LARGE, REASON)[int(rng.integers(3))]
    limit = int(rng.choice(np.array([4096, 8192, 16_000, -1])))
    warm = float(rng.choice(np.array([0.6, 0.7, 1.0])))
    return manner(
        world,
        count,
        api=1.0,
        habit=NOBODY,
        model=np.full(count, model, dtype=np.int8),
        adopts=_reaction(world, d, count),
        eager=0.95,
        inputs=(300.0, 0.4),
        outputs=(d["outputs"], 0.5),
        grow=0.2,
        cached=0.05,
        refusals=0.02,
        failures=0.0,
        channel=np.full(count, DIRECT, dtype=np.int8),
        temperature=np.full(count, warm, dtype=np.float32),
        max_tokens=np.full(count, limit, dtype=np.int32),
        tools=np.zeros(count, dtype=np.int16),
        stream=0.2,
    )


def _reaction(world: World, d: Drawn, count: int) -> Ints:
    """One operator decides: a share of accounts moves within a day of the release, the rest like anybody or never."""
    quick = world.rng.random(count) < d["react"]
    soon = world.release + (world.rng.uniform(0, 1, size=count) * DAY).astype(np.int64)
    return np.where(quick, soon, adoption(world, count, curious=0.3))


def _clock(world: World, d: Drawn, crowd: Crowd, life: Life) -> ArrivalClock:
    harvest = d["rate"] * (1 - d["cover"])
    ramp = ramp_up(world.days, d["first_day"], world.days * d["last"], d["ramp"])
    if d.plan.schedule == "sessions":
        return SessionClock(
            np.full(len(crowd.ids), harvest / 2.2), crowd.zone, Turns(), Think(), calendar=ramp, restless=0.7
        )
    share = np.exp(world.rng.normal(0, d["uneven"], size=len(crowd.ids)))
    return QueueClock(
        harvest,
        life.begin,
        life.end + np.where(life.banned, _STUBBORN, 0),
        share,
        ramp,
        closed=d.plan.schedule == "closed",
        turn_taking=d.plan.turn_taking,
        per_account=True,
        zone=8.0,
        profile=FLAT_HOURS if d.plan.flat else 0.35 + 0.65 * PEOPLE_HOURS,
    )


def _cover(world: World, d: Drawn, crowd: Crowd, harvest: Traffic) -> None:
    """Other traffic of the accounts: chat generated to look human, that of a proxy's customers, or of their holders."""
    count = len(crowd.ids)
    sessions = np.full(count, d["rate"] * d["cover"] / 2.2)
    if d.plan.cover_from == "customers":
        interests = world.topics.popular(world.rng, (count, 200))
        content = curiosity(world, count, interests=interests, own_template=0.0)
    else:
        content = curiosity(world, count)
    made = chatting(
        world,
        crowd,
        sessions,
        content=content,
        routes=harvest.routes,
        client=harvest.client,
        upgrade=harvest.upgrade,
        clock=SessionClock(sessions, crowd.zone, restless=0.6),
        manner=manner(world, count, api=1.0, habit=PEOPLE if d.plan.cover_from == "own" else NOBODY),
    )
    world.traffic.append(replace(made, begin=harvest.begin, end=harvest.end))


def _probing(operation: Operation) -> None:
    """Before scaling up: a few accounts try many wordings, are refused, and try again."""
    world, plan = operation.world, operation.drawn.plan
    few = replace(
        plan, least=3, first_day=(0.2, 0.2), last=(0.25, 0.25), ramp=(0, 0), cover=(0, 0), ban=(0, 0), customers=(0, 0)
    )
    size = max(3, round(6 * world.scale))
    drawn = Drawn(few, world.knobs.under(f"{world.campaigns[operation.number]}.probing"))
    drawn.values["rate"] = plan.probing
    before = len(world.traffic)
    _pool(operation._replace(drawn=drawn), 99, size, None)
    traffic = world.traffic[before]
    content = traffic.content
    if isinstance(content, Harvest):
        content.probing, content.families = True, 60
    traffic.manner.refusals = 0.25


class _Mimic:
    """A harvest that imitates the popular agent: its system prompt, tools and wrappers, with other questions."""

    def __init__(self, harvest: Content, agent: Agent) -> None:
        self.harvest, self.agent = harvest, agent

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """The harvest's questions with the agent's wrappers."""
        made = self.agent.fill(beats, topics, rng)
        asked = self.harvest.fill(beats, topics, rng)
        return made | {key: asked[key] for key in ("cell", "prompt", "elicitation", "status")}
