"""Intervals, recall at a rate, and the sums behind the evaluation page."""

import doctest
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals.intervals import exact, precision_at, wilson  # noqa: E402
from evals.summary import above, calibration, frontier, rivals  # noqa: E402


@pytest.mark.parametrize(("count", "whole"), [(0, 20), (1, 20), (7, 20), (20, 20), (3, 1000)])
def test_the_exact_interval_is_that_of_the_beta_distribution(count: int, whole: int) -> None:
    found = exact(count, whole)
    low = beta.ppf(0.025, count, whole - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, whole - count) if count < whole else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("count", "whole"), [(0, 20), (7, 20), (20, 20), (46, 50)])
def test_wilsons_interval_is_its_formula(count: int, whole: int) -> None:
    z, p = norm.ppf(0.975), count / whole
    middle, half = p + z**2 / (2 * whole), z * np.sqrt(p * (1 - p) / whole + z**2 / (4 * whole**2))
    found = wilson(count, whole)
    assert (found.low, found.high) == pytest.approx(
        ((middle - half) / (1 + z**2 / whole), (middle + half) / (1 + z**2 / whole))
    )


def test_the_exact_interval_has_at_least_its_nominal_coverage() -> None:
    n = 40
    for truth in (0.01, 0.1, 0.37, 0.8):
        covered = sum(
            binom.pmf(k, n, truth) for k in range(n + 1) if (exact(k, n).low or 0) <= truth <= (exact(k, n).high or 1)
        )
        assert covered >= 0.95


def test_a_total_of_zero_has_no_interval() -> None:
    assert (exact(0, 0).value, exact(0, 0).low, str(wilson(0, 0))) == (None, None, "none")


def test_precision_falls_with_the_base_rate() -> None:
    assert precision_at(0.5, 1.0, 0.0) == 1.0
    found = [precision_at(b, 0.9, 1e-3) or 0 for b in (1e-3, 1e-4, 1e-5)]
    assert found == sorted(found, reverse=True) and found[1] == pytest.approx(9e-5 / (9e-5 + 0.9999e-3))
    assert precision_at(1e-3, 0.0, 0.0) is None


def test_ties_with_honest_accounts_do_not_count_as_found() -> None:
    assert above([1.0, 1.0, 2.0], [2.0, 1.0, 1.0, 0.0], allowed=1) == pytest.approx(1 / 3)
    assert above([float("-inf")], [float("-inf")] * 3, allowed=1) == 0.0


def test_scores_of_several_logs_are_pooled_before_recall_is_read() -> None:
    def log(honest: list[float], members: list[float]) -> dict[str, object]:
        return {"methods": {"m": {"honest": 1000, "honest_top": honest, "members": members}}, "oracles": {}}

    found = rivals([log([9, 1, 0], [5, 5]), log([3, 2, 0], [2.5, 1])])["m"]
    # One in a thousand of 2,000 honest accounts: two may score above the threshold, which is then the third, 2.
    assert found["at"]["0.001"]["allowed"] == 2
    assert found["at"]["0.001"]["recall"] == 0.75
    assert found["at"]["0.001"]["each"] == [1.0, 0.5]


def quiet(p: list[float], accounts: int) -> dict[str, object]:
    return {"candidates": [{"p_value": v, "e_value": 0.5 / v**0.5, "accounts": accounts} for v in p]}


def test_calibration_distinguishes_uniform_p_values_from_small_ones() -> None:
    even = [(i + 1) / 100 for i in range(100)]
    good, bad = calibration([quiet(even, 10)])[0], calibration([quiet([v**3 for v in even], 10)])[0]
    assert good["ks"] < 0.02 < 0.3 < bad["ks"]
    assert bad["ks_p"] < 1e-6 and bad["mean_e"] > good["mean_e"]
    assert good["at_most"]["0.05"] == 5


def test_calibration_groups_by_size() -> None:
    found = {
        part["class"]: part["groups"]
        for part in calibration([quiet([0.5], 6), quiet([0.5, 0.4], 12), quiet([0.1], 90)])
    }
    assert list(found.values()) == [4, 1, 2, 1]


def test_a_lower_threshold_leaks_less_and_hits_more_honest_accounts() -> None:
    points = [
        {"at": 9.0, "leaked": {"c": 0.5}, "honest": 0},
        {"at": 4.0, "leaked": {"c": 0.2}, "honest": 3},
    ]
    run = {
        "log": {"days": 30},
        "curve": {
            "campaigns": ["c"],
            "honest_accounts": 1000,
            "by": {"threshold_ratio": points},
            "flagged": {"leaked": {"c": 0.5}, "honest": 0},
        },
    }
    found = frontier([run])
    assert [(x["threshold"], x["leaked"], x["honest"]) for x in found["by"]["threshold_ratio"]] == [
        (9.0, 0.5, 0.0),
        (4.0, 0.2, 300.0),
    ]
    assert found["rule"] == {"leaked": 0.5, "honest": 0.0}


@pytest.mark.parametrize("name", ["comparisons", "groups", "intervals", "jobs", "runner", "summary", "wording"])
def test_the_examples_in_the_modules_are_right(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"evals.{name}"))
    assert found.attempted and not found.failed
