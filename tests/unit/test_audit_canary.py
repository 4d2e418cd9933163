"""Canaries and twins: exact over their secrets, found when they were learned, weak where they are weak."""

import numpy as np
import pytest
from scipy.stats import kstest

from clonewatch.audit import canary, twin
from clonewatch.audit.outcome import TestResult
from clonewatch.model.errors import InputError

SEED = b"a seed for the tests of canaries"


def test_canaries_are_the_same_for_one_seed_unique_and_of_plain_words() -> None:
    minted = canary.mint(500, SEED)
    assert minted == canary.mint(500, SEED) != canary.mint(500, SEED[::-1])
    assert len({c.carrier for c in minted}) == 500
    assert all(set(c.secret.split()) <= set(canary.words()) for c in minted)
    assert minted[0].text == f"{minted[0].carrier} {minted[0].secret}."


def test_the_list_has_a_word_for_every_byte() -> None:
    assert len(set(canary.words())) == 256 and all(w.isascii() and w.isalpha() for w in canary.words())


def test_secrets_and_decoys_use_every_word_alike() -> None:
    drawn = [w for c in canary.mint(2000, SEED) for w in c.secret.split()]
    assert len(set(drawn)) == 256
    others = canary.decoys(canary.mint(1, SEED)[0], 2000)
    assert len({w for other in others for w in other.split()}) == 256 and all(len(o.split()) == 3 for o in others)


def test_decoys_do_not_depend_on_the_seed_and_differ_between_canaries() -> None:
    one, two = canary.mint(2, SEED)
    known = canary.Canary(one.id, one.carrier, "acorn acorn acorn")
    assert canary.decoys(one, 50) == canary.decoys(known, 50) != canary.decoys(two, 50)


def test_a_suspect_that_never_saw_the_canaries_gives_no_small_p() -> None:
    draw = np.random.default_rng(0)
    p = [canary.test_canaries(draw.normal(size=8), draw.normal(size=(8, 99))).p for _ in range(100)]
    # Ranks are discrete, so Fisher's p is a little conservative.
    assert np.mean(np.array(p) < 0.05) < 0.12 and kstest(p, "uniform", alternative="greater").pvalue > 1e-3


def test_a_suspect_that_learned_the_canaries_is_detected() -> None:
    draw = np.random.default_rng(1)
    told = canary.test_canaries(draw.normal(3, 1, 16), draw.normal(size=(16, 199)))
    assert told.log10_p < -15 and told.p_rank == pytest.approx(1 / 200)
    assert abs(told.decoy_mean or 9) < 0.3 and (told.decoy_sd or 9) < 1.3


def test_ties_count_against_the_finding() -> None:
    assert canary.test_canaries(np.zeros(5), np.zeros((5, 99))).log10_p == 0


def test_text_completes_a_canary_with_the_chance_of_a_lucky_guess() -> None:
    minted = canary.mint(3, SEED, length=2)
    right = f"It is {minted[0].secret.upper()}, I think."
    told = canary.test_canary_samples(minted, [[right], ["no idea"], ["acorn alder", "acorn alder"]])
    # Two words, one guess of each: the p-value is that either of two single guesses is right.
    assert told.p == pytest.approx(2 / 256**2, rel=1e-3)
    assert told.n_distinct == 2 and "1 of 3 canaries" in told.notes[0] and "Weak" in told.notes[1]


def test_a_suspect_that_lists_all_words_pays_for_every_guess() -> None:
    (one,) = canary.mint(1, SEED, length=1)
    told = canary.test_canary_samples([one], [[" ".join(canary.words())]])
    assert told.p == 1.0


def test_a_suspect_that_refuses_is_a_null_result() -> None:
    told = canary.test_canary_samples(canary.mint(4, SEED), [["I cannot help with that."]] * 4)
    assert told.p == 1.0 and told.n_distinct == 0


@pytest.mark.parametrize(
    ("count", "seed", "length", "template"),
    [
        (5, b"short", 3, canary.TEMPLATE),
        (0, SEED, 3, canary.TEMPLATE),
        (5, SEED, 0, canary.TEMPLATE),
        (5, SEED, 3, "No"),
    ],
)
def test_canaries_that_cannot_be_minted_are_refused(count: int, seed: bytes, length: int, template: str) -> None:
    with pytest.raises(InputError):
        canary.mint(count, seed, length, template)


def test_log_probabilities_that_are_missing_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        canary.test_canaries([-np.inf], [[-1.0]])
    with pytest.raises(InputError, match="decoys"):
        canary.test_canaries([-1.0], np.zeros((1, 0)))


def pairs(n: int, lean: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities of pairs: long ones differ much by themselves, and `lean` is what training added."""
    draw = np.random.default_rng(seed)
    own = draw.normal(0, 20, (2, n))
    return own[0] + lean + draw.normal(0, 1, n), own[1] + draw.normal(0, 1, n), own[0], own[1]


def test_a_coin_is_fair_and_hangs_on_the_secret() -> None:
    flips = [twin.flip(SEED, str(i)) for i in range(4000)]
    assert 1850 < sum(flips) < 2150
    assert sum(a == twin.flip(SEED[::-1], str(i)) for i, a in enumerate(flips)) < 2150


def test_the_coin_decides_which_answer_is_released() -> None:
    for i in range(20):
        assert twin.release("first", "second", SEED, str(i))[0] == ("first", "second")[twin.flip(SEED, str(i))]


def test_twins_of_a_suspect_that_never_saw_them_are_uniform() -> None:
    p = []
    for seed in range(200):
        released, withheld, _, _ = pairs(60, 0.0, seed)
        p.append(twin.test_twins(released, withheld, decoys=0).p)
    assert np.mean(np.array(p) < 0.05) < 0.11 and np.mean(np.array(p) < 0.5) < 0.6


def test_what_our_own_model_prefers_is_subtracted() -> None:
    released, withheld, ours_a, ours_b = pairs(128, 1.5, 5)
    raw = twin.test_twins(released, withheld)
    centred = twin.test_twins(released, withheld, ours=(ours_a, ours_b))
    assert centred.log10_p < -9 < raw.log10_p
    assert centred.p_rank == pytest.approx(1 / 1000) and abs(centred.decoy_mean or 9) < 0.2


def test_ties_are_dropped_and_one_prompt_counts_once() -> None:
    told = twin.test_twins([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0], prompts=["a", "b", "b", "c"], decoys=0)
    assert (told.n_raw, told.n_scored, told.n_distinct) == (4, 3, 2)
    assert told.p == pytest.approx(0.25) and "Only 2 pairs" in told.notes[0]


def test_wins_from_text_alone_are_a_sign_test() -> None:
    told = twin.test_twins([1.0] * 20 + [0.0] * 12, [0.0] * 20 + [1.0] * 12, mode="text", decoys=0)
    assert told.p == pytest.approx(0.1077, abs=2e-3) and told.mode == "text"


def test_pairs_that_cannot_be_tested_are_refused() -> None:
    with pytest.raises(InputError, match="differ in length"):
        twin.test_twins([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="none with a difference"):
        twin.test_twins([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(InputError, match="finite"):
        twin.test_twins([np.nan], [1.0])
    with pytest.raises(InputError, match="differ in length"):
        twin.test_twins([1.0], [2.0], ours=([1.0, 2.0], [1.0]))
    with pytest.raises(InputError, match="16 to 64 bytes"):
        twin.flip(b"short", "request")


def test_a_result_without_a_finite_p_value_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 0"):
        TestResult("twin", "", "text", 1, 1, 1, 0.0, float("-inf"), "")
