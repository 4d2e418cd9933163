"""Bodies: changes of a request's JSON, for actions that allow less instead of refusing, and what an answer used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from clonewatch_gateway.decisions import Change
from clonewatch_gateway.saying import TOKEN_BYTES

MOST_BODY = 4 << 20
# The end of an answer, in which its usage stands.
_TAIL = 4096
_USAGE = re.compile(rb'"(?:completion_tokens|output_tokens|candidatesTokenCount)"\s*:\s*(\d{1,9})')
# Efforts that are not lowered; any other is one of the higher ones.
_MODEST = ("none", "minimal", "low")


def rewritten(data: bytes, changes: Iterable[Change]) -> bytes | None:
    """A request's body with changes, as it came where there is nothing to change; None for what is no JSON object.

    >>> rewritten(b'{"logprobs": true}', [Change(("logprobs",))]), rewritten(b"[]", [])
    (b'{}', None)
    """
    try:
        body = json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    if not changed(body, changes):
        return data
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Usage:
    """Counts the tokens of an answer that passes piece by piece: as it says at its end, else by its length."""

    def __init__(self) -> None:
        self._tail, self._size = b"", 0

    def add(self, part: bytes) -> None:
        """Take the next piece."""
        self._size += len(part)
        self._tail = (self._tail + part[-_TAIL:])[-_TAIL:]

    def tokens(self) -> int:
        """Tokens of what passed so far.

        >>> used = Usage()
        >>> used.add(b'{"usage": {"output_tokens": 700}}')
        >>> used.tokens()
        700
        """
        used = _USAGE.findall(self._tail)
        return int(used[-1]) if used else self._size // TOKEN_BYTES


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
