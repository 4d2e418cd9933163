"""How alike two sets are, and which of one list continues which of another: how a group is recognised later."""

from __future__ import annotations

from collections.abc import Sequence

# Two groups are the same when at least this share of the smaller one's accounts is in both.
SAME = 0.5


def overlap(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of the smaller set that is in both (Szymkiewicz and Simpson's overlap).

    >>> overlap(frozenset("abcd"), frozenset("cdefgh"))
    0.5
    """
    return len(a & b) / max(1, min(len(a), len(b)))


def continued(earlier: Sequence[frozenset[str]], now: Sequence[frozenset[str]]) -> dict[int, int]:
    """Which group of now continues which earlier one: places of now to places of earlier, one to one.

    The pair that is most alike comes first; of equal ones, the earliest of both lists. Below SAME none continues.

    >>> continued([frozenset("ab"), frozenset("cd")], [frozenset("cde"), frozenset("xy")])
    {0: 1}
    """
    alike = ((overlap(a, b), i, j) for i, a in enumerate(earlier) for j, b in enumerate(now))
    pairs = sorted((-share, i, j) for share, i, j in alike if share >= SAME)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in pairs:
        if i not in taken and j not in found:
            found[j] = i
            taken.add(i)
    return found
