"""The bytes of a file, counted and hashed while they are read, decompressed within limits, and as UTF-8."""

from __future__ import annotations

import bz2
import codecs
import hashlib
import io
import lzma
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import IO, TYPE_CHECKING, BinaryIO

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
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZIP = b"PK\x03\x04"
_BZ2 = re.compile(rb"BZh[1-9]1AY")
# The collector's file exporter writes the length of each message before it; a longer one is none of its messages.
_MOST_MESSAGE = 64 << 20
_UTF16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# What a damaged, encrypted or exotic archive raises, depending on where it is read.
# A line between two tables of an archive, each of which has its own header: ASCII's group separator.
NEXT_TABLE = b"\x1d"
_MOST_DEPTH = 3  # archives in archives
_MOST_NESTED = 1 << 30  # bytes of a zip archive in another one, which is kept in a temporary file
_SPOOLED = 32 << 20  # bytes of it in memory
_ZIP_DAMAGE = (zipfile.BadZipFile, RuntimeError, ValueError, OSError, lzma.LZMAError, struct.error)


class _Damaged(Exception):
    """Compressed data that cannot be decompressed."""


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
    """Decompressed bytes of a tally; gzip, zstd, bzip2 and zip are detected by their first bytes, and so is UTF-16.

    The members of a zip archive follow each other; so do the messages of a collector, which packs each one. packed:
    "gzip", "zstd", "framed zstd", "bzip2", "zip" or "". torn: after the end, what was wrong with it, "" if it ended
    well: truncated compressed data yields the bytes so far, then ends. notes: the messages of its reader. progress:
    bytes done, for readers that read by path and not from this stream.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally, self.torn, self.notes = tally, "", Notes()
        self.progress: int | None = None
        self._held = b""
        self._head: bytes | None = None
        magic = b""
        while len(magic) < 8 and (more := tally.read(_CHUNK if not magic else 8 - len(magic))):
            magic += more
        self.packed, self._encoding = _packing(magic), ""
        self._pieces: Iterator[bytes] = _with_line_ends(self._decoded(_unpacked(self.packed, magic, tally)))
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
        """The same text as UTF-8, where it is UTF-16."""
        first = b""
        while len(first) < 4 and (more := next(pieces, b"")):
            first += more
        self._encoding = _utf16(first)
        if not self._encoding:
            if first:
                yield first
            yield from pieces
            return
        decode = codecs.getincrementaldecoder(self._encoding)("replace").decode
        yield decode(first.removeprefix(codecs.BOM_UTF16_LE).removeprefix(codecs.BOM_UTF16_BE)).encode(
            "utf-8", "replace"
        )
        for piece in pieces:
            yield from filter(None, [decode(piece).encode("utf-8", "replace")])
        yield decode(b"", True).encode("utf-8", "replace")

    def _next(self) -> bytes:
        try:
            data = next(self._pieces, b"")
        except (zlib.error, zstandard.ZstdError, _Damaged) as error:
            said = str(error) if isinstance(error, _Damaged) else ""
            self.torn = said or f"the {self.packed} data is damaged"
        except EOFError:
            self.torn = f"the {self.packed} data is truncated"
        else:
            self._out += len(data)
            packed = self.tally.size if self.packed == "zip" else self.tally.done
            if self.packed and self._out > RATIO_FROM and self._out > MOST_RATIO * (packed or 1):
                self.torn = f"the {self.packed} data expands more than {MOST_RATIO}-fold"
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


def _packing(magic: bytes) -> str:
    """How a file with these first bytes is compressed."""
    if magic[:2] == b"\x1f\x8b":
        return "gzip"
    if magic[:4] == _ZSTD:
        return "zstd"
    if magic[4:8] == _ZSTD and int.from_bytes(magic[:4], "big") <= _MOST_MESSAGE:
        return "framed zstd"
    return "bzip2" if _BZ2.match(magic) else "zip" if magic[:4] == _ZIP else ""


def _unpacked(packed: str, first: bytes, tally: Tally) -> Iterator[bytes]:
    if packed == "zip" and tally.place is not None:
        return _unzip(tally.place, 1)
    unpack = _UNPACK.get(packed)
    pieces = _raw_pieces(first, tally)
    return _plain(pieces) if unpack is None else _inside(unpack(pieces), 1)


def _inside(pieces: Iterator[bytes], depth: int) -> Iterator[bytes]:
    """The bytes that came out of an archive, where they are an archive themselves unpacked too."""
    first = b""
    while len(first) < 8 and (more := next(pieces, b"")):
        first += more
    packed = _packing(first)
    whole = chain((first,) if first else (), pieces)
    if not packed:
        yield from whole
    elif depth >= _MOST_DEPTH:
        raise _Damaged(f"archives are nested more than {_MOST_DEPTH} deep; unpack them first")
    elif packed == "zip":
        # A zip archive is read from its end.
        with tempfile.SpooledTemporaryFile(_SPOOLED) as held:
            for piece in whole:
                if held.tell() + len(piece) > _MOST_NESTED:
                    raise _Damaged(f"an archive of more than {_MOST_NESTED >> 20} MiB in an archive; unpack it first")
                held.write(piece)
            yield from _unzip(held, depth + 1)
    else:
        yield from _inside(_UNPACK[packed](whole), depth + 1)


def _utf16(first: bytes) -> str:
    """The encoding of text that starts like this: UTF-16 where a mark or zeros beside ASCII say so; empty otherwise."""
    for mark, name in _UTF16:
        if first.startswith(mark) and first[:4] != codecs.BOM_UTF32_LE:
            return name
    if len(first) >= 4 and first[0:1].isascii() and first[0] and first[2]:
        if first[1] == first[3] == 0:
            return "utf-16-le"
    elif len(first) >= 4 and first[0] == first[2] == 0 and first[1] and first[3]:
        return "utf-16-be"
    return ""


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


def _bunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    member, inside = bz2.BZ2Decompressor(), False
    for piece in pieces:
        data = piece
        while data or (inside and not member.needs_input):
            if not inside:
                member, inside = bz2.BZ2Decompressor(), True
            try:
                out = member.decompress(data, _CHUNK)
            except OSError as error:
                raise _Damaged from error
            if out:
                yield out
            inside = not member.eof
            data = member.unused_data if member.eof else b""
    if inside:
        raise EOFError


def _unframe(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The messages of a collector's file exporter: 4 bytes of length, then one zstd frame, and so on; one a line."""
    held = b""
    for piece in pieces:
        held, at = held + piece, 0
        while len(held) >= at + 4:
            end = at + 4 + int.from_bytes(held[at : at + 4], "big")
            if end - at > _MOST_MESSAGE:
                raise _Damaged
            if len(held) < end:
                break
            yield from _unzstd(iter([held[at + 4 : end]]))
            yield b"\n"
            at = end
        held = held[at:]
    if held:
        raise EOFError


def _unzip(held: str | IO[bytes], depth: int) -> Iterator[bytes]:
    """The members of an archive, one after another; a mark between tables with different headers."""
    top = b""
    try:
        with zipfile.ZipFile(held) as archive:
            for number, member in enumerate(m for m in archive.infolist() if not m.is_dir() and m.file_size):
                with archive.open(member) as file:
                    pieces = _inside(iter(partial(file.read, _CHUNK), b""), depth)
                    first = next(pieces, b"")
                    line = first.split(b"\n", 1)[0].strip()
                    if number and line != top and b"{" not in line + top:
                        yield NEXT_TABLE + b"\n"
                    top = line
                    yield first
                    yield from pieces
                yield b"\n"
    except _ZIP_DAMAGE as error:
        raise _Damaged from error


_UNPACK = {"gzip": _gunzip, "zstd": _unzstd, "framed zstd": _unframe, "bzip2": _bunzip}


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
