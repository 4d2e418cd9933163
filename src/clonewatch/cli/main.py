"""The `clonewatch` command: its commands, and the one border where errors become messages and exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from clonewatch.cli import output
from clonewatch.model.errors import ClonewatchError, SetupError, refused_file
from clonewatch.model.option_values import check_limit
from clonewatch.model.version import __version__

# A command is imported when it is called, and imports the heavy parts (Arrow, the engine, the compiler) inside its
# function, so that help and usage errors respond at once.

EXIT_INTERRUPTED = 130
# Megabytes of addresses without which the libraries of most commands cannot be loaded.
LEAST_ADDRESSES = 2048
# Every error of usage; the module that holds this class differs between versions of Typer.
_UsageError: Any = typer.BadParameter.__mro__[1]
OUT_OF_MEMORY = SetupError(
    "there is not enough memory; earlier results are as they were",
    fix="Give the machine or the container more, or give the engine less with --memory, which spills to disk",
)


class Entry(NamedTuple):
    """One command before it is imported. module: in `clonewatch.cli`; held_as: a function, or a Typer with commands."""

    name: str
    module: str
    held_as: str
    about: str


ENTRIES = (
    Entry("scan", "scan", "scan", "Find campaigns in a log."),
    Entry("ingest", "state", "ingest", "Take a day's log into a state."),
    Entry("serve", "serve", "serve", "Take live traffic into a state."),
    Entry("detect", "state", "detect", "Find campaigns in the days of a state."),
    Entry("match", "match", "app", "Match with other providers, blind."),
    Entry("state", "state", "app", "Maintain a state: verify, compact, forget."),
    Entry("calibrate", "calibrate", "calibrate", "Calibrate on a quiet period of your own."),
    Entry("simulate", "lab", "simulate", "Write a labelled synthetic log to try it on."),
    Entry("evaluate", "lab", "evaluate", "Score a scan against labels."),
    Entry("lab", "exercise", "app", "Try policies on a simulated attacker who adapts."),
    Entry("track", "track", "track", "Follow groups over several scans."),
    Entry("audit", "audit", "app", "Test whether a model depends on secrets your answers carried."),
    Entry("why", "results", "why", "Say why an account is in a campaign, or in none."),
    Entry("answer", "answer", "answer", "Record what you found out about a group."),
    Entry("cases", "cases", "app", "Follow groups as cases, and rule on them."),
    Entry("appeals", "appeals", "app", "Contain accounts of a case, and answer appeals."),
    Entry("policy", "policy", "app", "Write, test and publish what gateways do about campaigns."),
    Entry("console", "console", "console", "Open the web console on cases."),
    Entry("log", "log", "app", "Check the signed log of everything done to cases."),
    Entry("share", "sharing", "app", "Tell other providers what they need, and take in theirs."),
    Entry("dossier", "dossier", "dossier", "Write a case as one signed folder."),
    Entry("verify", "dossier", "verify", "Check a dossier that somebody made."),
    Entry("campaigns", "results", "campaigns", "List the groups of a scan, first to look at first."),
    Entry("show", "results", "show", "Show one group with its evidence."),
    Entry("doctor", "doctor", "doctor", "Say what a log allows before you scan it."),
    Entry("warm-up", "warm_up", "warm_up", "Compile the kernels ahead of the first scan."),
    Entry("schema", "schema", "schema", "Print the tables a scan reads and writes."),
    Entry("report", "results", "report", "Render report.html of a scan again."),
)


class Commands(MutableMapping[str, Any]):
    """The commands by name, each imported when it is first asked for; names are known without that."""

    def __init__(self) -> None:
        self._entries = {entry.name: entry for entry in ENTRIES}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The command, as Typer makes it of the function or of the group."""
        if name not in self._loaded:
            entry = self._entries[name]
            found = getattr(import_module(f"clonewatch.cli.{entry.module}"), entry.held_as)
            holder = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            holder.callback()(lambda: None)  # with one, a single command stays a command of a group
            if isinstance(found, typer.Typer):
                holder.add_typer(found, name=name, short_help=entry.about)
            else:
                holder.command(name, short_help=entry.about)(found)
            made: Any = typer.main.get_command(holder)
            self._loaded[name] = made.commands[name]
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Add a command that is no entry."""
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        """Take a command out."""
        del self._entries[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the help."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)

    def abouts(self) -> list[tuple[str, str]]:
        """Names, and what each command is for, without importing it."""
        return [(entry.name, entry.about) for entry in self._entries.values()]


class Border(TyperGroup):
    """Lists commands without importing them, and turns errors into a message on stderr and an exit code.

    Bugs pass through and crash.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl(self.commands.abouts())

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
