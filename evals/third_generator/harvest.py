"""Campaigns: each a mix of how accounts are got, paid, placed, fed and hidden, drawn from the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from evals.third_generator import ranges
from evals.third_generator.language import Script, Writer
from evals.third_generator.world import COUNTRIES, DAY, LARGE, OLD, THINKING, Account, Address, Call, World

_SPREAD = math.log(ranges.AGED_P90_DAYS / ranges.AGED_MEDIAN_DAYS) / 1.2816  # of a log-normal age, from two quantiles


@dataclass
class Slot:
    """One place in a campaign: the accounts that held it, one after the other, and when each began."""

    holders: list[tuple[float, Account]]
    places: list[Address]
    client: str
    weight: float
    closed: float = math.inf
    harvested: dict[str, int] = field(default_factory=dict)

    def holder(self, ts: float) -> Account | None:
        """The account in use at a time, if any."""
        if ts >= self.closed:
            return None
        return next((account for since, account in reversed(self.holders) if since <= ts), None)


class Campaign:
    """One campaign under construction."""

    def __init__(self, world: World, name: str) -> None:
        random = world.random
        self.world, self.name = world, name
        self.size = round(world.log_uniform(*ranges.MEMBERS))
        self.total = max(round(world.log_uniform(*ranges.HARVEST)), self.size * ranges.LEAST_PER_MEMBER)
        self.start = random.uniform(0.02, 0.4) * world.days * DAY
        self.obtained = random.sample(ranges.OBTAINED, random.choice((1, 1, 2)))
        self.payment, self.egress = random.choice(ranges.PAYMENTS), random.choice(ranges.EGRESS)
        self.dispatch, self.machine = random.choice(ranges.DISPATCH), random.random() < 0.5
        self.cover, self.paraphrase = random.uniform(*ranges.COVER), random.uniform(*ranges.PARAPHRASE)
        self.demand = random.uniform(*ranges.DEMAND)
        self.rollouts = 1 if random.random() < 0.6 else random.randint(2, ranges.ROLLOUTS[1])
        self.bans, self.jump = random.random() < ranges.BANNED, random.random() < ranges.JUMP
        self.country = random.choice(tuple(COUNTRIES))
        self.model = random.choice((OLD, OLD, THINKING))
        self.cards = [world.code("pay_") for _ in range(random.randint(2, 12))]
        self.blocks = world.blocks(random.randint(2, 12))
        seen_as_proxy = random.random() < 0.5  # no free list knows residential proxies
        pool = random.randint(15, 90) if self.egress == "pool" else 0
        self.pool = [world.address("proxy" if seen_as_proxy else "residential") for _ in range(pool)]
        self.clients = random.sample(
            ("python-client/1.40", "python-client/1.44", "node-client/4.9", "go-client/0.8", "httpx/0.28"),
            random.choice((1, 2, 3)),
        )
        self.script = Script(random, self.paraphrase, self.demand)
        self.gaps: dict[str, float] = {}  # when a replaced account was banned
        self.stamp = random.random() < 0.35  # sign-ups from one browser image and one kind of e-mail

    def facts(self) -> dict[str, Any]:
        """What a new account claims, where the campaign chooses it."""
        random = self.world.random
        kind = (
            random.choice(("few_cards", "virtual", "prepaid", "own_card")) if self.payment == "mixed" else self.payment
        )
        facts: dict[str, Any] = {
            "few_cards": {"payment_fingerprint": random.choice(self.cards), "payment_class": "card"},
            "virtual": {"payment_class": "virtual", "issuer_class": "virtual_issuer"},
            "prepaid": {"payment_class": "prepaid", "issuer_class": "gift"},
            "own_card": {},
        }[kind]
        if self.stamp:
            facts |= {
                "email_pattern": "x9x9x9",
                "device_fingerprint": f"dev_{self.cards[0][4:12]}{random.randrange(6)}",
            }
        return facts

    def recruit(self, needed: float, *, again: bool = False) -> Account:
        """An account ready at a time. again: a replacement, which cannot be old if it is made in bulk."""
        world, random = self.world, self.world.random
        way = random.choice(self.obtained)
        if way in ("bulk", "aged"):
            age = random.uniform(0, 5 * DAY)
            if way == "aged":
                age = min(ranges.AGED_MOST_DAYS, ranges.AGED_MEDIAN_DAYS * math.exp(random.gauss(0.0, _SPREAD))) * DAY
            if again and way == "bulk":
                age = random.uniform(0, DAY)
            account = world.join(
                "member", created=needed - age, country=self.country if random.random() < 0.5 else None, **self.facts()
            )
        else:
            account = world.join("member", created=needed - random.expovariate(1 / 200) * DAY)
            self.lived_in(account, needed if way == "bought" else world.days * DAY)
        account.campaign = self.name
        return account

    def lived_in(self, account: Account, until: float) -> None:
        """The ordinary use of an account by its first owner, who leaves when it is sold or shares a seat to the end."""
        world, random = self.world, self.world.random
        writer, places, taste = Writer(random), world.whereabouts(account.country), world.taste()
        account.facts["signup_ip"] = places[0].ip
        client, share = world.client(), max(0.0, until) / (world.days * DAY)
        for at in world.moments(round(random.expovariate(1 / 6) * share), account.country, account.created, until):
            world.chat(account, writer, at, places, taste, client)

    def addresses(self) -> list[Address]:
        """The addresses of one slot."""
        world, random = self.world, self.world.random
        if self.egress == "pool":
            return random.sample(self.pool, random.randint(1, min(6, len(self.pool))))
        if self.egress == "hosting":
            return [
                world.address("hosting", self.country, random.choice(self.blocks))
                for _ in range(random.choice((1, 1, 3)))
            ]
        return [world.address("residential") for _ in range(random.randint(1, 8))]

    def slots(self) -> list[Slot]:
        """All places, with replacements after a wave of bans."""
        world, random = self.world, self.world.random
        ramp = random.choice((0.0, 2 * DAY, 8 * DAY))
        out = []
        for _ in range(self.size):
            since = self.start + random.uniform(0, ramp)
            slot = Slot(
                [(since, self.recruit(since))],
                self.addresses(),
                random.choice(self.clients),
                random.gammavariate(0.6, 1.0) + 0.05,
            )
            slot.holders[0][1].facts["signup_ip"] = (
                slot.holders[0][1].facts["signup_ip"] or random.choice(slot.places).ip
            )
            out.append(slot)
        if self.bans:
            wave, share = random.uniform(self.start + 3 * DAY, world.days * DAY * 0.9), random.uniform(0.2, 0.9)
            delay, spread = random.choice((0.2, 1.0, 3.0)) * DAY, random.choice((0.05, 1.0)) * DAY
            for slot in out:
                if random.random() < share:
                    at = wave + random.expovariate(1 / spread)
                    world.events.append({"ts": at, "kind": "ban", "account_id": slot.holders[0][1].id})
                    back = at + random.expovariate(1 / delay)
                    if random.random() < 0.8 and back < world.days * DAY * 0.97:
                        fresh = self.recruit(back, again=True)
                        fresh.facts["signup_ip"] = random.choice(slot.places).ip
                        slot.holders.append((back, fresh))
                        self.gaps[slot.holders[0][1].id] = at
                    else:
                        slot.closed = at
        return out

    def run(self) -> dict[str, Any]:
        """Add the whole campaign to the world; returns its description."""
        world, random = self.world, self.world.random
        slots = self.slots()
        end = (
            world.days * DAY
            if random.random() < 0.7
            else self.start + random.uniform(0.5, 1) * (world.days * DAY - self.start)
        )
        at_once = random.choices((1, 4, 20), (5, 3, 2))[0]  # items sent together by one worker
        moments = world.moments(
            self.total // self.rollouts // at_once + 1, self.country, self.start, end, flat=self.machine
        )
        shards = {t: random.sample(slots, max(3, len(slots) // len(self.script.topics))) for t in self.script.topics}
        weights, turn = [s.weight for s in slots], 0
        leave = world.release + random.expovariate(1 / (0.5 * DAY)) if self.jump else math.inf
        for k, start in enumerate(moments):
            slot, at, session = random.choice(slots), start, world.code("s_")
            for _ in range(at_once):
                topic = random.choice(self.script.topics)
                system, text = self.script.item(topic)
                for _ in range(self.rollouts):
                    if self.dispatch == "equal":
                        turn += 1
                        slot = slots[turn % len(slots)]
                    elif self.dispatch == "uneven":
                        slot = random.choices(slots, weights)[0]
                    elif self.dispatch == "sharded":
                        slot = random.choice(shards[topic])
                    else:
                        slot = slots[k % len(slots)]
                    self.ask(
                        slot, at, session, system, text, LARGE if at > leave and random.random() < 0.9 else self.model
                    )
                    at += random.expovariate(1 / (3 if self.machine else 45))
        self.hide(slots)
        customers = random.randint(*ranges.POOL_CUSTOMERS) if self.pool else 0
        for _ in range(customers):
            world.ordinary(world.join("proxy_pool_user"), places=random.sample(self.pool, min(4, len(self.pool))))
        keys = (
            "size",
            "obtained",
            "payment",
            "egress",
            "dispatch",
            "machine",
            "cover",
            "paraphrase",
            "demand",
            "rollouts",
            "bans",
            "jump",
        )
        shown = {k: getattr(self, k) for k in keys}
        return {k: round(v, 2) if isinstance(v, float) else v for k, v in shown.items()} | {"name": self.name}

    def ask(self, slot: Slot, at: float, session: str, system: str, text: str, model: str) -> None:
        """One harvested call, if the slot is in use then."""
        world, random = self.world, self.world.random
        account = slot.holder(at)
        if account is None or at >= world.days * DAY or at >= self.gaps.get(account.id, math.inf):
            return
        session = session if self.dispatch == "sticky" else world.code("s_")
        answer = int(min(8_000, world.answer() * (1.5 + 1.5 * self.demand)))
        world.calls.append(
            Call(
                at,
                account.id,
                session,
                0,
                system,
                text,
                model,
                random.choice(slot.places),
                slot.client,
                answer,
                0,
                self.name,
            )
        )
        slot.harvested[account.id] = slot.harvested.get(account.id, 0) + 1

    def hide(self, slots: list[Slot]) -> None:
        """Ordinary conversations among the harvest."""
        world, random = self.world, self.world.random
        for slot in slots:
            for since, account in slot.holders:
                wanted = slot.harvested.get(account.id, 0) * self.cover / (1 - self.cover)
                until = min(slot.closed, self.gaps.get(account.id, math.inf), world.days * DAY)
                writer, taste = Writer(random), (self.model, 0.0)
                for at in world.moments(round(wanted / 1.8), account.country, since, until, flat=self.machine):
                    world.chat(account, writer, at, slot.places, taste, slot.client)


def campaigns(world: World) -> list[dict[str, Any]]:
    """Zero to three campaigns; returns their descriptions."""
    return [Campaign(world, f"harvest_{i}").run() for i in range(world.random.randint(0, ranges.CAMPAIGNS))]
