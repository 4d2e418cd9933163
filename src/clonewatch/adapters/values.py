"""Converts one foreign value to the type of its column, or None if it does not fit."""

from __future__ import annotations

import re

import msgspec

from clonewatch.adapters.column_types import text_or_hex
from clonewatch.model.schema import SKETCH_SIZE, Column

_TRUTH = dict.fromkeys(("true", "t", "1", "1.0", "yes", "y", "on", "streaming"), True)
_TRUTH |= dict.fromkeys(("false", "f", "0", "0.0", "no", "n", "off", "non-streaming"), False)
# The first number beyond each type.
LIMITS = {"int16": 2**15, "int32": 2**31, "int64": 2**63}
_UINT64 = 2**64
# The least number of a column, and the first beyond it; 0 says that there was no answer.
RANGES = {"status": (100, 1000)}
# How loggers, data frames and databases write "nothing" where text is expected.
MISSING = frozenset(
    (
        "",
        "-",
        "None",
        "none",
        "null",
        "NULL",
        "Null",
        "nil",
        "<nil>",
        "nan",
        "NaN",
        "NAN",
        "\\N",
        "undefined",
        "N/A",
        "n/a",
    )
)
# Headers that a client may send twice; several values mean the same as one list with commas (RFC 9110, 5.3).
_HEADERS = ("user_agent", "client_ip")
_COUNT = Column("count", "int64", "a count")
# Numbers that stand in words: a status line, and a network as address databases write it (AS64500 Example).
_IN_WORDS = {
    # Of the tries of one request, the last one counts.
    "status": re.compile(
        r"[\"']?(?:HTTP/\d(?:\.\d)?\s+)?(?:\d{3}\s*[,:]\s*)*(\d{3})[\"']?(?:\s+[^\d\s:,].*)?", re.DOTALL
    ),
    "asn": re.compile(r"ASN?\s?(\d{1,10})(?:\s.*)?", re.DOTALL | re.IGNORECASE),
}
_LONGEST_IN_WORDS = 128
_EXTENDED = frozenset(
    ("$date", "$oid", "$uuid", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$symbol")
)
# Seconds and their fraction: protocol buffers, document stores and loggers of Java.
_SECONDS = (
    ("seconds", "nanos"),
    ("seconds", "nanoseconds"),
    ("_seconds", "_nanoseconds"),
    ("epochSecond", "nano"),
    ("epochSecond", "nanoOfSecond"),
)


def extended(value: object) -> object:
    """A value that is wrapped in the name of its type: MongoDB's extended JSON, or a time of a protocol buffer.

    >>> extended({"$date": {"$numberLong": "1772359200250"}}), extended({"$oid": "507f"}), extended({"id": 7})
    ('1772359200250', '507f', {'id': 7})
    >>> extended({"seconds": "1772359200", "nanos": 250000000})
    1772359200.25
    """
    for _ in range(2):
        if not isinstance(value, dict) or not 0 < len(value) <= 2:
            return value
        key = next(iter(value))
        if key in _EXTENDED and len(value) == 1:
            value = value[key]
        elif key == "$timestamp" and isinstance(value[key], dict):
            return value[key].get("t")
        elif names := next((names for names in _SECONDS if names[0] in value and value.keys() <= set(names)), None):
            seconds, nanos = real(value[names[0]]), real(value.get(names[1], 0))
            return value if seconds is None or nanos is None else seconds + nanos / 1e9
    return value


def text(value: object, column: Column | None = None) -> str | None:
    """Text as it is, whole numbers and truth values written out, lists and objects as JSON for the messages column.

    Elsewhere a list of one text is that text, and a header that was sent several times is one list with commas.
    """
    if isinstance(value, str):
        return value if value.isascii() or _encodable(value) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    if isinstance(value, list | dict):
        name = column.name if column is not None else ""
        return as_json(value) if name == "messages" else _only(value, name)
    return held if isinstance(value, bytes) and isinstance(held := text_or_hex(value), str) else None


def _only(value: list[object] | dict[str, object], column: str) -> str | None:
    """The one text that a list holds; nothing for objects and for lists whose meaning is not plain."""
    if isinstance(value, dict) or not value or not all(isinstance(one, str) and _encodable(one) for one in value):
        return None
    texts = [str(one) for one in value]
    return ", ".join(texts) if len(texts) == 1 or column in _HEADERS else None


def as_json(value: object) -> str | None:
    """A value as compact JSON, or None if that is impossible."""
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeError, TypeError, RecursionError, msgspec.MsgspecError, OverflowError):
        return None


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def whole(value: object, column: Column) -> int | None:
    """A whole number from 0 to the limit of its column; integral floats and numbers as text count.

    A status may be a status line, a network have its letters.

    >>> from clonewatch.model.schema import EXCHANGES
    >>> column = {c.name: c for c in EXCHANGES.columns}
    >>> whole("200 OK", column["status"]), whole("12.0", column["input_tokens"])
    (200, 12)
    >>> whole(1.25, column["input_tokens"]), whole(-3, column["input_tokens"])
    (None, None)
    """
    least, beyond = RANGES.get(column.name) or (0, LIMITS[column.type])
    if value.__class__ is int:  # by far the most
        return value if least <= value < beyond else None
    if isinstance(value, str):
        value = _in_words(value, column)
    if isinstance(value, str):
        if len(value) > 20:  # cannot fit, and is slow to read
            return None
        try:
            value = int(value)
        except ValueError:
            value = real(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not value.is_integer():  # also infinity and NaN
            return None
        value = int(value)
    return value if least <= value < beyond else None


def count(value: object) -> int | None:
    """A count, also written as text or as a whole float.

    >>> count("9"), count(9.0), count(True), count(9.5)
    (9, 9, None, None)
    """
    return whole(value, _COUNT)


def _in_words(value: str, column: Column) -> str:
    """The number inside a status line, or in the name of a network; other text as it is."""
    known = _IN_WORDS.get(column.name)
    if known is not None and len(value) <= _LONGEST_IN_WORDS and (line := known.fullmatch(value.strip())):
        return str(line[1])
    return value


def real(value: object, column: Column | None = None) -> float | None:
    """A finite number; numbers as text count."""
    if isinstance(value, str):
        return _real(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _finite(value)


def _real(value: str) -> float | None:
    try:
        return _finite(float(value))
    except ValueError:
        return None


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < 3.4e38 else None  # beyond float32, or infinite, or NaN


def truth(value: object, column: Column | None = None) -> bool | None:
    """True or false, also written as databases and data frames do: t and f, on and off, yes and no, 1 and 0.

    >>> truth("t"), truth("off"), truth(1.0), truth("2")
    (True, False, True, None)
    """
    if isinstance(value, bool):
        return value
    return _TRUTH.get(str(value).strip().lower()) if isinstance(value, int | float | str) else None


def unsigned(value: object, column: Column | None = None) -> int | None:
    """An unsigned 64-bit number; decimal or 0x text counts, negative numbers are read as two's complement."""
    if isinstance(value, str):
        try:
            value = int(value, 16 if value[:2].lower() == "0x" else 10) if len(value) <= 20 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value % _UINT64 if -(_UINT64 // 2) <= value < _UINT64 else None


def sketch(value: object, column: Column | None = None) -> list[int] | None:
    """SKETCH_SIZE unsigned 32-bit numbers."""
    if not isinstance(value, list) or len(value) != SKETCH_SIZE:
        return None
    fits = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**32 for v in value)
    return value if fits else None
