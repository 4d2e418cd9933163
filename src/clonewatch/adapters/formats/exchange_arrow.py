"""`clonewatch.exchange.v1` as Arrow IPC: files and streams."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.ipc

from clonewatch.adapters.columnar_files import DAMAGE, columns_of, require_columns
from clonewatch.adapters.columns import conform
from clonewatch.adapters.identities import settled
from clonewatch.adapters.streams import Stream, head_of, notes_of
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_FILE = b"ARROW1"
_STREAM = b"\xff\xff\xff\xff"
_MOST_ROWS = 65_536


class ExchangeArrow(Adapter):
    """Reads Arrow IPC files and streams of exchanges."""

    name = "exchange_arrow"
    summary = "clonewatch exchanges as Arrow IPC, file or stream"
    account_hint = "fill the column `account_id`"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the file starts like an Arrow file or a stream of Arrow messages."""
        return head.startswith((_FILE, _STREAM))

    def check(self, source: Source, mapping: FieldMap | None) -> None:
        """Raise before a row is read: InputError without a footer, MappingError without the required columns."""
        if head_of(source.stream).startswith(_FILE):
            with _opened(source):
                pass

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """The batches as written, split at 65,536 rows; damage ends the file with a rejection."""
        reader = _opened(source)
        notes = notes_of(source.stream)
        notes.unknown(sorted(set(reader.schema.names) - set(EXCHANGES.names)))
        row = 0
        written = _batches(reader)
        while True:
            try:
                whole = next(written, None)
                if whole is not None:
                    whole.validate(full=True)  # offsets of a damaged file may point anywhere
            except DAMAGE:
                rejected = [Rejected(source.name, row + 1, "damaged Arrow data from here on")]
                yield Batch(conform({}, EXCHANGES, source.name, ())[0], rejected)
                return
            if whole is None:
                return
            for start in range(0, whole.num_rows, _MOST_ROWS):
                piece = whole.slice(start, _MOST_ROWS)
                found = {n: c for n, c in columns_of(piece).items() if n in EXCHANGES.names}
                numbers = range(row + 1, row + 1 + piece.num_rows)
                yield Batch(
                    *conform(settled(found), EXCHANGES, source.name, numbers, dropped=notes.dropped, units=notes.units)
                )
                row += piece.num_rows


def _opened(source: Source) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    packed = isinstance(source.stream, Stream) and bool(source.stream.packed)
    is_file = head_of(source.stream).startswith(_FILE)
    if is_file and (packed or source.path is None):
        raise InputError(
            "an Arrow file must be read from a plain file",
            where=source.name,
            fix="Write it to disk, decompressed, first; or send an Arrow stream",
        )
    try:
        reader = pa.ipc.open_file(source.path) if is_file else pa.ipc.open_stream(source.stream)
        require_columns(reader.schema.names, source.name, "parquet_map")
        return reader
    except DAMAGE as error:
        raise InputError(
            "not a complete Arrow file; it may be truncated", where=source.name, fix="Copy it again"
        ) from error


def _batches(reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(i) for i in range(reader.num_record_batches))
    return iter(reader)


ADAPTER = ExchangeArrow()
