"""The tables of a state: their columns, and how their parts are written and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.fingerprints.keys import derive
from clonewatch.kernels.hashing import keyed_hash
from clonewatch.model.schema import SKETCH_SIZE
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA, EVENT_SCHEMA, EXCHANGE_SCHEMA
from clonewatch.state.columns import Layout
from clonewatch.state.manifest import File, Part

_SKETCH = pa.binary(4 * SKETCH_SIZE)
EXCHANGES = Layout(EXCHANGE_SCHEMA, ("row", "exchange_id", "xid", "account", "ts"))
NAMES = Layout(pa.schema([("account_id", pa.string())]), ("account_id",))
SKETCHES = Layout(pa.schema([("template", pa.int64()), ("sketch", _SKETCH)]), ("template", "sketch"))
FACTS = Layout(ACCOUNT_SCHEMA, ("account",))
EVENTS = Layout(EVENT_SCHEMA, ("ts", "kind", "account"))
# By kind of file, as the manifest names it.
LAYOUTS = {"exchanges": EXCHANGES, "names": NAMES, "sketches": SKETCHES, "facts": FACTS, "events": EVENTS}


class Tally:
    """Counts what a part of exchanges holds while it is written. schema: of the part."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.filled = dict.fromkeys(schema.names, 0)
        self.first_ts, self.last_ts = np.iinfo(np.int64).max, np.iinfo(np.int64).min

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches, counted on the way."""
        for batch in batches:
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                self.filled[name] += len(column) - column.null_count
            low, high = (f(batch["ts"]).as_py() for f in (pc.min, pc.max))
            self.first_ts, self.last_ts = min(self.first_ts, low), max(self.last_ts, high)
            yield batch.cast(self.schema)

    def part(self, day: int, file: File, sources: tuple[str, ...], lacking: tuple[str, ...] = ()) -> Part:
        """The part that consists of these batches."""
        return Part(day, file, self.first_ts, self.last_ts, self.filled, sources, lacking)


def account_hashes(ids: pa.Array, key: bytes) -> np.ndarray:
    """Keyed hashes, uint64[N], by which forgotten accounts are recognised."""
    return keyed_hash(ids, derive(key, "forgotten account"))


def sketch_table(templates: np.ndarray, sketches: np.ndarray) -> pa.Table:
    """Rows of SKETCHES. templates: int64[N]; sketches: uint32[N, 64]."""
    packed = pa.array([row.tobytes() for row in np.ascontiguousarray(sketches)], _SKETCH)
    return pa.table([pa.array(templates), packed], schema=SKETCHES.schema)


def sketch_matrix_of(packed: pa.ChunkedArray) -> np.ndarray:
    """Stored sketches -> uint32[N, 64]."""
    return np.frombuffer(b"".join(packed.to_pylist()), np.uint32).reshape(-1, SKETCH_SIZE)
