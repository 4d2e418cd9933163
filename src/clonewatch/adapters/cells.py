"""Rows that an API gives as lists of values: query results of CloudWatch Logs Insights, and tables of Azure Monitor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from clonewatch.adapters.lines import MOST_ROWS, Lines

# {"results": [[{"field": "@message", "value": "..."}]]} and {"tables": [{"columns": [...], "rows": [[...]]}]}.
_PAIRS = re.compile(rb'"results"\s*:\s*\[\s*\[\s*\{\s*"(?:field|value)"\s*:')
_TABLES = re.compile(rb'\s*\{\s*"tables"\s*:\s*\[\s*\{\s*"(?:name|columns|rows)"\s*:')
# These answers are bounded: 10,000 rows of one, 100 MB of the other. They are decoded as a whole.
_MOST = 256 << 20
_CHUNK = 1 << 20
_encode = msgspec.json.encode


class _Field(msgspec.Struct):
    field: str
    value: object = None


class _Results(msgspec.Struct):
    results: list[list[_Field]]


class _Column(msgspec.Struct):
    name: str


class _Table(msgspec.Struct):
    columns: list[_Column]
    rows: list[list[object]]


class _Tables(msgspec.Struct):
    tables: list[_Table]


def holds_cells(head: bytes) -> bool:
    """Whether a file with this head is such an answer.

    >>> holds_cells(b'{"results": [[{"field": "@message", "value": "x"}]]}'), holds_cells(b'{"results": [{"a": 1}]}')
    (True, False)
    """
    return _TABLES.match(head) is not None or (head.lstrip()[:1] == b"{" and _PAIRS.search(head) is not None)


def objects(stream: BinaryIO) -> Iterator[Lines]:
    """Each row as an object of its columns; an answer that is damaged, or longer than any, stays one row.

    >>> import io
    >>> next(objects(io.BytesIO(b'{"tables": [{"columns": [{"name": "a"}], "rows": [[1], [2]]}]}'))).lines
    [b'{"a":1}', b'{"a":2}']
    """
    held = bytearray()
    while chunk := stream.read(_CHUNK):
        if len(held) <= _MOST:
            held += chunk
    if len(held) > _MOST:
        yield Lines([], [], [1], torn=False)
        return
    whole = bytes(held).strip()
    try:
        made = [_encode(row) for row in _rows(whole)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        yield Lines([whole], [1], [], torn=True)
        return
    for at in range(0, len(made), MOST_ROWS):
        part = made[at : at + MOST_ROWS]
        yield Lines(part, list(range(at + 1, at + 1 + len(part))), [], torn=False)


def _rows(whole: bytes) -> Iterator[dict[str, object]]:
    if _TABLES.match(whole):
        for table in msgspec.json.decode(whole, type=_Tables).tables:
            names = [column.name for column in table.columns]
            yield from (dict(zip(names, row, strict=False)) for row in table.rows)
    else:
        for fields in msgspec.json.decode(whole, type=_Results).results:
            yield {field.field: field.value for field in fields}
