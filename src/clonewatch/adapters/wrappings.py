"""What stands around the JSON of a log: prefixes and objects of container and system loggers, and lists in an object.

A head of the file decides which way its rows are found; every row that is written another way stays as it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

import msgspec

from clonewatch.adapters import lines
from clonewatch.adapters.lines import Lines

# Rows of a head that are examined: enough to outvote a banner, failed calls and torn lines.
SAMPLED = 200
_LONGEST_PREFIX = 512
_BOM = b"\xef\xbb\xbf"
_LISTS = rb"data|result|results|records|events|logEvents|items|logs|rows|spend_logs"
# Keys beside the list that say nothing of a row: pages, totals, the name of the stream.
_BESIDE = (
    rb"total|total_pages|total_count|count|page|page_size|pageSize|limit|offset|object|next|nextToken|cursor|has_more"
    rb"|success|status|took|messageType|owner|logGroup|logStream|subscriptionFilters"
)
_SCALAR = rb'(?:"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null|\[\s*(?:"[^"\\]*"\s*,?\s*)*\])'
_WRAPPED = re.compile(
    rb'\s*\{\s*(?:"(?:' + _BESIDE + rb')"\s*:\s*' + _SCALAR + rb'\s*,\s*)*"(?:' + _LISTS + rb')"\s*:\s*\[\s*[\{\]]'
)
# Kubernetes: time, stream, P for a part of a line or F for the last one.
_CRI = re.compile(rb"\S{10,40} (stdout|stderr) ([PF]) (.*)", re.DOTALL)
# Keys under which loggers put a line of text: docker, CloudWatch and others, journald.
_CARRIERS = ("log", "message", "MESSAGE")
_QUOTED = tuple(f'"{key}"'.encode() for key in _CARRIERS)
_BESIDE_LINE = frozenset(
    (
        "stream",
        "time",
        "attrs",
        "timestamp",
        "@timestamp",
        "ingestionTime",
        "eventId",
        "id",
        "logStreamName",
        "PRIORITY",
    )
)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class Wrapping(NamedTuple):
    """How the rows of a file are found. name: in words, "" for rows that stand alone."""

    name: str
    cut: Callable[[BinaryIO], Iterator[Lines]]


def wrapping(head: bytes) -> Wrapping:
    r"""The way in which the rows of a file with this head are found.

    >>> wrapping(b'{"data": [{"a": 1}]}').name, wrapping(b'2026-03-01T10:00:00Z stdout F {"a": 1}\n').name
    ('a list in an object', 'text before the JSON')
    >>> wrapping(b'{"log": "{\\"a\\": 1}\\n", "stream": "stdout"}\n').name, wrapping(b'{"a": 1}').name
    ('lines in objects of a logger', '')
    """
    text = head.removeprefix(_BOM)
    if _WRAPPED.match(text):
        inner = _first(lines.elements, head)
        return Wrapping("a list in an object", _carried(lines.elements) if _is_carrier(inner) else lines.elements)
    if lines.is_spread(head):
        return Wrapping(
            "", _carried(lines.documents) if _is_carrier(_first(lines.documents, head)) else lines.documents
        )
    rows = [line for line in islice(text.split(b"\n"), SAMPLED) if line.strip()]
    whole = rows[:-1] or rows  # the head may end within a line
    if 2 * _carriers(whole) > len(whole):
        return Wrapping("lines in objects of a logger", _carried(lines.lines))
    if 2 * sum(_is_prefixed(line) for line in whole) > len(whole):
        return Wrapping("text before the JSON", _prefixed)
    return Wrapping("", lines.lines)


def sampled(head: bytes) -> list[bytes]:
    """The first rows of a head that look like JSON objects; the last one may be cut off."""
    cut = wrapping(head).cut(io.BytesIO(head))
    rows = islice((line for batch in cut for line in batch.lines), SAMPLED)
    return [row for row in rows if row.lstrip()[:1] == b"{"]


def _first(cut: Callable[[BinaryIO], Iterator[Lines]], head: bytes) -> bytes:
    return next((line for batch in cut(io.BytesIO(head)) for line in batch.lines), b"")


# ---- objects that carry a line --------------------------------------------------------------------------------------


def _is_carrier(line: bytes) -> bool:
    return carried(line) is not None


def carried(line: bytes) -> bytes | None:
    r"""The JSON that a logger's object carries as text; None if it is no such object.

    >>> carried(b'{"log": "{\\"a\\": 1}\\n", "stream": "stdout"}'), carried(b'{"message": "{}", "user": 1}')
    (b'{"a": 1}\n', None)
    """
    found = _logged(line)
    return None if found is None else found.json


class _Logged(NamedTuple):
    """A line in a logger's object. docker: whether it is written as Docker does, which cuts long lines into parts."""

    text: bytes
    docker: bool
    stream: bytes

    @property
    def json(self) -> bytes | None:
        """The JSON in the text, after a prefix if there is one; None if there is none."""
        return self.text if self.text.lstrip()[:1] == b"{" else _after_prefix(self.text)

    @property
    def begins(self) -> bool:
        """Whether this is the first part of a line that was cut."""
        return self.docker and self.text.lstrip()[:1] == b"{" and not self.text.endswith(b"\n") and not self.whole

    @property
    def whole(self) -> bool:
        """Whether the text is one object."""
        try:
            _object(self.text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        return True


def _logged(line: bytes) -> _Logged | None:
    if not any(key in line for key in _QUOTED):
        return None
    try:
        found = _object(line)
        key = next((key for key in _CARRIERS if key in found), "")
        if not key or not (found.keys() - {key}) <= _BESIDE_LINE:
            return None
        text = _text(found[key]).encode("utf-8", "replace")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return _Logged(text, key == "log", bytes(found.get("stream", b"")))


def _carriers(rows: list[bytes]) -> int:
    """How many rows are objects that carry a line, or a part of one."""
    count, within = 0, False
    for row in rows:
        found = _logged(row)
        count += found is not None and (within or found.json is not None)
        within = found is not None and (found.begins or (within and not found.text.endswith(b"\n")))
    return count


class _Held(NamedTuple):
    """The parts of a line so far, their size, and the number of the last one."""

    parts: list[bytes]
    size: int
    number: int

    def and_more(self, part: bytes, number: int) -> _Held:
        """The same with one more part."""
        self.parts.append(part)
        return _Held(self.parts, self.size + len(part), number)


def _rest(held: dict[bytes, _Held]) -> Iterator[Lines]:
    """Lines whose last part is not in the file: as torn ones."""
    for parts in held.values():
        yield Lines([b"".join(parts.parts)], [parts.number], [], torn=True)


def _carried(cut: Callable[[BinaryIO], Iterator[Lines]]) -> Callable[[BinaryIO], Iterator[Lines]]:
    """Lines out of a logger's objects. Parts of a line that Docker cut are put together."""

    def cut_and_unpack(stream: BinaryIO) -> Iterator[Lines]:
        held: dict[bytes, _Held] = {}
        for batch in cut(stream):
            kept: list[bytes] = []
            numbers: list[int] = []
            oversized = list(batch.oversized)
            for number, line in zip(batch.numbers, batch.lines, strict=True):
                found = _logged(line)
                if found and found.stream in held and found.docker:
                    before = held.pop(found.stream)
                    if not found.whole:
                        parts = before.and_more(found.text, number)
                        if parts.size > lines.MOST_LINE:
                            oversized.append(number)
                        elif not found.text.endswith(b"\n"):
                            held[found.stream] = parts
                        else:
                            kept.append(b"".join(parts.parts))
                            numbers.append(number)
                        continue
                    kept.append(b"".join(before.parts))  # its other parts are missing
                    numbers.append(before.number)
                elif found and found.begins:
                    held[found.stream] = _Held([found.text], len(found.text), number)
                    continue
                inner = found.json if found else None
                kept.append(line if inner is None else inner)
                numbers.append(number)
            yield batch._replace(lines=kept, numbers=numbers, oversized=oversized)
        yield from _rest(held)

    return cut_and_unpack


# ---- text before the JSON -------------------------------------------------------------------------------------------


def _is_prefixed(line: bytes) -> bool:
    return _CRI.match(line) is not None or _after_prefix(line) is not None


def _after_prefix(line: bytes) -> bytes | None:
    """The object at the end of a line, after a prefix of a logger; None where there is none."""
    at = line.find(b"{", 0, _LONGEST_PREFIX)
    if at <= 0:
        return None
    rest = line[at:].rstrip()
    try:
        _object(rest)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return rest


def _prefixed(stream: BinaryIO) -> Iterator[Lines]:
    """Lines without their prefix. Parts of a line that a container runtime cut are put together."""
    held: dict[bytes, _Held] = {}
    for batch in lines.lines(stream):
        kept: list[bytes] = []
        numbers: list[int] = []
        oversized = list(batch.oversized)
        for number, line in zip(batch.numbers, batch.lines, strict=True):
            piece = _CRI.match(line)
            if piece and (piece[2] == b"P" or piece[1] in held):
                parts = held.pop(piece[1], _Held([], 0, 0)).and_more(piece[3].rstrip(b"\r"), number)
                if piece[2] == b"P" and parts.size <= lines.MOST_LINE:
                    held[piece[1]] = parts
                    continue
                if parts.size > lines.MOST_LINE:
                    oversized.append(number)
                    continue
                line = b"".join(parts.parts)
            kept.append(_without_prefix(line))
            numbers.append(number)
        yield batch._replace(lines=kept, numbers=numbers, oversized=oversized)
    yield from _rest(held)


def _without_prefix(line: bytes) -> bytes:
    at = line.find(b"{", 0, _LONGEST_PREFIX)
    return line[at:] if at > 0 and not line.startswith(b"[{") else line


# ---- what else a file may be ----------------------------------------------------------------------------------------

_MAGIC = (
    (b"\xfd7zXZ\x00", "an xz archive", "Decompress it first (xz -dk FILE)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first"),
    (b"\x04\x22\x4d\x18", "an lz4 file", "Decompress it first (lz4 -d FILE)"),
    (b"PK\x03\x04", "a zip archive that cannot be opened here", "Unpack it first"),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV with a header"),
    (b"%PDF", "a PDF", "Export the log as JSON lines, CSV or Parquet"),
    (b"ORC", "an ORC file", "Export the table as Parquet"),
    (b"Obj\x01", "an Avro file", "Export the table as Parquet or JSON lines"),
    (b"<", "XML or HTML", "Export the log as JSON lines, CSV or Parquet"),
)
_SQL = re.compile(rb"^(?:--|SET |CREATE TABLE|INSERT INTO|COPY .* FROM stdin|PRAGMA )", re.MULTILINE)
_NO_HEADER = re.compile(rb"^(?:\\N|-?\d[\d.,:TZ +-]*|\{.*|\[.*)$", re.DOTALL)
# What a column may be called; anything else may be somebody's text, and is not printed.
_NAME = re.compile(r"[A-Za-z_@$#][\w.:/@$#-]{0,40}(?: [\w.-]{1,20})?")
_COPY = "Export the table as CSV with a header: COPY (SELECT * FROM ...) TO '...' WITH (FORMAT csv, HEADER)"
_NAMED = 12


def seen(head: bytes, keys: Iterable[str], columns: list[str]) -> tuple[str, str]:
    """What a file of unknown format is, and what to do about it. keys: of its rows. columns: of its first line."""
    for magic, name, fix in _MAGIC:
        if head.startswith(magic):
            return name, fix
    if head[257:262] == b"ustar":
        return "a tar archive", "Unpack it first"
    if b"\x00" in head[:4096]:
        return "binary data", "Export the log as JSON lines, CSV or Parquet"
    if len(_SQL.findall(head[:8192])) > 1:
        return "an SQL dump", _COPY
    names = list(keys)
    if names:
        return _seen_json(names)
    if len(columns) > 1:
        if any(_NO_HEADER.match(column.encode()) for column in columns):
            return f"{len(columns)} values in a line without a header line", _COPY
        if not all(_NAME.fullmatch(column) for column in columns):
            return "text without JSON or columns", "Export the log as JSON lines, CSV or Parquet"
        return f"a table with the columns {_some(columns)}", 'Map its columns with --map (format = "csv_map")'
    return "text without JSON or columns", "Export the log as JSON lines, CSV or Parquet"


def is_row_of_data(columns: list[str]) -> bool:
    """Whether the cells of a first line are those of a row rather than names of columns.

    >>> is_row_of_data(["id", "acct"]), is_row_of_data(["1", "acme"]), is_row_of_data(["how do I", "so that ..."])
    (False, True, True)
    """
    return any(_NO_HEADER.match(c.encode("utf-8", "replace")) for c in columns) or not named(columns)


def named(columns: list[str]) -> list[str]:
    """Those cells of a first line that may be printed: names of columns, and no text that somebody wrote."""
    return [column for column in columns if _NAME.fullmatch(column)]


def _seen_json(names: list[str]) -> tuple[str, str]:
    if any(name in names for name in ("resource_spans", "resource_logs", "scope_spans")):
        return (
            "OTLP with the names of protobuf (resource_spans)",
            "Write it with the collector's file exporter, or convert it without preserving_proto_field_name",
        )
    return f"JSON objects with the keys {_some(names)}", "Name the format with --format, or map the keys with --map"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
