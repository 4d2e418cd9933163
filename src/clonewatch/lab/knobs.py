"""Knobs: every random parameter of a scenario, drawn once and recorded."""

from collections.abc import Sequence
from math import exp, log

import numpy as np


class Knobs:
    """Draws named values from ranges and records them for `scenario.json`.

    >>> knobs = Knobs(np.random.default_rng(1), {})
    >>> 3 <= knobs.whole("cards", 3, 9) <= 9
    True
    >>> sorted(knobs.drawn)
    ['cards']
    """

    def __init__(self, rng: np.random.Generator, drawn: dict[str, object], prefix: str = "") -> None:
        self.rng, self.drawn, self.prefix = rng, drawn, prefix

    def under(self, prefix: str) -> "Knobs":
        """The same knobs, recorded under another heading."""
        return Knobs(self.rng, self.drawn, f"{prefix}.")

    def real(self, name: str, low: float, high: float) -> float:
        """A number, uniform between low and high."""
        return float(self._keep(name, round(float(self.rng.uniform(low, high)), 6)))

    def spread(self, name: str, low: float, high: float) -> float:
        """A positive number, log-uniform between low and high."""
        return float(self._keep(name, round(exp(float(self.rng.uniform(log(low), log(high)))), 6)))

    def whole(self, name: str, low: int, high: int) -> int:
        """An integer, low and high included."""
        return int(self._keep(name, int(self.rng.integers(low, high + 1))))

    def size(self, name: str, low: float, high: float, scale: float, least: int) -> int:
        """A number of accounts that grows with the scale of the log, never below `least`."""
        return int(self._keep(name, max(least, round(float(self.rng.uniform(low, high)) * scale))))

    def one(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices."""
        return str(self._keep(name, choices[int(self.rng.integers(len(choices)))]))

    def _keep(self, name: str, value: float | int | str) -> float | int | str:
        self.drawn[self.prefix + name] = value
        return value
