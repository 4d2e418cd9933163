"""Sketches."""

import numpy as np
import pyarrow as pa

from clonewatch.kernels.sketching import (
    SketchKey,
    encipher,
    minhash,
    resemblance,
    round_keys,
    sketch_column,
    sketch_key,
    sketch_matrix,
)

KEY = sketch_key(bytes(16))


def sketch(words: np.ndarray, key: SketchKey = KEY) -> np.ndarray:
    out = np.empty(64, np.uint32)
    minhash(words, len(words), key.factors, key.addends, out)
    encipher(out, key.rounds, key.before, key.after)
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


def test_another_key_gives_another_sketch_and_the_same_resemblance() -> None:
    words = np.arange(1, 40, dtype=np.uint64)
    changed = np.concatenate([words[:30], words[:10]])
    other = sketch_key(b"x" * 16)
    assert (sketch(words) != sketch(words, other)).all()
    assert 0 < resemblance(sketch(words), sketch(changed)) < 1
    assert ((sketch(words) == sketch(changed)) == (sketch(words, other) == sketch(changed, other))).all()


def test_the_cipher_is_speck_with_blocks_of_32_bits() -> None:
    """The test vector of its authors: key 1918 1110 0908 0100, text 6574 694c, cipher a868 42f2."""
    values, none = np.full(64, 0x6574694C, np.uint32), np.zeros(64, np.uint32)
    encipher(values, round_keys(bytes.fromhex("0001080910111819")), none, none)
    assert (values == 0xA86842F2).all()


def test_every_place_of_a_sketch_has_a_cipher_of_its_own() -> None:
    values = np.full(64, 7, np.uint32)
    encipher(values, KEY.rounds, KEY.before, KEY.after)
    assert len(set(values.tolist())) == 64


def test_columns_keep_their_sketches_and_their_nulls() -> None:
    rows = np.arange(1, 129, dtype=np.uint32).reshape(2, 64)
    rows = np.vstack([rows, np.zeros((1, 64), np.uint32)])
    column = sketch_column(rows, np.array([True, True, False]))
    assert column.null_count == 1 and (sketch_matrix(column) == rows).all()
    assert (sketch_matrix(column.slice(1)) == rows[1:]).all()
    assert not sketch_matrix(pa.nulls(2)).any()
    assert not sketch_matrix(pa.array([[1, 2]], pa.list_(pa.uint32()))).any()
