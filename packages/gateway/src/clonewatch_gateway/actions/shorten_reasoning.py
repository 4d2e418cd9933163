"""Allow less reasoning for an answer, and say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonewatch_gateway.decisions import Action, Change, Effect, Entry, Facts, positive

_LIMIT = "reasoning_tokens"
LOW = "low"


def _faults(bound: Mapping[str, Any]) -> str:
    return positive(bound, _LIMIT)


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    most = entry.bound[_LIMIT]
    changes = (
        Change(("reasoning_effort",), "lower", LOW),
        Change(("reasoning", "effort"), "lower", LOW),
        Change(("thinking", "budget_tokens"), "cap", most),
        Change(("generationConfig", "thinkingConfig", "thinkingBudget"), "cap", most),
    )
    return Effect(entry.reason, told=True, changes=changes)


ACTION = Action("shorten_reasoning", 5, 1, _faults, _act)
