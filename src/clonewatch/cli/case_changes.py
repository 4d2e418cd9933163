"""The commands that change cases. Each is an entry of the log, by whoever its user claims to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cases.sentences import ruling_text
from clonewatch.cli import output
from clonewatch.cli.case_options import CaseName, CaseNames, ChangeOptions, Note, Version, text
from clonewatch.cli.case_words import accounts_of
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import text_of

if TYPE_CHECKING:
    from clonewatch.cases.records import Case


@grouped
def rule(
    names: CaseNames,
    change: ChangeOptions,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="One operator runs it covertly.")] = False,
    innocent: Annotated[
        str | None,
        typer.Option("--innocent", metavar="ID", help="It is innocent, and this question's yes says why."),
    ] = None,
    needs_more: Annotated[
        bool, typer.Option("--needs-more", help="It cannot be decided yet; the case stays open.")
    ] = False,
    scope: Annotated[
        str,
        typer.Option(
            "--scope", metavar="SCOPE", help="Innocent on this evidence (evidence), or whatever they do (accounts)."
        ),
    ] = "evidence",
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="Last day on which it holds; for accounts, required.")
    ] = "",
    note: Note = "",
    version: Version = None,
    json: Json = False,
) -> None:
    """Rule on cases: confirmed, innocent, or needs more. Several at once get the same ruling, all or none of them.

    Innocent names the explanation, by the id of its question: one_customer, class_or_event, wrongly_banned, app_users,
    public_network, benchmark_or_monitor or colleagues. It holds until there is more evidence than now, or, with
    --scope accounts, whatever these accounts do until a day that you name. A confirmed case flags nothing by itself.

    For example:

      clonewatch cases rule K0001 --innocent one_customer --until 2027-06-30 --note "contract 4711"

      clonewatch cases rule K0002 K0003 --confirmed

      clonewatch cases rule K0004 --needs-more --note "asked sales" --if-version 3
    """
    opened = change.open()
    from clonewatch.cases.changes import Decision
    from clonewatch.cases.changes import rule as give
    from clonewatch.cases.records import CONFIRMED, INNOCENT, NEEDS_MORE

    chosen = [
        name
        for name, given in ((CONFIRMED, confirmed), (INNOCENT, innocent is not None), (NEEDS_MORE, needs_more))
        if given
    ]
    if len(chosen) != 1:
        raise SetupError(
            "it takes one ruling" if chosen else "a ruling is missing",
            fix="Pass one of --confirmed, --innocent ID and --needs-more",
        )
    decision = Decision(chosen[0], innocent or "", scope, until)
    with opened.writing() as store:
        found = give(store, names, decision, change.who(), text(note, "--note"), version)
    _done(found, json, *(f"{case.case}: {ruling_text(case)} ({accounts_of(case)})." for case in found))


@grouped
def note(
    name: CaseName,
    said: Annotated[str, typer.Argument(metavar="TEXT", help="What you know.")],
    change: ChangeOptions,
    json: Json = False,
) -> None:
    """Add a note to a case. Notes are never changed; the log holds their hash, so they cannot be changed unseen.

    For example:

      clonewatch cases note K0001 "asked sales on Monday; they know of no contract"
    """
    opened = change.open()
    from clonewatch.cases.changes import annotate

    with opened.writing() as store:
        found = annotate(store, name, text(said, "the note"), change.who())
    _done([found], json, f"Noted about {found.case}.")


@grouped
def assign(
    names: CaseNames,
    change: ChangeOptions,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Who looks at them; an empty name for nobody.")
    ] = None,
    due: Annotated[
        str | None, typer.Option("--due", metavar="DATE", help="Until when, as in 2026-12-01; empty for no end.")
    ] = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Say who looks at cases, and until when. `clonewatch cases due` reminds of it.

    For example:

      clonewatch cases assign K0001 K0002 --to ana --due 2026-12-01
    """
    opened = change.open()
    from clonewatch.cases.changes import assign as give
    from clonewatch.cases.changes import day

    with opened.writing() as store:
        given = None if to is None else text(to, "--to")
        found = give(store, names, change.who(), given, day(due) if due else due, version)
    said = (
        f"{case.case}: assigned to {case.assignee or 'nobody'}{f', due {case.due}' if case.due else ''}."
        for case in found
    )
    _done(found, json, *said)


@grouped
def merge(
    names: CaseNames,
    into: Annotated[str, typer.Option("--into", metavar="CASE", help="The case that takes in the others.")],
    change: ChangeOptions,
    note: Note = "",
    json: Json = False,
) -> None:
    """Merge cases into another, which has the accounts of all. It is open afterwards: no ruling was about all of them.

    For example:

      clonewatch cases merge K0002 K0003 --into K0001 --note "one list of questions"
    """
    opened = change.open()
    from clonewatch.cases.changes import merge as join

    with opened.writing() as store:
        found = join(store, names, into, change.who(), text(note, "--note"))
    _done([found], json, f"{found.case} now has {accounts_of(found)} and is open: rule on it.")


@grouped
def split(
    name: CaseName,
    change: ChangeOptions,
    account: Annotated[
        list[str] | None, typer.Option("--account", metavar="ID", help="An account that goes to the new case.")
    ] = None,
    accounts: Annotated[
        Path | None, typer.Option("--accounts", metavar="FILE", help="A file with such accounts, one a line.")
    ] = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """Move accounts of a case to a new case. A ruling stays with both, as it was about all of them.

    Later scans add to each what belongs to it, and do not put them together again.

    For example:

      clonewatch cases split K0001 --account acct-17 --account acct-18

      clonewatch cases split K0001 --accounts office.txt --note "the office of acme"
    """
    opened = change.open()
    from clonewatch.cases.changes import split as part

    with opened.writing() as store:
        rest, new = part(store, name, _accounts(account or [], accounts), change.who(), text(note, "--note"))
    _done([rest, new], json, f"{rest.case} keeps {accounts_of(rest)}; {new.case} is new, with {accounts_of(new)}.")


@grouped
def undo(name: CaseName, change: ChangeOptions, note: Note = "", json: Json = False) -> None:
    """Take the last ruling, assignment, merge or split of a case back. The log keeps both: what was done, and undone.

    It is refused where one of the cases that it changed was changed again. What scans saw stays seen, and notes stay.

    For example:

      clonewatch cases undo K0001
    """
    opened = change.open()
    from clonewatch.cases.changes import undo as take_back

    with opened.writing() as store:
        what, found = take_back(store, name, change.who(), text(note, "--note"))
    states = (f"{case.case} is {case.status} again, with {accounts_of(case)}." for case in found)
    _done(found, json, f"Took back: {what}.", *states)


def _done(found: list[Case], json: bool, *said: str) -> None:
    import msgspec

    if json:
        told: dict[str, Any] = {"cases": msgspec.to_builtins(found)}
        output.as_json(told)
    else:
        output.say(*said)


def _accounts(given: list[str], file: Path | None) -> frozenset[str]:
    """The accounts that are named on the line and in a file."""
    if file is None:
        return frozenset(given)
    try:
        lines = text_of(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"cannot read the accounts: {said}", where=str(file)) from error
    return frozenset([*given, *(line.strip() for line in lines if line.strip())])
