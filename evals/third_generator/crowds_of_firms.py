"""Honest crowds of colleagues: one payer, one task or one address."""

from __future__ import annotations

from evals.third_generator.crowd_calls import add
from evals.third_generator.language import NAMES, Product, Writer, coined, filled, pasted
from evals.third_generator.world import DAY, LARGE, OLD, World


def office(world: World, n: int) -> None:
    """Colleagues behind one address and on one card, without a declared organisation."""
    random = world.random
    country, card = world.country(), world.code("pay_")
    line, domain = world.address("corporate", country), f"{coined(random)}-office.example"
    shared = random.sample(NAMES, 2)
    for _ in range(n):
        clerk = world.join(
            "office",
            country=country,
            payment_fingerprint=card,
            payment_class="card",
            email_domain=domain,
            email_pattern="word.word",
            plan="team",
        )
        writer, taste = Writer(random), world.taste()
        writer.topics = [*shared, random.choice(NAMES)]
        clerk.facts["signup_ip"] = line.ip
        for at in world.moments(
            int(random.expovariate(1 / 10)) + 1, country, clerk.created, world.days * DAY, work=True
        ):
            world.chat(clerk, writer, at, [line], taste, "web-console/2026.3")


def annotators(world: World, n: int) -> None:
    """Workers of one annotation firm: rubric grading in working hours, from home."""
    random = world.random
    country, card, declared = world.country(), world.code("pay_"), random.random() < 0.5
    quality = random.choice(("tone", "accuracy", "help"))
    rubric = f"Rate the answer from 1 to 5 for {quality} and give one reason. Guideline {coined(random)}."
    start, single = random.uniform(0, 0.3) * world.days * DAY, random.random() < 0.6
    for _ in range(n):
        worker = world.join(
            "annotators",
            country=country,
            created=start + random.expovariate(1 / (2 * DAY)),
            email_domain=f"{coined(random)}.example" if not single else "labels.example",
            declared_use="annotation" if declared else None,
        )
        if single:
            worker.facts["payment_fingerprint"] = card
        places, writer = world.whereabouts(country), Writer(random)
        worker.facts["signup_ip"] = places[0].ip
        for at in world.moments(random.randint(8, 70), country, worker.created, world.days * DAY, work=True):
            topic = random.choice(NAMES)
            text = f"{rubric}\nPrompt: {writer.first(topic)}\nAnswer: {pasted(random, topic, random.randint(15, 50))}"
            add(
                world,
                worker,
                at,
                text,
                random.choice(places),
                client="label-desk/2",
                model=world.model(at, OLD, 4 * DAY),
            )


def agency(world: World, n: int) -> None:
    """An agency that holds its clients' keys: one card, its own servers, a house style of prompts."""
    random = world.random
    card, country, style = world.code("pay_"), world.country(), Product(random)
    servers = [world.address("hosting", country, world.blocks(1)[0]) for _ in range(2)]
    for _ in range(n):
        customer, product = (
            world.join("agency", country=country, payment_fingerprint=card, plan="business"),
            Product(random),
        )
        system = f"{style.system} Client: {product.name}. {product.system}" if random.random() < 0.7 else product.system
        taste = world.taste()
        for at in world.moments(
            int(random.expovariate(1 / 45)) + 3, country, customer.created, world.days * DAY, work=True
        ):
            add(
                world,
                customer,
                at,
                product.request(),
                random.choice(servers),
                system=system,
                model=world.model(at, *taste),
            )


def translation_bureau(world: World, n: int) -> None:
    """Translators with one instruction and sensitive texts, paid by the bureau, from home or the office."""
    random = world.random
    country, card = world.country(), world.code("pay_")
    line = world.address("corporate", country)
    name = coined(random).capitalize()
    system = f"Translate for {name} bureau. Keep names. Mark doubtful passages with [?]. Formal register."
    for _ in range(n):
        person = world.join(
            "translation_bureau",
            country=country,
            payment_fingerprint=card if random.random() < 0.8 else world.code("pay_"),
        )
        places, field = [line, *world.whereabouts(country)], random.choice(("law", "health", "history", "money"))
        person.facts["signup_ip"] = line.ip
        for start in world.moments(random.randint(2, 12), country, person.created, world.days * DAY, work=True):
            at, session = start, world.code("s_")
            for turn in range(random.randint(1, 8)):
                text = f"Paragraph {turn + 1}: {pasted(random, field, random.randint(20, 90))}"
                add(
                    world,
                    person,
                    at,
                    text,
                    random.choice(places),
                    system=system,
                    session=session,
                    turn=turn,
                    client="web-console/2026.3",
                )
                at += random.expovariate(1 / 240)


def evaluation_lab(world: World, n: int) -> None:
    """Accounts of one laboratory that run a benchmark, most of it on the day a model appears."""
    random = world.random
    declared, country, block = random.random() < 0.5, world.country(), world.blocks(1)[0]
    topics = random.sample(("physics", "maths", "python", "law", "statistics"), 3)
    items = [
        filled(random, "Problem {n}. Given {a} and {b} with {m}, determine {c}.", random.choice(topics))
        for _ in range(250)
    ]
    frame = random.choice(
        (
            "Think step by step, then give the final answer after ####.",
            "Reason inside <scratch> tags. Answer last.",
            "Answer with one letter.",
        )
    )
    servers, card = [world.address("hosting", country, block) for _ in range(5)], world.code("pay_")
    for i in range(n):
        rig = world.join(
            "evaluation_lab",
            country=country,
            created=-random.uniform(2, 200) * DAY,
            payment_fingerprint=card,
            declared_use="evaluation" if declared else None,
            programme="research" if random.random() < 0.4 else None,
        )
        for start, model in (
            (random.uniform(0, world.release), OLD),
            (world.release + random.uniform(0, 20_000), LARGE),
        ):
            at = start
            for item in items[i::n] if random.random() < 0.6 else random.sample(items, len(items) // n + 1):
                add(world, rig, at, f"{item}\n{frame}", random.choice(servers), model=model, client="harness/0.4")
                at += random.expovariate(1 / 6)
