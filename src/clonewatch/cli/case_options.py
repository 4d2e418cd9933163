"""Options of the commands on cases and their log, and how a store is opened for them."""

from __future__ import annotations

import getpass
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.cases.changes import Who
    from clonewatch.cases.store import Store

STORE = "cases.db"
_NEEDS = ("sqlalchemy", "alembic", "cryptography", "rfc3161_client")

StoreAt = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="STORE",
        envvar="CLONEWATCH_CASES",
        help="File of the case store, or postgresql://user@host/db.",
    ),
]
LogKey = Annotated[
    Path | None,
    typer.Option(
        "--log-key",
        metavar="FILE",
        envvar="CLONEWATCH_LOG_KEY",
        help="Key that signs the log; default: beside the file of the store, with .key added.",
    ),
]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who you are, recorded as claimed; default: your name on this system."),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, or how you know.")]
Version = Annotated[
    int | None,
    typer.Option(
        "--if-version", metavar="N", min=1, help="Change nothing unless the case is still at the version you looked at."
    ),
]
CaseName = Annotated[str, typer.Argument(metavar="CASE", help="Id of a case, as `clonewatch cases list` shows it.")]
CaseNames = Annotated[list[str], typer.Argument(metavar="CASE...", help="Ids of cases: all are changed, or none.")]


@dataclass(frozen=True)
class StoreOptions:
    """Which store."""

    store: StoreAt = STORE

    def open(self) -> Store:
        """The store, to read it."""
        return opened(self.store)


@dataclass(frozen=True)
class ChangeOptions:
    """Which store is changed, with which key, by whom."""

    store: StoreAt = STORE
    log_key: LogKey = None
    by: As = None

    def open(self, create: bool = False) -> Store:
        """The store, to change it."""
        return opened(self.store, self.log_key, create)

    def who(self) -> Who:
        """Who changes it, and when."""
        from clonewatch.cases.changes import Who

        return Who(text(user() if self.by is None else self.by, "--as"), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")


def opened(store: str, log_key: Path | None = None, create: bool = False) -> Store:
    """Open a store. Raises SetupError where the extra is not installed."""
    require()
    from clonewatch.cases.store import opened as open_

    return open_(store, log_key, create=create)


def require() -> None:
    """Raise SetupError unless what cases need is installed."""
    if lacking := [name for name in _NEEDS if find_spec(name) is None]:
        raise SetupError(f"cases need {', '.join(lacking)}", fix="Install the extra: pip install 'clonewatch[cases]'")


def user() -> str:
    """The name of whoever runs this, as the system knows it; empty where it knows none."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return ""


def text(given: str, option: str) -> str:
    """Text that can be stored. Raises SetupError for bytes that are no text."""
    if not given.isprintable() and any("\ud800" <= sign <= "\udfff" or sign == "\0" for sign in given):
        raise SetupError(f"{option} holds bytes that are no text", fix="Write it in UTF-8")
    return given


def today() -> str:
    """The day, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"
