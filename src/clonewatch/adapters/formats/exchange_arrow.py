"""`clonewatch.exchange.v1` as Arrow IPC: files and streams."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.ipc

from clonewatch.adapters.arrow_messages import FILE, incomplete, streamed
from clonewatch.adapters.columnar_bounds import is_beyond, openable
from clonewatch.adapters.columnar_files import DAMAGE, REPEATED, columns_of, pieces, require_columns
from clonewatch.adapters.columns import conform
from clonewatch.adapters.identities import settled
from clonewatch.adapters.streams import Stream, head_of, limits_of, notes_of
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_STREAM = b"\xff\xff\xff\xff"
_DAMAGED = "damaged Arrow data"
_MOST_ROWS = 65_536


class ExchangeArrow(Adapter):
    """Reads Arrow IPC files and streams of exchanges."""

    name = "exchange_arrow"
    summary = "clonewatch exchanges as Arrow IPC, file or stream"
    account_hint = "fill the column `account_id`"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the file starts like an Arrow file or a stream of Arrow messages."""
        return head.startswith((FILE, _STREAM))

    def check(self, source: Source, mapping: FieldMap | None) -> None:
        """Raise before a row is read: InputError without a footer, MappingError without the required columns."""
        if head_of(source.stream).startswith(FILE):
            _check_file(source)

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """The batches as written, split at 65,536 rows; damage ends the file with a rejection."""
        messages, reader, schema = streamed(source)
        require_columns(schema.names, source.name, "parquet_map")
        notes = notes_of(source.stream)
        notes.unknown(sorted(set(schema.names) - set(EXCHANGES.names)))
        row = repeated = 0
        while True:
            try:
                whole = next(reader, None)
                if whole is not None:
                    whole.validate(full=True)  # offsets of a damaged file may point anywhere
            except DAMAGE:
                yield _end(source, row, f"{messages.fault or _DAMAGED} from here on")
                return
            if whole is None:
                if messages.fault:
                    yield _end(source, row, f"{messages.fault} from here on")
                return
            for start in range(0, whole.num_rows, _MOST_ROWS):
                for piece, numbers, rejected, more in pieces(whole.slice(start, _MOST_ROWS), row + start, source):
                    repeated += more
                    if is_beyond(repeated, messages.size, limits_of(source.stream)):
                        yield _end(source, row + start, REPEATED)
                        return
                    found = {n: c for n, c in columns_of(piece).items() if n in EXCHANGES.names}
                    batch, worse = conform(
                        settled(found), EXCHANGES, source.name, numbers, dropped=notes.dropped, units=notes.units
                    )
                    yield Batch(batch, rejected + worse)
            row += whole.num_rows


def _end(source: Source, row: int, why: str) -> Batch:
    """The end of a file that is not read further."""
    notes_of(source.stream).end(why)
    return Batch(conform({}, EXCHANGES, source.name, ())[0], [Rejected(source.name, row + 1, why)])


def _check_file(source: Source) -> None:
    """Raise InputError for a file without its end, or that is not a plain one; MappingError where it lacks columns."""
    if source.path is None or (isinstance(source.stream, Stream) and source.stream.packed):
        raise InputError(
            "an Arrow file must be read from a plain file",
            where=source.name,
            fix="Write it to disk, decompressed, first; or send an Arrow stream",
        )
    try:
        with pa.ipc.open_file(openable(source.path)) as reader:
            require_columns(reader.schema.names, source.name, "parquet_map")
    except DAMAGE as error:
        raise incomplete(source) from error


ADAPTER = ExchangeArrow()
