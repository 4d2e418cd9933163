"""From an open log to table `arrivals`: reading, filtering, counting and rejecting, for a scan and a state alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from clonewatch.adapters.reading import Log
from clonewatch.fingerprints.embedding import Examples
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.prefetch import prefetched
from clonewatch.pipeline.intake.spark_parquet import Reading, read_remote
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, READ, Stager, sorted_for_storage
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import RemoteReader


class Arrivals:
    """One pass over a log. `read` or `read_in_place` writes table `arrivals`, once.

    wanted: selects the rows of a batch that are kept. set_aside: receives rejected rows as they come; None only counts
    them. rejected: how many so far.
    """

    def __init__(
        self,
        log: Log,
        stager: Stager,
        timer: StageTimer,
        wanted: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch,
        set_aside: Callable[[Sequence[Rejected]], None] | None = None,
    ) -> None:
        self._log, self._stager, self._timer = log, stager, timer
        self._wanted, self._set_aside = wanted, set_aside
        self.rejected = 0

    def read(self, runner: StepRunner, examples: Examples | None = None) -> int:
        """Read in this process; returns the number of exchanges. examples: receives one text per template."""
        self._start()
        fingerprinter = Fingerprinter(self._stager.key, examples)
        staged = self._stager.stage_all(self._batches(), fingerprinter.apply)
        rows = runner.engine.ingest("arrivals", EXCHANGE_SCHEMA, sorted_for_storage(staged))
        runner.wrote("arrivals", rows)
        return self._end(rows)

    def read_in_place(
        self, reader: RemoteReader, runner: StepRunner, addresses: Sequence[str], reading: Reading
    ) -> int:
        """Let the engine's workers read; returns the number of exchanges. addresses: for a log without local files."""
        self._start()
        rows = read_remote(reader, runner, self._stager, self._log, addresses, reading, self._reject)
        self._timer.advance(self._log.total_bytes, rows)
        return self._end(rows)

    def _start(self) -> None:
        self._timer.start("reading", self._log.total_bytes or None, "bytes")

    def _end(self, rows: int) -> int:
        self._timer.end(f"{rows:,} exchanges, {self.rejected:,} rejected")
        return rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        counted = 0
        for batch in prefetched(self._log.batches(self._reject, READ)):
            kept = self._wanted(batch)
            self._timer.advance(self._log.bytes_done - counted, kept.num_rows)
            counted = self._log.bytes_done
            yield kept

    def _reject(self, rows: Sequence[Rejected]) -> None:
        self.rejected += len(rows)
        if self._set_aside:
            self._set_aside(rows)
