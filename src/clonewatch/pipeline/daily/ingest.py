"""A log into a state: read, fingerprinted and staged once, by day. What came before costs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log, open_log
from clonewatch.engines.duckdb import DuckDB
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.fingerprints.keys import derive, load_key
from clonewatch.kernels.hashing import keyed_hash
from clonewatch.model.errors import TooManyRejected
from clonewatch.model.reading import Rejected
from clonewatch.model.schema import SKETCH_SIZE
from clonewatch.pipeline.intake.prefetch import ahead
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA, EVENT_SCHEMA, EXCHANGE_SCHEMA, READ, AccountBook, Stager
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.ports.progress import Progress, Silent
from clonewatch.state import store
from clonewatch.state.manifest import File, Manifest, Part, Source, day_name
from clonewatch.state.store import REJECTED, State, digest

_DAY = 86_400_000_000
NAME_SCHEMA = pa.schema([("account_id", pa.string())])
SKETCH_SCHEMA = pa.schema([("template", pa.int64()), ("sketch", pa.binary(4 * SKETCH_SIZE))])


@dataclass(frozen=True)
class IngestSettings:
    """What is read into which state. max_rejected: share of rows, 0..1, above which nothing is taken in."""

    paths: tuple[str, ...]
    state: Path
    mapping: str | None = None
    accounts: Path | None = None
    events: Path | None = None
    format: str = "auto"
    key_file: Path | None = None
    memory: str = "700MB"
    threads: int | None = None
    max_rejected: float = 0.01


@dataclass(frozen=True)
class Ingested:
    """What came of it. days: exchanges taken in by day. skipped: files that had been read before."""

    state: Path
    generation: int
    read: int
    rejected: int
    repeated: int
    days: dict[str, int]
    accounts: int
    new_accounts: int
    skipped: list[str]
    warnings: list[str]
    stages: list[dict[str, Any]]
    peak_memory_mb: int

    @property
    def kept(self) -> int:
        """Exchanges taken in."""
        return sum(self.days.values())


def ingest(settings: IngestSettings, progress: Progress | None = None) -> Ingested:
    """Read a log into a state, which is made on first use. Files and exchanges that it holds already change nothing.

    Raises InputError, MappingError or KeyFileError before a row is read; TooManyRejected, StateError and OutputError
    with the state as it was.
    """
    clock = StageTimer(progress or Silent())
    mapping = Path(settings.mapping) if settings.mapping else None
    log = open_log(
        settings.paths, format=settings.format, mapping=mapping, accounts=settings.accounts, events=settings.events
    )
    key = load_key(settings.key_file)
    with store.opened(settings.state, key, create=True) as state:
        skipped = _leave_out_known(log, state.manifest, clock)
        with DuckDB(memory=settings.memory, threads=settings.threads, folder=settings.state).using() as engine:
            return _Ingestion(settings, state, log, key, engine, clock).run(skipped)


def _leave_out_known(log: Log, manifest: Manifest, clock: StageTimer) -> list[str]:
    """Leave out files of exchanges that were read before, byte for byte; only those of a known size are looked into."""
    sizes = {source.size for source in manifest.sources.values()}
    suspects = [path for path in log.files if Path(path).is_file() and Path(path).stat().st_size in sizes]
    if not suspects:
        return []
    clock.start("known files", sum(Path(path).stat().st_size for path in suspects), "bytes")
    known = [path for path in suspects if digest(Path(path), clock.advance) in manifest.sources]
    log.leave_out(known)
    clock.end(f"{len(known)} files were read before")
    return known


class _Ingestion:
    """One run: from an open log to a new generation of the state."""

    def __init__(
        self, settings: IngestSettings, state: State, log: Log, key: bytes, engine: DuckDB, clock: StageTimer
    ) -> None:
        self.settings, self.state, self.log, self.engine, self.clock = settings, state, log, engine, clock
        names = [name for file in state.manifest.names for name in state.read(file)["account_id"].to_pylist()]
        self.stager = Stager(key, AccountBook(name or "" for name in names), first=state.manifest.rows)
        self.known = len(names)
        self.forgotten = pa.array([int(h, 16) for h in state.manifest.forgotten], pa.uint64())
        self.rejected = 0
        self.aside: TextIO | None = None

    def run(self, skipped: list[str]) -> Ingested:
        """Read, sort into days, commit."""
        before = self.state.manifest
        try:
            self._read()
        finally:
            if self.aside:
                self.aside.close()
        self._refuse_if_bad()
        self.clock.start("days", None, "days")
        parts, repeated = self._days()
        self.clock.end(f"{sum(p.exchanges.rows for p in parts):,} exchanges of {len(parts):,} days")
        self.clock.start("account facts", None, "rows")
        # Facts and events bring in accounts of their own: the book is written last.
        facts, events, sketches = self._facts(before.facts), self._events(before.events), self._sketches()
        names = self._names()
        self.clock.end(f"{len(self.stager.book.ids) - self.known:,} new accounts")
        sources = {
            one.sha256: Source(one.path, one.format, one.bytes, one.read, one.rejected) for one in self.log.inputs
        }
        after = msgspec.structs.replace(
            before, rows=before.rows + self.stager.rows, accounts=len(self.stager.book.ids),
            parts=(*before.parts, *parts), names=(*before.names, *names), sketches=(*before.sketches, *sketches),
            facts=facts, events=events, sources={**sources, **before.sources},
        )  # fmt: skip
        if after != before:
            self.state.commit(after)
        return Ingested(
            self.settings.state, self.state.manifest.generation, self.stager.rows, self.rejected, repeated,
            {day_name(part.day): part.exchanges.rows for part in parts}, len(self.stager.book.ids),
            len(self.stager.book.ids) - self.known, skipped, list(self.log.warnings), self.clock.stages,
            self.clock.peak_memory_mb(),
        )  # fmt: skip

    def _read(self) -> None:
        fingerprinter = Fingerprinter(self.stager.key)
        self.clock.start("reading", self.log.total_bytes or None, "bytes")
        rows = self.engine.ingest(
            "arrivals", EXCHANGE_SCHEMA, self.stager.stage_all(self._follow(), fingerprinter.apply)
        )
        self.clock.end(f"{rows:,} exchanges, {self.rejected:,} rejected")

    def _follow(self) -> Iterator[pa.RecordBatch]:
        behind = 0
        for batch in ahead(self.log.batches(self._reject, READ)):
            if len(self.forgotten):
                hashes = pa.array(account_hashes(batch["account_id"], self.stager.key))
                batch = batch.filter(pc.invert(pc.is_in(hashes, self.forgotten)))
            self.clock.advance(self.log.bytes_done - behind, batch.num_rows)
            behind = self.log.bytes_done
            yield batch

    def _reject(self, rows: Sequence[Rejected]) -> None:
        self.rejected += len(rows)
        with store.disk(self.state.place):
            if self.aside is None:
                place = self.state.place / REJECTED
                place.mkdir(mode=0o700, exist_ok=True)
                self.aside = (place / f"{self.state.manifest.generation + 1:06d}.ndjson").open("w", encoding="utf-8")
            self.aside.writelines(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows)

    def _refuse_if_bad(self) -> None:
        every = self.stager.rows + self.rejected
        if self.rejected > self.settings.max_rejected * every:
            raise TooManyRejected(
                f"{self.rejected:,} of {every:,} rows were rejected, and nothing was taken in",
                where=str(self.state.place / REJECTED),
                mend="Look at the reasons, mend the map or the log, and run again, or raise --max-rejected if they are"
                " expected",
            )

    def _days(self) -> tuple[list[Part], int]:
        """The arrivals as new parts, one a day, without what is there already; and how many were."""
        engine = self.engine
        # The first of each exchange id stays, as in a scan.
        engine.store(
            "again",
            'SELECT a."row" FROM arrivals a JOIN (SELECT xid, MIN("row") AS keep FROM arrivals GROUP BY xid'
            ' HAVING COUNT(*) > 1) r ON r.xid = a.xid WHERE a."row" <> r.keep',
            {},
        )
        days = engine.fetch(
            f"SELECT CAST(FLOOR(ts / {_DAY}) AS BIGINT) AS day, COUNT(*) AS n FROM arrivals"
            f" GROUP BY CAST(FLOOR(ts / {_DAY}) AS BIGINT) ORDER BY day"
        )["day"].to_pylist()
        parts = [part for day in days if (part := self._day(day))]
        return parts, self.stager.rows - sum(part.exchanges.rows for part in parts)

    def _day(self, day: int) -> Part | None:
        held = [part.exchanges for part in self.state.manifest.parts if part.day == day]
        known = ""
        if held:
            self.engine.attach(f"held_{day}", self.state.paths(held))
            known = f' AND xid NOT IN (SELECT xid FROM "held_{day}")'
        tally = Tally()
        rows = self.engine.stream(
            f'SELECT * FROM arrivals WHERE ts >= $low AND ts < $high AND "row" NOT IN (SELECT "row" FROM again){known}'
            ' ORDER BY account, ts, "row"',
            {"low": day * _DAY, "high": (day + 1) * _DAY},
        )
        file = self.state.write(f"exchanges-{day_name(day)}", EXCHANGE_SCHEMA, tally.watch(rows))
        self.clock.advance(1, file.rows)
        if not file.rows:
            return None
        return tally.part(day, file, tuple(one.sha256 for one in self.log.inputs))

    def _facts(self, before: File | None) -> File | None:
        """Account facts, the newest of each account."""
        table = self.log.accounts()
        if table is None or not table.num_rows:
            return before
        table = self._welcome(table)
        codes = self.stager.book.codes(table["account_id"].combine_chunks())
        fresh = self.stager.accounts(table).take(pa.array(np.unique(codes)))
        if before:
            old = self.state.read(before)
            kept = old.filter(pa.array(~np.isin(old["account"].to_numpy(), codes)))
            fresh = pa.concat_tables([kept, fresh]).sort_by("account")
            if fresh.equals(old):
                return before
        return self.state.write("facts", ACCOUNT_SCHEMA, [fresh])

    def _events(self, before: File | None) -> File | None:
        """Events, each once."""
        table = self.log.events()
        if table is None or not table.num_rows:
            return before
        if "account_id" in table.column_names:
            table = self._welcome(table)
            self.stager.book.codes(table["account_id"].combine_chunks())
        fresh = self.stager.events(table)
        old = self.state.read(before) if before else EVENT_SCHEMA.empty_table()
        both = pa.concat_tables([old, fresh]).group_by(EVENT_SCHEMA.names).aggregate([]).cast(EVENT_SCHEMA)
        both = both.sort_by([(name, "ascending") for name in EVENT_SCHEMA.names])
        return before if before and both.equals(old) else self.state.write("events", EVENT_SCHEMA, [both])

    def _welcome(self, table: pa.Table) -> pa.Table:
        """Without those that were forgotten."""
        if not len(self.forgotten):
            return table
        hashes = pa.array(account_hashes(table["account_id"].combine_chunks(), self.stager.key))
        return table.filter(pc.invert(pc.is_in(hashes, self.forgotten)))

    def _sketches(self) -> list[File]:
        """The sketches of templates that are new to the state."""
        templates, sketches = self.stager.sketches()
        known = [self.state.read(file, ["template"])["template"].to_numpy() for file in self.state.manifest.sketches]
        new = ~np.isin(templates, np.concatenate(known)) if known else np.ones(len(templates), bool)
        if not new.any():
            return []
        return [self.state.write("sketches", SKETCH_SCHEMA, [sketch_table(templates[new], sketches[new])])]

    def _names(self) -> list[File]:
        new = self.stager.book.ids[self.known :]
        return [self.state.write("accounts", NAME_SCHEMA, [pa.table([new], schema=NAME_SCHEMA)])] if new else []


class Tally:
    """What a part holds, counted as it passes."""

    def __init__(self) -> None:
        self.filled = dict.fromkeys(EXCHANGE_SCHEMA.names, 0)
        self.first_ts, self.last_ts = np.iinfo(np.int64).max, np.iinfo(np.int64).min

    def watch(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches."""
        for batch in batches:
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                self.filled[name] += len(column) - column.null_count
            low, high = (f(batch["ts"]).as_py() for f in (pc.min, pc.max))
            self.first_ts, self.last_ts = min(self.first_ts, low), max(self.last_ts, high)
            yield batch.cast(EXCHANGE_SCHEMA)

    def part(self, day: int, file: File, sources: tuple[str, ...], lacking: tuple[str, ...] = ()) -> Part:
        """The part that these batches make."""
        return Part(day, file, self.first_ts, self.last_ts, self.filled, sources, lacking)


def account_hashes(ids: pa.Array, key: bytes) -> np.ndarray:
    """Keyed hashes, uint64[N], by which accounts are remembered as forgotten."""
    return keyed_hash(ids, derive(key, "forgotten account"))


def sketch_table(templates: np.ndarray, sketches: np.ndarray) -> pa.Table:
    """Rows of SKETCH_SCHEMA. templates: int64[N]; sketches: uint32[N, 64]."""
    packed = pa.array([row.tobytes() for row in np.ascontiguousarray(sketches)], SKETCH_SCHEMA.field("sketch").type)
    return pa.table([pa.array(templates), packed], schema=SKETCH_SCHEMA)
