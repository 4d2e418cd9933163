"""Sketches."""

import numpy as np
import pyarrow as pa

from clonewatch.kernels.sketching import minhash, resemblance, sketch_coefficients, sketch_column, sketch_matrix

FACTORS, ADDENDS = sketch_coefficients(bytes(16))


def sketch(words: np.ndarray) -> np.ndarray:
    out = np.empty(64, np.uint32)
    minhash(words, len(words), FACTORS, ADDENDS, out)
    return out


def test_resemblance_estimates_the_jaccard_similarity_of_shingles() -> None:
    draw = np.random.default_rng(3)
    errors = []
    for shared in (20, 60, 100):
        for _ in range(60):
            words = draw.integers(1, 2**63, 120, dtype=np.uint64)
            other = words.copy()
            other[shared:] = draw.integers(1, 2**63, 120 - shared, dtype=np.uint64)
            truth = (shared - 2) / (2 * 118 - (shared - 2))
            errors.append(resemblance(sketch(words), sketch(other)) - truth)
    # 180 estimates of standard error 0.06 at most: the mean is within 3 standard errors, and the spread is as foretold.
    assert abs(np.mean(errors)) < 3 * 0.0625 / np.sqrt(len(errors))
    assert np.std(errors) < 0.0625 * 1.2


def test_order_of_words_matters_but_place_in_the_text_does_not() -> None:
    words = np.arange(1, 40, dtype=np.uint64)
    assert resemblance(sketch(words), sketch(words[::-1].copy())) < 0.1
    assert resemblance(sketch(words), sketch(np.concatenate([words[20:], words[:20]]))) > 0.8


def test_another_key_gives_another_sketch() -> None:
    words = np.arange(1, 40, dtype=np.uint64)
    out = np.empty(64, np.uint32)
    minhash(words, len(words), *sketch_coefficients(b"x" * 16), out)
    assert (out != sketch(words)).mean() > 0.9


def test_columns_keep_their_sketches_and_their_nulls() -> None:
    rows = np.arange(1, 129, dtype=np.uint32).reshape(2, 64)
    rows = np.vstack([rows, np.zeros((1, 64), np.uint32)])
    column = sketch_column(rows, np.array([True, True, False]))
    assert column.null_count == 1 and (sketch_matrix(column) == rows).all()
    assert (sketch_matrix(column.slice(1)) == rows[1:]).all()
    assert not sketch_matrix(pa.nulls(2)).any()
    assert not sketch_matrix(pa.array([[1, 2]], pa.list_(pa.uint32()))).any()
