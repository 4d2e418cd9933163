"""The values of a decision: what is known of a request, what an action does to it, and what was decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

OBSERVE = "observe"
_NOTHING: Mapping[str, float] = {}


class Facts(NamedTuple):
    """What a gateway knows of a request. Everything may be left out; a missing fact never makes a decision harder.

    tokens: that the request may use, in and out. attributes: keyed attributes of the request, each `signal:hex`, if
    something computes fingerprints in front of the gateway. verified_at: when the holder last passed a further check,
    in seconds since 1970. spent: what each counter holds for the last minute (`counters.Minutes.view`).
    """

    tokens: int = 0
    attributes: frozenset[str] = frozenset()
    verified_at: float = 0.0
    spent: Mapping[str, float] = _NOTHING


class Change(NamedTuple):
    """A change of a request's JSON body. path: keys from the top. how: `remove`, `without`, `cap` or `lower`.

    `without` takes a value out of a list, `lower` is for efforts in words. All of them change only what is there:
    nothing is added to a request.
    """

    path: tuple[str, ...]
    how: str = "remove"
    value: Any = None


class Effect(NamedTuple):
    """What an action does to one request. status: the HTTP status of a refusal; 0 where it is served.

    told: whether the client is told. charge: counter to which the tokens of the request are added.
    """

    reason: str
    status: int = 0
    told: bool = False
    retry_after: int = 0
    changes: tuple[Change, ...] = ()
    charge: str = ""


class Entry(NamedTuple):
    """What a watch list says of some accounts. bound: limits of the action.

    since, expires, ends: seconds since 1970; it lapses at `expires` unless it is renewed, which goes on until `ends`.

    action: None where this version does not know it. enforce: false in shadow. fault: why it may not act; empty if it
    may. told: the headers that tell a client. slice: attributes of which a request of the campaign carries one.
    """

    action: Action | None
    named: str
    reason: str
    case: str
    campaign: str
    enforce: bool
    bound: Mapping[str, Any]
    approved_by: tuple[str, ...]
    since: int
    expires: int
    ends: int
    appeal: str
    slice: frozenset[str]
    fault: str = ""
    told: tuple[tuple[str, str], ...] = ()


class Action(NamedTuple):
    """One action, in a file of its own. rank: the mildest is 0. persons: how many approve it before it may act.

    faults: what is wrong with a bound, empty for nothing. act: what it does to a request, by entry, facts and time.
    """

    name: str
    rank: int
    persons: int
    faults: Callable[[Mapping[str, Any]], str]
    act: Callable[[Entry, Facts, float], Effect]


class Decision(NamedTuple):
    """What was decided about a request.

    action: what the list asks for; `observe` where nothing is done. reason: a code. case: to which a holder refers.
    expiry: when it lapses, in seconds since 1970; 0 for never. origin: list and serial number that it rests on.
    simulated: it is only recorded; then there are no headers, status and changes to carry out. headers: for the answer
    to the client. status: with which the request is refused; 0 where it is served. changes: of the request's body.
    charge: counter to which the tokens of the request are added, simulated or not. would: the status, as if enforced.
    """

    action: str
    reason: str
    case: str
    expiry: int
    origin: str
    simulated: bool
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 0
    changes: tuple[Change, ...] = ()
    charge: str = ""
    would: int = 0


def no_bound(bound: Mapping[str, Any]) -> str:
    """The check of an action that takes no bound."""
    return f"it takes no bound, and got {', '.join(sorted(bound))}" if bound else ""


def positive(bound: Mapping[str, Any], *names: str) -> str:
    """The check of an action whose bound is exactly these whole numbers above zero.

    >>> positive({"tokens_per_minute": 0}, "tokens_per_minute")
    'tokens_per_minute is no whole number above zero'
    """
    if set(bound) != set(names):
        return f"its bound is {' and '.join(names)}"
    wrong = [n for n in names if isinstance(bound[n], bool) or not isinstance(bound[n], int) or bound[n] < 1]
    return f"{wrong[0]} is no whole number above zero" if wrong else ""
