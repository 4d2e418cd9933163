"""Columns of the files of a state. Another version may have written more columns than this one knows, or fewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.model.errors import StateError


class Layout(NamedTuple):
    """What this version writes into one kind of file. needed: columns without which a row is meaningless."""

    schema: pa.Schema
    needed: tuple[str, ...]


def described(schema: pa.Schema) -> dict[str, str]:
    """Column -> type, as the manifest lists them.

    >>> described(pa.schema([("ts", pa.int64()), ("kind", pa.string())]))
    {'ts': 'int64', 'kind': 'string'}
    """
    return {field.name: str(field.type) for field in schema}


def schema_of(path: Path) -> pa.Schema:
    """The columns of a file, from its footer. Raises StateError where that is damaged."""
    try:
        return pq.read_schema(path).remove_metadata()
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, str(error)) from error


def agree(known: Mapping[str, str], found: Mapping[str, str], where: Path) -> None:
    """Raise StateError where a column has one type in `known` and another in `found`. where: the file with `found`."""
    for name, kind in found.items():
        if known.get(name, kind) != kind:
            raise StateError(
                f"column {name!r} has type {kind} here, and type {known[name]} in this version or elsewhere in the"
                " state",
                where=str(where),
                fix="Use the version of Clonewatch that wrote it, or ingest the logs into a new folder: nothing was"
                " changed",
            )


def together(layout: Layout, found: Iterable[tuple[Path, pa.Schema]]) -> pa.Schema:
    """The columns of this version, then those that only files have, in order of first appearance.

    found: files and their columns. Raises StateError where a column has two types, or a file lacks a needed one.
    """
    schema = layout.schema
    for path, theirs in found:
        agree(described(schema), described(theirs), path)
        lacking = [name for name in layout.needed if name not in theirs.names]
        if lacking:
            raise StateError(
                f"a file of the state lacks {', '.join(lacking)}, which this version needs",
                where=str(path),
                fix="Use the version of Clonewatch that wrote it: nothing was changed",
            )
        for field in theirs:
            if field.name not in schema.names:
                schema = schema.append(field.remove_metadata().with_nullable(True))
    return schema


def widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema, in its order. Those that the table lacks are null.

    >>> widened(pa.table({"a": [1], "b": [2]}), pa.schema([("c", pa.int64()), ("a", pa.int64())])).to_pylist()
    [{'c': None, 'a': 1}]
    """
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def damaged(path: Path, what: str) -> StateError:
    """The error for a file that differs from what was written."""
    return StateError(
        f"a file of the state is damaged: {what}",
        where=str(path),
        fix="Restore it from a backup, or run `clonewatch state verify --repair`, which lists what to ingest again",
    )
