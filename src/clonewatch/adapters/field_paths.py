"""Looks up the fields that a map names: a key as written, or dots into objects, lists and JSON in text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from clonewatch.adapters.placeholders import is_nobody

ABSENT = "-"  # how access logs write "nothing"
_OR = " | "
_MOST_EMBEDDED = 1 << 20  # maximum bytes of JSON in text that a path steps into
_decode = msgspec.json.Decoder().decode


def alternatives(spec: str) -> list[tuple[str, tuple[str, ...]]]:
    """The fields that a specification names, in order: each as written and as the steps of a path."""
    return [(choice, tuple(choice.split("."))) for choice in spec.split(_OR)]


def is_key(spec: str) -> bool:
    """Whether a specification names one key, without a step or an alternative."""
    return "." not in spec and _OR not in spec


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or value == ABSENT


_NOT_GIVEN: dict[bool, Callable[[object], bool]] = {False: _is_nothing, True: is_nobody}


def finder(spec: str) -> Callable[[Mapping[str, object]], Any]:
    """A function that looks up a field in a row: a key as written, or dots into objects, lists and JSON in text.

    " | " separates alternatives: the first one present counts.

    >>> find = finder("user.id | user_id")
    >>> find({"user": {"id": 7}}), find({"user_id": 8}), find({"user": '{"id": 9}'}), find({})
    (7, 8, 9, None)
    """
    choices = alternatives(spec)
    if len(choices) == 1 and len(choices[0][1]) == 1:
        key = choices[0][0]
        return lambda row: row.get(key)

    def find(row: Mapping[str, object]) -> object:
        for literal, path in choices:
            value = row.get(literal)
            if value is None and len(path) > 1:
                value = _step(row, path)
            if not _is_nothing(value):
                return value
        return None

    return find


def found_in(rows: Sequence[Mapping[str, object]], keys: set[str], spec: str, nobody: bool) -> list[object]:
    """The same for all rows at once, which is faster.

    keys: those of all rows. nobody: whether words for nobody are as good as absent.

    >>> found_in([{"a": {"b": 7}, "c": ""}, {"c": 8}], {"a", "c"}, "c | a.b", False)
    [7, 8]
    """
    choices = alternatives(spec)
    only = len(choices) == 1
    values: list[object] = []
    for literal, path in choices:
        if literal not in keys and (len(path) == 1 or path[0] not in keys):
            continue
        more: list[object] = [row.get(literal) for row in rows] if literal in keys else []
        if len(path) > 1:
            below = _column(rows, path)
            more = [b if value is None else value for value, b in zip(more, below, strict=True)] if more else below
        elif only:
            return more
        values = first_given(values, more, nobody) if values else more
        if not lacks(values, nobody):
            return values
    absent = _NOT_GIVEN[nobody]
    return [None if absent(value) else value for value in values] or [None] * len(rows)


def first_given(values: list[object], more: list[object], nobody: bool) -> list[object]:
    """Values, and those of `more` where they are as good as absent."""
    absent = _NOT_GIVEN[nobody]
    return [m if absent(v) else v for v, m in zip(values, more, strict=True)]


def lacks(values: list[object], nobody: bool) -> bool:
    """Whether some value is as good as absent: a question that is asked of every column, so it is quick."""
    if not nobody:
        return None in values or "" in values or ABSENT in values
    try:
        return any(map(is_nobody, set(values)))
    except TypeError:  # lists and objects among them
        return True


def _named(pairs: list[object], name: str) -> object:
    """The value of a name in a list of objects with names and values, as headers, tags and attributes are written."""
    for pair in pairs:
        if isinstance(pair, dict) and "value" in pair and name in (pair.get("name"), pair.get("key")):
            return pair["value"]
    return None


def _column(rows: Sequence[Mapping[str, object]], path: tuple[str, ...]) -> list[object]:
    """A path in all rows; JSON in text is decoded for one row at a time."""
    values: Iterator[object] = (row.get(path[0]) for row in rows)
    for key in path[1:]:
        values = _into(values, key)
    return list(values)


def _into(values: Iterator[Any], key: str) -> Iterator[object]:
    """One step in all rows: nearly all lead into objects."""
    return (v.get(key) if v.__class__ is dict else None if v is None else _below(v, key) for v in values)


def _step(row: object, path: tuple[str, ...]) -> object:
    for key in path:
        row = _below(row, key)
    return row


def _below(value: object, key: str) -> object:
    """One step into an object, a list, or JSON in text; None where there is nothing."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= _MOST_EMBEDDED:
        try:
            value = _decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None  # text that only looks like JSON has no fields
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list):
        return value[int(key)] if key.isdigit() and int(key[:9]) < len(value) else _named(value, key)
    return None
