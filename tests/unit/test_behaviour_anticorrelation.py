"""Taking turns: a queue of fixed size is found, and independent accounts are not mistaken for one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.behaviour.tests.anticorrelation import TEST, turns
from clonewatch.campaigns.fusion import FAMILY_BITS, measure_tests
from clonewatch.graph.communities import FIRST

DAY = 144  # ten-minute bins
# Relative load of each hour of the day at an event.
BUSY = np.array([1, 1, 1, 1, 1, 1, 2, 4, 8, 9, 9, 8, 7, 9, 9, 9, 8, 7, 6, 6, 5, 4, 3, 2])


def measured(bin_: np.ndarray, entity: np.ndarray) -> pa.Table:
    """The test's table for the exchanges of one cluster. bin_, entity: ten-minute bin and entity of each exchange."""
    (bins, entities), n = np.unique(np.stack([bin_, entity]), axis=1, return_counts=True)
    names, at = np.unique(bins, return_inverse=True)
    total = np.bincount(at, n).astype(np.int64)
    table = {"cluster": pa.array([0] * len(names), pa.int32()), "bin": names, "n": total, "n2": np.bincount(at, n * n)}
    volume = np.bincount(entities, n)
    return turns(pa.table(table), pa.table({"cluster": [0], "n2": [float((volume**2).sum())]}))


def bits(table: pa.Table) -> float:
    readings = measure_tests({"anticorrelation": table}, [TEST], FIRST)
    return max((r.bits for r in readings), default=0.0)


def event(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Forty independent entrants of an event of 54 hours."""
    draw = np.random.default_rng(seed)
    share = np.resize(BUSY, 54)
    hour = draw.choice(54, 9000, p=share / share.sum()) + draw.random(9000)
    return (hour * 6).astype(int), draw.integers(0, 40, 9000)


def test_independent_entrants_of_a_two_day_event_are_not_taking_turns() -> None:
    """Level and hours fitted to the few bins of one weekend remove variation; that is not turn-taking."""
    assert all(bits(measured(*event(seed))) <= 0 for seed in range(60))


@pytest.mark.parametrize(("days", "within"), [(5, 0.025), (14, 0.015)])
def test_independent_accounts_average_zero_however_short_the_log(days: int, within: float) -> None:
    """The statistic corrects for the variation that the fit removes."""
    values, strengths = [], []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        size = days * DAY * 5
        table = measured(np.r_[0, draw.integers(0, days * DAY, size), days * DAY - 1], draw.integers(0, 30, size + 2))
        strengths.append(bits(table))
        values.append(table["value"][0].as_py())
    assert abs(float(np.mean(values))) < within
    # Just short of the least effect a value counts a little: seldom, and not as a family.
    assert max(strengths) < FAMILY_BITS / 2 and sum(found > 1 for found in strengths) <= 3


def test_a_closed_loop_over_two_weeks_is_taking_turns() -> None:
    draw = np.random.default_rng(1)
    bin_ = np.repeat(np.arange(14 * DAY), 10)  # ten calls in every bin, each by any free account
    table = measured(bin_, draw.integers(0, 25, len(bin_)))
    assert table["value"][0].as_py() > 0.95 and bits(table) >= FAMILY_BITS


def test_a_closed_loop_mixed_with_as_much_other_traffic_is_still_found() -> None:
    """Half of the variation cancels: less than in a pure queue, more than among independent accounts."""
    draw = np.random.default_rng(2)
    queue = np.repeat(np.arange(14 * DAY), 8)
    cover = draw.integers(0, 14 * DAY, len(queue))
    table = measured(np.r_[queue, cover], draw.integers(0, 25, 2 * len(queue)))
    assert 0.35 < table["value"][0].as_py() < 0.65 and bits(table) > 0


def test_accounts_whose_volumes_rise_and_fall_together_show_the_opposite() -> None:
    draw = np.random.default_rng(3)
    rush = draw.choice(14 * DAY, 40, replace=False)
    bin_ = np.r_[draw.integers(0, 14 * DAY, 8000), draw.choice(rush, 8000)]
    table = measured(bin_, draw.integers(0, 25, len(bin_)))
    assert table["value"][0].as_py() < -1 and bits(table) <= 0


def test_an_open_loop_shows_nothing() -> None:
    """Splitting a Poisson stream at random leaves independent streams: a stated limit of the test."""
    draw = np.random.default_rng(4)
    size = 14 * DAY * 8
    table = measured(draw.integers(0, 14 * DAY, size), draw.integers(0, 25, size))
    assert abs(table["value"][0].as_py()) < 0.12 and bits(table) <= 0


def test_a_log_with_less_than_one_exchange_per_bin_has_nothing_to_balance() -> None:
    draw = np.random.default_rng(5)
    assert measured(draw.integers(0, 14 * DAY, 14 * DAY // 2), draw.integers(0, 9, 14 * DAY // 2)).num_rows == 0
