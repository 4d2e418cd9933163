"""A whole exercise: the search, the rounds, the comparisons, the bound and the sensitivity, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clonewatch.exercise.comparisons import containments, sharing
from clonewatch.exercise.findings import bound, conclusions, sensitivity
from clonewatch.exercise.money import aim
from clonewatch.exercise.play_table import PlayTable
from clonewatch.exercise.playbook import Playbook
from clonewatch.exercise.rounds import rounds
from clonewatch.exercise.workers import Workers
from clonewatch.lab.adversary.prices import cheapest
from clonewatch.lab.adversary.search import frontier


def run(playbook: Playbook, workers: Workers) -> dict[str, Any]:
    """Play an exercise and say what came of it, in plain values. workers: play and keep its episodes.

    Raises SetupError without the extras `lab` and `policy`.
    """
    table = PlayTable(playbook, workers)
    first = playbook.policies[0][0]
    told: dict[str, Any] = {
        "playbook": playbook.name,
        "world": msgspec.to_builtins(playbook.setting),
        "policies": [name for name, _ in playbook.policies],
        "checks": list(playbook.checks),
        "containment": playbook.containment,
        "undefended_usd_per_million": cheapest(aim(playbook.setting), playbook.cards)[1] * 1_000_000,
        "model_errors": table.search(first),
    }
    told["rounds"] = rounds(table) if playbook.rounds else None
    told["frontiers"] = {name: _frontier(table, name) for name, _ in playbook.policies}
    told["best"] = best = table.best(first)
    table.confirm(first, [best])
    if playbook.containments:
        told["containments"] = containments(table, best)
    if playbook.sharing:
        told["sharing"] = sharing(table, best)
    told["conclusions"] = conclusions(table, told)
    told["bound"] = bound(table)
    told["sensitivity"] = sensitivity(table, told)
    told["cards"] = {name: msgspec.to_builtins(card) for name, card in playbook.cards.held.items()}
    told["effort"] = {
        "episodes": len(table.rows),
        "played_now": workers.played,
        "strategies": len(table.strategies),
        "model_questions": playbook.search.trials * (playbook.search.rounds + playbook.rounds),
        "seeds": playbook.seeds,
    }
    return told


def _frontier(table: PlayTable, policy: str) -> list[dict[str, Any]]:
    """The strategies of the frontier against a policy, each on all seeds, with the lowest and highest of them."""
    names = [name for name in table.strategies if table.has(policy, name)]
    points = [table.point(policy, name) for name in names]
    best = [names[place] for place in frontier(points)]
    table.confirm(policy, best)
    found = [table.told(policy, name) for name in best]
    return sorted(found, key=lambda one: _first(one["multiple"]))


def _first(band: Sequence[float]) -> float:
    return band[0]
