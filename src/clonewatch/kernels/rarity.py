"""How surprising a shared attribute is, in bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.tails import binomial_at_most

Floats = npt.NDArray[np.float64]


def lower_tail(users: npt.ArrayLike, trusted: npt.ArrayLike, share: float) -> Floats:
    """Lower-tail test: how surprising it is that so few of an attribute's users are trusted, in bits (-log2 p).

    users: entities that carry the attribute. trusted: trusted ones among them. share: trusted share of all entities,
    0..1. Significance grows with size, so callers also require an effect: see decision 0004.

    >>> lower_tail([75, 75], [0, 15], share=0.2).round(1).tolist()
    [24.1, 0.8]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(binomial_at_most(trusted, users, share)) / np.log(2), np.float64)


def scarcity(users: npt.ArrayLike, population: int) -> Floats:
    """Weight of an attribute where no account is known to be trusted, in bits: half the log of population over users.

    It cannot tell a campaign from the users of an app, so such a log requires more evidence: see decision 0004.

    >>> scarcity([10, 10_000], 10_000).round(1).tolist()
    [5.0, 0.0]
    """
    return np.asarray(0.5 * np.log2(population / np.maximum(np.asarray(users, np.float64), 1.0)), np.float64)
