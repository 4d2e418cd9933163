"""The commands on cases: bring in the groups of a scan, look at cases, and give rulings to the next scan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cases.sentences import said
from clonewatch.cli import case_changes, case_outbox, output
from clonewatch.cli.case_options import CaseName, ChangeOptions, StoreOptions, today
from clonewatch.cli.case_words import row, tell
from clonewatch.cli.options import Json, ScanFolder, grouped

if TYPE_CHECKING:
    from clonewatch.cases.records import Case
    from clonewatch.cases.store import Reading

EXIT_DUE = 3
_ACCOUNTS_SHOWN = 10
_SOON_DAYS = 7

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def cases() -> None:
    """Follow groups as cases: rule, note, assign, merge, split, undo. Every change is in a signed log.

    A case is a group over all scans that saw it. What you rule goes to the next scan with --answers, and what was ruled
    innocent is not flagged again on the same evidence. docs/using/cases.md walks through it.

    For example:

      clonewatch cases import result

      clonewatch cases list

      clonewatch cases rule K0001 --innocent one_customer --note "contract 4711"

      clonewatch cases export-rulings --out rulings.jsonl

      clonewatch scan logs/ --out result --answers rulings.jsonl
    """


@app.command("import", short_help="Bring in the groups of a scan.")
@grouped
def import_(result: ScanFolder, change: ChangeOptions, json: Json = False) -> None:
    """Bring in the groups of a scan: each continues the case with most accounts in common, or opens one.

    Groups that are flagged or for review open cases; a listed one is recorded where it has a case already. A ruled case
    is opened again if a scan finds more than was ruled on. The same scan twice changes nothing. The first import makes
    the store and the key of its log.

    For example:

      clonewatch cases import result
    """
    opened = change.open(create=True)
    from clonewatch.cases.arrivals import arrive, groups
    from clonewatch.pipeline.scan_result import read_summary, table_paths

    found, who = groups(table_paths(result), read_summary(result)), change.who()
    with opened.writing() as store:
        arrived = arrive(store, found, who.by, who.at)
    if json:
        output.as_json(arrived._asdict())
        return
    output.say(
        f"{_cases(len(arrived.opened))} opened, {len(arrived.again):,} seen again, {len(arrived.reopened):,} of them"
        f" opened again. In {opened.where.shown}."
    )
    if arrived.known:
        output.say(f"{arrived.known:,} of its groups had been imported before.")
    for name, because in arrived.reopened.items():
        output.say(f"{name} is open again: {'; '.join(because)}.")
    if arrived.opened:
        output.say(f"Look at the first: clonewatch cases show {arrived.opened[0]}")


@app.command("list", short_help="List cases.")
@grouped
def list_(
    at: StoreOptions,
    all_: Annotated[bool, typer.Option("--all", help="Also cases that are ruled, merged or void.")] = False,
    assignee: Annotated[str | None, typer.Option("--assignee", metavar="NAME", help="Only those of a person.")] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Only those that hold an account, open or ruled.")
    ] = None,
    json: Json = False,
) -> None:
    """List open cases, the ones with the best evidence first.

    For example:

      clonewatch cases list

      clonewatch cases list --all --account acct-1042 --json
    """
    from clonewatch.cases.records import OPEN

    with at.open().reading() as store:
        held = store.cases() if account is None else store.sharing([account])
        every = len(store.cases())
    found = [
        case
        for case in held
        if (all_ or account is not None or case.status == OPEN) and (assignee is None or case.assignee == assignee)
    ]
    found.sort(key=lambda case: (-(case.seen.odds_bits or -99.0), case.case))
    if json:
        output.as_json({"cases": [_plain(case) for case in found], "all": every})
        return
    output.say(f"{_cases(len(found))} of {every:,}.")
    heads = (
        "Case",
        "Status",
        "Ruling",
        "Accounts",
        "Exchanges",
        "Odds, bits",
        "Last seen",
        "Assignee",
        "Due",
        "Version",
    )
    output.table("", heads, [row(case) for case in found], right=(3, 4, 5, 9))


@app.command("show", short_help="Show one case with its history.")
@grouped
def show(
    case: CaseName,
    at: StoreOptions,
    accounts: Annotated[bool, typer.Option("--accounts", help="List all of its accounts.")] = False,
    json: Json = False,
) -> None:
    """Show a case: what it is, what was ruled and why, and everything that was done to it, by whom.

    For example:

      clonewatch cases show K0001
    """
    with at.open().reading() as store:
        found = store.case(case)
        told = _told(store, found)
    if json:
        output.as_json(told)
        return
    tell(found)
    held = told["accounts"] if accounts else told["accounts"][:_ACCOUNTS_SHOWN]
    output.say(f"Accounts ({len(held):,} of {found.size:,}): {', '.join(held)}")
    rows = [(e["entry"], e["at"], e["by"], e["said"], e["note"] or "") for e in told["history"]]
    output.table("History", ("Entry", "When, UTC", "Who, as claimed", "What", "Note"), rows, right=(0,))


@app.command("due", short_help="List deadlines, rulings that end, and appeals.")
@grouped
def due(
    at: StoreOptions,
    by: Annotated[
        str | None, typer.Option("--by", metavar="DATE", help="Up to this day; default: in seven days.")
    ] = None,
    fail_on_overdue: Annotated[
        bool, typer.Option("--fail-on-overdue", help="Exit with code 3 when something is overdue.")
    ] = False,
    json: Json = False,
) -> None:
    """List what is due: deadlines of cases, rulings that end, appeals to answer. Run it every morning as a reminder.

    For example:

      clonewatch cases due --fail-on-overdue
    """
    opened = at.open()
    from clonewatch.cases.agenda import due as found_by
    from clonewatch.cases.changes import day

    until = day(by) if by else f"{datetime.now(UTC) + timedelta(days=_SOON_DAYS):%Y-%m-%d}"
    with opened.reading() as store:
        found = found_by(store, today(), until)
    late = sum(one.overdue for one in found)
    if json:
        output.as_json(
            {"by": until, "overdue": late, "due": [one._asdict() | {"case": _plain(one.case)} for one in found]}
        )
    else:
        output.say(f"{len(found):,} due up to {until}, {late:,} of them overdue.")
        rows = [
            (o.day, "overdue" if o.overdue else "", o.what, o.case.case, o.case.assignee, o.case.size) for o in found
        ]
        output.table("", ("Day", "", "What", "Case", "Assignee", "Accounts"), rows, right=(5,))
    if fail_on_overdue and late:
        raise typer.Exit(EXIT_DUE)


@app.command("export-rulings", short_help="Write rulings for the next scan.")
@grouped
def export_rulings(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to, in place of an earlier one.")],
    at: StoreOptions,
    json: Json = False,
) -> None:
    """Write the rulings that stand, for the next scan: clonewatch scan ... --answers FILE.

    A group that was ruled innocent is neither flagged nor for review while its accounts, its families of evidence and
    its odds are those that were ruled on. Lines of `clonewatch answer` may be added to the file.

    For example:

      clonewatch cases export-rulings --out rulings.jsonl
    """
    opened = at.open()
    from clonewatch.campaigns.answers import write
    from clonewatch.cases.rulings import standing

    with opened.reading() as store:
        held = standing(store)
    write(out, held)
    rulings = sum(answer.ruled is not None for answer in held)
    answers = len(held) - rulings
    if json:
        output.as_json({"rulings": rulings, "answers": answers, "file": out})
    else:
        also = f" and {answers:,} answer{'' if answers == 1 else 's'}" if answers else ""
        output.say(
            f"Wrote {rulings:,} ruling{'' if rulings == 1 else 's'}{also}. Give them to the next scan: --answers {out}",
        )


app.command("rule", short_help="Rule on cases.")(case_changes.rule)
app.command("note", short_help="Add a note to a case.")(case_changes.note)
app.command("assign", short_help="Say who looks at cases, and until when.")(case_changes.assign)
app.command("merge", short_help="Merge cases into another.")(case_changes.merge)
app.command("split", short_help="Move accounts of a case to a new one.")(case_changes.split)
app.command("undo", short_help="Take the last change of a case back.")(case_changes.undo)
app.command("send", short_help="Tell others what happened to cases.")(case_outbox.send)
app.command("outbox", short_help="List messages that were not delivered.")(case_outbox.outbox)
app.command("resend", short_help="Try messages again that were given up.")(case_outbox.resend)


def _cases(number: int) -> str:
    return f"{number:,} case{'' if number == 1 else 's'}"


def _plain(case: Case) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(case)
    return plain


def _told(store: Reading, case: Case) -> dict[str, Any]:
    """A case as `show --json` writes it."""
    history = []
    for number, entry in store.history(case.case):
        note = store.note(number)
        one = {"entry": number, "at": entry.at, "by": entry.by, "what": entry.what, "said": said(entry, case.case)}
        history.append(one | {"note": note.text if note else None})
    return {"case": _plain(case), "accounts": sorted(store.accounts(case.accounts)), "history": history}
