"""DuckDB, embedded: the default engine. Tables are in a temporary file, so memory is bounded and disk is the limit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from clonewatch.model.errors import OutputError
from clonewatch.ports.engine import Value

_BATCH_ROWS = 65_536


class DuckDB:
    """Runs steps in one temporary DuckDB file.

    memory: limit such as "1GB". threads: None for all cores. folder: receives the temporary file, which `close`
    removes. kept: a folder in which the file stays; an existing file there is used again, and the caller removes it.
    An error of a statement names the table that was being built.
    """

    name = "duckdb"
    packages: tuple[str, ...] = ("duckdb",)

    def __init__(
        self, *, memory: str = "1GB", threads: int | None = None, folder: Path | None = None, kept: Path | None = None
    ) -> None:
        self._temporary = None if kept else tempfile.TemporaryDirectory(prefix=".clonewatch-", dir=folder)
        self._home = Path(self._temporary.name) if self._temporary else Path(kept or "")
        spill = self._home / "spill"
        shutil.rmtree(spill, ignore_errors=True)  # left by a killed run
        config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": memory, "temp_directory": str(spill)}
        if threads:
            config["threads"] = threads
        try:
            self._connection = duckdb.connect(str(self._home / "tables.duckdb"), config=config)
        except (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException) as error:
            raise OutputError(
                "the engine's file cannot be opened", where=str(self._home), fix=f"Delete it and run again ({error})"
            ) from error
        # Nothing relies on the row order of a table (every result is sorted), and keeping it costs memory.
        self._connection.execute("SET preserve_insertion_order = false")
        # In a notebook without ipywidgets the bar is off, and touching the setting raises.
        if self.fetch("SELECT current_setting('enable_progress_bar') AS shown")["shown"][0].as_py():
            self._connection.execute("SET enable_progress_bar = false")

    def ingest(self, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Store a stream of batches as a table; returns the number of rows."""
        raised: list[BaseException] = []
        incoming = pa.RecordBatchReader.from_batches(schema, _watched(batches, raised))
        self._connection.register("incoming", incoming)
        try:
            return self.store(table, "SELECT * FROM incoming", {})
        except Exception:
            # The engine wraps whatever the stream raises in an error of its own; the caller wants the cause.
            if raised:
                raise raised[0] from None
            raise
        finally:
            self._connection.unregister("incoming")

    def store(self, table: str, sql: str, params: Mapping[str, Value]) -> int:
        """Run a SELECT and store its result; returns the number of rows."""
        with self._guarded(f"building table {table!r}", sql):
            done = self._connection.execute(f'CREATE TABLE "{table}" AS {sql}', dict(params)).fetchone()
        return int(done[0]) if done else 0

    @contextmanager
    def _guarded(self, doing: str, sql: str) -> Iterator[None]:
        """Turn errors of the engine into errors of this program."""
        try:
            yield
        except duckdb.InterruptException as error:
            raise KeyboardInterrupt from error
        except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
            if not isinstance(error, duckdb.IOException) and "write" not in str(error).lower():
                raise
            raise OutputError(
                f"the disk gave out while {doing}",
                where=str(self._home),
                fix=f"Free some space or pass another folder, then run again: nothing was changed ({error})",
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise OutputError(
                f"memory gave out while {doing}", fix=f"Raise --memory and run again ({error})"
            ) from error
        except duckdb.Error as error:
            error.add_note(f"while {doing} from:\n{sql}")
            raise

    def tables(self) -> dict[str, int]:
        """The rows of every table in the file."""
        names = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' AND NOT internal"
        found = [name for (name,) in self._connection.execute(names).fetchall()]
        return {n: self.fetch(f'SELECT COUNT(*) AS n FROM "{n}"')["n"][0].as_py() for n in found}

    def attach(self, table: str, files: Sequence[Path], schema: pa.Schema) -> None:
        """Make Parquet files readable as one table, without copying them; columns of `schema` that they lack are null.

        Files may have other columns, in any order. Types that differ are not noticed here.
        """
        named = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
        # A table without rows brings in the columns that no file has.
        self.put(f"{table}_columns", schema.empty_table())
        with self._guarded(f"opening the files of table {table!r}", named):
            self._connection.execute(
                f'CREATE VIEW "{table}" AS SELECT * FROM read_parquet([{named}], union_by_name = true)'
                f' UNION ALL BY NAME SELECT * FROM "{table}_columns"'
            )

    def rename(self, table: str, name: str) -> None:
        """Rename a table."""
        self._connection.execute(f'ALTER TABLE "{table}" RENAME TO "{name}"')

    def put(self, table: str, data: pa.Table) -> None:
        """Store a small Arrow table."""
        self.ingest(table, data.schema, data.to_batches(_BATCH_ROWS))

    def fetch(self, sql: str, params: Mapping[str, Value] | None = None) -> pa.Table:
        """Run a SELECT and bring its whole result here."""
        with self._guarded("reading tables", sql):
            return self._connection.sql(sql, params=dict(params or {})).to_arrow_table()

    def stream(self, sql: str, params: Mapping[str, Value] | None = None) -> Iterator[pa.RecordBatch]:
        """Run a SELECT and bring its result here batch by batch."""
        with self._guarded("reading tables", sql):
            batches = self._connection.sql(sql, params=dict(params or {})).to_arrow_reader(_BATCH_ROWS)
        while True:
            with self._guarded("reading tables", sql):  # not what the caller does with a batch
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A scope for new tables, which are dropped at the end. A table in it hides an outer one of the same name."""
        begin = "DROP SCHEMA IF EXISTS aside CASCADE; CREATE SCHEMA aside; SET search_path = 'aside,main'"
        self._connection.execute(begin)
        try:
            yield
        finally:
            self._connection.execute("SET search_path = 'main'; DROP SCHEMA aside CASCADE")

    @contextmanager
    def using(self) -> Iterator[Self]:
        """The engine itself, closed at the end."""
        try:
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Release everything, temporary files included."""
        self._connection.close()
        if self._temporary:
            self._temporary.cleanup()


def _watched(batches: Iterable[pa.RecordBatch], raised: list[BaseException]) -> Iterator[pa.RecordBatch]:
    """The same batches; an exception that they raise is recorded."""
    try:
        yield from batches
    except BaseException as error:
        raised.append(error)
        raise


ENGINE = DuckDB
