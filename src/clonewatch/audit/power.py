"""The power of a plan, under a model of effects that is always stated.

Evidence is y = sqrt(-2 ln p). It is taken as normal, with the mean effect * share**bend * sqrt(n / (1 + n / reach)) and
the deviation sqrt(1 + (spread * mean)**2): it grows with the training share and the number n of answered tokens (of
pairs, for twins) until more of them add nothing. A test at alpha detects y >= sqrt(2 ln(tests / alpha)).

`curves.json` holds curves fitted by `python -m evals.audit_study` to students that were really trained, and
docs/audit.md reports how well they predict seeds to which they were not fitted. These students are tiny and over-learn:
for a large model every curve here is too optimistic. Where nothing was measured there is no curve, and the power is
unknown.
"""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from scipy.special import ndtr

from clonewatch.model.errors import InputError

Students = Literal["transformer", "trigram"]
# How the watermarks of the study were served. Other windows and shares of green tokens were not measured for power.
MEASURED = {"rule": "kgw", "width": 1, "gamma": 0.5}
# The smallest share that is shown: the study has no rows below it.
_LEAST_SHARE = 1e-4


class Curve(NamedTuple):
    """How evidence grows. The defaults give the simplest curve: proportional to share and to the square root of n."""

    effect: float
    bend: float = 1.0
    reach: float = math.inf
    spread: float = 0.0

    def mean(self, share: float, n: float) -> float:
        """Expected y for a training share, 0..1, and n tokens or pairs.

        >>> round(Curve(0.2).mean(0.1, 10_000), 3), round(Curve(0.2, reach=10_000).mean(0.1, 10_000), 3)
        (2.0, 1.414)
        """
        return self.effect * share**self.bend * math.sqrt(n / (1 + n / self.reach)) if share > 0 else 0.0

    def deviation(self, mean: float) -> float:
        """Standard deviation of y at this expectation."""
        return math.hypot(1.0, self.spread * mean)


def measured(kind: str, reading: str, students: Students = "transformer") -> Curve | None:
    """The curve that was fitted to students; None if nothing was measured.

    kind: `kgw` (served as MEASURED, with a bias of 2) or `twin`. reading: `plain` (text, no reference), `text` or
    `logprobs` (with our model as reference).

    >>> measured("gumbel", "text") is None
    True
    """
    return _measured().get(f"{students}/{kind}/{reading}")


@cache
def _measured() -> dict[str, Curve]:
    told = json.loads((files("clonewatch.audit") / "curves.json").read_text(encoding="utf-8"))
    return {name: Curve(**curve) for name, curve in told.items()}


def power(curve: Curve, share: float, n: int, alpha: float, tests: int = 1) -> float:
    """Power, 0..1: the chance that one test at alpha, corrected for the number of tests, finds this training share.

    >>> round(power(Curve(0.2), 0.1, 90_000, 1e-3), 2), power(Curve(0.2), 0.1, 1_000, 1e-3) < 0.01
    (0.99, True)
    """
    if not (0 < alpha < 1 and 0 <= share <= 1 and n >= 0 and tests >= 1 and curve.effect >= 0):
        raise InputError(f"no power for effect {curve.effect}, share {share}, n {n}, alpha {alpha}, {tests} tests")
    mean = curve.mean(share, n)
    return float(ndtr((mean - math.sqrt(2 * math.log(tests / alpha))) / curve.deviation(mean)))


def smallest(curve: Curve, n: int, alpha: float, tests: int = 1, chance: float = 0.8) -> float:
    """The smallest training share that is found with this chance; infinite if none is.

    >>> round(smallest(Curve(0.2), 90_000, 1e-3), 3), smallest(Curve(0.2), 9, 1e-3)
    (0.076, inf)
    """
    if power(curve, 1.0, n, alpha, tests) < chance:
        return math.inf
    if power(curve, _LEAST_SHARE, n, alpha, tests) >= chance:
        return _LEAST_SHARE
    # Imported here because it takes a third of a second.
    from scipy.optimize import brentq

    return float(brentq(lambda share: power(curve, share, n, alpha, tests) - chance, _LEAST_SHARE, 1.0))
