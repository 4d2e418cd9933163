"""Watches what a field map finds in a file, so that a misspelt path or a condition that nothing meets is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

from clonewatch.adapters.field_rules import Chosen, Finder
from clonewatch.ports.mapping import Condition, FieldMap

_KEYS = 200  # of the first rows, of which one may be meant
_ROWS = 20
_DEEPEST = 3


class Watch:
    """What was seen so far of one file."""

    def __init__(self, mapping: FieldMap, finder: Finder) -> None:
        self._where = mapping.where
        self._rows = self._left_out = 0
        self._met = [0] * len(mapping.where)
        self._keys: dict[str, None] = {}
        # A preset knows several forms of a log, of which a file has one.
        named = {} if mapping.preset else _named(mapping)
        self._absent = {path: (place, finder(path)) for path, place in named.items()}

    def saw(self, given: Sequence[Mapping[str, object]], chosen: Chosen | None) -> None:
        """Some rows as they are in the file, and those that the map chose."""
        rows = chosen.unpacked if chosen is not None else given
        self._rows += len(rows)
        if chosen is not None:
            self._left_out += chosen.left_out
            self._met = [before + now for before, now in zip(self._met, chosen.met, strict=True)]
        for row in islice(rows, _ROWS if len(self._keys) < _KEYS else 0):
            self._keys |= dict.fromkeys(_paths(row))
        for path, (place, find) in list(self._absent.items()):
            there = (find(row) for row in (given if place == "`each`" else rows))
            if any(isinstance(value, list) if place == "`each`" else value is not None for value in there):
                del self._absent[path]

    def sentences(self) -> list[str]:
        """What the reader of the log should know."""
        said = []
        if self._left_out and self._left_out == self._rows:
            said.append(f"all {self._rows:,} rows are left out: {self._why()}")
        elif self._left_out:
            said.append(f"{self._left_out:,} rows are left out, as [where] in the field map says")
        for path, (place, _) in self._absent.items() if self._rows else ():
            kind = "a list at" if place == "`each`" else "a value at"
            said.append(f"no row has {kind} {path!r}, which {place} of the field map names{self._meant(path)}")
        return said

    def _why(self) -> str:
        """Which condition no row meets."""
        never = [one for one, met in zip(self._where, self._met, strict=True) if not met]
        if not never:
            return f"none meets all conditions of [where] ({', '.join(one.field for one in self._where)})"
        return f"none meets {' or '.join(map(_in_words, never))} of [where]"

    def _meant(self, path: str) -> str:
        near = get_close_matches(path, self._keys, 1, 0.6)
        return f"; did you mean {near[0]!r}?" if near else ""


def _named(mapping: FieldMap) -> dict[str, str]:
    """The paths that a map names beside those of columns, and where."""
    named = {condition.field: "[where]" for condition in mapping.where}
    named |= {rule.minus: "`minus`" for rule in mapping.rules.values() if rule.minus}
    return named | ({mapping.each: "`each`"} if mapping.each else {})


def _in_words(condition: Condition) -> str:
    """A condition as the map writes it.

    >>> _in_words(Condition("type", frozenset(("llm",)))), _in_words(Condition("id", None))
    ("type = 'llm'", 'id = {present = true}')
    """
    if condition.values is None:
        return f"{condition.field} = {{present = {str(condition.wanted).lower()}}}"
    values = " or ".join(repr(value) for value in sorted(condition.values))
    return f"{condition.field} = {values}" if condition.wanted else f"{condition.field} = {{not = {values}}}"


def _paths(row: Mapping[str, object], above: str = "", depth: int = 1) -> list[str]:
    found: list[str] = []
    for key, value in row.items():
        path = f"{above}.{key}" if above else str(key)
        found.append(path)
        if isinstance(value, dict) and depth < _DEEPEST:
            found += _paths(value, path, depth + 1)
    return found
