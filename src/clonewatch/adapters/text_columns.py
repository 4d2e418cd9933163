"""Columns of text: as plain values, as bytes, and questions about all texts at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_SPACE, _NOT_ASCII = 0x20, 0x80


def pylist(values: pa.Array) -> list[object]:
    """A column as plain values; text with U+FFFD in place of bytes that are not UTF-8: nobody may hide a row by one."""
    try:
        return list(values.to_pylist())
    except UnicodeDecodeError:
        return [None if v is None else v.decode("utf-8", "replace") for v in as_bytes(values).to_pylist()]


def as_bytes(values: pa.Array) -> pa.Array:
    """A column of text as its bytes."""
    return values.view(pa.large_binary() if pa.types.is_large_string(values.type) else pa.binary())


def blank(values: pa.Array) -> pa.Array:
    """Which values are null, or text of white space alone."""
    if not pa.types.is_string(values.type):
        return values.is_null()
    held = text_of(values)
    if len(held) and held.min() > _SPACE and held.max() < _NOT_ASCII:  # no white space in any of them
        return pc.equal(pc.binary_length(values), 0).fill_null(True)
    return pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values.fill_null(""))), 0)


def replaced(values: pa.Array) -> NDArray[np.bool_]:
    """Which texts have U+FFFD in place of bytes that are no UTF-8."""
    held = text_of(values)
    if not len(held) or held.max() < _NOT_ASCII:
        return np.zeros(len(values), np.bool_)
    return np.asarray(pc.match_substring(values, "\ufffd").fill_null(False))


def text_of(values: pa.Array) -> NDArray[np.uint8]:
    """The bytes of all texts of a column, one after another: a question about all is answered by one look at them.

    >>> text_of(pa.array(["a", None, "bc"])).tobytes()
    b'abc'
    """
    _, offsets, held = values.buffers()
    width = np.int64 if pa.types.is_large_string(values.type) else np.int32
    if not len(values) or held is None:
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(held, np.uint8)[ends[0] : ends[-1]]
