"""How far a log can get: which families of evidence its signals can give, and which of them a flag needs."""

from __future__ import annotations

from collections.abc import Set
from math import ceil, log2
from typing import Any

from clonewatch.campaigns.fusion import LEAST_FAMILIES, LINK_BITS
from clonewatch.pipeline.detection.signals import behavioural_tests, linking_signals
from clonewatch.ports.behaviour import BehaviouralTest, Dealing

# The one family that only ever counts against a group.
_AGAINST = "trust"


def reach(works: Set[str], marked: bool) -> dict[str, Any]:
    """What the signals that work can show together.

    works: their names. marked: accounts are marked as trusted; else trust is inferred from behaviour, and tests that
    measure what it is inferred from do not count.

    Returns `tests` and `links` (families that can count), `needed` (families of tests that a flag needs), `enough`
    (whether a flag is possible at all, also with the fewer families that it takes where nobody is trusted),
    `deceptive_links` (signals whose link is deceptive by itself) and `deceptive_tests` (whether behaviour can show it).
    """
    working = [test for name, test in behavioural_tests(topics=True).items() if name in works]
    usable = [test for test in working if marked or not test.confounded]
    links = [link for name, link in linking_signals().items() if name in works]
    families = _counting(usable)
    needed = LEAST_FAMILIES["declared" if marked else "behaviour"]
    unknown = not marked and len(_counting(working)) >= LEAST_FAMILIES["none"]
    dealings = {t.dealing for t in usable if t.dealing}
    return {
        "tests": sorted(families),
        "links": sorted({link.signal.card.family for link in links}),
        "needed": needed,
        "enough": len(families) >= needed or unknown,
        "deceptive_links": sorted(link.signal.name for link in links if link.deceptive),
        "deceptive_tests": any(t.deceptive for t in usable) or dealings == set(Dealing),
    }


def _counting(tests: list[BehaviouralTest]) -> set[str]:
    """Families of tests that can count: a test that only supports others does so beside a test of purpose."""
    families = {test.signal.card.family for test in tests if not test.supporting} - {_AGAINST}
    if any(test.dealing is Dealing.PURPOSE for test in tests):
        families |= {test.signal.card.family for test in tests if test.supporting}
    return families


def least_ring(trusted_share: float) -> int | None:
    """The fewest accounts that one shared thing links well enough for a flag; None where nobody is trusted.

    trusted_share: trusted accounts, 0..1 of all. A thing that n accounts share and nobody who is trusted weighs at most
    n log2(1/(1 - share)) bits, however firm the tie. Accounts that share several kinds of things need fewer.

    >>> least_ring(0.2), least_ring(0.05), least_ring(0.0)
    (31, 135, None)
    """
    return ceil(LINK_BITS / -log2(1 - trusted_share)) if 0 < trusted_share < 1 else None
