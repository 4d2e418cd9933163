"""The `clonewatch` command: its commands, and the one border where errors become messages and exit codes."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from clonewatch.cli import (
    answer,
    appeals,
    audit,
    calibrate,
    cases,
    console,
    doctor,
    dossier,
    lab,
    log,
    output,
    policy,
    results,
    scan,
    schema,
    serve,
    share,
    share_arrivals,
    state,
    track,
    warm_up,
)
from clonewatch.model.errors import ClonewatchError, SetupError, refused_file
from clonewatch.model.option_values import check_limit
from clonewatch.model.version import __version__

# Commands import the heavy parts (Arrow, the engine, the compiler) inside their functions, so that help and usage
# errors respond at once.

EXIT_INTERRUPTED = 130
# Megabytes of addresses without which the libraries of most commands cannot be loaded.
LEAST_ADDRESSES = 2048
# Every error of usage; the module that holds this class differs between versions of Typer.
_UsageError: Any = typer.BadParameter.__mro__[1]
OUT_OF_MEMORY = SetupError(
    "there is not enough memory; earlier results are as they were",
    fix="Give the machine or the container more, or give the engine less with --memory, which spills to disk",
)


class Border(TyperGroup):
    """Turns errors into a message on stderr and an exit code. Bugs pass through and crash."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command named on the line."""
        try:
            check_limit(LEAST_ADDRESSES)
            return super().invoke(ctx)
        except ClonewatchError as error:
            output.complain(message(error), *_notes(error))
            raise typer.Exit(error.code) from error
        except _UsageError as error:
            _with_example(error)
            error.message = output.spelled(error.message)
            raise
        except MemoryError as error:
            output.complain(message(OUT_OF_MEMORY), *_notes(error))
            raise typer.Exit(OUT_OF_MEMORY.code) from error
        except KeyboardInterrupt as error:
            output.complain("Interrupted. Earlier results are as they were.", *_notes(error))
            raise typer.Exit(EXIT_INTERRUPTED) from error
        except BrokenPipeError as error:
            _abandon_stdout()
            raise typer.Exit(0) from error
        except OSError as error:
            output.complain(message(refused_file(error)), *_notes(error))
            raise typer.Exit(SetupError.code) from error


def _with_example(error: Any) -> None:
    """Add to the complaint about a missing option a line that works, from the help of the command."""
    ctx = error.ctx
    if type(error).__name__ == "MissingParameter" and ctx is not None:
        example = re.search(r"^\s*(clonewatch .+)$", ctx.command.help or "", re.M)
        error.message = f"For example: {example[1]}" if example else error.message


def _notes(error: BaseException) -> list[str]:
    """Notes added to the error on its way here."""
    return list(getattr(error, "__notes__", ()))


def message(error: ClonewatchError) -> str:
    """An error as three lines at most: what is wrong, where, and the fix.

    >>> print(message(ClonewatchError("no such file", where="a.log", fix="Check the path")))
    Error: no such file
    Where: a.log
    Fix:   Check the path
    """
    lines = [f"Error: {error.what}"]
    if error.where:
        # On one line, whatever the name of the file is.
        lines.append("Where: " + error.where.replace("\r", "\\r").replace("\n", "\\n"))
    if error.fix:
        lines.append(f"Fix:   {error.fix}")
    return "\n".join(lines)


app = typer.Typer(
    name="clonewatch",
    cls=Border,
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables could show a customer's data.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clonewatch {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find groups of accounts that covertly act as one operator in your own LLM API logs.

    Start with `clonewatch doctor LOG` to see what your log allows, then `clonewatch scan LOG --out DIR`, then open
    DIR/report.html. No log at hand? See `clonewatch simulate --list`.

    Exit codes: 0 done, 2 usage or set-up, 3 something was found (--fail-on) or is overdue, an audit, a log
    or a dossier does not hold or a state is damaged, 4 too many rows were rejected, 130 interrupted.
    """


app.command("scan", short_help="Find campaigns in a log.")(scan.scan)
app.command("ingest", short_help="Take a day's log into a state.")(state.ingest)
app.command("serve", short_help="Take live traffic into a state.")(serve.serve)
app.command("detect", short_help="Find campaigns in the days of a state.")(state.detect)
app.add_typer(state.app, name="state", short_help="Maintain a state: verify, compact, forget.")
app.command("calibrate", short_help="Calibrate on a quiet period of your own.")(calibrate.calibrate)
app.command("simulate", short_help="Write a labelled synthetic log to try it on.")(lab.simulate)
app.command("evaluate", short_help="Score a scan against labels.")(lab.evaluate)
app.command("track", short_help="Follow groups over several scans.")(track.track)
app.add_typer(audit.app, name="audit", short_help="Test whether a model depends on secrets your answers carried.")
app.command("why", short_help="Say why an account is in a campaign, or in none.")(results.why)
app.command("answer", short_help="Record what you found out about a group.")(answer.answer)
app.add_typer(cases.app, name="cases", short_help="Follow groups as cases, and rule on them.")
app.add_typer(appeals.app, name="appeals", short_help="Contain accounts of a case, and answer appeals.")
app.add_typer(policy.app, name="policy", short_help="Write, test and publish what gateways do about campaigns.")
app.command("console", short_help="Open the web console on cases.")(console.console)
share.app.command("import", short_help="Take in what another provider tells.")(share_arrivals.import_)
share.app.command("peers", short_help="List who told something, and how right they were.")(share_arrivals.peers)
share.app.command("trial", short_help="Show what others' indicators would have matched.")(share_arrivals.trial)
share.app.command("feed", short_help="Say whether another provider's word counts.")(share_arrivals.feed)
share.app.command("rely", short_help="Say that a case rests on what another told too.")(share_arrivals.rely)
share.app.command("answer", short_help="Tell a sender that you disagree, or saw it.")(share_arrivals.answer)
app.add_typer(share.app, name="share", short_help="Tell other providers what they need, and take in theirs.")
app.add_typer(log.app, name="log", short_help="Check the signed log of everything done to cases.")
app.command("dossier", short_help="Write a case as one signed folder.")(dossier.dossier)
app.command("verify", short_help="Check a dossier that somebody made.")(dossier.verify)
app.command("campaigns", short_help="List the groups of a scan, first to look at first.")(results.campaigns)
app.command("show", short_help="Show one group with its evidence.")(results.show)
app.command("doctor", short_help="Say what a log allows before you scan it.")(doctor.doctor)
app.command("warm-up", short_help="Compile the kernels ahead of the first scan.")(warm_up.warm_up)
app.command("schema", short_help="Print the tables a scan reads and writes.")(schema.schema)
app.command("report", short_help="Render report.html of a scan again.")(results.report)


def run() -> None:
    """The entry point of the `clonewatch` command."""
    try:
        app()
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _abandon_stdout()


def _abandon_stdout() -> None:
    """Nobody reads any more: keep the interpreter from complaining about it when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
