"""The words that a release may use: whatever is not a number from a short ladder is one of these.

A closed list carries nothing that its reader does not have already. Free text, exact counts and measured figures have
no place here, so they have no way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Families of evidence, as signals and tests name them.
FAMILIES = frozenset(
    {
        "identity",
        "network",
        "software",
        "session",
        "content",
        "lifecycle",
        "timing",
        "trust",
        "coverage",
        "harvest",
        "individuality",
        "load",
        "order",
        "pacing",
        "reaction",
        "work_partition",
    }
)
# Why something holds no more. Never why a person was right: that is between them and the provider.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "": "it holds",
        "ruled_innocent": "the accounts behind it were ruled innocent",
        "appeal_upheld": "an appeal against a measure that rests on it was right",
        "not_specific": "others carry it too, so it points to nobody",
        "expired": "its time is over",
        "mistake": "it was sent by mistake",
        "replaced": "another one says it better",
    }
)
# Behaviours by the names of the behavioural tests that find them, each with its family. What is said of one is how much
# evidence its test found in a group of accounts: bits of a likelihood ratio, never a count.
BEHAVIOURS: Mapping[str, str] = MappingProxyType(
    {
        "anticorrelation": "pacing",
        "coverage_uniformity": "coverage",
        "elicitation": "harvest",
        "fixed_order": "order",
        "individuality": "individuality",
        "load_balance": "load",
        "regularity": "pacing",
        "release": "reaction",
        "replenishment": "lifecycle",
        "sampling": "harvest",
        "single_turn": "harvest",
        "under_dispersion": "work_partition",
        "work_partition": "work_partition",
    }
)
BITS = "_bits"
THRESHOLDS = ("1", "2", "4", "8")
# Steps of the life of accounts, in days; a range is two neighbours or more of the ladder.
TIMINGS: Mapping[str, str] = MappingProxyType(
    {
        "signup_to_first_use_days": "from sign-up to the first request",
        "active_days": "from the first request to the last",
        "ban_to_replacement_days": "from a ban to the first request of a new account",
        "release_to_first_use_days": "from the release of a model to the first request of it",
    }
)
DAYS = (0, 1, 3, 7, 14, 30, 90, 180, 365)
# Ids of our own for what MITRE ATLAS has no place for.
GAPS: Mapping[str, str] = MappingProxyType(
    {
        "CW-A01": "Silent relay: requests of one's own users are sent on, and the answer is shown as one's own",
        "CW-A02": "Signature replay: signed reasoning is redeemed in sessions that it was not issued in",
        "CW-A03": "Transcript purchase: exchanges are bought from others, outside the provider's sight",
        "CW-A04": "Shell-company proxy: a firm that seems unrelated sells access and collects what passes",
        "CW-A05": "Release-day re-targeting: a group turns to a new model within a day of its release",
    }
)
# Ids of MITRE ATLAS 5.6.0 that fit extraction by accounts; a test compares them with the pinned catalogue.
ATLAS = frozenset(
    {
        "AML.T0005.001",
        "AML.T0008.005",
        "AML.T0012",
        "AML.T0021",
        "AML.T0024.002",
        "AML.T0040",
        "AML.T0042",
        "AML.T0048.004",
        "AML.T0051",
        "AML.T0054",
        "AML.T0057",
        "AML.T0065",
    }
)
# Confidence in steps: a finer figure would claim what nobody measured.
CONFIDENCE_STEP = 5


def timing(name: str, low: float, high: float) -> str:
    """A range of days, widened to the ladder: its value as an indicator.

    >>> timing("active_days", 4.2, 11.0)
    'active_days:3-14'
    """
    below = max((day for day in DAYS if day <= low), default=0)
    above = min((day for day in DAYS if day >= high and day > below), default=DAYS[-1])
    return f"{name}:{below}-{above}"


def behaviour(test: str, bits: float) -> str:
    """A behaviour with the largest threshold that its evidence reaches; empty for one that has no place here.

    >>> behaviour("single_turn", 3.7), behaviour("single_turn", 0.1)
    ('single_turn_bits>=2', '')
    """
    reached = [step for step in THRESHOLDS if bits >= float(step)]
    return f"{test}{BITS}>={reached[-1]}" if reached and test in BEHAVIOURS else ""
