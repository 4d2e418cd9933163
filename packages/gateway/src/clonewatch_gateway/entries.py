"""What a watch list says of its accounts, as values that are checked: what is incomplete may not act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clonewatch_gateway.decisions import Entry
from clonewatch_gateway.known_actions import ACTIONS
from clonewatch_gateway.refusal import DAMAGED, Refused

NOTICE, SIMULATED = "account-notice", "shadow"
INCOMPLETE = "incomplete_decision"
MODES = ("enforce", SIMULATED)
_TEXTS = ("action", "reason", "case", "campaign", "mode", "appeal")
_TIMES = ("since", "expires", "ends")
_LISTS = ("approved_by", "slice")
_NAMES = frozenset((*_TEXTS, *_TIMES, *_LISTS, "bound"))
_MOST_TEXT = 400
_MOST_TIME = 1 << 40
_LAST = 253402300799  # the last second of the year 9999


def entry(held: Mapping[str, Any]) -> Entry:
    """One entry of a list. Raises Refused for one that is none; one that is incomplete gets a fault and may not act."""
    if not isinstance(held, dict) or set(held) != _NAMES:
        raise Refused(DAMAGED, "an entry of the list lacks a name, or has one too many")
    if not all(_is_plain(held[name]) for name in _TEXTS) or held["mode"] not in MODES:
        raise Refused(DAMAGED, "an entry of the list holds what is no plain text")
    if not all(type(held[name]) is int and 0 <= held[name] < _MOST_TIME for name in _TIMES):
        raise Refused(DAMAGED, "an entry of the list holds what is no time")
    if not all(isinstance(held[name], list) and all(map(_is_plain, held[name])) for name in _LISTS):
        raise Refused(DAMAGED, "an entry of the list holds what is no list of plain texts")
    if not isinstance(held["bound"], dict):
        raise Refused(DAMAGED, "an entry of the list holds a bound that is none")
    made = Entry(
        action=ACTIONS.get(held["action"]),
        named=held["action"],
        reason=held["reason"],
        case=held["case"],
        campaign=held["campaign"],
        enforce=held["mode"] == "enforce",
        bound=held["bound"],
        approved_by=tuple(held["approved_by"]),
        since=held["since"],
        expires=held["expires"],
        ends=held["ends"],
        appeal=held["appeal"],
        slice=frozenset(held["slice"]),
    )
    lacking = faults(made)
    return made._replace(fault=INCOMPLETE if lacking else "", told=_told(made))


def faults(made: Entry) -> list[str]:
    """Why an entry may not act: what is wrong with its bound and, if it enforces, what it lacks."""
    action = made.action
    if action is None:
        return []
    found = [wrong] if (wrong := action.faults(made.bound)) else []
    if action.rank and not made.campaign:
        found.append("it names no campaign")
    if made.enforce and action.rank:
        persons = len({name.strip().casefold() for name in made.approved_by} - {""})
        if persons < action.persons:
            found.append(f"{action.persons} persons approve it, and it names {persons}")
        found += [f"it has no {what}" for what in ("reason", "case", "appeal") if not getattr(made, what)]
        if not made.expires or made.expires > made.ends:
            found.append("it never expires, or only after its end")
    return found


def _told(made: Entry) -> tuple[tuple[str, str], ...]:
    """The header of a notice, as a structured field (RFC 9651): what is done, why, until when, and where to appeal."""
    until = f"{datetime.fromtimestamp(min(made.ends, _LAST), UTC):%Y-%m-%dT%H:%M:%SZ}"
    parts = {"reason": made.reason, "case": made.case, "until": until, "appeal": made.appeal}
    return ((NOTICE, "; ".join([made.named, *(f'{name}="{value}"' for name, value in parts.items())])),)


def _is_plain(value: object) -> bool:
    """Whether this can stand in a header: printable ASCII without quotation marks and backslashes."""
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        return False
    return value.isascii() and (not value or value.isprintable()) and '"' not in value and "\\" not in value
