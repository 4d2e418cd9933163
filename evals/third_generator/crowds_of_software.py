"""Honest crowds behind one program: a router, an agent, an app, a probe, a build step."""

from __future__ import annotations

import math

from evals.third_generator import ranges
from evals.third_generator.crowd_calls import add
from evals.third_generator.language import NAMES, Product, Writer, coined, pasted
from evals.third_generator.world import DAY, OLD, World


def aggregator(world: World, n: int) -> None:
    """A router of many customers' requests over its keys, each key getting nearly the same."""
    random = world.random
    card, block = world.code("pay_"), world.blocks(1)[0]
    declared, country = random.random() < 0.5, world.country()
    keys = [
        world.join(
            "aggregator",
            country=country,
            created=-random.uniform(5, 300) * DAY,
            payment_fingerprint=card,
            payment_class="invoice",
            plan="business",
            declared_use="reseller" if declared else None,
            email_domain=f"{coined(random)}.example",
        )
        for _ in range(n)
    ]
    servers = [world.address("hosting", country, block) for _ in range(4)]
    users = [
        (world.code("u_"), Writer(random), Product(random) if random.random() < 0.2 else None) for _ in range(n * 12)
    ]
    names = random.random() < 0.6
    for i, at in enumerate(world.moments(n * random.randint(40, 110), country, 0, world.days * DAY)):
        user, writer, product = random.choice(users)
        text, system = (product.request(), product.system) if product else (writer.first(), "")
        add(
            world,
            keys[i % n],
            at,
            text,
            random.choice(servers),
            system=system,
            channel="aggregator",
            end_user=user if names else None,
            client="router/7.1",
            model=world.model(at, OLD, 3600),
        )


def coding_agents(world: World, n: int) -> None:
    """Users of one coding agent: the same instructions in several versions, each on a project of their own."""
    random = world.random
    harness = coined(random).capitalize()
    base = f"You are {harness}, an agent that edits code in a repository. Use the tools. Read before you write."
    drift = (
        "Prefer small patches.",
        "Run the tests after each edit.",
        "Plan first.",
        "Keep answers short.",
        "Ask before deleting files.",
        "Search with the grep tool.",
        "Think through the change before acting.",
    )
    versions = [
        f"{base} {' '.join(random.sample(drift, 4))} Version 2.{i}."
        for i in range(random.randint(*ranges.HARNESS_VERSIONS))
    ]
    for _ in range(n):
        coder = world.join("coding_agent", plan=random.choice(("pro", "pay_as_you_go", "team")))
        writer, places, taste = (
            Writer(random),
            world.whereabouts(coder.country),
            (OLD, random.expovariate(1 / (2 * DAY))),
        )
        writer.topics, project = [random.choice(("python", "web", "sql", "devops"))], [coined(random) for _ in range(6)]
        coder.facts["signup_ip"] = places[0].ip
        for at in world.moments(random.choice((1, 1, 2, 3, 5)), coder.country, coder.created, world.days * DAY):
            moment, session, place = at, world.code("s_"), random.choice(places)
            version = versions[
                min(len(versions) - 1, int(max(0.0, at / (world.days * DAY) + random.gauss(0, 0.1)) * len(versions)))
            ]
            steps = int(min(80, math.exp(random.gauss(math.log(ranges.AGENT_CALLS_MEDIAN), ranges.AGENT_CALLS_SIGMA))))
            for turn in range(steps):
                output = pasted(random, writer.topics[0], random.randint(5, 40))
                used, file = random.choice(("read", "edit", "test", "grep")), "/".join(random.choices(project, k=2))
                tool = f"tool result {used} {file}.py: {output}"
                text = tool if turn and random.random() < 0.85 else f"{writer.first()} ({random.choice(project)})"
                add(
                    world,
                    coder,
                    moment,
                    text,
                    place,
                    system=version,
                    session=session,
                    turn=turn,
                    client=f"{harness.lower()}-cli/2",
                    tools=12,
                    model=world.model(moment, *taste),
                )
                moment += math.exp(random.gauss(math.log(ranges.AGENT_GAP_MEDIAN), ranges.AGENT_GAP_SIGMA))


def rag_app(world: World, n: int) -> None:
    """Users who put their own keys into one app that answers from documents."""
    random = world.random
    app = Product(random)
    system = f"{app.system} Answer only from the passages below and cite their numbers."
    library = [pasted(random, t, 45) for t in random.choices(NAMES, k=60)]
    for _ in range(n):
        reader = world.join("rag_app")
        writer, places, taste = Writer(random), world.whereabouts(reader.country), world.taste()
        own = random.sample(library, 8)
        reader.facts["signup_ip"] = places[0].ip
        for at in world.moments(int(random.expovariate(1 / 9)) + 1, reader.country, reader.created, world.days * DAY):
            passages = "\n".join(f"[{i}] {p}" for i, p in enumerate(random.sample(own, 2)))
            add(
                world,
                reader,
                at,
                f"{passages}\nQuestion: {writer.first()}",
                random.choice(places),
                system=system,
                client=f"{app.name.lower()}/1.3",
                model=world.model(at, *taste),
            )


def monitors(world: World, n: int) -> None:
    """Customers of one monitoring service: the same probe by the clock from its servers, on their own accounts."""
    random = world.random
    probe, block = f"Reply with the word {coined(random)} and nothing else.", world.blocks(1)[0]
    servers = [world.address("hosting", None, block) for _ in range(3)]
    for _ in range(n):
        watched = world.join("monitor", plan="business", payment_class="invoice")
        every, offset = random.choice((4, 6, 12, 24)) * 3600, random.uniform(0, 90)
        for k in range(int(world.days * DAY // every)):
            add(
                world,
                watched,
                k * every + offset + random.expovariate(1 / 2),
                probe,
                random.choice(servers),
                client="uptime-probe/5",
                model=world.model(k * every, OLD, DAY),
            )
        if random.random() < 0.5:
            world.ordinary(watched)


def ci_fleet(world: World, n: int) -> None:
    """Projects that use one build step to review changes, from the short-lived machines of one build service."""
    random = world.random
    system = f"You review a change. Point out defects by line. {coined(random).capitalize()} review step."
    blocks = world.blocks(4)
    for _ in range(n):
        repo = world.join("ci_fleet")
        name, topic = coined(random), random.choice(("python", "web", "devops", "sql"))
        for at in world.moments(
            int(random.expovariate(1 / 40)) + 2, repo.country, repo.created, world.days * DAY, work=True
        ):
            added = pasted(random, topic, random.randint(8, 60))
            hunk = f"diff {name}/{coined(random, 2)}.py @@ {random.randint(1, 900)}\n+ {added}"
            add(
                world,
                repo,
                at,
                hunk,
                world.address("hosting", "US", random.choice(blocks)),
                system=system,
                client="ci-step/3",
                tools=2,
                model=world.model(at, OLD, 5 * DAY),
            )
