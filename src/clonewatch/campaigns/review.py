"""Which groups a person should look at, in which order, and what to ask about each: flagged, for review, or listed.

Nothing here flags a group. The order rests on the posterior odds that a group is one covert operator; exchanges at
stake only decide between groups of nearly the same odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import e, floor, log, log2
from types import MappingProxyType
from typing import NamedTuple

from clonewatch.campaigns.answers import is_about, newest
from clonewatch.campaigns.fusion import LEAST_LINK_BITS, LINK_BITS, Verdict
from clonewatch.campaigns.innocent_shapes import next_question, shapes
from clonewatch.model.answers import INNOCENT, Answer
from clonewatch.model.questions import BY_ID
from clonewatch.model.same_evidence import Basis, news
from clonewatch.ports.signal import Signal

FLAGGED, REVIEW, LISTED = "flagged", "review", "listed"
OUTCOMES = (FLAGGED, REVIEW, LISTED)
# Log odds, before any test, that a linked group is one covert operator: one in 16, as if every other log of 10,000
# accounts held one, among about eight linked groups. It moves all groups alike, and so changes no order.
PRIOR_BITS = -4.0
# From these odds on a group is for review: its evidence at least doubles the prior odds. Set on logs without an attack,
# of which none of about 10,000 accounts may have more than three honest groups for review (decision 0016).
REVIEW_BITS = -3.0
# The share of the bits of tests and of the p-value that counts. Each is an upper bound, and they err together: all of
# them measure the same exchanges.
_BELIEVED = 0.5
# What a fact of deception adds. Honest groups have one too, such as an office that pays with one card: taken as a
# quarter as often as covert ones, which nobody has measured.
_DECEPTION_BITS = 2.0
# Linkage counts for half a threshold below it to twice the threshold: beyond that it says how many, not who.
_LEAST_LINKAGE, _MOST_LINKAGE = 0.5, 2.0
_DIGITS = 9


class Candidate(NamedTuple):
    """A reported group. p_value: null where nothing was there to compare with. exchanges: of its members, at stake.

    accounts: ids of its members, without proxy customers. signals: those behind the verdict, by name.
    """

    verdict: Verdict
    p_value: float | None
    exchanges: int
    accounts: frozenset[str]
    signals: Mapping[str, Signal]


class OnRecord(NamedTuple):
    """A ruling about a group. news: what the group has beyond the evidence that was ruled on; empty for nothing."""

    answer: Answer
    news: tuple[str, ...]

    @property
    def withholds(self) -> bool:
        """Whether it keeps the group from being flagged or for review: ruled innocent, and nothing is new."""
        return self.answer.ruled is not None and self.answer.ruled.ruling == INNOCENT and not self.news


class Standing(NamedTuple):
    """What a group is to a reader. rank: 1 is the first to look at. odds_bits: log2 of the posterior odds.

    question: the id of the question to ask next; None where all that fit were answered, or nothing fits. look_alike:
    the question whose innocent explanation it resembles so much that the group moved down; None for none. answers:
    those that moved its odds. evidence_bits: the odds before look-alike and answers. families: the families of evidence
    that count. ruling: the one that is about it.
    """

    outcome: str
    rank: int
    odds_bits: float
    limiting_criterion: str
    limiting_ratio: float
    question: str | None
    look_alike: str | None
    answers: tuple[Answer, ...]
    evidence_bits: float
    families: tuple[str, ...]
    ruling: OnRecord | None


def review(
    candidates: Sequence[Candidate],
    answers: Sequence[Answer] = (),
    rulings: Mapping[int, OnRecord] = MappingProxyType({}),
) -> list[Standing]:
    """The standing of every group, in the order given. rulings: by cluster."""
    found = [_standing(candidate, answers, rulings.get(candidate.verdict.cluster)) for candidate in candidates]
    order = sorted(range(len(found)), key=lambda i: _place(candidates[i], found[i]))
    ranks = {i: rank for rank, i in enumerate(order, 1)}
    return [standing._replace(rank=ranks[i]) for i, standing in enumerate(found)]


def ruling_on(
    verdict: Verdict, p_value: float | None, accounts: frozenset[str], answers: Sequence[Answer]
) -> OnRecord | None:
    """The ruling about a group: one that withholds it where there is one, else the newest.

    accounts: those that the verdict rests on, by id. answers: oldest first.
    """
    now = Basis(accounts, frozenset(counting(verdict)), evidence_odds(verdict, p_value))
    found: list[OnRecord] = []
    for answer in answers:
        if answer.ruled and is_about(answer, accounts):
            ruled = Basis(answer.accounts, answer.ruled.families, answer.ruled.odds_bits)
            found.append(OnRecord(answer, news(ruled, now, answer.ruled.scope)))
    withholding = [one for one in found if one.withholds]
    return [None, *found, *withholding][-1]


def counting(verdict: Verdict) -> tuple[str, ...]:
    """The families of evidence that count: of tests, and of links that tie the average entity well enough."""
    links = {family for _, family, bits in verdict.links if bits >= LEAST_LINK_BITS}
    return tuple(sorted({*verdict.families, *links}))


def evidence_odds(verdict: Verdict, p_value: float | None) -> float:
    """The odds on the evidence alone, log2: without what the group looks like and what was answered."""
    return round(PRIOR_BITS + evidence_bits(verdict, p_value), _DIGITS)


def evidence_bits(verdict: Verdict, p_value: float | None) -> float:
    """How much likelier the evidence on a group is if it is one covert operator, log2, innocent shapes left aside.

    Bits of tests are p-values in bits, and overstate: each family, and the evidence against, counts as the largest
    likelihood ratio that its p-value allows, and of their sum half. So does the p-value among linked honest groups.
    """
    families = [bits for _, bits in verdict.strengths]
    against = sum(families) - verdict.bits
    linkage = log2(min(max(verdict.criteria.linkage, _LEAST_LINKAGE), _MOST_LINKAGE))
    # What is lacking is lacking: weak links gather unlike people, and a few of them decide the tests.
    linkage += min(0.0, verdict.link_bits - LINK_BITS)
    deception = _DECEPTION_BITS if verdict.criteria.deception >= 1 else 0.0
    rarity = likelihood_bits(-log2(p_value)) if p_value else 0.0
    tests = sum(likelihood_bits(bits) for bits in families) - likelihood_bits(against)
    return round(_BELIEVED * (tests + rarity) + linkage + deception, _DIGITS)


def likelihood_bits(bits: float) -> float:
    """The most that a p-value of this many bits can say as a likelihood ratio, log2; 0 for weak ones.

    Sellke, Bayarri and Berger (2001): no alternative is favoured by more than -1/(e p ln p).

    >>> round(likelihood_bits(8.0), 2), likelihood_bits(1.0)
    (4.09, 0.0)
    """
    nats = bits * log(2)
    return bits - log2(e * nats) if nats > 1 else 0.0


def _standing(candidate: Candidate, answers: Sequence[Answer], ruling: OnRecord | None) -> Standing:
    verdict = candidate.verdict
    # A ruling on less evidence than there is now says nothing: the group is to be looked at again.
    silent = {id(a) for a in answers if a.ruled and not (ruling and ruling.withholds and a is ruling.answer)}
    used = newest(a for a in answers if a.question and id(a) not in silent and is_about(a, candidate.accounts))
    fitting = shapes(verdict, candidate.signals)
    shape = fitting[0][0] if fitting else None
    evidence = evidence_odds(verdict, candidate.p_value)
    moved = BY_ID[shape].shape_bits if shape else 0.0
    # A group that is known not to be what it resembles does not move down for the resemblance.
    denied = any(answer.question == shape and not answer.yes for answer in used)
    odds = evidence + (0.0 if denied else moved) + sum(answer.bits for answer in used)
    # An answer keeps a group in review or takes it out. It brings none in, and flags none. About a group of bystanders
    # alone there is nothing to ask.
    wanted = bool(candidate.accounts) and min(evidence + moved, odds) >= REVIEW_BITS
    if ruling and ruling.withholds:
        wanted = False
    return Standing(
        FLAGGED if verdict.flagged else REVIEW if wanted else LISTED,
        0,
        round(odds, _DIGITS),
        verdict.criteria.limiting,
        round(min(verdict.criteria), _DIGITS),
        next_question(fitting, {answer.question for answer in used}),
        shape if moved and not denied else None,
        used,
        evidence,
        counting(verdict),
        ruling,
    )


def _place(candidate: Candidate, standing: Standing) -> tuple[int, int, int, int]:
    """Sorts the first to look at first. Groups whose odds have the same whole bits are ordered by what is at stake."""
    return (
        OUTCOMES.index(standing.outcome),
        -floor(standing.odds_bits),
        -candidate.exchanges,
        candidate.verdict.cluster,
    )
