"""Honest crowds of people who meet, hide or come back."""

from __future__ import annotations

from evals.third_generator.crowd_calls import add
from evals.third_generator.language import NAMES, Product, Writer, coined, filled, mistyped
from evals.third_generator.world import DAY, World


def school_class(world: World, n: int) -> None:
    """Students sign up in one lesson and work on the same exercises before the same deadlines."""
    random = world.random
    start, country, domain = (
        random.uniform(0.05, 0.4) * world.days * DAY,
        world.country(),
        f"{coined(random)}-school.example",
    )
    campus = [world.address("education", country) for _ in range(2)]
    topic = random.choice(NAMES)
    exercises = [
        filled(random, "{a} in relation to {b}, use the value {n} and say why {c} matters", topic)
        for _ in range(random.randint(3, 8))
    ]
    starts = [start + (1 + 4 * i) * DAY for i in range(len(exercises))]
    for _ in range(n):
        student = world.join(
            "class",
            created=start + random.uniform(0, 5400),
            country=country,
            email_domain=domain,
            programme="education",
            payment_fingerprint=None,
            payment_class=None,
        )
        writer, places, taste = Writer(random), [*campus, *world.whereabouts(country)], world.taste()
        student.facts["signup_ip"] = campus[0].ip
        for exercise, due in zip(exercises, starts, strict=True):
            if random.random() < 0.75:
                at, session = due + random.betavariate(4, 1.3) * 3 * DAY, world.code("s_")
                text = (
                    exercise
                    if random.random() < 0.4
                    else mistyped(random, f"{writer.first(topic)} The exercise says: {exercise}", writer.typo)
                )
                if random.random() < 0.3:
                    text += random.choice((" explain every step", " show the working", " step by step please"))
                add(
                    world,
                    student,
                    at,
                    text,
                    random.choice(places),
                    session=session,
                    model=taste[0],
                    client=world.client(),
                )
                for turn in range(1, random.choice((1, 1, 2, 3, 5))):
                    at += random.expovariate(1 / 80)
                    add(
                        world,
                        student,
                        at,
                        writer.next(topic),
                        random.choice(places),
                        session=session,
                        turn=turn,
                        model=taste[0],
                    )
        if random.random() < 0.3:
            world.ordinary(student, writer, places, 0.5)


def hackathon(world: World, n: int) -> None:
    """Teams sign up on one evening, behind one address, with the same starter code, for two days."""
    random = world.random
    start, country = random.uniform(0.1, 0.8) * world.days * DAY, world.country()
    venue = [world.address("corporate", country) for _ in range(2)]
    starter = Product(random)
    for _ in range(n):
        team = world.join(
            "hackathon",
            created=start + random.expovariate(1 / 7000),
            country=country,
            referrer=f"event-{starter.name}",
            payment_class="prepaid",
            plan="credits",
        )
        own, writer = Product(random), Writer(random)
        team.facts["signup_ip"] = venue[0].ip
        system = starter.system if random.random() < 0.5 else f"{starter.system} {own.system}"
        for _ in range(int(min(90, random.expovariate(1 / 22)))):
            at = team.created + random.uniform(0.01, 2) * DAY
            add(
                world,
                team,
                at,
                own.request() if random.random() < 0.6 else writer.first(),
                random.choice(venue),
                system=system,
            )


def privacy_vpn(world: World, n: int) -> None:
    """People who share nothing but the exits of one VPN."""
    exits = [world.address("vpn") for _ in range(world.random.randint(3, 8))]
    for _ in range(n):
        world.ordinary(
            world.join("privacy_vpn", payment_class=world.random.choice(("card", "prepaid", "virtual"))), places=exits
        )


def returning(world: World, n: int) -> None:
    """Customers banned by mistake who come back under a new account; some appeals succeed."""
    random = world.random
    wave = random.uniform(0.2, 0.6) * world.days * DAY
    for _ in range(n):
        old = world.join("returning", created=-random.uniform(10, 400) * DAY)
        banned = min(world.days * DAY * 0.9, wave + random.expovariate(1 / (2 * DAY)))
        writer, places, taste, client = Writer(random), world.whereabouts(old.country), world.taste(), world.client()
        keep = {
            k: old.facts[k]
            for k in ("device_fingerprint", "payment_fingerprint", "phone_prefix", "payment_class", "issuer_class")
        }
        new = world.join(
            "returning",
            created=banned + random.expovariate(1 / DAY),
            country=old.country,
            **(keep if random.random() < 0.7 else {}),
        )
        old.facts["signup_ip"] = new.facts["signup_ip"] = places[0].ip
        for account, first, last in ((old, 0.0, banned), (new, new.created, world.days * DAY)):
            for at in world.moments(random.randint(2, 15), account.country, first, last):
                world.chat(account, writer, at, places, taste, client)
        world.events.append({"ts": banned, "kind": "ban", "account_id": old.id})
        if random.random() < 0.5:
            after = min(world.days * DAY * 0.98, banned + random.uniform(2, 12) * DAY)
            world.events.append({"ts": after, "kind": "appeal_upheld", "account_id": old.id})
            world.events.append({"ts": after + 60, "kind": "unban", "account_id": old.id})
