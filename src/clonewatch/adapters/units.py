"""In which unit a column of numbers is: one unit for a whole file, decided by its first numbers.

A value alone does not tell: 12 may be seconds of a long answer or milliseconds of a refusal, and a wrong number may be
a time in another unit. What was decided is said by `clonewatch doctor`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clonewatch.adapters.instants import EARLIEST, LATEST, SCALE, TimeFormat
from clonewatch.adapters.values import LIMITS, MISSING, extended, real
from clonewatch.model.schema import EXCHANGES

# Of each column, "table.column" -> "s", "ms", "us" or "ns", once numbers were seen.
Units = dict[str, str]
LATENCY = "latency_ms"
EXAMINED = 1000  # numbers of a column that decide
_MOST = next(LIMITS[c.type] for c in EXCHANGES.columns if c.name == LATENCY) - 1
# Seconds have a fraction, some are below ten, and calls of half a minute and more are few. As milliseconds, half of the
# calls would have taken less time than a network needs.
_SOME_BELOW, _HALF_BELOW, _MOST_BELOW = 10, 30, 600
# As Go writes durations (1m2.5s, 950.4ms, 12µs), ISO 8601 (PT1.25S), and .NET and databases (00:00:01.25).
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?\s*(?:ns|us|µs|μs|ms|s|m|h)\s*){1,4}")
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(ns|us|µs|μs|ms|s|m|h)")
_CLOCK = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d{1,12})?)")
_ENDS_OF_DURATIONS = ("s", "S", "m", "M", "h", "H")
_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
LATENCY_FAULT = f"not a number of milliseconds from 0 to {_MOST}"
_PLAIN = {int, float, type(None)}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def in_words(units: Iterable[str]) -> str:
    """Units as words.

    >>> in_words(["s", "ms"])
    'seconds in some files, milliseconds in others'
    """
    named = [_NAMES[unit] for unit in units]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} in some files, {named[-1]} in others"


def unit_of_times(values: Iterable[object]) -> str:
    """The unit in which most of these numbers are times from 2000 to 2100; empty where none is.

    >>> unit_of_times(["1772359200250", 1772359201250, 17]), unit_of_times(["2026-03-01T10:00:00Z"])
    ('ms', '')
    """
    seen = Counter(unit for value in islice(values, EXAMINED) if (unit := _unit_of_time(value)))
    return seen.most_common(1)[0][0] if seen else ""


def _unit_of_time(value: object) -> str:
    if isinstance(value, str) and (value[4:5] == "-" or not value[:1].isdigit()):
        return ""  # a date, or a word
    number = real(extended(value))
    if number is None:
        return ""
    return next((unit for unit, scale in SCALE.items() if EARLIEST <= number * scale < LATEST), "")


def with_unit(values: pa.Array | list[object], at: TimeFormat, units: Units, key: str) -> TimeFormat:
    """The way times are written, with the unit of plain numbers: one for a file."""
    if at.unit not in ("auto", "iso"):
        return at
    if not units.get(key):
        if isinstance(values, pa.Array) and (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
            return at
        plain = values.slice(0, EXAMINED).to_pylist() if isinstance(values, pa.Array) else values
        if unit := unit_of_times(plain):
            units[key] = unit
    return at._replace(numbers=units.get(key, ""))


def unit_of_latencies(numbers: NDArray[np.float64]) -> str:
    """Whether numbers, called milliseconds, are "ms" or "s"; empty where there are none above zero.

    >>> unit_of_latencies(np.array([1.25, 0.8, 31.5, 2.0])), unit_of_latencies(np.array([950.37, 8.2, 1210.5]))
    ('s', 'ms')
    >>> unit_of_latencies(np.array([3.0, 4.0])), unit_of_latencies(np.array([]))
    ('ms', '')
    """
    there = numbers[np.isfinite(numbers) & (numbers > 0)][:EXAMINED]
    if not len(there):
        return ""
    broken = there[there != np.floor(there)]
    seconds = (
        2 * len(broken) >= len(there)
        and broken.min() < _SOME_BELOW
        and np.median(there) < _HALF_BELOW
        and np.quantile(there, 0.9) < _MOST_BELOW
    )
    return "s" if seconds else "ms"


def latencies(values: pa.Array | list[object], units: Units, key: str) -> tuple[pa.Array, NDArray[np.bool_]]:
    """A column of latencies as whole milliseconds, and a mask of those that do not fit.

    values: numbers, text of numbers, or text with its unit (`1.25s`, `950ms`). units: takes what is decided here.
    """
    if isinstance(values, pa.Array) and pa.types.is_integer(values.type) and units.get(key) != "s":
        least, most = pc.min_max(values).as_py().values()
        if least is not None and 0 <= least and 0 < most <= _MOST:
            units[key] = "ms"  # seconds have a fraction
            return values.cast(pa.int32()), np.zeros(len(values), np.bool_)
    numbers, known, given = _numbers(values)
    if not units.get(key) and (unit := unit_of_latencies(numbers[~known & ~np.isnan(numbers)])):
        units[key] = unit
    scale = np.where(known | (units.get(key) != "s"), 1, 1000)
    scaled = numbers * scale
    fits = (scaled >= 0) & (scaled <= _MOST)  # False for NaN
    whole = np.rint(np.where(fits, scaled, 0)).astype(np.int64)
    return pa.array(whole, mask=~fits).cast(pa.int32()), given & ~fits


def _numbers(values: pa.Array | list[object]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Numbers, NaN for none; which of them are milliseconds whatever the column is in; and where a value was given."""
    if isinstance(values, pa.Array) and pa.types.is_duration(values.type):
        numbers = values.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()).fill_null(np.nan)
        held = numbers.to_numpy(zero_copy_only=False) / 1000
        return held, np.ones(len(held), np.bool_), ~np.isnan(held)
    if isinstance(values, pa.Array) and (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        numbers = values.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
        return numbers, np.zeros(len(numbers), np.bool_), ~np.isnan(numbers)
    listed = values.to_pylist() if isinstance(values, pa.Array) else values
    if set(map(type, listed)) <= _PLAIN:
        try:
            numbers = np.array(listed, np.float64)  # None becomes NaN
        except OverflowError:
            pass  # a number beyond floats: one by one
        else:
            return numbers, np.zeros(len(numbers), np.bool_), ~np.isnan(numbers)
    pairs = [_number(value) for value in listed]
    numbers = np.array([number for number, _ in pairs], np.float64)
    known = np.array([known for _, known in pairs], np.bool_)
    given = np.array([not _is_nothing(value) for value in listed], np.bool_)
    return numbers, known, given


def _is_nothing(value: object) -> bool:
    return (
        value is None or (isinstance(value, str) and value in MISSING) or (isinstance(value, float) and value != value)
    )


def _duration(text: str) -> float | None:
    """Milliseconds of a duration that is written with its units, None for other text.

    >>> _duration("1m2.5s"), _duration("PT1.25S"), _duration("00:00:01.250"), _duration("12.5"), _duration("2µs")
    (62500.0, 1250.0, 1250.0, None, 0.002)
    """
    if text[-1:] in _ENDS_OF_DURATIONS:
        plain = text[2:].lower() if text[:2] == "PT" else text
        if _DURATION.fullmatch(plain):
            return sum(float(number) * _MS[unit] for number, unit in _PART.findall(plain))
    elif ":" in text and (found := _CLOCK.fullmatch(text)):
        return float(found[1]) * 3.6e6 + float(found[2]) * 6e4 + float(found[3]) * 1e3
    return None


def _number(value: object) -> tuple[float, bool]:
    """A number, NaN for none, and whether its unit was written with it: it is in milliseconds then."""
    if isinstance(value, str) and (taken := _duration(value.strip())) is not None:
        return taken, True
    value = extended(value)
    if isinstance(value, timedelta):
        return value / timedelta(milliseconds=1), True
    number = real(value)
    return (float("nan") if number is None else number), False
