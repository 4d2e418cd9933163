"""The evasion-cost bound: what it takes to stay below the weight at which shared attributes link, on every channel.

An attribute of u users without a trusted one weighs -u log2(1 - pi) bits at a trusted share pi (decision 0004). A
campaign of N accounts in which no attribute reaches a weight of b bits needs at least N / u(b) sources of each kind:
payment instruments, devices, addresses and families of wordings. The bound says what these cost at the least. It is a
bound on *not being linked*; a verdict asks for more than links, so a campaign may be linked, cheap, and still not
flagged: that is what the check finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log2
from typing import NamedTuple

from clonewatch.lab.adversary.strategy import Strategy

# Bits at which an attribute begins to link, links whatever it is, and is significant by itself at 5 % among a million
# attributes.
LINKS, SURE, ALONE = 0.3 * log2(10), log2(10), log2(1_000_000 / 0.05)
THRESHOLDS: Mapping[str, float] = {"begins to link": LINKS, "links": SURE, "significant alone": ALONE}
_FEWEST = 6  # an attribute of fewer users never begins to link


class Line(NamedTuple):
    """One line of the table. users: the most that may share a source and stay below. sources: of each kind, at least.

    usd: what these sources cost at the least, in all, and for each account.
    """

    trusted: float
    threshold: str
    bits: float
    accounts: int
    users: int
    sources: int
    usd: float
    usd_each: float


def below(trusted: float, bits: float) -> int:
    """The most users of an attribute, none of them trusted, that weigh less than some bits.

    >>> below(0.2, ALONE), below(0.2, SURE)
    (75, 10)
    """
    if not 0 < trusted < 1:
        raise ValueError(f"a trusted share is between 0 and 1, not {trusted:g}")
    each = -log2(1 - trusted)
    return max(_FEWEST - 1, ceil(bits / each) - 1)


def table(
    trusted: Iterable[float], accounts: int, cards: Mapping[str, float], thresholds: Mapping[str, float] = THRESHOLDS
) -> list[Line]:
    """The bound for shares of trusted accounts and for thresholds, each with a campaign of so many accounts."""
    return [_line(share, name, bits, accounts, cards) for share in trusted for name, bits in thresholds.items()]


def _line(trusted: float, name: str, bits: float, accounts: int, cards: Mapping[str, float]) -> Line:
    users = below(trusted, bits)
    sources = ceil(accounts / users)
    usd = accounts * cards["account_usd"] + sources * source_usd(cards)
    return Line(trusted, name, bits, accounts, users, sources, usd, usd / accounts)


def source_usd(cards: Mapping[str, float]) -> float:
    """The least that one source of every kind costs: builds of the public are free, so they do not count."""
    return (
        cards["payment_usd"]
        + cards["device_usd"]
        + min(cards["hosting_usd"], cards["residential_usd"])
        + cards["template_usd"]
    )


class Tried(NamedTuple):
    """A strategy that an exercise confirmed. spent: USD. flagged: whether any scan of any seed flagged it."""

    name: str
    strategy: Strategy
    accounts: int
    spent: float
    useful: float
    flagged: bool


class Beaten(NamedTuple):
    """A strategy that was never flagged although it shares more than the bound allows. shared: in which channels.

    spent: what it paid; bound: what it would have paid at the least to share no more than that. Both in USD.
    """

    name: str
    spent: float
    bound: float
    users: int
    shared: tuple[str, ...]


def check(tried: Sequence[Tried], trusted: float, cards: Mapping[str, float]) -> list[Beaten]:
    """The strategies that beat the bound of "significant alone": not flagged, and some source above the most users.

    Each is a finding: either an attribute that the scan had to link did not count, or what was linked was not judged.
    """
    users = below(trusted, ALONE)
    found = []
    for one in tried:
        shared = tuple(channel for channel, size in sizes(one.strategy, one.accounts).items() if size > users)
        if one.useful > 0 and not one.flagged and shared:
            bound = _line(trusted, "", ALONE, one.accounts, cards).usd
            found.append(Beaten(one.name, one.spent, bound, users, shared))
    return found


def sizes(strategy: Strategy, accounts: int) -> dict[str, int]:
    """Accounts that share one source of each kind, by what the strategy chose.

    Wordings: those who still send the family as it is; addresses rotate, so an account meets everybody of its part.
    """
    part = accounts / strategy.split
    whole = part if strategy.egress in ("pool", "hosting") else min(part, strategy.per_address)
    return {
        "payment": floor(min(part, strategy.per_card)),
        "devices": floor(min(part, strategy.per_device)),
        "addresses": floor(1 if strategy.egress == "own" else whole),
        "wordings": 0 if strategy.mimic >= 0.5 or strategy.paraphrase >= 0.95 else floor(part),
    }
