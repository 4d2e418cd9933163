"""A report as Markdown and as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined


class Chapter(NamedTuple):
    """A chapter of the report: sentences, then points, then a table whose first row is its header."""

    title: str
    sentences: Sequence[str]
    points: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()


def markdown(parts: Sequence[Chapter]) -> str:
    """The report as Markdown."""
    lines = ["# Audit report", ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        for sentence in part.sentences:
            lines += [_line(sentence), ""]
        lines += [f"- {_line(point)}" for point in part.points] + [""] * bool(part.points)
        if part.table:
            head, *rows = part.table
            lines += [_row(head), "|" + "---|" * len(head), *map(_row, rows), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def page(parts: Sequence[Chapter], style: str) -> str:
    """The report as one self-contained HTML page. style: CSS."""
    return _environment().get_template("report.html.j2").render(parts=parts, style=style)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("clonewatch.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _line(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_line(c).replace("|", "\\|") for c in cells) + " |"
