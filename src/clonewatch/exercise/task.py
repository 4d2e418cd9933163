"""One episode as a value: everything that its outcome depends on, and its outcome."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from clonewatch.lab.adversary.strategy import Strategy
from clonewatch.lab.adversary.translation import Setting
from clonewatch.model.version import __version__

# How what a policy says becomes an act: on the accounts that it matches; one after the other, as many a day as people
# can handle; on the whole group together; or together on fixed days.
Containment = Literal["matched", "account", "pool", "wave"]
CONTAINMENTS: tuple[Containment, ...] = ("matched", "account", "pool", "wave")
# Cards that change what happens; all others only change what it costs.
EPISODE_CARDS = (
    "decision_days",
    "looked_at",
    "missed_rulings",
    "wrong_rulings",
    "accounts_a_day",
    "passes_check",
    "shortened_worth",
    "input_tokens",
    "output_tokens",
    "replacement_hours",
)


class Warned(msgspec.Struct, frozen=True):
    """What another provider told: `days` after a pool begins, a share of its accounts is recognised and suspended."""

    days: float
    share: float


class Task(msgspec.Struct, frozen=True):
    """What an episode depends on. policy: its file's text. strategy: None for a world without an attacker.

    checks: days after the campaign's start on which the log is scanned. relaxed: threshold ratio from which a group
    counts as flagged for the policy; 0 leaves the policy as it is. stands_for: useful exchanges of the campaign for
    which the bounds of the policy are meant, so that they shrink with the simulated one; 0 takes them as they are.
    """

    policy: str
    strategy: Strategy | None
    setting: Setting
    checks: tuple[int, ...]
    cards: dict[str, float]
    seed: int
    containment: Containment = "matched"
    wave_days: int = 7
    relaxed: float = 0.0
    stands_for: int = 0
    warned: Warned | None = None

    @property
    def key(self) -> str:
        """A name for its outcome: equal tasks of equal versions have equal ones."""
        told = msgspec.json.encode([__version__, self], order="sorted")
        return hashlib.blake2b(told, digest_size=16).hexdigest()


class Group(msgspec.Struct, frozen=True):
    """A group of one scan. ratio: its threshold ratio. honest: whether most of its accounts are. kind: their role."""

    day: int
    outcome: str
    ratio: float
    accounts: int
    honest: bool
    kind: str


class Outcome(msgspec.Struct, frozen=True):
    """What came of an episode. Days count from the campaign's start; None where it did not happen.

    useful: useful exchanges, in all; before: those before half of the first pool was contained; hydra: those of
    replacements; worth: useful exchanges weighed by what limits left of their worth. opened: accounts, pools: sets of
    them; first: accounts of the first pool; checked: accounts that passed an identity check. listed, flagged, acted:
    the day of the first scan that lists, flags, and of the first act against the campaign. honest: accounts of honest
    holders under a measure, by role and action; blocked: their exchanges that were not served, by role;
    honest_exchanges: all exchanges of honest accounts. rulings: by analysts. minutes: of analysts. claimed: exchanges
    that the backtest on the same results calls preventable. groups: of all scans. trusted: their trusted share, on
    average.
    """

    useful: int
    before: int
    hydra: int
    worth: float
    harvested: int
    requests: int
    first: int
    opened: int
    pools: int
    checked: int
    listed: int | None
    flagged: int | None
    acted: float | None
    contained: float | None
    honest: dict[str, dict[str, int]]
    blocked: dict[str, float]
    honest_accounts: int
    honest_exchanges: int
    rulings: int
    minutes: float
    claimed: int
    groups: list[Group]
    trusted: float

    @property
    def suspended(self) -> int:
        """Honest accounts that were suspended, or limited until nothing was left."""
        return sum(by.get("suspend", 0) for by in self.honest.values())

    @property
    def touched(self) -> int:
        """Honest accounts under any measure that takes something away."""
        return sum(sum(by.values()) for by in self.honest.values())
