"""The bytes of a file, counted and hashed while they are read, and decompressed within limits."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from clonewatch.adapters.notes import Notes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD = 64 * 1024  # bytes examined to detect a format
_CHUNK = 1 << 20
# A zstd block of 4 bytes can expand to 128 KiB: small pieces limit the result of one call to about 32 MiB.
_ZSTD_PIECE = 1024
_ZSTD_WINDOW = 1 << 27  # 128 MiB, the format's recommended limit for decoders
# Logs compress 5- to 50-fold. Beyond this ratio, and a size that fits in memory, it is a decompression bomb.
MOST_RATIO = 500
RATIO_FROM = 256 << 20


class Tally(io.RawIOBase):
    """A file read up to the size it had when opened; `done` counts the bytes, `sha256` covers all at the end."""

    def __init__(self, raw: BinaryIO, size: int | None) -> None:
        self._raw, self.size, self.done = raw, size, 0
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to this many bytes, fewer at the end; bytes appended since opening are left for the next run."""
        limit = _CHUNK if size is None or size < 0 else size
        if self.size is not None:
            limit = min(limit, self.size - self.done)
        data = self._raw.read(limit) if limit > 0 else b""
        self._hash.update(data)
        self.done += len(data)
        return data

    @property
    def sha256(self) -> str:
        """SHA-256 in hex of what was read; reads the rest first."""
        while self.read(_CHUNK):
            pass
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file as well."""
        self._raw.close()
        super().close()


class Stream(io.RawIOBase):
    """Decompressed bytes of a tally; gzip and zstd are detected by their first bytes.

    packed: "gzip", "zstd" or "". torn: after the end, what was wrong with it, "" if it ended well: truncated
    compressed data yields the bytes so far, then ends. notes: the messages of its reader. progress: bytes done, for
    readers that read by path and not from this stream.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally, self.torn, self.notes = tally, "", Notes()
        self.progress: int | None = None
        self._held = b""
        self._head: bytes | None = None
        magic = b""
        while len(magic) < 4 and (more := tally.read(_CHUNK if not magic else 4 - len(magic))):
            magic += more
        self.packed = "gzip" if magic[:2] == b"\x1f\x8b" else "zstd" if magic[:4] == b"\x28\xb5\x2f\xfd" else ""
        unpack = {"gzip": _gunzip, "zstd": _unzstd, "": _plain}[self.packed]
        self._pieces: Iterator[bytes] = unpack(_raw_pieces(magic, tally))
        self._out = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def head(self) -> bytes:
        """The first 64 KiB, which can be read again and stay the same whatever has been read since."""
        if self._head is None:
            while len(self._held) < HEAD and (more := self._next()):
                self._held += more
            self._head = self._held[:HEAD]
        return self._head

    def read(self, size: int = -1, /) -> bytes:
        """Up to this many bytes, empty only at the end; all of it for a negative size."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        self.head()
        data = self._held or self._next()
        self._held = data[size:]
        return data[:size]

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as one read goes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file as well."""
        self.tally.close()
        super().close()

    @property
    def done(self) -> int:
        """Bytes of the file that were read."""
        return self.tally.done if self.progress is None else self.progress

    def _next(self) -> bytes:
        try:
            data = next(self._pieces, b"")
        except (zlib.error, zstandard.ZstdError):
            self.torn = f"the {self.packed} data is damaged"
        except EOFError:
            self.torn = f"the {self.packed} data is truncated"
        else:
            self._out += len(data)
            if self.packed and self._out > RATIO_FROM and self._out > MOST_RATIO * self.tally.done:
                self.torn = f"the {self.packed} data expands more than {MOST_RATIO}-fold"
            else:
                return data
        self._pieces = iter(())
        return b""


def _raw_pieces(first: bytes, tally: Tally) -> Iterator[bytes]:
    yield first
    yield from iter(lambda: tally.read(_CHUNK), b"")


def _plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    return (piece for piece in pieces if piece)


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    member, inside = zlib.decompressobj(wbits=31), True
    for piece in pieces:
        data = piece
        while data:
            if not inside:
                data = data.lstrip(b"\0")  # padding between and after members
                if not data:
                    break
                member, inside = zlib.decompressobj(wbits=31), True
            out = member.decompress(data, _CHUNK)
            if out:
                yield out
            inside = not member.eof
            data = member.unused_data if member.eof else member.unconsumed_tail
    if inside:
        while out := member.decompress(member.unconsumed_tail, _CHUNK):
            yield out
        if not member.eof:
            raise EOFError


def _unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    factory = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame, inside = factory.decompressobj(), False
    for piece in pieces:
        for start in range(0, len(piece), _ZSTD_PIECE):
            data = piece[start : start + _ZSTD_PIECE]
            while data:
                if not inside:
                    frame, inside = factory.decompressobj(), True
                out = frame.decompress(data)
                if out:
                    yield out
                inside = not frame.eof
                data = frame.unused_data if frame.eof else b""
    if inside:
        raise EOFError


def notes_of(stream: BinaryIO) -> Notes:
    """The notes of a stream; for a plain stream, notes that are discarded."""
    return stream.notes if isinstance(stream, Stream) else Notes()


def head_of(stream: BinaryIO) -> bytes:
    """The first bytes of a stream, which can be read again; empty for a plain stream that cannot be rewound."""
    if isinstance(stream, Stream):
        return stream.head()
    if not stream.seekable():
        return b""
    at = stream.tell()
    head = stream.read(HEAD)
    stream.seek(at)
    return head
