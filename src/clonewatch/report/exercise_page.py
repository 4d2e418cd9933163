"""An exercise of the policy lab as an HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonewatch.report.exercise_chart import COLOURS, Band, frontier_chart
from clonewatch.report.render import environment


def exercise_page(told: Mapping[str, Any]) -> str:
    """The page of what `clonewatch lab run --json` tells. No clock: the same figures give the same page."""
    frontiers: Mapping[str, Any] = told["frontiers"]
    chart = frontier_chart(
        [[(Band(*one["multiple"]), Band(*one["share"])) for one in points] for points in frontiers.values()]
    )
    template = environment().get_template("exercise.html.j2")
    return template.render(told=told, chart=chart, colours=COLOURS, changed=_changed(told))


def _changed(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What changed the attacker's mind: knobs of the strategies of most weight, from round to round."""
    knobs = {one["strategy"]: one["knobs"] for points in told["frontiers"].values() for one in points}
    rounds = (told["rounds"] or {}).get("rounds", [])
    chiefs = [max(one["strategies"], key=one["strategies"].get) for one in rounds]
    found = []
    for number, (before, after) in enumerate(zip(chiefs, [*chiefs[1:], told["best"]], strict=True), 1):
        if before in knobs and after in knobs and before != after:
            old = knobs[before]
            said = [f"{name} {old[name]} to {value}" for name, value in knobs[after].items() if old[name] != value]
            found.append((f"after round {number}", f"{before} to {after}", ", ".join(said)))
    return found
