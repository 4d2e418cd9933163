"""When a later scan has the same evidence on a group as one that was ruled on, and what is new where it has not."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

# The same accounts: at least this share of a group's are among those ruled on. A class that two pupils join is the
# same; a pool that its operator doubles is not.
COVERED = 0.75
# More evidence: odds that are higher by this much, in bits: four times those ruled on. Windows of the same conduct
# differ by less.
MORE_BITS = 2.0
# What a ruling holds for: the evidence that it was given on, or whatever these accounts do.
EVIDENCE, ACCOUNTS = "evidence", "accounts"
SCOPES = (EVIDENCE, ACCOUNTS)


class Basis(NamedTuple):
    """The evidence on a group. families: of links and tests that count. odds_bits: without answers; None: unknown."""

    accounts: Set[str]
    families: Set[str]
    odds_bits: float | None


def news(ruled: Basis, now: Basis, scope: str = EVIDENCE) -> tuple[str, ...]:
    """What a group has that was not there when it was ruled on, in words; empty where the evidence is the same.

    >>> ruled = Basis({"a", "b", "c", "d"}, {"identity"}, 1.0)
    >>> news(ruled, Basis({"a", "b", "c"}, {"identity"}, 2.5))
    ()
    >>> news(ruled, Basis({"a", "b", "c", "d", "e", "f"}, {"identity", "load"}, 3.5))
    ('2 of 6 accounts were not ruled on', 'evidence of another family: load', 'odds higher by 2.5 bits')
    >>> news(ruled, Basis({"a"}, {"identity", "load"}, 3.5), ACCOUNTS)
    ()
    """
    found = []
    new = len(now.accounts - ruled.accounts)
    if len(now.accounts) - new < COVERED * len(now.accounts):
        found.append(f"{new:,} of {len(now.accounts):,} accounts were not ruled on")
    if scope == ACCOUNTS:
        return tuple(found)
    if families := sorted(now.families - ruled.families):
        found.append(
            f"evidence of {'another family' if len(families) == 1 else 'other families'}: {', '.join(families)}"
        )
    if now.odds_bits is not None and ruled.odds_bits is not None and now.odds_bits - ruled.odds_bits > MORE_BITS:
        found.append(f"odds higher by {now.odds_bits - ruled.odds_bits:.1f} bits")
    return tuple(found)
