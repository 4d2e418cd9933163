"""Refuse every request of the account, by two persons, for a stated time."""

from __future__ import annotations

from clonewatch_gateway.decisions import Action, Effect, Entry, Facts, no_bound

FORBIDDEN = 403


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    return Effect(entry.reason, FORBIDDEN, told=True)


ACTION = Action("suspend", 7, 2, no_bound, _act)
