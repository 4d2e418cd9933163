"""Looks up the fields that a map names: a key as written, or dots into objects, lists and JSON in text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        more: list[object] = [row.get(literal) for row in rows]
        if len(path) > 1:
            more = [_step(row, path) if value is None else value for row, value in zip(rows, more, strict=True)]
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


def _step(row: object, path: tuple[str, ...]) -> object:
    for key in path:
        if isinstance(row, str) and row[:1] in ("{", "[") and len(row) <= _MOST_EMBEDDED:
            try:
                row = _decode(row)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return None  # text that only looks like JSON has no fields
        if isinstance(row, dict):
            row = row.get(key)
        elif isinstance(row, list):
            row = row[int(key)] if key.isdigit() and int(key[:9]) < len(row) else _named(row, key)
        else:
            return None
    return row
