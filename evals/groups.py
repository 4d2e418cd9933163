"""Groups in graphs of accounts: nearest pairs, single linkage, components, densest part of a bipartite graph."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

# A pair of accounts is no evidence; groups and levels use the smallest size that scans report.
LEAST = 6
# Nearest neighbours kept per account: bounds the number of pairs at 50 times the accounts.
_NEIGHBOURS = 50
_ROWS = 500  # accounts compared with all others at a time
_SAMPLE = 20_000  # similarities sampled from each such comparison
_SEED = 20_240_607  # of the sample: the same every time
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def nearest(vectors: csr_array, alike: Callable[[csr_array, Ints], Floats]) -> tuple[Ints, Ints, Floats, Floats]:
    """Pairs of each account with its nearest neighbours, their similarity, and a sample of positive similarities."""
    pairs: list[tuple[Ints, Ints, Floats]] = []
    sample: list[Floats] = []
    rng = np.random.default_rng(_SEED)
    turned = csr_array(vectors.T)
    for rows in _chunks(vectors.shape[0]):
        product = csr_array(vectors[rows] @ turned)
        value, entry = alike(product, rows), product.tocoo()
        at, other = rows[entry.row], entry.col.astype(np.int64)
        real = (at != other) & (value > 0)
        at, other, value = at[real], other[real], value[real]
        if not len(at):
            continue
        sample.append(rng.choice(value, min(len(value), _SAMPLE), replace=False))
        order = np.lexsort((other, -value, at))
        place = np.arange(len(order)) - np.searchsorted(at[order], at[order])
        kept = order[place < _NEIGHBOURS]
        pairs.append((at[kept], other[kept], value[kept]))
    if not pairs:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0), np.zeros(0)
    left, right, value = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return left, right, value, np.concatenate(sample)


def levels(size: int, left: Ints, right: Ints, alike: Floats, least: int = LEAST) -> Floats:
    """The similarity at which each of `size` accounts joins a single-linkage group of `least`; -inf: never.

    >>> levels(4, np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.8, 0.1]), least=3).tolist()
    [0.8, 0.8, 0.8, 0.1]
    """
    found = np.full(size, -np.inf)
    root = list(range(size))
    group_of = [[i] for i in range(size)]
    for at in np.argsort(-alike, kind="stable").tolist():
        a, b = _root(root, int(left[at])), _root(root, int(right[at]))
        if a == b:
            continue
        if len(group_of[a]) < len(group_of[b]):
            a, b = b, a
        merged = len(group_of[a]) + len(group_of[b])
        if merged >= least:
            for group in (a, b):
                if len(group_of[group]) < least:
                    found[group_of[group]] = alike[at]
        root[b] = a
        group_of[a] += group_of[b]
        group_of[b] = []
    return found


def components(size: int, left: Ints, right: Ints, chosen: NDArray[np.bool_]) -> list[Ints]:
    """Connected components of the chosen pairs with at least LEAST accounts."""
    graph = coo_array((np.ones(int(chosen.sum())), (left[chosen], right[chosen])), shape=(size, size))
    return groups_of(connected_components(graph, directed=False)[1])


def peel(left: Ints, right: Ints, weight: Floats) -> tuple[tuple[NDArray[np.bool_], NDArray[np.bool_]], float]:
    """The densest remainder of greedy peeling: which nodes of each side are in it, and its weight per node.

    left, right, weight: the edges of a bipartite graph.
    """
    lefts, rights = int(left.max()) + 1, int(right.max()) + 1
    node = np.concatenate([left, lefts + right])
    order = np.argsort(node, kind="stable")
    start = np.searchsorted(node[order], np.arange(lefts + rights + 1)).tolist()
    other = np.concatenate([lefts + right, left])[order].tolist()
    heavy = np.concatenate([weight, weight])[order].tolist()
    degree = np.bincount(node, weights=np.concatenate([weight, weight])).tolist()
    heap = [(d, i) for i, d in enumerate(degree) if start[i] < start[i + 1]]
    heapq.heapify(heap)
    alive, total, nodes = [d > 0 for d in degree], float(weight.sum()), len(heap)
    gone: list[int] = []
    best, best_at = total / nodes, 0
    while heap:
        d, i = heapq.heappop(heap)
        if not alive[i] or d > degree[i] + 1e-9:
            continue
        alive[i] = False
        gone.append(i)
        for at in range(start[i], start[i + 1]):
            j = other[at]
            if alive[j]:
                degree[j] -= heavy[at]
                total -= heavy[at]
                heapq.heappush(heap, (degree[j], j))
        nodes -= 1
        if nodes and total / nodes > best:
            best, best_at = total / nodes, len(gone)
    kept = np.zeros(lefts + rights, bool)
    kept[gone[best_at:]] = True
    return (kept[:lefts], kept[lefts:]), best


def groups_of(label: NDArray[np.integer]) -> list[Ints]:
    """The groups of at least LEAST accounts with one label; negative labels are no group."""
    kept = np.flatnonzero(label >= 0)
    order = kept[np.argsort(label[kept], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [np.sort(part) for part in parts if len(part) >= LEAST]


def _root(root: list[int], i: int) -> int:
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


def _chunks(size: int) -> Iterator[Ints]:
    for start in range(0, size, _ROWS):
        yield np.arange(start, min(size, start + _ROWS))
