"""The shape of a log format: bytes in, Arrow batches of exchanges and rejected rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from clonewatch.model.reading import Rejected

if TYPE_CHECKING:
    import pyarrow as pa

    from clonewatch.ports.mapping import FieldMap


class Within(NamedTuple):
    """One of several small files that are read as one: its name, its first bytes, and the row number before its first.

    The rows of the file follow: row `before + n` of the source is row `n` of the file.
    """

    name: str
    head: bytes
    before: int


class Source(NamedTuple):
    """One input to read: its name for messages, and a binary stream of already decompressed bytes.

    path: the file on disk when there is one (Parquet needs it), None for standard input. columns: the exchange columns
    that will be used, None for all; an adapter may leave out others where that is cheaper. files: what it is made of,
    where small files are read as one.
    """

    name: str
    stream: BinaryIO
    path: str | None = None
    columns: frozenset[str] | None = None
    files: tuple[Within, ...] = ()


class Batch(NamedTuple):
    """Some exchanges (columns of `EXCHANGES`, absent ones left out) and the rows rejected on the way."""

    exchanges: pa.RecordBatch
    rejected: list[Rejected]


class Adapter(Protocol):
    """A log format. One file on the shelf, ending with `ADAPTER = ...`."""

    name: str
    summary: str

    def claims(self, head: bytes, name: str) -> bool:
        """Whether these first bytes (decompressed, up to 64 KiB) of a file of this name are in this format."""
        ...

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Read a source batch by batch; memory stays bounded whatever its size."""
        ...
