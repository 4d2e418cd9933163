"""One scan: log in, campaigns out. The way of an exchange from the first stop to the last is here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.reading import Log, open_log
from clonewatch.campaigns import calibration as calibrations
from clonewatch.campaigns.calibration import Calibration
from clonewatch.fingerprints import embedding
from clonewatch.fingerprints.embedding import Examples
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.fingerprints.keys import load_key
from clonewatch.model.errors import InputError, SetupError, TooManyRejected
from clonewatch.model.reading import Rejected
from clonewatch.pipeline import resume
from clonewatch.pipeline.ahead import ahead
from clonewatch.pipeline.clock import SCAN_STAGES, Clock
from clonewatch.pipeline.examine import STAGED, Intake, ScanResult, examine, filled, publish
from clonewatch.pipeline.lake import FORMAT, Reading, is_lake, open_lake, read_lake
from clonewatch.pipeline.plan import Plan
from clonewatch.pipeline.staging import EXCHANGE_SCHEMA, READ, Stager, alike_together
from clonewatch.pipeline.texts import TextKeeper
from clonewatch.pipeline.writing import ResultFolder
from clonewatch.ports.engine import Engine, KeepsTables, LakeReader
from clonewatch.ports.progress import Progress, Silent
from clonewatch.ports.shelf import Shelf

ENGINES = Shelf("clonewatch.engines", "ENGINE")


@dataclass(frozen=True)
class ScanSettings:
    """What a scan reads, where it writes, and the few things that change its answer.

    max_rejected: share of rows, 0..1, above which the result is written but not to be trusted. since, as_of: only
    exchanges from the one instant on and before the other are seen, and events before the latter, as a scan on that day
    would have seen them. replay: look back for the hour at which each campaign first crossed the line. embed: join
    templates that mean the same (an extra). calibration: a file of the operator's own honest groups; the shipped ones
    when None. engine: where it is computed, a name on the shelf of engines. master: of a Spark cluster, if not the one
    that Spark is set up for.
    """

    paths: tuple[str, ...]
    out: Path | None = None
    mapping: str | None = None
    accounts: Path | None = None
    events: Path | None = None
    format: str = "auto"
    seed: int = 0
    key_file: Path | None = None
    keep_text: bool = False
    memory: str = "700MB"
    threads: int | None = None
    max_rejected: float = 0.01
    since: datetime | None = None
    as_of: datetime | None = None
    calibration: Path | None = None
    replay: bool = False
    embed: bool = False
    engine: str = "duckdb"
    master: str | None = None


def scan(settings: ScanSettings, progress: Progress | None = None) -> ScanResult:
    """Read a log, find campaigns, and write the result where `settings.out` says.

    Raises InputError, MappingError or KeyFileError before a row is read, OutputError when the disk gives out (an
    earlier result stays), TooManyRejected after writing a result that should not be trusted.
    """
    if settings.keep_text and settings.out is None:
        raise SetupError("text can only be kept in a folder", mend="Pass --out, or leave out --keep-text")
    if settings.embed:
        embedding.require()
    clock = Clock(progress or Silent(), expected=SCAN_STAGES + settings.replay)
    log = _open(settings)
    key = load_key(settings.key_file)
    calibration = calibrations.read(settings.calibration) if settings.calibration else calibrations.shipped()
    if settings.out is None:
        return _run(settings, log, key, calibration, clock, None)
    # Text is not kept for another day, and only the embedded engine has tables that stay.
    again = settings.engine == "duckdb" and not settings.keep_text
    asked = resume.question(asdict(settings), log, key, calibration) if again else ""
    with ResultFolder(settings.out, asked) as folder, contextlib.ExitStack() as open_files:
        keeper = open_files.enter_context(TextKeeper(folder.aside)) if settings.keep_text else None
        return _run(settings, log, key, calibration, clock, folder, keeper)


def _open(settings: ScanSettings) -> Log:
    """The log, of files here or of addresses that only an engine's workers can open."""
    if any(is_lake(path) for path in settings.paths):
        unfit = [name for name in ("mapping", "keep_text", "embed") if getattr(settings, name)]
        if settings.engine == "duckdb" or unfit:
            raise InputError(
                "an address is read by Spark only, as exchanges in Parquet, and its text never comes here",
                where=next(path for path in settings.paths if is_lake(path)),
                mend="Pass --engine spark, and leave out --map, --keep-text and --embed; or copy the log here",
            )
        return open_lake(settings.paths, settings.accounts, settings.events)
    return open_log(
        settings.paths,
        format=settings.format,
        mapping=Path(settings.mapping) if settings.mapping else None,
        accounts=settings.accounts,
        events=settings.events,
    )


def _engine(settings: ScanSettings, folder: ResultFolder | None) -> Engine:
    """The place to compute that the settings name. Raises SetupError where it cannot be had."""
    if settings.engine not in ENGINES.names():
        raise SetupError(f"no engine {settings.engine!r}", mend=f"There are: {', '.join(ENGINES.names())}")
    if settings.master and settings.engine == "duckdb":
        raise SetupError("--master is for Spark", mend="Pass --engine spark with it, or leave it out")
    own: dict[str, Any] = {"master": settings.master} if settings.master else {}
    if folder and folder.question:
        own["kept"] = folder.work
    made: Engine = ENGINES.load(settings.engine)(
        memory=settings.memory, threads=settings.threads, folder=folder.work if folder else None, **own
    )
    return made


def _run(
    settings: ScanSettings,
    log: Log,
    key: bytes,
    calibration: Calibration,
    clock: Clock,
    folder: ResultFolder | None,
    keeper: TextKeeper | None = None,
) -> ScanResult:
    engine = _engine(settings, folder)
    try:
        plan, intake = _taken_in(settings, log, key, engine, clock, folder, keeper)
        result = examine(plan, intake, calibration, clock, folder, seed=settings.seed, replay=settings.replay)
    finally:
        engine.close()
    if keeper and folder:
        told, sure = folder.aside / "attribution.parquet", pc.field("posterior") >= 0.5
        keeper.keep(pq.read_table(told, columns=["exchange_id"], filters=sure)["exchange_id"])
    if folder:
        publish(result, folder)
    if intake.rejected > settings.max_rejected * (intake.read + intake.rejected):
        raise TooManyRejected(
            f"{intake.rejected:,} of {intake.read + intake.rejected:,} rows were rejected",
            where=str(settings.out / "rejected.ndjson") if settings.out else "",
            mend="The result was written but should not be trusted: look at the reasons, mend the map or the log, and"
            " run again, or raise --max-rejected if they are expected",
        )
    return result


def _taken_in(
    settings: ScanSettings, log: Log, key: bytes, engine: Engine, clock: Clock, folder: ResultFolder | None,
    keeper: TextKeeper | None,
) -> tuple[Plan, Intake]:  # fmt: skip
    """The staged tables of the log: read, or those of a run of the same question that was stopped."""
    note = folder.begun if folder else None
    if note is not None and isinstance(engine, KeepsTables):
        begun = resume.read(note)
        plan = Plan(engine, STAGED, engine.tables())
        clock.resume(begun.stages, f"{begun.intake.read:,} exchanges, read before an earlier run was stopped")
        return plan, begun.intake
    plan, stager = Plan(engine), Stager(key)
    examples = Examples() if settings.embed else None
    rejected = _stage(plan, log, stager, folder, clock, keeper, settings, examples)
    intake = _intake(plan, log, stager, settings, rejected)
    plan.put("families", stager.families(examples))
    if folder and folder.question:
        folder.keep(resume.Begun(intake, clock.stages).encode())
    return plan, intake


def _stage(
    plan: Plan, log: Log, stager: Stager, folder: ResultFolder | None, clock: Clock, keeper: TextKeeper | None,
    settings: ScanSettings, examples: Examples | None,
) -> int:  # fmt: skip
    """Read, fingerprint and stage every exchange as table `arrivals`; returns how many rows were rejected."""
    rejected = 0

    def reject(rows: Sequence[Rejected]) -> None:
        nonlocal rejected
        rejected += len(rows)
        if folder:
            folder.reject(rows)

    clock.start("reading", log.total_bytes or None, "bytes")
    if lake := _lake(plan.engine, log, settings):
        reading = Reading(stager.key, settings.since, settings.as_of)
        rows = read_lake(lake, plan, stager, log, settings.paths, reading, reject)
        clock.advance(log.total_bytes, rows)
    else:
        fingerprinter = Fingerprinter(stager.key, examples)
        followed = _follow(log, reject, clock, keeper, settings)
        staged = alike_together(stager.stage_all(followed, fingerprinter.apply))
        rows = plan.engine.ingest("arrivals", EXCHANGE_SCHEMA, staged)
        plan.wrote("arrivals", rows)
    clock.end(f"{rows:,} exchanges, {rejected:,} rejected")
    if not rows:
        raise InputError(
            "no exchange could be read",
            where=", ".join(i.path for i in log.inputs[:3]),
            mend=f"{rejected:,} rows were rejected; `clonewatch doctor` shows why"
            + (". Rows outside --since and --as-of were left out" if settings.since or settings.as_of else ""),
        )
    plan.put("accounts", stager.accounts(log.accounts()))
    events = log.events()
    if settings.as_of and events is not None:
        events = events.filter(pc.less(events["ts"], pa.scalar(settings.as_of, events["ts"].type)))
    plan.put("events", stager.events(events))
    return rejected


def _lake(engine: Engine, log: Log, settings: ScanSettings) -> LakeReader | None:
    """The engine, where its workers read the log themselves: exchanges in Parquet, of which no text is wanted here."""
    fit = log.formats in ([], [FORMAT]) and not settings.keep_text and not settings.embed
    return engine if fit and isinstance(engine, LakeReader) else None


def _follow(
    log: Log, reject: Callable[[Sequence[Rejected]], None], clock: Clock, keeper: TextKeeper | None,
    settings: ScanSettings,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    behind = 0
    for batch in ahead(log.batches(reject, READ)):
        if settings.since:
            batch = batch.filter(pc.greater_equal(batch["ts"], pa.scalar(settings.since, batch["ts"].type)))
        if settings.as_of:
            batch = batch.filter(pc.less(batch["ts"], pa.scalar(settings.as_of, batch["ts"].type)))
        if keeper:
            keeper.note(batch)
        clock.advance(log.bytes_done - behind, batch.num_rows)
        behind = log.bytes_done
        yield batch


def _intake(plan: Plan, log: Log, stager: Stager, settings: ScanSettings, rejected: int) -> Intake:
    chosen = {
        k: str(v) if isinstance(v, Path | datetime) else v
        for k, v in asdict(settings).items()
        if k not in ("out", "key_file")
    }
    sides = {name: plan.engine.fetch(f"SELECT * FROM {name}") for name in ("accounts", "events")}
    return Intake(
        ids=stager.book.ids, filled={
            **{f"exchanges.{name}": n for name, n in stager.filled.items()},
            **{column: n for name, table in sides.items() for column, n in filled(name, table).items()},
        }, first_ts=stager.first_ts, last_ts=stager.last_ts, read=stager.rows, rejected=rejected,
        accounts=len(stager.book.ids), inputs=[i._asdict() for i in log.inputs], warnings=log.warnings, chosen=chosen,
    )  # fmt: skip
