"""Options that several commands share, each defined once, and how groups of them become parameters of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from clonewatch.model.defaults import MEMORY
from clonewatch.model.limits import parsed

EXIT_FLAGGED = 3


class FailOn(StrEnum):
    """What makes a successful command exit with code 3."""

    flagged = "flagged"
    review = "review"


Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="Log files, folders of them, globs, or - for standard input.")
]
Map = Annotated[
    str | None,
    typer.Option("--map", metavar="FILE", help="TOML field map for a log of unknown format, or a preset's name."),
]
Format = Annotated[str, typer.Option("--format", metavar="NAME", help="Log format; auto recognises it from the file.")]
Accounts = Annotated[
    Path | None,
    typer.Option("--accounts", metavar="FILE", help="What you know of accounts: payment, device, sign-up, trusted."),
]
Events = Annotated[
    Path | None, typer.Option("--events", metavar="FILE", help="Bans, model releases and outages, with times.")
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", metavar="NAME=VALUE", help="What reading may cost: row, batch, decoded, expansion, rejected."
    ),
]
MaxRejected = Annotated[
    float, typer.Option("--max-rejected", min=0.0, max=1.0, help="Share of rejected rows above which exit code is 4.")
]
MaxRepeated = Annotated[
    float,
    typer.Option(
        "--max-repeated", min=0.0, max=1.0, help="Share of rows that repeat an exchange above which exit code is 4."
    ),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Secret for the hashes; the same key makes hashes comparable."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all random choices; the same seed gives the same tables.")]
Memory = Annotated[str, typer.Option("--memory", help="Memory the engine may use before it goes to disk.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the engine; default: all.")]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE", help="Your own calibration groups, from `clonewatch calibrate`."),
]
Replay = Annotated[
    bool,
    typer.Option(
        "--first-flag", "--replay", help="Find the hour at which a scan would first have flagged each campaign."
    ),
]
AnswersFile = Annotated[
    Path | None,
    typer.Option(
        "--answers", metavar="FILE", help="What you found out about groups: from `answer` and `cases export-rulings`."
    ),
]
FailOnFound = Annotated[
    FailOn | None,
    typer.Option(
        "--fail-on", help="Exit with code 3 when a campaign was flagged; with review, also when a group is for review."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write the answer to standard output as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]
Scan = Annotated[Path, typer.Option("--scan", "-s", metavar="DIR", help="Folder a scan wrote.")]
ScanFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder a scan wrote.")]


@dataclass(frozen=True)
class LogOptions:
    """Which log is read, and how."""

    paths: Paths
    mapping: Map = None
    accounts: Accounts = None
    events: Events = None
    format: Format = "auto"
    limit: Limit = None

    def settings(self) -> dict[str, Any]:
        """As the settings of a scan name them."""
        given = {name: value for name, value in vars(self).items() if name != "limit"}
        return {**given, "paths": tuple(self.paths), "limits": parsed(self.limit or ())}


@dataclass(frozen=True)
class MachineOptions:
    """What of the machine a command may use."""

    memory: Memory = MEMORY
    threads: Threads = None


@dataclass(frozen=True)
class TestOptions:
    """How groups are tested and what their result is compared with."""

    seed: Seed = 0
    calibration: CalibrationFile = None
    first_flag: Replay = False
    answers: AnswersFile = None


@dataclass(frozen=True)
class AnswerOptions:
    """How a command answers."""

    json: Json = False
    fail_on: FailOnFound = None
    quiet: Quiet = False

    def fails(self, found: Mapping[str, int]) -> bool:
        """Whether the command has to exit with code 3. found: how many groups have each outcome."""
        counting = {None: (), FailOn.flagged: ("flagged",), FailOn.review: ("flagged", "review")}
        return any(found.get(outcome) for outcome in counting[self.fail_on])


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters may be dataclasses of options: every field becomes an option of the command line.

    Options are listed in the order of the parameters, those of a group in the order of its fields. Fields and plain
    parameters are annotated as Typer wants them and have different names.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, plain in inspect.signature(command).parameters.items():
        found = _fields(groups[name]) if name in groups else [(name, hints[name], plain.default)]
        parameters += [
            inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for one, kind, default in found
        ]

    @wraps(command)
    def run(**given: Any) -> None:
        values = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        command(**values, **given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _fields(group: Any) -> list[tuple[str, Any, Any]]:
    hints = get_type_hints(group, include_extras=True)
    empty = inspect.Parameter.empty
    return [(one.name, hints[one.name], empty if one.default is MISSING else one.default) for one in fields(group)]


def moment(text: str) -> datetime:
    """A time of the command line, which is UTC.

    >>> moment("2026-05-01T06:00").isoformat()
    '2026-05-01T06:00:00+00:00'
    """
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"):
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    raise typer.BadParameter(f"{text!r} is no time. Write 2026-05-01 or 2026-05-01T06:00, in UTC.")


def day(text: str) -> datetime:
    """A day of the command line, UTC."""
    found = moment(text)
    if found.time() != time():
        raise typer.BadParameter(f"{text!r} is no day. Write 2026-05-01.")
    return found
