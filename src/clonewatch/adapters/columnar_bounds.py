"""What a columnar file may cost in memory, from what it says of itself, before anything is decoded.

Columnar formats repeat a value for a few bits: a file of kilobytes can hold gigabytes. So batches are sized by what
they decode to, text that a dictionary repeats stays in the dictionary until a batch is cut, and a file that expands
beyond reason is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clonewatch.adapters.lines import MOST_LINE
from clonewatch.adapters.streams import MOST_RATIO, RATIO_FROM
from clonewatch.model.errors import InputError
from clonewatch.model.text_files import plain

_MOST_BYTES = 32 << 20  # decoded bytes per batch
_FEWEST_ROWS, _MOST_ROWS = 16, 65_536
# A row of a log takes more than this on disk, however well it is compressed.
_ROWS_PER_BYTE, _ROWS_FROM = 100, 1_000_000
_MOST_FOOTER = 64 << 20
_BUFFER = 1 << 16  # bytes read at a time for a dictionary, instead of its whole column
_SMALL = 16 << 20  # what a column may repeat to in one row group without a look at its dictionary
# Repetitions alone are cheap to skip and dear to read: a log repeats long prompts, but not beyond this.
MOST_REPEATED, _REPEATED_FROM = 5_000, 2 << 30
_WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
TOO_LONG = f"longer than {MOST_LINE >> 20} MiB"


class Plan(NamedTuple):
    """How a file is read. rows: of a batch. dictionaries: columns of text that are read as a dictionary."""

    rows: int
    dictionaries: list[str]


def check_size(path: Path, where: str) -> None:
    """Raise InputError for a footer so long that reading it alone takes gigabytes."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        footer = int.from_bytes(file.read(4), "little")
    if _MOST_FOOTER < footer < size:
        raise _refused(f"its footer takes {footer >> 20:,} MiB", where)


def openable(path: Path | str) -> Any:
    """A path as Arrow can open it, which takes no name that is not UTF-8."""
    name = str(path)
    return name if name.isascii() or plain(name) == name else pa.PythonFile(Path(path).open("rb"), "r")


def plan(file: pq.ParquetFile, columns: list[str], path: Path, where: str) -> Plan:
    """How to read these top-level columns. Raises InputError for a file that expands beyond reason."""
    metadata, wanted = file.metadata, set(columns)
    check_rows(metadata.num_rows, path.stat().st_size, where)
    leaves = [
        _Leaf(place, leaf.path, leaf.path == leaf.name)
        for place in range(metadata.num_columns)
        if (leaf := metadata.schema.column(place)).path.partition(".")[0] in wanted
    ]
    texts = [leaf.path for leaf in leaves if metadata.schema.column(leaf.place).physical_type == "BYTE_ARRAY"]
    fewest, repeated = _MOST_ROWS, set()
    with pq.ParquetFile(openable(path), pre_buffer=False, buffer_size=_BUFFER, read_dictionary=texts) as probe:
        for group in range(metadata.num_row_groups):
            held, decoded = metadata.row_group(group), 0
            known = [(leaf, held.column(leaf.place)) for leaf in leaves if leaf.place < held.num_columns]
            doubtful = [leaf for leaf, chunk in known if _may_repeat(chunk, held.num_rows)]
            longest = _longest(probe, group, doubtful)
            for leaf, chunk in known:
                most = longest.get(leaf.path, 0)
                size = _decoded(leaf, chunk, most, where)
                decoded += size if leaf.flat or not most else max(size, chunk.num_values * most)
                if leaf.flat and most * _MOST_ROWS > RATIO_FROM:
                    repeated.add(leaf.path)
            fewest = min(fewest, max(_FEWEST_ROWS, _MOST_BYTES * held.num_rows // max(decoded, 1)))
    return Plan(max(1, fewest), sorted(repeated))


class _Leaf(NamedTuple):
    """A column of values. flat: not within a list or a struct."""

    place: int
    path: str
    flat: bool


def _decoded(leaf: _Leaf, chunk: pq.ColumnChunkMetaData, longest: int, where: str) -> int:
    """Bytes of a column chunk in memory, without what a dictionary repeats. Raises InputError beyond reason."""
    size: int = max(chunk.total_uncompressed_size, chunk.num_values * _WIDTH.get(chunk.physical_type, 0))
    flat_numbers = leaf.flat and chunk.physical_type in _WIDTH  # as many as rows, which are bounded
    if size > max(RATIO_FROM, MOST_RATIO * chunk.total_compressed_size) and not flat_numbers:
        what = f"its column {leaf.path!r} expands more than {MOST_RATIO}-fold, to {size >> 20:,} MiB"
        raise _refused(what, where)
    return size


def _may_repeat(chunk: pq.ColumnChunkMetaData, rows: int) -> bool:
    """Whether a dictionary may hold text so long that its repetitions matter. No value is longer than its page."""
    if chunk.physical_type != "BYTE_ARRAY" or not any("DICTIONARY" in encoding for encoding in chunk.encodings):
        return False
    return bool(chunk.total_uncompressed_size * max(min(rows, _MOST_ROWS), chunk.num_values) > _SMALL)


def _longest(probe: pq.ParquetFile, group: int, leaves: list[_Leaf]) -> dict[str, int]:
    """Bytes of the longest value in the dictionary of each column: the first row of a group comes with all of it."""
    if not leaves:
        return {}
    names = [leaf.path for leaf in leaves]
    batch = next(probe.iter_batches(batch_size=1, row_groups=[group], columns=names), None)
    if batch is None:
        return {}
    found: dict[str, int] = {}
    for name, values in _texts(batch):
        if pa.types.is_dictionary(values.type) and len(values.dictionary):
            found[name] = int(pc.max(pc.binary_length(values.dictionary)).as_py() or 0)
    return {leaf.path: max((n for name, n in found.items() if _is_in(name, leaf.path)), default=0) for leaf in leaves}


def _texts(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    """Every array of values below the columns of a batch, with the name of its column."""
    waiting = list(zip(batch.schema.names, batch.columns, strict=True))
    while waiting:
        name, values = waiting.pop()
        kind = values.type
        if pa.types.is_struct(kind):
            waiting += [(name, values.field(place)) for place in range(kind.num_fields)]
        elif pa.types.is_map(kind):
            waiting += [(name, values.keys), (name, values.items)]
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            waiting.append((name, values.values))
        else:
            yield name, values


def _is_in(column: str, path: str) -> bool:
    return path == column or path.startswith(column + ".")


def has_too_many_rows(rows: int, size: int) -> bool:
    """Whether a file names more rows than its bytes could hold."""
    return rows > max(_ROWS_FROM, _ROWS_PER_BYTE * size)


def check_rows(rows: int, size: int, where: str) -> None:
    """Raise InputError for a file with more rows than its bytes could hold. size: bytes on disk."""
    if has_too_many_rows(rows, size):
        raise _refused(f"it names {rows:,} rows in {size:,} bytes", where)


def cut(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch, int]]:
    """A batch in parts of at most 32 MiB of decoded text or one row each: place of the first row, rows, bytes.

    Bytes are those that dictionaries repeat, 0 in a batch without any.
    """
    if not any(pa.types.is_dictionary(column.type) for column in batch.columns):
        yield 0, batch, 0
        return
    ends = np.cumsum(sum((_lengths(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64)))
    start, before = 0, 0
    while start < batch.num_rows:
        end = max(start + 1, int(np.searchsorted(ends, before + _MOST_BYTES, "right")))
        yield start, batch.slice(start, end - start), int(ends[end - 1]) - before
        start, before = end, int(ends[end - 1])


def is_beyond(repeated: int, size: int, held: bool = False) -> bool:
    """Whether text that dictionaries repeated so far is more than a log would hold.

    size: bytes of the file. held: whether all of it is held in memory, as tables beside a log are.
    """
    return repeated > (RATIO_FROM if held else max(_REPEATED_FROM, MOST_REPEATED * size))


def too_long(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Places of the rows in which a cell holds more than a line may."""
    long = np.zeros(batch.num_rows, np.bool_)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) or column.nbytes > MOST_LINE:
            long |= _lengths(column) > MOST_LINE
    return np.flatnonzero(long)


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    """Decoded bytes of the text, or of the numbers of the list, in each row; 0 for other kinds."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if not _has_length(kind.value_type):
            return np.zeros(len(column), np.int64)
        found = pc.take(pc.binary_length(column.dictionary), column.indices)
    elif _has_length(kind):
        found = pc.binary_length(column)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = pc.multiply(pc.cast(pc.list_value_length(column), pa.int64()), 8)
    else:
        return np.zeros(len(column), np.int64)
    return np.asarray(pc.fill_null(found, 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def _has_length(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _refused(what: str, where: str) -> InputError:
    return InputError(
        f"the file expands beyond reason: {what}",
        where=where,
        fix="No log compresses like that. If yours does, write it again in smaller row groups, or as JSON lines",
    )
