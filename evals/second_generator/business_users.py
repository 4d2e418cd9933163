"""Business users of the API: apps, monitors, evaluators, annotators, resellers, agents, start-ups."""

import numpy as np

from evals.second_generator.other_world import CHAT, CODE, GRADE, NONE, OTHER, REASON, TOOLS, OtherWorld
from evals.second_generator.processes import DAY, renewal


def apps(world: OtherWorld) -> None:
    """Products built on the API: one account, one system prompt, many end users, in a data centre."""
    rng = world.rng
    shared = world.pool(6, 0, "hosting", near=True)
    for _ in range(world.heads(10, 40)):
        k = int(rng.integers(1, 8))
        net = shared if world.chance(0.3) else world.pool(k, int(rng.integers(20)), "hosting", near=True)
        k = 6 if net == shared else k
        firm = world.chance(0.5)
        one = world.open(
            "app",
            1,
            plan="metered",
            org=world.one() if firm else NONE,
            declared=firm and world.chance(0.5),
            pay_class="invoice" if firm else "card",
            gone=world.end,
            p_vpn=0.0,
        )
        visit = world.visits(one, float(min(rng.lognormal(3.2, 1.4), 500)), 0.0)
        said = world.talk(visit["account"])
        if world.chance(0.5):
            wrapped = world.fresh(int(rng.integers(1, 9)))
            said["template"] = rng.choice(wrapped, len(visit["ts"]))
            said |= {
                "cell": rng.choice(rng.integers(0, 4096, 12), len(visit["ts"])),
                "task": rng.choice([CHAT, OTHER, CODE]),
            }
        world.send(
            **(visit | said),
            system=world.one(),
            net=net + visit["session"] % k,
            format=world.one() if world.chance(0.4) else NONE,
            end_user=visit["session"] if world.chance(0.6) else NONE,
        )


def monitors(world: OtherWorld) -> None:
    """Uptime and drift monitors: the same few prompts at fixed intervals."""
    rng = world.rng
    kit = world.client("uptime-probe", 3)
    common = world.fresh(20)
    for _ in range(world.heads(4, 15)):
        net = world.pool(2, int(rng.integers(20)), "hosting", near=True)
        one = world.open("monitor", 1, client=int(rng.choice(kit)), gone=world.end)
        every = float(rng.choice([600, 900, 1800, 3600, 7200]))
        ts = np.arange(rng.uniform(0, every), world.end, every)
        ts = ts + rng.exponential(1.5, len(ts))
        probe = rng.choice(common, int(rng.integers(1, 6)))
        which = np.arange(len(ts)) % len(probe)
        world.send(
            np.repeat(one, len(ts)),
            ts,
            template=probe[which],
            prompt=probe[which],
            cell=probe[which] % 4096,
            task=OTHER,
            net=net,
            temperature=0.0,
        )


def evaluators(world: OtherWorld) -> None:
    """Unrelated teams that run public benchmarks: the same items in the same harness."""
    rng = world.rng
    harness, k = world.client("evalkit", 4), int(rng.integers(1, 4))
    suites = [
        (world.fresh(1)[0], world.fresh(int(rng.integers(80, 700))), rng.integers(0, 4096, 40), world.one())
        for _ in range(k)
    ]
    release = float(rng.uniform(0.1, 0.8)) * world.end
    for _ in range(world.heads(4, 16)):
        one = world.open(
            "evaluator",
            int(rng.integers(1, 4)),
            client=int(rng.choice(harness)),
            gone=world.end,
            declared_use="evaluation" if world.chance(0.3) else None,
            programme="research" if world.chance(0.3) else None,
        )
        world.book["pay"][one] = world.book["pay"][one[0]]
        net = world.pool(2, int(rng.integers(20)), str(rng.choice(["hosting", "education"])), near=True)
        for skeleton, items, cells, form in suites:
            if world.chance(0.4):
                continue
            begin = release + rng.exponential(DAY) if world.chance(0.5) else rng.uniform(0, world.end * 0.95)
            order = np.repeat(rng.permutation(len(items)), int(rng.choice([1, 1, 2, 4])))
            ts = renewal(rng, len(order), begin, begin + len(order) * rng.uniform(0.5, 6), 1.5)
            world.send(
                one[np.arange(len(order)) % len(one)],
                ts,
                template=skeleton,
                prompt=items[order],
                cell=cells[order % 40],
                task=rng.choice([REASON, CODE, OTHER]),
                net=net,
                format=form,
                temperature=0.0,
                elicitation=rng.beta(4, 4),
            )
        world.chat(one, 0.5)


def annotators(world: OtherWorld) -> None:
    """An annotation vendor: workers in shifts, one guideline, ratings; declared or not."""
    rng = world.rng
    for _ in range(world.heads(1, 2)):
        n, declared = world.heads(8, 40), world.chance(0.5)
        country = int(rng.integers(20))
        net = world.pool(2, country, "corporate", near=True)
        ids = world.open(
            "annotation_vendor",
            n,
            country=country,
            org=world.one() if declared else NONE,
            declared=declared,
            declared_use="annotation" if world.chance(0.5) else None,
            pay=world.one(),
            pay_class="invoice",
            evening=0.05,
            gone=world.end,
            created=rng.uniform(-100, 5, n) * DAY,
        )
        visit = world.visits(ids, rng.gamma(4, 6, n))
        guide = world.fresh(int(rng.integers(1, 5)))
        m = len(visit["ts"])
        world.send(
            **visit,
            template=rng.choice(guide, m),
            prompt=world.fresh(m),
            cell=rng.integers(0, 4096, m),
            task=GRADE,
            net=net + visit["session"] % 2,
            system=guide[0],
            format=world.one(),
        )


def resellers(world: OtherWorld) -> None:
    """Resellers with many customers: declared ones, and honest undeclared ones with several accounts."""
    rng = world.rng
    for _ in range(world.heads(2, 6)):
        declared = world.chance(0.5)
        n = int(rng.integers(1, 4)) if declared else int(rng.integers(1, 12))
        k = int(rng.integers(1, 6))
        net = world.pool(k, int(rng.integers(20)), "hosting", near=True)
        ids = world.open(
            "reseller" if declared else "quiet_reseller",
            n,
            plan="metered",
            gone=world.end,
            p_mobile=0.0,
            pay=world.one(),
            declared_use="reseller" if declared else None,
            model=int(rng.integers(4)),
            client=int(world.client("gateway")[0]),
            created=rng.uniform(-300, 3) * DAY,
        )
        customers = world.heads(20, 120)
        # The customers have no accounts here: their prompts arrive through the reseller's accounts.
        names = world.fresh(len(world.book["role"]))
        people = rng.choice(np.flatnonzero(world.book["role"] == "private"), customers)
        visit = world.visits(people, world.volume(customers, 2.0))
        said = world.talk(visit["account"])
        through = ids[visit["session"] % n]
        world.send(
            **(visit | said | {"account": through}),
            net=net + visit["session"] % k,
            channel=2,
            end_user=names[visit["account"]] if declared else NONE,
        )


def agents(world: OtherWorld) -> None:
    """An open coding agent with many users: one system prompt and tool set per version, long loops of small steps."""
    rng = world.rng
    versions = int(rng.integers(2, 7))
    build = world.client("opencoder", versions)
    systems, tools, steps = world.fresh(versions), world.fresh(versions), world.fresh(int(rng.integers(6, 40)))
    n = world.heads(40, 160)
    ids = world.open("agent_user", n, gone=world.end)
    visit = world.visits(ids, world.volume(n, 5.0))
    lag = rng.integers(0, 2, n)[visit["account"] - ids[0]]
    age = np.clip((visit["ts"] / world.end * versions).astype(np.int64) - lag, 0, versions - 1)
    said = world.talk(visit["account"])
    inner = visit["turn"] > 0
    said["template"] = np.where(inner, rng.choice(steps, len(inner)), said["template"])
    said["task"] = np.where(rng.random(len(inner)) < 0.8, CODE, TOOLS)
    world.send(
        **(visit | said),
        client=build[age],
        system=systems[age],
        tools=tools[age],
        tools_count=8 + age,
        input_tokens=rng.gamma(2, 9000, len(age)),
    )


def startups(world: OtherWorld) -> None:
    """Start-ups: two to six accounts on one card, staging and production, office and cloud."""
    rng = world.rng
    for _ in range(world.heads(5, 16)):
        n = int(rng.integers(2, 7))
        cloud = world.pool(2, int(rng.integers(20)), "hosting", near=True)
        org = world.one()
        ids = world.open(
            "startup",
            n,
            pay=org,
            plan="metered",
            programme="start-up" if world.chance(0.5) else None,
            org=org if world.chance(0.5) else NONE,
            domain=f"try{rng.integers(10**6)}.example",
            gone=world.end,
        )
        visit = world.visits(ids, world.volume(n, 12.0))
        said, m = world.talk(visit["account"]), len(visit["ts"])
        wrapped = world.fresh(int(rng.integers(2, 12)))
        said["template"] = np.where(rng.random(m) < 0.7, rng.choice(wrapped, m), said["template"])
        world.send(**(visit | said), system=rng.choice(wrapped, m), net=cloud + visit["session"] % 2)


def makers(world: OtherWorld) -> None:
    """Firms and researchers who build data sets, mostly with permission."""
    rng = world.rng
    for _ in range(world.heads(1, 3)):
        n = int(rng.integers(1, 7))
        net = world.pool(3, int(rng.integers(20)), "hosting", near=True)
        ids = world.open(
            "data_maker",
            n,
            permitted=world.chance(0.7),
            declared_use="synthetic_data",
            org=world.one(),
            declared=True,
            pay_class="invoice",
            gone=world.end,
            created=-200 * DAY,
        )
        m = world.heads(800, 4000)
        ts = renewal(rng, m, rng.uniform(0, 0.5) * world.end, world.end, float(rng.uniform(0.6, 4)))
        skeletons = world.fresh(int(rng.integers(3, 60)))
        world.send(
            rng.choice(ids, m),
            ts,
            template=rng.choice(skeletons, m),
            prompt=world.fresh(m),
            cell=rng.integers(0, 4096, m),
            task=rng.choice([REASON, CODE, CHAT]),
            net=net + rng.integers(0, 3, m),
            format=world.one(),
        )
