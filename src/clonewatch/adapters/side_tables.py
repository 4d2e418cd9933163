"""The side tables of a log, accounts and events: small, read completely, typed and checked row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from clonewatch.adapters import columnar_bounds, columnar_files
from clonewatch.adapters.arrow_messages import FILE, incomplete, streamed
from clonewatch.adapters.columns import conform
from clonewatch.adapters.csv_rows import csv_rows, first_line, header
from clonewatch.adapters.identities import accounts, addresses
from clonewatch.adapters.notes import Notes
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.adapters.streams import Stream, limits_of
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model.errors import InputError, MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import ACCOUNTS, ALSO_NAMED, Table
from clonewatch.model.text_files import plain
from clonewatch.ports.adapter import Source

_ADDRESSES = {"signup_ip", "verification_ip"}

Part = tuple[dict[str, object], Sequence[int], list[Rejected]]


class Side(NamedTuple):
    """A side table as read: typed rows with all columns of the table, rejected rows, columns not read, its format."""

    rows: pa.Table
    rejected: list[Rejected]
    unknown: list[str]
    format: str


def read_side(path: Path, stream: Stream, table: Table) -> Side:
    """Read accounts or events from Parquet, Arrow, JSON lines or CSV.

    Raises InputError for a file of another format, MappingError if it lacks a required column. If several rows
    describe one account, the first counts, and a note says how many did not.
    """
    source = Source(plain(str(path)), stream, str(path))  # type: ignore[arg-type]
    head = stream.head()
    if head.startswith(columnar_files.MAGIC):
        form, parts = "parquet", _parquet(source, table)
    elif head.startswith(FILE):
        form, parts = "arrow", _arrow(source)
    elif outline(head):
        form, parts = "ndjson", _json(source)
    elif _first_line_names(head, table):
        form, parts = "csv", _csv(source)
    elif not head:
        stream.notes.warn(f"empty, so nothing is known of {table.name}")
        return Side(arrow_schema(table).empty_table(), [], [], "empty")
    elif names := _other_names(head):
        required = " and ".join(c.name for c in table.columns if c.required)
        raise MappingError(
            f"the {table.name} have no column {required}", where=str(path), fix=f"Rename one; the header has: {names}"
        )
    else:
        raise InputError(
            f"the {table.name} are of unknown format", where=str(path), fix="Use Parquet, Arrow, JSON lines or CSV"
        )
    return _gather(source.name, table, form, parts, stream.notes)


def _gather(file: str, table: Table, form: str, parts: Iterator[Part], notes: Notes) -> Side:
    whole = arrow_schema(table)
    kept: list[pa.Table] = []
    rejected: list[Rejected] = []
    names: set[str] = set()
    for given, numbers, damage in parts:
        found = {_column(name, given, table): values for name, values in given.items()}
        names |= found.keys()
        for name in _ADDRESSES & found.keys():
            found[name] = addresses(found[name])
        if "account_id" in found:
            found["account_id"] = accounts(found["account_id"])
        batch, more = conform(found, table, file, numbers, dropped=notes.dropped, units=notes.units)
        rejected += damage + more
        arrays = [
            batch.column(f.name) if f.name in batch.schema.names else pa.nulls(batch.num_rows, f.type) for f in whole
        ]
        kept.append(pa.Table.from_arrays(arrays, schema=whole))
    missing = [c.name for c in table.columns if c.required and c.name not in names]
    if missing and names:
        raise MappingError(
            f"the {table.name} have no column {' nor '.join(missing)}",
            where=file,
            fix=f"Rename one; there are: {_listed(names)}",
        )
    everything = pa.concat_tables([whole.empty_table(), *kept]).combine_chunks()
    if table is ACCOUNTS:
        everything = first_of_each(everything, notes)
    if not everything.num_rows and not rejected:
        notes.warn(f"it names columns and holds no row, so nothing is known of {table.name}")
    return Side(everything, rejected, sorted(names - set(table.names)), form)


def _column(name: str, given: Collection[str], table: Table) -> str:
    """The schema's name of a column, where a file uses a newer one and not both."""
    column = ALSO_NAMED.get(table.name, {}).get(name, name)
    return name if column in given else column


def first_of_each(accounts: pa.Table, notes: Notes) -> pa.Table:
    """The first row of every account. They are whole rows, so that the others are noted and not rejected."""
    ids = accounts.column("account_id").combine_chunks().dictionary_encode()
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    _, first = np.unique(np.asarray(ids.indices), return_index=True)
    repeats = accounts.num_rows - len(first)
    if not repeats:
        return accounts
    notes.warn(f"{repeats:,} rows describe an account that an earlier row describes, which counts")
    return accounts.take(pa.array(np.sort(first)))


def last_of_each(accounts: pa.Table) -> pa.Table:
    """The last complete row of every account: a later file is a later snapshot.

    The rule for repeated account rows: within one file the first row of an account counts (`first_of_each`); across
    several files the last one counts; in a state, the row of the latest log.
    """
    ids = accounts["account_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, last = np.unique(ids[::-1], return_index=True)
    return accounts.take(pa.array(np.sort(len(ids) - 1 - last)))


def _first_line_names(head: bytes, table: Table) -> bool:
    named = header(first_line(head))
    return any(c.name in named for c in table.columns if c.required)


def _other_names(head: bytes) -> str:
    """The names in what looks like the header of a CSV file; empty if nothing does."""
    named = header(first_line(head))
    return _listed(named) if len(named) > 1 else ""


def _listed(names: Collection[str]) -> str:
    shown = [name if name.isprintable() and len(name) <= 64 else "(unprintable)" for name in names]
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")


def _parquet(source: Source, table: Table) -> Iterator[Part]:
    with columnar_files.opened(source) as file:
        names = file.schema_arrow.names
        known = {*table.names, *ALSO_NAMED.get(table.name, {})}
        used = [name for name in names if name in known]
        rest = {name: pa.nulls(0) for name in names if name not in known}
        for batch, numbers, damage in columnar_files.batches(file, used, source, held=True) if used else ():
            yield dict(columnar_files.columns_of(batch)), numbers, damage
        yield rest, range(0), []
        if not file.metadata.num_rows:
            yield {f.name: pa.nulls(0, f.type) for f in file.schema_arrow}, range(0), []


def _arrow(source: Source) -> Iterator[Part]:
    messages, reader, schema = streamed(source)
    row = repeated = 0
    stream_limits = limits_of(source.stream)
    try:
        for batch in reader:
            batch.validate(full=True)
            for piece, numbers, rejected, more in columnar_files.pieces(batch, row, source):
                repeated += more
                if columnar_bounds.is_beyond(repeated, messages.size, stream_limits, held=True):
                    raise InputError(columnar_files.REPEATED, where=source.name, fix="Write it again as CSV")
                yield dict(columnar_files.columns_of(piece)), numbers, rejected
            row += batch.num_rows
    except columnar_files.DAMAGE as error:
        raise incomplete(source, messages.fault) from error
    if messages.fault:
        raise incomplete(source, messages.fault)
    if not row:
        yield {field.name: pa.nulls(0, field.type) for field in schema}, range(0), []


def _json(source: Source) -> Iterator[Part]:
    for part in rows(source.stream, source.name, msgspec.json.Decoder(dict[str, object]).decode):
        keys = sorted({key for row in part.rows for key in row})
        yield {key: [row.get(key) for row in part.rows] for key in keys}, part.numbers, part.rejected


def _csv(source: Source) -> Iterator[Part]:
    for names, cells, numbers, rejected in csv_rows(source):
        yield {name: [row[i] for row in cells] for i, name in enumerate(names)}, numbers, rejected
