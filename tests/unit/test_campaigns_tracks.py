"""Which group of one scan is which of another, and what their evidence adds up to over scans."""

from __future__ import annotations

import numpy as np
import pytest

from clonewatch.campaigns.tracks import Sighting, track

RING, OTHER = frozenset(f"a{i}" for i in range(20)), frozenset(f"b{i}" for i in range(20))


def seen(scan: int, accounts: frozenset[str], e: float = 0.0, group: str = "C0001") -> Sighting:
    return Sighting(scan, group, accounts, e, e > 0)


def test_a_scan_without_the_group_counts_as_zero() -> None:
    (one,) = track([seen(0, RING, 100.0)], 4, 0.05)
    assert one.e_value == 25.0


def test_one_chance_day_is_not_enough_among_many_scans() -> None:
    (often,) = track([seen(i, RING, 231.0) for i in range(30)], 30, 0.05)
    (once,) = track([seen(4, RING, 231.0), *(seen(i, RING) for i in range(5, 30))], 30, 0.05)
    assert often.kept and not once.kept
    assert once.e_value == pytest.approx(231 / 30)


def test_a_group_that_grows_and_loses_accounts_stays_the_same_group() -> None:
    drift = [frozenset(f"a{i}" for i in range(5 * k, 5 * k + 20)) for k in range(4)]
    (one,) = track([seen(k, accounts) for k, accounts in enumerate(drift)], 4, 0.05)
    assert len(one.sightings) == 4 and len(one.accounts) == 35


def test_two_groups_of_one_scan_never_continue_the_same_track() -> None:
    half = frozenset(sorted(RING)[:10])
    found = track([seen(0, RING), seen(1, RING, group="C0001"), seen(1, half, group="C0002")], 2, 0.05)
    assert sorted(len(t.sightings) for t in found) == [1, 2]


def test_groups_without_common_accounts_are_separate_tracks() -> None:
    found = track([seen(0, RING), seen(1, OTHER)], 2, 0.05)
    assert [len(t.sightings) for t in found] == [1, 1]


def test_an_empty_group_continues_no_track() -> None:
    found = track([seen(0, frozenset()), seen(1, frozenset())], 2, 0.05)
    assert [len(t.sightings) for t in found] == [1, 1]


def test_false_discoveries_over_many_days_stay_under_the_bound() -> None:
    """Honest groups whose daily e-values have mean one, and depend on each other, are kept in at most 5 % of runs."""
    draw, runs, wrong = np.random.default_rng(5), 400, 0
    for _ in range(runs):
        by_chance = draw.random(10) < 1 / 40  # a habit of the group, the same every day
        days = [
            seen(day, frozenset({f"{g}-{i}" for i in range(10)}), 40.0 * bool(by_chance[g]), f"C{g}")
            for day in range(6)
            for g in range(10)
        ]
        wrong += any(t.kept for t in track(days, 6, 0.05))
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
