"""One campaign as several providers saw it: sightings of the same group put together, in weeks, without accounts.

Each provider brings a p-value of its own: how often groups of honest logs look as suspicious there. Two of them are
combined by Fisher's method (1932), which holds if they are independent where nobody is covert. The same honest customer
may be at both providers and look odd at both, and then they are not; so what comes of this is never a flag. It says
which groups people look at next, on both sides, and says the bound that holds under any dependence beside it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from clonewatch.sharing.matching.sightings import Met, Sighting, monday

US = "us"
# Of the joint campaigns that are raised for review, how many may be nothing, by Benjamini and Hochberg (1995).
FALSE_JOINS = 0.05
# An operator that moves is back within weeks; later is not called a hop.
_LONGEST_GAP = 8


class Hop(NamedTuple):
    """Seen last at one provider, then first at another. weeks: between the two, a range. after_measure: ended there."""

    source: str
    target: str
    last_seen: str
    first_seen: str
    weeks: tuple[int, int]
    after_measure: bool


class Joint(NamedTuple):
    """A campaign over several providers. groups: of ours. seen: what each provider says, by name.

    p: of Fisher's method, if the providers' p-values are independent; p_any: bound under any dependence. review: raised
    for people to look at. families: kinds of evidence that anybody has.
    """

    groups: tuple[str, ...]
    seen: Mapping[str, tuple[Sighting, ...]]
    p: float
    p_any: float
    review: bool
    families: tuple[str, ...]
    hops: tuple[Hop, ...]


def joined(met: Iterable[Met], q: float = FALSE_JOINS) -> list[Joint]:
    """Campaigns over two or more providers, the least p first. Groups of ours that one sighting joins are one."""
    parts = _connected(list(met))
    views = [_view(part) for part in parts]
    order = sorted(range(len(views)), key=lambda i: (views[i].p, views[i].groups))
    most = max((k for k, i in enumerate(order, 1) if views[i].p <= q * k / len(views)), default=0)
    return [views[i]._replace(review=place < most) for place, i in enumerate(order)]


def fisher(values: Sequence[float]) -> float:
    """The p-value of independent p-values together: the tail of chi-squared with two degrees of freedom for each.

    >>> round(fisher([0.02, 0.05]), 4), fisher([0.3])
    (0.0079, 0.3)
    """
    if len(values) == 1:
        return values[0]
    half = -sum(math.log(value) for value in values)
    total = math.fsum(half**i / math.factorial(i) for i in range(len(values)))
    return min(1.0, math.exp(-half) * total)


def _view(met: Sequence[Met]) -> Joint:
    seen: dict[str, dict[str, Sighting]] = defaultdict(dict)
    for one in met:
        seen[US][one.ours.id] = one.ours
        seen[one.peer][one.theirs.id] = one.theirs
    told = {name: tuple(sorted(held.values(), key=lambda s: (s.first, s.id))) for name, held in sorted(seen.items())}
    # Of several groups of one provider the least p counts as often as there are groups (Bonferroni).
    each = [min(1.0, len(held) * min(one.p for one in held)) for held in told.values()]
    families = tuple(sorted({family for held in told.values() for one in held for family in one.families}))
    groups = tuple(sorted({one.group for one in met}))
    return Joint(groups, told, fisher(each), min(1.0, len(each) * min(each)), False, families, tuple(_hops(told)))


def _hops(seen: Mapping[str, Sequence[Sighting]]) -> Iterable[Hop]:
    """Where a campaign was last seen before it was first seen elsewhere; the same week counts."""
    for source, left in seen.items():
        last = max(left, key=lambda one: (one.last, one.id))
        for target, right in seen.items():
            first = min(right, key=lambda one: (one.first, one.id))
            if source == target or first.first < last.last or first.first <= min(one.first for one in left):
                continue
            began, ended = monday(first.first), monday(last.last)
            apart = (began - ended).days // 7 if began and ended else _LONGEST_GAP + 1
            if apart <= _LONGEST_GAP:
                # Weeks are told, not days: two neighbouring weeks may be one day apart, or thirteen.
                weeks = (max(0, apart - 1), apart + 1)
                yield Hop(source, target, last.last, first.first, weeks, last.ended == "measure")


def _connected(met: Sequence[Met]) -> list[list[Met]]:
    """Meetings that share a group of ours or one of a peer."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def head(node: tuple[str, str]) -> tuple[str, str]:
        while (above := parent.setdefault(node, node)) != node:
            node = above
        return node

    for one in met:
        parent[head((one.peer, one.theirs.id))] = head(("", one.group))
    parts: dict[tuple[str, str], list[Met]] = defaultdict(list)
    for one in met:
        parts[head(("", one.group))].append(one)
    return list(parts.values())
