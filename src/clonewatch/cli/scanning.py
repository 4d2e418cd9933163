"""The command that looks for campaigns in a log."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.drawing import watching
from clonewatch.pipeline.engine import MEMORY

if TYPE_CHECKING:
    import pyarrow as pa

EXIT_FLAGGED = 3
_INSTANTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


class FailOn(StrEnum):
    """What makes a scan that worked leave with exit code 3."""

    flagged = "flagged"


def scan(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Log files, folders of them, globs, or - for standard input.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the tables and report.html.")],
    mapping: Annotated[
        str | None,
        typer.Option("--map", metavar="FILE", help="TOML field map for a log of no known format, or a preset's name."),
    ] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(
            "--accounts", metavar="FILE", help="What you know of accounts: payment, device, sign-up, trusted."
        ),
    ] = None,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="Bans, model releases and outages, with times.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Log format; told from the file when auto.")
    ] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything drawn; equal seeds give equal tables.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Write the result to standard output as JSON.")] = False,
    fail_on: Annotated[
        FailOn | None, typer.Option("--fail-on", help="Leave with exit code 3 when a campaign was flagged.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Secret for the hashes; the same key makes hashes comparable."),
    ] = None,
    keep_text: Annotated[
        bool, typer.Option("--keep-text", help="Keep the text of exchanges attributed to flagged campaigns.")
    ] = False,
    memory: Annotated[str, typer.Option("--memory", help="Memory the engine may use before it goes to disk.")] = MEMORY,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of the engine; all when left out.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", formats=_INSTANTS, help="Leave out what came before, UTC.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of", formats=_INSTANTS, help="Leave out what came from then on, as a scan on that day, UTC."
        ),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Look back for the hour at which each campaign first crossed the line.")
    ] = False,
    embed: Annotated[
        bool, typer.Option("--embed", help="Join prompt templates that mean the same; an extra, and slow.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE", help="Your own honest groups, from `clonewatch calibrate`."),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="Where it is computed: duckdb, here, or spark, an extra.")
    ] = "duckdb",
    master: Annotated[
        str | None,
        typer.Option("--master", metavar="URL", help="Spark master, if not the one that Spark is set up for."),
    ] = None,
    max_rejected: Annotated[
        float,
        typer.Option("--max-rejected", min=0.0, max=1.0, help="Share of rejected rows above which exit code is 4."),
    ] = 0.01,
) -> None:
    """Look for campaigns in a log: read it, link accounts, test the groups, write tables and report.html.

    A flag says that declared-unrelated accounts act as one operator. It never says who that is. Raw text is read for
    fingerprints and is not kept.

    For example:

      clonewatch scan exchanges.parquet --out result

      clonewatch scan 'logs/*.ndjson.gz' --accounts accounts.csv --events events.csv --out result

      clonewatch scan gateway.jsonl --map map.toml --out result --json --quiet --fail-on flagged

      clonewatch scan exchanges.parquet --out then --as-of 2026-05-01

      clonewatch scan s3a://lake/exchanges --engine spark --accounts accounts.csv --out result
    """
    from clonewatch.pipeline.scan import ScanSettings
    from clonewatch.pipeline.scan import scan as run

    settings = ScanSettings(
        paths=tuple(paths), out=out, mapping=mapping, accounts=accounts, events=events, format=format, seed=seed,
        key_file=key, keep_text=keep_text, memory=memory, threads=threads, max_rejected=max_rejected,
        since=_utc(since), as_of=_utc(as_of), replay=replay, embed=embed, calibration=calibration,
        engine=engine, master=master,
    )  # fmt: skip
    with watching(quiet) as progress:
        result = run(settings, progress)
    told = tell(result.tables["campaigns"], result.tables["members"], result.summary, out, json)
    if fail_on is FailOn.flagged and told:
        raise typer.Exit(EXIT_FLAGGED)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def tell(campaigns: pa.Table, members: pa.Table, summary: dict[str, Any], out: Path, json: bool) -> int:
    """Write what a scan found; returns how many campaigns are flagged."""
    from clonewatch.report.render import headline

    answer = headline({"campaigns": campaigns, "members": members})
    rows = campaigns.to_pylist()
    flagged = sum(bool(row["flagged"]) for row in rows)
    if json:
        output.as_json({"answer": answer.sentence, "campaigns": [row_of(row) for row in rows], "scan": summary})
        return flagged
    output.say(answer.sentence, answer.bound)
    if rows:
        list_campaigns(rows)
    counts = summary.get("counts") or {}
    output.say(f"{counts.get('kept', 0):,} exchanges of {counts.get('accounts', 0):,} accounts were examined.")
    if counts.get("rejected"):
        output.say(f"{counts['rejected']:,} rows were rejected: see {out / 'rejected.ndjson'}")
    for warning in summary.get("warnings") or []:
        output.say(f"Warning: {warning}")
    output.say(f"Report: {out / 'report.html'}")
    return flagged


def list_campaigns(rows: list[dict[str, Any]]) -> None:
    """Campaigns as a table that fits 80 columns, in the order given."""
    from clonewatch.report.numerals import count, number

    def short(value: float | None) -> str:
        return "-" if value is None else number(value)

    output.table(
        "",
        ("Group", "Flagged", "Level", "Score", "Margin", "p", "n", "Accounts", "Attributed"),
        (
            (
                row["campaign_id"], "yes" if row["flagged"] else "no", row["level"], short(row["score"]),
                short(row["margin"]), short(row["p_value"]), short(row["p_n"]),
                count(row["accounts"]), count(row["harvested_exchanges"]),
            )
            for row in rows
        ),
        right=(3, 4, 5, 6, 7, 8),
    )  # fmt: skip


def row_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the campaigns table for JSON: tasks as an object."""
    return {**row, "tasks": dict(row["tasks"] or ())}
