"""Raw text: kept only with --keep-text, and only of exchanges attributed to a flagged campaign."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model.schema import EXCHANGES, TEXT_COLUMNS, Table
from clonewatch.pipeline.result_files import TEXTS

KEPT = Table("texts", tuple(c for c in EXCHANGES.columns if c.name in ("exchange_id", *TEXT_COLUMNS)))
_PASSING = ".passing-texts.parquet"


class TextKeeper:
    """Stores the text of every exchange while it is read, and in the end keeps that of a few.

    folder: where the result is being written. The text of all exchanges is there, in a hidden file, until `keep` runs,
    and never longer than the run.
    """

    def __init__(self, folder: Path) -> None:
        self._passing, self._kept = folder / _PASSING, folder / TEXTS
        self._schema = arrow_schema(KEPT)
        self._writer = pq.ParquetWriter(self._passing, self._schema, compression="zstd")

    def note(self, batch: pa.RecordBatch) -> None:
        """Store the text of a batch of exchanges."""
        names = batch.schema.names
        columns = [
            batch.column(names.index(f.name)).cast(f.type) if f.name in names else pa.nulls(batch.num_rows, f.type)
            for f in self._schema
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def keep(self, exchange_ids: pa.ChunkedArray) -> None:
        """Keep the text of these exchanges as `texts.parquet`; delete all other text."""
        self._writer.close()
        with pq.ParquetFile(self._passing) as passing, pq.ParquetWriter(self._kept, self._schema) as kept:
            for batch in passing.iter_batches():
                kept.write_batch(batch.filter(pc.is_in(batch.column("exchange_id"), exchange_ids.combine_chunks())))
        self._passing.unlink()

    def __enter__(self) -> TextKeeper:
        """Start storing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete all text that was not kept."""
        self._writer.close()
        self._passing.unlink(missing_ok=True)
