"""Tails of the audit: they agree with simulation and with exact sums, and never give a p-value of 0."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as reference

from clonewatch.audit import stats


@pytest.mark.parametrize(("hits", "n", "share"), [(60, 100, 0.5), (30, 100, 0.25), (1, 5, 0.1), (90, 90, 0.5)])
def test_the_binomial_tail_agrees_with_a_sum_of_its_terms(hits: int, n: int, share: float) -> None:
    exact = sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1))
    assert stats.binomial_tail(hits, n, share) == pytest.approx(math.log10(exact), rel=1e-9)


def test_the_binomial_tail_goes_on_where_doubles_end() -> None:
    assert stats.binomial_tail(5000, 5000, 0.5) == pytest.approx(5000 * math.log10(0.5))
    above = [stats.binomial_tail(k, 20_000, 0.5) for k in range(12_000, 13_600, 10)]
    assert min(above) < -400 and max(above) > -200
    assert np.diff(above).max() < 0, "no jump where the sum in log space takes over"


@pytest.mark.parametrize("n", [1, 10, 4000])
def test_the_gamma_tail_joins_without_a_step_where_doubles_end(n: int) -> None:
    totals = n + np.linspace(0, 2500, 400)
    tails = np.array([stats.gamma_tail(t, n) for t in totals])
    assert np.isfinite(tails).all() and np.diff(tails).max() < 0
    whole = tails > -290
    assert tails[whole] == pytest.approx(reference.gamma.logsf(totals[whole], n) / stats.LN10, rel=1e-8)
    assert np.diff(tails, 2).max() < 0.05


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_hoeffdings_bound_holds_for_every_threshold(share: float) -> None:
    weights = np.array([3.0, 1.0, 1.0, -2.0, 0.5, 0.5, 0.25, 4.0])
    outcomes = np.array(list(itertools.product([0, 1], repeat=len(weights))))
    chance = np.prod(np.where(outcomes == 1, share, 1 - share), axis=1)
    sums = (outcomes - share) @ weights
    for threshold in np.linspace(0.1, sums.max(), 40):
        exact = chance[sums >= threshold - 1e-12].sum()
        assert math.log10(exact) <= stats.hoeffding(threshold, float((weights**2).sum()), share) + 1e-12


def test_chernoffs_bound_holds_and_is_within_a_digit_of_the_exact_tail() -> None:
    for n, deviation in ((50, 30.0), (1000, 200.0), (1000, 2000.0)):
        exact = stats.gamma_tail(n + deviation, n)
        bound = stats.chernoff_exponential(deviation, np.ones(n))
        assert exact <= bound <= exact + 2.5


def test_chernoffs_bound_holds_for_weights_of_either_sign() -> None:
    draw = np.random.default_rng(1)
    weights = draw.normal(size=60)
    sums = (draw.exponential(size=(200_000, 60)) - 1) @ weights
    for threshold in np.quantile(sums, [0.9, 0.99, 0.999]):
        assert np.log10((sums >= threshold).mean()) <= stats.chernoff_exponential(float(threshold), weights)


def test_chernoffs_bound_of_negative_weights_alone_is_finite() -> None:
    assert -20 < stats.chernoff_exponential(1.5, -np.ones(3)) <= 0


def test_the_sign_flip_is_what_all_signs_give() -> None:
    draw = np.random.default_rng(2)
    for _ in range(20):
        d = draw.normal(0.5, 1.0, 12)
        signs = np.array(list(itertools.product([-1, 1], repeat=12)))
        exact = np.log10((signs @ np.abs(d) >= d.sum() - 1e-12).mean())
        log10_p, _ = stats.sign_flip(d)
        if d.sum() > 0:
            assert exact - 1e-9 <= log10_p <= exact + 0.01
        else:
            assert log10_p == 0


def test_the_sign_flip_of_wins_and_losses_is_the_binomial_tail() -> None:
    assert stats.sign_flip([1.0] * 70 + [-1.0] * 30)[0] == pytest.approx(stats.binomial_tail(70, 100, 0.5), abs=1e-6)


def test_the_sign_flip_stays_finite_for_thousands_of_pairs() -> None:
    draw = np.random.default_rng(3)
    for n in (3000, 5000):
        log10_p, method = stats.sign_flip(np.abs(draw.normal(size=n)) + 0.01)
        assert -math.inf < log10_p < -300, method
        log10_p, method = stats.sign_flip(draw.normal(0.2, 1.0, n))
        assert -60 < log10_p < -10, method


def test_hits_of_unequal_chances_agree_with_all_outcomes() -> None:
    chances = [0.5, 0.1, 0.02, 0.9]
    for hits in range(1, 5):
        exact = sum(
            math.prod(q if hit else 1 - q for hit, q in zip(told, chances, strict=True))
            for told in itertools.product([0, 1], repeat=4)
            if sum(told) >= hits
        )
        assert 10 ** stats.hits_tail(hits, chances) == pytest.approx(exact)


def test_fisher_of_one_test_is_that_test() -> None:
    assert stats.fisher([-3.7]) == pytest.approx(-3.7) and stats.fisher([]) == 0


def test_holm_never_makes_a_p_value_smaller_and_keeps_their_order() -> None:
    before = [-5.0, -1.2, -3.0, 0.0]
    after = stats.holm(before)
    assert all(a >= b for a, b in zip(after, before, strict=True))
    assert np.argsort(after).tolist() == np.argsort(before).tolist()


@pytest.mark.parametrize("kind", ["kgw", "gumbel"])
def test_looking_often_does_not_raise_false_alarms(kind: str) -> None:
    """500 innocent suspects, 10 looks each, and the look that seems best: beyond 0.05 at most as often as chance."""
    draw = np.random.default_rng(4)
    alarms = 0
    for _ in range(500):
        looks = stats.EProcess(kind, 0.25)  # type: ignore[arg-type]
        best = 0.0
        for _ in range(10):
            scores = (draw.random(50) < 0.25) - 0.25 if kind == "kgw" else draw.exponential(size=50) - 1
            best = min(best, looks.look(np.abs(draw.normal(size=50)), scores))
        alarms += best < math.log10(0.05)
    assert alarms <= 25 + 3 * math.sqrt(500 * 0.05 * 0.95)


def test_a_real_lean_is_seen_by_looking_often() -> None:
    draw = np.random.default_rng(5)
    looks = stats.EProcess("kgw", 0.5)
    seen = [looks.look(np.ones(500), (draw.random(500) < 0.6) - 0.5) for _ in range(10)]
    assert seen[-1] < -9 and all(b <= a for a, b in itertools.pairwise(seen))
