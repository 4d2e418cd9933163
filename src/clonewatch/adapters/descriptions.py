"""What a file of unknown format is, in words that say nothing of what somebody wrote in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MAGIC = (
    (b"\xff\x06\x00\x00sNaPpY", "a snappy file", "Decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first"),
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
    if b"\x00" in head[:4096]:
        return "binary data", "Export the log as JSON lines, CSV or Parquet"
    if len(_SQL.findall(head[:8192])) > 1:
        return "an SQL dump", _COPY
    if head.lstrip()[:2] == b"{'":
        return "dictionaries as Python prints them", "Write each with json.dumps, one a line"
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


def below_titles(number: int, columns: list[str]) -> tuple[str, str]:
    """What a table is whose header is on that line, and what to do about it. columns: of the header."""
    what = f"a table with its header on line {number}, below other text: {_some(columns)}"
    return what, f"Remove the lines above it: tail -n +{number} FILE > table.csv"


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
