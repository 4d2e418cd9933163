"""The fast response model: what a defence leaves of a strategy, interpolated between episodes that were played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from clonewatch.lab.adversary.strategy import Strategy, knobs, placed

FEWEST = 4  # episodes; with fewer there is nothing to interpolate
# Played episodes vary by seed, so the surface need not go through them.
_SMOOTHING = 0.02


class Answer(NamedTuple):
    """What a defence makes of a strategy.

    delivered: useful exchanges as a share of those undisturbed. opened: accounts, replacements included, as a multiple
    of the first pool.
    """

    delivered: float
    opened: float


class Response:
    """A surface through answers, over some of the knobs. Raises ValueError for fewer than FEWEST.

    Radial basis functions with a linear kernel, as `scipy.interpolate.RBFInterpolator` fits them.
    """

    def __init__(self, strategies: Sequence[Strategy], answers: Sequence[Answer], names: Sequence[str]) -> None:
        if len(strategies) < FEWEST:
            raise ValueError(f"a response model needs {FEWEST} episodes, not {len(strategies)}")
        self.names = tuple(names)
        self._places = np.array([self.place(one) for one in strategies])
        self._answers = np.array(answers, dtype=np.float64)
        self._surface = _fitted(self._places, self._answers)

    def place(self, strategy: Strategy) -> list[float]:
        """A strategy as coordinates of the searched knobs."""
        return [part for name in self.names for part in placed(knobs()[name], getattr(strategy, name))]

    def answer(self, strategy: Strategy) -> Answer:
        """What the model expects of a strategy, within what is possible."""
        delivered, opened = self._surface(np.array([self.place(strategy)]))[0]
        return Answer(float(np.clip(delivered, 0.0, 1.2)), float(np.clip(opened, 1.0, 4.0)))

    def distance(self, strategy: Strategy) -> float:
        """How far a strategy is from the nearest that was played, in coordinates."""
        return float(np.min(np.linalg.norm(self._places - np.array(self.place(strategy)), axis=1)))

    def error(self) -> float:
        """Mean absolute error of the delivered share, each episode predicted from all others."""
        missed = []
        for place in range(len(self._places)):
            rest = np.arange(len(self._places)) != place
            said = _fitted(self._places[rest], self._answers[rest])(self._places[place : place + 1])[0, 0]
            missed.append(abs(float(np.clip(said, 0.0, 1.2)) - self._answers[place, 0]))
        return float(np.mean(missed))


def _fitted(places: NDArray[np.float64], answers: NDArray[np.float64]) -> RBFInterpolator:
    distinct, where = np.unique(np.round(places, 9), axis=0, return_inverse=True)
    means = np.array([answers[where.ravel() == one].mean(axis=0) for one in range(len(distinct))])
    return RBFInterpolator(distinct, means, kernel="linear", degree=0, smoothing=_SMOOTHING)
