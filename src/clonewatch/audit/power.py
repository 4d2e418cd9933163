"""What chance a plan has to find what it looks for, by an effect model that is stated and never hidden.

The model: the standardised lean of a suspect is normal with deviation 1 and mean effect * share * sqrt(tokens), where
the effect is the lean that one answered token of a model trained on nothing else would show. A test at alpha asks for
log p at most log(alpha / tests) with the bound p = exp(-z^2 / 2), which is that of the centred test. Small models
over-learn, so an effect measured on them promises too much; take it from models like the suspect where you can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import norm

from clonewatch.model.errors import InputError


def fit(shares: Sequence[float], tokens: Sequence[float], statistics: Sequence[float]) -> float:
    """The effect that fits measured curves best, by least squares through the origin.

    shares: training shares, 0..1; tokens: answered ones behind each statistic; statistics: standardised leans.

    >>> round(fit([0.1, 0.5], [10_000, 10_000], [2.0, 10.0]), 3)
    0.2
    """
    x = [s * math.sqrt(n) for s, n in zip(shares, tokens, strict=True)]
    total = sum(v * v for v in x)
    if total <= 0:
        raise InputError("no measured point has a share above 0", mend="Measure a model that was trained on your text")
    return sum(v * z for v, z in zip(x, statistics, strict=True)) / total


def power(effect: float, share: float, tokens: int, alpha: float, tests: int = 1) -> float:
    """The chance, 0..1, that one test at alpha, corrected for the number of tests, finds this training share.

    >>> round(power(0.2, 0.1, 90_000, 1e-3), 2), power(0.2, 0.1, 1_000, 1e-3) < 0.01
    (0.99, True)
    """
    if not (0 < alpha < 1 and 0 <= share <= 1 and tokens >= 0 and tests >= 1 and effect >= 0):
        raise InputError(f"no power for effect {effect}, share {share}, {tokens} tokens, alpha {alpha}, {tests} tests")
    return float(norm.sf(math.sqrt(2 * math.log(tests / alpha)) - effect * share * math.sqrt(tokens)))


def smallest(effect: float, tokens: int, alpha: float, tests: int = 1, chance: float = 0.8) -> float:
    """The smallest training share that is found with this chance; above 1 where none is.

    >>> round(smallest(0.2, 90_000, 1e-3), 3)
    0.076
    """
    line = math.sqrt(2 * math.log(tests / alpha)) + float(norm.ppf(chance))
    return line / (effect * math.sqrt(tokens)) if effect > 0 and tokens > 0 else math.inf
