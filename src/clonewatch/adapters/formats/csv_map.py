"""Any CSV file with a header line, through a field map."""

from __future__ import annotations

from collections.abc import Iterator

from clonewatch.adapters.columns import Columns
from clonewatch.adapters.csv_rows import csv_rows
from clonewatch.adapters.mapped import build, required
from clonewatch.model.errors import MappingError
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


class CsvMap(Adapter):
    """Reads CSV files by a field map; fields are names in the header."""

    name = "csv_map"
    summary = "any CSV with a header, through a field map"

    def claims(self, head: bytes, name: str) -> bool:
        """Never: this format is chosen by a field map."""
        return False

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 rows. Raises MappingError for a field that is not in the header."""
        mapping = required(mapping, self.name)
        for names, rows, numbers, rejected in csv_rows(source):
            columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
            found: Columns = {}
            for column, field in mapping.fields.items():
                if field not in columns:
                    raise MappingError(
                        f"no column {field!r}, which the map gives for {column}",
                        where=source.name,
                        fix=f"The header has: {', '.join(names[:30])}",
                    )
                found[column] = list(columns[field])
            batch, more = build(found, mapping, source, numbers)
            yield Batch(batch, rejected + more)


ADAPTER = CsvMap()
