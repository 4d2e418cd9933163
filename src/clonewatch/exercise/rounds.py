"""Rounds: the attacker answers the policies, the policies are recalibrated, and the game between them is solved."""

from __future__ import annotations

from typing import Any

from clonewatch.exercise.play_table import PlayTable, Posture
from clonewatch.exercise.policies import can_relax
from clonewatch.lab.adversary.game import Gap, Solved, ending, gap, solved

# How far above the nearest honest group recalibration stays, and the step below which it is not worth a new policy.
_MARGIN, _STEP = 0.05, 0.05


def rounds(table: PlayTable) -> dict[str, Any]:
    """Play the rounds of a playbook. Policies that recalibration makes join the table.

    Each round: the game of all policies and strategies is solved; the attacker answers the policy of most weight by
    search; the defender recalibrates and answers the attacker's mix; gains of both over the value are the gap.
    """
    book = table.playbook
    base = [name for name, _ in book.policies]
    strategies = _strongest(table, base[0])
    told: list[dict[str, Any]] = []
    played: list[tuple[str, str]] = []
    for number in range(book.rounds):
        solution = _solved(table, strategies)
        main = _heaviest(list(table.policies), solution.policies)
        chief = _heaviest(strategies, solution.strategies)
        new_strategy = _attack(table, main, strategies, number)
        column = None
        if new_strategy:
            table.play([(policy, new_strategy) for policy in table.policies], 1, f"round {number + 1}: attack")
            column = [table.payoff(policy, new_strategy) for policy in table.policies]
        before = list(table.policies)
        ratio = _recalibrated(table, main)
        row = None
        if ratio is not None:
            name = f"{_plain(main)} from {ratio:.2f}"
            table.policies[name] = Posture(table.policies[main].text, ratio)
            support = [one for one, chance in zip(strategies, solution.strategies, strict=True) if chance > 0]
            table.play([(name, one) for one in [*support, *strategies]], 1, f"round {number + 1}: defence")
            row = [table.payoff(name, one) for one in strategies]
        left = gap(solution, column, row)
        told.append(
            _said(number, before, strategies, solution, left, new_strategy, list(table.policies)[len(before) :])
        )
        played.append((main, chief))
        if new_strategy and left.attacker > 0:
            strategies.append(new_strategy)
            table.play([(policy, new_strategy) for policy in table.policies], 1, f"round {number + 1}: attack")
    final = _solved(table, strategies)
    size = max(abs(table.payoff(policy, one)) for policy in table.policies for one in strategies)
    return {
        "rounds": told,
        "ending": ending(played, [one["gap"] for one in told], size),
        "value": final.value,
        "policies": dict(zip(table.policies, final.policies, strict=True)),
        "strategies": dict(zip(strategies, final.strategies, strict=True)),
    }


def _strongest(table: PlayTable, policy: str) -> list[str]:
    """The three strategies with which the game begins: those that gain most against the first policy."""
    names = [name for name in table.strategies if table.has(policy, name)]
    return sorted(names, key=lambda name: -table.payoff(policy, name))[:3]


def _solved(table: PlayTable, strategies: list[str]) -> Solved:
    table.play([(policy, one) for policy in table.policies for one in strategies], 1, "game")
    return solved([[table.payoff(policy, one) for one in strategies] for policy in table.policies])


def _attack(table: PlayTable, policy: str, known: list[str], number: int) -> str | None:
    """The best strategy that the search finds against a policy, confirmed; None if it finds none."""
    found = table.propose(policy, f"round-{number + 1}", 1000 + number)
    if found is None:
        return None
    table.play([(policy, name) for name in found[1]], 1, f"round {number + 1}: search")
    rest = [name for name in table.strategies if table.has(policy, name) and name not in known]
    return max(rest, key=lambda name: table.payoff(policy, name), default=None)


def _recalibrated(table: PlayTable, policy: str) -> float | None:
    """The lowest threshold ratio that no honest group of any log reached; None where the policy acts from there on."""
    held = table.policies[policy]
    if not can_relax(held.text):
        return None
    honest = [group.ratio for one in table.rows.values() for group in one.groups if group.honest]
    ratio = round(max([0.0, *honest]) + _MARGIN, 2)
    now = held.relaxed or 1.0
    taken = {one.relaxed for one in table.policies.values() if one.text == held.text}
    return ratio if ratio < now - _STEP and ratio not in taken else None


def _plain(name: str) -> str:
    return name.partition(" from ")[0]


def _heaviest(names: list[str], chances: list[float]) -> str:
    return max(zip(chances, names, strict=True))[1]


def _said(
    number: int,
    policies: list[str],
    strategies: list[str],
    solution: Solved,
    left: Gap,
    attack: str | None,
    made: list[str],
) -> dict[str, Any]:
    return {
        "round": number + 1,
        "value": solution.value,
        "policies": dict(zip(policies, solution.policies, strict=True)),
        "strategies": dict(zip(strategies, solution.strategies, strict=True)),
        "attack": attack,
        "attacker_gain": left.attacker,
        "new_policy": made[0] if made else None,
        "defender_gain": left.defender,
        "gap": left.whole,
    }
