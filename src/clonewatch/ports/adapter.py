"""The interface of a log format: bytes in, Arrow batches of exchanges and rejected rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, runtime_checkable

from clonewatch.model.read_results import Rejected

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
    that will be used, None for all; an adapter may skip the others where that is cheaper. files: what it is made of,
    where small files are read as one.
    """

    name: str
    stream: BinaryIO
    path: str | None = None
    columns: frozenset[str] | None = None
    files: tuple[Within, ...] = ()


class Lane(NamedTuple):
    """Files of one kind, which are read one after another, side by side with other lanes.

    progress: how much of its bytes was read, from 0 to 1.
    """

    sources: Iterator[Source]
    progress: Callable[[], float]


class Batch(NamedTuple):
    """Some exchanges (columns of `EXCHANGES` that the log has) and the rows rejected on the way."""

    exchanges: pa.RecordBatch
    rejected: list[Rejected]


@runtime_checkable
class Adapter(Protocol):
    """A log format. One file in `adapters/formats/` that ends with `ADAPTER = ...`; it inherits the defaults below.

    summary: what it reads, in a few words. account_hint: what to do where no row names an account, as a phrase that
    follows "Fix:" in an error. chooses: whether it passes over rows that are no calls, which a field
    map does only if told.
    """

    name: str
    summary: str
    account_hint: str = "map the field that holds it to `account_id`"
    chooses: bool = False

    def claims(self, head: bytes, name: str) -> bool:
        """Whether these first bytes (decompressed, up to 64 KiB) of a file with this name are in this format."""
        ...

    def weight(self, row: bytes, name: str) -> float:
        """How much this row of a JSON log, which may be cut off, speaks for this format: 0 for not at all, up to 1."""
        return 1.0 if self.claims(row, name) else 0.0

    def check(self, source: Source, mapping: FieldMap | None) -> None:
        """Raise InputError or MappingError, before a row is read, for a file that cannot be read as a whole.

        Only formats that know their columns beforehand can check; the others inherit this.
        """
        return

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Read a source batch by batch; memory stays bounded whatever its size."""
        ...

    def lane(self, head: bytes) -> str:
        """The kind of a file with these first bytes, where rows of several kinds of files belong together; "" if not.

        Files of several kinds are then read by `read_lanes`.
        """
        return ""

    def read_lanes(self, lanes: Sequence[Lane], mapping: FieldMap | None) -> Iterator[tuple[Source, Batch]]:
        """Read several kinds of files: batches with the source they are from."""
        for lane in lanes:
            for source in lane.sources:
                yield from ((source, batch) for batch in self.read(source, mapping))
