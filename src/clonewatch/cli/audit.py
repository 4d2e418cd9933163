"""The commands that audit a suspect model: commit secrets, then plan, collect, test, report, verify."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clonewatch.cli import audit_ledger, output
from clonewatch.cli.options import Json, Quiet

if TYPE_CHECKING:
    from clonewatch.audit.ledger import Ledger
    from clonewatch.audit.plan import PlannedTest
    from clonewatch.audit.run_tests import Promise

EXIT_NOT_VERIFIED = 3

Audit = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an audit.")]
LedgerOption = Annotated[
    Path | None, typer.Option("--ledger", metavar="FILE", help="The ledger; by default ledger.jsonl beside DIR.")
]

# A request a day; with fewer no audit would end.
_LEAST_RATE = 1 / 86_400


def _possible_rate(rate: float) -> float:
    if rate and not _LEAST_RATE <= rate < float("inf"):
        raise typer.BadParameter(f"{rate} requests per second; give 0 for no limit, or one a day and more")
    return rate


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """Test whether a suspect model depends on secrets that your own answers carried.

    Commit secrets in a ledger before you use them, and plan before you query the suspect; then everybody can check the
    result from the raw answers. docs/using/audit.md walks through all steps with a stand-in suspect.

    For example:

      clonewatch audit init book/ledger.jsonl

      clonewatch audit commit book/ledger.jsonl --rule kgw --carrier case-7

      clonewatch audit plan book/settings.toml --out book/march

      clonewatch audit collect book/march

      clonewatch audit test book/march

      clonewatch audit report book/march

      clonewatch audit verify book/march
    """


app.command("init", short_help="Start a ledger, and commit the coins of twin answers.")(audit_ledger.init)
app.command("commit", short_help="Draw a secret and commit to it.")(audit_ledger.commit)
app.command("import-key", short_help="Commit the watermark key that vLLM serves with.")(audit_ledger.import_key)
app.command("mint-canaries", short_help="Generate canary records that exist nowhere else.")(audit_ledger.mint_canaries)
app.command("flip", short_help="Show the coin of a request.")(audit_ledger.flip)
app.command("reveal", short_help="Publish a secret, so that others can verify.")(audit_ledger.reveal)


@app.command("plan", short_help="Fix requests and tests before collecting.")
def plan(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="The settings of the audit, a TOML file.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder for this audit.")],
    json: Json = False,
) -> None:
    """Check the settings, copy what they name into a folder, and register the plan in the ledger.

    For example:

      clonewatch audit plan book/settings.toml --out book/march
    """
    from clonewatch.audit.collected import Collected
    from clonewatch.audit.folder import Folder
    from clonewatch.audit.run import make_plan
    from clonewatch.audit.run_tests import promised

    made, digest = make_plan(settings, out)
    tokens = made.prompts * made.answers * made.tokens
    chances = promised(made, Collected(Folder(out), made))
    if json:
        told = [
            test | {"power": c and c.power, "smallest_share": c.smallest if c and c.smallest <= 1 else None}
            for test, c in zip(made.to_json()["tests"], chances, strict=True)
        ]
        output.as_json({"plan": digest, "tests": told, "tokens": tokens})
        return
    output.say(
        f"{made.prompts:,} prompts, {made.answers} answers to each, at most {tokens:,} tokens from each model. Access:"
        f" {made.access}."
    )
    rows = [
        (t.id, t.test, ", ".join(t.carriers) or "all", t.committed, t.commitment[:12], _confirmed(t))
        for t in made.tests
    ]
    output.table("", ("Test", "Kind", "Served to", "Committed", "Commitment", "Confirmed"), rows)
    for test, chance in zip(made.tests, chances, strict=True):
        output.say(f"Power of {test.id}: {_power(test.test, made.power.share, chance)}.")
    if made.power.effect is None and any(chances):
        output.say("This was measured on small models, which over-learn: expect less from a large one.")
    for test in made.tests:
        if test.confirmed:
            output.say(f"Our served text carries the watermark of {test.id} by the mapping {test.public['prf']}.")
    unconfirmed = [t.id for t in made.tests if t.test == "watermark" and not t.confirmed]
    if unconfirmed:
        output.say(
            f"Warning: key, window, tokenizer and mapping of {', '.join(unconfirmed)} are not confirmed. Name text that"
            " you served with them in `served`."
        )
    output.say(f"Plan {digest} is registered. No request was sent yet.")


@app.command("collect", short_help="Query the models of the plan, and store every answer.")
def collect(
    folder: Audit,
    ledger: LedgerOption = None,
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            metavar="R",
            min=0,
            callback=_possible_rate,
            help="Requests per second to each model; 0 for no limit.",
        ),
    ] = 0.0,
    parts: Annotated[
        int, typer.Option("--parts", metavar="N", min=0, help="Collect for the first N looks of the plan; 0 for all.")
    ] = 0,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="DIR", help="Reuse the answers of another audit; send no request."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Send the requests of the plan, store every raw answer with its hash, and seal them in the ledger.

    Answered requests are not repeated: after an interruption run the same command again.

    For example:

      clonewatch audit collect book/march --rate 2
    """
    from clonewatch.audit.folder import Folder
    from clonewatch.audit.run import collect as ask

    new, seal = ask(
        Folder(folder), _book(folder, ledger), parts=parts, rate=rate, replay=replay, begin=_counting(quiet)
    )
    if json:
        output.as_json({"new": new, "sealed": seal})
    else:
        output.say(f"{new:,} answers collected. All of them are sealed as {seal}.")


@app.command("test", short_help="Run the tests of the plan, once.")
def test(folder: Audit, ledger: LedgerOption = None, json: Json = False) -> None:
    """Run every test of the plan on the suspect and on the control, and record the look in the ledger.

    For example:

      clonewatch audit test book/march
    """
    from clonewatch.audit.folder import Folder
    from clonewatch.audit.outcome import p_value_text
    from clonewatch.audit.run import run_tests

    results = run_tests(Folder(folder), _book(folder, ledger))
    if json:
        output.as_json(results)
        return
    rows = [
        (
            row["id"],
            row["suspect"].get("test", "-"),
            row["suspect"].get("mode", "-"),
            p_value_text(row["log10_p_holm"]),
            p_value_text(row["control_log10_p_holm"]),
            row["level"],
        )
        for row in results["tests"]
    ]
    output.table("", ("Test", "Kind", "Read from", "p corrected", "Control", "Finding"), rows)
    output.say(f"Wrote {folder / 'results.json'}. Next: clonewatch audit report {folder}")


@app.command("report", short_help="Write report.md and report.html.")
def report(folder: Audit, ledger: LedgerOption = None) -> None:
    """Write the report of an audit from its results and the ledger.

    For example:

      clonewatch audit report book/march
    """
    from clonewatch.audit.folder import Folder
    from clonewatch.audit.verification import write_report

    write_report(Folder(folder), _book(folder, ledger), _style())
    output.say(f"Wrote {folder / 'report.md'} and {folder / 'report.html'}.")


@app.command("verify", short_help="Check an audit from its raw answers, offline.")
def verify(
    folder: Audit,
    ledger: LedgerOption = None,
    head: Annotated[str, typer.Option("--head", metavar="HASH", help="A hash of the ledger that was published.")] = "",
    json: Json = False,
) -> None:
    """Check every file, the ledger, the plan, every figure and both reports, offline and from the raw answers.

    Names what is not covered, and what is known about the age. Exit code 3 if a check fails.

    For example:

      clonewatch audit verify book/march
    """
    from clonewatch.audit.folder import Folder
    from clonewatch.audit.verification import age, uncovered
    from clonewatch.audit.verification import verify as check

    kept, book = Folder(folder), _book(folder, ledger)
    problems = check(kept, book, head, _style())
    beside = uncovered(kept, book)
    known = "" if problems else age(book, head)
    if json:
        told = {"problems": problems, "not_covered": beside}
        output.as_json(
            {"verified": not problems, **{n: [p._asdict() for p in told[n]] for n in told}, "age": known or None}
        )
    else:
        for problem in problems:
            output.say(f"{problem.where}: {problem.what}")
        output.say(
            "Not verified."
            if problems
            else "Verified: every file of the folder, ledger, plan, every figure and both reports are correct."
        )
        for problem in beside:
            output.say(f"Not covered: {problem.where}, {problem.what}.")
        if known:
            output.say(known)
    if problems:
        raise typer.Exit(EXIT_NOT_VERIFIED)


def _style() -> str:
    from importlib.resources import files

    return (files("clonewatch.report") / "templates" / "style.css").read_text(encoding="utf-8")


def _book(folder: Path, ledger: Path | None) -> Ledger:
    from clonewatch.audit.ledger import Ledger

    return Ledger(audit_ledger.existing(ledger or Path(os.path.realpath(folder)).parent / "ledger.jsonl"))


def _confirmed(test: PlannedTest) -> str:
    if test.test != "watermark":
        return "-"
    return "yes" if test.confirmed else "no"


def _power(kind: str, share: float, promise: Promise | None) -> str:
    if promise is None:
        return "unknown, because nothing similar was measured"
    if kind == "twin":
        return f"{promise.power:.0%} for training on every released answer of the pairs"
    least = (
        f"80% from a share of {promise.smallest:.1%} on"
        if promise.smallest <= 1
        else "80% at no share; plan more prompts or answers"
    )
    return f"{promise.power:.0%} for a training share of {share:.0%}; {least}"


def _counting(quiet: bool) -> Callable[[int], Callable[[], None]]:
    """Progress on standard error: the number of finished requests."""

    def begin(total: int) -> Callable[[], None]:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            if not quiet and (done == total or done % 100 == 0):
                typer.echo(f"{done:,} of {total:,} requests", err=True)

        return step

    return begin
