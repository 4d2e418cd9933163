"""The messages of an Arrow stream, whose sizes are compared with what they say they expand to before Arrow sees them.

An Arrow file holds such a stream after its first eight bytes. Of the metadata, a FlatBuffer, only the lengths are read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.ipc

from clonewatch.adapters.columnar_bounds import has_too_many_rows
from clonewatch.adapters.streams import Stream, head_of, limits_of
from clonewatch.model.errors import InputError
from clonewatch.model.limits import Limits
from clonewatch.model.text_files import plain
from clonewatch.ports.adapter import Source

FILE = b"ARROW1"
_FILE_START = 8  # bytes before the stream that a file holds
_CONTINUED = b"\xff\xff\xff\xff"
_MOST_METADATA = 64 << 20
# What lengths and places in damaged metadata raise.
_BROKEN = (struct.error, ValueError, IndexError, OverflowError, OSError)
_DAMAGED = "damaged Arrow data"
_DICTIONARY, _RECORDS = 2, 3  # kinds of header


class Sizes:
    """What the messages so far take and expand to. read: bytes of them. fault: what is beyond reason, or damaged."""

    def __init__(self, limits: Limits) -> None:
        self.read, self.fault, self._limits = 0, "", limits
        self._expanded = self._rows = 0

    def note(self, metadata: bytes, body: int, eight: Callable[[int], bytes]) -> None:
        """Count one message. body: its bytes. eight: the eight bytes at a place in its body."""
        self.read += len(metadata) + body
        for rows, expanded in _sizes(metadata, eight):
            self._rows += rows
            self._expanded += expanded
        if self._limits.is_beyond(self._expanded, self.read):
            self.fault = f"Arrow data that {self._limits.too_expanded}"
        if has_too_many_rows(self._rows, self.read):
            self.fault = "more rows than its bytes can hold, which is a fixed bound"


class FileMessages:
    """The messages of an Arrow file on disk: looked over beforehand, so that Arrow itself reads as many as are sound.

    batches: of exchanges before the first that is not. size: bytes of the file. fault: as of Messages.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self.batches, sizes = 0, Sizes(limits)
        with Path(path).open("rb") as file:
            self.size = file.seek(0, 2)
            file.seek(_FILE_START)
            try:
                while not sizes.fault and (metadata := _metadata(file)):
                    start, length = file.tell(), _body_length(metadata)
                    sizes.note(metadata, length, lambda at, start=start: _eight(file, start + at))  # type: ignore[misc]
                    self.batches += not sizes.fault and _kind(metadata) == _RECORDS
                    file.seek(start + length)
            except _BROKEN:
                sizes.fault = _DAMAGED
        self.fault = sizes.fault


def _metadata(file: BinaryIO) -> bytes:
    """The metadata of the message that begins here; empty at the end of the stream."""
    start = file.read(4)
    length = file.read(4) if start == _CONTINUED else start
    size = int.from_bytes(length, "little")
    if len(length) < 4 or size > _MOST_METADATA:
        raise ValueError("no message")
    return file.read(size)


def _eight(file: BinaryIO, at: int) -> bytes:
    file.seek(at)
    return file.read(8)


class Messages(io.RawIOBase):
    """Reads a stream message by message and ends before one that expands beyond reason. fault: why it ended."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held: list[bytes] = []
        self.sizes = Sizes(limits_of(stream))

    @property
    def fault(self) -> str:
        """Why it ended before its end; empty if it did not."""
        return self.sizes.fault

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return self.sizes.read

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as asked for, fewer at the end."""
        parts, missing = [], size if size is not None and size >= 0 else 1 << 62
        while missing > 0:
            if not self._held:
                self._held = self._message()
                if not self._held:
                    break
            part = self._held.pop(0)
            if len(part) > missing:  # a body is asked for whole, and not copied
                self._held.insert(0, part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _message(self) -> list[bytes]:
        """The next message in pieces, empty at the end."""
        if self.fault:
            return []
        start = self._exactly(4)
        length = self._exactly(4) if start == _CONTINUED else start
        if len(length) < 4:
            return [start] if start else []
        size = int.from_bytes(length, "little")
        if size > _MOST_METADATA:
            self.sizes.fault = _DAMAGED
            return []
        metadata, body = self._exactly(size), b""
        try:
            body = self._exactly(_body_length(metadata)) if metadata else body
            self.sizes.note(metadata, len(body), lambda at: body[at : at + 8])
        except _BROKEN:
            self.sizes.fault = _DAMAGED
        pieces = [start + length if start == _CONTINUED else start, metadata, body]
        return [] if self.fault else [piece for piece in pieces if piece]

    def _exactly(self, size: int) -> bytes:
        """As many bytes as there are, up to a size; never more is allocated than was read."""
        parts = []
        while size > 0 and (part := self._stream.read(min(size, 1 << 20))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def streamed(source: Source) -> tuple[Messages | FileMessages, Iterator[pa.RecordBatch], pa.Schema]:
    """The batches of an Arrow file or stream, one after another. Raises InputError where it does not begin as one."""
    try:
        is_file = head_of(source.stream).startswith(FILE)
        if is_file and source.path is not None and not (isinstance(source.stream, Stream) and source.stream.packed):
            held = FileMessages(source.path, limits_of(source.stream))
            path = source.path
            file = pa.OSFile(path) if plain(path) == path else pa.PythonFile(Path(path).open("rb"), "r")
            file.seek(_FILE_START)
            reader = pa.ipc.open_stream(file)
            return held, islice(reader, held.batches if held.fault else None), reader.schema
        messages = Messages(source.stream)
        if is_file:
            source.stream.read(_FILE_START)
        reader = pa.ipc.open_stream(messages)
        return messages, iter(reader), reader.schema
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


def _kind(metadata: bytes) -> int:
    at = _field(metadata, _root(metadata), 1)
    return metadata[at] if at else 0


def _sizes(metadata: bytes, eight: Callable[[int], bytes]) -> Iterator[tuple[int, int]]:
    """Rows and decompressed bytes of a message that holds values."""
    if not metadata or _kind(metadata) not in (_DICTIONARY, _RECORDS):
        return
    header = _field(metadata, _root(metadata), 2)
    if not header:
        return
    batch = _follow(metadata, header)
    if _kind(metadata) == _DICTIONARY:
        inner = _field(metadata, batch, 1)
        if not inner:
            return
        batch = _follow(metadata, inner)
    length = _field(metadata, batch, 0)
    rows = struct.unpack_from("<q", metadata, length)[0] if length else 0
    expanded = 0
    if _field(metadata, batch, 3):  # compressed: each buffer begins with its size
        for offset, size in _structs(metadata, _field(metadata, batch, 2)):
            if size >= 8 and offset >= 0:
                expanded += max(0, struct.unpack("<q", eight(offset))[0])
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
