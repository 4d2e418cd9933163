"""The game between policies and strategies: its solution, and how much either side could still gain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from clonewatch.model.errors import ClonewatchError

# A gain below this share of the value's size is no gain: episodes are counts, and so is what they cost.
TOLERANCE = 0.02


class Solved(NamedTuple):
    """A solution of a zero-sum game. value: what the attacker gets. policies, strategies: chances of each."""

    value: float
    policies: list[float]
    strategies: list[float]


def solved(payoff: Sequence[Sequence[float]]) -> Solved:
    """Solve a zero-sum game by linear programming. payoff: by policy (row, which pays) and strategy (column).

    >>> solved([[1, -1], [-1, 1]]).policies
    [0.5, 0.5]
    """
    table = np.asarray(payoff, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError("a game has a row for each policy and a column for each strategy, all finite")
    policies, value = _mixed(table)
    strategies, _ = _mixed(-table.T)
    return Solved(value, policies, strategies)


def _mixed(table: NDArray[np.float64]) -> tuple[list[float], float]:
    """Chances of the rows by which the most that any column gets is least, and that value."""
    rows, columns = table.shape
    scale = float(np.abs(table).max()) or 1.0
    bounds = [(0.0, 1.0)] * rows + [(None, None)]
    found = linprog(
        np.r_[np.zeros(rows), 1.0],
        A_ub=np.c_[table.T / scale, -np.ones(columns)],
        b_ub=np.zeros(columns),
        A_eq=np.r_[np.ones(rows), 0.0][None, :],
        b_eq=[1.0],
        bounds=bounds,
        method="highs",
    )
    if found.status != 0 or found.x is None:
        raise ClonewatchError(f"the game has no solution: {found.message}", fix="Report this with the playbook")
    chances = np.clip(found.x[:rows], 0.0, None)
    return [round(float(one), 6) for one in chances / chances.sum()], float(found.x[-1] * scale)


class Gap(NamedTuple):
    """What either side would gain by its best response among those found. Both are 0 at a fixed point."""

    attacker: float
    defender: float

    @property
    def whole(self) -> float:
        """The exploitability gap, as far as responses were found."""
        return self.attacker + self.defender


def gap(solution: Solved, new_column: Sequence[float] | None, new_row: Sequence[float] | None) -> Gap:
    """The gap of a solution. new_column: what a new strategy gets by policy. new_row: what a new policy pays."""
    attacker = float(np.dot(solution.policies, new_column)) - solution.value if new_column else 0.0
    defender = solution.value - float(np.dot(solution.strategies, new_row)) if new_row else 0.0
    return Gap(max(0.0, attacker), max(0.0, defender))


def ending(played: Sequence[tuple[str, str]], gaps: Sequence[float], size: float) -> str:
    """What the rounds came to: `fixed point`, `cycle` or `open`. played: main policy and strategy of each round.

    size: of the payoffs, against which a gap is small.

    >>> ending([("a", "x"), ("b", "y"), ("a", "x")], [9.0, 9.0, 9.0], 10.0)
    'cycle'
    """
    if gaps and gaps[-1] <= TOLERANCE * max(size, 1e-9):
        return "fixed point"
    if len(played) > 2 and played[-1] in played[:-2] and played[-1] != played[-2]:
        return "cycle"
    return "open"
