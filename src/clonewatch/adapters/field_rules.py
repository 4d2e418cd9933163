"""What a field map does beside naming fields: choose rows, unpack lists, and change values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.values import real
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.mapping import Condition, FieldMap, Rule

Find = Callable[[Mapping[str, object]], object]
Finder = Callable[[str], Find]

# Values longer than this are not searched: an id or a name is short.
_LONGEST_SEARCHED = 4096
_LONGEST_PATTERN = 256
MOST_ITEMS = 10_000  # items of one list that is unpacked
_WHOLE = frozenset(c.name for c in EXCHANGES.columns if c.type in ("int16", "int32", "int64"))
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?)|.", re.DOTALL)


class Chosen(NamedTuple):
    """Rows that count, with their numbers, and how many were left out. places: of each row in the rows given.

    beyond: the number of the row around it, for each item of a list beyond the bound. unpacked: all rows and items, of
    which `met` says how many meet each condition.
    """

    rows: list[Mapping[str, object]]
    numbers: list[int]
    places: list[int]
    left_out: int
    beyond: list[int]
    unpacked: list[Mapping[str, object]]
    met: list[int]


def chosen(rows: Sequence[Mapping[str, object]], numbers: Sequence[int], mapping: FieldMap, finder: Finder) -> Chosen:
    """The rows that a map reads: items of its list, where it names one, that meet its conditions."""
    beyond: list[int] = []
    verdicts: list[bool] = []
    unpacked: list[tuple[Mapping[str, object], int, int]] = []
    for i, (given, n) in enumerate(zip(rows, numbers, strict=True)):
        items = _items(given, mapping.each, finder) if mapping.each else [given]
        unpacked += [({**given, **item} if mapping.each else item, n, i) for item in items[:MOST_ITEMS]]
        beyond += [n] * max(len(items) - MOST_ITEMS, 0)
    kept, met = unpacked, [0] * len(mapping.where)
    for place, condition in enumerate(mapping.where):
        find = finder(condition.field)
        holds = [_meets(find(row), condition) for row, _, _ in unpacked]
        met[place] = sum(holds)
        verdicts = holds if not place else [a and b for a, b in zip(verdicts, holds, strict=True)]
    if mapping.where:
        kept = [entry for entry, holds in zip(unpacked, verdicts, strict=True) if holds]
    return Chosen(
        [r for r, _, _ in kept], [n for _, n, _ in kept], [i for _, _, i in kept], len(unpacked) - len(kept), beyond,
        [row for row, _, _ in unpacked], met,
    )  # fmt: skip


def _items(row: Mapping[str, object], each: str, finder: Finder) -> list[Mapping[str, object]]:
    """The objects in the list of a row, whose fields count before those of the row; the row if it has no such list."""
    found = finder(each)(row)
    if not isinstance(found, list):
        return [row]
    return [item for item in found if isinstance(item, dict)]


def _meets(value: object, condition: Condition) -> bool:
    if condition.values is None:
        return (value is not None and value != "") == condition.wanted
    return (_as_text(value) in condition.values) == condition.wanted


def _as_text(value: object) -> str | None:
    """A value as a condition compares it: truth values and numbers as TOML writes them.

    >>> _as_text(True), _as_text(200), _as_text(200.0), _as_text(["x"])
    ('true', '200', '200', None)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def changed(column: str, values: list[object], rule: Rule) -> list[object]:
    r"""The values of a column after its rule.

    >>> changed("latency_ms", [1.25, "0.5", "-", None], Rule(scale=1000))
    [1250, 500, '-', None]
    >>> changed("end_user_id", ["user=7;x", "none"], Rule(match=pattern(r"user=(\d+)") or ""))
    ['7', None]
    """
    if rule.match:
        values = _searched(values, rule.match)
    if rule.scale != 1:
        values = [_scaled(value, rule.scale, column in _WHOLE) for value in values]
    if rule.default is not None:
        values = [rule.default if value in (None, "", "-") else value for value in values]
    return values


def _searched(values: list[object], match: str) -> list[object]:
    texts = [text if (text := _as_text(v)) is not None and len(text) <= _LONGEST_SEARCHED else None for v in values]
    sound = [None if t is None else t.encode("utf-8", "replace").decode() for t in texts]
    found = pc.extract_regex(pa.array(sound, pa.string()), pattern=match)
    return [None if one is None else one["value"] or None for one in found.to_pylist()]


def _scaled(value: object, scale: float, whole: bool) -> object:
    number = real(value)
    if number is None:
        return value  # judged with the others: text with a unit of its own is a number too
    scaled = number * scale
    return round(scaled) if whole and abs(scaled) < 1e18 else scaled


def pattern(text: str) -> str | None:
    r"""A regular expression with its first group named `value`; None if it is invalid, or has no group.

    The expression is searched by RE2, whose time is linear in the text: no value can make it slow.

    >>> pattern(r"key-(\d+)-(a|b)"), pattern("no group"), pattern(r"(")
    ('key-(?P<value>\\d+)-(?:a|b)', None, None)
    """
    if len(text) > _LONGEST_PATTERN:
        return None
    groups = 0

    def named(token: re.Match[str]) -> str:
        nonlocal groups
        if token[0] != "(":
            return token[0]
        groups += 1
        return "(?P<value>" if groups == 1 else "(?:"

    made = text if "(?P<value>" in text else _TOKEN.sub(named, text)
    if "(?P<value>" not in made:
        return None
    try:
        pc.extract_regex(pa.array([""]), pattern=made)
    except pa.ArrowInvalid:
        return None
    return made
