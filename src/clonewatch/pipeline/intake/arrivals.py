"""From an open log to table `arrivals`: a scan and a state read, filter, count and reject here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from clonewatch.adapters.reading import Log
from clonewatch.fingerprints.embedding import Examples
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.prefetch import ahead
from clonewatch.pipeline.intake.spark_parquet import Reading, read_lake
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, READ, Stager, alike_together
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import LakeReader


class Arrivals:
    """One pass over a log. `read` or `read_in_place` writes table `arrivals`, once.

    wanted: the rows of a batch that are taken in. set_aside: receives rejected rows as they come; None only counts
    them. rejected: how many so far.
    """

    def __init__(
        self,
        log: Log,
        stager: Stager,
        clock: StageTimer,
        wanted: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch,
        set_aside: Callable[[Sequence[Rejected]], None] | None = None,
    ) -> None:
        self._log, self._stager, self._clock = log, stager, clock
        self._wanted, self._set_aside = wanted, set_aside
        self.rejected = 0

    def read(self, plan: StepRunner, examples: Examples | None = None) -> int:
        """Read in this process; returns the exchanges taken in. examples: receives a text of each template."""
        self._start()
        fingerprinter = Fingerprinter(self._stager.key, examples)
        staged = self._stager.stage_all(self._batches(), fingerprinter.apply)
        rows = plan.engine.ingest("arrivals", EXCHANGE_SCHEMA, alike_together(staged))
        plan.wrote("arrivals", rows)
        return self._end(rows)

    def read_in_place(self, lake: LakeReader, plan: StepRunner, addresses: Sequence[str], reading: Reading) -> int:
        """Have the engine's workers read; returns the exchanges taken in. addresses: for a log without files here."""
        self._start()
        rows = read_lake(lake, plan, self._stager, self._log, addresses, reading, self._reject)
        self._clock.advance(self._log.total_bytes, rows)
        return self._end(rows)

    def _start(self) -> None:
        self._clock.start("reading", self._log.total_bytes or None, "bytes")

    def _end(self, rows: int) -> int:
        self._clock.end(f"{rows:,} exchanges, {self.rejected:,} rejected")
        return rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        behind = 0
        for batch in ahead(self._log.batches(self._reject, READ)):
            taken = self._wanted(batch)
            self._clock.advance(self._log.bytes_done - behind, taken.num_rows)
            behind = self._log.bytes_done
            yield taken

    def _reject(self, rows: Sequence[Rejected]) -> None:
        self.rejected += len(rows)
        if self._set_aside:
            self._set_aside(rows)
