"""The charts of the evaluation page: Vega-Lite specifications rendered to static SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import vl_convert

from evals.wording import COLUMN_NAMES

Record = dict[str, Any]
_WIDTH = 560
_FEWEST = 5  # p-values from which a class has its own curve
# Distinguishable without colour vision; in print by the shapes.
_COLOURS = ["#1b6ca8", "#d1660f", "#5b8c2a", "#7a4fa3"]
_CONFIG = {
    "font": "sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "aria": False,
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#e4e4e4"},
    "legend": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"},
}


def recall(rows: Sequence[Record]) -> str:
    """Share of accounts flagged and of harvested exchanges attributed, by scenario over its logs."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for r in rows:
        own = sums[r["scenario"]]
        for i, value in enumerate((r["caught"], r["members"], r["attributed"] - r["honest_hit"], r["harvested"])):
            own[i] += value
    values = [
        {"scenario": name, "share": part / whole, "of": label}
        for name, (caught, members, right, harvested) in sums.items()
        for part, whole, label in (
            (caught, members, "accounts flagged"),
            (right, harvested, "exchanges attributed"),
        )
        if whole
    ]
    return _draw(
        {
            "data": {"values": values},
            "width": _WIDTH,
            "height": {"step": 20},
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.85},
            "encoding": {
                "y": {
                    "field": "scenario",
                    "type": "nominal",
                    "title": None,
                    "sort": sorted(sums),
                    "axis": {"grid": True, "labelLimit": 220},
                },
                "x": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "share over the logs of the scenario",
                    "scale": {"domain": [0, 1]},
                    "axis": {"format": ".0%"},
                },
                "color": _colour("of"),
                "shape": {"field": "of", "type": "nominal", "title": None, "legend": None},
            },
        }
    )


def agreement(parts: Sequence[Record]) -> str | None:
    """The p-values of honest groups against the uniform distribution; None without any."""
    values = [
        {"expected": (i + 0.5) / len(part["p"]), "p": p, "class": f"{part['class']} ({len(part['p'])})"}
        for part in parts
        if len(part["p"]) >= _FEWEST
        for i, p in enumerate(part["p"])
    ]
    if not values:
        return None
    square = {"x": {"field": "expected", "type": "quantitative"}, "y": {"field": "p", "type": "quantitative"}}
    unit = {"scale": {"domain": [0, 1]}}
    return _draw(
        {
            "width": 340,
            "height": 340,
            "layer": [
                {
                    "data": {"values": [{"expected": 0, "p": 0}, {"expected": 1, "p": 1}]},
                    "mark": {"type": "line", "color": "#888", "strokeDash": [5, 3], "strokeWidth": 1},
                    "encoding": square,
                },
                {
                    "data": {"values": values},
                    "mark": {"type": "line", "point": {"size": 18}, "strokeWidth": 1.4},
                    "encoding": {
                        "x": square["x"] | unit | {"title": "share of honest groups at or below"},
                        "y": square["y"] | unit | {"title": "p-value"},
                        "color": _colour("class", "accounts per group"),
                    },
                },
            ],
        }
    )


def trade(found: Record) -> str | None:
    """Harvest not stopped against honest accounts acted on, by threshold; None without points."""
    if not any(found["by"].values()):
        return None
    # Zero cannot be drawn on a log axis: it is drawn at the smallest observable rate.
    least = 1e5 / found["account_months"]
    drawn = [
        {
            "honest": max(x["honest"], least),
            "leaked": x["leaked"],
            "threshold": x["threshold"],
            "on": f"threshold on the {COLUMN_NAMES.get(name, name)}",
        }
        for name, lines in found["by"].items()
        for x in sorted(lines, key=lambda x: x["threshold"])
    ]
    rule = found["rule"]
    points = [{"honest": max(rule["honest"], least), "leaked": rule["leaked"], "what": "the rule of the scan"}]
    said = "honest accounts acted on, per 100,000 account-months (at the left edge: none)"
    x = {"field": "honest", "type": "quantitative", "scale": {"type": "log"}, "title": said}
    x["axis"] = {"format": "~s", "tickCount": 6}
    y = {
        "field": "leaked",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "title": "harvest not stopped, at best",
    }
    y["axis"] = {"format": ".0%"}
    return _draw(
        {
            "width": _WIDTH,
            "height": 280,
            "layer": [
                {
                    "data": {"values": drawn},
                    "mark": {"type": "line", "point": {"size": 20}},
                    "encoding": {
                        "x": x,
                        "y": y,
                        "order": {"field": "threshold", "type": "quantitative"},
                        "color": _colour("on"),
                    },
                },
                {
                    "data": {"values": points},
                    "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 160, "color": _COLOURS[3]},
                    "encoding": {"x": x, "y": y},
                },
                {
                    "data": {"values": points},
                    "mark": {"type": "text", "align": "left", "dx": 8, "dy": -14, "color": _COLOURS[3]},
                    "encoding": {"x": x, "y": y, "text": {"field": "what"}},
                },
            ],
        }
    )


def methods(found: dict[str, Record]) -> str | None:
    """Recall of every method at each false-positive rate; None without any."""
    values = [
        {"method": name, "recall": at["recall"], "rate": f"1 in {round(1 / float(rate)):,} honest accounts flagged"}
        for name, told in found.items()
        for rate, at in told["at"].items()
    ]
    if not values:
        return None
    return _draw(
        {
            "data": {"values": values},
            "width": _WIDTH,
            "height": {"step": 14},
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "method", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 220}},
                "yOffset": {"field": "rate", "type": "nominal", "sort": None},
                "x": {
                    "field": "recall",
                    "type": "quantitative",
                    "title": "accounts of campaigns found",
                    "scale": {"domain": [0, 1]},
                    "axis": {"format": ".0%"},
                },
                "color": _colour("rate"),
            },
        }
    )


def _colour(field: str, title: str | None = None) -> Record:
    return {
        "field": field,
        "type": "nominal",
        "title": title,
        "sort": None,
        "scale": {"range": _COLOURS},
        "legend": {"orient": "top", "labelLimit": 400},
    }


def _draw(spec: Record) -> str:
    drawn: str = vl_convert.vegalite_to_svg(
        {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": _CONFIG, **_native(spec)}
    )
    return drawn


def _native(value: Any) -> Any:
    """The same value with numpy numbers as Python numbers."""
    if isinstance(value, dict):
        return {k: _native(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_native(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
