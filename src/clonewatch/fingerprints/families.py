"""Families: templates that are the same text except for a few words, found without comparing all pairs.

Sketches are cut into 16 bands of 4 values; templates that agree on a whole band share a bucket, and each is compared
only with the leader of its bucket (locality-sensitive hashing: Indyk and Motwani 1998; Broder 1997). Cost grows
linearly.

Similarity is not transitive, so chains of small steps could merge everything into one giant family. Therefore a family
is a star: every member must resemble the family's centre, the member with the most similar templates, nearly as much as
two templates must to be merged at all; the others are removed and form families among themselves.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clonewatch.kernels.hashing import stir_all
from clonewatch.kernels.sketching import Sketches, resemblance

U64 = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# Estimated Jaccard similarity of three-word shingles. Measured in docs/fingerprints-measured.md.
THRESHOLD = 0.5
# A member may be this much less similar to its centre than the threshold: one word changed on each side.
SLACK = 0.1
BANDS = 16
ROUNDS = 8
_ROWS_AT_A_TIME = 1 << 15  # pairs compared at once: 8 MB for each side


def merge(template_ids: U64, sketches: Sketches, threshold: float = THRESHOLD) -> U64:
    """The family of every template: the smallest template id among its members.

    Ids also decide which of two equals leads, so use numbers in order of first occurrence, not hashes.

    template_ids: uint64[N], 0 for none. sketches: uint32[N, 64], a row of zeros for none. threshold: estimated Jaccard
    similarity from which two templates are the same text. Returns uint64[N]; a template without a sketch or a similar
    template is its own family, and 0 stays 0. The order of the rows does not matter. With 16 bands of 4 a pair of
    similarity 0.5 shares a bucket in 64 % of cases, of 0.7 in 98.8 %. Raises ValueError if the lengths differ.

    >>> rows = np.tile(np.arange(1, 65, dtype=np.uint32), (3, 1))
    >>> rows[2] += np.uint32(1000)
    >>> merge(np.array([7, 5, 6], np.uint64), rows).tolist()
    [5, 5, 6]
    """
    if len(template_ids) != len(sketches):
        raise ValueError(f"{len(template_ids)} templates but {len(sketches)} sketches")
    distinct, place = np.unique(template_ids, return_inverse=True)
    chosen = _one_sketch_each(template_ids, sketches, distinct, place)
    able = np.flatnonzero(chosen.any(axis=1) & (distinct != 0))
    families = distinct.copy()
    left, right = _alike(chosen, able, threshold)
    families[able] = distinct[able]
    for members, head in _stars(chosen, left, right, threshold - SLACK):
        families[members] = distinct[head]
    return families[place]


def _one_sketch_each(template_ids: U64, sketches: Sketches, distinct: U64, place: Places) -> Sketches:
    """The sketch of every distinct template; if rows disagree, the choice does not depend on their order."""
    if len(distinct) == len(template_ids):
        # Already in order, as numbers of first occurrence are: a copy would double the memory.
        return sketches if np.array_equal(place, np.arange(len(place))) else sketches[np.argsort(place)]
    weight = (stir_all(sketches.astype(np.uint64)) * np.arange(1, 2 * sketches.shape[1], 2, dtype=np.uint64)).sum(
        axis=1
    )
    # Rows without a sketch come last, so that one sketched row is enough.
    order = np.lexsort((weight, ~sketches.any(axis=1), place))
    firsts = np.searchsorted(place[order], np.arange(len(distinct)))
    return sketches[order[firsts]]


def _alike(sketches: Sketches, able: Places, threshold: float) -> tuple[Places, Places]:
    """Pairs of places that share a bucket with a leader and are verified."""
    per_band = sketches.shape[1] // BANDS
    # Each pair as one number: sorting numbers is many times faster than sorting pairs. A pair that shares several bands
    # is kept once from band to band, so that large families do not fill the memory.
    pairs = np.zeros(0, np.int64)
    for band in range(BANDS):
        bucket = np.zeros(len(able), np.uint64)
        for column in range(band * per_band, (band + 1) * per_band):
            bucket = stir_all(bucket * np.uint64(0x9E3779B97F4A7C15) + sketches[able, column])
        order = np.argsort(bucket, kind="stable")  # within a bucket by template id: the first is the leader
        starts = np.append(True, bucket[order][1:] != bucket[order][:-1]) if len(order) else np.zeros(0, bool)
        leader = order[np.flatnonzero(starts)[np.cumsum(starts) - 1]] if len(order) else order
        before = np.concatenate([order[:1], order[:-1]])
        found = [pairs]
        # Also compare neighbours in the bucket: a different leader must not separate two similar templates.
        for other, chosen in ((leader, ~starts), (before, ~starts & (leader != before))):
            found.append(able[other[chosen]] * len(sketches) + able[order[chosen]])
        pairs = np.unique(np.concatenate(found))
    left, right = np.divmod(pairs, max(len(sketches), 1))
    kept = _resembling(sketches, left, right, threshold)
    return left[kept], right[kept]


def _resembling(sketches: Sketches, left: Places, right: Places, threshold: float) -> npt.NDArray[np.bool_]:
    kept = np.zeros(len(left), np.bool_)
    for at in range(0, len(left), _ROWS_AT_A_TIME):
        part = slice(at, at + _ROWS_AT_A_TIME)
        kept[part] = resemblance(sketches[left[part]], sketches[right[part]]) >= threshold
    return kept


def _stars(sketches: Sketches, left: Places, right: Places, threshold: float) -> list[tuple[Places, int]]:
    """Members of every family and its smallest member; places are in order of template id."""
    found: list[tuple[Places, int]] = []
    for _ in range(ROUNDS):
        if not len(left):
            break
        nodes, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
        size = len(nodes)
        a, b = ends[: len(left)], ends[len(left) :]
        links = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(size, size))
        _, label = connected_components(links, directed=False)
        degree = np.bincount(ends, minlength=size)
        ranked = np.lexsort((nodes, -degree, label))
        centre = ranked[np.searchsorted(label[ranked], np.arange(label.max() + 1))][label]
        close = _resembling(sketches, nodes, nodes[centre], threshold)
        inside = np.flatnonzero(close)
        inside = inside[np.argsort(label[inside], kind="stable")]
        for group in np.split(inside, np.flatnonzero(np.diff(label[inside])) + 1):
            found.append((nodes[group], int(nodes[group].min())))
        outside = ~close
        stay = outside[a] & outside[b]
        left, right = left[stay], right[stay]
    return found
