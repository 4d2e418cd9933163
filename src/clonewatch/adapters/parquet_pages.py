"""The pages of a Parquet column chunk: what each decodes to, from its header, before anything is decoded.

A header is a structure of Thrift's compact protocol. The footer says less, and need not be true.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

DICTIONARY = 2  # kind of page
DELTA_TEXT = 7  # encoding in which a value repeats the start of the one before it for a few bits
_HEADER, _LONG_HEADER = 512, 1 << 20  # bytes; a header is long only where it holds long values as statistics
_FIRST = 32 << 10  # bytes of a chunk that are read at once; most columns of a log are small
_MOST_DICTIONARY = 64 << 20
_DEEPEST = 8
_BROKEN = (struct.error, IndexError, ValueError, OverflowError, OSError, pa.ArrowException)
# Kinds of values in the compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_WHOLE = (4, 5, 6)


class Page(NamedTuple):
    """One page. at: of its data in the file. packed, size: bytes of it on disk and decompressed."""

    kind: int
    at: int
    packed: int
    size: int
    values: int
    encoding: int


def pages(handle: int, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """The pages of a chunk in an open file, up to the first that is damaged."""
    at = _start(chunk)
    end = at + chunk.total_compressed_size
    first, start = os.pread(handle, max(0, min(_FIRST, end - at)), max(0, at)), at
    while 0 <= at < end:
        try:
            fields, length = _header(handle, at, first[at - start : at - start + _HEADER])
            told = fields.get(7) or fields.get(8) or fields.get(5) or {}
            encoding = told.get(4 if 8 in fields else 2, 0)
            found = Page(fields[1], at + length, max(0, fields[3]), max(0, fields[2]), told.get(1, 0), encoding)
        except (*_BROKEN, KeyError, TypeError, AttributeError):
            return
        yield found
        at = found.at + found.packed


def _start(chunk: pq.ColumnChunkMetaData) -> int:
    """Where the first page of a chunk begins, as Arrow finds it."""
    data, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
    return int(dictionary if dictionary and 0 < dictionary < data else data)


def longest(handle: int, page: Page, chunk: pq.ColumnChunkMetaData) -> int:
    """Bytes of the longest value in a dictionary page; where that cannot be found, the most that it may be."""
    most = page.size
    if page.size > _MOST_DICTIONARY or not page.values:
        return most
    try:
        data = os.pread(handle, page.packed, page.at)
        if chunk.compression != "UNCOMPRESSED":
            codec = {"LZ4": "lz4_raw"}.get(chunk.compression, chunk.compression.lower())
            data = _codec(codec).decompress(data, decompressed_size=page.size)
        return _longest(memoryview(data), page.values)
    except _BROKEN:
        return most


@cache
def _codec(name: str) -> pa.Codec:
    return pa.Codec(name)


def _longest(data: bytes | memoryview, values: int) -> int:
    r"""Bytes of the longest of so many values, each after its length. Raises ValueError where they do not fit.

    >>> _longest(b"\2\0\0\0ab" * 3 + b"\1\0\0\0c", 4)
    2
    """
    whole, first = np.frombuffer(data, np.uint8), int.from_bytes(data[:4], "little")
    if len(data) == values * (first + 4) and (np.ndarray(values, "<u4", data, 0, (first + 4,)) == first).all():
        return first
    for search in (_short_lengths, _lengths):
        found = search(whole, values)
        if found is not None:
            return int(found.max())
    at = most = 0
    unpack, end = struct.Struct("<I").unpack_from, len(data)
    for _ in range(values):
        (length,) = unpack(data, at)
        at += 4 + length
        most = max(most, length)
    if at > end:
        raise ValueError("longer than its page")
    return most


def _short_lengths(data: NDArray[np.uint8], values: int) -> NDArray[np.uint8] | None:
    """The same for values of 1 to 255 bytes, which is faster: three zeros end a length. None if they are others."""
    zero = data == 0
    ended = zero[1:-2] & zero[2:-1]
    ended &= zero[3:]
    starts = np.flatnonzero(ended)
    if len(starts) != values or starts[0] != 0:
        return None
    lengths = data[starts]
    ends = starts + 4 + lengths
    return lengths if (ends[:-1] == starts[1:]).all() and ends[-1] == len(data) else None


def _lengths(data: NDArray[np.uint8], values: int) -> NDArray[np.int64] | None:
    """The lengths of values without zeros, which stand in no text: two zeros end a length. None if they are others."""
    zeros = np.flatnonzero(data == 0)
    follows = np.diff(zeros, append=len(data)) == 1
    # The last two bytes of lengths, and not zeros before them.
    starts = zeros[:-1][follows[:-1] & ~follows[1:]] - 2
    if len(starts) != values or starts[0] != 0:
        return None
    lengths = data[starts].astype(np.int64) + (data[starts + 1].astype(np.int64) << 8)
    ends = starts + 4 + lengths
    # Each begins where the one before it ends, so there is no other way to read them.
    return lengths if (ends[:-1] == starts[1:]).all() and ends[-1] <= len(data) else None


def _header(handle: int, at: int, held: bytes) -> tuple[dict[int, Any], int]:
    """The fields of the header that begins here, and its length in bytes. held: bytes from there, if they are known."""
    try:
        return _struct(held or os.pread(handle, _HEADER, at), 0)
    except IndexError:
        return _struct(os.pread(handle, _LONG_HEADER, at), 0)


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a structure by number, and where it ends. Raises IndexError where the data ends before."""
    found: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _whole(data, at)
        # The two kinds that most fields have are read in place: a file has thousands of headers.
        if kind in _WHOLE and data[at] < 128:
            found[number] = (data[at] >> 1) ^ -(data[at] & 1)
            at += 1
        elif kind == _BINARY and data[at] < 128:
            at += 1 + data[at]
        else:
            found[number], at = _value(data, at, kind, depth)
    return found, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if kind in _WHOLE:
        return _whole(data, at)
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    if kind == _BINARY:
        length, at = _varint(data, at)
        return None, at + length
    if kind in (_BYTE, _DOUBLE):
        return None, at + (1 if kind == _BYTE else 8)
    if kind in (_LIST, _SET):
        head, at = data[at], at + 1
        count, inner = head >> 4, head & 15
        if count == 15:
            count, at = _varint(data, at)
        if count > len(data):
            raise ValueError("longer than its header")
        for _ in range(count):
            # Truth values of a list take a byte each.
            _, at = _value(data, at, _BYTE if inner in (_TRUE, _FALSE) else inner, depth + 1)
        return None, at
    raise ValueError("no page header")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("no number")


def _whole(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at
