"""The world of one seed: accounts, addresses, moments and calls."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from evals.third_generator import ranges
from evals.third_generator.language import Writer, coined

DAY = 86_400.0
# Hours from UTC; a handful of places with unequal shares, assumed.
COUNTRIES = {
    "US": -6,
    "DE": 1,
    "IN": 5,
    "BR": -3,
    "GB": 0,
    "JP": 9,
    "SG": 8,
    "NG": 1,
    "PL": 1,
    "CA": -5,
    "ID": 7,
    "FR": 1,
}
_SHARES = (30, 9, 14, 7, 8, 6, 4, 3, 5, 6, 4, 5)
_HOURS = tuple(itertools.accumulate(ranges.HOURS))
OLD, LARGE, SMALL, THINKING = "grand-4", "grand-5", "petite-3", "thinker-2"  # LARGE is released during the log
_CLIENTS = (
    "web-console/2026.3",
    "python-client/1.40",
    "python-client/1.44",
    "node-client/4.9",
    "curl/8.5",
    "desktop-app/3.2",
    "go-client/0.8",
)
_MAIL = ("mail.example", "post.example", "inbox.example", "letters.example", "webmail.example")


class Address(NamedTuple):
    """Where a request comes from."""

    ip: str
    asn: int
    country: str
    egress: str


class Call(NamedTuple):
    """One request: what differs from call to call."""

    ts: float
    account: str
    session: str
    turn: int
    system: str
    text: str
    model: str
    address: Address
    client: str
    answer: int
    tools: int = 0
    campaign: str | None = None
    end_user: str | None = None
    channel: str = "direct"
    n: int = 1


@dataclass
class Account:
    """An account and what its owner told the provider. `created`: seconds from the start of the log."""

    id: str
    role: str
    created: float
    country: str
    facts: dict[str, Any] = field(default_factory=dict)
    campaign: str | None = None


class World:
    """Accounts and calls under construction, and the means to make more."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"third generator {seed}")  # noqa: S311
        random = self.random
        self.days = random.randint(*ranges.DAYS)
        self.release = random.uniform(0.3, 0.8) * self.days * DAY
        self.accounts: dict[str, Account] = {}
        self.calls: list[Call] = []
        self.events: list[dict[str, Any]] = []
        self.carriers = {
            c: [self.address("mobile", c) for _ in range(3 + share * 200 // ranges.CARRIER_USERS // 8)]
            for c, share in zip(COUNTRIES, _SHARES, strict=True)
        }
        self.vpns = [self.address("vpn") for _ in range(random.randint(8, 40))]
        self.new_share = random.uniform(*ranges.NEW_ACCOUNTS)
        self.retry = random.uniform(*ranges.RETRY)
        self.knobs: dict[str, Any] = {}

    def log_uniform(self, low: float, high: float) -> float:
        """A number whose logarithm is uniform."""
        return math.exp(self.random.uniform(math.log(low), math.log(high)))

    def code(self, prefix: str) -> str:
        """An opaque identifier."""
        return f"{prefix}{self.random.getrandbits(48):012x}"

    def country(self) -> str:
        """A country of residence."""
        return self.random.choices(tuple(COUNTRIES), _SHARES)[0]

    def address(self, egress: str, country: str | None = None, block: tuple[int, int, int] | None = None) -> Address:
        """A new address. block: its first three numbers."""
        random = self.random
        country = country or self.country()
        first, second, third = block or (random.randint(24, 99), random.randint(0, 255), random.randint(0, 255))
        asn = 64_512 + (first * 7 + second) % 900 + {"hosting": 0, "vpn": 0}.get(egress, 1_000) % 122
        return Address(f"{first}.{second}.{third}.{random.randint(1, 254)}", asn, country, egress)

    def blocks(self, n: int) -> list[tuple[int, int, int]]:
        """Address ranges of 256."""
        r = self.random
        return [(r.randint(130, 180), r.randint(0, 255), r.randint(0, 255)) for _ in range(n)]

    def join(self, role: str, *, created: float | None = None, country: str | None = None, **facts: Any) -> Account:
        """A new account with facts of its own; `facts` replace some."""
        random = self.random
        country = country or self.country()
        if created is None:
            fresh = random.random() < self.new_share
            created = random.uniform(0, self.days * DAY * 0.85) if fresh else -random.expovariate(1 / 300) * DAY
        paid = random.choices(("card", "prepaid", "virtual", "marketplace"), (82, 7, 6, 5))[0]
        own: dict[str, Any] = {
            "plan": random.choices(("pay_as_you_go", "plus", "team", "pro"), (55, 28, 7, 10))[0],
            "payment_fingerprint": self.code("pay_") if random.random() < 0.93 else None,
            "payment_class": paid,
            "issuer_class": random.choices(("bank", "neobank", "virtual_issuer", "gift"), (70, 18, 6, 6))[0],
            "billing_country": country if random.random() < 0.95 else self.country(),
            "email_domain": random.choice(_MAIL) if random.random() < 0.8 else f"{coined(random)}.example",
            "email_pattern": random.choices(
                ("word.word", "word99", "word", "x9x9x9", "initial.word"), (40, 27, 18, 3, 12)
            )[0],
            "device_fingerprint": self.code("dev_"),
            "phone_prefix": f"{country}{random.randint(10, 60)}",
            "signup_ip": None,
            "referrer": random.choices((None, "search", "friend", "post"), (60, 25, 8, 7))[0],
        }
        account = Account(self.code("acct_"), role, created, country, own | facts)
        self.accounts[account.id] = account
        return account

    def client(self) -> str:
        """A client program."""
        return self.random.choices(_CLIENTS, (35, 12, 14, 10, 5, 19, 5))[0]

    def whereabouts(self, country: str) -> list[Address]:
        """Addresses of one person: home, perhaps a mobile carrier, perhaps a VPN."""
        places = [self.address("residential", country)]
        if self.random.random() < 0.45:
            places.append(self.random.choice(self.carriers[country]))
        if self.random.random() < 0.06:
            places.append(self.random.choice(self.vpns))
        if self.random.random() < 0.3:  # the provider gives a new address now and then
            places.append(self.address("residential", country))
        return places

    def moments(
        self, n: int, country: str, first: float, last: float, *, flat: bool = False, work: bool = False
    ) -> list[float]:
        """Sorted times between first and last in the rhythm of a person, an office or a machine."""
        random = self.random
        first, last = max(first, 0.0), min(last, self.days * DAY - 60)
        if last <= first:
            return []
        shift = COUNTRIES[country] - random.gauss(0.0, 1.5)
        out = []
        for _ in range(n):
            at = random.uniform(first, last)
            if not flat:
                for _ in range(8):
                    day = int(at // DAY)
                    hour = bisect.bisect(_HOURS, random.random() * _HOURS[-1]) + random.random()
                    if work:
                        hour = 8.5 + random.betavariate(1.6, 1.6) * 9.5
                    moment = day * DAY + (hour - shift) * 3600
                    rest = day % 7 >= 5 and random.random() > (0.08 if work else ranges.WEEKEND)
                    if first <= moment <= last and not rest:
                        at = moment
                        break
                    at = random.uniform(first, last)
            out.append(at)
        return sorted(out)

    def model(self, ts: float, favourite: str, lag: float) -> str:
        """The model a customer uses at a time: some move to the new one after a lag."""
        if favourite == OLD and ts > self.release + lag:
            return LARGE
        return favourite

    def taste(self) -> tuple[str, float]:
        """Favourite model, and seconds until this customer moves to a new one."""
        return self.random.choices((OLD, SMALL, THINKING), (60, 28, 12))[0], self.random.expovariate(1 / (9 * DAY))

    def answer(self) -> int:
        """Tokens of an answer."""
        return int(min(8_000, math.exp(self.random.gauss(math.log(ranges.ANSWER_MEDIAN), ranges.ANSWER_SIGMA))))

    def chat(
        self,
        account: Account,
        writer: Writer,
        at: float,
        places: list[Address],
        taste: tuple[str, float],
        client: str,
        *,
        system: str = "",
        topic: str | None = None,
        campaign: str | None = None,
    ) -> int:
        """One conversation; returns its number of calls."""
        random = self.random
        session, place = self.code("s_"), random.choice(places)
        stop, turn, text = random.uniform(*ranges.TURN_STOP), 0, writer.first(topic)
        while at < self.days * DAY and turn < 25:
            channel = "console" if client.startswith(("web", "desktop")) else "direct"
            self.calls.append(
                Call(
                    at,
                    account.id,
                    session,
                    turn,
                    system,
                    text,
                    self.model(at, *taste),
                    place,
                    client,
                    self.answer(),
                    0,
                    campaign,
                    None,
                    channel,
                )
            )
            turn += 1
            if random.random() < stop:
                break
            if random.random() > self.retry:
                text = writer.next(topic)
            at += math.exp(random.gauss(math.log(ranges.GAP_MEDIAN), ranges.GAP_SIGMA))
        return turn

    def ordinary(
        self, account: Account, writer: Writer | None = None, places: list[Address] | None = None, scale: float = 1.0
    ) -> None:
        """The whole life of a person's account."""
        random = self.random
        writer, places = writer or Writer(random), places or self.whereabouts(account.country)
        account.facts["signup_ip"] = places[0].ip
        taste, client = self.taste(), self.client()
        median, sigma = self.habit
        wanted = min(ranges.MOST_SESSIONS, math.ceil(scale * median * math.exp(random.gauss(0.0, sigma))))
        last = (
            self.days * DAY if random.random() < 0.7 else max(account.created, 0) + random.uniform(0.5, self.days) * DAY
        )
        system = writer.first() if random.random() < 0.12 else ""  # an instruction of one's own
        for at in self.moments(wanted, account.country, account.created, last):
            self.chat(account, writer, at, places, taste, client, system=system)

    @property
    def habit(self) -> tuple[float, float]:
        """Median and spread of sessions per person in this world."""
        if "sessions" not in self.knobs:
            self.knobs["sessions"] = [
                round(self.random.uniform(*ranges.SESSIONS_MEDIAN), 2),
                round(self.random.uniform(*ranges.SESSIONS_SIGMA), 2),
            ]
        median, sigma = self.knobs["sessions"]
        return median, sigma
