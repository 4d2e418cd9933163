"""The shape of a place to compute, and of the steps it runs. Stages are data: a step names what it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
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
