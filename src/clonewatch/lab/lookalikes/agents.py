"""Honest users of one coding agent, of one start-up's app, and of privacy tools: shared builds, prompts or egress."""

from __future__ import annotations

import numpy as np

from clonewatch.lab.clocks import AGENT_THINK, Marathon, SessionClock
from clonewatch.lab.content import REWRITE, Agent, App
from clonewatch.lab.network import Pool, Routes, routes
from clonewatch.lab.people import USERS, Crowd, enrol, home_routes, manner, opened, pick_builds
from clonewatch.lab.population import chatting, curiosity, heavy_tail, product_cells
from clonewatch.lab.rows import Codes, Ints
from clonewatch.lab.traffic import Manner, Traffic
from clonewatch.lab.vocabulary import DIRECT, HOSTING, LARGE, MID, TASK
from clonewatch.lab.world import World


def agent_manner(world: World, count: int, **said: object) -> Manner:
    """Tokens of coding agents. Measured medians are 100k in and 217 out; input is mostly read from the cache."""
    rng = world.rng
    made: dict[str, object] = {
        "api": 1.0,
        "habit": USERS,
        "model": rng.choice(np.array([MID, LARGE], dtype=np.int8), size=count, p=[0.35, 0.65]),
        "inputs": (42_000.0, 0.6),
        "outputs": (190.0, 0.9),
        "grow": 0.02,
        "cached": 0.93,
        "agentic": True,
        "channel": np.full(count, DIRECT, dtype=np.int8),
        "temperature": np.full(count, 1.0, dtype=np.float32),
        "max_tokens": np.full(count, 32_000, dtype=np.int32),
        "stream": 0.99,
        "tools": rng.integers(12, 40, size=count).astype(np.int16),
    }
    return manner(world, count, **(made | said))  # type: ignore[arg-type]


def agent_harness(world: World) -> tuple[Pool, int]:
    """The world's one popular coding agent: its builds and the salt of its prompts."""
    if world.agent_builds is None:
        world.agent_builds = world.builds.family("forge-cli", 60, platforms=5)
    return world.agent_builds, world.salt + 300


def agent_content(world: World, count: int, salt: int) -> Agent:
    """Sessions in a person's own repositories; versions lag behind releases by days."""
    rng = world.rng
    coding = world.topics.about(("software_engineering", "agentic_tool_use"))
    return Agent(
        harness=np.zeros(count, dtype=np.int32),
        repos=coding[rng.integers(len(coding), size=(count, 3))],
        salt=salt,
        extras=np.where(rng.random(count) < 0.45, 0, rng.geometric(0.02, size=count)).astype(np.int64),
        version_days=2,
        lag=rng.geometric(0.3, size=count).astype(np.int64) - 1,
    )


def coding_agent(world: World, size: int) -> None:
    """Many unrelated people on one harness: same system prompt, tools and user agent, own repositories."""
    knobs = world.knobs.under("coding_agent")
    crowd = enrol(world, size, "coding_agent")
    builds, salt = agent_harness(world)
    rate = heavy_tail(world, size, knobs.real("sessions_a_day", 0.03, 0.07), 1.0)
    client, upgrade = pick_builds(world, size, [builds], [1.0])
    turns = Marathon(median=knobs.real("requests_a_session", 30, 48))
    clock = SessionClock(rate, crowd.zone, turns, AGENT_THINK)
    world.traffic.append(
        chatting(
            world,
            crowd,
            rate,
            clock=clock,
            content=agent_content(world, size, salt),
            client=client,
            upgrade=upgrade,
            manner=agent_manner(world, size),
            routes=home_routes(world, crowd, mobile=0.05),
        )
    )


def rag_app(world: World, size: int) -> None:
    """A start-up whose product creates an account for each of its users: one template, one system prompt, one build."""
    rng, knobs = world.rng, world.knobs.under("rag_app")
    apps = max(1, round(size / 120))
    app = rng.integers(apps, size=size).astype(np.int32)
    crowd = enrol(world, size, "rag_app", created=opened(world, size, knobs.real("newcomers", 0.2, 0.5)), churn=0.25)
    rate = heavy_tail(world, size, knobs.real("sessions_a_day", 0.2, 0.6), 1.0)
    content = App(
        app, product_cells(world, apps, 60), world.salt + 320, rng.integers(1, 3, size=apps), repeats=0.12, releases=20
    )
    builds = [world.builds.family(f"helpdesk-app-{i}", 5, platforms=2) for i in range(apps)]
    start = np.array([b.start for b in builds])[app]
    client = np.stack([start + 2, start + 4], axis=1).astype(np.int32)
    upgrade = np.full(size, world.knobs.rng.integers(world.days) * 86_400_000_000, dtype=np.int64)
    servers = [world.network.pool(4, HOSTING, 0, together=True) for _ in range(apps)]
    ways = routes(
        np.ones((size, 1)), [(np.array([s.start for s in servers])[app], np.full(size, 4), 0)]
    )  # requests leave from the start-up's servers
    world.traffic.append(
        chatting(
            world,
            crowd,
            rate,
            content=content,
            client=client,
            upgrade=upgrade,
            routes=ways,
            manner=manner(world, size, api=1.0, habit=USERS, inputs=(3100.0, 0.35), outputs=(230.0, 0.75), cached=0.5),
        )
    )


def privacy_vpn(world: World, size: int) -> None:
    """People who always use the same commercial VPN, for safety or habit."""
    rng = world.rng
    crowd = enrol(world, size, "privacy_vpn", email_domain="proton.me")
    vpn = np.array(world.vpns[:2], dtype=np.int64)[rng.integers(2, size=size)]
    world.traffic.append(
        chatting(
            world,
            crowd,
            heavy_tail(world, size, 0.5),
            routes=routes(np.ones((size, 1)), [(vpn[:, 0], vpn[:, 1], 0)]),
        )
    )


def proxy_customers(world: World, size: int, egress: Pool, role: str = "proxy_customer") -> Crowd:
    """Honest people whose requests leave through addresses that a campaign also uses."""
    crowd = enrol(world, size, role)
    world.traffic.append(
        chatting(world, crowd, heavy_tail(world, size, 0.6), routes=_behind(egress, size)),
    )
    return crowd


def newsroom(world: World, size: int) -> None:
    """Translators and newsrooms rewriting sensitive reports: narrow topics, odd hours, often behind a VPN."""
    rng = world.rng
    sensitive = world.topics.about(("sensitive_rewrite",))
    content = curiosity(
        world, size, interests=sensitive[rng.integers(len(sensitive), size=(size, 5))], loyalty=0.85, genre=REWRITE
    )
    crowd = enrol(world, size, "newsroom")
    world.traffic.append(
        chatting(
            world,
            crowd,
            heavy_tail(world, size, 0.9),
            content=content,
            routes=home_routes(world, crowd, vpn_users=0.5),
            manner=manner(world, size, refusals=0.03),
        )
    )


def red_team(world: World, size: int) -> None:
    """Security researchers: unusual prompts, many refusals, retried in other words; declared to the provider."""
    rng = world.rng
    crowd = enrol(
        world,
        size,
        "red_team",
        declared_use="research",
        programme="security-research",
        org_declared=True,
        org_id=np.array([f"org-lab-{i % 4}" for i in range(size)], dtype=object),
    )
    content = curiosity(world, size, asks_why=0.35, own_template=0.35, loyalty=0.8)
    clock = SessionClock(heavy_tail(world, size, 1.2), crowd.zone)
    ways = manner(world, size, api=0.9, refusals=0.25, failures=0.03)
    world.traffic.append(
        chatting(
            world,
            crowd,
            np.zeros(size),
            clock=clock,
            content=content,
            manner=ways,
            routes=home_routes(world, crowd, vpn_users=float(rng.uniform(0.2, 0.6))),
        )
    )


def viral_prompt(world: World, size: int) -> None:
    """A viral prompt: ordinary people all send it within three days, then never again."""
    rng = world.rng
    crowd = enrol(world, size, "viral_prompt", churn=0.0)
    world.traffic.append(chatting(world, crowd, heavy_tail(world, size, 0.5)))
    day = int(rng.integers(2, max(3, world.days - 4)))
    calendar = np.zeros(world.days)
    calendar[day : day + 3] = (0.6, 1.0, 0.4)[: len(calendar[day : day + 3])]
    clock = SessionClock(np.full(size, 0.8), crowd.zone, calendar=calendar)
    content = App(
        np.zeros(size, dtype=np.int32),
        product_cells(world, 1, 1),
        world.salt + 340,
        np.ones(1, dtype=np.int64),
        repeats=0.7,
        formatted=0.0,
        task=TASK["chat"],
        systemless=True,
    )
    world.traffic.append(
        chatting(world, crowd, np.zeros(size), clock=clock, content=content, manner=manner(world, size, api=0.1))
    )


def _behind(pool: Pool, count: int) -> Routes:
    starts: Ints = np.full(count, pool.start, dtype=np.int64)
    return routes(np.ones((count, 1)), [(starts, np.full(count, pool.size), 0)])


def traffic_of(world: World, crowd: Crowd, **said: object) -> Traffic:
    """Machine-like honest traffic: everything except the accounts is given."""
    return Traffic(crowd.ids, crowd.begin, crowd.end, **said)  # type: ignore[arg-type]


def spread_over(world: World, count: int, groups: int) -> Codes:
    """Members assigned to groups at random, every group with at least one."""
    dealt = np.concatenate([np.arange(groups), world.rng.integers(groups, size=max(0, count - groups))])
    return dealt[:count].astype(np.int32)
