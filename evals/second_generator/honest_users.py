"""The honest part of a world: private people, families, offices, courses, contests, and business users."""

from collections.abc import Callable
from typing import Any

import numpy as np

from evals.second_generator.business_users import (
    agents,
    annotators,
    apps,
    evaluators,
    makers,
    monitors,
    resellers,
    startups,
)
from evals.second_generator.other_world import CHAT, CODE, NONE, REASON, TOOLS, OtherWorld
from evals.second_generator.processes import DAY, Floats, Ints

Role = Callable[[OtherWorld], None]


def populate(world: OtherWorld) -> None:
    """Fill a world: private people always, and a random selection of the other roles."""
    private(world)
    present = [role for role in ROLES if world.rng.random() < 0.75]
    for role in present:
        role(world)


def spread(world: OtherWorld, ids: Ints, share: float, name: str, value: Any) -> None:
    """Change one fact of a random share of accounts."""
    world.book[name][ids[world.rng.random(len(ids)) < share]] = value


def private(world: OtherWorld) -> None:
    """Individuals with a client of their choice; a few send a hundred times as much as others."""
    ids = world.open("private", world.heads(500, 1300))
    world.chat(ids, world.volume(len(ids), float(world.rng.uniform(0.3, 1.5))))


def families(world: OtherWorld) -> None:
    """Two to five people with one card and one internet connection, one account each."""
    rng = world.rng
    for _ in range(world.heads(15, 40)):
        n = int(rng.integers(2, 6))
        one = world.open("family", n)
        for fact in ("pay", "pay_class", "issuer", "country", "home", "homes", "phone"):
            world.book[fact][one] = world.book[fact][one[0]]
        spread(world, one, 0.3, "device", world.book["device"][one[0]])
        world.chat(one, world.volume(n, 1.0))


def phones(world: OtherWorld) -> None:
    """People of one or two countries on cheap phones: equal device fingerprints, carrier NAT, prepaid cards."""
    rng = world.rng
    app = world.client("pocketchat", int(rng.integers(1, 5)))
    home = int(rng.choice(len(world.lives), p=world.lives))
    n = world.heads(40, 200)
    ids = world.open(
        "cheap_phone",
        n,
        country=home,
        p_mobile=rng.beta(12, 1, n),
        device=world.phones.draw(n),
        client=rng.choice(app, n),
        evening=0.8,
    )
    world.chat(ids, world.volume(n, 0.8), system=world.one())


def offices(world: OtherWorld) -> None:
    """Companies behind one address; some declare their staff accounts as one organisation, some do not."""
    rng = world.rng
    for _ in range(world.heads(4, 10)):
        n, country = world.heads(6, 30), int(rng.integers(20))
        k = int(rng.integers(1, 4))
        net = world.pool(k, country, "corporate", near=True)
        declared = world.chance(0.6)
        ids = world.open(
            "office",
            n,
            country=country,
            signup_net=net,
            domain=f"firm{rng.integers(10**6)}.example",
            org=world.one() if declared or world.chance(0.5) else NONE,
            declared=declared,
            pay=world.one(),
            pay_class="invoice",
            issuer="none",
            plan="business",
            evening=0.02,
        )
        at_work(world, ids, net, k, world.volume(n, 2.0), system=NONE)


def at_work(world: OtherWorld, ids: Ints, net: int, k: int, rate: Floats, **said: Any) -> None:
    """Staff use their office connection in 80 % of visits."""
    visit = world.visits(ids, rate)
    home = world.where(visit["account"], visit["ts"], visit["session"])
    line = net + visit["session"] % k
    place = np.where(world.rng.random(len(line)) < 0.8, line, home)
    world.send(**(visit | world.talk(visit["account"]) | {"net": place} | said))


def shadow(world: OtherWorld) -> None:
    """Staff of a company that forbids accounts: private ones on one office connection, with one prompt library.

    They hide it from their employer, so it looks covert, but they harvest nothing.
    """
    rng = world.rng
    for _ in range(world.heads(1, 4)):
        n, country = world.heads(10, 45), int(rng.integers(20))
        k = int(rng.integers(1, 3))
        net = world.pool(k, country, "corporate", near=True)
        ids = world.open(
            "shadow_it", n, country=country, evening=0.05, community=int(rng.integers(world.parameters.communities))
        )
        spread(world, ids, 0.4, "created", float(rng.uniform(0, world.end * 0.4)))
        visit = world.visits(ids, world.volume(n, 4.0))
        talk = world.talk(visit["account"])
        library = world.fresh(int(rng.integers(5, 40)))
        used = rng.random(len(visit["ts"])) < rng.uniform(0.2, 0.8)
        talk["template"] = np.where(used, rng.choice(library, len(used)), talk["template"])
        home = world.where(visit["account"], visit["ts"], visit["session"])
        world.send(**(visit | talk | {"net": np.where(rng.random(len(home)) < 0.85, net + visit["session"] % k, home)}))


def students(world: OtherWorld) -> None:
    """Courses: accounts opened in one week on campus or at home, one exercise sheet, and weekly deadlines."""
    rng = world.rng
    for _ in range(world.heads(2, 5)):
        n, country = world.heads(15, 80), int(rng.integers(20))
        k = int(rng.integers(1, 12))
        campus = world.pool(k, country, "education", near=True)
        begin = float(rng.uniform(-20, world.parameters.days * 0.5)) * DAY
        ids = world.open(
            "student",
            n,
            country=country,
            created=begin + rng.exponential(2 * DAY, n),
            signup_net=campus,
            programme="education" if world.chance(0.6) else None,
            plan="free",
            evening=0.5,
            domain=f"uni{rng.integers(10**5)}.example" if world.chance(0.7) else "gmail.com",
        )
        spread(world, ids, 0.7, "referrer", f"course-{rng.integers(10**4)}")
        sheet, cells = world.fresh(int(rng.integers(4, 30))), rng.integers(0, 4096, 6)
        exact = world.fresh(len(sheet))
        for deadline in np.arange(max(begin, 0) + 7 * DAY, world.end, 7 * DAY):
            eager = ids[rng.random(n) < 0.7]
            visit = world.visits(eager, rng.gamma(1.5, 3.0, len(eager)), max(0.0, deadline - 3 * DAY), deadline)
            question = rng.integers(0, len(sheet), len(visit["ts"]))
            pasted = rng.random(len(question)) < 0.5
            net = np.where(
                rng.random(len(question)) < 0.5,
                campus + visit["session"] % k,
                world.where(visit["account"], visit["ts"], visit["session"]),
            )
            world.send(
                **visit,
                template=sheet[question],
                prompt=np.where(pasted, exact[question], world.fresh(len(question))),
                cell=cells[question % len(cells)],
                task=rng.choice([CODE, REASON, CHAT]),
                net=net,
            )


def contest(world: OtherWorld) -> None:
    """A two-day contest: accounts by voucher, the same problems, many attempts, at all hours."""
    rng = world.rng
    n, begin = world.heads(25, 120), float(rng.uniform(1, max(2, world.parameters.days - 4))) * DAY
    ids = world.open(
        "contest",
        n,
        created=begin - rng.exponential(2 * DAY, n),
        referrer=f"contest-{rng.integers(10**4)}",
        plan="voucher",
        programme="start-up" if world.chance(0.4) else None,
        evening=0.5,
    )
    problems, cells = world.fresh(int(rng.integers(3, 20))), rng.integers(0, 4096, 20)
    starter = world.one()
    visit = world.visits(ids, rng.gamma(2, 15, n), begin, begin + 2.2 * DAY)
    pick = rng.integers(0, len(problems), len(visit["ts"]))
    own = rng.random(len(pick)) < 0.4
    world.send(
        **visit,
        template=np.where(own, world.fresh(len(pick)), problems[pick]),
        prompt=world.fresh(len(pick)),
        cell=cells[pick],
        task=rng.choice([CODE, REASON, TOOLS]),
        system=starter,
    )
    world.chat(ids, 0.1)


def wave(world: OtherWorld) -> None:
    """A marketing wave: hundreds sign up within days through one link, and try the gallery's examples."""
    rng = world.rng
    n, begin = world.heads(50, 250), float(rng.uniform(0, world.parameters.days * 0.7)) * DAY
    ids = world.open(
        "marketing_wave",
        n,
        created=begin + rng.weibull(0.7, n) * DAY * 1.5,
        plan="trial",
        referrer=f"promo-{rng.integers(10**4)}",
        gone=np.minimum(world.end, begin + rng.exponential(12 * DAY, n) + DAY),
    )
    gallery = world.fresh(int(rng.integers(10, 60)))
    visit = world.visits(ids, world.volume(n, 2.0))
    said = world.talk(visit["account"])
    tried = rng.random(len(visit["ts"])) < 0.35
    example = rng.choice(gallery, len(tried), p=rng.dirichlet(np.full(len(gallery), 0.4)))
    said |= {"template": np.where(tried, example, said["template"]), "prompt": np.where(tried, example, said["prompt"])}
    world.send(**(visit | said))


ROLES: tuple[Role, ...] = (
    families,
    phones,
    offices,
    shadow,
    students,
    contest,
    apps,
    monitors,
    evaluators,
    annotators,
    resellers,
    agents,
    wave,
    startups,
    makers,
)
