"""Converts rows of a foreign log into exchanges through a field map."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.columns import Columns, Values, conform, hashed
from clonewatch.adapters.instants import TimeFormat, time_format
from clonewatch.adapters.mapping import EXAMPLE
from clonewatch.adapters.rows import Rows
from clonewatch.adapters.streams import head_of, notes_of
from clonewatch.adapters.values import MISSING
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Batch, Source
from clonewatch.ports.mapping import FieldMap

ABSENT = "-"  # how access logs write "nothing"
_OR = " | "
_HASHED = frozenset(c.name for c in EXCHANGES.columns if c.type == "uint64")
_TYPES = {c.name: c.type for c in EXCHANGES.columns}
_MOST_EMBEDDED = 1 << 20  # maximum bytes of JSON in text that a path steps into
_MARK = 1024  # first bytes that distinguish files of the same name; few, so that a log that grows keeps its ids
_decode = msgspec.json.Decoder().decode


def required(mapping: FieldMap | None, name: str) -> FieldMap:
    """The field map, which formats of foreign logs require. Raises MappingError if there is none."""
    if mapping is None:
        raise MappingError(f"{name} needs a field map", fix=f"Pass one with --map; for example:\n{EXAMPLE}")
    return mapping


def finder(spec: str) -> Callable[[Mapping[str, object]], Any]:
    """A function that looks up a field in a row: a key as written, or dots into objects, lists and JSON in text.

    " | " separates alternatives: the first one present counts.

    >>> find = finder("user.id | user_id")
    >>> find({"user": {"id": 7}}), find({"user_id": 8}), find({"user": '{"id": 9}'}), find({})
    (7, 8, 9, None)
    """
    choices = [(choice, tuple(choice.split("."))) for choice in spec.split(_OR)]
    if len(choices) == 1 and len(choices[0][1]) == 1:
        key = choices[0][0]
        return lambda row: row.get(key)

    def find(row: Mapping[str, object]) -> object:
        for literal, path in choices:
            value = row.get(literal)
            if value is None:
                value = _step(row, path)
            if value is not None and value != "" and value != ABSENT:
                return value
        return None

    return find


def _step(row: object, path: tuple[str, ...]) -> object:
    for key in path:
        if isinstance(row, str) and row[:1] in ("{", "[") and len(row) <= _MOST_EMBEDDED:
            try:
                row = _decode(row)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return None  # text that only looks like JSON has no fields
        if isinstance(row, dict):
            row = row.get(key)
        elif isinstance(row, list) and key.isdigit() and int(key[:9]) < len(row):
            row = row[int(key)]
        else:
            return None
    return row


def exchange_ids(source: Source, numbers: Sequence[int]) -> pa.Array:
    """Ids for rows without one: a hash of the file's name and first bytes, then the row number.

    The folder is left out, so that a log that is moved or copied keeps its ids, and a copy is dropped as duplicates.
    """
    if not source.files:
        mark = _mark(source.name, head_of(source.stream))
        rows = pa.array(numbers, pa.int64()).cast(pa.string())
        return pc.binary_join_element_wise(pa.scalar(mark), rows, "-")
    marks = [_mark(file.name, file.head) for file in source.files]
    before = [file.before for file in source.files]
    places = [bisect_left(before, number) - 1 for number in numbers]
    return pa.array(
        [f"{marks[at]}-{number - before[at]}" for at, number in zip(places, numbers, strict=True)], pa.string()
    )


def _mark(name: str, head: bytes) -> str:
    mark = blake2b(PurePath(name).name.encode("utf-8", "surrogateescape"), digest_size=8)
    mark.update(head[:_MARK])
    return mark.hexdigest()


def _complete_ids(ids: Values | None, source: Source, numbers: Sequence[int]) -> Values:
    """The ids as logged, and derived ids where they are missing."""
    if ids is None:
        return exchange_ids(source, numbers)
    if isinstance(ids, pa.Array):
        if not ids.null_count and not pc.any(pc.is_in(ids.cast(pa.string()), pa.array(sorted(MISSING)))).as_py():
            return ids
        ids = ids.to_pylist()
    missing = [i is None or (i.__class__ is str and i in MISSING) for i in ids]
    if not any(missing):
        return ids
    derived = exchange_ids(source, numbers).to_pylist()
    return [d if lacks else i for i, d, lacks in zip(ids, derived, missing, strict=True)]


def build(
    found: Columns, mapping: FieldMap, source: Source, numbers: Sequence[int]
) -> tuple[pa.RecordBatch, list[Rejected]]:
    """Exchanges from the fields found for each column: adds constants, hashes unsigned columns, derives missing ids.

    found: exchange column -> values, as Arrow or plain. numbers: 1-based row numbers.
    """
    at = time_format(mapping.time) or TimeFormat()
    columns: Columns = {}
    for name, values in found.items():
        columns[name] = hashed(values) if name in _HASHED else _without_dashes(values)
    for name, value in mapping.constants.items():
        constant: Values = [value] * len(numbers)
        columns[name] = hashed(constant) if name in _HASHED else constant
    columns["exchange_id"] = _complete_ids(columns.get("exchange_id"), source, numbers)
    return conform(columns, EXCHANGES, source.name, numbers, at=at, dropped=notes_of(source.stream).dropped)


def _without_dashes(values: Values) -> Values:
    if isinstance(values, list):
        return [None if v == ABSENT else v for v in values] if ABSENT in values else values
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return pc.if_else(pc.equal(values, ABSENT), pa.scalar(None, values.type), values)
    return values


def objects(
    parts: Iterator[tuple[list[dict[str, object]], list[int], list[Rejected]]], mapping: FieldMap, source: Source
) -> Iterator[Batch]:
    """Batches from rows as dictionaries: their fields, their numbers, and lines that were rejected before."""
    finders = {name: finder(spec) for name, spec in mapping.fields.items()}
    for rows, numbers, rejected in parts:
        found: Columns = {name: [find(row) for row in rows] for name, find in finders.items()}
        batch, more = build(found, mapping, source, numbers)
        yield Batch(batch, rejected + more)


def assemble(part: Rows[dict[str, object]], source: Source, mapping: FieldMap | None) -> Batch:
    """A batch from rows already read into columns: column -> value. A field map's fields and constants take precedence.

    Fields of the map are looked up in the rows as logged. Rows without an id get one derived from their position.
    """
    made = part.rows
    names = {name for row in made for name in row}
    found: Columns = {name: [row.get(name) for row in made] for name in sorted(names)}
    at = TimeFormat()
    if mapping is not None:
        at = time_format(mapping.time) or at
        _overlay(found, mapping, [_decode(line) for line in part.lines])
    found["exchange_id"] = _complete_ids(found.get("exchange_id"), source, part.numbers)
    dropped = notes_of(source.stream).dropped
    exchanges, more = conform(found, EXCHANGES, source.name, part.numbers, at=at, dropped=dropped)
    return Batch(exchanges, part.rejected + more)


def _overlay(found: Columns, mapping: FieldMap, logged: list[dict[str, object]]) -> None:
    for name, spec in mapping.fields.items():
        find = finder(spec)
        mapped: list[object] = [find(row) for row in logged]
        if name in _HASHED:
            mapped = hashed(mapped).to_pylist()
        before: Values = found.get(name, [None] * len(logged))
        found[name] = [b if m is None else m for m, b in zip(mapped, before, strict=True)]
    for name, value in mapping.constants.items():
        found[name] = hashed([value] * len(logged)).to_pylist() if name in _HASHED else [value] * len(logged)
