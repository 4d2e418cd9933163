"""Slice-only throttle: limit the requests that carry an attribute of the campaign, and serve all others as before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonewatch_gateway.actions.budget import MINUTE, TOO_MANY
from clonewatch_gateway.decisions import Action, Effect, Entry, Facts, positive

_LIMIT = "tokens_per_minute"


def _faults(bound: Mapping[str, Any]) -> str:
    return positive(bound, _LIMIT)


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    if not entry.slice or entry.slice.isdisjoint(facts.attributes):
        # A gateway that computes no fingerprints cannot tell: then the request is served.
        return Effect("outside_slice" if facts.attributes else "slice_unknown")
    counter = f"{entry.campaign}/slice"
    if facts.spent.get(counter, 0.0) + facts.tokens <= entry.bound[_LIMIT]:
        return Effect("within_slice_limit", 0, True, 0, (), counter)
    return Effect("slice_limit", TOO_MANY, True, MINUTE - int(now) % MINUTE)


ACTION = Action("throttle_slice", 6, 1, _faults, _act)
