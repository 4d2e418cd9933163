"""Columnar files: checks columns, opens Parquet, sizes batches by memory, and separates damage from rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.column_types import MOST_ID, plain, text_or_hex
from clonewatch.adapters.columnar_bounds import (
    check_size,
    copied,
    cut,
    is_beyond,
    openable,
    repeats,
    too_long,
)
from clonewatch.adapters.columns import Columns, Values
from clonewatch.adapters.parquet_plan import plan
from clonewatch.adapters.streams import Stream, limits_of, notes_of
from clonewatch.model.errors import InputError, MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Source

MAGIC = b"PAR1"
# What a damaged file raises, depending on where the damage is.
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
REPEATED = "text that is repeated beyond reason from here on, which --limit expansion= and decoded= raise"
_DAMAGED = "damaged Parquet data from here on"


def opened(source: Source) -> pq.ParquetFile:
    """The file with its footer read. Raises InputError if it is compressed, piped in, or has no readable footer."""
    if source.path is None or (isinstance(source.stream, Stream) and source.stream.packed):
        raise InputError(
            "Parquet must be read from a plain file", where=source.name, fix="Write it to disk, decompressed, first"
        )
    try:
        check_size(Path(source.path), source.name)
        # Prefetching would keep the bytes of every row group in memory until the file is closed.
        file = pq.ParquetFile(openable(source.path), pre_buffer=False)
        len(file.schema_arrow.names)  # raises if a damaged footer contains names that are not text
        return file
    except DAMAGE as error:
        raise InputError(
            "a Parquet file without a readable footer; it may be truncated", where=source.name, fix="Copy it again"
        ) from error


def batches(
    file: pq.ParquetFile, columns: list[str], source: Source, *, held: bool = False
) -> Iterator[tuple[pa.RecordBatch, Sequence[int], list[Rejected]]]:
    """Batches of these top-level columns with their 1-based row numbers, and rows that are too long.

    A damaged page ends the file with a rejection, as do repetitions beyond reason; the rows before are kept. Raises
    InputError for a file that says that it expands beyond reason. held: whether the caller keeps all batches.
    """
    total, row, repeated = file.metadata.num_rows, 0, 0
    path = Path(source.path or source.name)
    try:
        reading = plan(file, columns, path, source.name, limits_of(source.stream))
        if reading.dictionaries:
            file = pq.ParquetFile(openable(path), pre_buffer=False, read_dictionary=reading.dictionaries)
    except DAMAGE:
        yield _end(source, 0, _DAMAGED)
        return
    reader = file.iter_batches(batch_size=reading.rows, columns=columns)
    while True:
        try:
            batch = next(reader, None)
            if batch is not None:
                _check(batch)
        except DAMAGE:
            yield _end(source, row, _DAMAGED)
            return
        if batch is None:
            return
        if isinstance(source.stream, Stream):
            source.stream.progress = int((source.stream.tally.size or 0) * row / max(total, 1))
        for part, numbers, rejected, more in pieces(batch, row, source):
            repeated += more
            if is_beyond(repeated, path.stat().st_size, limits_of(source.stream), held):
                yield _end(source, numbers[0] - 1 if len(numbers) else row, REPEATED)
                return
            yield part, numbers, rejected
        row += batch.num_rows


def _end(source: Source, row: int, why: str) -> tuple[pa.RecordBatch, range, list[Rejected]]:
    """The end of a file that is not read further, which is said beside the rejected rows too."""
    notes_of(source.stream).end(why)
    return pa.record_batch([], []), range(0), [Rejected(source.name, row + 1, why)]


def pieces(
    batch: pa.RecordBatch, row: int, source: Source
) -> Iterator[tuple[pa.RecordBatch, Sequence[int], list[Rejected], int]]:
    """A batch in parts that are small when decoded, without the rows that are too long, which are rejected.

    row: rows before the batch. Each part comes with its 1-based row numbers and the bytes that dictionaries repeat.
    """
    limits = limits_of(source.stream)
    for first, part, repeated in cut(batch, limits):
        numbers = range(row + first + 1, row + first + 1 + part.num_rows)
        long = too_long(part, limits.row).tolist()
        if not long:
            yield part, numbers, [], repeated
            continue
        rejected = [Rejected(source.name, numbers[place], limits.too_long) for place in long]
        kept = list(zip([0, *(place + 1 for place in long)], [*long, part.num_rows], strict=True))
        yield copied(part, kept), [numbers[i] for start, end in kept for i in range(start, end)], rejected, repeated


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
    if repeats(values.type):  # views of lists, and runs within lists, which Arrow does not convert
        return list(values.to_pylist())
    if _holds_time(values.type):
        return _dated(values)
    if not _is_bytes(values.type):
        return values
    if (pc.max(pc.binary_length(values)).as_py() or 0) > MOST_ID:
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            pass  # some are no text: one by one
    listed = [text_or_hex(one) for one in values.to_pylist()]
    return listed if any(isinstance(one, bytes) for one in listed) else pa.array(listed, pa.string())


def _dated(values: pa.Array) -> Values:
    """The same values, with text in place of those that are no time of Python's calendar."""
    try:
        if pa.types.is_nested(values.type):
            values.to_pylist()
        elif len(values) > values.null_count:
            ends = pc.min_max(values)
            ends["min"].as_py(), ends["max"].as_py()
        return values
    except (OverflowError, ValueError, pa.ArrowNotImplementedError):
        return [_moment(one) for one in values]


def _moment(one: pa.Scalar) -> object:
    try:
        return one.as_py()
    except (OverflowError, ValueError):
        return "beyond the calendar"


def _holds_time(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_holds_time(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_temporal(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


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
