"""From staged tables to a result: detection, attribution, result tables. A scan and a state both end here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from clonewatch.campaigns.calibration import Calibration
from clonewatch.model.answers import Answer
from clonewatch.pipeline.detection.attribute import attribute
from clonewatch.pipeline.detection.detect import detect
from clonewatch.pipeline.detection.first_flag import first_flags
from clonewatch.pipeline.detection.ranking import rank
from clonewatch.pipeline.detection.signals import signals
from clonewatch.pipeline.detection.stages import Calibrated
from clonewatch.pipeline.detection.visibility import date
from clonewatch.pipeline.detection.withholding import withhold
from clonewatch.pipeline.intake.deduplicate import settle
from clonewatch.pipeline.intake.staged import Intake
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.reporting import tables as results
from clonewatch.pipeline.reporting.result_folder import ResultFolder
from clonewatch.pipeline.reporting.summary import summarise
from clonewatch.pipeline.scan_result import ScanResult
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.progress import Progress
from clonewatch.report.render import render

# From the staged tables, a seed and a calibration to verdicts, telling a progress display.
Detector = Callable[[StepRunner, int, Calibration, Progress], Calibrated]


def examine(
    runner: StepRunner,
    intake: Intake,
    calibration: Calibration,
    timer: StageTimer,
    folder: ResultFolder | None,
    *,
    seed: int,
    first_flag: bool,
    answers: Sequence[Answer] = (),
    detector: Detector = detect,
) -> ScanResult:
    """Find campaigns in the staged tables and build the result; `publish` moves it into place.

    folder: receives the attribution table batch by batch; None keeps it in memory. answers: what was found out about
    groups before. detector: an evaluation passes one that watches, or that is given the truth.
    """
    repeats = settle(runner, intake.read)
    intake, answers = in_force(intake, answers)
    found = withhold(runner, detector(runner, seed, calibration, timer), intake.ids, answers)
    attributed = attribute(runner, found, timer)
    dated = date(runner, attributed, first_flags(runner, found, seed, calibration, timer) if first_flag else {})
    ranked = rank(dated, intake.ids, answers)
    tables = results.build(runner, ranked, intake.ids)
    attribution = results.attribution_of(runner, ranked, intake.ids)
    if folder:
        folder.stream("attribution", results.ATTRIBUTED, attribution)
        folder.list_inputs(intake.inputs)
    else:
        tables["attribution"] = pa.Table.from_batches(attribution, results.ATTRIBUTED)
    return ScanResult(
        folder.place if folder else None, tables, summarise(runner, intake, repeats, ranked, calibration, timer)
    )


def in_force(intake: Intake, answers: Sequence[Answer]) -> tuple[Intake, list[Answer]]:
    """The answers that hold when the log ends, whatever the day is today; a warning says how many do not."""
    last = datetime.fromtimestamp(intake.last_ts / 1_000_000, UTC).date().isoformat()
    held = [answer for answer in answers if answer.holds(last)]
    if over := len(answers) - len(held):
        what = "ruling" if over == 1 else "rulings"
        said = f"{over:,} {what} ended before {last}, the last day of the log, and did not count"
        intake = intake._replace(warnings=[*intake.warnings, said])
    return intake, held


def publish(result: ScanResult, folder: ResultFolder) -> None:
    """Write the tables, the summary and the report, and move them into place."""
    folder.publish(result.tables, result.summary, render(result.tables, result.summary, signals()))
