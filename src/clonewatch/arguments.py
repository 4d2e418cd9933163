"""What callers of the Python interface pass, as the pipeline takes it. A value of the wrong type is refused by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from clonewatch.model.errors import SetupError, refused_file
from clonewatch.ports.progress import Progress

Given = ParamSpec("Given")
Made = TypeVar("Made")


def told(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """A function whose callers get an error of the system about a file as one of Clonewatch's own."""

    @wraps(function)
    def run(*args: Given.args, **named: Given.kwargs) -> Made:
        try:
            return function(*args, **named)
        except OSError as error:
            raise refused_file(error) from error

    return run


def as_paths(given: object) -> tuple[str, ...]:
    """One or several paths as text, as the adapters expect them: a glob or an address is not a Path.

    >>> as_paths("logs/*.csv"), as_paths([Path("a"), "b"])
    (('logs/*.csv',), ('a', 'b'))
    """
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | os.PathLike):
        return tuple(as_text(one, "paths") for one in given)
    return (as_text(given, "paths"),)


def as_path(given: object, name: str) -> Path | None:
    """One path, or none."""
    return None if given is None else Path(as_text(given, name))


def as_text(given: object, name: str) -> str:
    """A path as text. Raises SetupError for anything else, and for an empty path, which would be the current folder."""
    path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(path, str):
        raise SetupError(f"{name} is not a path: {given!r}", fix="Pass a str or a pathlib.Path")
    if not path:
        raise SetupError(f"{name}: a path is empty", fix='Name a file or a folder; "." is the current one')
    return path


def as_days(given: object) -> tuple[int, ...]:
    """Lengths of windows in days, or one length."""
    days = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else (given,)
    whole = tuple(day for day in days if isinstance(day, int) and not isinstance(day, bool))
    if len(whole) != len(days):
        raise SetupError(f"days are not whole numbers: {given!r}", fix="Pass them as in days=(7, 14)")
    return whole


def as_instant(given: object, name: str) -> datetime | None:
    """A moment with a time zone; UTC if it has none.

    >>> as_instant("2026-05-01", "since")
    datetime.datetime(2026, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if given is None:
        return None
    try:
        # A date prints as ISO 8601 too.
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError as error:
        raise SetupError(
            f"{name} is not a time: {given!r}", fix="Write it as 2026-05-01 or 2026-05-01T12:00:00"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


@contextmanager
def watched(progress: object) -> Iterator[Progress | None]:
    """Where progress goes: nowhere, the terminal, or the caller's own object."""
    if progress is True:
        from clonewatch.cli.progress import watching

        with watching(False) as drawn:
            yield drawn
    elif progress is None or progress is False:
        yield None
    elif isinstance(progress, Progress):
        yield progress
    else:
        raise SetupError(
            f"progress is neither True nor False, nor an object with the methods of clonewatch.Progress: {progress!r}",
            fix="Pass True to see it on the terminal",
        )
