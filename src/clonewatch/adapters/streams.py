"""The bytes of a file, counted and hashed while they are read, decompressed within limits, and as UTF-8."""

from __future__ import annotations

import codecs
import hashlib
import io
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from clonewatch.adapters.notes import Notes
from clonewatch.adapters.unpacking import MAGIC, Damaged, packing, unpacked
from clonewatch.model.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD = 64 * 1024  # bytes examined to detect a format
_CHUNK = 1 << 20
# Byte order marks, that of UTF-32 before that of UTF-16, which it begins with.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where the zeros are beside ASCII.
_ZEROS = {
    b"\1\0\0\0": "utf-32-le",
    b"\0\0\0\1": "utf-32-be",
    b"\1\0\1\0": "utf-16-le",
    b"\0\1\0\1": "utf-16-be",
}


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
    def place(self) -> str | None:
        """Where the file is on disk; None for a pipe and for bytes in memory."""
        name = getattr(self._raw, "name", None)
        return name if isinstance(name, str) and self.size is not None else None

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
    """Decompressed bytes of a tally; how it is packed is detected by its first bytes, and so is UTF-16.

    The members of an archive follow each other; so do the messages of a collector, which packs each one. packed:
    "gzip", "zstd", "framed zstd", "bzip2", "xz", "zip", "tar" or "". torn: after the end, what was wrong with it, "" if
    it ended well: truncated compressed data yields the bytes so far, then ends. notes: the messages of its reader.
    limits: on what is read from it. Logs compress 5- to 50-fold; far beyond that, it is a decompression bomb.
    progress: bytes done, for readers that read by path and not from this stream.
    """

    def __init__(self, tally: Tally, limits: Limits = DEFAULT) -> None:
        self.tally, self.torn, self.notes, self.limits = tally, "", Notes(), limits
        self.progress: int | None = None
        self._held = b""
        self._head: bytes | None = None
        magic = b""
        while len(magic) < MAGIC and (more := tally.read(HEAD if not magic else MAGIC - len(magic))):
            magic += more
        self.packed, self._encoding = packing(magic), ""
        self._pieces: Iterator[bytes] = _with_line_ends(
            self._decoded(unpacked(self.packed, _raw_pieces(magic, tally), tally.place))
        )
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

    def end(self, why: str) -> None:
        """End the stream before its end, and say why unless something was wrong with it already."""
        self.torn = self.torn or why
        self._held, self._pieces = b"", iter(())

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

    @property
    def packing(self) -> str:
        """How the file is compressed and encoded, in words; empty for plain UTF-8."""
        words = [f"in {self.packed.removeprefix('framed ')}" if self.packed else "", self._encoding.upper()]
        return ", ".join(filter(None, words))

    def _decoded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same text as UTF-8, where it is UTF-16 or UTF-32."""
        first = b""
        while len(first) < 4 and (more := next(pieces, b"")):
            first += more
        self._encoding, mark = _wide(first)
        if not self._encoding:
            if first:
                yield first
            yield from pieces
            return
        decode = codecs.getincrementaldecoder(self._encoding)("replace").decode
        yield decode(first[mark:]).encode("utf-8", "replace")
        for piece in pieces:
            yield from filter(None, [decode(piece).encode("utf-8", "replace")])
        yield decode(b"", True).encode("utf-8", "replace")

    def _next(self) -> bytes:
        try:
            data = next(self._pieces, b"")
        except (zlib.error, zstandard.ZstdError, Damaged) as error:
            said = str(error) if isinstance(error, Damaged) else ""
            self.torn = said or f"the {self.packed} data is damaged"
        except EOFError:
            self.torn = f"the {self.packed} data is truncated"
        else:
            self._out += len(data)
            packed = self.tally.size if self.packed == "zip" else self.tally.done
            if self.packed and self.limits.is_beyond(self._out, packed or 1):
                self.torn = f"the {self.packed} data {self.limits.too_expanded}"
            else:
                return data
        self._pieces = iter(())
        return b""


def _with_line_ends(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes; text whose lines end in a carriage return alone, as old spreadsheets write it, in line feeds."""
    first = next(pieces, b"")
    head = first[:HEAD]
    alone = b"\r" in head and b"\n" not in head and b"\x00" not in head
    for piece in chain((first,) if first else (), pieces):
        yield piece.replace(b"\r", b"\n") if alone else piece


def _wide(first: bytes) -> tuple[str, int]:
    """The encoding of text that starts like this and the size of its mark; empty where neither mark nor zeros say so.

    >>> _wide("{ }".encode("utf-16-le")), _wide(codecs.BOM_UTF32_BE), _wide(b'{"a"')
    (('utf-16-le', 0), ('utf-32-be', 4), ('', 0))
    """
    for mark, name in _WIDE:
        if first.startswith(mark):
            return name, len(mark)
    begins = first[:4]
    return _ZEROS.get(bytes(map(bool, begins)), "") if begins.isascii() else "", 0


def _raw_pieces(first: bytes, tally: Tally) -> Iterator[bytes]:
    yield first
    yield from iter(lambda: tally.read(_CHUNK), b"")


def notes_of(stream: BinaryIO) -> Notes:
    """The notes of a stream; for a plain stream, notes that are discarded."""
    return stream.notes if isinstance(stream, Stream) else Notes()


def limits_of(stream: BinaryIO | None) -> Limits:
    """The limits on what is read from a stream; the defaults for a plain one."""
    return stream.limits if isinstance(stream, Stream) else DEFAULT


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
