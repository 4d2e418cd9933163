"""Reads small JSON files of one format together, so that the fixed cost per file is paid once for hundreds of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeVar

from clonewatch.adapters import lines
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.model.limits import Limits
from clonewatch.ports.adapter import Within

# Larger files are read separately.
SMALL_BYTES = 64 << 10
MOST_FILES = 512
MOST_BYTES = 8 << 20
_BOM = b"\xef\xbb\xbf"

Entry = TypeVar("Entry")


class Piece(NamedTuple):
    """One small file: its bytes, and its number of lines or documents."""

    data: bytes
    units: int
    spread: bool

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def runs(entries: Iterable[tuple[Entry, str, int]]) -> Iterator[list[Entry]]:
    """Consecutive small files of one format, in lists of limited size; every other file in its own list.

    entries: what to return, its format ("" to be read alone), its size in bytes.

    >>> list(runs([("a", "json", 9), ("b", "json", 9), ("c", "csv", 9), ("d", "csv", 1 << 20)]))
    [['a', 'b'], ['c'], ['d']]
    """
    held: list[Entry] = []
    kind, total = "", 0
    for entry, form, size in entries:
        small = bool(form) and size <= SMALL_BYTES
        if held and (not small or form != kind or len(held) == MOST_FILES or total + size > MOST_BYTES):
            yield held
            held, total = [], 0
        if small:
            held.append(entry)
            kind, total = form, total + size
        else:
            yield [entry]
    if held:
        yield held


def piece(path: Path, size: int) -> Piece | None:
    """A small file as stored on disk; None if it is not plain JSON. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(size)
    text = data.removeprefix(_BOM).lstrip()
    if text[:1] not in (b"{", b"["):
        return None
    spread = lines.is_spread(data)
    cut = lines.documents if spread else lines.lines
    return Piece(data, sum(len(part.lines) for part in cut(io.BytesIO(data))), spread)


def joined(pieces: list[Piece], limits: Limits) -> Stream | None:
    """Their bytes as one stream; None if some are documents over several lines and others are lines."""
    if len({one.spread for one in pieces}) != 1:
        return None
    data = b"\n".join(one.data.removeprefix(_BOM) for one in pieces)
    return Stream(Tally(io.BytesIO(data), len(data)), limits)


def places(names: list[str], pieces: list[Piece]) -> tuple[Within, ...]:
    """Where in the stream each file begins, in the reader's row numbers: lines or documents."""
    counts = [one.units if one.spread else one.data.count(b"\n") + 1 for one in pieces]
    starts = accumulate(counts, initial=0)
    return tuple(Within(name, one.data, before) for name, one, before in zip(names, pieces, starts, strict=False))
