"""A backtest of one policy, or of two side by side, as an HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonewatch.report.render import environment
from clonewatch.report.yield_chart import COLOURS, Point, yield_chart


def backtest_page(told: Mapping[str, Any]) -> str:
    """The page of what `clonewatch policy backtest --json` tells. No clock: the same figures give the same page."""
    policies = told["policies"]
    chart = yield_chart(
        [[Point(one["other"], one["preventable"]) for one in held["steps"]] for held in policies],
        max(held["harvested"] for held in policies),
    )
    return (
        environment()
        .get_template("backtest.html.j2")
        .render(told=told, policies=policies, chart=chart, colours=COLOURS)
    )
