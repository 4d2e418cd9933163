"""How a Parquet file is read within bounds: rows of a batch, and columns of text that stay dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from clonewatch.adapters.columnar_bounds import check_rows, refused
from clonewatch.adapters.parquet_pages import DELTA_TEXT, DICTIONARY, Page, longest, pages
from clonewatch.model.limits import DEFAULT, Limits

# Times the bytes of a batch, which rows have on average.
_AT_ONCE = 8  # of the largest batch, where rows differ
_REPEATED = 4  # to which values may be repeated in a batch, if every row has the longest
_REPEATED_ROWS = 4096  # rows of a batch below which longer values are read as dictionaries
_FEWEST_ROWS, _MOST_ROWS = 16, 65_536
_SMALL = 4 << 20  # what a column may repeat to in a batch without a look at its dictionary
_MOST_NESTED = 1 << 30  # bytes to which values in lists may repeat, where no dictionary can be kept
_WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
_TEXT, _FIXED = "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"


class Plan(NamedTuple):
    """How a file is read. rows: of a batch. dictionaries: columns of text that are read as a dictionary."""

    rows: int
    dictionaries: list[str]


class _Leaf(NamedTuple):
    """A column of values. flat: not within a list or a struct. width: bytes of a value of fixed length, otherwise 0."""

    place: int
    path: str
    flat: bool
    width: int


class _Chunk(NamedTuple):
    """A column of one row group, in memory.

    size: bytes without what is repeated. repeat: bytes of the longest value that may be repeated, 0 for none. kept:
    whether it can be read as a dictionary.
    """

    leaf: _Leaf
    size: int
    values: int
    repeat: int
    kept: bool
    pages: Sequence[Page]


def plan(file: pq.ParquetFile, columns: list[str], path: Path, where: str, limits: Limits = DEFAULT) -> Plan:
    """How to read these top-level columns. Raises InputError for a file that expands beyond reason."""
    metadata = file.metadata
    check_rows(metadata.num_rows, path.stat().st_size, where)
    leaves = _leaves(metadata, set(columns))
    if sum(leaf.width for leaf in leaves if leaf.flat) > limits.row:
        raise refused(f"each of its rows is {limits.too_long}", where, "row")
    rows, dictionaries = _MOST_ROWS, set[str]()
    with path.open("rb") as opened:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if not group.num_rows:
                continue
            held = [leaf for leaf in leaves if leaf.place < group.num_columns]
            chunks = [_chunk(opened.fileno(), leaf, group.column(leaf.place), where, limits) for leaf in held]
            fewer, kept = _repeats(chunks, where, _REPEATED * limits.batch)
            rows = min(rows, fewer, _by_size(chunks, group.num_rows, where, limits.batch))
            dictionaries |= kept
    return Plan(max(1, rows), sorted(dictionaries))


def _leaves(metadata: pq.FileMetaData, wanted: set[str]) -> list[_Leaf]:
    found = []
    for place in range(metadata.num_columns):
        column = metadata.schema.column(place)
        if column.path.partition(".")[0] in wanted:
            width = column.length if column.physical_type == _FIXED else _WIDTH.get(column.physical_type, 0)
            found.append(_Leaf(place, column.path, column.path == column.name, max(0, width)))
    return found


def _chunk(handle: int, leaf: _Leaf, chunk: pq.ColumnChunkMetaData, where: str, limits: Limits) -> _Chunk:
    """What a column chunk takes. Raises InputError beyond reason."""
    found = list(pages(handle, chunk))
    size = max(chunk.total_uncompressed_size, sum(page.size for page in found), chunk.num_values * leaf.width)
    flat_numbers = leaf.flat and leaf.width  # as many as rows, which are bounded
    if not flat_numbers and limits.is_beyond(size, chunk.total_compressed_size):
        what = f"its column {leaf.path!r} expands more than {limits.expansion}-fold, to {size >> 20:,} MiB"
        raise refused(what, where, "expansion", "decoded")
    if chunk.physical_type != _TEXT:
        return _Chunk(leaf, size, chunk.num_values, 0, False, found)
    delta = max((page.size for page in found if page.encoding == DELTA_TEXT and page.kind != DICTIONARY), default=0)
    repeat = max((_longest(handle, page, chunk) for page in found if page.kind == DICTIONARY), default=0)
    return _Chunk(leaf, size, chunk.num_values, max(delta, repeat), not delta, found)


def _longest(handle: int, page: Page, chunk: pq.ColumnChunkMetaData) -> int:
    """Bytes of the longest value of a dictionary, or a bound where that is small enough."""
    bound = max(0, page.size - 4 * page.values)
    if bound * min(chunk.num_values, _MOST_ROWS) <= _SMALL:
        return bound
    return longest(handle, page, chunk)


def _repeats(chunks: list[_Chunk], where: str, most_repeated: int) -> tuple[int, set[str]]:
    """Rows of a batch in which repeated values stay small, and columns that must be read as dictionaries for that."""
    kept, whole = set[str](), 0
    for one in sorted(chunks, key=lambda one: one.repeat):
        most = one.repeat * (min(one.values, _MOST_ROWS) if one.leaf.flat else one.values)
        if most <= _SMALL:
            continue
        if one.kept and (whole + one.repeat) * _REPEATED_ROWS > most_repeated:
            kept.add(one.leaf.path)
        elif not one.leaf.flat and most > most_repeated:
            if not one.kept and most > _MOST_NESTED:
                raise refused(f"values in lists of its column {one.leaf.path!r} repeat each other", where)
            kept |= {one.leaf.path} if one.kept else set()
        elif one.leaf.flat:
            whole += one.repeat
    return max(_FEWEST_ROWS, most_repeated // max(whole, 1)), kept


def _by_size(chunks: list[_Chunk], rows: int, where: str, most_bytes: int) -> int:
    """Rows of a batch by the size of the pages: so many bytes on average, and never more than eight times as many."""
    size, at_once = sum(one.size for one in chunks), _AT_ONCE * most_bytes
    wanted = max(_FEWEST_ROWS, min(_MOST_ROWS, most_bytes * rows // max(size, 1)))
    if size <= at_once:
        return wanted
    while (most := sum(_most(one, wanted) for one in chunks)) > at_once and wanted > 1:
        wanted //= 2
    if most > 4 * at_once:
        raise refused(f"a row takes up to {most >> 20:,} MiB", where, "batch")
    return wanted


def _most(chunk: _Chunk, rows: int) -> int:
    """The most bytes that so many rows after each other take. Of lists it is not known how many make a row."""
    data = [page for page in chunk.pages if page.kind != DICTIONARY and page.values > 0]
    if not chunk.leaf.flat or not data:
        return 0
    last = np.array(list(accumulate(page.values for page in data)))
    size = np.array(list(accumulate((page.size for page in data), initial=0)))
    first = np.searchsorted(last, last - [page.values for page in data] - rows, "right")
    # A page that holds more rows than are asked for gives its share.
    share = np.array([page.size * min(1.0, rows / page.values) for page in data])
    within = np.array([page.values for page in data]) >= rows
    return int(np.where(within, share, size[1:] - size[first]).max())
