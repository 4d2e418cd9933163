"""Converts every notation of time in logs to microseconds UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clonewatch.adapters.values import extended, real

# A time outside these years means a broken clock or a wrong unit.
EARLIEST = 946_684_800_000_000  # 2000-01-01, microseconds
LATEST = 4_102_444_800_000_000  # 2100-01-01
SCALE = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
EACH = "each"
_ANY = ("auto", EACH, "iso")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?")
# Spellings beside RFC 3339: access logs, RFC 1123 and RFC 850, the C library's, and dates with slashes that begin with
# the year. Those that begin with the day or the month are read only by a format that the map gives.
_SPELLINGS = (
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %z",
    "%d %b %Y %H:%M:%S %z",
    "%A, %d-%b-%y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S.%f",
    "%d/%b/%Y:%H:%M:%S.%f %z",
    "%d/%b/%Y:%H:%M:%S",
    "%d/%b/%Y:%H:%M:%S.%f",
    "%a %b %d %Y %H:%M:%S %z",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y/%m/%d %I:%M:%S %p",
)
# A zone that is named beside its offset, as Java and JavaScript do, and how ASP.NET writes a number.
_NAMED_ZONE = re.compile(r"(?<=[Z\d])\s*(?:\[[\w/+-]{1,32}\]|\([\w +-]{1,64}\))$")
_GMT_OFFSET = re.compile(r" GMT(?=[+-]\d{4}$)")
_DATE_CALL = re.compile(r"/Date\((\d{1,16})(?:[+-]\d{4})?\)/")
_ZONE = re.compile(r"\s*(?:GMT|UTC|UT|Z)$")
_OFFSET = re.compile(r"(?<=\d)\s+([+-]\d{2}:?\d{2})$")
_MIDDLE_ZONE = re.compile(r" (?:GMT|UTC)(?= \d{4}$)")
_NAME_AFTER_OFFSET = re.compile(r"([+-]\d{4}) [A-Z]{3,4}(?: m=\S*)?$")
_COMMA = re.compile(r"(?<=\d),(?=\d{1,9}(?:\D|$))")
_LEAP = re.compile(r"(?<=:[0-5]\d:)60(?=\D|$)")
_FRACTION = re.compile(r"(?<=[:\d]\.)(\d{6})\d+")
_LONGEST = 96  # characters of a time
_SINCE = re.compile(r"(s|ms|us|ns) since (\S.*)")


class TimeFormat(NamedTuple):
    """How a log writes its times.

    unit: "auto", "each", "iso", "s", "ms", "us", "ns", or "pattern". offset: microseconds to add. pattern: a format as
    `strptime` reads it, without a zone: UTC. numbers: the unit of plain numbers beside other spellings, where
    it is known.
    """

    unit: str = "auto"
    offset: int = 0
    pattern: str = ""
    numbers: str = ""

    @property
    def units(self) -> tuple[str, ...]:
        """The units that a number may be in: any, unless it is known."""
        return (self.numbers or self.unit,) if self.numbers or self.unit in SCALE else tuple(SCALE)


def time_format(text: str) -> TimeFormat | None:
    """The time format that a field map names, or None if it is unknown.

    "auto" finds the unit of numbers by their magnitude, for a file as a whole; "each" does for each one, as a log of
    several writers needs. "UNIT since DATE" is for times that count from DATE.

    >>> time_format("ms").unit, time_format("s since 2025-09-10T00:00:00Z").offset
    ('ms', 1757462400000000)
    >>> instant("31.12.2025 23:00", time_format("%d.%m.%Y %H:%M"))
    1767222000000000
    >>> time_format("fortnights") is None
    True
    """
    if text in ("auto", "iso", EACH, *SCALE):
        return TimeFormat(text)
    if "%" in text:
        return TimeFormat("pattern", 0, text) if _is_pattern(text) else None
    found = _SINCE.fullmatch(text)
    start = instant(found[2]) if found else None
    return TimeFormat(found[1], start) if found and start is not None else None


def _is_pattern(text: str) -> bool:
    """Whether a format can be read: one with a year, a month and a day, or with seconds since 1970."""
    try:
        datetime.strptime(EPOCH.strftime(text), text)
    except ValueError:
        return False
    return any(y in text for y in ("%Y", "%y", "%s", "%c", "%x"))


def instant(value: object, at: TimeFormat = TimeFormat()) -> int | None:  # noqa: B008 - a TimeFormat is immutable
    """One time as microseconds UTC, or None if it is not a time between 2000 and 2100.

    Accepts RFC 3339 text (without a zone: UTC), the spellings of logs and headers, numbers and numbers as text.

    >>> instant("2026-01-01T00:00:00+01:00") == instant(1767222000) == instant("1767222000000")
    True
    >>> instant("yesterday"), instant(12), instant(True)
    (None, None, None)
    """
    if isinstance(value, str):
        value = value.strip()
        if at.unit == "pattern":
            return _by_pattern(value, at.pattern)
        if _NUMBER.fullmatch(value) and at.unit != "iso":
            return _number(float(value) if "." in value or "e" in value.lower() else int(value), at)
        return _text(value) if at.unit in _ANY else None
    if isinstance(value, dict):
        value = extended(value)
        return None if isinstance(value, dict) else instant(value, at)
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, at)
    return None


_LONGEST_CALL = 7 * 86_400  # seconds; more is no duration of a call


def earlier(values: list[object], seconds: list[object], at: TimeFormat = TimeFormat()) -> list[object]:  # noqa: B008
    """Times with durations taken off, where there are any; a value that is no time stays as it is.

    >>> list(map(str, earlier(["1767222000.500", "1767222000.500", "?"], ["0.250", "-", 1])))
    ['2025-12-31 23:00:00.250000+00:00', '2025-12-31 23:00:00.500000+00:00', '?']
    """
    times, lengths = _decimals(values), _decimals(seconds)
    if times is not None and lengths is not None and at.unit not in ("pattern", "iso"):
        begun, bad = _numbers(times, at)
        if not bad.any():
            taken = lengths.to_numpy()
            micros = begun.cast(pa.int64()).to_numpy() - np.where(
                taken <= _LONGEST_CALL, np.rint(taken * 1e6), 0
            ).astype(np.int64)
            return list(micros.astype("datetime64[us]").tolist())
    return [_earlier(value, taken, at) for value, taken in zip(values, seconds, strict=True)]


def _decimals(values: list[object]) -> pa.Array | None:
    """Text that is nothing but decimal numbers with a point, as access logs write times, as numbers; None otherwise."""
    if set(map(type, values)) != {str}:
        return None
    joined = "".join(map(str, values))
    if joined.count(".") != len(values) or not joined.isascii() or not joined.replace(".", "").isdecimal():
        return None
    try:
        return pa.array(values, pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return None  # one has two points, another one none


def _earlier(value: object, seconds: object, at: TimeFormat) -> object:
    moment, taken = instant(value, at), real(seconds)
    if moment is None:
        return value
    if taken is not None and 0 <= taken <= _LONGEST_CALL:
        moment -= round(taken * 1e6)
    return EPOCH + moment * MICROSECOND


def _number(value: float, at: TimeFormat) -> int | None:
    for unit in at.units:
        try:
            micros = _scaled(value, unit) + at.offset
        except (OverflowError, ValueError):  # infinity, NaN
            return None
        if EARLIEST <= micros < LATEST:
            return micros
    return None


def _scaled(value: float, unit: str) -> int:
    if isinstance(value, int):
        return value // 1000 if unit == "ns" else value * int(SCALE[unit])
    return round(value * SCALE[unit])


def _text(value: str) -> int | None:
    try:
        return _moment(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        pass  # not RFC 3339: other spellings are tried next
    return None if len(value) > _LONGEST else _spelled(value)


def _spelled(value: str) -> int | None:
    """A time in one of the other spellings, or RFC 3339 with a comma, a zone's name or more digits than it has."""
    value = value.replace("\u2212", "-").removeprefix("@")  # a minus sign, and Unix seconds as `date` takes them
    if call := _DATE_CALL.fullmatch(value):
        return _number(int(call[1]), TimeFormat("ms"))
    plain = _GMT_OFFSET.sub(" ", _NAMED_ZONE.sub("", _FRACTION.sub(r"\1", _COMMA.sub(".", value))))
    if _LEAP.search(plain):  # a leap second, which is the first of the next minute
        before = _spelled(_LEAP.sub("59", plain))
        return None if before is None else before + 1_000_000
    if plain[:4].isdigit():
        plain = plain.upper()  # RFC 3339 allows t and z
    if _NUMBER.fullmatch(plain):
        return _number(float(plain), TimeFormat())
    plain = _MIDDLE_ZONE.sub(" +0000", _NAME_AFTER_OFFSET.sub(r"\1", plain))
    plain = _OFFSET.sub(r"\1", _ZONE.sub("+00:00", plain)) if plain[:4].isdigit() else _ZONE.sub(" +0000", plain)
    if plain[:4].isdigit():
        try:
            return _moment(datetime.fromisoformat(plain))
        except (ValueError, OverflowError):
            pass  # a date with slashes
    for spelling in _SPELLINGS:
        found = _by_pattern(plain, spelling)
        if found is not None:
            return found
    return None


def _by_pattern(value: str, pattern: str) -> int | None:
    try:
        return _moment(datetime.strptime(value, pattern))
    except (ValueError, OverflowError):
        return None


def _moment(value: datetime) -> int | None:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    micros = (aware - EPOCH) // MICROSECOND
    return micros if EARLIEST <= micros < LATEST else None


def is_unknown_spelling(value: object, at: TimeFormat = TimeFormat()) -> bool:  # noqa: B008
    """Whether a value that is no time is written in an unknown way, rather than a number of another century.

    >>> is_unknown_spelling("Mar 1, 2026, 10:00:00 AM"), is_unknown_spelling("1997-03-01T00:00:00Z")
    (True, False)
    """
    if isinstance(value, list | dict):
        return bool(value)
    if not isinstance(value, str) or _NUMBER.fullmatch(value.strip()):
        return False
    try:
        datetime.strptime(value, at.pattern) if at.pattern else datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        return True
    return False


def instants(values: pa.Array, at: TimeFormat = TimeFormat()) -> tuple[pa.Array, NDArray[np.bool_]]:  # noqa: B008
    """A column of times as timestamp[us, UTC], and a mask of those that could not be read (they are null).

    values: text, integers, floats, dates, or timestamps of any unit and zone (without a zone: UTC).
    """
    kind = values.type
    if pa.types.is_date(kind):
        values, kind = values.cast(pa.timestamp("s"), safe=False), pa.timestamp("s")
    if pa.types.is_timestamp(kind):
        return _numbers(values.cast(pa.int64()), TimeFormat(kind.unit))
    if at.unit == "pattern":
        return _one_by_one([None if v is None else str(v) for v in values.to_pylist()], at)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numbers(values, at)
    if pa.types.is_string(kind) and at.unit in _ANY:
        try:
            return _numbers(values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), TimeFormat("us"))
        except pa.ArrowInvalid:
            pass  # some use another notation: one by one below
    return _one_by_one(values.to_pylist(), at)


def from_objects(values: list[object], at: TimeFormat = TimeFormat()) -> tuple[pa.Array, NDArray[np.bool_]]:  # noqa: B008
    """The same for plain Python values of any kind."""
    kinds = set(map(type, values)) - {type(None)}
    if dict in kinds:
        values = list(map(extended, values))
        kinds = set(map(type, values)) - {type(None)}
    try:
        if kinds == {str}:
            return instants(pa.array(values, pa.string()), at)
        if kinds == {datetime}:
            return instants(pa.array(values, pa.timestamp("us", tz="UTC")), at)
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
    for unit in at.units:
        with np.errstate(over="ignore"):
            rough = size * SCALE[unit] + at.offset
        fits = (rough >= EARLIEST) & (rough < LATEST) & ~seen & ~null
        chosen = raw[fits]
        if unit == "ns":
            exact = chosen.astype(np.int64) // 1000
        elif whole:
            exact = chosen.astype(np.int64) * int(SCALE[unit])
        else:
            exact = np.rint(chosen * SCALE[unit]).astype(np.int64)
        out[fits] = exact + at.offset
        seen |= fits
    return pa.array(out, pa.int64(), mask=~seen).cast(pa.timestamp("us", tz="UTC")), ~seen & ~null
