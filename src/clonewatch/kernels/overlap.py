"""How alike sets are, and which of one list continues which of another: how a group is recognised later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

# Two groups are the same when at least this share of the smaller one's accounts is in both.
SAME = 0.5


def overlaps(earlier: Sequence[frozenset[str]], now: Sequence[frozenset[str]]) -> list[dict[int, float]]:
    """For every set of now, the earlier ones that it shares anything with, by place, and how alike they are, 0..1.

    Alike is the share of the smaller set that is in both (Szymkiewicz and Simpson's overlap).

    >>> overlaps([frozenset("abcd"), frozenset("xy")], [frozenset("cdefgh")])
    [{0: 0.5}]
    """
    holders: dict[str, list[int]] = {}
    for place, held in enumerate(earlier):
        for one in held:
            holders.setdefault(one, []).append(place)
    found = []
    for held in now:
        common = Counter(place for one in held for place in holders.get(one, ()))
        found.append({i: n / min(len(held), len(earlier[i])) for i, n in sorted(common.items())})
    return found


def continued(alike: Sequence[dict[int, float]]) -> dict[int, int]:
    """Which group of now continues which earlier one: places of now to places of earlier, one to one.

    alike: result of `overlaps`. The pair that is most alike comes first; of equal ones, the earliest of both lists.
    Below SAME none continues.

    >>> continued(overlaps([frozenset("ab"), frozenset("cd")], [frozenset("cde"), frozenset("xy")]))
    {0: 1}
    """
    pairs = sorted((-share, i, j) for j, held in enumerate(alike) for i, share in held.items() if share >= SAME)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in pairs:
        if i not in taken and j not in found:
            found[j] = i
            taken.add(i)
    return found
