"""Converts foreign columns into the typed columns of a table.

A required value that does not fit rejects its row, with the reason; an optional one is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clonewatch.adapters.column_types import text_or_hex
from clonewatch.adapters.instants import TimeFormat, from_objects, instant, instants, is_unknown_spelling
from clonewatch.adapters.text_columns import blank, pylist, replaced
from clonewatch.adapters.units import LATENCY, LATENCY_FAULT, Units, latencies, with_unit
from clonewatch.adapters.values import LIMITS, MISSING, RANGES, extended, real, sketch, text, truth, unsigned, whole
from clonewatch.adapters.word_columns import WORDS, as_words
from clonewatch.kernels.arrow import arrow_type
from clonewatch.model.read_results import Dropped, Rejected
from clonewatch.model.schema import (
    EVENT_KINDS,
    EVENTS,
    SKETCH_SIZE,
    TEXT_COLUMNS,
    Column,
    Table,
)

Cast = tuple[pa.Array, NDArray[np.bool_]]
# Values of one column: from a file of columns, or row by row.
Values: TypeAlias = pa.Array | list[object]
Columns = dict[str, Values]
# Text in which a word for "nothing" may be meant: what people write, and short words of a fixed list, two letters long
# in the case of countries.
_PROSE = frozenset((*TEXT_COLUMNS, "account_id", "channel", "operation", "stop_reason", "country", "egress", "task"))
_PROSE_KINDS = frozenset(
    ("kind", "programme", "plan", "payment_class", "issuer_class", "billing_country", "declared_use")
)
# Where bytes that are no text are replaced, two ids may become one.
_IDS = ("account_id", "exchange_id")
_NOT_UTF8 = "not UTF-8 text, as in a log in Latin-1; convert it first: iconv -f LATIN1 -t UTF-8"
_NOTHING = pa.array(sorted(MISSING))
_LONGEST_NOTHING = max(map(len, MISSING))
_EMPTY = frozenset(("",))
_MOST_DIGITS = 18  # of a number that fits every type


def conform(
    found: Mapping[str, Values],
    table: Table,
    file: str,
    numbers: Sequence[int],
    *,
    at: TimeFormat = TimeFormat(),  # noqa: B008 - a TimeFormat is immutable
    dropped: Dropped | None = None,
    units: Units | None = None,
) -> tuple[pa.RecordBatch, list[Rejected]]:
    """The rows of `found` that fit `table`, typed and in its column order, and the rest as `Rejected`.

    found: column name -> Arrow array or list of plain values, all of one length; names that the table lacks are left
    out, as are columns without any value. numbers: 1-based line or row number of each row. at: how times are
    written. Missing optional values are null, so are NaN, empty text and words such as "None"; so are optional values
    of the wrong type or range, which `dropped` counts. A required value that is missing or wrong rejects its row.
    Reasons name fields and kinds of error, never values.

    >>> from clonewatch.model.schema import EXCHANGES
    >>> batch, rejected = conform(
    ...     {"exchange_id": ["a", "b"], "ts": [1767225600, 0], "account_id": ["x", "y"], "turn": ["3", None]},
    ...     EXCHANGES, "log", [1, 2])
    >>> batch.num_rows, batch.schema.field("turn").type, rejected[0].reason
    (1, DataType(int16), 'ts: not a time between 2000 and 2100')
    """
    rows = len(numbers)
    units = {} if units is None else units
    columns: dict[str, pa.Array] = {}
    reasons: dict[int, str] = {}
    for column in table.columns:
        if column.name in found:
            values, key = found[column.name], f"{table.name}.{column.name}"
            if column.name == LATENCY:
                array, bad = latencies(values, units, key)
            else:
                known = with_unit(values, at, units, key) if column.type == "timestamp" else at
                array, bad = _cast(values, column, known)
            if column.required:
                if column.type == "timestamp" and bad.any():
                    _note_times(reasons, bad, values, column.name, known)
                _note(reasons, bad, f"{column.name}: {_fault(column)}")
            elif dropped is not None and bad.any():
                dropped[key, _fault(column)] += int(np.count_nonzero(bad))
            if key in WORDS:
                array, unknown = as_words(array, WORDS[key])
                if dropped is not None and unknown and not column.required:
                    dropped[key, f"none of {', '.join(WORDS[key])}"] += unknown
            if table is EVENTS and column.name == "kind":
                _note(reasons, ~np.asarray(pc.is_in(array, pa.array(EVENT_KINDS))), "kind: not a known kind of event")
        elif column.required:
            array = pa.nulls(rows, arrow_type(column))
        else:
            continue
        if column.required:
            _note(reasons, np.asarray(blank(array)), f"{column.name}: missing")
            if column.name in _IDS:
                _note(reasons, replaced(array), f"{column.name}: {_NOT_UTF8}")
        elif array.null_count == rows:
            continue
        columns[column.name] = array
    schema = pa.schema(
        [pa.field(c.name, arrow_type(c), nullable=not c.required) for c in table.columns if c.name in columns]
    )
    if reasons:
        keep = np.ones(rows, np.bool_)
        keep[list(reasons)] = False
        columns = {name: array.filter(pa.array(keep)) for name, array in columns.items()}
    batch = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    return batch, [Rejected(file, int(numbers[i]), reasons[i]) for i in sorted(reasons)]


def _note(reasons: dict[int, str], bad: NDArray[np.bool_], reason: str) -> None:
    if bad.any():
        for i in np.flatnonzero(bad):
            reasons.setdefault(int(i), reason)


# A row whose time is written in a way that no reader knows.
UNKNOWN_TIME = (
    'written in an unknown way; give its format in a field map: time = "%d.%m.%Y %H:%M:%S", with %b for names of months'
    " and %p for AM or PM"
)


# A row whose time is a number in another unit than most.
_OTHER_UNIT = (
    "a number in another unit than the first ones of the file; where several writers share a file, a field map says"
    ' time = "each"'
)


def _note_times(reasons: dict[int, str], bad: NDArray[np.bool_], values: Values, name: str, at: TimeFormat) -> None:
    """Say of times that could not be read whether they are outside the years or in an unknown spelling."""
    unknown, other = np.zeros(len(bad), np.bool_), np.zeros(len(bad), np.bool_)
    for i in np.flatnonzero(bad):
        value = values[int(i)]
        plain = value.as_py() if isinstance(value, pa.Scalar) else value
        unknown[i] = is_unknown_spelling(plain, at)
        other[i] = bool(at.numbers) and instant(plain, at._replace(numbers="")) is not None
    _note(reasons, other, f"{name}: {_OTHER_UNIT}")
    _note(reasons, unknown, f"{name}: {UNKNOWN_TIME}")


def _fault(column: Column) -> str:
    if column.type == "timestamp":
        return "not a time between 2000 and 2100"
    if column.name == LATENCY:
        return LATENCY_FAULT
    if column.name in RANGES:
        least, beyond = RANGES[column.name]
        return f"not a whole number from {least} to {beyond - 1}"
    if column.type in LIMITS:
        return f"not a whole number from 0 to {LIMITS[column.type] - 1}"
    if column.type == "list<uint32>":
        return f"not {SKETCH_SIZE} unsigned 32-bit numbers"
    return {"string": "not text", "bool": "not true or false", "uint64": "not an unsigned 64-bit number"}.get(
        column.type, "not a finite number"
    )


def _cast(values: Values, column: Column, at: TimeFormat) -> Cast:
    if isinstance(values, list):
        return _from_objects(values, column, at)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), arrow_type(column)), _none(len(values))
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    return _FROM_ARROW[column.type](values, column, at)


def _none(rows: int) -> NDArray[np.bool_]:
    return np.zeros(rows, np.bool_)


# ---- from plain values ----------------------------------------------------------------------------------------------


def _from_objects(values: list[object], column: Column, at: TimeFormat) -> Cast:
    if column.type == "timestamp":
        return from_objects(values, at)
    kinds = set(map(type, values)) - {type(None)}
    if dict in kinds and column.name not in TEXT_COLUMNS:
        values = list(map(extended, values))
        kinds = set(map(type, values)) - {type(None)}
    target = arrow_type(column)
    if not kinds:
        return pa.nulls(len(values), target), _none(len(values))
    if kinds == {str} and column.type in LIMITS and _all_digits(values):
        values, kinds = [int(str(v)) if v else None for v in values], {int}
    if kinds in _EXACT.get(column.type, ()):
        try:
            return _FROM_ARROW[column.type](pa.array(values, _WIDE.get(column.type, target)), column, at)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            pass  # at least one value does not fit: one by one below
    nothing = MISSING if _may_be_nothing(column) else _EMPTY
    plain = _PLAIN[column.type]
    given = [None if v is None or (v.__class__ is str and v in nothing) else v for v in values]
    made = [None if v is None else plain(v, column) for v in given]
    bad = np.fromiter((m is None and v is not None for m, v in zip(made, given, strict=True)), np.bool_, len(values))
    return pa.array(made, target), bad


def _all_digits(values: list[object]) -> bool:
    """Whether all texts are plain whole numbers, or empty: as tables without types write them."""
    texts = [str(v) for v in values if v]
    joined = "".join(texts)
    return joined.isascii() and joined.isdecimal() and len(max(texts, key=len)) <= _MOST_DIGITS


def _may_be_nothing(column: Column) -> bool:
    """Whether a word such as "None" in this column says that there is no value."""
    return column.name not in _PROSE and column.name not in _PROSE_KINDS


_PLAIN: dict[str, Callable[[Any, Column], Any]] = {
    "string": text,
    "int16": whole,
    "int32": whole,
    "int64": whole,
    "float32": real,
    "float64": real,
    "bool": truth,
    "uint64": unsigned,
    "list<uint32>": sketch,
}
# Sets of Python types that Arrow reads directly, and the wider Arrow type for checking ranges.
_EXACT: dict[str, tuple[set[type], ...]] = {
    "string": ({str},),
    "int16": ({int},),
    "int32": ({int},),
    "int64": ({int},),
    "uint64": ({int},),
    "float32": ({int}, {float}, {int, float}),
    "float64": ({int}, {float}, {int, float}),
    "bool": ({bool},),
    "list<uint32>": ({list},),
}
_WIDE = {"int16": pa.int64(), "int32": pa.int64(), "float32": pa.float64(), "list<uint32>": pa.list_(pa.int64())}


# ---- from Arrow -----------------------------------------------------------------------------------------------------


def _strings(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.string()), _none(len(values))
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _utf8(values)
    if not pa.types.is_string(kind):
        return _from_objects(_plain(values), column, at)
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        values = pa.array(pylist(values), pa.string())
    return _without_nothing(values, column), _none(len(values))


def _without_nothing(values: pa.Array, column: Column) -> pa.Array:
    """Text with nulls in place of empty text and of words for "nothing"."""
    least = pc.min(pc.binary_length(values)).as_py()
    if least is None or least > (_LONGEST_NOTHING if _may_be_nothing(column) else 0):
        return values
    nothing = pc.is_in(values, _NOTHING) if _may_be_nothing(column) else pc.equal(pc.binary_length(values), 0)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), values) if pc.any(nothing).as_py() else values


def _utf8(values: pa.Array) -> Cast:
    """Bytes that are text. Others are no text: replacing parts of them would make different keys alike."""
    made: list[str | None] = []
    bad = _none(len(values))
    for i, raw in enumerate(values.to_pylist()):
        held = text_or_hex(raw)
        made.append(held or None if isinstance(held, str) else None)
        bad[i] = isinstance(held, bytes)
    return pa.array(made, pa.string()), bad


def _plain(values: pa.Array) -> list[object]:
    # NaN stands for "missing" in files written from data frames.
    return [None if isinstance(v, float) and v != v else v for v in values.to_pylist()]


def _wholes(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    kind, target = values.type, arrow_type(column)
    if not pa.types.is_integer(kind):
        if pa.types.is_floating(kind):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
            try:
                values = values.cast(pa.int64())
            except pa.ArrowInvalid:
                return _from_objects(_plain(values), column, at)
        else:
            return _from_objects(_plain(values), column, at)
    least, beyond = RANGES.get(column.name) or (0, LIMITS[column.type])
    limit = pa.scalar(beyond - 1, pa.int64())
    if pa.types.is_uint64(values.type):
        limit = limit.cast(pa.uint64())
    fits = pc.greater_equal(values, pa.scalar(least, values.type))
    if column.name in RANGES or values.type.bit_width > target.bit_width or pa.types.is_uint64(values.type):
        fits = pc.and_(fits, pc.less_equal(values, limit))
    bad = ~np.asarray(fits.fill_null(True))
    if bad.any():
        values = pc.if_else(pa.array(~bad), values, pa.scalar(None, values.type))
    return values.cast(target), bad


def _reals(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    if not pa.types.is_floating(values.type):
        return _from_objects(_plain(values), column, at)
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    cast = values.cast(arrow_type(column), safe=False)
    bad = np.asarray(pc.is_inf(cast).fill_null(False))
    return (pc.if_else(pa.array(~bad), cast, pa.scalar(None, cast.type)) if bad.any() else cast), bad


def _truths(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    if pa.types.is_boolean(values.type):
        return values, _none(len(values))
    return _from_objects([int(v) if isinstance(v, float) and v.is_integer() else v for v in _plain(values)], column, at)


def _unsigneds(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    if pa.types.is_uint64(values.type):
        return values, _none(len(values))
    if pa.types.is_int64(values.type):
        return values.view(pa.uint64()), _none(len(values))  # stored as two's complement by engines without uint64
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64()).view(pa.uint64()), _none(len(values))
    return _from_objects(_plain(values), column, at)


def _sketches(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    kind = values.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return pa.nulls(len(values), arrow_type(column)), ~np.asarray(values.is_null())
    lengths = pc.list_value_length(values)
    if not pc.all(pc.equal(lengths, SKETCH_SIZE)).as_py() or pc.list_flatten(values).null_count:
        return _slow_sketches(values, column, at)
    try:
        return values.cast(arrow_type(column)), _none(len(values))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _slow_sketches(values, column, at)


def _slow_sketches(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    made = [None if v is None else sketch(v) for v in values.to_pylist()]
    bad = np.fromiter((m is None for m in made), np.bool_, len(made)) & ~np.asarray(values.is_null())
    return pa.array(made, arrow_type(column)), bad


def _times(values: pa.Array, column: Column, at: TimeFormat) -> Cast:
    return instants(values, at)


_FROM_ARROW: dict[str, Callable[[pa.Array, Column, TimeFormat], Cast]] = {
    "string": _strings,
    "int16": _wholes,
    "int32": _wholes,
    "int64": _wholes,
    "float32": _reals,
    "float64": _reals,
    "bool": _truths,
    "uint64": _unsigneds,
    "list<uint32>": _sketches,
    "timestamp": _times,
}
