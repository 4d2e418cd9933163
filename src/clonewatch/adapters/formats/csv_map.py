"""Any CSV file with a header line, through a field map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from clonewatch.adapters.columns import Columns
from clonewatch.adapters.csv_rows import CsvRows, csv_rows
from clonewatch.adapters.descriptions import is_row_of_data, named
from clonewatch.adapters.field_paths import alternatives
from clonewatch.adapters.mapped import build, by_row, objects, required, ruled
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

# Names of columns that a message lists, and their characters.
_NAMED, _LONGEST_NAMED = 10, 40


class CsvMap(Adapter):
    """Reads CSV files by a field map; fields are names in the header, and dots step into JSON in a cell."""

    name = "csv_map"
    summary = "any CSV with a header, through a field map"

    def claims(self, head: bytes, name: str) -> bool:
        """Never: this format is chosen by a field map."""
        return False

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 rows. Raises MappingError for a field that is not in the header."""
        mapping = required(mapping, self.name)
        parts = csv_rows(source)
        first = next(parts, None)
        if first is None:
            return  # an archive that is damaged before its first line
        _check(first.names, mapping, source.name)
        if by_row(mapping) or any(field not in first.names for field in mapping.fields.values()):
            yield from objects(_objects(first, parts), mapping, source)
            return
        yield _columns(first, mapping, source)
        for part in parts:
            if part.names == first.names:
                yield _columns(part, mapping, source)
            else:  # another table of an archive, which may lack columns
                yield from objects(_objects(part, iter(())), mapping, source)


def _columns(part: CsvRows, mapping: FieldMap, source: Source) -> Batch:
    names, rows = part.names, part.rows
    columns: Mapping[str, tuple[str, ...]] = (
        dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    )
    found: Columns = {column: list(columns[field]) for column, field in mapping.fields.items()}
    batch, more = build(ruled(found, mapping), mapping, source, part.numbers)
    return Batch(batch, part.rejected + more)


def _objects(
    first: CsvRows, rest: Iterator[CsvRows]
) -> Iterator[tuple[list[dict[str, object]], list[int], list[Rejected]]]:
    for part in chain((first,), rest):
        rows: list[dict[str, object]] = [dict(zip(part.names, row, strict=True)) for row in part.rows]
        yield rows, part.numbers, part.rejected


def _check(names: list[str], mapping: FieldMap, file: str) -> None:
    """Raise MappingError for a field none of whose alternatives begins with a name of the header."""
    for column, field in mapping.fields.items():
        known = (choice in names or path[0] in names for choice, path in alternatives(field))
        if not any(known) and not mapping.each:
            raise MappingError(
                f"no column {field!r}, which the map gives for {column}",
                where=file,
                fix=_told(names),
            )


def _told(names: list[str]) -> str:
    """What to say of a first line: the names of columns in it, and nothing of a row of data."""
    if is_row_of_data(names):
        return "The first line must name the columns; the first line of this file is a row of data"
    listed = named(names)
    return f"The header has: {', '.join(n[:_LONGEST_NAMED] for n in listed[:_NAMED])}{', ...' * (len(listed) > _NAMED)}"


ADAPTER = CsvMap()
