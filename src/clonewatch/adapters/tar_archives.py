"""The members of a tar archive, read from its first byte to its last, as it may come through a pipe."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 512
_MAGIC_AT = slice(257, 262)
_MAGIC = b"ustar"
_SIZE_AT = slice(124, 136)
_KIND_AT = 156
_FILES = (b"0"[0], 0)  # regular files; others are folders, links and longer names
_NAME_AT = slice(0, 100)
_LONGEST_NUMBER = 12


def is_tar(first: bytes) -> bool:
    """Whether these are the first bytes of a tar archive."""
    return first[_MAGIC_AT] == _MAGIC


def members(pieces: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """The pieces of each file in an archive, which are to be read before the next file.

    Files that only systems write (beginning with a dot) are left out. Raises EOFError for an archive without its end,
    ValueError for one that is damaged.
    """
    held = _Held(pieces)
    while True:
        header = held.exactly(BLOCK)
        if not header.strip(b"\0"):
            return
        size = _number(header[_SIZE_AT])
        name = header[_NAME_AT].partition(b"\0")[0].rpartition(b"/")[2]
        if header[_KIND_AT] in _FILES and size and not name.startswith(b"."):
            yield held.next(size)
        else:
            for _ in held.next(size):
                pass
        held.exactly(-size % BLOCK)


class _Held:
    """Pieces of which the rest is kept."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def next(self, size: int) -> Iterator[bytes]:
        """The next bytes, in pieces."""
        while size:
            if not self._rest:
                self._rest = next(self._pieces, b"")
                if not self._rest:
                    raise EOFError
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        """The next bytes in one."""
        return b"".join(self.next(size))


def _number(field: bytes) -> int:
    """A size: octal digits, or bytes where it is large."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:_LONGEST_NUMBER], "big")
    return int(field.strip(b"\0 ") or b"0", 8)
