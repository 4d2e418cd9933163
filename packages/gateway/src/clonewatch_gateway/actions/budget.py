"""Campaign budget: tokens a minute that all accounts of one inferred campaign share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonewatch_gateway.decisions import Action, Effect, Entry, Facts, positive

TOO_MANY = 429
MINUTE = 60
_LIMIT = "tokens_per_minute"


def _faults(bound: Mapping[str, Any]) -> str:
    return positive(bound, _LIMIT)


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    spent = facts.spent.get(entry.campaign, 0.0)
    if spent + facts.tokens <= entry.bound[_LIMIT]:
        return Effect("within_budget", 0, True, 0, (), entry.campaign)
    # In a sliding minute there is room again when enough of it has passed; a whole minute is always enough.
    return Effect("budget_spent", TOO_MANY, True, MINUTE - int(now) % MINUTE)


ACTION = Action("budget", 3, 1, _faults, _act)
