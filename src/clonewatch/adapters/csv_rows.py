"""CSV with a header line, row by row. A damaged row never takes a neighbour with it.

Clients choose their prompts, and loggers cut them: a byte that is no text becomes U+FFFD, and where a quote is never
closed, only the row that opened it is lost. A last row that ends within quotes was cut: its text is not what was sent.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from clonewatch.adapters.lines import MOST_ROWS, Lines, lines
from clonewatch.adapters.streams import Stream, head_of, limits_of, notes_of
from clonewatch.adapters.unpacking import NEXT_TABLE
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Source

_DELIMITERS = ",\t;|"
_BOM = b"\xef\xbb\xbf"
# How Excel names the separator, in a line of its own before the header.
_SEPARATOR = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
# A quote that is escaped by a backslash, as Spark and MySQL write it, and the backslashes before a quote.
_ESCAPED = '\\"'
_BEFORE_QUOTE = re.compile(r'(\\+)"')
_MOST_LINES = 1_000_000  # of a row: each takes a hundred bytes of memory beside its text
_SAMPLED = 50  # rows by which the separator is chosen
_NEXT_TABLE = NEXT_TABLE.decode()
_OPEN = "a quote that is never closed"
_NO_CSV = "not CSV"
_CUT = "cut off within quotes, at the end of the file"


class CsvRows(NamedTuple):
    """Some rows. names: the header. rows: each with as many cells as names. numbers: the line each row ends on."""

    names: list[str]
    rows: list[list[str]]
    numbers: list[int]
    rejected: list[Rejected]


class _Doubtful(NamedTuple):
    """A row that may have taken its neighbour: one of its later lines is a whole row. lines: with their numbers."""

    cells: list[str]
    lines: list[tuple[int, str]]


class _TooLong(Exception):
    """A row over the bound, as an unclosed quote makes it."""


class _Text:
    """Lines as text for the CSV reader, with the lines of the current row, which can be given back.

    number: of the last line given. length: characters of the current row. ended: whether it asked for more lines than
    there are. unended: number of a last line without a line ending, 0 if it has one.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.number, self.length, self.unended = source, 0, 0, 0
        self.ended = False
        self.limits = limits_of(source.stream)
        self.rejected: list[Rejected] = []
        self.taken: list[tuple[int, str]] = []
        self.escaped = False  # whether a backslash escapes a quote
        self._back: list[tuple[int, str]] = []
        self._lines = chain.from_iterable(self._numbered())

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        one = self._back.pop() if self._back else next(self._lines, None)
        if one is None:
            self.ended = True
            raise StopIteration
        self.number, line = one
        if self.escaped and _ESCAPED in line:
            line = _doubled(line)
            one = (self.number, line)
        self.length += len(line)
        if (self.length > self.limits.row or len(self.taken) >= _MOST_LINES) and self.taken:
            self._back.append(one)
            raise _TooLong
        self.taken.append(one)
        return line

    def begin(self) -> None:
        """A new row begins."""
        self.taken.clear()
        self.length, self.ended = 0, False

    def give_back(self, before: Sequence[tuple[int, str]] = ()) -> None:
        """All lines but the first are read again: of the row, or of `before` and the row."""
        self._back += reversed([*before, *self.taken][1:])

    def _numbered(self) -> Iterator[Iterable[tuple[int, str]]]:
        """Every line with its number, in batches; blank ones too, as a cell may hold them."""
        last, end = 0, b""
        for batch in lines(self.source.stream):
            for number in batch.oversized:
                self.rejected.append(Rejected(self.source.name, number, self.limits.too_long))
            if not batch.lines:
                continue
            self.unended = batch.numbers[-1] if batch.torn else 0
            told = zip(batch.numbers, [line.decode("utf-8", "replace") + "\n" for line in batch.lines], strict=True)
            blank = batch.numbers[-1] - last != len(batch.lines)
            yield _with_blanks(last, end, batch, told) if blank else told
            last, end = batch.numbers[-1], batch.lines[-1]


def _with_blanks(last: int, before: bytes, batch: Lines, told: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of a batch and the blank ones between them. last, before: number and text of the line before it."""
    lost = set(batch.oversized)
    for line, one in zip(batch.lines, told, strict=True):
        end = "\r\n" if before.endswith(b"\r") else "\n"
        yield from ((number, end) for number in range(last + 1, one[0]) if number not in lost)
        yield one
        last, before = one[0], line


def first_line(head: bytes) -> bytes:
    r"""The header line of a head: the first one that names columns, without a byte order mark.

    >>> first_line(b"sep=;\r\na;b\r\n"), first_line(b"# exported\na,b\n")
    (b'a;b\r', b'a,b')
    """
    for line in head.removeprefix(_BOM).split(b"\n", 10)[:10]:
        if not _is_before_header(line.decode("utf-8", "replace")):
            return line
    return b""


def _is_before_header(line: str) -> bool:
    return not line.strip() or line.startswith("#") or _SEPARATOR.fullmatch(line) is not None


def header(line: bytes) -> list[str]:
    """Names in the header line of a CSV file, with any separator; empty if it is not a header line.

    >>> header(b"a;b c;d"), header(b'"name, first";id')
    (['a', 'b c', 'd'], ['name, first', 'id'])
    """
    text = line.decode("utf-8", "replace")
    return max((_cells(text, delimiter) for delimiter in _DELIMITERS), key=len)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:  # binary data
        return []


def _doubled(line: str) -> str:
    r"""A line with its escaped quotes doubled, and of the backslashes before a quote half as many.

    >>> _doubled(r'say \"hi\" and C:\\" ends')
    'say ""hi"" and C:\\" ends'
    """
    return _BEFORE_QUOTE.sub(lambda m: "\\" * (len(m[1]) // 2) + ('""' if len(m[1]) % 2 else '"'), line)


def _is_escaped(head: str, delimiter: str) -> bool:
    """Whether quotes are escaped by a backslash: more rows of a head are whole then."""
    if _ESCAPED not in head:
        return False
    lines = head.splitlines(keepends=True)[:-1]
    plain, escaped = (_fitting(text, delimiter) for text in (lines, [_doubled(line) for line in lines]))
    return escaped > plain


def _fitting(lines: list[str], delimiter: str) -> int:
    """How many of the first rows have as many cells as the header, until one is no CSV."""
    reader, names, fitting = csv.reader(lines, delimiter=delimiter, strict=True), 0, 0
    try:
        for cells in islice(reader, _SAMPLED):
            names = names or len(cells)
            fitting += len(cells) == names
    except csv.Error:
        pass
    return fitting


def _separator(head: str, line: str) -> str:
    r"""The separator that splits the header into several names and most rows into as many cells.

    >>> _separator("a;b,c\n1;2\n3;4\n", "a;b,c")
    ';'
    """
    best = {}
    for delimiter in _DELIMITERS:
        names = len(_cells(line, delimiter))
        sample = islice(csv.reader(head.splitlines(keepends=True), delimiter=delimiter), _SAMPLED)
        try:
            fitting = sum(len(cells) == names for cells in sample)
        except csv.Error:
            fitting = 0
        best[delimiter] = (names > 1, fitting, names)
    return max(_DELIMITERS, key=best.__getitem__)


def csv_rows(source: Source) -> Iterator[CsvRows]:
    """Rows of a CSV file in batches; the separator is named in a line before the header, or splits most rows alike.

    Quoted cells may contain line breaks. Bytes that are not UTF-8 become U+FFFD. Rows with too few or too many cells
    are rejected, as is a row with a quote that is never closed; the rows after it are kept. Raises InputError if there
    is no header.
    """
    csv.field_size_limit(limits_of(source.stream).row)
    head = head_of(source.stream).removeprefix(_BOM).decode("utf-8", "replace")
    text = _Text(source)
    tables = isinstance(source.stream, Stream) and bool(source.stream.packed)
    while True:
        line, named = next(text, ""), ""
        while line and _is_before_header(line):
            found = _SEPARATOR.fullmatch(line)
            named = found[1] if found else named
            line = next(text, "")
        delimiter = named or _separator(head if head else line, line)
        names = _cells(line, delimiter)
        text.escaped = _is_escaped(head, delimiter)
        spaced = len(names) > 1 and line.count(delimiter + " ") == len(names) - 1
        if not names and not head:
            return  # a member of the archive without a line
        if not names:
            raise InputError("no header line", where=source.name, fix="The first line must name the columns")
        more = yield from _rows(text, names, delimiter, tables, spaced)
        if not more:
            return
        head = ""


def _rows(text: _Text, names: list[str], delimiter: str, tables: bool, spaced: bool) -> Generator[CsvRows, None, bool]:
    """The rows below a header. tables: whether another table may follow; returns whether one does.

    spaced: whether a space after a separator is part of it.
    """
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=spaced)
    name, opened, size = text.source.name, 0, 0
    doubtful: _Doubtful | None = None
    while True:
        text.begin()
        cells, fault = _next(reader, text, len(names), delimiter)
        another = tables and bool(text.taken) and text.taken[0][1].strip("\r\n") == _NEXT_TABLE
        if doubtful is not None:
            # What is left of a neighbour that was taken is no row. Any other row is followed by one.
            if fault and not another and len(_cells(text.taken[0][1], delimiter)) != len(names):
                opened += 1
                text.rejected.append(Rejected(name, doubtful.lines[0][0], _OPEN))
                text.give_back(doubtful.lines)
                doubtful = None
                continue
            rows.append(doubtful.cells)
            numbers.append(doubtful.lines[-1][0])
            doubtful = None
        if another:
            break
        if fault:
            damaged = fault in (_OPEN, _NO_CSV, _CUT)
            text.rejected.append(Rejected(name, text.taken[0][0] if damaged else text.number, fault))
            opened += damaged
            if damaged and fault != _CUT:
                text.give_back()
                continue
        elif cells is None:
            break
        elif cells == names:
            pass  # the header of a file that was appended
        elif cells and len(text.taken) > 1 and _holds_row(text.taken, len(names), delimiter):
            doubtful = _Doubtful(cells, list(text.taken))
        elif cells:
            rows.append(cells)
            numbers.append(text.number)
            if text.number == text.unended:
                _warn_of_cut(text)
        size += text.length
        if len(rows) >= MOST_ROWS or size >= text.limits.batch or len(text.rejected) >= MOST_ROWS:
            yield CsvRows(names, rows, numbers, text.rejected)
            rows, numbers, text.rejected, size = [], [], [], 0
    if opened:
        notes_of(text.source.stream).warn(
            f"{opened:,} rows with a quote that is not closed or not doubled were rejected; their neighbours were kept"
        )
    yield CsvRows(names, rows, numbers, text.rejected)
    text.rejected = []
    return another


def _warn_of_cut(text: _Text) -> None:
    """Say that the last row may be shorter than it was written, unless a quote ends it."""
    if not text.taken[-1][1].rstrip().endswith('"'):
        notes_of(text.source.stream).warn(
            f"line {text.number:,}, the last one, has no line ending; its last cell may have been cut off"
        )


def _next(reader: Iterator[list[str]], text: _Text, names: int, delimiter: str) -> tuple[list[str] | None, str]:
    """The cells of the next row, None after the last one, and what is wrong with it."""
    try:
        cells = next(reader, None)
    except _TooLong:
        return None, _OPEN if len(text.taken) > 1 else _NO_CSV
    except csv.Error:
        if text.ended:
            return None, _OPEN if _holds_row(text.taken, names, delimiter) else _CUT
        cells = _sloppy(text.taken, names, delimiter)
        if cells is None:
            return None, _OPEN if len(text.taken) > 1 else _NO_CSV
    if not cells or len(cells) == names:
        return cells, ""
    return None, _OPEN if _holds_row(text.taken, names, delimiter) else f"{len(cells)} cells, not {names}"


def _holds_row(taken: list[tuple[int, str]], names: int, delimiter: str) -> bool:
    """Whether a later line of a row is by itself a whole row."""
    least = names - 1  # separators of a row
    # Every line of a prompt comes by: few have enough of them.
    return names > 1 and any(
        _is_row(line, names, delimiter) for _, line in islice(taken, 1, None) if line.count(delimiter) >= least
    )


def _is_row(line: str, names: int, delimiter: str) -> bool:
    """Whether a line is a row of as many cells, the last of which may be open. Without quotes, no parser is needed."""
    return len(_cells(line, delimiter)) == names if '"' in line else line.count(delimiter) == names - 1


def _sloppy(taken: list[tuple[int, str]], names: int, delimiter: str) -> list[str] | None:
    """The cells of a row with quotes that should have been doubled; None where a line of it is a row of its own."""
    written = [line for _, line in taken]
    if any(_is_row(line, names, delimiter) for line in written[1:]):
        return None
    try:
        found = list(islice(csv.reader(written, delimiter=delimiter), 2))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 and len(found[0]) == names else None
