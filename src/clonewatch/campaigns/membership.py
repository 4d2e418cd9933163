"""Which accounts are members of a group, and in which role, by their harvested exchanges and what ties them."""

from __future__ import annotations

from collections.abc import Callable
from math import log2
from typing import NamedTuple

import numpy as np

# Linked by one family only, an entity below this share of harvested exchanges is a customer of the proxy, not a member.
FLOOR_SHARE = 0.05
# Where its identity, software or sign-up also links it to the operation, a far smaller share is enough.
LEAST_SHARE = 0.005
# An entity with fewer harvested exchanges than this is not a member either.
FLOOR_EXCHANGES = 3
# An account that this share of clusterings keeps in the cluster belongs to the consensus core.
CORE = 0.8
# Bits of linkage at which an account's membership is half of what its harvested share gives.
_HALF_LINKED = log2(10) / 4
# Where fewer of a group's linked accounts than this share show harvest, the links are made of too little to tell.
_THIN = 0.5
# An account has too few exchanges to tell where one like the others would show no harvest this often, by chance.
_BY_CHANCE = 0.05


class Accounts(NamedTuple):
    """Accounts of clusters, as arrays of one length.

    harvested, exchanges: counts. mass: weight of its links, in bits. families: linking families that link it, 0 for a
    neighbour. together: share of clusterings with other seeds that keep it in the cluster, 0..1.
    """

    cluster: np.ndarray
    harvested: np.ndarray
    exchanges: np.ndarray
    mass: np.ndarray
    families: np.ndarray
    together: np.ndarray


def counted_whole(accounts: Accounts, whole: np.ndarray) -> Accounts:
    """The accounts with all their exchanges as harvested where `whole`, (n,), for they were tested with all of them.

    Not those that show none although they have enough to tell: they are customers of the proxy.

    >>> pool = Accounts(*map(np.array, ([7] * 3, [20, 25, 0], [90, 90, 60], [4.0] * 3, [2] * 3, [1] * 3)))
    >>> counted_whole(pool, np.full(3, True)).harvested
    array([90, 90,  0])
    """
    share = accounts.harvested / np.maximum(accounts.exchanges, 1)
    few = (1 - _of_each(accounts.cluster, share, whole, np.median)) ** accounts.exchanges > _BY_CHANCE
    counted = whole & ((accounts.harvested > 0) | few)
    return accounts._replace(harvested=np.where(counted, accounts.exchanges, accounts.harvested))


def membership(accounts: Accounts, flagged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Membership (0..1) and role of each account. flagged: (n,) whether its group is flagged.

    In a flagged group, an account that mostly serves others still belongs to the operator where two families link it;
    otherwise a small harvested share makes it a customer. Where the usual account shows fewer harvested exchanges than
    are asked for, an account that two families link needs no more than that one. Core accounts are those that nearly
    every clustering keeps.

    Of a group that is not flagged no exchange is said to be harvested. Where most of its linked accounts would be
    customers, the links were made of too little of their traffic to tell, and all of them are in it: a reworded harvest
    carries few of the attributes that links are made of. Elsewhere those are in it who have too few exchanges to tell.

    >>> three = Accounts(*map(np.array, ([7, 7, 7], [50, 0, 0], [100, 100, 9], [4.0, 4.0, 1.0], [3, 1, 0], [1, 1, 1])))
    >>> membership(three, np.full(3, True))[1]
    array(['core', 'proxy_customer', 'proxy_customer'], dtype=object)
    >>> membership(three._replace(harvested=np.zeros(3)), np.full(3, False))[1]
    array(['core', 'core', 'proxy_customer'], dtype=object)
    """
    linked, twice = accounts.families >= 1, accounts.families >= 2
    floor = np.where(twice, LEAST_SHARE, FLOOR_SHARE)
    share = accounts.harvested / np.maximum(accounts.exchanges, 1)
    usual = _of_each(accounts.cluster, accounts.harvested, linked, np.median)
    enough = np.where(twice, np.clip(usual, 1, FLOOR_EXCHANGES), FLOOR_EXCHANGES)
    shown = linked & (share >= floor) & (accounts.harvested >= enough)
    thin = _of_each(accounts.cluster, shown, linked, np.mean) < _THIN
    few = (1 - _of_each(accounts.cluster, share, linked, np.median)) ** accounts.exchanges > _BY_CHANCE
    untold = ~flagged & linked & ~shown & (thin | few)
    share = np.where(untold | (~flagged & thin), 1.0, share)
    score = share / (share + floor / 2) * accounts.mass / (accounts.mass + _HALF_LINKED)
    customer = ~(shown | untold)
    score = np.where(customer, np.minimum(score, 0.25), score)
    core = (share >= FLOOR_SHARE) & (accounts.together >= CORE)
    role = np.where(customer, "proxy_customer", np.where(core, "core", "fringe")).astype(object)
    return score, role


def _of_each(
    cluster: np.ndarray, values: np.ndarray, where: np.ndarray, sum_up: Callable[[np.ndarray], float]
) -> np.ndarray:
    """For each account the sum of its cluster's values, those `where` only; 0 for a cluster without any."""
    _, place = np.unique(cluster, return_inverse=True)
    found = (values[where & (place == i)] for i in range(place.max() + 1 if len(place) else 0))
    return np.array([sum_up(inside) if len(inside) else 0.0 for inside in found], np.float64)[place]
