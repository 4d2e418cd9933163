"""Detection over the latest days of a state: the same stages as a scan, without reading the log again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import answers
from clonewatch.campaigns import calibration as calibrations
from clonewatch.campaigns.calibration import Calibration
from clonewatch.fingerprints.keys import load_key
from clonewatch.model import option_values
from clonewatch.model.answers import Answer
from clonewatch.model.defaults import MAX_REPEATED, MEMORY
from clonewatch.model.errors import InputError, SetupError, StateError
from clonewatch.model.schema import SKETCH_SIZE
from clonewatch.model.version import __version__
from clonewatch.pipeline.daily.state_tables import EVENTS, EXCHANGES, FACTS, LAYOUTS, SKETCHES, sketch_matrix_of
from clonewatch.pipeline.engine import EngineSettings, opened_for_state
from clonewatch.pipeline.examine import examine, publish
from clonewatch.pipeline.intake.deduplicate import refuse_repeats
from clonewatch.pipeline.intake.staged import Intake, filled
from clonewatch.pipeline.intake.staging import (
    SKETCHED_TEMPLATES,
    families,
)
from clonewatch.pipeline.progress.stage_timer import SCAN_STAGES, StageTimer
from clonewatch.pipeline.reporting.result_folder import ResultFolder
from clonewatch.pipeline.scan_result import ScanResult, read_summary, table_paths
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import FileEngine
from clonewatch.ports.progress import Progress, Silent
from clonewatch.state import store
from clonewatch.state.columns import Layout, widened
from clonewatch.state.files import check_bytes, part_path, read_whole
from clonewatch.state.manifest import DAY, File, Manifest, day_name, day_number

DAYS = (7, 14, 44)
# A day with less than this share of the busiest day's exchanges does not end a window: a fast clock made it.
_REAL_DAY = 0.01


@dataclass(frozen=True)
class WindowSettings:
    """Which days of which state are examined, and where results go: one folder per window, such as `DIR/7-days`.

    days: lengths of the windows. until: the last day, or None for the newest one. answers: a file of answers about
    groups. again: also examine windows whose result exists and would not change. max_repeated: share of rows,
    0..1, that are merged into others, above which a result is written but refused.
    """

    state: Path
    out: Path
    days: tuple[int, ...] = DAYS
    until: datetime | None = None
    seed: int = 0
    key_file: Path | None = None
    memory: str = MEMORY
    threads: int | None = None
    calibration: Path | None = None
    first_flag: bool = False
    answers: Path | None = None
    again: bool = False
    max_repeated: float = MAX_REPEATED

    def __post_init__(self) -> None:
        """Refuse values that an option cannot have."""
        option_values.check(seed=self.seed, memory=self.memory, threads=self.threads, max_repeated=self.max_repeated)


class Window(NamedTuple):
    """One window and its result. result: None where it existed already. days: how many hold exchanges."""

    length: int
    first: str
    last: str
    days: int
    out: Path
    result: ScanResult | None


def windows(settings: WindowSettings, progress: Progress | None = None) -> list[Window]:
    """Detect over the latest days of a state, one result folder per length of window.

    Windows that are longer than the state reaches back hold the same days and are examined once. Raises SetupError for
    a length below one day, StateError where the state is empty or damaged, OutputError when the disk is full, and
    TooManyRepeated after all windows are written.
    """
    if not settings.days or min(settings.days) < 1:
        raise SetupError("a window needs at least one day", fix="Pass --days 7, for example")
    key = load_key(settings.key_file)
    calibration = calibrations.read(settings.calibration) if settings.calibration else calibrations.shipped()
    given = answers.read(settings.answers) if settings.answers else []
    found: list[Window] = []
    seen: set[frozenset[str]] = set()
    for length in sorted(settings.days):
        with _snapshot(settings, key, length) as taken:
            parts = frozenset(part.exchanges.name for part in taken.manifest.parts)
            if parts in seen:
                continue
            seen.add(parts)
            out = settings.out / f"{length}-days"
            count = len({part.day for part in taken.manifest.parts})
            mark = _mark(taken.manifest, settings, calibration) | _mark_answers(given)
            same = not settings.again and _earlier_mark(out) == mark
            timer = StageTimer(progress or Silent(), expected=SCAN_STAGES + settings.first_flag)
            result = None if same else _detect(settings, taken, (calibration, given), mark, out, timer)
            found.append(Window(length, day_name(taken.first), day_name(taken.last), count, out, result))
    for one in found:
        refuse_repeats(_summary(one)["counts"], settings.max_repeated, str(one.out / "scan.json"))
    return found


def _summary(window: Window) -> dict[str, Any]:
    """The summary of a window, from its folder where it was not looked at again."""
    return read_summary(window.out) if window.result is None else window.result.summary


class _Taken(NamedTuple):
    """Hard links to the files of a window. manifest: with the parts of the window only. state: for messages."""

    manifest: Manifest
    state: Path
    place: Path
    first: int
    last: int

    def paths(self, files: list[File]) -> list[Path]:
        return [self.place / file.name for file in files]

    def check(self) -> None:
        """Raise StateError for a file that differs from what was written."""
        for file in self.manifest.files():
            check_bytes(self.place / file.name, file, part_path(self.state, file))

    def read(self, file: File) -> pa.Table:
        """Read a small file."""
        return read_whole(self.place / file.name, part_path(self.state, file))


@contextlib.contextmanager
def _snapshot(settings: WindowSettings, key: bytes, length: int) -> Iterator[_Taken]:
    """The window as it is now. Other processes may use the state while the window is examined."""
    with store.opened(settings.state, key) as state:
        manifest = state.manifest
        last = day_number(settings.until.date()) if settings.until else _newest(manifest)
        first = last - length + 1
        parts = tuple(part for part in manifest.parts if first <= part.day <= last)
        if not parts:
            raise StateError(
                f"no exchanges from {day_name(first)} to {day_name(last)}",
                where=str(settings.state),
                fix="Ingest a log first, or pass another day with --until",
            )
        chosen = msgspec.structs.replace(manifest, parts=parts)
        state.check(LAYOUTS, chosen)
        taken = state.snapshot(chosen.files())
    with contextlib.closing(taken):
        yield _Taken(chosen, settings.state, taken.place, first, last)


def _newest(manifest: Manifest) -> int:
    """The last day with enough exchanges beside the busiest one (`_REAL_DAY`); 0 where there is none."""
    days = manifest.days()
    most = max(days.values(), default=0)
    return max((day for day, n in days.items() if n >= _REAL_DAY * most), default=0)


def _mark(manifest: Manifest, settings: WindowSettings, calibration: Calibration) -> dict[str, Any]:
    """What a result depends on, as `scan.json` stores it."""
    return {
        "parts": sorted(file.sha256 for file in manifest.files()),
        "seed": settings.seed,
        "first_flag": settings.first_flag,
        "calibration": calibration.describe(),
        "version": __version__,
    }


def _mark_answers(given: Sequence[Answer]) -> dict[str, Any]:
    """What of the answers a result depends on; nothing where none were given."""
    return {"answers": answers.digest(given)} if given else {}


def _earlier_mark(out: Path) -> dict[str, Any] | None:
    """The mark of an earlier result; None where there is none, or it is not as it was written."""
    try:
        summary, _ = read_summary(out), table_paths(out)
    except InputError:
        return None
    mark: dict[str, Any] | None = summary["settings"].get("window_of")
    return mark


def _detect(
    settings: WindowSettings,
    taken: _Taken,
    compared: tuple[Calibration, Sequence[Answer]],
    mark: dict[str, Any],
    out: Path,
    timer: StageTimer,
) -> ScanResult:
    chosen = EngineSettings(memory=settings.memory, threads=settings.threads)
    with ResultFolder(out) as folder:
        with opened_for_state(chosen, folder.aside) as engine:
            runner = StepRunner(engine)
            timer.start("window", None, "rows")
            taken.check()
            ids = _stage(runner, engine, taken)
            intake = _intake(runner, taken, ids, settings, mark)
            timer.advance(0, intake.read)
            timer.end(f"{intake.read:,} exchanges of {len({p.day for p in taken.manifest.parts}):,} days")
            runner.put("families", _families(engine, taken))
            calibration, given = compared
            result = examine(
                runner,
                intake,
                calibration,
                timer,
                folder,
                seed=settings.seed,
                first_flag=settings.first_flag,
                answers=given,
            )
        publish(result, folder)
    return result


def _stage(runner: StepRunner, engine: FileEngine, taken: _Taken) -> list[str]:
    """Write tables `arrivals`, `accounts` and `events` of the window; returns the account ids by code."""
    manifest = taken.manifest
    parts = taken.paths([part.exchanges for part in manifest.parts])
    engine.attach("held", parts, EXCHANGES.schema)
    low = engine.fetch('SELECT MIN("row") AS low FROM held')["low"][0].as_py()
    # Numbered from 0, as a scan of these days would.
    columns = ", ".join(f'"row" - {int(low)} AS "row"' if n == "row" else f'"{n}"' for n in EXCHANGES.schema.names)
    # Copied once: every linking signal reads it, and would otherwise decompress the parts again.
    runner.wrote("arrivals", engine.store("arrivals", f"SELECT {columns} FROM held", {}))
    names = [taken.read(file)["account_id"] for file in manifest.names]
    ids = [name or "" for column in names for name in column.to_pylist()]
    runner.put("accounts", _facts(taken, len(ids)))
    end = (taken.last + 1) * DAY
    events = _read(taken, manifest.events, EVENTS)
    runner.put("events", events.filter(pc.less(events["ts"], pa.scalar(end, pa.int64()))))
    return ids


def _facts(taken: _Taken, count: int) -> pa.Table:
    """Account facts by code, one row per account of the book."""
    known = _read(taken, taken.manifest.facts, FACTS)
    place = np.full(count, -1, np.int64)
    place[known["account"].to_numpy()] = np.arange(known.num_rows)
    facts = known.take(pa.array(place, mask=place < 0))
    return facts.set_column(0, FACTS.schema.field("account"), pa.array(np.arange(count), pa.int32()))


def _read(taken: _Taken, file: File | None, layout: Layout) -> pa.Table:
    """A small table with the columns of this version."""
    return widened(taken.read(file), layout.schema) if file else layout.schema.empty_table()


def _families(engine: FileEngine, taken: _Taken) -> pa.Table:
    """Near-identical templates of the window, and the template that each is merged into."""
    if not taken.manifest.sketches:
        return families(np.zeros(0, np.int64), np.zeros((0, SKETCH_SIZE), np.uint32))
    engine.attach("sketched", taken.paths(list(taken.manifest.sketches)), SKETCHES.schema)
    found = engine.fetch(
        "SELECT s.template, s.sketch FROM sketched s JOIN (SELECT template, MIN(ts) AS first,"
        ' MIN("row") AS place FROM arrivals WHERE template IS NOT NULL GROUP BY template) a'
        " ON a.template = s.template ORDER BY a.first, a.place LIMIT $most",
        {"most": SKETCHED_TEMPLATES},
    )
    return families(found["template"].to_numpy(), sketch_matrix_of(found["sketch"]))


def _intake(
    runner: StepRunner, taken: _Taken, ids: list[str], settings: WindowSettings, mark: dict[str, Any]
) -> Intake:
    parts = taken.manifest.parts
    held = {f"exchanges.{n}": sum(part.filled.get(n, 0) for part in parts) for n in EXCHANGES.schema.names}
    for name in ("accounts", "events"):
        held |= filled(name, runner.engine.fetch(f"SELECT * FROM {name}"))
    active = runner.engine.fetch("SELECT COUNT(DISTINCT account) AS n FROM arrivals")["n"][0].as_py()
    until = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=taken.last + 1)
    return Intake(
        ids=ids,
        filled=held,
        first_ts=min(p.first_ts for p in parts),
        last_ts=max(p.last_ts for p in parts),
        read=sum(part.exchanges.rows for part in parts),
        rejected=0,
        accounts=active,
        inputs=[
            {
                "path": f"{settings.state} {day_name(part.day)}",
                "bytes": part.exchanges.size,
                "sha256": part.exchanges.sha256,
                "format": "state",
                "read": part.exchanges.rows,
                "rejected": 0,
            }
            for part in parts
        ],
        warnings=_warnings(taken),
        chosen={
            "state": str(settings.state),
            "since": day_name(taken.first),
            "as_of": until.date().isoformat(),
            "seed": settings.seed,
            "memory": settings.memory,
            "threads": settings.threads,
            "first_flag": settings.first_flag,
            "calibration": str(settings.calibration) if settings.calibration else None,
            "answers": str(settings.answers) if settings.answers else None,
            "window_of": mark,
        },
    )


def _warnings(taken: _Taken) -> list[str]:
    warnings = []
    lacking = sorted({name for part in taken.manifest.parts for name in part.lacking})
    if lacking:
        warnings.append(f"Some days no longer hold {', '.join(lacking)}: the retention time of these columns is over.")
    known = {part.day for part in taken.manifest.parts}
    absent = taken.last - min(known) + 1 - len(known)
    if absent:
        warnings.append(f"{absent} days since {day_name(min(known))} hold no exchanges.")
    return warnings
