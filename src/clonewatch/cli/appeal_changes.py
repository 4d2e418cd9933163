"""The commands that change containments and appeals. Each is an entry of the log, by whoever its user claims to be."""

from __future__ import annotations

import json as spelling
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import CaseName, ChangeOptions, Note, StoreOptions, Version, text
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import InputError, OutputError, SetupError
from clonewatch.model.whole_files import create

if TYPE_CHECKING:
    from clonewatch.cases.attachments import File
    from clonewatch.cases.measures import Appeal, Containment


Name = Annotated[
    str, typer.Argument(metavar="CONTAINMENT", help="Id of a containment, as `clonewatch appeals list` shows it.")
]
AppealName = Annotated[
    str, typer.Argument(metavar="APPEAL", help="Id of an appeal, as `clonewatch appeals list` shows it.")
]
Account = Annotated[str, typer.Option("--account", metavar="ID", help="An account under the containment.")]
Url = Annotated[
    str, typer.Option("--url", metavar="URL", help="Where your console is; the link to appeal begins with it.")
]
Redress = Annotated[
    str | None,
    typer.Option("--redress", metavar="TEXT", help="What else a holder can do; default: a court or a dispute body."),
]


@grouped
def ask(
    case: CaseName,
    measure: Annotated[
        str, typer.Option("--measure", metavar="MEASURE", help="One of verify, budget, reduce and suspend.")
    ],
    ground: Annotated[
        str, typer.Option("--ground", metavar="TEXT", help="The clause of your terms that was broken; holders read it.")
    ],
    because: Annotated[
        str, typer.Option("--because", metavar="TEXT", help="Why, for whoever approves it; holders do not read it.")
    ],
    change: ChangeOptions,
    days: Annotated[int, typer.Option("--days", metavar="N", help="How long it stands: 1 to 180 days.")] = 30,
    answer_days: Annotated[
        int, typer.Option("--answer-days", metavar="N", help="In how many days an appeal is answered: 1 to 30.")
    ] = 14,
    automated: Annotated[
        bool, typer.Option("--automated", help="Software proposed this measure; holders are told.")
    ] = False,
    version: Version = None,
    json: Json = False,
) -> None:
    """Ask a second person for a measure against all accounts of a case that was ruled confirmed.

    It is refused for accounts that were cleared before, by an appeal, a lapse or an innocent ruling, while the evidence
    is the same: no other family of it, and odds at most 2 bits higher. Each earlier containment that more than half of
    the accounts were under, and that ended without being taken back for them, doubles the days, up to 180.

    For example:

      clonewatch appeals ask K0001 --measure suspend --ground "Section 4: one person, one account" --because "K0001"
    """
    opened = change.open()
    from clonewatch.cases import repeats
    from clonewatch.cases.containments import Plan
    from clonewatch.cases.containments import ask as plan

    wanted = Plan(measure, text(ground, "--ground"), days, answer_days, automated)
    with opened.writing() as store:
        made = plan(store, case, wanted, text(because, "--because"), change.who(), version)
        before = repeats.counted(store, made)
    _containment(
        made,
        json,
        f"{made.containment}: {made.measure} for {made.days} days, {_accounts(made.size)} of {made.case}; not begun.",
        *([f"Longer than {days} days, since an earlier one ended: {', '.join(before)}."] if before else []),
        f"Another person begins it: clonewatch appeals begin {made.containment} --out notices.jsonl --as NAME",
    )


@grouped
def begin(
    name: Name,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the notices: a new file, with secrets.")
    ],
    change: ChangeOptions,
    url: Url = "",
    redress: Redress = None,
    json: Json = False,
) -> None:
    """Approve a containment that another person asked for, begin it, and write a notice for the holder of each account.

    A line of the file is one account: its id, the secret of its link, the statement of reasons, and the same as a
    letter. Only you have the secrets: the store keeps their hashes. Send the letters, and delete the file.

    For example:

      clonewatch appeals begin B0001 --out notices.jsonl --url https://console.example --as bob
    """
    opened = change.open()
    from clonewatch.cases.containments import begin as begin_
    from clonewatch.cases.containments import linked
    from clonewatch.cases.notices import notice

    written = False
    try:
        with opened.writing() as store:
            begun, links = begin_(store, name, change.who())
            # Before the transaction ends: a containment without notices must not be, nor links that do not hold.
            told = zip(linked(begun, links), links, strict=True)
            _write_new(out, [notice(holder, link, url, redress) for holder, link in told])
            written = True
    except BaseException:
        if written:
            out.unlink(missing_ok=True)
        raise
    _containment(
        begun,
        json,
        f"{begun.containment}: {begun.measure} from {begun.begins[:10]} to {begun.until}, {_accounts(begun.size)}.",
        f"Wrote {len(links):,} notice{'' if len(links) == 1 else 's'} to {out}. Send them, and delete the file.",
    )


@grouped
def decline(name: Name, change: ChangeOptions, json: Json = False) -> None:
    """Decline a containment that was asked for, or, as the person who asked, withdraw it.

    For example:

      clonewatch appeals decline B0001 --as bob
    """
    opened = change.open()
    from clonewatch.cases.approvals import DECLINED, WITHDRAWN, decide
    from clonewatch.cases.containments import containment

    with opened.writing() as store:
        held, who = containment(store, name), change.who()
        mine = who.by.casefold() == held.asked_by.casefold()
        decided = decide(store, held.request, WITHDRAWN if mine else DECLINED, who)
    _containment(held, json, f"{held.containment} was {decided.state}.")


@grouped
def end(name: Name, change: ChangeOptions, note: Note = "", json: Json = False) -> None:
    """End a containment before its last day, for all accounts, and take its consequences back. A reason is required.

    For example:

      clonewatch appeals end B0001 --note "they signed a contract" --as ana
    """
    opened = change.open()
    from clonewatch.cases.containments import end as end_

    with opened.writing() as store:
        held = end_(store, name, text(note, "--note"), change.who())
    _containment(held, json, f"{held.containment} is ended.")


@grouped
def link(
    name: Name, account: Account, change: ChangeOptions, url: Url = "", redress: Redress = None, json: Json = False
) -> None:
    """Write the notice for one account again, with a new link to appeal: the old one holds no more.

    For example:

      clonewatch appeals link B0001 --account acct-17 --url https://console.example
    """
    opened = change.open()
    from clonewatch.cases.containments import numbered, renew
    from clonewatch.cases.notices import notice

    with opened.writing() as store:
        new = renew(store, name, text(account, "--account"), change.who())
        told = notice(numbered(store, new.containment, new.number), new, url, redress)
    if json:
        output.as_json(told)
    else:
        output.say(*told["letter"].splitlines())


@grouped
def receive(
    name: Name,
    said: Annotated[str, typer.Argument(metavar="TEXT", help="What the holder of the account writes.")],
    account: Account,
    change: ChangeOptions,
    attach: Annotated[
        list[Path] | None,
        typer.Option("--attach", metavar="FILE", help="What came with it: PDF, PNG, JPEG or plain text, to 4 MiB."),
    ] = None,
    json: Json = False,
) -> None:
    """Record an appeal, or a reply, that came by another way than the link: by letter, for instance.

    The first one starts the clock. Attachments are kept and never opened.

    For example:

      clonewatch appeals receive B0001 --account acct-17 "we are a school of 18 classes" --attach letter.pdf
    """
    opened = change.open()
    from clonewatch.cases.appeals import write
    from clonewatch.cases.containments import holder

    files = [_file(path) for path in attach or []]
    with opened.writing() as store:
        held = write(
            store, holder(store, name, text(account, "--account")), text(said, "the text"), change.who(), files
        )
    _appeal(held, json, f"{held.appeal}: {held.state}, to be answered by {held.deadline[:10]}.")


@grouped
def answer(
    name: AppealName,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="The reasons, which the holder reads.")],
    change: ChangeOptions,
    uphold: Annotated[bool, typer.Option("--uphold", help="The measure stays.")] = False,
    overturn: Annotated[bool, typer.Option("--overturn", help="It was wrong: all of it is taken back.")] = False,
    partial: Annotated[
        str | None, typer.Option("--partial", metavar="MEASURE", help="A milder measure takes its place.")
    ] = None,
    conditional: Annotated[
        bool, typer.Option("--conditional", help="It is overturned when a condition is met by the day of --by.")
    ] = False,
    more: Annotated[bool, typer.Option("--ask", help="Ask the holder for more, by the day of --by.")] = False,
    day: Annotated[str, typer.Option("--by", metavar="DATE", help="A day in the next 30.")] = "",
    everybody: Annotated[
        bool, typer.Option("--all-accounts", help="Overturn it for all accounts under the containment.")
    ] = False,
    innocent: Annotated[
        str, typer.Option("--innocent", metavar="ID", help="Which question's yes explains an overturned measure.")
    ] = "wrongly_banned",
    version: Annotated[
        int | None,
        typer.Option("--if-version", metavar="N", min=1, help="Change nothing unless the appeal is still at it."),
    ] = None,
    json: Json = False,
) -> None:
    """Answer an appeal: uphold, overturn, a milder measure, a condition, or a question.

    Whoever asked for the measure may only overturn it or ask. An overturned measure is taken back, the accounts are
    ruled innocent, which goes to the next scan, and they cannot be acted on again by the same evidence.

    For example:

      clonewatch appeals answer A0001 --overturn --because "the school's letter is real" --as eva

      clonewatch appeals answer A0001 --ask --by 2026-12-20 --because "which classes?" --as eva
    """
    opened = change.open()
    from clonewatch.cases.appeals import CONDITION, MORE, OVERTURN, PART, UPHOLD, Answer, decide

    given = (
        (UPHOLD, uphold),
        (OVERTURN, overturn),
        (PART, partial is not None),
        (CONDITION, conditional),
        (MORE, more),
    )
    chosen = [outcome for outcome, is_given in given if is_given]
    if len(chosen) != 1:
        raise SetupError(
            "it takes one answer" if chosen else "the answer is missing",
            fix="Pass one of --uphold, --overturn, --partial MEASURE, --conditional and --ask",
        )
    wanted = Answer(chosen[0], partial or "", day, everybody, innocent)
    with opened.writing() as store:
        held = decide(store, name, wanted, text(because, "--because"), change.who(), version)
    _appeal(held, json, f"{held.appeal}: {held.state}{f', until {held.answer_by[:10]}' if held.answer_by else ''}.")


@grouped
def files(
    name: AppealName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A folder; files there are not replaced.")],
    at: StoreOptions,
    json: Json = False,
) -> None:
    """Write what came with an appeal to a folder, under harmless names. Open it as you open what strangers send.

    For example:

      clonewatch appeals files A0001 --out evidence
    """
    opened = at.open()
    from clonewatch.cases import attachments
    from clonewatch.cases.appeals import appeal, messages

    written = []
    with opened.reading() as store:
        for message in messages(store, appeal(store, name)):
            for one in message.files:
                _write(out / one.file_name, attachments.content(store, one))
                written.append({"file": out / one.file_name, "name": one.name, "bytes": one.size, "sha256": one.digest})
    if json:
        output.as_json({"files": written})
        return
    output.say(f"Wrote {len(written):,} file{'' if len(written) == 1 else 's'} to {out}.")
    output.table("", ("File", "As its sender calls it", "Bytes"), [list(w.values())[:3] for w in written], right=(2,))


def _write_new(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    _write(path, "".join(f"{spelling.dumps(line, ensure_ascii=False)}\n" for line in lines).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, in place of none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create(path, content)
    except OSError as error:
        if path.exists():
            raise OutputError("this file is there already", where=str(path), fix="Name another one") from error
        raise OutputError(f"cannot write: {error.strerror}", where=str(path)) from error


def _file(path: Path) -> File:
    """A file to attach: never more of it is read than is taken."""
    from clonewatch.cases.attachments import MOST_BYTES, File

    try:
        if not path.is_file():
            raise InputError("this is no file", where=str(path))
        with path.open("rb") as file:
            return File(path.name, file.read(MOST_BYTES + 1))
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path)) from error


def _accounts(number: int) -> str:
    return f"{number:,} account{'' if number == 1 else 's'}"


def _containment(held: Containment, json: bool, *said: str) -> None:
    import msgspec

    if json:
        output.as_json({"containment": msgspec.to_builtins(held)})
    else:
        output.say(*said)


def _appeal(held: Appeal, json: bool, *said: str) -> None:
    import msgspec

    if json:
        output.as_json({"appeal": msgspec.to_builtins(held)})
    else:
        output.say(*said)
