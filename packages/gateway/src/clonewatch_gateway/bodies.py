"""Changes of a request's JSON body, for actions that allow less instead of refusing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clonewatch_gateway.decisions import Change

# Efforts that are not lowered; any other is one of the higher ones.
_MODEST = ("none", "minimal", "low")


def changed(body: dict[str, Any], changes: Iterable[Change]) -> list[str]:
    """Change a body in place; the names of what was changed.

    >>> body = {"logprobs": True, "thinking": {"budget_tokens": 9000}}
    >>> changed(body, [Change(("logprobs",)), Change(("thinking", "budget_tokens"), "cap", 1024)]), body
    (['logprobs', 'thinking.budget_tokens'], {'thinking': {'budget_tokens': 1024}})
    """
    done = []
    for path, how, value in changes:
        place: Any = body
        for key in path[:-1]:
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict) and path[-1] in place and _change(place, path[-1], how, value):
            done.append(".".join(path))
    return done


def _change(place: dict[str, Any], key: str, how: str, value: Any) -> bool:
    held = place[key]
    if how == "remove":
        del place[key]
        return True
    if how == "without":
        if not isinstance(held, list) or value not in held:
            return False
        place[key] = [one for one in held if one != value]
        return True
    if how == "cap":
        # A negative budget asks for as much as the model likes.
        if isinstance(held, bool) or not isinstance(held, int | float) or 0 <= held <= value:
            return False
    elif held in _MODEST:
        return False
    place[key] = value
    return True
