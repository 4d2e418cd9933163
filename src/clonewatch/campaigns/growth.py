"""Whether an account that is new since the last look belongs to a campaign that it found: a posterior of its own.

A naive Bayes over families of evidence. Attributes of one family come together, so each family says what its strongest
attribute says, and what a family lacks speaks against. One family never tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log2
from typing import NamedTuple

from clonewatch.campaigns.membership import FLOOR_EXCHANGES, FLOOR_SHARE
from clonewatch.ports.linking import LinkingSignal

CONTENT = "content"
# An account joins where no more than one in a hundred like it would be honest.
JOINS = 0.99
# A family counts from one in ten on, as an attribute links; and families that count besides what is asked.
_LEAST_BITS, _LEAST_FAMILIES = log2(10), 2
# No family says more than one in ten thousand: a new account has little that could contradict it.
_MOST_BITS = log2(10_000)


class Attribute(NamedTuple):
    """What a campaign's accounts share. entities: of the campaign that carry it; users: of the whole log."""

    signal: str
    attribute: str
    entities: int
    users: int
    trusted: int
    weight: float


class Campaign(NamedTuple):
    """A campaign as the last look found it. size: its accounts. carried: how many of them carry any of a family."""

    group: str
    size: int
    attributes: tuple[Attribute, ...]
    carried: Mapping[str, int]


class Newcomer(NamedTuple):
    """A new account. carried: (signal, attribute) -> its exchanges that carry it; 0 for facts of the account."""

    account: int
    exchanges: int
    carried: Mapping[tuple[str, str], int]


class Grown(NamedTuple):
    """That a new account belongs to a campaign. families: those that count, sorted. asked: exchanges of its list."""

    account: int
    group: str
    posterior: float
    families: tuple[str, ...]
    asked: int


def grown(
    newcomers: Iterable[Newcomer],
    campaigns: Iterable[Campaign],
    population: int,
    signals: Mapping[str, LinkingSignal],
) -> list[Grown]:
    """New accounts that join a campaign, each the one with the highest posterior. population: entities of the log.

    An account joins if its posterior reaches `JOINS`, if it asks the campaign's list as often as members do at least,
    and if a second family counts that neither how requests arrive nor a weak signal gives: customers of the same proxy
    share its network, and users of one tool its habits.
    """
    held = list(campaigns)
    found = []
    for one in newcomers:
        judged = [made for campaign in held if (made := _judged(one, campaign, population, signals))]
        if judged:
            found.append(max(judged, key=lambda made: (made.posterior, made.group)))
    return found


def _judged(one: Newcomer, campaign: Campaign, population: int, signals: Mapping[str, LinkingSignal]) -> Grown | None:
    bits: dict[str, float] = {}
    binding: dict[str, float] = {}
    lists: dict[str, int] = {}  # exchanges by signal: one exchange carries one attribute of each
    for attribute in campaign.attributes:
        link = signals.get(attribute.signal)
        n = one.carried.get((attribute.signal, attribute.attribute))
        if link is None or n is None:
            continue
        family, said = link.signal.card.family, _bits(attribute, campaign.size, population)
        bits[family] = max(bits.get(family, 0.0), said)
        if not link.route and not link.weak:
            binding[family] = max(binding.get(family, 0.0), said)
        if family == CONTENT and attribute.trusted == 0:
            lists[attribute.signal] = lists.get(attribute.signal, 0) + n
    asked = max(lists.values(), default=0)
    families = tuple(sorted(family for family, said in binding.items() if said >= _LEAST_BITS))
    if CONTENT not in families or len(families) < _LEAST_FAMILIES:
        return None
    if asked < max(FLOOR_EXCHANGES, FLOOR_SHARE * one.exchanges):
        return None
    lacking = (_lacking(count, campaign.size) for family, count in campaign.carried.items() if family not in bits)
    odds = log2(campaign.size / max(1, population - campaign.size)) + sum(bits.values()) + sum(lacking)
    posterior = 1 / (1 + 2.0**-odds)
    return Grown(one.account, campaign.group, posterior, families, asked) if posterior >= JOINS else None


def _bits(one: Attribute, size: int, population: int) -> float:
    """How much more often accounts of the campaign carry an attribute than others do; never more than it weighed."""
    inside = (one.entities + 0.5) / (size + 1)
    outside = (max(0, one.users - one.entities) + 0.5) / (max(1, population - size) + 1)
    return max(0.0, min(log2(inside / outside), one.weight, _MOST_BITS))


def _lacking(carried: int, size: int) -> float:
    """What it says against an account that it carries nothing of a family, in bits: most where all others do."""
    return max(-_MOST_BITS, log2((size - min(carried, size) + 0.5) / (size + 1)))
