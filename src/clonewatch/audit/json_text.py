"""JSON as the audit writes and reads it: one canonical text per object, and nothing ambiguous on the way in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

# Levels: nothing that an audit writes has ten.
_DEEPEST = 100


def canonical(told: Mapping[str, object]) -> bytes:
    """The canonical text of a JSON object: keys sorted, no spaces, ASCII.

    >>> canonical({"b": 1, "a": [True]})
    b'{"a":[true],"b":1}'
    """
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest_of(told: Mapping[str, object] | bytes) -> str:
    """SHA-256 of bytes, or of the canonical text of an object, in hex."""
    return hashlib.sha256(told if isinstance(told, bytes) else canonical(told)).hexdigest()


def parsed(text: bytes | str) -> Any:
    """A JSON value in UTF-8. Raises ValueError if readers could disagree about it, or if it is no JSON.

    Refused are a key that occurs twice in an object, NaN, Infinity, numbers beyond a double, and half a character (a
    lone surrogate).

    >>> parsed('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' occurs twice
    """
    told = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        value = json.loads(told, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(value)
    if "\\ud" in told or "\\uD" in told:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _check_depth(value: Any) -> None:
    """Raise ValueError for nesting that only some readers and writers follow."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return told


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is beyond the range of a double")
    return value
