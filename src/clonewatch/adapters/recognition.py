"""Which format a file is in: every format says of many rows whether it knows them, and most rows decide.

A banner, a failed call without a body or a torn line is outvoted, and no unknown column disqualifies a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import cast

import msgspec

from clonewatch.adapters.csv_rows import first_line, header
from clonewatch.adapters.descriptions import below_titles, named, seen
from clonewatch.adapters.outline import outline
from clonewatch.adapters.survey import shown
from clonewatch.adapters.wrappings import sampled
from clonewatch.ports.adapter import Adapter
from clonewatch.ports.shelf import Shelf

_TITLES = 20  # lines in which a header is looked for below others
_COLUMNS = 3  # of a table, at least, where other lines stand above its header
_ENOUGH = 5  # rows with the same keys that no format knows, after which no other such row is looked at
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def recognised(head: bytes, name: str, adapters: Sequence[Adapter]) -> list[Adapter]:
    """The formats that know the most rows of a head: one, none, or several that cannot be told apart.

    name: of the file. Of formats that know as many rows, the one that knows the earliest row counts.
    """
    votes: dict[str, float] = {}
    first: dict[str, int] = {}
    known: dict[tuple[str, ...], dict[str, float]] = {}
    unknown = Counter[tuple[str, ...]]()
    for number, row in enumerate(sampled(head)):
        keys = _keys(row)
        if unknown[keys] >= _ENOUGH:
            continue
        weights = known.get(keys) or {a.name: weight for a in adapters if (weight := a.weight(row, name))}
        if keys and weights:
            known[keys] = weights  # most rows of a log look alike
        elif keys:
            unknown[keys] += 1
        for form, weight in weights.items():
            votes[form] = votes.get(form, 0.0) + weight
            first.setdefault(form, number)
    if not votes:
        return [a for a in adapters if a.claims(head, name)]
    best = max((count, -first[form]) for form, count in votes.items())
    return [a for a in adapters if a.name in votes and (votes[a.name], -first[a.name]) == best]


def _keys(row: bytes) -> tuple[str, ...]:
    """The keys of a row; empty where it is cut off or no JSON."""
    try:
        return tuple(_decode(row))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()


def described(head: bytes, packing: str = "") -> tuple[str, str]:
    """What a file of unknown format is, in words, and what to do. Of keys that are themselves data only the shape."""
    names: dict[str, None] = {}
    for row in sampled(head):
        names |= {shown(key): None for key in outline(row) if "." not in key and key.isprintable()}
    columns = [shown(column) for column in header(first_line(head)) if column.isprintable()]
    what, fix = (not names and _lower(head)) or seen(head, names, columns)
    return f"{what}, {packing}" if packing else what, fix


def _lower(head: bytes) -> tuple[str, str] | None:
    """What a table is whose header stands below other lines, as in a spreadsheet with a title; None if it is none."""
    rows = [header(line) for line in head.splitlines()[:_TITLES]]
    for number, (columns, data) in enumerate(pairwise(rows), 1):
        if len(columns) >= _COLUMNS and len(data) == len(columns) and len(named(columns)) == len(columns):
            # A title has fewer cells than its table.
            return below_titles(number, columns) if number > 1 and len(rows[0]) < len(columns) else None
    return None


def choosing(head: bytes, name: str, shelf: Shelf) -> list[str]:
    """The formats that know a file that is read by a field map, and would choose among its rows."""
    return [adapter.name for adapter in recognised(head, name, _every(shelf)) if adapter.chooses]


@cache  # finding them costs as much as reading a small file
def _every(shelf: Shelf) -> list[Adapter]:
    """All formats of a shelf."""
    return [cast(Adapter, shelf.load(name)) for name in shelf.names()]
