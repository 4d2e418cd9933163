"""Record, and do nothing."""

from __future__ import annotations

from clonewatch_gateway.decisions import OBSERVE, Action, Effect, Entry, Facts, no_bound


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    return Effect(entry.reason)


ACTION = Action(OBSERVE, 0, 0, no_bound, _act)
