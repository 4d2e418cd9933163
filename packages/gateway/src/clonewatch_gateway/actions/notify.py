"""Serve the request, and tell the client that the account is under review, for what reason, and where to appeal."""

from __future__ import annotations

from clonewatch_gateway.decisions import Action, Effect, Entry, Facts, no_bound


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    return Effect(entry.reason, told=True)


ACTION = Action("notify", 1, 1, no_bound, _act)
