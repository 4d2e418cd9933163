"""Honest people and businesses that belong to no crowd."""

from __future__ import annotations

import math

from evals.third_generator import ranges
from evals.third_generator.language import Product
from evals.third_generator.world import DAY, Call, World


def people(world: World, n: int) -> None:
    """Accounts of persons, each with words, hours and places of their own."""
    for _ in range(n):
        world.ordinary(world.join("benign"))


def business(world: World) -> None:
    """One company: its product calls the model from its servers, in bursts or all day."""
    random = world.random
    product = Product(random)
    created = -random.expovariate(1 / 250) * DAY if random.random() < 0.8 else random.uniform(0, world.days * 0.6) * DAY
    declared = random.random() < 0.4
    account = world.join(
        "benign",
        created=created,
        plan="business",
        email_domain=f"{product.name.lower()}.example",
        referrer="sales" if declared else None,
        payment_class="invoice" if declared else "card",
        org_id=product.name if declared else None,
        org_declared=declared or None,
    )
    block = world.blocks(1)[0]
    country = account.country
    servers = [world.address("hosting", country, block) for _ in range(random.randint(1, 6))]
    account.facts["signup_ip"] = world.address("corporate", country).ip
    calls = int(min(ranges.MOST_CALLS, math.exp(random.gauss(math.log(ranges.CALLS_MEDIAN), ranges.CALLS_SIGMA))))
    flat = random.random() < ranges.FLAT
    bursts = max(1, int(world.days * 144 * random.uniform(*ranges.DUTY) / 20))
    starts = world.moments(
        min(bursts, calls), country, created, world.days * DAY, flat=flat, work=random.random() < 0.4
    )
    taste, client, model_answer = world.taste(), world.client(), world.answer()
    fixed = random.random() < ranges.FIXED_LENGTH
    for start in starts:
        at, session = start, world.code("s_")
        for turn in range(1 + int(random.expovariate(1 / max(0.5, calls / len(starts) - 0.5)))):
            if at >= world.days * DAY:
                break
            answer = model_answer if fixed and random.random() < 0.5 else world.answer()
            user = world.code("u_") if random.random() < 0.5 else None
            world.calls.append(
                Call(
                    at,
                    account.id,
                    session,
                    turn,
                    product.system,
                    product.request(),
                    world.model(at, *taste),
                    random.choice(servers),
                    client,
                    answer,
                    0,
                    None,
                    user,
                )
            )
            at += random.expovariate(1 / 25)


def businesses(world: World, n: int) -> None:
    """Companies with products of their own."""
    for _ in range(n):
        business(world)
