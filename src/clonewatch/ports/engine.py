"""The shape of a place to compute, and of the steps it runs. Stages are data: a step names what it reads and writes."""

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
    Times are integer microseconds, hashes are made in our kernels, values come as named parameters (`$name`).
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
    """A place to compute: holds tables by name, runs SELECT text over them. packages: whose versions matter."""

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
        """Give a table another name."""
        ...

    def fetch(self, sql: str, params: Mapping[str, Value] | None = None) -> pa.Table:
        """Run a SELECT and bring its whole result here."""
        ...

    def stream(self, sql: str, params: Mapping[str, Value] | None = None) -> Iterable[pa.RecordBatch]:
        """Run a SELECT and bring its result here batch by batch."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """A place for new tables, gone at the end. Tables outside are read until one of that name is made."""
        ...

    def close(self) -> None:
        """Let go of everything, temporary files included."""
        ...


@runtime_checkable
class KeepsTables(Protocol):
    """An engine that may find the tables of an earlier run."""

    def tables(self) -> dict[str, int]:
        """The rows of every table that is there."""
        ...


@runtime_checkable
class AttachesFiles(Protocol):
    """An engine that reads Parquet files where they lie."""

    def attach(self, table: str, files: Sequence[Path], schema: pa.Schema) -> None:
        """Make files of this machine readable as one table, without copying them.

        schema: the columns that the table has at least. Those that a file lacks are null, types that differ are
        undefined.
        """
        ...


class FileEngine(Engine, AttachesFiles, Protocol):
    """An engine with which a state can be read."""


# What `LakeReader.read` adds to the columns of a file: its path, its size in bytes, and the place of a row in it.
FILE, SIZE, PLACE = "clonewatch_file", "clonewatch_size", "clonewatch_place"


@runtime_checkable
class LakeReader(Protocol):
    """An engine whose workers read Parquet themselves, so that a log need not pass through one process."""

    def read(
        self,
        table: str,
        paths: Sequence[str],
        columns: frozenset[str],
        schema: pa.Schema,
        function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    ) -> int:
        """Store what a function makes of Parquet files, as rows of `schema`; returns the number of rows.

        paths: files, folders or URIs. columns: those wanted; files may lack some. The function runs where the rows are,
        once for each share of the work. It sees rows in the order of their file, one file after another, and with them
        the columns `FILE`, `SIZE` and `PLACE` (from 0). What it holds is sent along and must never be logged.
        """
        ...
