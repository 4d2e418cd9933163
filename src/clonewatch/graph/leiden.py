"""Communities of the bipartite graph of entities and attributes, by Leiden (Traag, Waltman and van Eck 2019)."""

from __future__ import annotations

from math import log2

import graspologic_native
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Fewer entities than this are a household, not an operation: never reported, never flagged.
SMALLEST = 6
# Bits of edge weight within which Leiden's refinement step treats two merges as equally good.
_RANDOMNESS = log2(10) / 1000
# Modularity up to which a graph counts as one community.
_NO_STRUCTURE = 0.02


def communities(
    entity: np.ndarray, attribute: np.ndarray, weight: np.ndarray, entities: int, attributes: int, seed: int
) -> np.ndarray:
    """Community of each entity, -1 for entities in components that are too small.

    entity, attribute, weight: per incidence. entities, attributes: how many there are.
    """
    size = entities + attributes
    graph = coo_array((np.ones(len(entity), np.int8), (entity, entities + attribute)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:entities]
    large = np.bincount(component) >= SMALLEST
    return divided(np.where(large[component], component, -1), entity, attribute, weight, seed)


def divided(label: np.ndarray, entity: np.ndarray, attribute: np.ndarray, weight: np.ndarray, seed: int) -> np.ndarray:
    """Community of each entity within its group, numbered over all groups, -1 where it is in none.

    Modularity overlooks what is small beside the whole graph (Fortunato and Barthelemy 2007), so a community that is
    looked at by itself may fall apart once more. label: group of each entity. entity, attribute, weight: per incidence.
    """
    found = np.full(len(label), -1, np.int64)
    taken = 0
    inside = np.flatnonzero(label[entity] >= 0)
    order = inside[np.argsort(label[entity[inside]], kind="stable")]
    bounds = np.flatnonzero(np.diff(label[entity[order]])) + 1
    for rows in np.split(order, bounds) if len(order) else ():
        ends = [_named(kind, numbers[rows]) for kind, numbers in (("e", entity), ("t", attribute))]
        edges = list(zip(*ends, weight[rows].tolist(), strict=True))
        modularity, communities_of = graspologic_native.leiden(
            edges,
            starting_communities=None,
            seed=seed,
            trials=1,
            use_modularity=True,
            resolution=1.0,
            randomness=_RANDOMNESS,
            iterations=2,
        )
        names = sorted(n for n in communities_of if n.startswith("e"))
        # Where everybody shares everything, no partition is better than none, and its communities are arbitrary.
        undivided = modularity <= _NO_STRUCTURE
        found[[int(n[1:]) for n in names]] = [taken + (0 if undivided else communities_of[n]) for n in names]
        taken += max(communities_of.values()) + 1
    return found


def _named(kind: str, numbers: np.ndarray) -> list[str]:
    """A name for each number, one string object per distinct number, because every edge names both its ends."""
    distinct, position = np.unique(numbers, return_inverse=True)
    names = [f"{kind}{n}" for n in distinct.tolist()]
    return [names[i] for i in position.tolist()]
