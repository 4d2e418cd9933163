"""What a columnar file may cost in memory, before anything is decoded; and batches cut to what they decode to.

Columnar formats repeat a value for a few bits: a file of kilobytes can hold gigabytes. So batches are sized by what
they decode to, text that a dictionary repeats stays in the dictionary until a batch is cut, and a file that expands
beyond reason is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clonewatch.model.errors import InputError
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.text_files import plain

# A row of a log takes more than this on disk, however well it is compressed.
_ROWS_PER_BYTE, _ROWS_FROM = 100, 1_000_000
_MOST_FOOTER = 64 << 20


def check_size(path: Path, where: str) -> None:
    """Raise InputError for a footer so long that reading it alone takes gigabytes."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        footer = int.from_bytes(file.read(4), "little")
    if _MOST_FOOTER < footer < size:
        raise refused(f"its footer takes {footer >> 20:,} MiB", where)


def openable(path: Path | str) -> Any:
    """A path as Arrow can open it, which takes no name that is not UTF-8."""
    name = str(path)
    return name if name.isascii() or plain(name) == name else pa.PythonFile(Path(path).open("rb"), "r")


def has_too_many_rows(rows: int, size: int) -> bool:
    """Whether a file names more rows than its bytes could hold."""
    return rows > max(_ROWS_FROM, _ROWS_PER_BYTE * size)


def check_rows(rows: int, size: int, where: str) -> None:
    """Raise InputError for a file with more rows than its bytes could hold. size: bytes on disk."""
    if has_too_many_rows(rows, size):
        raise refused(f"it names {rows:,} rows in {size:,} bytes", where)


def cut(batch: pa.RecordBatch, limits: Limits = DEFAULT) -> Iterator[tuple[int, pa.RecordBatch, int]]:
    """A batch in parts of at most `limits.batch` decoded bytes or one row each: place of the first row, rows, bytes.

    Bytes are those that dictionaries and the like repeat, 0 in a batch without any.
    """
    repeating = [column.type for column in batch.columns if repeats(column.type)]
    if not repeating:
        yield 0, batch, 0
        return
    nested = any(map(pa.types.is_nested, repeating))  # a slice of lists keeps the items of all
    ends = np.cumsum(sum((_lengths(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64)))
    start, before = 0, 0
    while start < batch.num_rows:
        end = max(start + 1, int(np.searchsorted(ends, before + limits.batch, "right")))
        part = copied(batch, [(start, end)]) if nested else batch.slice(start, end - start)
        yield start, part, int(ends[end - 1]) - before
        start, before = end, int(ends[end - 1])


def copied(batch: pa.RecordBatch, parts: list[tuple[int, int]]) -> pa.RecordBatch:
    """The rows of a batch from some places to others, and nothing of what other rows hold."""
    columns = [
        pa.concat_arrays([column.slice(start, end - start) for start, end in parts] or [column.slice(0, 0)])
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def is_beyond(repeated: int, size: int, limits: Limits, held: bool = False) -> bool:
    """Whether text that dictionaries repeated so far is more than a log would hold.

    size: bytes of the file. held: whether all of it is held in memory, as tables beside a log are.
    """
    return repeated > limits.decoded if held else limits.is_repeated_beyond(repeated, size)


def too_long(batch: pa.RecordBatch, most: int) -> NDArray[np.int64]:
    """Places of the rows in which a cell holds more bytes than a line may."""
    long = np.zeros(batch.num_rows, np.bool_)
    for column in batch.columns:
        if repeats(column.type) or column.nbytes > most:
            long |= _lengths(column) > most
    return np.flatnonzero(long)


def repeats(kind: pa.DataType) -> bool:
    """Whether values of a type can point to one text many times: dictionaries, views, runs, and lists of them."""
    if any(is_kind(kind) for is_kind in _REPEATING):
        return True
    return pa.types.is_nested(kind) and any(repeats(kind.field(i).type) for i in range(kind.num_fields))


_REPEATING = (
    pa.types.is_dictionary,
    pa.types.is_string_view,
    pa.types.is_binary_view,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
    pa.types.is_run_end_encoded,
)


def _lengths(values: pa.Array) -> NDArray[np.int64]:
    """Decoded bytes of the text, and of the values of lists, in each row; 0 for numbers beside lists."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return _lengths(values.storage)
    if pa.types.is_dictionary(kind):
        return _taken(_lengths(values.dictionary), pc.fill_null(values.indices, -1))
    if pa.types.is_run_end_encoded(kind):
        return _of_runs(values)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return _of_views(values)
    if any(is_kind(kind) for is_kind in _TEXT):
        return _numbers(pc.binary_length(values))
    if pa.types.is_struct(kind):
        return sum(map(_lengths, values.flatten()), np.zeros(len(values), np.int64))
    if pa.types.is_fixed_size_list(kind):
        inner = _lengths(values.flatten()) if not values.null_count else _lengths(pc.list_flatten(values.fill_null([])))
        return np.full(len(values), int(inner.sum()) // max(len(values), 1) + 8 * kind.list_size, np.int64)
    if hasattr(values, "offsets"):
        return _of_lists(values)
    return np.zeros(len(values), np.int64)


_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def _of_lists(values: Any) -> NDArray[np.int64]:
    """Of lists and maps: the bytes of their items, and eight more for each."""
    kind = values.type
    parts = [values.keys, values.items] if pa.types.is_map(kind) else [values.values]
    each = sum(map(_lengths, parts), np.full(len(parts[0]), 8, np.int64))
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(each)])
    starts = _numbers(values.offsets)
    if hasattr(values, "sizes"):  # views of lists: each says its own place and length
        starts = starts[: len(values)]
        ends = starts + _numbers(values.sizes)
    else:
        starts, ends = starts[:-1], starts[1:]
    return np.asarray(before[ends] - before[starts])


def _of_runs(values: Any) -> NDArray[np.int64]:
    inner = _lengths(values.values)
    places = np.arange(values.offset, values.offset + len(values))
    return inner[np.searchsorted(_numbers(values.run_ends), places, "right")]


def _of_views(values: pa.Array) -> NDArray[np.int64]:
    """Each view of text is 16 bytes, of which the first four are its length."""
    _, views, *_ = values.buffers()
    held = np.frombuffer(views, np.int32)[4 * values.offset : 4 * (values.offset + len(values)) : 4]
    return np.where(_numbers(values.is_valid()) > 0, held, 0).astype(np.int64)


def _taken(lengths: NDArray[np.int64], indices: pa.Array) -> NDArray[np.int64]:
    return np.append(lengths, 0)[_numbers(indices)]  # the last one for -1, which is no value


def _numbers(values: pa.Array) -> NDArray[np.int64]:
    return np.asarray(
        pc.fill_null(values, False if pa.types.is_boolean(values.type) else 0).to_numpy(zero_copy_only=False)
    ).astype(np.int64, copy=False)


def refused(what: str, where: str, *movable: str) -> InputError:
    """The error for a file that expands beyond reason. movable: the limits that let it pass; none for a fixed bound."""
    options = " or ".join(f"--limit {name}=VALUE" for name in movable)
    fix = f"If you trust it, raise {options}" if movable else "This bound is fixed"
    return InputError(f"the file expands beyond reason: {what}", where=where, fix=f"{fix}; or write JSON lines")
