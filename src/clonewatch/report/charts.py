"""The charts of a report: still SVG, coloured by the page's own CSS variables.

Only numbers, days and the fixed words of `report.phrases` enter a chart; nothing an account wrote does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil, floor, log10
from typing import Any, NamedTuple

from markupsafe import Markup

from clonewatch.report import phrases
from clonewatch.report.numerals import instant

# More colours than this cannot be told apart in print; smaller tasks are drawn together.
SERIES = 5
# Longer windows are drawn by week, so that a bar stays wider than a line.
LONGEST_DAILY = timedelta(days=100)
REST = "all other tasks"
UNATTRIBUTED = "same accounts, not attributed"
# Pixels: of the plots, of the space for the labels around them, of a label of a day.
WIDTH, HIGH, LOW, GAP = 660, 190, 54, 16
LEFT, TOP, BOTTOM, RIGHT = 48, 8, 24, 8
_LABEL = 56
_MILLISECONDS_A_DAY = 86_400_000


class Timeline(NamedTuple):
    """A drawn timeline: its SVG, and the names and colours of its series for a legend that the page sets itself.

    A legend inside the picture is measured with another font than the reader's, and long names lose their end.
    """

    svg: Markup
    series: list[tuple[str, str]]


class _Plot(NamedTuple):
    """Where values land in the picture. first, last: milliseconds; top: pixels; most: the largest value."""

    first: int
    last: int
    top: float
    height: float
    most: float

    def x(self, at: int) -> float:
        return LEFT + WIDTH * (at - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - value / self.most)


def timeline(rows: Iterable[Mapping[str, Any]], visible_from: datetime | None) -> Timeline | None:
    """Attributed exchanges over time by task, and below it the active accounts, as one picture; None without rows.

    rows: `timeline` rows of one campaign. visible_from: drawn as an upright line when it falls inside the rows.
    """
    kept = [(moment, row) for row in rows if (moment := instant(row["day"])) is not None]
    if not kept:
        return None
    first, last = min(d for d, _ in kept), max(d for d, _ in kept)
    step = 1 if last - first <= LONGEST_DAILY else 7
    series, values, active = _stacked(kept, first, step)
    begin, end = _stamp(first), max(bar["to"] for bar in active)
    upper = _Plot(begin, end, TOP, HIGH, max([1.0, *(bar["high"] * 1.04 for bar in values)]))
    lower = _Plot(begin, end, TOP + HIGH + GAP, LOW, max([1.0, *(bar["accounts"] * 1.04 for bar in active)]))
    colours = {name: _colour(name, place) for place, name in enumerate(series)}
    parts = [
        *_values(upper, "exchanges", 4),
        *(_bar(upper, bar, bar["low"], bar["high"], colours[bar["series"]]) for bar in values),
        *_values(lower, "accounts", 2),
        *(_bar(lower, bar, 0, bar["accounts"], "var(--muted)") for bar in active),
        *_days(lower),
    ]
    if visible_from is not None and first <= visible_from < last + timedelta(days=step):
        x = upper.x(_stamp(visible_from))
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + HIGH}" stroke="var(--ink)" stroke-width="1.4"'
            ' stroke-dasharray="5 3"/>'
        )
    wide, high = LEFT + WIDTH + RIGHT, TOP + HIGH + GAP + LOW + BOTTOM
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
        f' font-family="sans-serif" font-size="11" fill="var(--muted)">{"".join(parts)}</svg>'
    )
    # Only numbers, days and fixed words went in.
    return Timeline(Markup(svg), list(colours.items()))  # noqa: S704


def ticks(most: float, wanted: int) -> list[int]:
    """Round whole numbers from 0 up to `most`, about as many steps as wanted.

    >>> ticks(547.0, 4), ticks(54.0, 2), ticks(1.0, 4)
    ([0, 100, 200, 300, 400, 500], [0, 20, 40], [0, 1])
    """
    rough = most / wanted
    size = 10 ** floor(log10(rough)) if rough > 1 else 1
    # The nearest of 1, 2, 5 and 10 on a scale of ratios.
    step = max(
        1, next((size * by for by, below in ((1, 1.42), (2, 3.17), (5, 7.08)) if rough / size < below), size * 10)
    )
    return list(range(0, floor(most) + 1, step))


def _values(plot: _Plot, title: str, wanted: int) -> list[str]:
    """Lines and numbers of the upright axis, its title turned."""
    middle = plot.top + plot.height / 2
    parts = [
        f'<text transform="translate(12,{middle:.1f}) rotate(-90)" text-anchor="middle" font-size="12">{title}</text>'
    ]
    for value in ticks(plot.most, wanted):
        y = plot.y(value)
        parts.append(f'<path d="M{LEFT - 5} {y:.1f}H{LEFT + WIDTH}" stroke="var(--rule)"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 3.8:.1f}" text-anchor="end">{value:,}</text>')
    return [*parts, f'<path d="M{LEFT} {plot.top}V{plot.top + plot.height}" stroke="var(--rule)"/>']


def _days(plot: _Plot) -> list[str]:
    """Days under the plot, as many as fit."""
    days = (plot.last - plot.first) / _MILLISECONDS_A_DAY
    every = max(1, ceil(days * _LABEL / WIDTH))
    midnight = datetime.fromtimestamp(plot.first / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    bottom = plot.top + plot.height
    parts = []
    for number in range(0, ceil(days) + 1, every):
        day = midnight + timedelta(days=number)
        if not plot.first <= (at := _stamp(day)) <= plot.last:
            continue
        x = plot.x(at)
        # The label of the first and of the last day may reach beyond the plot, but not beyond the picture.
        centre = min(max(x, LEFT - RIGHT + _LABEL / 2 - 8), LEFT + WIDTH + RIGHT - _LABEL / 2 + 8)
        parts.append(f'<path d="M{x:.1f} {bottom}v5" stroke="var(--rule)"/>')
        parts.append(f'<text x="{centre:.1f}" y="{bottom + 17}" text-anchor="middle">{day.day} {day:%b}</text>')
    return parts


def _bar(plot: _Plot, bar: Mapping[str, int], low: int, high: int, colour: str) -> str:
    """A box from one value to another; nothing where they are equal."""
    if high <= low:
        return ""
    x, y = plot.x(bar["from"]), plot.y(high)
    wide, tall = plot.x(bar["to"]) - x, plot.y(low) - y
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}" stroke="var(--page)"'
        ' stroke-width=".4"/>'
    )


def _stacked(
    kept: list[tuple[datetime, Mapping[str, Any]]], first: datetime, step: int
) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """Series names in drawing order, one value per bar and series, and accounts active per bar."""
    totals: Counter[str] = Counter()
    for _, row in kept:
        totals[phrases.task(row["task"])] += row["harvested"] or 0
    ranked = [name for name, total in sorted(totals.items(), key=lambda t: (-t[1], t[0])) if total]
    # One task more than the limit is drawn as itself: a heap of one would only hide its name.
    own = ranked if len(ranked) <= SERIES + 1 else ranked[:SERIES]
    heaps: defaultdict[tuple[int, str], int] = defaultdict(int)
    accounts: defaultdict[int, int] = defaultdict(int)
    for moment, row in kept:
        bar = (moment - first).days // step
        harvested = row["harvested"] or 0
        name = phrases.task(row["task"])
        heaps[bar, name if name in own else REST] += harvested
        heaps[bar, UNATTRIBUTED] += max(0, (row["exchanges"] or 0) - harvested)
        accounts[bar] = max(accounts[bar], row["accounts"] or 0)
    drawn = {name for (_, name), total in heaps.items() if total}
    series = [name for name in (*own, REST, UNATTRIBUTED) if name in drawn]

    def bounds(bar: int) -> dict[str, Any]:
        begin = first + timedelta(days=bar * step)
        return {"from": _stamp(begin), "to": _stamp(begin + timedelta(days=step))}

    values = []
    for bar in sorted(accounts):
        low = 0
        for name in series:
            high = low + heaps[bar, name]
            values.append({**bounds(bar), "series": name, "low": low, "high": high})
            low = high
    return series, values, [{**bounds(bar), "accounts": n} for bar, n in sorted(accounts.items())]


def _colour(series: str, place: int) -> str:
    return "var(--faint)" if series == UNATTRIBUTED else f"var(--c{place + 1})"


def _stamp(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
