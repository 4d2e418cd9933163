"""The keys of a log that no format claims: how often each is filled, with what kind of value, and of what shape.

Nothing that a row says leaves here, only kinds, lengths and shapes: letters become `a`, digits `9`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec
import pyarrow as pa

from clonewatch.adapters.columnar_files import MAGIC, batches, opened, rows_of
from clonewatch.adapters.csv_rows import csv_rows, first_line, header
from clonewatch.adapters.descriptions import is_row_of_data
from clonewatch.adapters.inputs import STANDARD_INPUT, find_inputs
from clonewatch.adapters.instants import instant
from clonewatch.adapters.rows import rows
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.adapters.wrappings import sampled
from clonewatch.ports.adapter import Source

ROWS = 2_000
_FILES_TRIED = 20
_KEYS = 300  # a log with more has keys that are data
_LONGEST_KEY = 128
_DEEPEST = 6
_SHAPE = 40
_TEXT_FROM = 64  # characters of a value that is text rather than a name or an id
_REAL = re.compile(r"[+-]?\d+\.\d+")


class Key(NamedTuple):
    """A key: its path, and its values that are not empty, in the order of the rows."""

    path: str
    values: list[Any]


class Survey(NamedTuple):
    """What the first rows of one file hold. form: the adapter that could read it by a map. keys: in order of seeing."""

    file: str
    form: str
    rows: int
    keys: list[Key]


def survey(paths: Iterable[str | Path]) -> Survey | None:
    """The keys of the first file that is JSON, CSV or Parquet; None where there is none, or where it is a pipe.

    Raises InputError for paths that lead nowhere.
    """
    for path in find_inputs(paths).logs[:_FILES_TRIED]:
        if str(path) == STANDARD_INPUT or not path.is_file():
            continue
        try:
            found = _read(path)
        except (OSError, pa.ArrowException):
            continue  # the next file may be readable; the error that brought us here is reported
        if found is not None and found[1]:
            return Survey(str(path), found[0], len(found[1]), _keys(found[1], found[0]))
    return None


def _read(path: Path) -> tuple[str, list[Mapping[str, Any]]] | None:
    """The adapter that could read a file by a map, and its first rows."""
    with path.open("rb") as raw:
        stream = Stream(Tally(raw, path.stat().st_size))
        head = stream.head()
        if head.startswith(MAGIC):
            return "parquet_map", _parquet(path)
        source = Source(str(path), cast(BinaryIO, stream))
        if sampled(head):
            decode = msgspec.json.Decoder(dict[str, Any]).decode
            parts = rows(source.stream, source.name, decode)
            return "jsonl_map", list(islice((row for part in parts for row in part.rows), ROWS))
        columns = header(first_line(head))
        if len(columns) > 1 and not is_row_of_data(columns):
            lines = (dict(zip(part.names, row, strict=True)) for part in csv_rows(source) for row in part.rows)
            return "csv_map", list(islice(lines, ROWS))
    return None


def _parquet(path: Path) -> list[Mapping[str, Any]]:
    """The first rows of a Parquet file."""
    with path.open("rb") as raw:
        source = Source(str(path), cast(BinaryIO, raw), str(path))
        with opened(source) as file:
            names = file.schema_arrow.names[:_KEYS]
            # The first batch is small when decoded, whatever the file is.
            first = next((batch for batch, _, _ in batches(file, names, source) if batch.num_rows), None)
            return [] if first is None else list(rows_of(first.slice(0, ROWS)))


def _keys(found: list[Mapping[str, Any]], form: str) -> list[Key]:
    held: dict[str, list[Any]] = {}
    for row in found:
        for path, value in _leaves(row, form):
            if value is None or value == "" or value == "-":
                continue
            if path in held or len(held) < _KEYS:
                held.setdefault(path, []).append(value)
    return [Key(path, values) for path, values in held.items()]


def _leaves(row: Mapping[str, Any], form: str, above: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Dotted paths and values; a list is a value, but a path into one that could be followed is not offered."""
    for name, value in row.items():
        if not name.isprintable() or not name or len(name) > _LONGEST_KEY or (above and "." in name):
            continue
        path = f"{above}.{name}" if above else name
        inside = _inside(value, form)
        if inside and depth < _DEEPEST:
            yield from _leaves(inside, form, path, depth + 1)
        else:
            yield path, value


def _inside(value: Any, form: str) -> Mapping[str, Any] | None:
    """The object that a value is, or that it holds as text where a map can step into that."""
    if isinstance(value, dict):
        return value
    if form == "jsonl_map" and isinstance(value, str) and value[:1] == "{":
        try:
            return msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None  # text that only looks like JSON
    return None


def kind(key: Key) -> str:
    """What the values of a key are, in a few words.

    >>> kind(Key("a", [1, 2])), kind(Key("b", ["x", 1])), kind(Key("c", ["a b" * 99]))
    ('whole number', 'name or id, whole number', 'text')
    """
    seen = Counter(_kind(value) for value in key.values)
    return ", ".join(name for name, _ in seen.most_common(3))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "whole number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text" if _is_text(value) else _kind_of_cell(value)
    if isinstance(value, list):
        return "list of objects" if value and isinstance(value[0], dict) else "list"
    return type(value).__name__


def _kind_of_cell(value: str) -> str:
    """What a short text is: CSV writes numbers and times as text too.

    >>> _kind_of_cell("812"), _kind_of_cell("0.7"), _kind_of_cell("2026-05-04T09:12:03Z"), _kind_of_cell("key-17")
    ('whole number', 'number', 'time', 'name or id')
    """
    if value.isdecimal():
        return "whole number"
    if _REAL.fullmatch(value):
        return "number"
    return "time" if instant(value) is not None else "name or id"


def _is_text(value: str) -> bool:
    return len(value) > _TEXT_FROM or value.count(" ") > 2


def shape(value: Any) -> str:
    """What a value looks like, and nothing of what it says.

    >>> shape("ann.lee@example.org"), shape("2026-05-01T10:00:00Z"), shape("Tell me a long story, please"), shape(42)
    ('aaa.aaa@aaaaaaa.aaa', '9999-99-99A99:99:99A', '28 characters', '99')
    """
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return f"{len(value)} items"
    if isinstance(value, str) and _is_text(value):
        return f"{len(value):,} characters"
    if not isinstance(value, str | int | float):
        return type(value).__name__
    masked = "".join(map(_mask, str(value)))
    return masked if len(masked) <= _SHAPE else f"{masked[: _SHAPE - 3]}... ({len(masked)} characters)"


def _mask(c: str) -> str:
    if c.isdigit():
        return "9"
    if c.isalpha():
        return "A" if c.isupper() else "a"
    # Signs of ASCII are structure; any other says something.
    return c if c.isascii() and c.isprintable() else "?"


_DATA_KEY = re.compile(r"@|\d{5,}|[0-9a-f]{16,}")


def shown(path: str) -> str:
    """A key as it may be printed: one that is itself data, such as an address or an id, shows only its shape.

    >>> shown("user.id"), shown("by_user.ann@example.org")
    ('user.id', 'by_user.aaa@aaaaaaa.aaa')
    """
    if not _DATA_KEY.search(path):
        return path
    head, dot, rest = path.partition(".")
    return f"{head}{dot}{shape(rest)}" if dot and not _DATA_KEY.search(head) else shape(path)


def is_data(path: str) -> bool:
    """Whether a key is itself data, so that it should not be printed as it is."""
    return bool(_DATA_KEY.search(path))
