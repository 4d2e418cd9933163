"""Ingests a log into a state: reads, fingerprints and stages it once, by day. Earlier days are not read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log, open_log
from clonewatch.fingerprints.keys import load_key
from clonewatch.model import option_values
from clonewatch.model.defaults import MEMORY
from clonewatch.model.errors import TooManyRejected
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.read_results import Rejected, listed
from clonewatch.pipeline.daily.state_tables import (
    EXCHANGES,
    LAYOUTS,
    NAMES,
    SKETCHES,
    Tally,
    account_hashes,
    sketch_table,
)
from clonewatch.pipeline.engine import EngineSettings, opened_for_state
from clonewatch.pipeline.intake import deduplicate
from clonewatch.pipeline.intake.account_book import AccountBook
from clonewatch.pipeline.intake.account_match import mismatch
from clonewatch.pipeline.intake.arrivals import Arrivals
from clonewatch.pipeline.intake.rejected_rows import RejectedRows
from clonewatch.pipeline.intake.staged import refuse_ended
from clonewatch.pipeline.intake.staging import Stager
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import FileEngine
from clonewatch.ports.progress import Progress, Silent
from clonewatch.state import store
from clonewatch.state.columns import schema_of
from clonewatch.state.files import digest
from clonewatch.state.manifest import DAY, File, Manifest, Part, Source, day_name
from clonewatch.state.store import REJECTED, State


@dataclass(frozen=True)
class IngestSettings:
    """What is read into which state. max_rejected: share of rows, 0..1, above which nothing is added.

    passing: whether the files are removed once they are in the state, as a service does that takes a batch a minute.
    The state then keeps no list of them, rows without an account are rejected like any other, and facts of an account
    are added to those that it has.
    """

    paths: tuple[str, ...]
    state: Path
    mapping: str | None = None
    accounts: Path | None = None
    events: Path | None = None
    format: str = "auto"
    key_file: Path | None = None
    memory: str = MEMORY
    threads: int | None = None
    max_rejected: float = 0.01
    limits: Limits = DEFAULT
    passing: bool = False

    def __post_init__(self) -> None:
        """Refuse values that an option cannot have."""
        option_values.check(memory=self.memory, threads=self.threads, max_rejected=self.max_rejected)


@dataclass(frozen=True)
class Ingested:
    """The outcome of ingesting a log. days: exchanges added per day. skipped: files that had been read before.

    dropped: optional values that were left out, by column and reason.
    """

    state: Path
    generation: int
    read: int
    rejected: int
    repeated: int
    days: dict[str, int]
    accounts: int
    new_accounts: int
    skipped: list[str]
    dropped: list[dict[str, Any]]
    warnings: list[str]
    stages: list[dict[str, Any]]
    peak_memory_mb: int

    @property
    def kept(self) -> int:
        """Number of exchanges added."""
        return sum(self.days.values())


def ingest(settings: IngestSettings, progress: Progress | None = None) -> Ingested:
    """Read a log into a state, which is created on first use. Files and exchanges it already holds change nothing.

    Raises InputError, MappingError or KeyFileError before a row is read; TooManyRejected, StateError and OutputError
    leave the state unchanged.
    """
    timer = StageTimer(progress or Silent())
    mapping = Path(settings.mapping) if settings.mapping else None
    log = open_log(
        settings.paths,
        format=settings.format,
        mapping=mapping,
        accounts=settings.accounts,
        events=settings.events,
        limits=settings.limits,
    )
    log.pushed = settings.passing
    key = load_key(settings.key_file)
    with store.opened(settings.state, key, create=True) as state:
        state.check(LAYOUTS)
        skipped = _skip_known(log, state.manifest, timer)
        chosen = EngineSettings(memory=settings.memory, threads=settings.threads)
        with opened_for_state(chosen, settings.state) as engine:
            return _Ingestion(settings, state, log, key, engine, timer).run(skipped)


def _skip_known(log: Log, manifest: Manifest, timer: StageTimer) -> list[str]:
    """Skip files of exchanges that were read before, byte for byte; only files of a known size are compared."""
    sizes = {source.size for source in manifest.sources.values()}
    suspects = [path for path in log.files if Path(path).is_file() and Path(path).stat().st_size in sizes]
    if not suspects:
        return []
    timer.start("known files", sum(Path(path).stat().st_size for path in suspects), "bytes")
    known = [path for path in suspects if digest(Path(path), timer.advance) in manifest.sources]
    log.leave_out(known)
    timer.end(f"{len(known)} files had been read before")
    return known


class _Ingestion:
    """One run: from an open log to a new generation of the state."""

    def __init__(
        self, settings: IngestSettings, state: State, log: Log, key: bytes, engine: FileEngine, timer: StageTimer
    ) -> None:
        self.settings, self.state, self.log, self.engine, self.timer = settings, state, log, engine, timer
        self.runner = StepRunner(engine)
        names = [name for file in state.manifest.names for name in state.read(file)["account_id"].to_pylist()]
        self.stager = Stager(key, AccountBook(name or "" for name in names), first=state.manifest.rows)
        self.known = len(names)
        self.forgotten = pa.array([int(h, 16) for h in state.manifest.forgotten], pa.uint64())
        self.arrivals = Arrivals(log, self.stager, timer, self._without_forgotten, self._set_aside)
        self.aside: RejectedRows | None = None

    def run(self, skipped: list[str]) -> Ingested:
        """Read, split into days, commit."""
        before = self.state.manifest
        try:
            self.arrivals.read(self.runner)
        finally:
            if self.aside:
                with store.disk(self.state.place):
                    self.aside.close()
        self._check_rejected()
        self.timer.start("days", None, "days")
        parts, repeated = self._days()
        self.timer.end(f"{sum(p.exchanges.rows for p in parts):,} exchanges of {len(parts):,} days")
        self.timer.start("account facts", None, "rows")
        unmatched = mismatch(self.log, self.stager.book.ids)
        # Facts and events may add accounts, so the book is written last.
        facts, events, sketches = self._facts(before.facts), self._events(before.events), self._sketches()
        names = self._names()
        self.timer.end(f"{len(self.stager.book.ids) - self.known:,} new accounts")
        listed_inputs = () if self.settings.passing else self.log.inputs
        sources = {one.sha256: Source(one.path, one.format, one.bytes, one.read, one.rejected) for one in listed_inputs}
        after = msgspec.structs.replace(
            before,
            rows=before.rows + self.stager.rows,
            accounts=len(self.stager.book.ids),
            parts=(*before.parts, *parts),
            names=(*before.names, *names),
            sketches=(*before.sketches, *sketches),
            facts=facts,
            events=events,
            sources={**sources, **before.sources},
        )
        if after != before:
            self.state.commit(after)
        return Ingested(
            state=self.settings.state,
            generation=self.state.manifest.generation,
            read=self.stager.rows,
            rejected=self.arrivals.rejected,
            repeated=repeated,
            days={day_name(part.day): part.exchanges.rows for part in parts},
            accounts=len(self.stager.book.ids),
            new_accounts=len(self.stager.book.ids) - self.known,
            skipped=skipped,
            dropped=listed(self.log.dropped),
            warnings=[*self.log.warnings, *unmatched],
            stages=self.timer.stages,
            peak_memory_mb=self.timer.peak_memory_mb(),
        )

    def _set_aside(self, rows: Sequence[Rejected]) -> None:
        with store.disk(self.state.place):
            if self.aside is None:
                place = self.state.place / REJECTED
                place.mkdir(mode=0o700, exist_ok=True)
                path = place / f"{self.state.manifest.generation + 1:06d}.ndjson"
                self.aside = RejectedRows(path, most=self.settings.limits.rejected, fresh=True)
            self.aside.write(rows)

    def _check_rejected(self) -> None:
        if said := self.log.too_much_left_out(self.settings.max_rejected):
            raise TooManyRejected(
                f"{said}, so nothing was added",
                where=", ".join(list(self.log.left_out)[:3]),
                fix="Their format is unknown: name it or map them, or move what is no log out of the folder",
            )
        refuse_ended(self.log.ended, self.settings.max_rejected, "Nothing was added.")
        rejected = self.arrivals.rejected
        rows = self.stager.rows + rejected
        if rejected > self.settings.max_rejected * rows:
            raise TooManyRejected(
                f"{rejected:,} of {rows:,} rows were rejected, so nothing was added",
                where=str(self.state.place / REJECTED),
                fix="Read the reasons, fix the map or the log and run again, or raise --max-rejected if the rejected"
                " rows are expected",
            )

    def _days(self) -> tuple[list[Part], int]:
        """The arrivals as new parts, one per day, without exchanges that the state holds; and how many it held."""
        deduplicate.find_same(self.runner)
        days = self.engine.fetch(
            f"SELECT CAST(FLOOR(ts / {DAY}) AS BIGINT) AS day, COUNT(*) AS n FROM arrivals"
            f" GROUP BY CAST(FLOOR(ts / {DAY}) AS BIGINT) ORDER BY day"
        )["day"].to_pylist()
        parts = [part for day in days if (part := self._day(day))]
        return parts, self.stager.rows - sum(part.exchanges.rows for part in parts)

    def _day(self, day: int) -> Part | None:
        parts = [part for part in self.state.manifest.parts if part.day == day]
        held = [part.exchanges for part in parts]
        known = ""
        if held:
            self.engine.attach(f"held_{day}", self.state.intact(held), EXCHANGES.schema)
            lacking = frozenset(name for part in parts for name in part.lacking)
            known = f" AND NOT {deduplicate.held_already(f'held_{day}', lacking)}"
        tally = Tally(EXCHANGES.schema)
        rows = self.engine.stream(
            f"SELECT x.* FROM arrivals x {deduplicate.WITHOUT} AND x.ts >= $low AND x.ts < $high{known}"
            ' ORDER BY x.account, x.ts, x."row"',
            {"low": day * DAY, "high": (day + 1) * DAY},
        )
        file = self.state.write(f"exchanges-{day_name(day)}", EXCHANGES.schema, tally.watch(rows))
        self.timer.advance(1, file.rows)
        if not file.rows:
            return None
        passing = self.settings.passing
        return tally.part(day, file, () if passing else tuple(one.sha256 for one in self.log.inputs))

    def _facts(self, before: File | None) -> File | None:
        """Account facts, the newest of each account."""
        table = self.log.accounts()
        if table is None or not table.num_rows:
            return before
        table = self._without_forgotten(table)
        codes = self.stager.book.codes(table["account_id"].combine_chunks())
        fresh = self.stager.accounts(table).take(pa.array(np.unique(codes)))
        return self._merged("facts", before, fresh)

    def _events(self, before: File | None) -> File | None:
        """Events, each once."""
        table = self.log.events()
        if table is None or not table.num_rows:
            return before
        if "account_id" in table.column_names:
            table = self._without_forgotten(table)
            self.stager.book.codes(table["account_id"].combine_chunks())
        return self._merged("events", before, self.stager.events(table))

    def _merged(self, kind: str, before: File | None, fresh: pa.Table) -> File:
        """A small table updated from the log: kept rows stay, except those that the log has again.

        Facts are identified by their account (the rule is in `adapters.side_tables`), events by all columns of the kept
        ones. Columns that only another version knows are unchanged.
        """
        layout = LAYOUTS[kind]
        old = self.state.table([before] if before else [], layout)
        here = schema_of(self.state.path(before)).names if before else []
        ours, theirs = layout.schema.names, [name for name in old.column_names if name not in layout.schema.names]
        keys = ["account"] if kind == "facts" else [name for name in ours if name in here]
        self.engine.put(f"old_{kind}", old)
        self.engine.put(f"new_{kind}", fresh)
        same = " AND ".join(f'o."{name}" IS NOT DISTINCT FROM n."{name}"' for name in keys) or "FALSE"
        adds = kind == "facts" and self.settings.passing
        fresh_of = {name: f'COALESCE(n."{name}", o."{name}") AS "{name}"' if adds else f'n."{name}"' for name in ours}
        columns = ", ".join([*fresh_of.values(), *(f'o."{name}"' for name in theirs)])
        both = self.engine.fetch(
            f"SELECT {columns} FROM new_{kind} n LEFT JOIN old_{kind} o ON {same}"
            f" UNION SELECT o.* FROM old_{kind} o WHERE NOT EXISTS (SELECT 1 FROM new_{kind} n WHERE {same})"
        ).cast(old.schema)
        both = both.sort_by([(name, "ascending") for name in old.column_names])
        if before and both.equals(old):
            return before
        return self.state.write(kind, both.schema, [both])

    def _without_forgotten(self, table: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        """A table without the rows of forgotten accounts."""
        if not len(self.forgotten):
            return table
        ids = table["account_id"]
        hashes = pa.array(
            account_hashes(ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids, self.stager.key)
        )
        return table.filter(pc.invert(pc.is_in(hashes, self.forgotten)))

    def _sketches(self) -> list[File]:
        """The sketches of templates that are new to the state."""
        templates, sketches = self.stager.sketches()
        known = [self.state.read(file, ["template"])["template"].to_numpy() for file in self.state.manifest.sketches]
        new = ~np.isin(templates, np.concatenate(known)) if known else np.ones(len(templates), bool)
        if not new.any():
            return []
        return [self.state.write("sketches", SKETCHES.schema, [sketch_table(templates[new], sketches[new])])]

    def _names(self) -> list[File]:
        new = self.stager.book.ids[self.known :]
        return [self.state.write("accounts", NAMES.schema, [pa.table([new], schema=NAMES.schema)])] if new else []
