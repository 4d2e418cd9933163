"""The command that records what was found out about a group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Scan
from clonewatch.model.errors import SetupError
from clonewatch.model.questions import BY_ID


def answer(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="A group's id, as `clonewatch campaigns` lists it.")],
    scan: Scan,
    yes: Annotated[bool, typer.Option("--yes", help="The answer to the question about the group is yes.")] = False,
    no: Annotated[bool, typer.Option("--no", help="The answer to the question about the group is no.")] = False,
    question: Annotated[
        str | None, typer.Option("--question", metavar="ID", help="Another question than the one that the scan asks.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option("--answers", metavar="FILE", help="Where to add it; default: answers.jsonl beside the result."),
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="How you know.")] = "",
) -> None:
    """Answer the question about a group; the next scan reads the answer with --answers.

    The answer is about the accounts of the group. A later group counts as the same if at least half of its accounts
    are among them. An answer moves the odds of a group by the bits that this command states. It may take the group out
    of review, and it never flags one.

    For example:

      clonewatch answer C0002 --scan result --yes --note "contract 4711"

      clonewatch answer C0003 --scan result --no --question app_users
    """
    from clonewatch.pipeline.answering import answer as record
    from clonewatch.pipeline.scan_result import load

    if yes == no:
        raise SetupError("it takes one answer" if yes else "an answer is missing", fix="Pass either --yes or --no")
    found = load(scan)
    place = record(found, group, yes, question, answers, note)
    row = found.show(group)["campaign"]
    asked = BY_ID[question or row["question"]]
    moved = asked.yes_bits if yes else asked.no_bits
    output.say(
        asked.asks,
        f"{'Yes' if yes else 'No'}: {asked.yes if yes else asked.no}",
        f"This moves the odds of {group} ({row['accounts']:,} accounts) by {moved:+g} bits. {asked.why}",
        f"Kept in {place}. Give it to the next scan: --answers {place}",
    )
