"""The packed sums of the classifier are the plain sums."""

import numpy as np

from clonewatch.kernels import tokens as tk
from clonewatch.kernels.hashing import stir_all
from clonewatch.kernels.scoring import FACT_SHARE, FACTS, OUTPUTS, WORDS, add_scores, fact_bits, packed

BUCKETS = 256
DRAW = np.random.default_rng(5)
WEIGHTS = DRAW.integers(-128, 128, (FACTS + BUCKETS, OUTPUTS)).astype(np.int8)
SCALES = DRAW.random(OUTPUTS).astype(np.float32)


def plain_sums(tokens: np.ndarray, stems: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Feature by feature, in floating point."""
    n, mask = len(tokens), np.uint64(BUCKETS - 1)
    words = FACTS + (stir_all(stems >> np.uint64(4)) & mask).astype(np.int64)
    both = stir_all(tokens[:-1] * np.uint64(0x9E3779B97F4A7C15) + tokens[1:])
    pairs = FACTS + (both & mask).astype(np.int64)
    facts = [f for f in range(FACTS) if fact_bits(counts, n) >> f & 1]
    heard = WEIGHTS[words].sum(axis=0, dtype=np.int64) + WEIGHTS[pairs].sum(axis=0, dtype=np.int64)
    noted = WEIGHTS[facts].sum(axis=0, dtype=np.int64)
    return SCALES * (heard / np.sqrt(2.0 * n) + FACT_SHARE * noted)


def scored(n: int, weights: np.ndarray = WEIGHTS) -> tuple[np.ndarray, np.ndarray]:
    tokens, stems = DRAW.integers(1, 2**63, (2, n)).astype(np.uint64)
    counts = DRAW.integers(0, 8, tk.COUNTS)
    out = np.zeros(OUTPUTS, np.float32)
    add_scores(tokens, stems, n, counts, packed(weights), SCALES, out)
    return out, plain_sums(tokens, stems, counts)


def test_packed_sums_are_the_plain_sums_for_short_and_for_the_longest_prompts() -> None:
    for n in (1, 2, 9, 500, tk.MAX_TOKENS):
        got, expected = scored(n)
        assert np.allclose(got, expected, rtol=1e-4, atol=1e-3), n


def test_the_largest_weights_everywhere_do_not_run_over_into_the_next_sum() -> None:
    tokens = np.arange(1, tk.MAX_TOKENS + 1, dtype=np.uint64)
    counts, out = np.zeros(tk.COUNTS, np.int64), np.zeros(OUTPUTS, np.float32)
    highest = np.full((FACTS + BUCKETS, OUTPUTS), 127, np.int8)
    add_scores(tokens, tokens, tk.MAX_TOKENS, counts, packed(highest), np.ones(OUTPUTS, np.float32), out)
    features = 2 * tk.MAX_TOKENS - 1
    facts = bin(fact_bits(counts, tk.MAX_TOKENS)).count("1")
    assert np.allclose(out, 127 * (features / np.sqrt(2.0 * tk.MAX_TOKENS) + float(FACT_SHARE) * facts), rtol=1e-5)


def test_weights_take_a_quarter_of_a_cache_line_a_feature() -> None:
    assert packed(WEIGHTS).shape == (FACTS + BUCKETS, WORDS) and WORDS * 8 <= 32


def test_a_prompt_without_words_has_no_score() -> None:
    out = np.zeros(OUTPUTS, np.float32)
    nothing = np.zeros(0, np.uint64)
    add_scores(nothing, nothing, 0, np.zeros(tk.COUNTS, np.int64), packed(WEIGHTS), SCALES, out)
    assert np.isnan(out).all()
