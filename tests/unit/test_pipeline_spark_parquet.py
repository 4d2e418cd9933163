"""A log that workers read in parts and out of order is staged as one process stages it. No cluster is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch.adapters.reading import Log, open_log
from clonewatch.engines.duckdb import DuckDB
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.spark_parquet import Reading, open_remote, read_remote
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, READ, Stager
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import FILE, PLACE, SIZE

KEY = bytes(range(32))


class Workers(DuckDB):
    """DuckDB with two workers that take turns at parts of the files, the last file first."""

    def read(
        self,
        table: str,
        paths: Sequence[str],
        columns: frozenset[str],
        schema: pa.Schema,
        function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    ) -> int:
        """Store what the function makes of the files."""
        sub_clusters = [sub_cluster for path in reversed(paths) for sub_cluster in pieces_of(path, columns)]
        made = [batch for worker in (sub_clusters[1::2], sub_clusters[::2]) for batch in function(iter(worker))]
        return self.ingest(table, schema, made)


def pieces_of(address: str, columns: frozenset[str]) -> list[pa.RecordBatch]:
    """Ranges of one file as a worker sees them: with the escaped address of the file and the place of every row."""
    path = Path(address.removeprefix("file://"))
    rows = pq.read_table(path)
    rows = rows.select([name for name in rows.column_names if name in columns])
    for name in rows.column_names:
        if rows[name].type == pa.uint64():  # as Spark reads them
            rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.decimal128(20, 0)))
    rows = rows.append_column(FILE, pa.array([path.as_uri()] * rows.num_rows))
    rows = rows.append_column(SIZE, pa.array([path.stat().st_size] * rows.num_rows, pa.int64()))
    rows = rows.append_column(PLACE, pa.array(np.arange(rows.num_rows)))
    cuts = [0, 700, 701, 2500, rows.num_rows]
    parts = [rows.slice(a, max(0, b - a)).combine_chunks() for a, b in pairwise(cuts)]
    return [batch for part in parts for batch in part.to_batches()]


@pytest.fixture(scope="module", params=[False, True], ids=["fingerprints", "texts"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    simulate("s01_shared_cards", folder / "made", seed=0, scale=0.05, text=request.param)
    rows = pq.read_table(folder / "made" / "exchanges").slice(0, 9000)
    ids = [None if i % 997 == 0 else name for i, name in enumerate(rows["account_id"].to_pylist())]
    rows = rows.set_column(rows.column_names.index("account_id"), "account_id", pa.array(ids, pa.string()))
    (folder / "log" / "exchanges").mkdir(parents=True)
    for i in range(3):
        pq.write_table(rows.slice(3000 * i, 3000), folder / "log" / "exchanges" / f"part {i}.parquet")
    return folder / "log"


def sketches(stager: Stager) -> dict[int, bytes]:
    """The sketch kept of each template."""
    pairs = [(ids, rows) for ids, rows in stager._sketches if len(ids)]
    return {i: row.tobytes() for ids, rows in pairs for i, row in zip(ids.tolist(), rows, strict=True)}


def test_workers_stage_what_one_process_stages(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(log.parent)
    refused: dict[str, list[Rejected]] = {"alone": [], "workers": []}
    one, alone, own = Stager(KEY), open_log(log.name), DuckDB(threads=1, folder=tmp_path)
    several, shared, engine = Stager(KEY), open_log(log.name), Workers(threads=1, folder=tmp_path)
    try:
        batches = alone.batches(refused["alone"].extend, READ)
        own.ingest("arrivals", EXCHANGE_SCHEMA, one.stage_all(batches, Fingerprinter(KEY).apply))
        rows = read_remote(engine, StepRunner(engine), several, shared, (), Reading(KEY), refused["workers"].extend)
        ours, theirs = (e.fetch('SELECT * FROM arrivals ORDER BY "row"') for e in (own, engine))
    finally:
        own.close()
        engine.close()
    assert rows == one.rows == several.rows and theirs.equals(ours)
    assert several.book.ids == one.book.ids and several.filled == one.filled
    assert (several.first_ts, several.last_ts) == (one.first_ts, one.last_ts)
    assert refused["workers"] and refused["workers"] == refused["alone"]
    assert [i._replace(sha256="") for i in alone.inputs] == shared.inputs
    assert sketches(several) == sketches(one)
    assert bool(sketches(one)) == ("messages" in pq.read_schema(log / "exchanges" / "part 0.parquet").names)


def odd_table(folder: Path, scales: list[int]) -> Path:
    """A log of 3,000 exchanges whose values need a second look. scales: of its times, which are in seconds."""
    rows = range(3000)
    made = {
        "exchange_id": pa.array([f"x-{i}" for i in rows]),
        "ts": pa.array([(1_772_359_200 + i) * scales[i * len(scales) // len(rows)] for i in rows]),
        "account_id": pa.array([Decimal(i % 7) for i in rows], pa.decimal128(20, 0)),
        "org_id": pa.array([bytes([i % 5] * 16) for i in rows], pa.binary(16)),
        "output_tokens": pa.array([Decimal(i % 9) if i % 2 else Decimal("0.5") for i in rows], pa.decimal128(9, 2)),
        "client_ip": pa.array([f"203.0.113.{i % 9}:{i}" for i in rows]),
    }
    folder.mkdir()
    pq.write_table(pa.table(made), folder / "odd.parquet")
    return folder


def staged_alike(log: Path, scratch: Path) -> tuple[Log, Log, pa.Table, pa.Table]:
    """One process's log and that of two workers, and what they staged."""
    one, alone, own = Stager(KEY), open_log(log), DuckDB(threads=1, folder=scratch)
    several, shared, engine = Stager(KEY), open_log(log), Workers(threads=1, folder=scratch)
    try:
        own.ingest("arrivals", EXCHANGE_SCHEMA, one.stage_all(alone.batches(list, READ), Fingerprinter(KEY).apply))
        read_remote(engine, StepRunner(engine), several, shared, (), Reading(KEY), list)
        return alone, shared, *(e.fetch('SELECT * FROM arrivals ORDER BY "row"') for e in (own, engine))
    finally:
        own.close()
        engine.close()


def test_workers_read_physical_types_and_units_as_one_process_does(tmp_path: Path) -> None:
    alone, shared, ours, theirs = staged_alike(odd_table(tmp_path / "log", [1000]), tmp_path)
    assert ours.num_rows == 3000 and theirs.equals(ours)
    assert shared.units == alone.units == {"exchanges.ts": {"ms"}}
    assert shared.dropped == alone.dropped != {}


def test_a_file_in_whose_parts_a_column_has_several_units_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column `ts` look like milliseconds in some parts, seconds in others"):
        staged_alike(odd_table(tmp_path / "log", [1] * 7 + [1000] * 23), tmp_path)


def test_an_address_needs_an_engine_whose_workers_can_open_it() -> None:
    with pytest.raises(InputError, match="only Spark can read"):
        scan(ScanSettings(paths=("s3a://lake/exchanges",)))
    with pytest.raises(InputError, match="mixes local files"):
        open_remote(["s3a://lake/exchanges", "here.parquet"], None, None)


def test_what_travels_to_the_workers_does_not_show_the_key() -> None:
    assert KEY.hex() not in repr(Reading(KEY)) and repr(KEY) not in repr(Reading(KEY))
