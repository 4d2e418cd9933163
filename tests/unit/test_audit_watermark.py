"""The watermark test: right under the null, exact over keys, wary of copies and repeats, clear about bad input."""

import time

import numpy as np
import pytest
from scipy.stats import kstest

from clonewatch.audit import samples, stats, watermark
from clonewatch.audit.prf import Blake2, Prf, VllmPhilox, Watermark
from clonewatch.audit.samples import Likely, Sample
from clonewatch.model.errors import InputError

KEYED = VllmPhilox(0x5EED, 2)


def zipf(count: int, length: int, seed: int, size: int = 300) -> np.ndarray:
    """Text without a key in which pairs recur, as they do in language."""
    chance = 1 / np.arange(1, size + 1)
    return np.random.default_rng(seed).choice(size, (count, length), p=chance / chance.sum())


def written(keyed: Prf, count: int, length: int, seed: int, rule: str = "gumbel", size: int = 300) -> np.ndarray:
    """Text that carries the watermark of a key."""
    draw = np.random.default_rng(seed)
    rows = zipf(count, keyed.width, seed)
    chance = 1 / np.arange(1, size + 1)
    for _ in range(length):
        context = np.repeat(rows[:, -keyed.width :], size, axis=0)
        u = keyed.uniform(context, np.tile(np.arange(size), count)).reshape(count, size)
        if rule == "gumbel":
            following = (np.log(u) / chance).argmax(1)
        else:
            weight = (chance * np.exp(2.0 * (u < 0.5))).cumsum(1)
            following = (weight < draw.random((count, 1)) * weight[:, -1:]).sum(1)
        rows = np.concatenate([rows, following[:, None]], 1)
    return rows


def whole(rows: np.ndarray, given: int = 0) -> list[Sample]:
    return [Sample(row, given) for row in rows]


@pytest.mark.parametrize(("rule", "gamma"), [("gumbel", 0.5), ("kgw", 0.5), ("kgw", 0.25)])
def test_over_300_keys_the_p_value_of_one_text_is_uniform(rule: str, gamma: float) -> None:
    text = whole(zipf(60, 40, 1))
    counted = watermark.tally(text, KEYED)
    p = [10 ** watermark.judge(counted, KEYED.decoy(i), rule, gamma)[1] for i in range(300)]  # type: ignore[arg-type]
    assert kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("rule", ["gumbel", "kgw"])
def test_over_300_keys_the_centred_statistic_is_standard_and_its_bound_conservative(rule: str) -> None:
    rows = zipf(60, 40, 2)
    chance = np.tile(1 / np.arange(1, 301), (38, 1))
    reference = [Likely.most(np.arange(2, 40), chance / chance.sum(1, keepdims=True))] * 60
    counted = watermark.tally(whole(rows), KEYED, reference=reference)
    judged = [watermark.judge(counted, KEYED.decoy(i), rule) for i in range(300)]  # type: ignore[arg-type]
    assert kstest([statistic for statistic, _, _ in judged], "norm").pvalue > 1e-3
    assert np.mean([log10_p < np.log10(0.05) for _, log10_p, _ in judged]) < 0.05


def test_counting_every_occurrence_would_raise_false_alarms_and_counting_each_once_does_not() -> None:
    narrow, rows = VllmPhilox(0x5EED, 1), zipf(60, 40, 3)
    context, token = rows[:, :-1].reshape(-1, 1), rows[:, 1:].ravel()
    every = [float(-np.log1p(-narrow.decoy(i).uniform(context, token)).sum()) for i in range(300)]
    inflated = np.mean([stats.gamma_tail(total, len(token)) < np.log10(0.05) for total in every])
    counted = watermark.tally(whole(rows), narrow)
    once = np.mean([watermark.judge(counted, narrow.decoy(i))[1] < np.log10(0.05) for i in range(300)])
    assert inflated > 0.15 and once < 0.09


def test_a_repeat_in_another_sample_is_the_same_draw() -> None:
    rows = zipf(20, 30, 4)
    one = watermark.test_watermark(whole(rows), Watermark(KEYED), decoys=0)
    twice = watermark.test_watermark(whole(np.concatenate([rows, rows])), Watermark(KEYED), decoys=0)
    assert twice.n_scored == 2 * one.n_scored
    assert (twice.n_distinct, twice.log10_p) == (one.n_distinct, one.log10_p)


@pytest.mark.parametrize("rule", ["gumbel", "kgw"])
def test_a_model_that_copies_its_prompt_is_not_taken_for_one_that_was_trained_on_it(rule: str) -> None:
    """The trap: an innocent model that continues our watermarked text by repeating what stands in it."""
    marked = written(KEYED, 80, 40, 5, rule)
    copied = np.concatenate([marked, marked[:, 10:40]], 1)
    trap = whole(copied, given=marked.shape[1])
    caught = watermark.test_watermark(trap, Watermark(KEYED, rule), exclude_context=False, decoys=0)  # type: ignore[arg-type]
    # The same model also writes words of its own, so that something is left to test.
    own = np.concatenate([copied, zipf(80, 30, 6)], 1)
    careful = watermark.test_watermark(whole(own, marked.shape[1]), Watermark(KEYED, rule), decoys=0)  # type: ignore[arg-type]
    assert caught.log10_p < -6
    assert careful.p > 0.01 and careful.n_scored < 2 * 80 * 30


def test_a_model_that_reads_our_text_is_scored_where_a_window_is_new_to_it() -> None:
    """Reading: it says what it holds likely, which is what followed the same window before."""
    marked = written(KEYED, 80, 60, 7)
    read = []
    for row in marked:
        places, follow, seen = [], [], {}
        for place in range(2, len(row)):
            window = (row[place - 2], row[place - 1])
            places.append(place)
            follow.append(seen.get(window, int(row[place - 1])))
            seen[window] = row[place]
        likely = Likely(np.array(places), np.array(follow)[:, None], np.ones((len(places), 1), np.float32))
        read.append(Sample(row, len(row), likely))
    trap = watermark.test_watermark(read, Watermark(KEYED), mode="logprobs", exclude_context=False, decoys=0)
    careful = watermark.test_watermark(read, Watermark(KEYED), mode="logprobs", decoys=0)
    assert trap.log10_p < -6 and careful.p > 0.01


@pytest.mark.parametrize("rule", ["gumbel", "kgw"])
def test_our_own_served_text_is_detected_by_its_key_and_by_no_other(rule: str) -> None:
    served = whole(written(KEYED, 40, 40, 8, rule))
    told = watermark.confirm(served, Watermark(KEYED, rule))  # type: ignore[arg-type]
    assert told.log10_p < -30
    with pytest.raises(InputError, match="does not carry this watermark"):
        watermark.confirm(served, Watermark(VllmPhilox(1, 2), rule))  # type: ignore[arg-type]


def test_text_in_another_tokenisation_does_not_carry_the_watermark() -> None:
    served = written(KEYED, 40, 40, 9)
    with pytest.raises(InputError, match="tokenizer"):
        watermark.confirm(whole((served * 7 + 3) % 300), Watermark(KEYED))


def test_a_wrong_key_gives_a_null_result_and_not_an_error() -> None:
    told = watermark.test_watermark(whole(written(KEYED, 40, 40, 10)), Watermark(Blake2(bytes(32), 2)), decoys=99)
    assert told.p > 1e-3 and told.p_rank is not None and told.p_rank > 0.005


def test_the_rank_among_decoys_has_its_floor_and_the_decoys_are_standard() -> None:
    told = watermark.test_watermark(whole(written(KEYED, 40, 40, 11)), Watermark(KEYED), decoys=199)
    assert told.p_rank == pytest.approx(1 / 200)
    assert abs(told.decoy_mean or 9) < 0.3 and 0.8 < (told.decoy_sd or 9) < 1.2


def test_999_decoys_over_a_hundred_thousand_tokens_take_seconds() -> None:
    """Fewer of both here; the work is their product."""
    draw = np.random.default_rng(12)
    rows = draw.integers(0, 50_000, (100, 200))
    watermark.test_watermark(whole(rows), Watermark(KEYED), decoys=1)
    before = time.process_time()
    told = watermark.test_watermark(whole(rows), Watermark(KEYED), decoys=50)
    spent = (time.process_time() - before) / (50 * told.n_distinct)
    assert spent * 999 * 100_000 < 60


def test_probabilities_say_more_than_text() -> None:
    """A suspect that leans a little: its probabilities are tilted by the key, its text is drawn from them."""
    size, draw = 300, np.random.default_rng(13)
    chance = 1 / np.arange(1, size + 1)
    rows, held = zipf(100, 2, 14), []
    for _ in range(40):
        u = KEYED.uniform(np.repeat(rows[:, -2:], size, axis=0), np.tile(np.arange(size), 100)).reshape(100, size)
        tilted = chance * np.exp(0.4 * (u < 0.5))
        held.append(tilted / tilted.sum(1, keepdims=True))
        upto = held[-1].cumsum(1)
        following = (upto < draw.random((100, 1)) * upto[:, -1:]).sum(1).clip(0, size - 1)
        rows = np.concatenate([rows, following[:, None]], 1)
    places, plain = np.arange(2, 42), np.tile(chance / chance.sum(), (40, 1))
    suspect = [Sample(row, 0, Likely.most(places, np.stack(held, 1)[i])) for i, row in enumerate(rows)]
    reference = [Likely.most(places, plain)] * 100
    text = watermark.test_watermark(suspect, Watermark(KEYED, "kgw"), reference=reference, decoys=0)
    told = watermark.test_watermark(suspect, Watermark(KEYED, "kgw"), mode="logprobs", reference=reference, decoys=0)
    assert told.log10_p < text.log10_p and told.log10_p < -9


def test_no_samples_or_none_that_can_be_scored_are_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        watermark.test_watermark([], Watermark(KEYED))
    with pytest.raises(InputError, match="no token of 2 can be scored"):
        watermark.test_watermark([Sample(np.array([1, 2, 3, 4]), 2)], Watermark(KEYED))
    with pytest.raises(InputError, match="no token of 0"):
        watermark.test_watermark([Sample(np.array([], np.int64))], Watermark(KEYED))


def test_empty_probabilities_are_refused_with_the_fix() -> None:
    empty = Likely(np.array([], np.int64), np.zeros((0, 1), np.int64), np.zeros((0, 1), np.float32))
    for likely in (None, empty):
        with pytest.raises(InputError, match="mode `text`, which is weaker"):
            watermark.test_watermark([Sample(np.arange(9), 0, likely)], Watermark(KEYED), mode="logprobs")


def test_a_truncated_answer_is_scored_as_far_as_it_goes() -> None:
    rows = written(KEYED, 40, 40, 15)
    cut = [Sample(row[: 3 + i % 40], 0) for i, row in enumerate(rows)]
    told = watermark.test_watermark(cut, Watermark(KEYED), decoys=0)
    assert told.n_scored == sum(max(0, len(s.tokens) - 2) for s in cut) and told.log10_p < -6


def test_a_suspect_that_refuses_everything_is_reported_as_a_null_result() -> None:
    told = watermark.test_watermark(whole(np.tile(np.arange(30), (200, 1))), Watermark(KEYED), decoys=0)
    assert told.n_distinct == 28 and told.log10_p > -4
    assert any("refusing" in note for note in told.notes) and any("28 distinct" in note for note in told.notes)


def test_languages_may_be_mixed() -> None:
    """Whatever the text is, only the key is random."""
    mixed = [Sample(row + 1000 * (i % 5), 0) for i, row in enumerate(zipf(60, 40, 16))]
    p = [10 ** watermark.test_watermark(mixed, Watermark(KEYED.decoy(i)), decoys=0).log10_p for i in range(200)]
    assert kstest(p, "uniform").pvalue > 1e-3


def test_a_rule_or_share_that_is_none_is_refused() -> None:
    for rule, gamma in (("green", 0.5), ("kgw", 0.0), ("kgw", 1.0)):
        with pytest.raises(InputError, match="no rule"):
            watermark.test_watermark(whole(zipf(2, 9, 0)), Watermark(KEYED, rule, gamma))  # type: ignore[arg-type]


def test_a_suspect_that_equals_the_reference_leaves_nothing_to_test() -> None:
    likely = Likely(np.arange(2, 9), np.ones((7, 1), np.int64), np.full((7, 1), 0.5, np.float32))
    with pytest.raises(InputError, match="nothing to test"):
        watermark.test_watermark(
            [Sample(np.arange(9), 0, likely)], Watermark(KEYED), mode="logprobs", reference=[likely]
        )


def test_tokens_are_compared_where_both_lists_have_them() -> None:
    """Lists are cut off; what only one of them holds is left out, or what was cut off would pass for a lean."""
    row, places = np.arange(10, 19), np.arange(2, 9)
    ours = Likely(places, np.tile([12, 13, 50], (7, 1)), np.full((7, 3), 0.2, np.float32))
    theirs = Likely(places, np.tile([13, 50, 60], (7, 1)), np.full((7, 3), 0.3, np.float32))
    text = watermark.tally([Sample(row)], KEYED, "text", [ours])
    told = watermark.tally([Sample(row, 0, theirs)], KEYED, "logprobs", [ours])
    # Written were 12 to 18: only 12 and 13 stand in the reference.
    assert set(text.token.tolist()) == {12, 13, 50} and (text.weight > 0).sum() == 2
    assert set(told.token.tolist()) == {13, 50} and (told.weight > 0).all()


def test_references_that_do_not_fit_the_samples_are_refused() -> None:
    with pytest.raises(InputError, match="0 references for 1"):
        watermark.test_watermark(whole(zipf(1, 9, 0)), Watermark(KEYED), reference=[])


@pytest.mark.parametrize("probability", [-0.1, 1.5, np.nan])
def test_log_probabilities_given_as_probabilities_are_refused(probability: float) -> None:
    with pytest.raises(InputError, match="not between 0 and 1"):
        Likely(np.array([1]), np.array([[1]]), np.array([[probability]], np.float32))


def letters(text: str) -> list[int]:
    return [ord(c) for c in text]


def test_texts_become_samples_with_what_was_given() -> None:
    (told,) = samples.from_texts(["cd"], letters, ["ab"])
    assert told.tokens.tolist() == letters("abcd") and told.given == 2 and told.written.tolist() == letters("cd")
