"""Formatting of tables, figures and paragraphs for the evaluation page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from evals.intervals import Share, percent

Record = dict[str, Any]
_WIDTH = 120
# Columns of `campaigns` that a threshold can be set on, as the page names them.
COLUMN_NAMES = {"score": "score", "threshold_ratio": "threshold ratio"}


def filled(text: str) -> str:
    """Wrap paragraphs of Markdown at 120 columns; tables, headings, lists, code and pictures stay as they are.

    >>> filled("a\\nb\\n\\n| a |\\n|---|")
    'a b\\n\\n| a |\\n|---|'
    """
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    for at in range(0, len(parts), 2):
        paragraphs = parts[at].split("\n\n")
        parts[at] = "\n\n".join(p if re.match(r"\s*([|#!>]|[-*] |\d+\. |    )", p) else _broken(p) for p in paragraphs)
    return "".join(parts)


def _broken(paragraph: str) -> str:
    head = "\n" if paragraph.startswith("\n") else ""
    tail = "\n" if paragraph.endswith("\n") and paragraph.strip() else ""
    lines = textwrap.wrap(" ".join(paragraph.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return head + "\n".join(lines) + tail


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(r)} |" for r in rows)])


def total(rows: Sequence[Record], key: str) -> int:
    """The sum of a field over rows."""
    return sum(int(r[key]) for r in rows)


def of_whole(rows: Sequence[Record], part: str, whole: str) -> str:
    """Sums of two fields over rows, as "n of m"."""
    return f"{total(rows, part):,} of {total(rows, whole):,}"


def part_of(part: int, whole: int) -> str:
    """A ratio with three decimals, "-" for a denominator of zero."""
    value = Share(part, whole, None, None).value
    return "-" if value is None else f"{value:.3f}"


def brief(value: float | None) -> str:
    """Three significant figures, "-" for None."""
    return "-" if value is None else f"{value:.3g}"


def plain(part: int, whole: int) -> str:
    """A count, its total and their ratio, without an interval: for items that are strongly dependent.

    >>> plain(1, 4)
    '1 of 4 (25.00%)'
    """
    return f"{part:,} of {whole:,}" + (f" ({percent(part / whole)})" if whole else "")


def span(seeds: Iterable[int]) -> str:
    """Seeds as ranges.

    >>> span([301, 302, 303, 7])
    '7, 301 to 303'
    """
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs) or "-"


def scales_of(rows: Sequence[Record]) -> str:
    """The scales of rows, as a list of up to four or as a range."""
    scales = sorted({r["scale"] for r in rows})
    if not scales:
        return "-"
    return ", ".join(f"{s:g}" for s in scales) if len(scales) <= 4 else f"{scales[0]:g} to {scales[-1]:g}"
