"""The charts of the audit page: p-values on a log scale, as static SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vl_convert

Record = dict[str, Any]
_TESTS = ("plain", "text", "logprobs")
# Distinguishable without colour vision.
_COLOURS = ["#888888", "#1b6ca8", "#d1660f"]
_LEAST = 1e-60
_CONFIG = {
    "font": "sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "aria": False,
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 14,
        "gridColor": "#e4e4e4",
    },
    "legend": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"},
}


def dilution(rows: Sequence[Record]) -> str:
    """p by the share of training data with the watermark, one point per seed."""
    values = [
        {"x": max(100 * r["share"], 0.5), "p": max(10 ** r[test], _LEAST), "test": test, "rule": r["rule"]}
        for r in rows
        for test in _TESTS
    ]
    return _draw(values, "share with the watermark, % (0.5: none)", median=True)


def queries(rows: Sequence[Record]) -> str:
    """p by the number of tokens, for 10 % of training data with the watermark."""
    values = [
        {"x": r["tokens"], "p": max(10 ** r[test], _LEAST), "test": test, "rule": r["rule"]}
        for r in rows
        if r["share"] == 0.1
        for test in _TESTS
    ]
    return _draw(values, "requested tokens, at 10 % with the watermark", median=False)


def neural(sums: Record) -> str:
    """p of transformers by the share, one point per seed."""
    return dilution(sums["dilution"])


def _draw(values: Sequence[Record], title: str, median: bool) -> str:
    encoding: Record = {
        "x": {"field": "x", "type": "quantitative", "title": title, "scale": {"type": "log", "nice": False}},
        "y": {
            "field": "p",
            "type": "quantitative",
            "title": "p-value (1e-60 and less at the bottom)",
            "scale": {"type": "log", "domain": [_LEAST, 1]},
            "axis": {"format": "~e", "tickCount": 7},
        },
        "color": {"field": "test", "type": "nominal", "title": None, "scale": {"domain": _TESTS, "range": _COLOURS}},
        "shape": {"field": "test", "type": "nominal", "title": None, "scale": {"domain": _TESTS}},
    }
    line = {name: channel for name, channel in encoding.items() if name != "shape"}
    line["y"] = line["y"] | ({"aggregate": "median"} if median else {})
    points = {"mark": {"type": "point", "filled": True, "size": 45, "opacity": 0.8}, "encoding": encoding}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": _CONFIG,
        "data": {"values": values},
        "facet": {"column": {"field": "rule", "type": "nominal", "title": None}},
        "spec": {"width": 300, "height": 260, "layer": [{"mark": {"type": "line"}, "encoding": line}, points]},
    }
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg
