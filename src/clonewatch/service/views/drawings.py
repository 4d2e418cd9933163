"""Still pictures of the evidence pages, as SVG that takes its colours from the page.

Only numbers, days and fixed words enter them; nothing that an account wrote does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from math import ceil
from typing import NamedTuple

from markupsafe import Markup

from clonewatch.report.charts import ticks

WIDTH, HEIGHT = 660, 170
LEFT, TOP, BOTTOM, RIGHT = 52, 10, 24, 10
_LABEL = 56


class Series(NamedTuple):
    """A series of one value per day. style: bars, down (bars below zero) or line. colour: of the page, as in c1."""

    name: str
    style: str
    colour: str
    values: Sequence[float]


class Mark(NamedTuple):
    """A day with an upright line, and its name."""

    name: str
    day: date


def by_day(first: date, series: Sequence[Series], marks: Sequence[Mark] = ()) -> Markup:
    """Series of days as one picture with a common scale; empty where there is no day."""
    days = max((len(one.values) for one in series), default=0)
    if not days:
        return Markup("")
    most = max([1.0, *(value for one in series if one.style != "down" for value in one.values)])
    least = max([0.0, *(value for one in series if one.style == "down" for value in one.values)])
    scale = HEIGHT / (most + least) / 1.04
    zero, step = TOP + most * scale * 1.04, WIDTH / days
    parts = []
    for value in ticks(most, 4):
        y = zero - value * scale
        parts.append(f'<path d="M{LEFT - 5} {y:.1f}H{LEFT + WIDTH}" stroke="var(--rule)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>')
    if least:
        parts.append(f'<text x="{LEFT - 8}" y="{zero + least * scale + 4:.1f}" text-anchor="end">−{least:,.0f}</text>')
    for one in series:
        parts += _line(one, zero, scale, step) if one.style == "line" else _bars(one, zero, scale, step)
    bottom = zero + least * scale * 1.04
    parts += _days(first, days, step, bottom)
    for mark in marks:
        at = (mark.day - first).days
        if 0 <= at <= days:
            x = LEFT + at * step
            parts.append(
                f'<path d="M{x:.1f} {TOP}V{bottom:.1f}" stroke="var(--ink)" stroke-width="1.4" stroke-dasharray="5 3"/>'
            )
    wide, high = LEFT + WIDTH + RIGHT, ceil(bottom + BOTTOM)
    head = f'<svg class="chart" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" aria-hidden="true">'
    # Only numbers, days and fixed words went in.
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704


def _bars(one: Series, zero: float, scale: float, step: float) -> list[str]:
    parts = []
    for i, value in enumerate(one.values):
        if value:
            high = value * scale
            y = zero if one.style == "down" else zero - high
            parts.append(
                f'<rect x="{LEFT + i * step:.1f}" y="{y:.1f}" width="{max(0.8, step - 0.6):.1f}" height="{high:.1f}"'
                f' fill="var(--{one.colour})"/>'
            )
    return parts


def _line(one: Series, zero: float, scale: float, step: float) -> list[str]:
    points = " ".join(f"{LEFT + (i + 0.5) * step:.1f},{zero - v * scale:.1f}" for i, v in enumerate(one.values))
    return [f'<polyline points="{points}" fill="none" stroke="var(--{one.colour})" stroke-width="2"/>']


def _days(first: date, days: int, step: float, bottom: float) -> list[str]:
    every = max(1, ceil(_LABEL / step))
    parts = []
    for number in range(0, days, every):
        x = LEFT + number * step
        day = first + timedelta(days=number)
        parts.append(f'<path d="M{x:.1f} {bottom:.1f}v5" stroke="var(--rule)"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17:.1f}">{day.day} {day:%b}</text>')
    return parts


def spread(first: date, last: date, found: Sequence[tuple[datetime, float]]) -> list[float]:
    """Values by day from first to last, added up within a day."""
    out = [0.0] * ((last - first).days + 1)
    for at, value in found:
        place = (at.date() - first).days
        if 0 <= place < len(out):
            out[place] += value
    return out
