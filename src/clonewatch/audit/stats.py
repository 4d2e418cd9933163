"""Tail probabilities in log space: p-values that are exact or upper bounds, and never 0.

Every function returns log10 of a probability unless it says otherwise. A bound is a number that the true p-value cannot
exceed, so calling it p is safe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, gammaln, logsumexp, xlog1py, xlogy

from clonewatch.kernels.tails import binomial_more_than

F64 = npt.NDArray[np.float64]
LN10 = math.log(10)
# Above this the tails of scipy keep full relative precision; below it terms are summed in log space.
_UNDERFLOW = 1e-290
# Resolution of the exact sign-flip distribution, and the most pairs it is computed for (about a second).
_CELLS, _MOST_FLIPS = 100_000, 4_000
# Bets of an e-process, as shares of the largest weight: fixed in advance, a factor of 2 apart, none beyond 1/2 so that
# the moments of an exponential variable exist.
_RATES = 0.5 ** np.arange(1, 13)


def binomial_tail(hits: int, n: int, share: float) -> float:
    """log10 P(X >= hits) for X binomial(n, share), exact.

    >>> round(binomial_tail(10, 10, 0.5), 3), binomial_tail(0, 10, 0.5), round(binomial_tail(4000, 4000, 0.5), 1)
    (-3.01, 0.0, -1204.1)
    """
    if hits <= 0:
        return 0.0
    p = binomial_more_than(hits - 1, n, share)
    if p > _UNDERFLOW:
        return min(0.0, math.log10(p))
    k = np.arange(hits, n + 1)
    ways = gammaln(n + 1) - (gammaln(k + 1) + gammaln(n - k + 1))
    return min(0.0, float(logsumexp(ways + xlogy(k, share) + xlog1py(n - k, -share))) / LN10)


def gamma_tail(total: float, n: int) -> float:
    """log10 P(G >= total) for G the sum of n standard exponentials, exact: Gamma(n, 1).

    In the far tail by its identity with a Poisson sum, sum over j < n of exp(-total) total^j / j!.

    >>> round(gamma_tail(2.302585, 1), 3), round(gamma_tail(5000.0, 10) , 0)
    (-1.0, -2144.0)
    """
    if total <= 0:
        return 0.0
    p = float(gammaincc(n, total))
    if p > _UNDERFLOW:
        return min(0.0, math.log10(p))
    j = np.arange(n, dtype=np.float64)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(j[1:]))])
    return min(0.0, (float(logsumexp(j * math.log(total) - factorials)) - total) / LN10)


def hoeffding(deviation: float, squares: float, share: float = 0.5) -> float:
    """log10 of a bound on P(sum a_i (B_i - share) >= deviation), for independent B_i that are 1 with chance `share`.

    squares: sum of a_i squared. Hoeffding (1963) gives exp(-2 d^2 / squares); for a share other than 1/2 the constant 2
    is sharpened to log((1 - share) / share) / (1 - 2 share) (Kearns and Saul 1998), the best one of this form.

    >>> round(hoeffding(3.44, 1.0) , 2), round(hoeffding(1.0, 1.0, 0.25), 3)
    (-10.28, -0.954)
    """
    if deviation <= 0 or squares <= 0:
        return 0.0
    skew = 1 - 2 * share
    # Near 1/2 the quotient is 0 / 0; its limit is 2.
    constant = 2.0 if abs(skew) < 1e-6 else math.log((1 - share) / share) / skew
    return -constant * deviation**2 / squares / LN10


def chernoff_exponential(deviation: float, weights: F64) -> float:
    """log10 of a bound on P(sum a_i (E_i - 1) >= deviation), for independent standard exponentials E_i.

    weights: float64[N], the a_i, of either sign. Chernoff's bound with the moments of the exponential, at the best rate
    found numerically; any rate gives a valid bound, so the search cannot make it wrong.

    >>> 10 ** chernoff_exponential(30.0, np.ones(100)) > 10 ** gamma_tail(130.0, 100)
    True
    """
    # Imported here because it takes a third of a second.
    from scipy.optimize import brentq

    if deviation <= 0 or not weights.any():
        return 0.0
    largest = float(weights.max())
    end = (1 - 1e-12) / largest if largest > 0 else 1e6 / float(-weights.min())

    def slope(rate: float) -> float:
        return float((rate * weights**2 / (1 - rate * weights)).sum()) - deviation

    rate = end if slope(end) <= 0 else float(brentq(slope, 0.0, end))
    x = rate * weights
    return min(0.0, float((-np.log1p(-x) - x).sum() - rate * deviation) / LN10)


def rank(value: float, decoys: npt.ArrayLike) -> float:
    """The p-value (not its log) of a statistic among those of m decoy secrets: (1 + #{decoy >= value}) / (m + 1).

    Exact whenever the real secret was drawn like the decoys; ties count against the finding (Phipson and Smyth 2010).

    >>> rank(3.0, [1.0, 2.0, 3.0])
    0.5
    """
    told = np.asarray(decoys, dtype=np.float64)
    return float((1 + np.count_nonzero(told >= value)) / (told.size + 1))


def sign_flip(differences: npt.ArrayLike) -> tuple[float, str]:
    """log10 p of the sum of paired differences if every sign is a fair coin, and the method.

    differences: float[N]; zeros are ties and dropped. Fisher's randomisation test, without sampling: the sum of the
    losing differences is convolved on a grid, each rounded down, so the p-value is exact up to that rounding and never
    too small. Above 4,000 pairs Hoeffding's bound, exp(-S^2 / 2 sum d^2), is used instead.

    >>> sign_flip([1.0] * 20)[0] == 20 * math.log10(0.5), sign_flip([1.0, -1.0])
    (True, (0.0, 'no excess'))
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[d != 0]
    total = float(d.sum())
    if total <= 0:
        return 0.0, "no excess"
    if len(d) > _MOST_FLIPS:
        return -(total**2) / (2 * float((d**2).sum())) / LN10, "Hoeffding bound over fair coins"
    lost = float(-d[d < 0].sum())
    if lost == 0:
        return len(d) * math.log10(0.5), "exact sign flip"
    # Rounding a difference down can only increase the number of coins that are as good as the real ones.
    steps = np.floor(np.abs(d) * (_CELLS / lost)).clip(max=_CELLS + 1).astype(np.int64)
    chance, scale = np.zeros(_CELLS + 1), 0.0
    chance[0] = 1.0
    for i, step in enumerate(np.sort(steps)):
        moved = chance * 0.5
        if step <= _CELLS:
            moved[step:] += 0.5 * chance[: _CELLS + 1 - step]
        chance = moved
        if i % 256 == 255:
            most = float(chance.max())
            chance, scale = chance / most, scale + math.log(most)
    return min(0.0, (math.log(float(chance.sum())) + scale) / LN10), "exact sign flip on a grid, rounded up"


def hits_tail(hits: int, chances: npt.ArrayLike) -> float:
    """log10 P(at least `hits` of independent events), each with its own chance (Poisson binomial), exact.

    >>> round(10 ** hits_tail(1, [0.5, 0.5]), 3), round(hits_tail(3, [1e-200] * 3), 3)
    (0.75, -600.0)
    """
    told = np.asarray(chances, dtype=np.float64)
    if hits <= 0:
        return 0.0
    if hits > len(told):
        raise ValueError(f"{hits} hits among {len(told)} chances")
    with np.errstate(divide="ignore"):
        yes, no = np.log(told), np.log1p(-told)
    log = np.full(hits + 1, -np.inf)
    log[0] = 0.0
    for y, n in zip(yes, no, strict=True):
        last = np.logaddexp(log[hits], log[hits - 1] + y)  # that many or more: stays
        log[1:hits] = np.logaddexp(log[1:hits] + n, log[: hits - 1] + y)
        log[0] += n
        log[hits] = last
    return min(0.0, float(log[hits]) / LN10)


def fisher(log10s: Sequence[float]) -> float:
    """log10 of the combined p of independent tests (Fisher 1932): -sum of ln p is at least Gamma(k, 1) under H0.

    Valid for p-values that are conservative; only for tests named together in advance.

    >>> round(10 ** fisher([-1.0, -1.0]), 3), round(fisher([-400.0, 0.0]), 1)
    (0.056, -397.0)
    """
    return gamma_tail(-sum(log10s) * LN10, len(log10s)) if log10s else 0.0


def holm(log10s: Sequence[float]) -> list[float]:
    """log10 of p-values corrected for their number by Holm (1979): valid under any dependence.

    >>> [round(10**p, 3) for p in holm([-2.0, -1.0, -3.0])]
    [0.02, 0.1, 0.003]
    """
    order = sorted(range(len(log10s)), key=lambda i: log10s[i])
    corrected, worst = [0.0] * len(log10s), -math.inf
    for place, i in enumerate(order):
        worst = max(worst, log10s[i] + math.log10(len(log10s) - place))
        corrected[i] = min(0.0, worst)
    return corrected


class EProcess:
    """A p-value that stays valid for any number of looks: tests may be stopped or continued because of what they show.

    Every look adds inputs that no earlier look scored, with weights that do not depend on the key. The product of
    exp(rate * weight * score) over its mean under H0, averaged over fixed rates, is a test martingale, and 1 / its
    maximum an anytime-valid p-value (Ville 1939; Ramdas and others 2023).

    kind: `kgw`, score 1 - share for a green token and -share for another; `gumbel`, score E - 1, E exponential.

    >>> looks = EProcess("kgw", 0.5)
    >>> looks.look(np.ones(100), np.full(100, 0.5)) < -8, looks.look(np.ones(9), np.full(9, -0.5)) < -8
    (True, True)
    """

    def __init__(self, kind: Literal["gumbel", "kgw"], share: float = 0.5) -> None:
        self.kind, self.share = kind, share
        self.looks = 0
        self._growth = np.zeros(len(_RATES))
        self._best = 0.0

    def look(self, weights: F64, scores: F64) -> float:
        """log10 of the anytime-valid p after another look. weights, scores: float64[N] of inputs not scored before."""
        self.looks += 1
        largest = float(np.abs(weights).max(initial=0.0))
        if largest > 0:
            gain = float(weights @ scores) / largest
            for j, rate in enumerate(_RATES):
                self._growth[j] += rate * gain - self._log_mean(rate * weights / largest)
        evidence = float(logsumexp(self._growth)) - math.log(len(_RATES))
        self._best = max(self._best, evidence)
        return -self._best / LN10

    def _log_mean(self, x: F64) -> float:
        """Sum of log E exp(x_i score_i) under H0."""
        if self.kind == "gumbel":
            return float((-np.log1p(-x) - x).sum())
        return float((np.log1p(self.share * np.expm1(x)) - self.share * x).sum())
