"""The interface of an engine, and of the steps it runs. Steps are data: each names the tables it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

Value = int | float | str | bool | None


class Query(NamedTuple):
    """A step in SQL that every engine runs: SELECT text over `reads`, stored as `writes`.

    The dialect is the plain subset that DuckDB and Spark share: joins, grouping, window functions, CASE, FLOOR, CAST.
    Times are integer microseconds, hashes come from our kernels, values are named parameters (`$name`).
    """

    writes: str
    reads: tuple[str, ...]
    sql: str
    params: Mapping[str, Value] = {}


class Fold(NamedTuple):
    """A step in Python that needs whole (small) tables: `limit` is the most rows any of them may have."""

    writes: str
    reads: tuple[str, ...]
    function: Callable[..., pa.Table]
    limit: int


Step = Query | Fold


class Engine(Protocol):
    """Stores tables by name and runs SELECT text over them. packages: those whose versions may change a result."""

    name: str
    packages: tuple[str, ...]

    def ingest(self, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Store a stream of batches as a table; returns the number of rows. Memory stays bounded."""
        ...

    def store(self, table: str, sql: str, params: Mapping[str, Value]) -> int:
        """Run a SELECT and store its result; returns the number of rows."""
        ...

    def put(self, table: str, data: pa.Table) -> None:
        """Store a small Arrow table."""
        ...

    def rename(self, table: str, name: str) -> None:
        """Rename a table."""
        ...

    def fetch(self, sql: str, params: Mapping[str, Value] | None = None) -> pa.Table:
        """Run a SELECT and bring its whole result here."""
        ...

    def stream(self, sql: str, params: Mapping[str, Value] | None = None) -> Iterable[pa.RecordBatch]:
        """Run a SELECT and bring its result here batch by batch."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """A scope for new tables, which are dropped at the end. A table in it hides an outer one of the same name."""
        ...

    def close(self) -> None:
        """Release everything, temporary files included."""
        ...


@runtime_checkable
class KeepsTables(Protocol):
    """An engine that can find the tables of an earlier run."""

    def tables(self) -> dict[str, int]:
        """The number of rows of every table."""
        ...


@runtime_checkable
class AttachesFiles(Protocol):
    """An engine that reads Parquet files in place."""

    def attach(self, table: str, files: Sequence[Path], schema: pa.Schema) -> None:
        """Make files of this machine readable as one table, without copying them.

        schema: the columns that the table has at least. Columns that a file lacks are null; columns of another type are
        undefined.
        """
        ...


class FileEngine(Engine, AttachesFiles, Protocol):
    """An engine that can read a state."""


# What `RemoteReader.read` adds to the columns of a file: its path, its size in bytes, and the position of a row in it.
FILE, SIZE, PLACE = "clonewatch_file", "clonewatch_size", "clonewatch_place"


@runtime_checkable
class RemoteReader(Protocol):
    """An engine whose workers read Parquet themselves, so that a log need not pass through one process."""

    def read(
        self,
        table: str,
        paths: Sequence[str],
        columns: frozenset[str],
        schema: pa.Schema,
        function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    ) -> int:
        """Run a function over Parquet files and store its result, rows of `schema`; returns the number of rows.

        paths: files, folders or URIs. columns: those to read; files may lack some. The function runs where the rows
        are, once per partition. It receives rows in the order of their file, one file after another, with the columns
        `FILE`, `SIZE` and `PLACE` (from 0). Its data is sent along and must never be logged.
        """
        ...
