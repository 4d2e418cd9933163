"""Day by day: `ingest` a log into a state, `detect` over its days, and maintain it with `state`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.campaign_list import outcomes, tell
from clonewatch.cli.options import (
    EXIT_FLAGGED,
    AnswerOptions,
    Json,
    Key,
    LogOptions,
    MachineOptions,
    MaxRejected,
    MaxRepeated,
    Memory,
    Quiet,
    TestOptions,
    day,
    grouped,
)
from clonewatch.cli.progress import watching
from clonewatch.model.defaults import MAX_REPEATED, MEMORY

EXIT_DAMAGED = 3

State = Annotated[Path, typer.Option("--state", metavar="DIR", help="Folder of the state.")]
app = typer.Typer(
    no_args_is_help=True,
    help="Maintain a state: check its integrity, drop old data, forget accounts."
    "\n\nFor example: clonewatch state verify state",
)


@grouped
def ingest(
    log: LogOptions,
    state: State,
    machine: MachineOptions,
    key: Key = None,
    max_rejected: MaxRejected = 0.01,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take a day's log into a state: read it once, keep fingerprints and hashes, never text.

    Run it as often as you like. Files and exchanges that are there already change nothing, late ones find their day,
    and a run that is killed leaves the state as it was. Then `clonewatch detect`.

    For example:

      clonewatch ingest logs/2026-06-01 --state state --accounts accounts.csv

      clonewatch ingest 'gateway-*.jsonl.gz' --map map.toml --state state --json --quiet
    """
    from clonewatch.pipeline.daily.ingest import IngestSettings
    from clonewatch.pipeline.daily.ingest import ingest as run

    settings = IngestSettings(**log.settings(), **vars(machine), state=state, key_file=key, max_rejected=max_rejected)
    with watching(quiet) as progress:
        done = run(settings, progress)
    if json:
        output.as_json({**asdict(done), "state": str(done.state), "kept": done.kept})
        return
    for name in done.skipped:
        output.say(f"Read before, byte for byte, and left out: {name}")
    span = f", {min(done.days)} to {max(done.days)}" if done.days else ""
    output.say(f"{done.kept:,} exchanges of {len(done.days):,} days were taken in{span}.")
    if values := sum(one["values"] for one in done.dropped):
        output.say(f"{values:,} optional values did not fit their columns and were left out:")
        for one in done.dropped:
            output.say(f"  {one['values']:,} of {one['column']}: {one['reason']}")
    if done.repeated:
        output.say(f"{done.repeated:,} were there already.")
    if done.rejected:
        output.say(f"{done.rejected:,} rows were rejected: see {done.state / 'rejected'}")
    output.say(f"{done.accounts:,} accounts are known, {done.new_accounts:,} of them new.")
    for warning in done.warnings:
        output.say(f"Warning: {warning}")


@dataclass(frozen=True)
class WindowOptions:
    """Which days are examined."""

    days: Annotated[
        list[int] | None,
        typer.Option(
            "--days", metavar="N", min=1, help="Length of a window in days; may be repeated. Default: 7, 14 and 44."
        ),
    ] = None
    until: Annotated[
        datetime | None,
        typer.Option("--until", parser=day, metavar="DATE", help="Last day, UTC; default: the newest."),
    ] = None
    again: Annotated[bool, typer.Option("--again", help="Also examine windows whose result would be the same.")] = False
    max_repeated: MaxRepeated = MAX_REPEATED


@grouped
def detect(
    state: State,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the results, one subfolder per window.")
    ],
    window: WindowOptions,
    tests: TestOptions,
    machine: MachineOptions,
    answer: AnswerOptions,
    key: Key = None,
) -> None:
    """Find campaigns in the days that a state holds, without reading a log again.

    Each window is what `clonewatch scan` would tell of the same days. A window in which nothing changed since its
    result was written is not looked at again.

    For example:

      clonewatch detect --state state --out results

      clonewatch detect --state state --out results --days 7 --until 2026-06-07 --fail-on flagged
    """
    from clonewatch.pipeline.daily.detect_window import DAYS, WindowSettings, windows

    settings = WindowSettings(
        **vars(tests),
        **vars(machine),
        state=state,
        out=out,
        days=tuple(window.days) if window.days else DAYS,
        until=window.until,
        key_file=key,
        again=window.again,
        max_repeated=window.max_repeated,
    )
    with watching(answer.quiet) as progress:
        found = windows(settings, progress)
    seen = sum((_tell_window(one, answer.json) for one in found), Counter[str]())
    if answer.json:
        output.as_json({"windows": [_window_row(one) for one in found]})
    if answer.fails(seen):
        raise typer.Exit(EXIT_FLAGGED)


def _tell_window(window: Any, json: bool) -> Counter[str]:
    """Say what one window showed; returns how many groups of it have each outcome."""
    campaigns, members, summary = _result(window)
    if json:
        return outcomes(campaigns.to_pylist())
    output.say(f"{window.first} to {window.last}, {window.days} days with exchanges:")
    if window.result is None:
        output.say("Nothing changed since this result was written.")
    return tell(campaigns, members, summary, window.out, json=False)


def _window_row(window: Any) -> dict[str, Any]:
    from clonewatch.report.chapters import ranked
    from clonewatch.report.standing import outcome

    campaigns, _, summary = _result(window)
    return {
        "days": window.length,
        "first": window.first,
        "last": window.last,
        "days_with_exchanges": window.days,
        "out": str(window.out),
        "changed": window.result is not None,
        "flagged": [row for row in campaigns.to_pylist() if row["flagged"]],
        "review": [row for row in ranked({"campaigns": campaigns}) if outcome(row) == "review"],
        "counts": summary["counts"],
    }


def _result(window: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Campaigns, members and summary of a window, from its folder where it was not looked at again."""
    from clonewatch.pipeline.scan_result import load

    result = load(window.out) if window.result is None else window.result
    return result.tables["campaigns"], result.tables["members"], result.summary


Place = Annotated[Path, typer.Argument(metavar="STATE", help="Folder of the state.")]


@app.command("show")
def show(place: Place, key: Key = None, json: Json = False) -> None:
    """List the days of a state.

    For example: clonewatch state show state
    """
    from clonewatch.pipeline.daily.maintenance import look

    seen = look(place, key)
    if json:
        output.as_json(seen)
        return
    output.table(
        "",
        ("Day", "Exchanges", "Parts", "No longer kept"),
        ((d["day"], f"{d['exchanges']:,}", str(d["parts"]), ", ".join(d["lacking"]) or "-") for d in seen["days"]),
        right=(1, 2),
    )
    output.say(
        f"{seen['exchanges']:,} exchanges of {seen['accounts']:,} accounts, {seen['bytes'] / 1e6:,.1f} MB,"
        f" {seen['generation']} changes, {seen['forgotten']} accounts forgotten."
    )


@app.command("verify")
def verify(
    place: Place,
    repair: Annotated[
        bool, typer.Option("--repair", "--mend", help="Drop damaged files, and list the logs to ingest again.")
    ] = False,
    key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every byte of a state and compare it with what was written. Exit code 3 where it is damaged.

    For example: clonewatch state verify state
    """
    from clonewatch.pipeline.daily import maintenance

    with watching(quiet) as progress:
        found = maintenance.verify(place, key, fix=repair, progress=progress)
    if json:
        output.as_json(found._asdict())
    else:
        for problem in found.problems:
            output.say(f"Damaged: {problem}")
        if found.fixed:
            if found.restored:
                output.say("The state is as it was before its latest change.")
            if found.dropped:
                output.say(f"{found.dropped:,} damaged files were dropped. The other files are unchanged.")
            for path in found.ingest_again:
                output.say(f"Ingest again: {path}")
        elif not found.problems:
            output.say(f"Intact: {found.files:,} files, {found.exchanges:,} exchanges of {found.days:,} days.")
    if found.problems and not found.fixed:
        raise typer.Exit(EXIT_DAMAGED)


@app.command("compact")
def compact(
    place: Place,
    keep: Annotated[int | None, typer.Option("--keep", metavar="DAYS", help="Drop exchanges of older days.")] = None,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=DAYS", help="Erase a column of older days, such as client_ip=14."),
    ] = None,
    key: Key = None,
    memory: Memory = MEMORY,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Merge the parts of each day, and drop what is past its retention. Ages count from the newest day.

    For example: clonewatch state compact state --keep 60 --field client_ip=14 --field session_id=30
    """
    from clonewatch.pipeline.daily import maintenance

    fields = dict(_limit(given) for given in field or ())
    with watching(quiet) as progress:
        done = maintenance.compact(place, key, keep=keep, fields=fields, memory=memory, progress=progress)
    if json:
        output.as_json(done._asdict())
        return
    output.say(
        f"{done.files_before:,} files, {done.bytes_before / 1e6:,.1f} MB before;"
        f" {done.files:,} files, {done.bytes / 1e6:,.1f} MB now."
    )
    if done.dropped_days:
        gone = done.exchanges_before - done.exchanges
        output.say(f"Dropped {len(done.dropped_days)} days to {done.dropped_days[-1]}: {gone:,} exchanges.")
    for name, number in done.emptied.items():
        output.say(f"{name}: erased on {number} days.")


def _limit(given: str) -> tuple[str, int]:
    name, _, days = given.partition("=")
    if not name or not days.isdigit():
        raise typer.BadParameter(f"{given!r} is not NAME=DAYS, such as client_ip=14")
    return name, int(days)


@app.command("forget")
def forget(
    place: Place,
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT...", help="Account ids, as in the log.")],
    key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove accounts and everything the state holds about them; later logs do not bring them back.

    Results that were written before are not touched: delete or detect them again.

    For example: clonewatch state forget state acct-1234
    """
    from clonewatch.pipeline.daily import maintenance

    with watching(quiet) as progress:
        done = maintenance.forget(place, accounts, key, progress=progress)
    if json:
        output.as_json(done._asdict())
        return
    output.say(f"{done.exchanges:,} exchanges of {done.accounts:,} accounts were removed.")
    if done.unknown:
        output.say(f"Unknown here, and kept out from now on: {', '.join(done.unknown)}")
