"""Decompresses files, and archives in them, piece by piece."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import IO, Any

import pyarrow as pa
import zstandard

from clonewatch.adapters import tar_archives

_CHUNK = 1 << 20
# A zstd block of 4 bytes can expand to 128 KiB: small pieces limit the result of one call to about 32 MiB.
_ZSTD_PIECE = 1024
_ZSTD_WINDOW = 1 << 27  # 128 MiB, the format's recommended limit for decoders
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZIP = b"PK\x03\x04"
_XZ = b"\xfd7zXZ\x00"
_XZ_MEMORY = 256 << 20  # of its dictionary: the largest that its own presets need is 65 MiB
MAGIC = tar_archives.BLOCK  # first bytes that tell how a file is packed
_BZ2 = re.compile(rb"BZh[1-9]1AY")
# The collector's file exporter writes the length of each message before it; a longer one is none of its messages.
_MOST_MESSAGE = 64 << 20
# A line between two tables of an archive, each of which has its own header: ASCII's group separator.
NEXT_TABLE = b"\x1d"
_LZ4_PIECE = 1 << 16  # bytes asked for at once: what a cut file lacks costs so many before the cut
_LZ4 = b"\x04\x22\x4d\x18"
_MOST_DEPTH = 3  # archives in archives
_MOST_NESTED = 1 << 30  # bytes of a zip archive in another one, which is kept in a temporary file
_SPOOLED = 32 << 20  # bytes of it in memory
# What a damaged, encrypted or exotic archive raises, depending on where it is read.
_ZIP_DAMAGE = (zipfile.BadZipFile, RuntimeError, ValueError, OSError, lzma.LZMAError, struct.error)


class Damaged(Exception):
    """Compressed data that cannot be decompressed."""


def packing(magic: bytes) -> str:
    """How a file with these first bytes is compressed."""
    if magic[:2] == b"\x1f\x8b":
        return "gzip"
    if magic[:4] == _ZSTD:
        return "zstd"
    if magic[4:8] == _ZSTD and int.from_bytes(magic[:4], "big") <= _MOST_MESSAGE:
        return "framed zstd"
    if magic[:4] == _LZ4:
        return "lz4"
    if tar_archives.is_tar(magic):
        return "tar"
    return "bzip2" if _BZ2.match(magic) else "xz" if magic[:6] == _XZ else "zip" if magic[:4] == _ZIP else ""


def unpacked(packed: str, pieces: Iterator[bytes], place: str | None) -> Iterator[bytes]:
    """The bytes in a file that is packed in this way. place: where it is on disk, None for a pipe."""
    if packed == "zip" and place is not None:
        return _unzip(place, 1)
    if packed == "tar":
        return _untar(pieces, 1)
    unpack = _UNPACK.get(packed)
    return _plain(pieces) if unpack is None else _inside(unpack(pieces), 1)


def _inside(pieces: Iterator[bytes], depth: int) -> Iterator[bytes]:
    """The bytes that came out of an archive, where they are an archive themselves unpacked too."""
    first = b""
    try:
        while len(first) < MAGIC and (more := next(pieces, b"")):
            first += more
    except (EOFError, Damaged, zlib.error, zstandard.ZstdError):
        if first and not packing(first):
            yield first
        raise
    packed = packing(first)
    whole = chain((first,) if first else (), pieces)
    if not packed:
        yield from whole
    elif depth >= _MOST_DEPTH:
        raise Damaged(f"archives are nested more than {_MOST_DEPTH} deep; unpack them first")
    elif packed == "zip":
        # A zip archive is read from its end.
        with tempfile.SpooledTemporaryFile(_SPOOLED) as held:
            for piece in whole:
                if held.tell() + len(piece) > _MOST_NESTED:
                    raise Damaged(f"an archive of more than {_MOST_NESTED >> 20} MiB in an archive; unpack it first")
                held.write(piece)
            yield from _unzip(held, depth + 1)
    elif packed == "tar":
        yield from _untar(whole, depth + 1)
    else:
        yield from _inside(_UNPACK[packed](whole), depth + 1)


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
    return _members(bz2.BZ2Decompressor, pieces)


def _unxz(pieces: Iterator[bytes]) -> Iterator[bytes]:
    return _members(partial(lzma.LZMADecompressor, memlimit=_XZ_MEMORY), pieces)


def _members(
    decompressor: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], pieces: Iterator[bytes]
) -> Iterator[bytes]:
    member, inside = decompressor(), False
    for piece in pieces:
        data = piece
        while data or (inside and not member.needs_input):
            if not inside:
                data = data.lstrip(b"\0")  # padding between members
                if not data:
                    break
                member, inside = decompressor(), True
            try:
                out = member.decompress(data, _CHUNK)
            except (OSError, lzma.LZMAError) as error:
                raise Damaged from error
            if out:
                yield out
            inside = not member.eof
            data = member.unused_data if member.eof else b""
    if inside:
        raise EOFError


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a file. ended: whether the last one was read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held, self.ended = pieces, b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                self.ended = True
                return 0
            self._held = piece
        size = min(len(into), len(self._held))
        into[:size], self._held = self._held[:size], self._held[size:]
        return size


def _unlz4(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held = _Pieces(pieces)
    try:
        with pa.CompressedInputStream(pa.PythonFile(io.BufferedReader(held), "r"), "lz4") as unpacked:
            while out := unpacked.read(_LZ4_PIECE):
                yield out
    except OSError as error:
        raise EOFError if held.ended else Damaged from error


def _unframe(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The messages of a collector's file exporter: 4 bytes of length, then one zstd frame, and so on; one a line."""
    held = b""
    for piece in pieces:
        held, at = held + piece, 0
        while len(held) >= at + 4:
            end = at + 4 + int.from_bytes(held[at : at + 4], "big")
            if end - at > _MOST_MESSAGE:
                raise Damaged
            if len(held) < end:
                break
            yield from _unzstd(iter([held[at + 4 : end]]))
            yield b"\n"
            at = end
        held = held[at:]
    if held:
        raise EOFError


def _unzip(held: str | IO[bytes], depth: int) -> Iterator[bytes]:
    """The members of a zip archive, one after another."""
    try:
        with zipfile.ZipFile(held) as archive:
            yield from _one_by_one(_zipped(archive), depth)
    except _ZIP_DAMAGE as error:
        raise Damaged from error


def _zipped(archive: zipfile.ZipFile) -> Iterator[Iterator[bytes]]:
    """The pieces of each file in a zip archive, but those that only systems write."""
    for member in archive.infolist():
        name = member.filename
        if (
            member.is_dir()
            or not member.file_size
            or name.startswith("__MACOSX/")
            or name.rpartition("/")[2][:1] == "."
        ):
            continue
        with archive.open(member) as file:
            yield iter(partial(file.read, _CHUNK), b"")


def _untar(pieces: Iterator[bytes], depth: int) -> Iterator[bytes]:
    """The members of a tar archive, one after another."""
    try:
        yield from _one_by_one(tar_archives.members(pieces), depth)
    except ValueError as error:
        raise Damaged from error


def _one_by_one(files: Iterable[Iterator[bytes]], depth: int) -> Iterator[bytes]:
    """The members of an archive, one after another; a mark between tables with different headers."""
    top = b""
    for number, file in enumerate(files):
        pieces = _inside(file, depth)
        first = next(pieces, b"")
        line = first.split(b"\n", 1)[0].strip()
        if number and line != top and b"{" not in line + top:
            yield NEXT_TABLE + b"\n"
        top = line
        yield first
        yield from pieces
        yield b"\n"


_UNPACK = {"gzip": _gunzip, "zstd": _unzstd, "framed zstd": _unframe, "bzip2": _bunzip, "xz": _unxz, "lz4": _unlz4}
