"""The commands on containments of accounts and on appeals: look at them, run the clock, and count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import appeal_changes, output
from clonewatch.cli.case_options import ChangeOptions, StoreOptions, today
from clonewatch.cli.options import Json, grouped

if TYPE_CHECKING:
    from clonewatch.cases.measures import Appeal, Containment

EXIT_LATE = 3
_WINDOW_DAYS = 30

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def appeals() -> None:
    """Contain accounts of a case, tell their holders why, and answer their appeals. Every step is in the signed log.

    A containment takes two persons and has a last day. The holders of its accounts get a notice with a link to appeal.
    What nobody answers in time lapses; what was overturned is taken back, and cannot be done again on the same
    evidence.
    docs/using/appeals.md walks through it.

    For example:

      clonewatch appeals ask K0001 --measure suspend --ground "Section 4: one person, one account" --because "K0001"

      clonewatch appeals begin B0001 --out notices.jsonl --as bob

      clonewatch appeals answer A0001 --overturn --because "the school's letter is real" --as eva

      clonewatch appeals lapse
    """


@app.command("list", short_help="List containments and appeals.")
@grouped
def list_(
    at: StoreOptions,
    all_: Annotated[bool, typer.Option("--all", help="Also containments that are over, and answered appeals.")] = False,
    json: Json = False,
) -> None:
    """List containments that stand or wait for a second person, and appeals, the earliest deadline first.

    For example:

      clonewatch appeals list --all
    """
    opened = at.open()
    from clonewatch.cases.appeals import appeals as found_by
    from clonewatch.cases.containments import became, containments
    from clonewatch.cases.measures import LIVE, PLANNED, STANDING

    with opened.reading() as store:
        measures = [one for one in containments(store) if all_ or one.state in (PLANNED, STANDING)]
        found = found_by(store, states=None if all_ else LIVE)
        states = {one.containment: became(store, one) for one in measures}
    if json:
        told = [_plain(one) | {"state": states[one.containment]} for one in measures]
        output.as_json({"containments": told, "appeals": [_plain(one) for one in found]})
        return
    rows = [
        (
            m.containment,
            m.case,
            states[m.containment],
            m.measure,
            m.begins[:10],
            m.until,
            m.size,
            m.asked_by,
            m.begun_by,
        )
        for m in measures
    ]
    heads = ("Containment", "Case", "State", "Measure", "From", "To", "Accounts", "Asked by", "Approved by")
    output.table(f"{len(rows):,} containment{'' if len(rows) == 1 else 's'}", heads, rows, right=(6,))
    told_rows = [(a.appeal, a.containment, a.state, a.at[:10], a.deadline, a.answered_by, a.version) for a in found]
    titles = ("Appeal", "Against", "State", "Received", "Answer by, UTC", "Answered by", "Version")
    output.table(f"{len(found):,} appeal{'' if len(found) == 1 else 's'}", titles, told_rows, right=(6,))


@app.command("show", short_help="Show an appeal with all messages.")
@grouped
def show(name: appeal_changes.AppealName, at: StoreOptions, json: Json = False) -> None:
    """Show an appeal: against what, by which account, what both sides wrote, and what came with it.

    For example:

      clonewatch appeals show A0001
    """
    opened = at.open()
    from clonewatch.cases.appeals import appeal, messages
    from clonewatch.cases.containments import numbered

    with opened.reading() as store:
        held = appeal(store, name)
        against, said = numbered(store, held.containment, held.holder), messages(store, held)
    if json:
        told = [one._asdict() | {"files": [file._asdict() for file in one.files]} for one in said]
        output.as_json({"appeal": _plain(held), "account": against.account, "messages": told})
        return
    output.say(
        f"{held.appeal}: {held.state}, version {held.version}, against {held.containment}"
        f" ({against.containment.measure}, {against.containment.case}) by the holder of {against.account}.",
        f"To be answered by {held.deadline}."
        if not held.outcome
        else f"Answered by {held.answered_by}: {held.outcome}.",
    )
    rows = [(m.at, m.speaker, m.by, m.what, m.text, len(m.files)) for m in said]
    output.table("Messages", ("When, UTC", "Side", "Who", "What", "Text", "Files"), rows, right=(5,))


@app.command("in-force", short_help="List accounts under a measure now.")
@grouped
def in_force(at: StoreOptions, json: Json = False) -> None:
    """List the accounts under a measure at this moment: for whatever carries it out, read anew and in full.

    What is over or lapsed is left out, whether or not somebody ran `clonewatch appeals lapse` since.

    For example:

      clonewatch appeals in-force --json
    """
    opened = at.open()
    from clonewatch.cases.appeal_clock import in_force as found_by

    with opened.reading() as store:
        found = found_by(store, _now())
    rows = [(one.account, one.measure, one.containment.until, one.containment.containment) for one in found]
    if json:
        keys = ("account", "measure", "until", "by")
        output.as_json({"in_force": [dict(zip(keys, row, strict=True)) for row in rows]})
        return
    output.say(f"{len(rows):,} account{'' if len(rows) == 1 else 's'} under a measure.")
    output.table("", ("Account", "Measure", "Until", "By"), rows)


@app.command("lapse", short_help="End what is over, and what nobody answered.")
@grouped
def lapse(change: ChangeOptions, json: Json = False) -> None:
    """End containments whose last day is over, whose appeal nobody answered in time, or that hold innocents.

    An account that was ruled innocent after its containment began is lifted out of it.

    Run it every night. Run twice, the second time changes nothing.

    For example:

      clonewatch appeals lapse
    """
    opened = change.open()
    from clonewatch.cases.appeal_clock import run

    with opened.writing() as store:
        done = run(store, change.who())
    if json:
        output.as_json({"ended": [one._asdict() for one in done]})
        return
    output.say(f"{len(done):,} ended.")
    rows = [(one.containment, one.what, one.accounts, one.appeal) for one in done]
    output.table("", ("Containment", "What", "Accounts", "Appeal"), rows, right=(2,))


@app.command("carry-out", short_help="Write what other systems have to do to a file.")
@grouped
def carry_out(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that lines are appended to; made if new.")],
    change: ChangeOptions,
    json: Json = False,
) -> None:
    """Append every measure that was applied or taken back since the last run to a file, for systems that follow it.

    A line is one account: apply or take_back, the measure, its last day, and a version. Whoever reads it passes over a
    line with an older version than the last one of that containment and account: after a crash a line may come twice.
    The exit code is 3 where something could not be written; the next run writes it.

    For example:

      clonewatch appeals carry-out consequences.jsonl
    """
    opened = change.open()
    from clonewatch.cases.consequence_file import ConsequenceFile
    from clonewatch.cases.consequences import carry_out as carry_out_

    (done,) = carry_out_(opened, [ConsequenceFile(file)], change.who())
    if json:
        output.as_json(done._asdict())
    else:
        output.say(f"{done.applied:,} applied, {done.taken_back:,} taken back, {done.failed:,} not written.")
    if done.failed:
        raise typer.Exit(EXIT_LATE)


@app.command("figures", short_help="Overturn rate, time to answer, what is late.")
@grouped
def figures(
    at: StoreOptions,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="First day; default: 30 days before the last.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Last day; default: today.")] = None,
    fail_on_late: Annotated[
        bool,
        typer.Option("--fail-on-late", help="Exit with code 3 if an appeal is late, or one is re-acted on."),
    ] = False,
    json: Json = False,
) -> None:
    """Count containments and appeals over a window of days, each figure with what it counts.

    For example:

      clonewatch appeals figures --since 2026-10-01 --until 2026-12-31
    """
    opened = at.open()
    from clonewatch.cases.appeal_figures import DEFINED
    from clonewatch.cases.appeal_figures import figures as found_by
    from clonewatch.cases.changes import day

    last = day(until) if until else today()
    first = day(since) if since else f"{datetime.fromisoformat(last) - timedelta(days=_WINDOW_DAYS):%Y-%m-%d}"
    with opened.reading() as store:
        found = found_by(store, first, last, _now())
    told = found._asdict()
    if json:
        output.as_json(told | {"defined": DEFINED})
    else:
        rows = [(name.replace("_", " "), _figure(told[name]), words) for name, words in DEFINED.items()]
        output.table(f"{first} to {last}", ("Figure", "", "What it counts"), rows, right=(1,))
    if fail_on_late and (found.open_past_deadline or found.re_actions):
        raise typer.Exit(EXIT_LATE)


app.command("ask", short_help="Ask a second person for a measure.")(appeal_changes.ask)
app.command("begin", short_help="Approve a measure, begin it, write notices.")(appeal_changes.begin)
app.command("decline", short_help="Decline or withdraw a measure.")(appeal_changes.decline)
app.command("end", short_help="End a measure early.")(appeal_changes.end)
app.command("link", short_help="Write one notice again, with a new link.")(appeal_changes.link)
app.command("receive", short_help="Record an appeal or a reply.")(appeal_changes.receive)
app.command("answer", short_help="Answer an appeal.")(appeal_changes.answer)
app.command("files", short_help="Write what came with an appeal to a folder.")(appeal_changes.files)


def _figure(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _plain(record: Containment | Appeal) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
