"""Step-up verification: refuse until the holder has passed a further check, then serve as before."""

from __future__ import annotations

from clonewatch_gateway.decisions import Action, Effect, Entry, Facts, no_bound

FORBIDDEN = 403


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    if facts.verified_at >= entry.since:
        return Effect("verified_since")
    return Effect("verification_required", FORBIDDEN, told=True)


ACTION = Action("verify", 2, 1, no_bound, _act)
