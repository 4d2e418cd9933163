"""What may never change a result of the audit: order, repeats, and what the key does not see."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clonewatch.audit import stats, watermark
from clonewatch.audit.outcome import p_value_text
from clonewatch.audit.prf import VllmPhilox, Watermark
from clonewatch.audit.samples import Sample

KEYED = VllmPhilox(7, 2)
TEXTS = st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=25), min_size=1, max_size=12)


def whole(texts: list[list[int]]) -> list[Sample]:
    return [Sample(np.array(t, np.int64)) for t in texts]


@given(TEXTS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_samples_changes_nothing(texts: list[list[int]], random: object) -> None:
    other = list(texts)
    random.shuffle(other)  # type: ignore[attr-defined]
    one, two = (watermark.test_watermark(whole(t), Watermark(KEYED), decoys=0) for t in (texts, other))
    assert (one.n_distinct, one.n_scored) == (two.n_distinct, two.n_scored)
    assert abs(one.log10_p - two.log10_p) < 1e-9


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_repeating_every_text_adds_no_evidence(texts: list[list[int]]) -> None:
    one, two = (watermark.test_watermark(whole(t), Watermark(KEYED), decoys=0) for t in (texts, texts * 3))
    assert one.log10_p == two.log10_p and one.n_distinct == two.n_distinct


@given(TEXTS, st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_every_p_value_is_reported_and_none_is_zero(texts: list[list[int]], key: int) -> None:
    for rule in ("gumbel", "kgw"):
        result = watermark.test_watermark(whole(texts), Watermark(VllmPhilox(key, 2), rule), decoys=5)  # type: ignore[arg-type]
        assert 0 < result.p <= 1 and json.loads(json.dumps(result.to_json(), allow_nan=False)) == result.to_json()


@given(st.lists(st.floats(-50, 50, allow_nan=False), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_sign_flip_test_gives_a_probability_that_ignores_scale(differences: list[float]) -> None:
    d = np.round(np.array(differences), 3)
    log10_p, _ = stats.sign_flip(d)
    assert -len(d) * np.log10(2) - 1e-9 <= log10_p <= 0
    assert abs(stats.sign_flip(d * 64)[0] - log10_p) < 1e-6


@given(st.integers(1, 3000), st.floats(0.05, 0.95), st.data())
@settings(max_examples=150, deadline=None)
def test_more_hits_are_never_less_surprising(n: int, share: float, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n - 1))
    assert stats.binomial_tail(hits + 1, n, share) <= stats.binomial_tail(hits, n, share) <= 0


@given(st.floats(-5000, 0, allow_nan=False))
def test_a_reported_p_value_is_never_smaller_than_the_real_one(log10_p: float) -> None:
    digits, _, exponent = p_value_text(log10_p).partition("e")
    assert np.log10(float(digits)) + int(exponent or 0) >= log10_p - 1e-6
