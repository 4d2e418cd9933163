"""Progress on standard error: bars at a terminal, one line per stage elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from clonewatch.kernels.compiling import cache_folder, when_compiling
from clonewatch.ports.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

# A stage that runs longer than this reports again, so that nobody takes silence in a pipe for a hang.
_REMINDER_SECONDS = 15.0
COMPILING = "Compiling kernels for this machine once, about a minute. `clonewatch warm-up` does it in advance."
UNKEPT = (
    "Warning: compiled kernels cannot be kept, so every start compiles again, about a minute. Set NUMBA_CACHE_DIR to a"
    " folder that you may write to."
)


@contextmanager
def watching(quiet: bool, announce: bool = True) -> Iterator[Progress]:
    """The progress that suits standard error, closed whatever happens. announce: say when kernels are compiled."""

    def say(speak: Callable[[str], None]) -> Callable[[], None]:
        return lambda: speak(compiling()) if announce else None

    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with Bars(*columns, console=console) as bars, when_compiling(say(console.print)):
            yield Drawn(bars)
    else:
        with when_compiling(say(lambda text: typer.echo(text, err=True))):
            yield Lines()


def compiling() -> str:
    """What is said when kernels are about to be compiled."""
    return COMPILING if cache_folder() else UNKEPT


def rate(rows: int, seconds: float) -> str:
    """Rows and rows per second, or nothing when the stage counts none.

    >>> rate(50_000, 2.0), rate(0, 3.0)
    ('50,000 rows, 25,000 rows/s', '')
    """
    return f"{rows:,} rows, {rows / seconds:,.0f} rows/s" if rows and seconds > 0 else ""


class _Numbered:
    """Names stages by their place among all of them, where their number is known."""

    _stages, _place = 0, 0

    def expect(self, stages: int) -> None:
        """The next stage is the first of so many."""
        self._stages, self._place = stages, 0

    def _named(self, stage: str) -> str:
        self._place += 1
        return f"{self._place}/{self._stages} {stage}" if self._place <= self._stages else stage


class Drawn(_Numbered):
    """Progress as bars at a terminal; rich estimates how long a stage of known size still takes."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._rows, self._begun = 0, 0.0

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins: a new bar."""
        self._rows, self._begun = 0, time.monotonic()
        self._task = self._bars.add_task(self._named(stage), total=total, rate="")

    def advance(self, done: int, rows: int = 0) -> None:
        """The bar grows."""
        self._rows += rows
        if self._task is not None:
            self._bars.update(self._task, advance=done, rate=rate(self._rows, time.monotonic() - self._begun))

    def end(self, note: str = "") -> None:
        """The bar is full and shows the outcome."""
        if self._task is not None:
            said = note or rate(self._rows, time.monotonic() - self._begun)
            self._bars.update(self._task, total=1, completed=1, rate=said)
            self._task = None


class Lines(_Numbered):
    """Progress as plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._stage, self._rows, self._begun, self._said = "", 0, 0.0, 0.0

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins; it is reported when it ends."""
        self._stage, self._rows = self._named(stage), 0
        self._begun = self._said = time.monotonic()

    def advance(self, done: int, rows: int = 0) -> None:
        """A reminder now and then."""
        self._rows += rows
        now = time.monotonic()
        if now - self._said >= _REMINDER_SECONDS:
            self._said = now
            typer.echo(f"{self._stage}: {rate(self._rows, now - self._begun) or 'still running'}", err=True)

    def end(self, note: str = "") -> None:
        """One line for the stage."""
        seconds = time.monotonic() - self._begun
        parts = [p for p in (note, rate(self._rows, seconds), f"{seconds:.1f} s") if p]
        typer.echo(f"{self._stage}: {', '.join(parts)}", err=True)
