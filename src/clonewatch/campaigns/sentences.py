"""What was measured, in sentences. They name behaviour, never a motive or a company."""

from __future__ import annotations

import numpy as np

from clonewatch.campaigns.fusion import FEWEST_REFERENCES, Reading
from clonewatch.kernels.rarity import lower_tail
from clonewatch.model.rulings import OPEN
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.linking import LinkingSignal

# What a measurement is compared with: groups of the log itself, or, where it has too few, what ships with the program.
_OWN, _TYPICAL = "reference communities of this log", "typical honest groups (by simulation)"
# A link's innocent explanation is ruled out if so few trusted carriers would be a chance of at most one in twenty.
_RULED_OUT_BITS = float(np.log2(20))


def of_reading(reading: Reading, test: BehaviouralTest) -> str:
    """The measurement of one behavioural test."""
    value, usual = reading.value, reading.usual
    against = reading.bits < 0
    said = (test.denies or test.says) if against else test.says
    return ("Counts against a campaign. " if against else "") + said.format(
        others=_OWN if reading.references >= FEWEST_REFERENCES else _TYPICAL,
        value=value,
        usual=usual,
        n=reading.n,
        odds=2.0 ** abs(reading.bits),
        ratio=float(np.exp(min(value, 20.0))),
        inverse=float(np.exp(min(-value, 20.0))),
        share=_share(value),
        usual_share=_share(usual),
        rarely=_share(-value),
        usual_rarely=_share(-usual),
        bits=max(0.0, -value),
        usual_bits=max(0.0, -usual),
        spread=_factor(value),
        usual_spread=_factor(usual),
    )


def of_link(link: LinkingSignal, attributes: int, entities: int, size: int) -> str:
    """How one linking signal links a cluster."""
    title, noun, verb = link.signal.card.title, *(("attribute", "links") if attributes == 1 else ("attributes", "link"))
    return f"{title}: {attributes:,} {noun} {verb} {entities:,} of {size:,} entities."


def link_ruling(link: LinkingSignal, users: int, trusted: int, share: float, source: str) -> str:
    """What this log says about a link's innocent explanation.

    users, trusted: carriers of its attributes, and trusted ones among them. share: trusted share of all entities, 0..1.
    source: where the trusted set came from.
    """
    if link.own_null:
        return link.own_null.ruling
    if source == "none":
        return f"{OPEN}: no trusted accounts are named, and too little is known to infer any."
    who = "accounts that the provider trusts" if source == "declared" else "accounts that work in bursts, as people do,"
    said = (
        f"f that were the explanation, {who} would make up their usual {share:.1%} of those who share it; they"
        f" make up {trusted / max(users, 1):.1%}."
    )
    rare = float(lower_tail(users, trusted, share)) >= _RULED_OUT_BITS
    return f"I{said}" if rare else f"{OPEN} by itself, because so few share it: i{said}"


def behaviour_ruling(accuses: bool, alike: int, references: int) -> str:
    """What the reference communities of this log say about a measurement.

    accuses: it counts for a campaign. alike: reference communities with a value at least as extreme. references: number
    of reference communities.
    """
    if references < FEWEST_REFERENCES:
        return f"{OPEN}: this log has too few reference communities for a comparison."
    if not accuses:
        return f"{alike:,} of {references:,} reference communities of this log are at least as extreme on this side."
    if alike:
        return f"{OPEN} by itself: {alike:,} of {references:,} reference communities of this log are as extreme."
    return f"None of the {references:,} reference communities of this log is as extreme."


def _share(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def _factor(value: float) -> float:
    """The factor of one standard deviation of log volume. value: minus the log of that deviation."""
    return float(np.exp(min(np.exp(min(-value, 3.0)), 12.0)))
