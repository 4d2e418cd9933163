"""CSV with a header line, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from clonewatch.adapters.lines import MOST_BYTES, MOST_LINE, MOST_ROWS, lines
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Source

_DELIMITERS = ",\t;|"


class CsvRows(NamedTuple):
    """Some rows. names: the header. rows: each with as many cells as names. numbers: the line each row ends on."""

    names: list[str]
    rows: list[list[str]]
    numbers: list[int]
    rejected: list[Rejected]


class _Text:
    """Lines as text for the CSV reader, with its position and the lines that were not text."""

    def __init__(self, source: Source) -> None:
        self.source, self.number, self.size = source, 0, 0
        self.rejected: list[Rejected] = []

    def __iter__(self) -> Iterator[str]:
        for batch in lines(self.source.stream):
            for number in batch.oversized:
                self.rejected.append(Rejected(self.source.name, number, f"longer than {MOST_LINE >> 20} MiB"))
            for number, line in zip(batch.numbers, batch.lines, strict=True):
                self.number, self.size = number, self.size + len(line)
                try:
                    yield line.decode() + "\n"
                except UnicodeDecodeError:
                    self.rejected.append(Rejected(self.source.name, number, "not UTF-8"))


def first_line(head: bytes) -> bytes:
    """The first line of a head, without a byte order mark."""
    return head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]


def header(line: bytes) -> list[str]:
    """Names in the header line of a CSV file, with any separator; empty if it is not a header line.

    >>> header(b"a;b c;d")
    ['a', 'b c', 'd']
    """
    return _header(line.decode("utf-8", "replace"))[0]


def _header(text: str) -> tuple[list[str], str]:
    delimiter = max(_DELIMITERS, key=text.count)
    try:
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:  # binary data
        return [], delimiter
    return [name.strip() for name in cells], delimiter


def csv_rows(source: Source) -> Iterator[CsvRows]:
    """Rows of a CSV file in batches; the separator is the one that splits the header into the most names.

    Quoted cells may contain line breaks (blank lines in them are lost). Rows with too few or too many cells, or not in
    UTF-8, are rejected. Raises InputError if there is no header.
    """
    csv.field_size_limit(MOST_LINE)
    text = _Text(source)
    feed = iter(text)
    names, delimiter = _header(next(feed, ""))
    if not names:
        raise InputError("no header line", where=source.name, fix="The first line must name the columns")
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            text.rejected.append(Rejected(source.name, text.number, "not CSV"))
            continue
        if cells is None:
            break
        if len(cells) == len(names):
            rows.append(cells)
            numbers.append(text.number)
        else:
            text.rejected.append(Rejected(source.name, text.number, f"{len(cells)} cells, not {len(names)}"))
        if len(rows) >= MOST_ROWS or text.size >= MOST_BYTES or len(text.rejected) >= MOST_ROWS:
            yield CsvRows(names, rows, numbers, text.rejected)
            rows, numbers, text.rejected, text.size = [], [], [], 0
    yield CsvRows(names, rows, numbers, text.rejected)
