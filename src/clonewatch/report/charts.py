"""The charts of a report: Vega-Lite specifications drawn to still SVG, coloured by the page's own CSS variables.

Only numbers, days and the fixed words of `report.phrases` enter a chart; nothing an account wrote does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import vl_convert
from markupsafe import Markup

from clonewatch.report import phrases
from clonewatch.report.numerals import instant

# More colours than this cannot be told apart in print; smaller tasks are drawn together.
SERIES = 5
# Longer windows are drawn by week, so that a bar stays wider than a line.
LONGEST_DAILY = timedelta(days=100)
REST = "all other tasks"
UNATTRIBUTED = "same accounts, not attributed"
WIDTH = 660

_AXIS = {
    "labelColor": "var(--muted)",
    "titleColor": "var(--muted)",
    "titleFontWeight": "normal",
    "titleFontSize": 12,
    "domainColor": "var(--rule)",
    "tickColor": "var(--rule)",
    "gridColor": "var(--rule)",
    "labelFontSize": 11,
}


class Timeline(NamedTuple):
    """A drawn timeline: its SVG, and the names and colours of its series for a legend that the page sets itself.

    A legend inside the picture is measured with another font than the reader's, and long names lose their end.
    """

    svg: Markup
    series: list[tuple[str, str]]


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
    span = {"type": "temporal", "scale": {"type": "utc"}, "title": None}
    bars = {
        "mark": {"type": "rect", "stroke": "var(--page)", "strokeWidth": 0.4},
        "data": {"values": values},
        "encoding": {
            "x": {**span, "field": "from", "axis": {"labels": False, "ticks": False, "grid": False}},
            "x2": {"field": "to"},
            "y": {"field": "low", "type": "quantitative", "title": "exchanges", "axis": {"tickCount": 4}},
            "y2": {"field": "high"},
            "color": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": series, "range": [_colour(s, i) for i, s in enumerate(series)]},
                "legend": None,
            },
        },
    }
    layers = [bars]
    if visible_from is not None and first <= visible_from < last + timedelta(days=step):
        layers.append(
            {
                "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [5, 3], "strokeWidth": 1.4},
                "data": {"values": [{"at": _stamp(visible_from)}]},
                "encoding": {"x": {**span, "field": "at"}},
            }
        )
    accounts = {
        "height": 54,
        "width": WIDTH,
        "mark": {"type": "rect", "color": "var(--muted)", "stroke": "var(--page)", "strokeWidth": 0.4},
        "data": {"values": active},
        "encoding": {
            "x": {**span, "field": "from", "axis": {"format": "%-d %b", "labelOverlap": True, "grid": False}},
            "x2": {"field": "to"},
            "y": {"field": "none", "type": "quantitative", "title": "accounts", "axis": {"tickCount": 2}},
            "y2": {"field": "accounts"},
        },
    }
    drawn = _draw(
        {
            "vconcat": [{"layer": layers, "height": 190, "width": WIDTH}, accounts],
            "spacing": 10,
            "resolve": {"scale": {"x": "shared"}},
        }
    )
    return Timeline(drawn, [(name, _colour(name, i)) for i, name in enumerate(series)])


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
    return series, values, [{**bounds(bar), "none": 0, "accounts": n} for bar, n in sorted(accounts.items())]


def _colour(series: str, place: int) -> str:
    return "var(--faint)" if series == UNATTRIBUTED else f"var(--c{place + 1})"


def _stamp(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _draw(spec: dict[str, Any]) -> Markup:
    config = {
        "background": "transparent",
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": _AXIS,
        # The page describes each chart in words; labels on every bar would only make it long.
        "aria": False,
    }
    svg = vl_convert.vegalite_to_svg(
        {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **spec, "config": config}
    )
    return Markup(svg)  # noqa: S704 - only numbers, days and fixed words went in
