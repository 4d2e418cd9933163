"""Merges small batches into larger ones, so that a log with one request per file costs as little as a single file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

# Up to about this many rows, the cost of a batch in later stages hardly depends on its size.
ENOUGH_ROWS = 4096
# Prompts may be long: limits the memory of batches that wait.
ENOUGH_BYTES = 8 << 20


def gathered(batches: Iterable[pa.RecordBatch], order: list[str]) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, with small batches merged; large ones pass unchanged.

    batches: with columns of one type by name, some absent if all their values are null. order: every column name,
    in the order of merged batches. A merged batch has nulls where one of its parts lacked the column.

    >>> one, other = pa.record_batch({"a": [1]}), pa.record_batch({"a": [2], "b": ["x"]})
    >>> [batch.to_pydict() for batch in gathered([one, other], ["a", "b"])]
    [{'a': [1, 2], 'b': [None, 'x']}]
    """
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if batch.num_rows >= ENOUGH_ROWS:
            if waiting:
                yield _joined(waiting, order)
                waiting, rows, size = [], 0, 0
            yield batch
            continue
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ENOUGH_ROWS or size >= ENOUGH_BYTES:
            yield _joined(waiting, order)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _joined(waiting, order)


def _joined(parts: list[pa.RecordBatch], order: list[str]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    fields = {field.name: field for part in parts for field in part.schema}
    schema = pa.schema([fields[name] for name in order if name in fields])
    columns = [_column(parts, name, kind) for name, kind in zip(schema.names, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(parts: list[pa.RecordBatch], name: str, kind: pa.DataType) -> pa.Array:
    """One column of all parts; null where a part lacks it."""
    places = [(part, part.schema.get_field_index(name)) for part in parts]
    return pa.concat_arrays([part.column(at) if at >= 0 else pa.nulls(part.num_rows, kind) for part, at in places])
