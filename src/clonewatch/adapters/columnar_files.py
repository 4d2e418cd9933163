"""Columnar files: checks columns, opens Parquet, sizes batches by memory, and separates damage from rows."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.column_types import MOST_ID, plain, text_or_hex
from clonewatch.adapters.columns import Columns, Values
from clonewatch.adapters.streams import Stream
from clonewatch.model.errors import InputError, MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Source

MAGIC = b"PAR1"
# What a damaged file raises, depending on where the damage is.
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
_MOST_BYTES = 32 << 20  # decoded bytes per batch
_FEWEST_ROWS, _MOST_ROWS = 4096, 65_536


def opened(source: Source) -> pq.ParquetFile:
    """The file with its footer read. Raises InputError if it is compressed, piped in, or has no readable footer."""
    if source.path is None or (isinstance(source.stream, Stream) and source.stream.packed):
        raise InputError(
            "Parquet must be read from a plain file", where=source.name, fix="Write it to disk, decompressed, first"
        )
    try:
        # Prefetching would keep the bytes of every row group in memory until the file is closed.
        file = pq.ParquetFile(source.path, pre_buffer=False)
        len(file.schema_arrow.names)  # raises if a damaged footer contains names that are not text
        return file
    except DAMAGE as error:
        raise InputError(
            "a Parquet file without a readable footer; it may be truncated", where=source.name, fix="Copy it again"
        ) from error


def batches(
    file: pq.ParquetFile, columns: list[str], source: Source
) -> Iterator[tuple[pa.RecordBatch, range, list[Rejected]]]:
    """Batches of these top-level columns with their 1-based row numbers.

    A damaged page ends the file with a rejection; the rows before it are kept.
    """
    total, row = file.metadata.num_rows, 0
    reader = file.iter_batches(batch_size=_batch_rows(file.metadata), columns=columns)
    while True:
        try:
            batch = next(reader, None)
            if batch is not None:
                _check(batch)
        except DAMAGE:
            yield (
                pa.record_batch([], []),
                range(0),
                [Rejected(source.name, row + 1, "damaged Parquet data from here on")],
            )
            return
        if batch is None:
            return
        if isinstance(source.stream, Stream):
            source.stream.progress = int((source.stream.tally.size or 0) * row / max(total, 1))
        yield batch, range(row + 1, row + 1 + batch.num_rows), []
        row += batch.num_rows


def _check(batch: pa.RecordBatch) -> None:
    """Raise if indices or offsets point outside their data. Plain text is checked row by row later."""
    for column in batch.columns:
        column.validate(full=pa.types.is_dictionary(column.type) or pa.types.is_nested(column.type))


def columns_of(batch: pa.RecordBatch) -> Columns:
    """The columns of a batch by name, text as plain text."""
    return {name: readable(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def rows_of(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """The rows of a batch, of plain types."""
    columns = {n: v.to_pylist() if isinstance(v, pa.Array) else v for n, v in columns_of(batch).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def readable(values: pa.Array) -> Values:
    r"""A column of plain types, with text as text, however the file encodes it; bytes that are no text stay bytes.

    Short bytes that are no text are ids, such as UUIDs, and are written in hexadecimal.

    >>> readable(pa.array(["a", "b", "a"]).dictionary_encode()).type
    DataType(string)
    >>> readable(pa.array([b"a", b"\xff"]))
    ['a', b'\xff']
    """
    values = plain(values)
    if pa.types.is_string_view(values.type):
        return values.cast(pa.string())
    if pa.types.is_binary_view(values.type):
        values = values.cast(pa.binary())
    if not _is_bytes(values.type):
        return values
    if (pc.max(pc.binary_length(values)).as_py() or 0) > MOST_ID:
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            pass  # some are no text: one by one
    listed = [text_or_hex(one) for one in values.to_pylist()]
    return listed if any(isinstance(one, bytes) for one in listed) else pa.array(listed, pa.string())


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _batch_rows(metadata: pq.FileMetaData) -> int:
    # Sizes of single columns would be closer, but a damaged footer may list columns that a row group lacks.
    size: int = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    rows: int = metadata.num_rows
    return max(_FEWEST_ROWS, min(_MOST_ROWS, _MOST_BYTES * rows // max(size, 1)))


def require_columns(names: list[str], file: str, mapped: str) -> None:
    """Raise MappingError if a columnar file lacks a required exchange column."""
    missing = [c.name for c in EXCHANGES.columns if c.required and c.name not in names]
    if missing:
        raise MappingError(
            f"no column {' nor '.join(missing)}",
            where=file,
            fix=f'Name their columns in a field map (format = "{mapped}") and pass it with --map; '
            f"the file has: {', '.join(names[:30])}",
        )
