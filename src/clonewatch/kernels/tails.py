"""Tails of discrete distributions, by their identities with the incomplete beta function.

The statistics of scipy have them too, but take a second to load, in every process that a command starts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc

Floats = npt.NDArray[np.float64]


def binomial_at_most(hits: npt.ArrayLike, n: npt.ArrayLike, share: float) -> Floats:
    """P(X <= hits) for X binomial(n, share). hits, n: whole numbers.

    >>> binomial_at_most([-1, 0, 1, 2, 3], 2, 0.5).tolist()
    [0.0, 0.25, 0.75, 1.0, 1.0]
    """
    k, size = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(n, np.float64))
    inside = (k >= 0) & (k < size)
    found = betaincc(np.where(inside, k, 0) + 1, np.where(inside, size - k, 1), share)
    return np.asarray(np.where(inside, found, k >= size), np.float64)


def binomial_more_than(hits: int, n: int, share: float) -> float:
    """P(X > hits) for X binomial(n, share), precise where it is small.

    >>> binomial_more_than(1, 2, 0.5), binomial_more_than(-1, 2, 0.5), binomial_more_than(2, 2, 0.5)
    (0.25, 1.0, 0.0)
    """
    if hits < 0 or hits >= n:
        return float(hits < 0)
    return float(betainc(hits + 1.0, float(n - hits), share))


def negative_binomial_at_most(count: npt.ArrayLike, shape: float, share: npt.ArrayLike) -> Floats:
    """P(X <= count) for X negative binomial(shape, share), which counts failures. count: whole numbers from 0.

    >>> negative_binomial_at_most([0, 1], 1.0, 0.5).tolist()
    [0.5, 0.75]
    """
    return np.asarray(betainc(shape, np.asarray(count, np.float64) + 1, np.asarray(share, np.float64)), np.float64)
