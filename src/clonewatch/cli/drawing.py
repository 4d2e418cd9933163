"""Progress on standard error: bars at a terminal, one line a stage elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from clonewatch.ports.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

# A stage that runs longer than this says so again, so that nobody takes a pipe's silence for a hang.
_REMINDER_SECONDS = 15.0
# Who waits less than this does not ask how long.
_WORTH_SAYING = 10.0


@contextmanager
def watching(quiet: bool) -> Iterator[Progress]:
    """The progress that suits standard error, closed whatever happens."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
        )  # fmt: skip
        with Bars(*columns, console=Console(stderr=True)) as bars:
            yield Drawn(bars)
    else:
        yield Lines()


def rate(rows: int, seconds: float) -> str:
    """Rows and rows a second, or nothing when the stage counts none.

    >>> rate(50_000, 2.0), rate(0, 3.0)
    ('50,000 rows, 25,000 rows/s', '')
    """
    return f"{rows:,} rows, {rows / seconds:,.0f} rows/s" if rows and seconds > 0 else ""


def remaining(least: float, most: float) -> str:
    """How long it still takes, in words; nothing when that is not worth saying.

    >>> remaining(1, 5), remaining(12.2, 47), remaining(130, 640), remaining(650, 660)
    ('', '12 to 47 s left', '2 to 11 min left', 'about 11 min left')
    """
    if most < _WORTH_SAYING:
        return ""
    unit, size = ("s", 1) if most < 2 * 60 else ("min", 60)
    low, high = round(least / size), math.ceil(most / size)
    return f"{low} to {high} {unit} left" if low < high else f"about {high} {unit} left"


class Drawn:
    """Progress as bars at a terminal."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._stage, self._rows, self._begun = "", 0, 0.0

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins: a new bar."""
        self._stage, self._rows, self._begun = stage, 0, time.monotonic()
        self._task = self._bars.add_task(stage, total=total, rate="", left="")

    def advance(self, done: int, rows: int = 0) -> None:
        """The bar grows."""
        self._rows += rows
        if self._task is not None:
            self._bars.update(self._task, advance=done, rate=rate(self._rows, time.monotonic() - self._begun))

    def expect(self, least: float, most: float) -> None:
        """The bar says how long the whole run still takes."""
        if self._task is not None:
            self._bars.update(self._task, left=remaining(least, most))

    def end(self, note: str = "") -> None:
        """The bar is full, and says how it went."""
        if self._task is not None:
            said = note or rate(self._rows, time.monotonic() - self._begun)
            self._bars.update(self._task, total=1, completed=1, rate=said, left="")
            self._task = None


class Lines:
    """Progress as plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._stage, self._rows, self._begun, self._said = "", 0, 0.0, 0.0
        self._left = ""

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins; it is told when it ends."""
        self._stage, self._rows = stage, 0
        self._begun = self._said = time.monotonic()

    def advance(self, done: int, rows: int = 0) -> None:
        """A reminder now and then."""
        self._rows += rows
        now = time.monotonic()
        if now - self._said >= _REMINDER_SECONDS:
            self._said = now
            parts = [rate(self._rows, now - self._begun) or "still at it", self._left]
            typer.echo(f"{self._stage}: {', '.join(p for p in parts if p)}", err=True)

    def expect(self, least: float, most: float) -> None:
        """Said with the next reminder."""
        self._left = remaining(least, most)

    def end(self, note: str = "") -> None:
        """One line for the stage."""
        seconds = time.monotonic() - self._begun
        parts = [p for p in (note, rate(self._rows, seconds), f"{seconds:.1f} s") if p]
        typer.echo(f"{self._stage}: {', '.join(parts)}", err=True)
