"""`clonewatch.exchange.v1` as Parquet: columns named and typed as in the schema, or nearly so."""

from __future__ import annotations

from collections.abc import Iterator

from clonewatch.adapters.columnar_files import MAGIC, batches, columns_of, opened, require_columns
from clonewatch.adapters.columns import conform
from clonewatch.adapters.identities import settled
from clonewatch.adapters.streams import notes_of
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


class ExchangeParquet(Adapter):
    """Reads Parquet files of exchanges."""

    name = "exchange_parquet"
    summary = "clonewatch exchanges as Parquet"
    account_hint = "fill the column `account_id`"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the file starts like Parquet."""
        return head.startswith(MAGIC)

    def check(self, source: Source, mapping: FieldMap | None) -> None:
        """Raise before a row is read: InputError without a footer, MappingError without the required columns."""
        with opened(source) as file:
            require_columns(file.schema_arrow.names, source.name, "parquet_map")

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 65,536 rows, fewer if rows are large."""
        with opened(source) as file:
            names = file.schema_arrow.names
            require_columns(names, source.name, "parquet_map")
            notes_of(source.stream).unknown(sorted(set(names) - set(EXCHANGES.names)))
            wanted = source.columns or frozenset(EXCHANGES.names)
            used = [n for n in names if n in wanted and n in EXCHANGES.names]
            notes = notes_of(source.stream)
            for batch, numbers, damage in batches(file, used, source):
                exchanges, rejected = conform(
                    settled(columns_of(batch)),
                    EXCHANGES,
                    source.name,
                    numbers,
                    dropped=notes.dropped,
                    units=notes.units,
                )
                yield Batch(exchanges, damage + rejected)


ADAPTER = ExchangeParquet()
