"""Physical types of columns that mean a plain one: decimals, nanoseconds, dates, durations, text in a dictionary.

Databases export account ids, counts and times as decimals, frames export nanoseconds, and either may stand inside the
structs of a list of messages.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_WHOLE = pa.decimal128(38, 0)
_LEAST_ID, MOST_ID = 12, 32  # bytes of an id that is no text: those of MongoDB, UUIDs, hashes


def plain(values: pa.Array) -> pa.Array:
    """A column as whole numbers, floats, text, microseconds or milliseconds; others as they are.

    >>> from decimal import Decimal
    >>> plain(pa.array([Decimal("7.00")])).to_pylist(), plain(pa.array([Decimal("0.5")])).to_pylist()
    ([7], [0.5])
    """
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        values, kind = values.storage, values.type.storage_type
    if pa.types.is_run_end_encoded(kind):
        values, kind = pc.run_end_decode(values), kind.value_type
    if pa.types.is_dictionary(kind):
        nested = pa.types.is_nested(kind.value_type)
        values = values.dictionary.take(values.indices) if nested else values.dictionary_decode()
        kind = kind.value_type
    if pa.types.is_decimal(kind):
        return _whole_or_real(values)
    target = _plain_type(kind)
    if target == kind:
        return values
    try:
        return values.cast(target, safe=False)
    except pa.ArrowNotImplementedError:
        return pa.array(values.to_pylist())


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if any(is_kind(kind) for is_kind in _LISTS):
        inner = _plain_type(kind.value_type)
        return kind if inner == kind.value_type else pa.list_(inner)
    if pa.types.is_map(kind):
        key, item = _plain_type(kind.key_type), _plain_type(kind.item_type)
        return kind if (key, item) == (kind.key_type, kind.item_type) else pa.map_(key, item)
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        made = [pa.field(field.name, _plain_type(field.type)) for field in fields]
        return kind if all(a.type == b.type for a, b in zip(fields, made, strict=True)) else pa.struct(made)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_date(kind):
        return pa.timestamp("us", "UTC")
    if pa.types.is_duration(kind):
        return pa.duration("ms")
    return pa.float64() if pa.types.is_decimal(kind) else kind


_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def _whole_or_real(values: pa.Array) -> pa.Array:
    """Decimals as whole numbers where all are, as text where those are long, otherwise as floats."""
    try:
        exact = values.cast(_WHOLE)
    except pa.ArrowInvalid:
        listed = values.to_pylist()
        if any(one is not None and one != one.to_integral_value() for one in listed):
            return values.cast(pa.float64(), safe=False)
        # More digits than a number has here: as text, so that two ids never become one.
        return pa.array([None if one is None else f"{one.to_integral_value():f}" for one in listed], pa.string())
    try:
        return exact.cast(pa.int64())
    except pa.ArrowInvalid:
        return exact.cast(pa.string())


def text_or_hex(one: bytes | None) -> str | bytes | None:
    r"""Bytes as the text that they are; an id that is none, such as a UUID, in hexadecimal; others stay bytes.

    >>> text_or_hex(b"acme"), text_or_hex(bytes(15) + b"\x07"), text_or_hex(b"\xff")
    ('acme', '00000000000000000000000000000007', b'\xff')
    """
    if one is None:
        return None
    try:
        text = one.decode()
    except UnicodeDecodeError:
        return one.hex() if _LEAST_ID <= len(one) <= MOST_ID else one
    is_text = text.isprintable() or all(c.isprintable() or c.isspace() for c in text)
    return text if is_text or not _LEAST_ID <= len(one) <= MOST_ID else one.hex()
