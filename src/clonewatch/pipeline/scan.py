"""One scan: read and stage a log, then detect and report. The way of an exchange from the first stage to the last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.reading import Log, open_log
from clonewatch.campaigns import answers
from clonewatch.campaigns import calibration as calibrations
from clonewatch.campaigns.calibration import Calibration
from clonewatch.fingerprints import embedding
from clonewatch.fingerprints.embedding import Examples
from clonewatch.fingerprints.keys import load_key
from clonewatch.model import option_values
from clonewatch.model.answers import Answer
from clonewatch.model.defaults import MAX_REPEATED, MEMORY
from clonewatch.model.errors import InputError, SetupError, TooManyRejected
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.read_results import listed
from clonewatch.model.text_files import plain
from clonewatch.pipeline import engine as engines
from clonewatch.pipeline import resume
from clonewatch.pipeline.engine import EMBEDDED, EngineSettings
from clonewatch.pipeline.examine import examine, publish
from clonewatch.pipeline.intake.account_match import mismatch
from clonewatch.pipeline.intake.arrivals import Arrivals
from clonewatch.pipeline.intake.deduplicate import refuse_repeats
from clonewatch.pipeline.intake.kept_text import TextKeeper
from clonewatch.pipeline.intake.spark_parquet import FORMAT, Reading, is_remote, open_remote
from clonewatch.pipeline.intake.staged import STAGED, Intake, filled, refuse_ended
from clonewatch.pipeline.intake.staging import Stager, within
from clonewatch.pipeline.progress.stage_timer import SCAN_STAGES, StageTimer
from clonewatch.pipeline.reporting.result_folder import ResultFolder
from clonewatch.pipeline.scan_result import ScanResult
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Engine, KeepsTables, RemoteReader
from clonewatch.ports.progress import Progress, Silent


@dataclass(frozen=True)
class ScanSettings:
    """What a scan reads, where it writes, and the settings that change its result.

    max_rejected, max_repeated: share of rows, 0..1, that are rejected or merged into others, above which the result is
    written but should not be trusted. since, as_of: only exchanges from `since` on and before `as_of` are used, and
    events before `as_of`, as a scan at that time would have seen them. first_flag: also find the hour at which each
    campaign would first have been flagged. embed: merge templates with the same meaning (an extra). calibration: a
    file of your own calibration groups; None for the shipped ones. answers: a file of answers about groups. engine:
    a module in `engines/`. master: of a Spark cluster; None for the one in Spark's own configuration. limits: on
    what reading may cost.
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
    memory: str = MEMORY
    threads: int | None = None
    max_rejected: float = 0.01
    max_repeated: float = MAX_REPEATED
    since: datetime | None = None
    as_of: datetime | None = None
    calibration: Path | None = None
    first_flag: bool = False
    answers: Path | None = None
    embed: bool = False
    engine: str = EMBEDDED
    master: str | None = None
    limits: Limits = DEFAULT

    def __post_init__(self) -> None:
        """Refuse values that an option cannot have."""
        option_values.check(
            seed=self.seed,
            memory=self.memory,
            threads=self.threads,
            max_rejected=self.max_rejected,
            max_repeated=self.max_repeated,
        )

    @property
    def computing(self) -> EngineSettings:
        """The engine and what it may use."""
        return EngineSettings(self.engine, self.memory, self.threads, self.master)


def scan(
    settings: ScanSettings, progress: Progress | None = None, examine: Callable[..., ScanResult] = examine
) -> ScanResult:
    """Read a log, find campaigns, and write the result to `settings.out`.

    examine: makes the result of the staged tables; an evaluation passes its own, with the same parameters.
    Raises InputError, MappingError or KeyFileError before a row is read, OutputError when the disk is full (an earlier
    result stays), TooManyRejected or TooManyRepeated after writing a result that should not be trusted.
    """
    if settings.keep_text and settings.out is None:
        raise SetupError("text can only be kept in a folder", fix="Pass --out, or leave out --keep-text")
    if settings.embed:
        embedding.require()
    timer = StageTimer(progress or Silent(), expected=SCAN_STAGES + settings.first_flag)
    log = _open(settings)
    key = load_key(settings.key_file)
    calibration = calibrations.read(settings.calibration) if settings.calibration else calibrations.shipped()
    given = answers.read(settings.answers) if settings.answers else []
    if settings.out is None:
        return _run(_Task(settings, log, key, timer), calibration, given, examine)
    # Text is not kept for a later run, and only the embedded engine keeps its tables.
    again = settings.engine == EMBEDDED and not settings.keep_text
    asked = resume.question(asdict(settings), log, key, calibration, given) if again else ""
    with ResultFolder(settings.out, asked, settings.limits) as folder, contextlib.ExitStack() as open_files:
        keeper = open_files.enter_context(TextKeeper(folder.aside)) if settings.keep_text else None
        return _run(_Task(settings, log, key, timer, folder, keeper), calibration, given, examine)


class _Task(NamedTuple):
    """What one scan works with. folder: receives the result. keeper: of text, where it is kept."""

    settings: ScanSettings
    log: Log
    key: bytes
    timer: StageTimer
    folder: ResultFolder | None = None
    keeper: TextKeeper | None = None

    def wanted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The exchanges of a batch that are examined."""
        batch = within(batch, self.settings.since, self.settings.as_of)
        if self.keeper:
            self.keeper.note(batch)
        return batch


def _open(settings: ScanSettings) -> Log:
    """The log: local files, or addresses that only an engine's workers can open."""
    if any(is_remote(path) for path in settings.paths):
        unfit = [name for name in ("mapping", "keep_text", "embed") if getattr(settings, name)]
        if settings.engine == EMBEDDED or unfit:
            raise InputError(
                "only Spark can read an address, as exchanges in Parquet, and no text is fetched from it",
                where=next(path for path in settings.paths if is_remote(path)),
                fix="Pass --engine spark and leave out --map, --keep-text and --embed, or copy the log to this machine",
            )
        return open_remote(settings.paths, settings.accounts, settings.events)
    return open_log(
        settings.paths,
        format=settings.format,
        mapping=Path(settings.mapping) if settings.mapping else None,
        accounts=settings.accounts,
        events=settings.events,
        limits=settings.limits,
    )


def _run(
    task: _Task, calibration: Calibration, answers: Sequence[Answer], examine: Callable[..., ScanResult]
) -> ScanResult:
    settings, folder, keeper = task.settings, task.folder, task.keeper
    work = folder.work if folder else None
    kept = work if folder and folder.question else None
    with engines.opened(settings.computing, work, kept) as engine:
        runner, intake = _taken_in(task, engine)
        chosen = {"seed": settings.seed, "first_flag": settings.first_flag, "answers": answers}
        result = examine(runner, intake, calibration, task.timer, folder, **chosen)
    if keeper and folder:
        written, attributed = folder.aside / "attribution.parquet", pc.field("posterior") >= 0.5
        keeper.keep(pq.read_table(written, columns=["exchange_id"], filters=attributed)["exchange_id"])
    if folder:
        publish(result, folder)
    if intake.rejected > settings.max_rejected * (intake.read + intake.rejected):
        raise TooManyRejected(
            f"{intake.rejected:,} of {intake.read + intake.rejected:,} rows were rejected",
            where=str(settings.out / "rejected.ndjson") if settings.out else "",
            fix="The result was written but should not be trusted. Read the reasons, fix the map or the log and scan"
            " again, or raise --max-rejected if the rejected rows are expected",
        )
    _refuse_left_out(task.log, settings)
    refuse_ended(intake.ended, settings.max_rejected, "The result was written and lacks the rest.")
    if counts := result.summary.get("counts"):  # an evaluation's own `examine` may count nothing
        refuse_repeats(counts, settings.max_repeated, str(settings.out / "scan.json") if settings.out else "")
    return result


def _refuse_left_out(log: Log, settings: ScanSettings) -> None:
    """Raise TooManyRejected if files of the folder were left out that hold more than the share that may be rejected."""
    if said := log.too_much_left_out(settings.max_rejected):
        raise TooManyRejected(
            said,
            where=", ".join(list(log.left_out)[:3]),
            fix="The result was written but should not be trusted. The warnings say what these files are: name their"
            " format or map them, or move what is no log out of the folder",
        )


def _taken_in(task: _Task, engine: Engine) -> tuple[StepRunner, Intake]:
    """The staged tables of the log: read now, or left by an interrupted run of the same question."""
    folder = task.folder
    note = folder.begun if folder else None
    if note is not None and isinstance(engine, KeepsTables):
        begun = resume.read(note)
        runner = StepRunner(engine, STAGED, engine.tables())
        task.timer.resume(begun.stages, f"{begun.intake.read:,} exchanges, read before an earlier run was interrupted")
        return runner, begun.intake
    runner, stager = StepRunner(engine), Stager(task.key)
    examples = Examples() if task.settings.embed else None
    rejected = _stage(runner, task, stager, examples)
    intake = _intake(runner, task, stager, rejected)
    runner.put("families", stager.families(runner.engine, examples))
    if folder and folder.question:
        folder.keep(resume.Begun(intake, task.timer.stages).encode())
    return runner, intake


def _stage(runner: StepRunner, task: _Task, stager: Stager, examples: Examples | None) -> int:
    """Tables `arrivals`, `accounts` and `events` of the log; returns how many rows were rejected."""
    settings, log = task.settings, task.log
    arrivals = Arrivals(log, stager, task.timer, task.wanted, task.folder.reject if task.folder else None)
    if reader := _remote_reader(runner.engine, log, settings):
        reading = Reading(stager.key, settings.since, settings.as_of)
        rows = arrivals.read_in_place(reader, runner, settings.paths, reading)
    else:
        rows = arrivals.read(runner, examples)
    if not rows:
        raise InputError(
            "no exchange could be read",
            where=", ".join(i.path for i in log.inputs[:3]),
            fix=f"{arrivals.rejected:,} rows were rejected; `clonewatch doctor` shows why"
            + (". Rows outside --since and --as-of were skipped" if settings.since or settings.as_of else ""),
        )
    runner.put("accounts", stager.accounts(log.accounts()))
    events = log.events()
    if settings.as_of and events is not None:
        events = events.filter(pc.less(events["ts"], pa.scalar(settings.as_of, events["ts"].type)))
    runner.put("events", stager.events(events))
    return arrivals.rejected


def _remote_reader(engine: Engine, log: Log, settings: ScanSettings) -> RemoteReader | None:
    """The engine, where its workers can read the log themselves: exchanges in Parquet whose text is not needed here."""
    fit = log.formats in ([], [FORMAT]) and not settings.keep_text and not settings.embed
    return engine if fit and isinstance(engine, RemoteReader) else None


def _intake(runner: StepRunner, task: _Task, stager: Stager, rejected: int) -> Intake:
    chosen = {
        k: plain(str(v) if isinstance(v, Path | datetime) else v)
        for k, v in asdict(task.settings).items()
        if k not in ("out", "key_file", "limits")
    } | {"limits": task.settings.limits._asdict()}
    held = {f"exchanges.{name}": n for name, n in stager.filled.items()}
    for name in ("accounts", "events"):
        held |= filled(name, runner.engine.fetch(f"SELECT * FROM {name}"))
    return Intake(
        ids=stager.book.ids,
        filled=held,
        first_ts=stager.first_ts,
        last_ts=stager.last_ts,
        read=stager.rows,
        rejected=rejected,
        accounts=len(stager.book.ids),
        inputs=[i._asdict() for i in task.log.inputs],
        warnings=[*task.log.warnings, *mismatch(task.log, stager.book.ids)],
        chosen=chosen,
        dropped=listed(task.log.dropped),
        ended=task.log.ended,
    )
