"""The world of a scenario: calendar, topics, addresses, builds, the account table and the sources of traffic."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from clonewatch.lab.content import Habits
from clonewatch.lab.ids import Hashes, mix, named
from clonewatch.lab.knobs import Knobs
from clonewatch.lab.network import Builds, Network, Pool
from clonewatch.lab.outages import Outages
from clonewatch.lab.rows import DAY, HOUR, Codes, Flags, Ints
from clonewatch.lab.topics import Topics
from clonewatch.lab.traffic import Traffic
from clonewatch.lab.vocabulary import COUNTRIES, MOBILE, PROXY, VPN

START = int(datetime(2026, 4, 22, tzinfo=UTC).timestamp() * 1_000_000)
_AGED_DAYS = 120  # an account must be this old before the window to be trusted
FACTS = (
    "created_at",
    "org_id",
    "org_declared",
    "programme",
    "plan",
    "payment_fingerprint",
    "payment_class",
    "issuer_class",
    "billing_country",
    "email_domain",
    "email_pattern",
    "device_fingerprint",
    "phone_prefix",
    "signup_ip",
    "referrer",
    "declared_use",
    "training_permitted",
    "trust",
)


class World:
    """Everything in one scenario. Times are microseconds from the start of the window."""

    def __init__(self, name: str, seed: int, scale: float, days: int, drawn: dict[str, object]) -> None:
        self.name, self.seed, self.scale, self.days = name, seed, scale, days
        self.salt = named("world", name, seed)
        self.rng = np.random.default_rng([self.salt, 1])
        self.knobs = Knobs(self.rng, drawn)
        self.lengths = np.random.default_rng([self.salt, 4])  # of accounts: apart, so that nothing else depends on it
        self.topics = Topics(self.knobs)
        self.habits = _habits(self.knobs.under("habits"), self.salt + 100)
        self.network, self.builds = Network(self.rng), Builds(self.rng)
        self.anchor_share = min(0.4, max(0.05, self.knobs.spread("anchor_share", 0.1, 0.4)))
        self.traffic: list[Traffic] = []
        self.events: list[tuple[int, str, int, str | None, int | None]] = []
        self.campaigns: list[str] = []
        self.accounts = 0
        self._facts: dict[str, list[np.ndarray[tuple[int], np.dtype[np.object_]]]] = {fact: [] for fact in FACTS}
        self._roles: list[tuple[str, int, int]] = []
        self.outages = self._outages()
        self.release = int(self.knobs.real("release_day", days * 0.4, days * 0.65) * DAY)
        self.events.append((self.release, "model_release", -1, "lumen-large-4", None))
        self._carriers = [
            self.network.pool(max(4, round(40 * c.share * max(1.0, scale))), MOBILE, i, operators=3, together=True)
            for i, c in enumerate(COUNTRIES)
        ]
        self.vpns = [
            self.network.pool(24, kind, int(self.rng.integers(len(COUNTRIES))), operators=3, together=True)
            for kind in (VPN, VPN, VPN, VPN, VPN, VPN, PROXY, PROXY)
        ]
        self.agent_builds: Pool | None = None  # of the popular coding agent, once an account uses it
        self.browser = self.builds.family("Mozilla/5.0 Browser", 36, sdk=False, platforms=5)
        self.python = self.builds.family("lumen-python", 64, platforms=4)
        self.node = self.builds.family("lumen-node", 48, platforms=4)
        self.wrapper = self.builds.family("openchain", 40, platforms=3)
        self.raw = self.builds.family("http-client", 30, sdk=False, platforms=6)

    def carrier(self, country: int) -> Pool:
        """The carrier-grade NAT addresses of a country's mobile networks."""
        return self._carriers[country]

    def enrol(self, count: int, role: str, campaign: int = -1, **facts: object) -> Codes:
        """Create accounts. facts: a value for all, or an array with one for each. Returns their numbers."""
        unknown = set(facts) - set(FACTS)
        if unknown:
            raise KeyError(f"no such account fact: {sorted(unknown)}")
        for fact, told in self._facts.items():
            value = facts.get(fact)
            column = np.empty(count, dtype=object)
            column[:] = value
            told.append(column)
        self._roles.append((role, campaign, count))
        first, self.accounts = self.accounts, self.accounts + count
        return np.arange(first, self.accounts, dtype=np.int32)

    def overwrite(
        self, fact: str, ids: Codes, which: Flags, values: np.ndarray[tuple[int], np.dtype[np.object_]]
    ) -> None:
        """Change a fact of the accounts enrolled last. which, values: one for each of ids."""
        latest = self._facts[fact][-1]
        if len(latest) != len(ids) or int(ids[-1]) != self.accounts - 1:
            raise ValueError("only the accounts enrolled last can be changed")
        latest[which] = values[which]

    def fresh(self, count: int) -> Hashes:
        """New random identities (never zero)."""
        return self.rng.integers(1, 2**63, size=count).astype(np.uint64)

    def facts(self) -> dict[str, np.ndarray[tuple[int], np.dtype[np.object_]]]:
        """The account table so far, by column."""
        return {fact: np.concatenate(told) for fact, told in self._facts.items()}

    def roles(self) -> tuple[np.ndarray[tuple[int], np.dtype[np.object_]], Ints]:
        """Role and campaign number (-1: none) of every account."""
        counts = [count for _, _, count in self._roles]
        names = np.repeat(np.array([role for role, _, _ in self._roles], dtype=object), counts)
        return names, np.repeat(np.array([c for _, c, _ in self._roles], dtype=np.int64), counts)

    def account_hashes(self) -> Hashes:
        """The number behind every account id: scattered, so that ids reveal nothing about the accounts."""
        return mix(np.arange(1, self.accounts + 1), self.salt)

    def trusted(self) -> Flags:
        """Which accounts are trusted: aged accounts only, each with the drawn share times the trust of its kind."""
        facts = self.facts()
        aged = facts["created_at"].astype(np.int64) < -_AGED_DAYS * DAY
        trust = np.array([1.0 if t is None else float(t) for t in facts["trust"]])
        wanted = self.anchor_share * trust
        share = float(np.mean(aged)) if len(aged) else 1.0
        rng = np.random.default_rng([self.salt, 2])
        found: Flags = aged & (rng.random(self.accounts) < wanted / max(share, 0.3))
        return found

    def _outages(self) -> Outages:
        found = []
        for i in range(self.knobs.whole("outages", 1, 3)):
            begin = int(self.rng.uniform(0.5, self.days - 0.5) * DAY)
            until = begin + int(self.knobs.real(f"outage_{i}_hours", 0.4, 3.0) * HOUR)
            found.append((begin, until))
            self.events.append((begin, "outage", -1, None, until))
        return Outages(tuple(sorted(found)))


def _habits(knobs: Knobs, salt: int) -> Habits:
    """How the public words requests in this log (for the source of the ranges see `Habits`)."""
    return Habits(
        popular=knobs.real("popular_prompts", 0.02, 0.05),
        skeleton=knobs.real("common_skeletons", 0.06, 0.2),
        proceed=knobs.real("continue_turns", 0.03, 0.06),
        retry=knobs.real("retries", 0.02, 0.05),
        salt=salt,
    )
