"""Blinded sightings: what a provider says of a group of its own that shares matched values with a peer's group.

Nothing of accounts or volumes is in one: two calendar weeks, whether measures ended it, kinds of evidence, and a bound
on its p-value. It is said only to a peer who names several values of the same group, on enough accounts. That floor
is kept by the holder, whoever asks.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

import msgspec

from clonewatch.sharing.matching.epoch import Epoch
from clonewatch.sharing.matching.messages import RefusedError
from clonewatch.sharing.matching.values import ELEMENT_BYTES, KINDS, PERSONAL, Held

# One value in common says nothing: a resold card, a shared machine, a mistaken fingerprint.
LEAST_ELEMENTS = 2
MOST_ELEMENTS, MOST_SIGHTINGS = 500, 20
# A p-value is told as the next of these, never below it, so that what is told is a p-value too.
P_BANDS = (0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
_ELEMENT = re.compile(rf"[0-9a-f]{{{2 * ELEMENT_BYTES}}}")
_WEEK = re.compile(r"\d{4}-W(?:0[1-9]|[1-4]\d|5[0-3])")
_ID = re.compile(r"[0-9a-f]{16}")
_FAMILY = re.compile(r"[a-z_]{1,40}")


class Group(NamedTuple):
    """A group of a result. p: its conformal p-value; 1 where it has none. ended: measures ended most of its accounts.

    first, last: of its exchanges.
    """

    id: str
    accounts: frozenset[str]
    first: date
    last: date
    ended: bool
    p: float
    families: tuple[str, ...]


class Sighting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a group. id: another one for each peer and epoch. first, last: ISO weeks, `2026-W21`.

    ended: `measure` where the holder's own measures ended it. p: upper bound of `P_BANDS`. families: kinds of evidence.
    """

    id: str
    first: str
    last: str
    ended: Literal["", "measure"]
    p: float
    families: tuple[str, ...]

    def fault(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if not _ID.fullmatch(self.id) or not all(map(_FAMILY.fullmatch, self.families)) or len(self.families) > 30:
            return "its id or its families are malformed"
        if monday(self.first) is None or monday(self.last) is None or self.first > self.last:
            return "its weeks are no two weeks in order, as 2026-W21"
        return "" if self.p in P_BANDS else f"its p is none of {', '.join(map(str, P_BANDS))}"


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked: elements that matched, by kind, and what the asker saw of the group that carries them."""

    elements: dict[str, tuple[str, ...]]
    sighting: Sighting


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the holder saw; empty where too few of its accounts carry what was named."""

    sightings: tuple[Sighting, ...]


class Met(NamedTuple):
    """A group here and what a peer says of one of its own."""

    peer: str
    group: str
    ours: Sighting
    theirs: Sighting


def question(body: bytes) -> Question:
    """A question as it came. Raises RefusedError."""
    try:
        told = msgspec.json.decode(body, type=Question)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RefusedError(400, f"this is no question about a sighting: {str(error)[:200]}") from None
    if unknown := sorted(set(told.elements) - set(KINDS)):
        raise RefusedError(400, f"there is no kind {unknown[0][:40]!r}; there are {', '.join(KINDS)}")
    named = [element for held in told.elements.values() for element in held]
    if not 0 < len(named) <= MOST_ELEMENTS or not all(map(_ELEMENT.fullmatch, named)):
        raise RefusedError(400, f"a question names 1 to {MOST_ELEMENTS} elements of {2 * ELEMENT_BYTES} digits")
    if what := told.sighting.fault():
        raise RefusedError(400, what)
    return told


def reply(body: bytes) -> Reply:
    """A holder's reply. Raises ValueError that says what is wrong."""
    try:
        told = msgspec.json.decode(body, type=Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"this is no reply about sightings: {str(error)[:200]}") from None
    if len(told.sightings) > MOST_SIGHTINGS:
        raise ValueError(f"a reply has at most {MOST_SIGHTINGS} sightings")
    if what := next(filter(None, (one.fault() for one in told.sightings)), ""):
        raise ValueError(what)
    return told


def week(day: date) -> str:
    """The ISO week of a day.

    >>> week(date(2027, 1, 1))
    '2026-W53'
    """
    year, number, _ = day.isocalendar()
    return f"{year}-W{number:02}"


def monday(text: str) -> date | None:
    """The first day of an ISO week; None for a text that is none.

    >>> monday("2026-W53"), monday("2025-W53")
    (datetime.date(2026, 12, 28), None)
    """
    if not _WEEK.fullmatch(text):
        return None
    try:
        return date.fromisocalendar(int(text[:4]), int(text[6:]), 1)
    except ValueError:  # a year without that week
        return None


def banded(p: float) -> float:
    """The next of `P_BANDS` from a p-value up.

    >>> banded(0.0072), banded(0.0)
    (0.01, 0.001)
    """
    return P_BANDS[min(bisect_left(P_BANDS, p), len(P_BANDS) - 1)]


class Seen:
    """Groups of one provider with the elements that are their own. remember: is told what peers said."""

    def __init__(
        self,
        epoch: Epoch,
        held: Held,
        groups: Sequence[Group],
        remember: Callable[[Sequence[Met]], None] = lambda _: None,
    ) -> None:
        self.groups = {group.id: group for group in groups}
        self._epoch, self._remember = epoch, remember
        self._own = _own_elements(held, groups)
        self._place = {key: name for name, held_by in self._own.items() for key in held_by}

    def held(self) -> Held:
        """Elements that are some group's own, with the accounts of the group that carry them."""
        found: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        for (kind, element), group in sorted(self._place.items()):
            found[kind][element] = self._own[group][kind, element]
        return Held(dict(found), {})

    def sighting(self, group: str, peer: str) -> Sighting:
        """What is said of a group to a peer."""
        held = self.groups[group]
        name = self._epoch.mac("sighting", peer.encode(), group.encode(), *map(str.encode, sorted(held.accounts)))
        ended: Literal["", "measure"] = "measure" if held.ended else ""
        families = tuple(sorted(set(held.families)))
        return Sighting(name[:16], week(held.first), week(held.last), ended, banded(held.p), families)

    def touched(self, matched: Mapping[str, Collection[str]], floor: int) -> dict[str, dict[str, tuple[str, ...]]]:
        """Groups that carry enough of these elements on enough accounts, with those of them."""
        by_group: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for kind, named in matched.items():
            for element in sorted(set(named)):
                if group := self._place.get((kind, element)):
                    by_group[group][kind].append(element)
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for group, kinds in sorted(by_group.items()):
            places = [(kind, element) for kind, held in kinds.items() for element in held]
            carriers = frozenset[str]().union(*(self._own[group][place] for place in places))
            # However many bands of templates match, together they count as one value.
            personal = sum(kind in PERSONAL for kind, _ in places)
            if personal + (personal < len(places)) >= LEAST_ELEMENTS and len(carriers) >= floor:
                found[group] = {kind: tuple(held[:MOST_ELEMENTS]) for kind, held in kinds.items()}
        return found

    def answer(self, told: Question, floor: int, peer: str) -> Reply:
        """What a peer hears, and remember what it said."""
        groups = list(self.touched(told.elements, floor))[:MOST_SIGHTINGS]
        ours = {group: self.sighting(group, peer) for group in groups}
        if ours:
            self._remember([Met(peer, group, said, told.sighting) for group, said in ours.items()])
        return Reply(tuple(ours.values()))


def _own_elements(held: Held, groups: Sequence[Group]) -> dict[str, dict[tuple[str, str], frozenset[str]]]:
    """Elements that accounts of exactly one group carry, and mostly they: what many use belongs to nobody."""
    group_of: dict[str, str] = {account: group.id for group in groups for account in sorted(group.accounts)}
    own: dict[str, dict[tuple[str, str], frozenset[str]]] = defaultdict(dict)
    for kind, elements in held.accounts.items():
        for element, accounts in elements.items():
            inside = frozenset(account for account in accounts if account in group_of)
            named = {group_of[account] for account in inside}
            if len(named) == 1 and 2 * len(inside) > len(accounts):
                own[named.pop()][kind, element] = inside
    return dict(own)
