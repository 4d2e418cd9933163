"""What commands write to standard output: JSON for programs, tables and sentences for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import typer

# Wide enough that no table of ours is cut when it goes to a file or a pipe.
PIPE_WIDTH = 200
_LONGEST = 4000  # characters of a line


def as_json(value: Any) -> None:
    """Write a value as indented JSON; moments in ISO form, not-a-numbers and infinities as null."""
    import json  # most commands, and every help, write none

    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=True, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def say(*lines: str) -> None:
    """Write lines to standard output, hidden and control characters spelled out: account names come from the log."""
    for line in lines:
        typer.echo(_line(line))


def complain(*texts: str) -> None:
    """Write texts of several lines to standard error in the same way: names of files and columns come from others."""
    for text in texts:
        typer.echo(spelled(text), err=True)


def spelled(text: str) -> str:
    """A text of several lines with hidden and control characters spelled out."""
    return "\n".join(map(_line, text.split("\n")))


def _line(text: str) -> str:
    from clonewatch.report.numerals import visible

    return visible(text, _LONGEST)


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Write a table. right: places of the columns set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from clonewatch.report.numerals import visible

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, head in enumerate(heads):
        drawn.add_column(Text(visible(head, 100)), justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(visible(cell, 300)) for cell in row))
    if title:
        console.print(Text(f"\n{visible(title, 300)}" + ("" if drawn.row_count else ": none"), style="bold"))
    if drawn.row_count:
        console.print(drawn)
