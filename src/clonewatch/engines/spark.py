"""Spark, for logs that need more than one machine: the same steps, run by executors over Parquet in a work folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from clonewatch.engines import _spark_session as spark_session
from clonewatch.model.errors import InputError, OutputError, SetupError
from clonewatch.ports.engine import FILE, PLACE, SIZE, Value

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

# The rare incidences of a log of a billion exchanges are some tens of millions, at 40 bytes a row.
_MOST_ROWS = 50_000_000
# A stream from the driver is written in chunks of this many bytes, so that its memory stays bounded.
_CHUNK_BYTES = 64 << 20
_PARAMETER = re.compile(r"\$(\w+)")
_FRACTION = re.compile(r"(?<![\w.])(\d+\.\d+)(?![\w.])")
_GAVE_OUT = re.compile(r"No space left|Disk quota exceeded|OutOfMemoryError|maxResultSize", re.I)
# Metadata on a column whose 64 bits are unsigned; Spark keeps it wherever the column goes.
_UNSIGNED = "clonewatch.unsigned"


class _Stored(NamedTuple):
    """A table: the path of its files, and the frame that reads them."""

    path: str
    frame: DataFrame


class Spark:
    """Runs steps in a Spark session: its own, or the active one.

    master: such as `local[4]` or `spark://host:7077`; None for the one of `spark-submit` or `spark-defaults.conf`, else
    this machine. memory: of a driver that is started here. threads: of `local`. folder: receives the tables unless
    `spark.clonewatch.work` names a folder or URI; all executors must be able to write there. At most
    `spark.clonewatch.mostRows` rows are fetched to the driver at once. An error of a statement names the table that was
    being built.
    """

    name = "spark"
    packages: tuple[str, ...] = ("pyspark",)

    def __init__(
        self, *, memory: str = "1GB", threads: int | None = None, folder: Path | None = None, master: str | None = None
    ) -> None:
        spark_session.require()
        from pyspark.sql import SparkSession

        self._own = SparkSession.getActiveSession() is None
        self.session = spark_session.session(memory, threads, master, folder)
        context = self.session.sparkContext
        self._most_rows = int(context.getConf().get(spark_session.MOST_ROWS) or _MOST_ROWS)
        self._home = spark_session.Home(self.session, context.getConf().get(spark_session.WORK), folder)
        self._scopes: list[dict[str, _Stored]] = [{}]
        self._number = count()
        if not str(context.master).startswith("local"):
            try:
                self._home.probe()
            except SetupError:
                self.close()
                raise

    def ingest(self, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Store a stream of batches as a table; returns the number of rows."""
        path = self._path()
        signed = pa.schema([f.with_type(pa.int64()) if f.type == pa.uint64() else f for f in schema])
        with _naming(table, "the rows that were stored"), self._home.writer(path, signed) as write:
            for chunk in _chunks(schema, batches):
                write(pa.table([_signed(column) for column in chunk.columns], schema=signed))
        return self._register(table, path, self._columns(schema))

    def put(self, table: str, data: pa.Table) -> None:
        """Store a small Arrow table."""
        self.ingest(table, data.schema, data.to_batches())

    def store(self, table: str, sql: str, params: Mapping[str, Value]) -> int:
        """Run a SELECT and store its result; returns the number of rows."""
        with _naming(table, sql):
            return self._keep(table, self._select(sql, params))

    def read(
        self,
        table: str,
        paths: Sequence[str],
        columns: frozenset[str],
        schema: pa.Schema,
        function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    ) -> int:
        """Run a function over Parquet files on the executors and store its result; returns the number of rows.

        Paths may be any that Spark can open, such as s3a:// or hdfs://. Spark sends the function and its data to the
        executors as code: encrypted where `spark.network.crypto.enabled` is set, and in no query plan or log.
        """
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            files = self.session.read.option("recursiveFileLookup", "true").option("mergeSchema", "true")
            frame = files.parquet(*paths)
        except (PySparkException, Py4JError) as error:
            raise InputError(
                "Spark cannot read this as Parquet",
                where=", ".join(paths[:3]),
                fix="Check that it exists, is complete and readable by Spark; for other formats use --engine duckdb",
            ) from error
        used = [f'"{name}"' for name in frame.columns if name in columns]
        place = (f"_metadata.file_path AS {FILE}", f"_metadata.file_size AS {SIZE}", f"_metadata.row_index AS {PLACE}")
        rows = frame.selectExpr(*used, *place)
        with _naming(table, "the reading function"):
            return self._keep(table, rows.mapInArrow(function, self._columns(schema)))

    def fetch(self, sql: str, params: Mapping[str, Value] | None = None) -> pa.Table:
        """Run a SELECT and bring its whole result here.

        Raises OutputError where it has more rows than `spark.clonewatch.mostRows` allows, before it holds more.
        """
        batches: list[pa.RecordBatch] = []
        rows = 0
        frame = self._select(sql, params or {})
        for batch in self._batches(sql, frame):
            rows += batch.num_rows
            if rows > self._most_rows:
                raise OutputError(
                    f"more than {self._most_rows:,} rows would be fetched to the driver",
                    where=_tables_of(sql),
                    fix=f"Raise {spark_session.MOST_ROWS}, and spark.driver.memory with it",
                )
            batches.append(batch)
        return pa.Table.from_batches(batches, _arrow_schema(frame))

    def stream(self, sql: str, params: Mapping[str, Value] | None = None) -> Iterator[pa.RecordBatch]:
        """Run a SELECT and bring its result here batch by batch."""
        return self._batches(sql, self._select(sql, params or {}))

    def rename(self, table: str, name: str) -> None:
        """Rename a table."""
        held = self._scopes[-1].pop(table)
        self.session.catalog.dropTempView(table)
        self._scopes[-1][name] = held
        held.frame.createOrReplaceTempView(name)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A scope for new tables, which are dropped at the end. A table in it hides an outer one of the same name."""
        self._scopes.append({})
        try:
            yield
        finally:
            for table, held in self._scopes.pop().items():
                self.session.catalog.dropTempView(table)
                self._home.remove(held.path)
                if table in self._scopes[-1]:
                    self._scopes[-1][table].frame.createOrReplaceTempView(table)

    def close(self) -> None:
        """Release everything, temporary files included; a session that was active before stays."""
        for table in self._scopes[0]:
            self.session.catalog.dropTempView(table)
        self._home.close()
        if self._own:
            self.session.stop()

    def _select(self, sql: str, params: Mapping[str, Value]) -> DataFrame:
        # Spark reads fractions as decimals of few digits; DuckDB computes them as DOUBLE.
        text = _FRACTION.sub(r"\1D", _PARAMETER.sub(r":\1", sql))
        return self.session.sql(text, args=dict(params))

    def _path(self) -> str:
        return f"{self._home.path}/{next(self._number)}"

    def _keep(self, table: str, frame: DataFrame) -> int:
        path = self._path()
        frame.write.parquet(path)
        return self._register(table, path, frame.schema)

    def _register(self, table: str, path: str, columns: StructType) -> int:
        """Register the files under a path as a table with these columns."""
        frame = self.session.read.schema(columns).parquet(path)
        self._scopes[-1][table] = _Stored(path, frame)
        frame.createOrReplaceTempView(table)
        return self._home.rows(path)

    def _columns(self, schema: pa.Schema) -> StructType:
        """Arrow columns as Spark columns; unsigned 64-bit ones as signed ones with metadata."""
        from pyspark.sql.pandas.types import from_arrow_type
        from pyspark.sql.types import LongType, StructField, StructType

        return StructType(
            [
                StructField(f.name, LongType(), metadata={_UNSIGNED: True})
                if f.type == pa.uint64()
                else StructField(f.name, from_arrow_type(f.type))
                for f in schema
            ]
        )

    def _batches(self, sql: str, frame: DataFrame) -> Iterator[pa.RecordBatch]:
        """The rows of a frame in order, one partition at a time."""
        schema = _arrow_schema(frame)
        with _naming("of the driver", sql):
            for packed in frame.mapInArrow(_packed, "batch binary").toLocalIterator():
                with pa.ipc.open_stream(packed["batch"]) as batches:
                    for batch in batches:
                        columns = [_typed(c, f.type) for c, f in zip(batch.columns, schema, strict=True)]
                        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _arrow_schema(frame: DataFrame) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_type

    return pa.schema(
        [(f.name, pa.uint64() if f.metadata.get(_UNSIGNED) else to_arrow_type(f.dataType)) for f in frame.schema]
    )


def _signed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Unsigned 64-bit numbers reinterpreted as signed ones; everything else unchanged."""
    if column.type != pa.uint64():
        return column
    return pa.chunked_array([chunk.view(pa.int64()) for chunk in column.chunks], pa.int64())


def _typed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column.view(kind) if kind == pa.uint64() else column.cast(kind)


def _packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Every batch as the bytes of an Arrow stream, so that the driver receives a batch per row."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], ["batch"])


def _chunks(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches combined into tables of bounded size; at least one, which may be empty."""
    held: list[pa.RecordBatch] = []
    size, written = 0, False
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= _CHUNK_BYTES:
            yield pa.Table.from_batches(held, schema)
            held, size, written = [], 0, True
    if held or not written:
        yield pa.Table.from_batches(held, schema)


@contextmanager
def _naming(table: str, sql: str) -> Iterator[None]:
    """Make errors in the block name the table that was being built."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        if _GAVE_OUT.search(str(error)):
            raise OutputError(
                f"ran out of memory or disk while building table {table!r}",
                fix=f"Give the executors more memory or the work folder more room ({str(error).splitlines()[0]})",
            ) from error
        error.add_note(f"while building table {table!r} from:\n{sql}")
        raise


def _tables_of(sql: str) -> str:
    """The tables a SELECT reads, for a message.

    >>> _tables_of('SELECT * FROM "rare_template" r JOIN owners o ON o.entity = r.entity')
    'rare_template, owners'
    """
    return ", ".join(dict.fromkeys(re.findall(r'(?:FROM|JOIN) "?(\w+)"?', sql)))


ENGINE = Spark
