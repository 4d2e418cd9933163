"""The command that finds campaigns in a log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from clonewatch.cli.campaign_list import tell
from clonewatch.cli.options import (
    EXIT_FLAGGED,
    AnswerOptions,
    Key,
    LogOptions,
    MachineOptions,
    MaxRejected,
    MaxRepeated,
    TestOptions,
    grouped,
    moment,
)
from clonewatch.cli.progress import watching
from clonewatch.model.defaults import MAX_REPEATED


@dataclass(frozen=True)
class TimeOptions:
    """Which part of the log is seen."""

    since: Annotated[
        datetime | None,
        typer.Option("--since", parser=moment, metavar="TIME", help="Ignore exchanges before this time, UTC."),
    ] = None
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            parser=moment,
            metavar="TIME",
            help="Ignore exchanges and events from this time on, as a scan at that time would, UTC.",
        ),
    ] = None


@dataclass(frozen=True)
class ReadingOptions:
    """What happens to the text, and when too many rows are bad."""

    key: Key = None
    keep_text: Annotated[
        bool, typer.Option("--keep-text", help="Keep the text of exchanges attributed to flagged campaigns.")
    ] = False
    embed: Annotated[
        bool, typer.Option("--embed", help="Merge prompt templates that mean the same; an extra, and slow.")
    ] = False
    max_rejected: MaxRejected = 0.01
    max_repeated: MaxRepeated = MAX_REPEATED


@dataclass(frozen=True)
class EngineOptions:
    """Where it is computed."""

    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="Engine: duckdb on this machine, or spark, an extra.")
    ] = "duckdb"
    master: Annotated[
        str | None,
        typer.Option("--master", metavar="URL", help="Spark master, if not the one that Spark is set up for."),
    ] = None


@grouped
def scan(
    log: LogOptions,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the tables and report.html.")],
    answer: AnswerOptions,
    time: TimeOptions,
    reading: ReadingOptions,
    tests: TestOptions,
    machine: MachineOptions,
    where: EngineOptions,
) -> None:
    """Find campaigns in a log: read it, link accounts, test the groups, write tables and report.html.

    A flag says that accounts with no declared common owner act as one operator. It never says who that is. Raw text is
    read for fingerprints and is not kept.

    For example:

      clonewatch scan exchanges.parquet --out result

      clonewatch scan 'logs/*.ndjson.gz' --accounts accounts.csv --events events.csv --out result

      clonewatch scan gateway.jsonl --map map.toml --out result --json --quiet --fail-on flagged

      clonewatch scan logs/ --out result --answers answers.jsonl --fail-on review

      clonewatch scan exchanges.parquet --out then --as-of 2026-05-01

      clonewatch scan s3a://lake/exchanges --engine spark --accounts accounts.csv --out result
    """
    from clonewatch.pipeline.scan import ScanSettings
    from clonewatch.pipeline.scan import scan as run

    settings = ScanSettings(
        **log.settings(),
        **vars(tests),
        **vars(machine),
        **vars(where),
        out=out,
        since=time.since,
        as_of=time.as_of,
        key_file=reading.key,
        keep_text=reading.keep_text,
        embed=reading.embed,
        max_rejected=reading.max_rejected,
        max_repeated=reading.max_repeated,
    )
    with watching(answer.quiet) as progress:
        result = run(settings, progress)
    found = tell(result.tables["campaigns"], result.tables["members"], result.summary, out, answer.json)
    if answer.fails(found):
        raise typer.Exit(EXIT_FLAGGED)
