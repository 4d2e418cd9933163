"""The messages of an Arrow stream, whose sizes are compared with what they say they expand to before Arrow sees them.

An Arrow file holds such a stream after its first eight bytes. Of the metadata, a FlatBuffer, only the lengths are read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.ipc

from clonewatch.adapters.columnar_bounds import has_too_many_rows
from clonewatch.adapters.streams import MOST_RATIO, RATIO_FROM, head_of
from clonewatch.model.errors import InputError
from clonewatch.ports.adapter import Source

FILE = b"ARROW1"
_FILE_START = 8  # bytes before the stream that a file holds
_CONTINUED = b"\xff\xff\xff\xff"
_MOST_METADATA = 64 << 20
_DICTIONARY, _RECORDS = 2, 3  # kinds of header


class Messages(io.RawIOBase):
    """Reads a stream message by message and ends before one that expands beyond reason. fault: why it ended."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._held, self._at = stream, b"", 0
        self._read = self._expanded = self._rows = 0
        self.fault = ""

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return self._read

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as asked for, fewer at the end."""
        parts, missing = [], size if size is not None and size >= 0 else 1 << 62
        while missing > 0:
            if self._at == len(self._held):
                self._held, self._at = self._message(), 0
                if not self._held:
                    break
            part = self._held[self._at : self._at + missing]
            parts.append(part)
            self._at += len(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _message(self) -> bytes:
        """The next message, empty at the end."""
        if self.fault:
            return b""
        start = self._exactly(4)
        length = self._exactly(4) if start == _CONTINUED else start
        if len(length) < 4:
            return start
        head = start + length if start == _CONTINUED else start
        size = int.from_bytes(length, "little")
        if size > _MOST_METADATA:
            self.fault = "damaged Arrow data"
            return b""
        metadata = self._exactly(size)
        try:
            body = self._exactly(_body_length(metadata)) if metadata else b""
            self._note(metadata, body)
        except (struct.error, ValueError):
            self.fault = "damaged Arrow data"
        return b"" if self.fault else b"".join((head, metadata, body))

    def _note(self, metadata: bytes, body: bytes) -> None:
        """Set `fault` where what was read so far, this message included, expands beyond reason."""
        self._read += len(metadata) + len(body)
        for rows, expanded in _sizes(metadata, body):
            self._rows += rows
            self._expanded += expanded
        if self._expanded > max(RATIO_FROM, MOST_RATIO * self._read):
            self.fault = f"Arrow data that expands more than {MOST_RATIO}-fold"
        if has_too_many_rows(self._rows, self._read):
            self.fault = "more rows than its bytes can hold"

    def _exactly(self, size: int) -> bytes:
        """As many bytes as there are, up to a size; never more is allocated than was read."""
        parts = []
        while size > 0 and (part := self._stream.read(min(size, 1 << 20))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def streamed(source: Source) -> tuple[Messages, pa.ipc.RecordBatchStreamReader]:
    """The batches of an Arrow file or stream, one after another. Raises InputError where it does not begin as one."""
    messages = Messages(source.stream)
    try:
        if head_of(source.stream).startswith(FILE):
            source.stream.read(_FILE_START)
        return messages, pa.ipc.open_stream(messages)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise incomplete(source) from error


def incomplete(source: Source, fault: str = "") -> InputError:
    """The error for an Arrow file that ends too soon. fault: why it was not read to its end, if not for that."""
    return InputError(fault or "not a complete Arrow file; it may be truncated", where=source.name, fix="Copy it again")


def _body_length(metadata: bytes) -> int:
    at = _field(metadata, _root(metadata), 3)
    length = struct.unpack_from("<q", metadata, at)[0] if at else 0
    if length < 0:
        raise ValueError("negative length")
    return int(length)


def _sizes(metadata: bytes, body: bytes) -> Iterator[tuple[int, int]]:
    """Rows and decompressed bytes of a message that holds values."""
    if not metadata:
        return
    message = _root(metadata)
    kind, header = _field(metadata, message, 1), _field(metadata, message, 2)
    if not kind or not header or metadata[kind] not in (_DICTIONARY, _RECORDS):
        return
    batch = _follow(metadata, header)
    if metadata[kind] == _DICTIONARY:
        inner = _field(metadata, batch, 1)
        if not inner:
            return
        batch = _follow(metadata, inner)
    length = _field(metadata, batch, 0)
    rows = struct.unpack_from("<q", metadata, length)[0] if length else 0
    expanded = 0
    if _field(metadata, batch, 3):  # compressed: each buffer begins with its size
        for offset, size in _structs(metadata, _field(metadata, batch, 2)):
            if size >= 8:
                expanded += max(0, struct.unpack_from("<q", body, offset)[0])
    yield max(int(rows), *(abs(n) >> 6 for n, _ in _structs(metadata, _field(metadata, batch, 1))), 0), expanded


def _root(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 0)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table is; 0 where it is left out."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + int(offset) if offset else 0


def _follow(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _structs(data: bytes, at: int) -> list[tuple[int, int]]:
    """A list of pairs of 64-bit numbers."""
    if not at:
        return []
    start = _follow(data, at)
    count = struct.unpack_from("<I", data, start)[0]
    if count * 16 > len(data):
        raise ValueError("longer than its message")
    numbers = struct.unpack_from(f"<{2 * count}q", data, start + 4)
    return list(zip(numbers[::2], numbers[1::2], strict=True))
