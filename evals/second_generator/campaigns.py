"""Ten kinds of harvest. What each one hides well and what it hides badly is drawn for every seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.second_generator.other_world import CODE, GRADE, NONE, REASON, TASKS, Column, OtherWorld
from evals.second_generator.processes import DAY, Floats, Ints, renewal, turns

HOUR = 3600.0
Exits = Callable[[Ints, Floats, Ints], Ints]


@dataclass(frozen=True)
class Work:
    """The work list of a campaign: one row per item."""

    template: Ints
    prompt: Ints
    cell: Ints
    task: Ints
    elicitation: Floats
    form: int
    system: int

    def of(self, item: Ints) -> dict[str, Column | int]:
        """The request fields for these items."""
        return {
            "template": self.template[item],
            "prompt": self.prompt[item],
            "cell": self.cell[item],
            "task": self.task[item],
            "elicitation": self.elicitation[item],
            "format": self.form,
            "system": self.system,
        }


def draw_work(world: OtherWorld, n: int) -> Work:
    """A list of n prompts: few or many skeletons, narrow or broad, demanding reasoning or not."""
    rng = world.rng
    skeletons = world.fresh(max(1, round(float(np.exp(rng.uniform(np.log(2), np.log(max(3, n / 2))))))))
    share = rng.dirichlet(np.full(len(skeletons), rng.uniform(0.3, 5)))
    cells = rng.choice(4096, int(np.exp(rng.uniform(np.log(30), np.log(1500)))), replace=False)
    focus = rng.choice(len(TASKS), int(rng.integers(1, 4)), replace=False)
    return Work(
        template=rng.choice(skeletons, n, p=share),
        prompt=world.fresh(n),
        cell=rng.choice(cells, n),
        task=rng.choice(focus, n),
        elicitation=rng.beta(6, 3, n) if world.chance(0.5) else rng.beta(1.5, 8, n),
        form=world.one() if world.chance(0.5) else NONE,
        system=world.one() if world.chance(0.4) else NONE,
    )


def enlist(world: OtherWorld, n: int, campaign: str, created: Any, **facts: Any) -> Ints:
    """Accounts of a campaign. Each trace is hidden or not, with a probability drawn for the campaign."""
    rng, care = world.rng, float(world.rng.beta(1.3, 1.3))
    known: dict[str, Any] = {"gone": world.end}
    if not world.chance(care):
        known["pay"] = rng.choice(world.fresh(max(1, round(n / rng.uniform(2, 8)))), n)
        known |= {"pay_class": "virtual", "issuer": "app-bank"}
    if not world.chance(care):
        known["domain"] = rng.choice(
            [f"drop{rng.integers(10**5)}.example" for _ in range(int(rng.integers(1, 7)))], n
        ).astype(object)
        known["shape"] = str(rng.choice(["random", "word-word"]))
    if not world.chance(care):
        known["device"] = rng.choice(world.fresh(max(1, round(n / rng.uniform(2, 10)))), n)
    if not world.chance(care):
        country = int(rng.integers(20))
        known["phone"] = f"+{700 + rng.integers(200)}{rng.integers(10**4)}"
        known["country"] = country
    if not world.chance(care):
        k = int(rng.integers(2, 12))
        known["signup_net"] = world.pool(k, int(rng.integers(20)), "hosting") + rng.integers(0, k, n)
    if not world.chance(care):
        known["client"] = int(world.client(f"job{rng.integers(100)}")[0])
    if not world.chance(care):
        known |= {
            "temperature": float(rng.choice([0.0, 0.6, 1.0])),
            "max_tokens": int(rng.choice([2048, 16384])),
            "model": int(rng.integers(4)),
            "stream": False,
        }
    return world.open("member", n, campaign, **(known | {"created": created} | facts))


def draw_exits(world: OtherWorld, ids: Ints) -> Exits:
    """How the campaign reaches the service: residential proxies, a few servers, or each account's own connection.

    In half of the worlds the proxies also have honest customers.
    """
    rng, way = world.rng, world.rng.random()
    if way < 0.5:
        first, k = world.vendor(world.heads(150, 3000))
        if world.chance(0.5):
            others = world.open("proxy_customer", world.heads(5, 40))
            visit = world.visits(others, world.volume(len(others), 1.5))
            world.send(**(visit | world.talk(visit["account"])), net=first + visit["session"] % k)
        sticky = bool(world.chance(0.5))
        return lambda who, ts, session: (
            first + ((who * 7919 + (ts // (HOUR * 6)).astype(np.int64)) % k if sticky else rng.integers(0, k, len(who)))
        )
    if way < 0.75:
        k = int(rng.integers(3, 40))
        first = world.pool(k, int(rng.integers(20)), "hosting", near=world.chance(0.5))
        return lambda who, ts, session: first + who % k
    return world.where


def ask(world: OtherWorld, who: Ints, ts: Floats, work: Work, item: Ints, exits: Exits, **said: Any) -> None:
    """Send items of the list and mark them as harvested."""
    session = said.pop("session", None)
    session = world.fresh(len(who)) if session is None else session
    world.send(who, ts, session=session, net=exits(who, ts, session), harvest=True, **(work.of(item) | said))


def cover(world: OtherWorld, ids: Ints) -> None:
    """Some campaigns also chat like people, so that their accounts look ordinary."""
    if world.chance(0.4):
        world.chat(ids, float(world.rng.uniform(0.1, 2.0)))


def banned(world: OtherWorld, ids: Ints, share: float) -> None:
    """Ban some accounts during the campaign, and a few honest ones, whose appeals are upheld."""
    rng = world.rng
    for a in ids[rng.random(len(ids)) < share].tolist():
        when = float(rng.uniform(0.2, 0.95)) * world.end
        world.happened.append((when, "ban", a, None, None))
        for rows in world.log:
            rows["account"] = np.where((rows["account"] == a) & (rows["ts"] > when), rng.choice(ids), rows["account"])
    for a in rng.choice(np.flatnonzero(world.book["role"] == "private"), 3).tolist():
        when = float(rng.uniform(0.1, 0.7)) * world.end
        world.happened += [(when, "ban", a, None, None), (when + DAY, "appeal_upheld", a, None, None)]


def card_farm(world: OtherWorld, name: str) -> None:
    """Accounts on bought cards work through a list; refused requests are retried at once on another account."""
    rng = world.rng
    begin = float(rng.uniform(0, 0.3)) * world.end
    n = world.heads(30, 150)
    ids = enlist(world, n, name, begin - rng.uniform(0, 20, n) * DAY, pay_class="prepaid", issuer="prepaid-0")
    m = world.heads(5_000, 25_000)
    work, exits, item = draw_work(world, m), draw_exits(world, ids), rng.permutation(m)
    ts = renewal(rng, m, begin, world.end * float(rng.uniform(0.7, 1)), float(rng.uniform(0.6, 2)))
    who = rng.choice(ids, m)
    refused = rng.random(m) < rng.uniform(0.01, 0.15)
    ask(world, who, ts, work, item, exits, status=np.where(refused, 429, 200))
    again = np.flatnonzero(refused)
    ask(
        world,
        rng.choice(ids, len(again)),
        ts[again] + rng.gamma(2, 1.5, len(again)),
        work,
        item[again],
        exits,
        status=200,
    )
    cover(world, ids)
    banned(world, ids, float(rng.uniform(0, 0.4)))


def crowd(world: OtherWorld, name: str) -> None:
    """Paid people, each at home with their own account, card and device, paste a list by hand at human hours."""
    rng, n = world.rng, world.heads(60, 350)
    ids = world.open("member", n, name, gone=world.end, evening=0.6)
    recent = rng.random(n) < rng.uniform(0.1, 0.7)
    world.book["created"][ids[recent]] = rng.uniform(0, 0.4, int(recent.sum())) * world.end
    visit = world.visits(ids, rng.gamma(2, float(rng.uniform(1, 6)), n), float(rng.uniform(0, 0.4)) * world.end)
    m = len(visit["ts"])
    work = draw_work(world, max(10, round(m / rng.uniform(1, 4))))
    item = rng.integers(0, len(work.prompt), m)
    ask(
        world,
        visit["account"],
        visit["ts"],
        work,
        item,
        world.where,
        session=visit["session"],
        turn=visit["turn"],
        system=NONE,
    )
    world.chat(ids, world.volume(n, 0.7))


def mobile_rotation(world: OtherWorld, name: str) -> None:
    """Every request uses another mobile exit, over many carriers."""
    rng, n = world.rng, world.heads(25, 120)
    begin = float(rng.uniform(0, 0.4)) * world.end
    ids = enlist(world, n, name, begin - rng.exponential(6, n) * DAY)
    first, k = world.vendor(world.heads(800, 5000), kind="mobile")
    carriers = world.carriers.ravel()

    def exits(who: Ints, ts: Floats, session: Ints) -> Ints:
        """Half of the exits are shared with the ordinary users of a carrier."""
        own = first + rng.integers(0, k, len(who))
        common = rng.choice(carriers, len(who)) + rng.integers(0, world.carrier_size, len(who))
        return np.asarray(np.where(rng.random(len(who)) < 0.5, own, common), dtype=np.int64)

    m = world.heads(4_000, 20_000)
    work = draw_work(world, m)
    ask(
        world,
        ids[np.arange(m) % n],
        renewal(rng, m, begin, world.end, float(rng.uniform(0.8, 4))),
        work,
        rng.permutation(m),
        exits,
    )
    cover(world, ids)


def stolen_keys(world: OtherWorld, name: str) -> None:
    """Stolen keys of honest accounts carry part of the harvest. The victims continue to work and are no members."""
    rng, n = world.rng, world.heads(12, 60)
    begin = float(rng.uniform(0.1, 0.4)) * world.end
    ids = enlist(world, n, name, begin - rng.exponential(10, n) * DAY)
    pool = np.flatnonzero(
        (world.book["role"] == "private") & (world.book["created"] < begin) & (world.book["gone"] >= world.end)
    )
    victims = rng.choice(pool, min(len(pool), world.heads(25, 120)), replace=False)
    world.book["role"][victims] = "victim"
    for a in victims[rng.random(len(victims)) < 0.2].tolist():
        world.happened.append((float(rng.uniform(begin, world.end)), "key_leak", a, None, None))
    m = world.heads(4_000, 16_000)
    work, exits = draw_work(world, m), draw_exits(world, ids)
    own = rng.random(m) < rng.uniform(0.4, 0.8)
    who = np.where(own, rng.choice(ids, m), rng.choice(victims, m))
    kit = world.book["client"][ids[0]]
    ask(
        world, who, renewal(rng, m, begin, world.end, 1.0), work, rng.permutation(m), exits, client=kit, temperature=1.0
    )


def self_play(world: OtherWorld, name: str) -> None:
    """Conversations in which a program plays the user: trees from some hundred openings, long sessions per branch."""
    rng, n = world.rng, world.heads(20, 110)
    begin = float(rng.uniform(0, 0.4)) * world.end
    ids = enlist(world, n, name, begin - rng.uniform(0, 15, n) * DAY)
    trees, branches = world.heads(100, 500), int(rng.integers(2, 7))
    openings = draw_work(world, trees)
    branch = np.repeat(np.arange(trees * branches), rng.poisson(rng.uniform(4, 12), trees * branches) + 1)
    turn, tree = turns(branch), branch // branches
    begun = np.sort(rng.uniform(begin, world.end * 0.97, trees * branches))[rng.permutation(trees * branches)]
    step = rng.gamma(6, float(rng.uniform(2, 12)), len(branch))
    ts = begun[branch] + np.cumsum(step) - np.maximum.accumulate(np.where(turn == 0, np.cumsum(step), 0))
    who = rng.choice(ids, trees * branches)[branch]
    replies = world.fresh(max(5, trees // 3))
    opening, exits = turn == 0, draw_exits(world, ids)
    persona = world.fresh(int(rng.integers(1, 60)))
    ask(
        world,
        who,
        ts,
        openings,
        tree,
        exits,
        session=world.fresh(trees * branches)[branch],
        turn=turn,
        template=np.where(opening, openings.template[tree], rng.choice(replies, len(branch))),
        prompt=np.where(opening, openings.prompt[tree], world.fresh(len(branch))),
        system=persona[tree % len(persona)],
        input_tokens=300 + 450 * turn,
    )
    cover(world, ids)


def preference_pairs(world: OtherWorld, name: str) -> None:
    """Preference pairs: each prompt twice, two answers at a low and two at a high temperature, then grading."""
    rng, n = world.rng, world.heads(25, 120)
    begin = float(rng.uniform(0, 0.4)) * world.end
    ids = enlist(world, n, name, begin - rng.exponential(8, n) * DAY)
    m = world.heads(2_000, 8_000)
    work, exits = draw_work(world, m), draw_exits(world, ids)
    ts = renewal(rng, m, begin, world.end, float(rng.uniform(0.7, 2)))
    first, item = rng.choice(ids, m), rng.permutation(m)
    second = first if world.chance(0.3) else rng.choice(ids, m)
    ask(world, first, ts, work, item, exits, n=2, temperature=0.3)
    ask(
        world,
        second,
        ts + rng.exponential(float(rng.choice([20, 600, 7200])), m),
        work,
        item,
        exits,
        n=2,
        temperature=1.0,
    )
    if world.chance(0.6):
        judge = world.fresh(2)
        ask(
            world,
            rng.choice(ids, m),
            ts + rng.exponential(3 * HOUR, m),
            work,
            item,
            exits,
            template=judge[0],
            prompt=world.fresh(m),
            task=GRADE,
            format=judge[1],
            temperature=0.0,
        )


def slow_drip(world: OtherWorld, name: str) -> None:
    """Hundreds of accounts that send 0.5 to 2 requests per day, most often each on its own connection."""
    rng, n = world.rng, world.heads(300, 1_200)
    ids = enlist(world, n, name, rng.uniform(-120, 0.3 * world.parameters.days, n) * DAY)
    rate = rng.uniform(0.5, 2.0, n)
    count = rng.poisson(rate * world.parameters.days)
    who = np.repeat(ids, count)
    m = len(who)
    work = draw_work(world, m)
    day, hour = rng.uniform(0, world.parameters.days, m), rng.normal(14, 5, m)
    ts = (np.floor(day) + ((hour - world.zone(who)) % 24) / 24) * DAY
    ask(world, who, ts, work, rng.permutation(m), world.where if world.chance(0.6) else draw_exits(world, ids))


def weekly_pools(world: OtherWorld, name: str) -> None:
    """Every week a new batch of accounts continues where the last one stopped; the old one is discarded."""
    rng, weeks = world.rng, max(2, world.parameters.days // 7)
    m = world.heads(6_000, 22_000)
    work, done = draw_work(world, m), np.array_split(rng.permutation(m), weeks)
    everyone = []
    for week, items in enumerate(done):
        begin = week * world.end / weeks
        n = world.heads(20, 60)
        ids = enlist(world, n, name, begin - rng.exponential(0.7, n) * DAY)
        everyone.append(ids)
        ts = renewal(
            rng, len(items), begin, begin + world.end / weeks * float(rng.uniform(0.5, 1)), float(rng.uniform(0.7, 3))
        )
        ask(world, rng.choice(ids, len(items)), ts, work, items, draw_exits(world, ids))
    banned(world, np.concatenate(everyone[:-1]), float(rng.uniform(0, 0.3)))


def curriculum(world: OtherWorld, name: str) -> None:
    """A benchmark-like list from easy to hard; each item has a Poisson number of rollouts."""
    rng, n = world.rng, world.heads(25, 130)
    begin = float(rng.uniform(0, 0.4)) * world.end
    ids = enlist(world, n, name, begin - rng.exponential(8, n) * DAY)
    items = world.heads(600, 3_000)
    work, rolls = draw_work(world, items), rng.poisson(rng.uniform(3, 12), items)
    item = np.repeat(np.arange(items), rolls)
    m = len(item)
    ts = np.sort(renewal(rng, m, begin, world.end, 1.0)) + rng.exponential(float(rng.choice([60, 1800, 20_000])), m)
    ask(
        world,
        rng.choice(ids, m),
        ts,
        work,
        item,
        draw_exits(world, ids),
        temperature=1.0,
        task=rng.choice([REASON, CODE]),
        output_tokens=rng.gamma(1.2, 600 * (1 + 3 * item / items)),
    )
    cover(world, ids)


def mixed_reseller(world: OtherWorld, name: str) -> None:
    """A covert reseller's pool: 80 % of the requests are its paying customers', 20 % are harvest."""
    rng, n = world.rng, world.heads(15, 80)
    ids = enlist(world, n, name, rng.uniform(-60, 2, n) * DAY)
    people = rng.choice(np.flatnonzero(world.book["role"] == "private"), world.heads(40, 300))
    visit = world.visits(people, world.volume(len(people), 3.0))
    said = world.talk(visit["account"]) | {"account": ids[rng.integers(0, n, len(visit["ts"]))]}
    exits = draw_exits(world, ids)
    world.send(**(visit | said), net=exits(said["account"], visit["ts"], visit["session"]))
    m = max(200, len(visit["ts"]) // 4)
    work = draw_work(world, m)
    ask(world, rng.choice(ids, m), rng.uniform(0, world.end, m), work, rng.permutation(m), exits)


FAMILIES: dict[str, Callable[[OtherWorld, str], None]] = {
    f.__name__: f
    for f in (
        card_farm,
        crowd,
        mobile_rotation,
        stolen_keys,
        self_play,
        preference_pairs,
        slow_drip,
        weekly_pools,
        curriculum,
        mixed_reseller,
    )
}
