"""The sums of the linear classifier: the features of a prompt, and the sums of their weights.

Features are hashed word stems, hashed word pairs and a few yes-or-no facts. Weights are whole numbers of 8 bits; three
sums share a 64-bit word, 21 bits each, which hold any sum of the at most 2 * MAX_TOKENS features of a prompt.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clonewatch.kernels import tokens as tk
from clonewatch.kernels.buffers import Text
from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.folding import fold_table
from clonewatch.kernels.hashing import stir
from clonewatch.model.schema import TASKS

U64 = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

OUTPUTS = len(TASKS) + 1  # sums of the classifier: one per task, one for elicitation
# Facts about the whole prompt come before the words in the weights.
FACTS = 16
FACT_SHARE = np.float32(0.25)  # so that training relies on words before facts
# Each weight is stored with this much added, so that none is negative.
_BIAS = 128
_LANES, _LANE_BITS = 3, 21
WORDS = -(-OUTPUTS // _LANES)


@compiled()
def pair(left: np.uint64, right: np.uint64) -> np.uint64:
    """Hash of two words in a row."""
    return stir(left * np.uint64(0x9E3779B97F4A7C15) + right)


def packed(weights: npt.NDArray[np.int8]) -> U64:
    """Weights int8[features, OUTPUTS] as uint64[features, WORDS], three to a word."""
    wide = np.zeros((len(weights), WORDS * _LANES), np.uint64)
    wide[:, :OUTPUTS] = (weights.astype(np.int16) + _BIAS).astype(np.uint64)
    lanes = wide.reshape(len(weights), WORDS, _LANES)
    shifts = np.arange(_LANES, dtype=np.uint64) * np.uint64(_LANE_BITS)
    words: U64 = np.ascontiguousarray((lanes << shifts).sum(axis=2, dtype=np.uint64))
    return words


@compiled(nogil=True)
def add_scores(
    tokens: U64,
    stems: U64,
    n: int,
    counts: npt.NDArray[np.int64],
    weights: U64,
    scales: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Sum the weights of a prompt's stems and word pairs, over the root of their number, and of its facts.

    weights: from `packed`. scales: float32[OUTPUTS], the value of a weight of 1. out: float32[OUTPUTS], NaN for a
    prompt without words.
    """
    if n == 0:
        for k in range(OUTPUTS):
            out[k] = np.nan
        return
    mask = np.uint64(weights.shape[0] - FACTS - 1)
    a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(n):
        w = np.uint64(FACTS) + (stir(stems[i] >> np.uint64(4)) & mask)
        a += weights[w, np.uint64(0)]
        b += weights[w, np.uint64(1)]
        c += weights[w, np.uint64(2)]
        d += weights[w, np.uint64(3)]
        if i + 1 < n:
            w = np.uint64(FACTS) + (pair(tokens[i], tokens[i + 1]) & mask)
            a += weights[w, np.uint64(0)]
            b += weights[w, np.uint64(1)]
            c += weights[w, np.uint64(2)]
            d += weights[w, np.uint64(3)]
    scale = np.float32(1.0 / np.sqrt(2.0 * n))
    facts = fact_bits(counts, n)
    lane = np.uint64((1 << _LANE_BITS) - 1)
    for k in range(OUTPUTS):
        word = a if k < 3 else b if k < 6 else c if k < 9 else d
        shift = np.uint64(_LANE_BITS * (k % _LANES))
        heard = np.int64((word >> shift) & lane) - _BIAS * (2 * n - 1)
        noted: Any = 0
        for f in range(FACTS):
            if facts >> f & 1:
                noted += np.int64((weights[f, k // _LANES] >> shift) & lane) - _BIAS
        out[k] = scales[k] * (scale * np.float32(heard) + FACT_SHARE * np.float32(noted))


@compiled()
def fact_bits(counts: npt.NDArray[np.int64], n: int) -> int:
    """Yes-or-no facts about a prompt, as bits; bit 0 is always set."""
    bits = 1
    bits |= 2 if counts[tk.FENCES] else 0
    bits |= 4 if counts[tk.QUESTIONS] == 1 else 8 if counts[tk.QUESTIONS] > 1 else 0
    bits |= 16 if counts[tk.QUOTES] else 0
    bits |= 32 if counts[tk.ITEMS] else 0
    bits |= 64 if counts[tk.NUMBERS] > 5 else 128 if counts[tk.NUMBERS] else 0
    bits |= 256 if counts[tk.BRACES] else 0
    bits |= 512 if counts[tk.TAGS] else 0
    bits |= 1024 if counts[tk.KEYS] else 0
    bits |= 2048 if counts[tk.PATHS] > 3 else 4096 if counts[tk.PATHS] else 0
    bits |= 8192 if n < 8 else 16384 if n > 60 else 0
    bits |= 32768 if counts[tk.LINES] > 5 else 0
    return bits


class Features(NamedTuple):
    """The classifier's features of N texts, as a sparse row matrix: columns, values, and the start of each row."""

    places: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]


def features(text: Text, buckets: int) -> Features:
    """The features whose weights `read_prompts` sums, for training.

    buckets: a power of two; columns are below buckets + FACTS.
    """
    places, values, starts = _feature_rows(*text, fold_table(), np.uint64(buckets - 1))
    return Features(places, values, starts)


def words(text: Text) -> list[list[int]]:
    """The tokens of each text, as hashes of folded words: for word lists."""
    tokens, starts = _token_rows(*text, fold_table())
    return [tokens[starts[row] : starts[row + 1]].tolist() for row in range(len(text.valid))]


@compiled()
def _token_rows(
    data: Bytes, offsets: npt.NDArray[np.int64], valid: npt.NDArray[np.bool_], fold: npt.NDArray[np.uint32]
) -> tuple[U64, npt.NDArray[np.int64]]:
    tokens, stems = np.empty(tk.MAX_TOKENS, np.uint64), np.empty(tk.MAX_TOKENS, np.uint64)
    marks, forms = np.empty(tk.MAX_TOKENS, np.uint8), np.zeros(2 * tk.MAX_MARKS, np.uint64)
    counts, starts = np.empty(tk.COUNTS, np.int64), np.zeros(len(valid) + 1, np.int64)
    out = np.empty(len(data), np.uint64)
    for row in range(len(valid)):
        n = tk.tokenise(data, offsets[row], offsets[row + 1], fold, tokens, stems, marks, forms, counts)
        out[starts[row] : starts[row] + n] = tokens[:n]
        starts[row + 1] = starts[row] + n
    return out, starts


@compiled()
def _feature_rows(
    data: Bytes,
    offsets: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_],
    fold: npt.NDArray[np.uint32],
    mask: np.uint64,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    tokens, stems = np.empty(tk.MAX_TOKENS, np.uint64), np.empty(tk.MAX_TOKENS, np.uint64)
    marks, forms = np.empty(tk.MAX_TOKENS, np.uint8), np.zeros(2 * tk.MAX_MARKS, np.uint64)
    counts, starts = np.empty(tk.COUNTS, np.int64), np.zeros(len(valid) + 1, np.int64)
    places = np.empty(2 * len(data) + FACTS * len(valid), np.int64)
    values = np.empty(len(places), np.float32)
    at = 0
    for row in range(len(valid)):
        n = tk.tokenise(data, offsets[row], offsets[row + 1], fold, tokens, stems, marks, forms, counts)
        scale = np.float32(1.0 / np.sqrt(2.0 * max(n, 1)))
        for i in range(n):
            places[at], values[at] = FACTS + np.int64(stir(stems[i] >> np.uint64(4)) & mask), scale
            at += 1
            if i + 1 < n:
                places[at], values[at] = FACTS + np.int64(pair(tokens[i], tokens[i + 1]) & mask), scale
                at += 1
        facts = fact_bits(counts, n)
        for f in range(FACTS):
            if facts >> f & 1:
                places[at], values[at] = f, FACT_SHARE
                at += 1
        starts[row + 1] = at
    return places[:at], values[:at], starts
