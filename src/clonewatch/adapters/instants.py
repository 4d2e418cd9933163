"""Converts every notation of time in logs to microseconds UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# A time outside these years means a broken clock or a wrong unit.
EARLIEST = 946_684_800_000_000  # 2000-01-01, microseconds
LATEST = 4_102_444_800_000_000  # 2100-01-01
_SCALE = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?")
_ACCESS_LOG = "%d/%b/%Y:%H:%M:%S %z"
_SINCE = re.compile(r"(s|ms|us|ns) since (\S.*)")


class TimeFormat(NamedTuple):
    """How a log writes its times. unit: "auto", "iso", "s", "ms", "us" or "ns". offset: microseconds to add."""

    unit: str = "auto"
    offset: int = 0


def time_format(text: str) -> TimeFormat | None:
    """The time format that a field map names, or None if it is unknown.

    "auto" detects the unit of numbers by magnitude; "UNIT since DATE" is for times that count from DATE.

    >>> time_format("ms")
    TimeFormat(unit='ms', offset=0)
    >>> time_format("s since 2025-09-10T00:00:00Z")
    TimeFormat(unit='s', offset=1757462400000000)
    >>> time_format("fortnights") is None
    True
    """
    if text in ("auto", "iso", *_SCALE):
        return TimeFormat(text)
    found = _SINCE.fullmatch(text)
    start = instant(found[2]) if found else None
    return TimeFormat(found[1], start) if found and start is not None else None


def instant(value: object, at: TimeFormat = TimeFormat()) -> int | None:  # noqa: B008 - a TimeFormat is immutable
    """One time as microseconds UTC, or None if it is not a time between 2000 and 2100.

    Accepts RFC 3339 text (without a zone: UTC), access-log text, numbers and numbers as text.

    >>> instant("2026-01-01T00:00:00+01:00") == instant(1767222000) == instant("1767222000000")
    True
    >>> instant("yesterday"), instant(12), instant(True)
    (None, None, None)
    """
    if isinstance(value, str):
        value = value.strip()
        if _NUMBER.fullmatch(value) and at.unit != "iso":
            return _number(float(value) if "." in value or "e" in value.lower() else int(value), at)
        return _text(value) if at.unit in ("auto", "iso") else None
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, at)
    return None


def _number(value: float, at: TimeFormat) -> int | None:
    for unit in _SCALE if at.unit in ("auto", "iso") else (at.unit,):
        try:
            micros = _scaled(value, unit) + at.offset
        except (OverflowError, ValueError):  # infinity, NaN
            return None
        if EARLIEST <= micros < LATEST:
            return micros
    return None


def _scaled(value: float, unit: str) -> int:
    if isinstance(value, int):
        return value // 1000 if unit == "ns" else value * int(_SCALE[unit])
    return round(value * _SCALE[unit])


def _text(value: str) -> int | None:
    try:
        return _moment(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        pass  # not RFC 3339: the access-log form is tried next
    try:
        return _moment(datetime.strptime(value, _ACCESS_LOG))
    except (ValueError, OverflowError):
        return None


def _moment(value: datetime) -> int | None:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    micros = (aware - _EPOCH) // _MICROSECOND
    return micros if EARLIEST <= micros < LATEST else None


def instants(values: pa.Array, at: TimeFormat = TimeFormat()) -> tuple[pa.Array, NDArray[np.bool_]]:  # noqa: B008
    """A column of times as timestamp[us, UTC], and a mask of those that could not be read (they are null).

    values: text, integers, floats, dates, or timestamps of any unit and zone (without a zone: UTC).
    """
    kind = values.type
    if pa.types.is_date(kind):
        values, kind = values.cast(pa.timestamp("s"), safe=False), pa.timestamp("s")
    if pa.types.is_timestamp(kind):
        return _numbers(values.cast(pa.int64()), TimeFormat(kind.unit))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numbers(values, at)
    if pa.types.is_string(kind) and at.unit in ("auto", "iso"):
        try:
            return _numbers(values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), TimeFormat("us"))
        except pa.ArrowInvalid:
            pass  # some use another notation: one by one below
    return _one_by_one(values.to_pylist(), at)


def from_objects(values: list[object], at: TimeFormat = TimeFormat()) -> tuple[pa.Array, NDArray[np.bool_]]:  # noqa: B008
    """The same for plain Python values of any kind."""
    kinds = set(map(type, values)) - {type(None)}
    try:
        if kinds == {str}:
            return instants(pa.array(values, pa.string()), at)
        if kinds == {int}:
            return instants(pa.array(values, pa.int64()), at)
        if kinds and kinds <= {int, float}:
            return instants(pa.array(values, pa.float64()), at)
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        pass  # contains a huge integer or a lone surrogate: one by one
    return _one_by_one(values, at)


def _one_by_one(values: list[object], at: TimeFormat) -> tuple[pa.Array, NDArray[np.bool_]]:
    micros = [None if v is None else instant(v, at) for v in values]
    bad = np.fromiter(
        (m is None and v is not None and v != "" for m, v in zip(micros, values, strict=True)), np.bool_, len(values)
    )
    return pa.array(micros, pa.timestamp("us", tz="UTC")), bad


def _numbers(values: pa.Array, at: TimeFormat) -> tuple[pa.Array, NDArray[np.bool_]]:
    null = np.asarray(values.is_null(nan_is_null=True))
    whole = pa.types.is_integer(values.type)
    raw = values.fill_null(0).to_numpy(zero_copy_only=False)
    raw = np.where(null, 0, raw)
    size = raw.astype(np.float64)
    out = np.zeros(len(raw), np.int64)
    seen = np.zeros(len(raw), np.bool_)
    for unit in _SCALE if at.unit in ("auto", "iso") else (at.unit,):
        rough = size * _SCALE[unit] + at.offset
        fits = (rough >= EARLIEST) & (rough < LATEST) & ~seen & ~null
        chosen = raw[fits]
        if unit == "ns":
            exact = chosen.astype(np.int64) // 1000
        elif whole:
            exact = chosen.astype(np.int64) * int(_SCALE[unit])
        else:
            exact = np.rint(chosen * _SCALE[unit]).astype(np.int64)
        out[fits] = exact + at.offset
        seen |= fits
    return pa.array(out, pa.int64(), mask=~seen).cast(pa.timestamp("us", tz="UTC")), ~seen & ~null
