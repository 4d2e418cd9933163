"""A trigram language model for a teacher and its students, with numpy and scipy only."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from clonewatch.audit.prf import Prf, Watermark
from clonewatch.audit.samples import Likely

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
# Weight of the shorter context, in counts, when the longer one has few.
_UNIGRAM, _BIGRAM = 20.0, 4.0
# Up to this many ids, the keyed numbers of all pairs are computed at once: 32 MB.
_TABLE = 2048


class Trigram:
    """Smoothed counts over a vocabulary of `size` ids."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pairs = np.zeros((size, size), np.float32)
        nothing = np.zeros(0, np.int64)
        empty = sp.coo_matrix((np.zeros(0, np.float32), (nothing, nothing)), shape=(size * size, size))
        self._triples = empty.tocsr()

    def train(self, rows: I64, weight: float = 1.0) -> Trigram:
        """Count a stream, int64[n], or rows, int64[n, length]."""
        rows = rows if rows.ndim == 2 else rows[None]
        np.add.at(self._pairs, (rows[:, :-1].ravel(), rows[:, 1:].ravel()), weight)
        place = (rows[:, :-2] * self.size + rows[:, 1:-1]).ravel()
        counts = np.full(len(place), weight, np.float32)
        shape = (self.size * self.size, self.size)
        more = sp.coo_matrix((counts, (place, rows[:, 2:].ravel())), shape=shape).tocsr()
        self._triples = self._triples + more
        unigram = self._pairs.sum(0) + 0.1
        unigram /= unigram.sum()
        seen = self._pairs.sum(1, keepdims=True)
        self._bigram: F32 = ((self._pairs + _UNIGRAM * unigram) / (seen + _UNIGRAM)).astype(np.float32)
        self._seen = np.asarray(self._triples.sum(1)).ravel()
        return self

    def following(self, before: I64, last: I64) -> F32:
        """Probability of every next id after two. float32[n, size]."""
        place = before * self.size + last
        counts = self._triples[place].toarray() + _BIGRAM * self._bigram[last]
        following: F32 = counts / (self._seen[place] + _BIGRAM)[:, None].astype(np.float32)
        return following

    def write(self, prompts: I64, length: int, seed: int, marked: Watermark | None = None, delta: float = 2.0) -> I64:
        """Continue prompts by `length` ids, with a watermark or without. int64[n, prompt + length]."""
        draw = np.random.default_rng(seed)
        rows = prompts
        for _ in range(length):
            chance = self.following(rows[:, -2], rows[:, -1])
            if marked is not None:
                u = keyed(marked.prf, rows[:, -marked.prf.width :], self.size)
                if marked.rule == "gumbel":
                    drawn = (np.log(u) / np.maximum(chance, 1e-12)).argmax(1)
                    rows = np.concatenate([rows, drawn[:, None]], 1)
                    continue
                chance = chance * np.where(u < marked.gamma, np.float32(math.exp(delta)), np.float32(1))
            upto = chance.cumsum(1)
            drawn = (upto < (draw.random(len(rows)) * upto[:, -1])[:, None]).sum(1).clip(0, self.size - 1)
            rows = np.concatenate([rows, drawn[:, None]], 1)
        return rows

    def log_likelihood(self, rows: I64, given: int) -> npt.NDArray[np.float64]:
        """Log-probability of what follows the first `given` ids of each row. float64[n]."""
        total = np.zeros(len(rows))
        for place in range(given, rows.shape[1]):
            chance = self.following(rows[:, place - 2], rows[:, place - 1])
            total += np.log(chance[np.arange(len(rows)), rows[:, place]])
        return total

    def likely(self, rows: I64, given: int, k: int = 64) -> list[Likely]:
        """The most likely ids at every place from `given` on, one value per row."""
        places = np.arange(given, rows.shape[1])
        order = np.arange(len(rows))
        parts = [Likely.most(order, self.following(rows[:, p - 2], rows[:, p - 1]), k) for p in places]
        token = np.stack([part.token for part in parts], 1)
        probability = np.stack([part.probability for part in parts], 1)
        return [Likely(places, token[i], probability[i]) for i in range(len(rows))]


def keyed(prf: Prf, windows: I64, size: int) -> npt.NDArray[np.float64]:
    """The keyed number of every id after each window. float64[n, size]."""
    if prf.width == 1 and size <= _TABLE:
        return _table(prf, size)[windows[:, 0]]  # type: ignore[arg-type] # one object is one key
    distinct, group = np.unique(windows, axis=0, return_inverse=True)
    return _keyed(prf, distinct, size)[group.ravel()]


@lru_cache(maxsize=1)
def _table(prf: Prf, size: int) -> npt.NDArray[np.float64]:
    """The keyed numbers after every window of one id, computed once. float64[size, size]."""
    return _keyed(prf, np.arange(size)[:, None], size)


def _keyed(prf: Prf, windows: I64, size: int) -> npt.NDArray[np.float64]:
    return prf.uniform(np.repeat(windows, size, axis=0), np.tile(np.arange(size), len(windows))).reshape(-1, size)
