"""Communities that are one: most of what ties each of them, they have in common."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from clonewatch.graph.incidences import chunks

# Two communities are merged when this share of each one's linking weight comes from attributes common to both. What an
# entity has one of, such as a card, whom it meets and what only corroborates count where they are common, and not where
# they differ (decision 0005).
_SAME = 0.65
_DIGITS = 9
# Attributes spread over more communities than this merge none of them.
_SPREAD = 40


def merged(
    label: np.ndarray,
    entity: np.ndarray,
    attribute: np.ndarray,
    weight: np.ndarray,
    differing: np.ndarray,
    within: np.ndarray | None = None,
) -> np.ndarray:
    """Labels, with communities merged that have most of their attributes in common.

    Modularity splits one operation along its cards or cells although every community uses the same templates. But two
    operations may use the same templates as well, and nothing else. entity, attribute, weight: per incidence, sorted by
    attribute. differing: per attribute, whether it is no wonder that parts of one operation differ in it. within: per
    entity, a group that contains its community; communities of different groups stay apart.
    """
    if not len(attribute):
        return label
    attributes, sums = int(attribute.max()) + 1, []
    for part in chunks(attribute):
        community = label[entity[part]]
        inside = community >= 0
        pairs, back = np.unique(community[inside] * attributes + attribute[part][inside], return_inverse=True)
        sums.append((pairs, np.bincount(back), np.bincount(back, weights=weight[part][inside])))
    pair, entities, weights = (np.concatenate(column) for column in zip(*sums, strict=True))
    if not len(pair):
        return label
    size = int(label.max()) + 1
    at = np.divmod(pair, attributes)
    mass = coo_array((weights, at), shape=(size, attributes)).tocsr()
    many = entities >= 2
    common = np.bincount(at[1][many], minlength=attributes)[at[1]]
    shared = many & (common >= 2) & (common <= _SPREAD)
    carries = coo_array((np.ones(int(shared.sum())), (at[0][shared], at[1][shared])), shape=(size, attributes)).tocsr()
    # What both have is common, of whatever kind. What is no wonder to differ is left out where it differs.
    lone = differing[at[1]]
    own = coo_array((weights[lone], (at[0][lone], at[1][lone])), shape=(size, attributes)).tocsr()
    row, column, both = _entries(mass @ carries.T)
    compared = np.bincount(at[0], weights=weights * ~lone, minlength=size)[row]
    own_row, own_column, own_both = _entries(own @ carries.T)
    compared[np.searchsorted(row * size + column, own_row * size + own_column)] += own_both
    overlap = coo_array((both / np.maximum(compared, 1e-12), (row, column)), shape=(size, size)).tocsr()
    mutual = overlap.minimum(overlap.T).tocoo()
    same = (mutual.data >= _SAME) & (mutual.row != mutual.col)
    if within is not None:
        group = np.full(size, -1, np.int64)
        group[label[label >= 0]] = within[label >= 0]
        same &= group[mutual.row] == group[mutual.col]
    graph = coo_array((np.ones(int(same.sum())), (mutual.row[same], mutual.col[same])), shape=(size, size))
    _, united = connected_components(graph, directed=False)
    return np.where(label >= 0, united[np.maximum(label, 0)], -1)


def with_strays(
    label: np.ndarray, within: np.ndarray, entity: np.ndarray, attribute: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Labels, with entities that are in no community added to the one of their group with which they share most.

    within: the group of each entity, -1 where none. Each attribute counts by its weight and by the share of a community
    that carries it. Who has nothing in common with any stays in none.
    """
    stray, placed = (label < 0) & (within >= 0), label >= 0
    if not stray.any() or not placed.any():
        return label
    held = within[entity] >= 0
    entity, weight = entity[held], weight[held]
    # An attribute of two groups counts as two: what other groups carry does not matter, and would fill the memory.
    pair = within[entity] * (np.int64(attribute.max()) + 1) + attribute[held]
    mine, size = stray[entity], int(label.max()) + 1
    kinds = np.unique(pair[mine])
    row = placed[entity] & np.isin(pair, kinds)
    place = np.searchsorted(kinds, pair)
    carry = coo_array((np.ones(int(row.sum())), (place[row], label[entity[row]])), shape=(len(kinds), size)).tocsr()
    carried = coo_array((weight[mine], (entity[mine], place[mine])), shape=(len(label), len(kinds))).tocsr()
    at, community, common = _entries((carried @ carry).tocsr())
    common = np.round(common / np.bincount(label[placed], minlength=size)[community], _DIGITS)
    best = np.lexsort((community, -common, at))
    best = best[common[best] > 0]
    first = best[np.r_[True, np.diff(at[best]) > 0]] if len(best) else best
    out = label.copy()
    out[at[first]] = community[first]
    return out


def _entries(matrix: csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the entries of a square matrix, sorted by row and column."""
    matrix.sort_indices()
    entries = matrix.tocoo()
    return entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data
