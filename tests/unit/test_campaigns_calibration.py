"""Calibration: p-values are valid, e-values have a mean of at most one, false discoveries are bounded."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from clonewatch.campaigns import calibration
from clonewatch.campaigns.calibration import (
    THRESHOLD,
    Calibration,
    Group,
    averaged,
    e_bh,
    e_value,
    p_value,
    read,
    shipped,
)
from clonewatch.model.errors import InputError, OutputError


def groups_of(threshold_ratios: Sequence[float], entities: int = 30, trust: str = "declared") -> list[Group]:
    return [Group(trust, entities, float(m)) for m in threshold_ratios]


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- p-values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [9, 199])
def test_p_values_of_exchangeable_threshold_ratios_are_uniform_or_larger(n: int, ties: bool) -> None:
    """Each round draws its own calibration groups: the probability is over both."""
    draw, rounds = rng(), 4000
    found = []
    for _ in range(rounds):
        threshold_ratios = draw.integers(0, 6, n + 1) / 5 if ties else draw.normal(size=n + 1)
        found.append(p_value(float(threshold_ratios[0]), sorted(threshold_ratios[1:].tolist())))
    p = np.array(found)
    for level in (0.1, 0.2, 0.5, 0.9):
        allowed = 4 * np.sqrt(level * (1 - level) / rounds)
        assert (p <= level).mean() <= level + allowed
        if not ties:  # and no larger than the grid of 1/(n+1) makes them
            assert (p <= level).mean() >= level - 1 / (n + 1) - allowed


def test_a_p_value_cannot_fall_below_one_over_n_plus_one() -> None:
    null = [k / 100 for k in range(99)]
    assert p_value(50.0, null) == 0.01
    assert p_value(-1.0, null) == 1.0


def test_a_larger_threshold_ratio_never_has_a_larger_p_value() -> None:
    null = sorted(rng().normal(size=50).tolist())
    found = [p_value(m, null) for m in np.linspace(-3, 3, 100)]
    assert found == sorted(found, reverse=True)


# ---- strata --------------------------------------------------------------------------------------------------------


MIXED = Calibration(
    [
        *groups_of([0.1] * 120, entities=10),
        *groups_of([0.9] * 110, entities=50),
        *groups_of([0.5] * 40, entities=200),
        *groups_of([0.7] * 30, entities=10, trust="behaviour"),
    ]
)


@pytest.mark.parametrize(
    ("entities", "trust", "stratum", "n"),
    [
        (10, "declared", "declared, under 20 entities", 120),
        (19, "declared", "declared, under 20 entities", 120),
        (20, "declared", "declared, 20 to 79 entities", 110),
        (79, "declared", "declared, 20 to 79 entities", 110),
        (80, "declared", "declared", 270),  # too few of that size: all of declared trust
        (10, "behaviour", "any", 300),  # too few of that trust: all groups
        (10, "none", "any", 300),
    ],
)
def test_groups_are_compared_with_those_of_similar_size_and_the_same_trust(
    entities: int, trust: str, stratum: str, n: int
) -> None:
    (found,) = MIXED.calibrate([Group(trust, entities, 0.6)])
    assert (found.stratum, found.n) == (stratum, n)


def test_the_same_threshold_ratio_has_different_p_values_in_different_strata() -> None:
    small, middle = MIXED.calibrate([Group("declared", 10, 0.6), Group("declared", 50, 0.6)])
    assert small.p_value == pytest.approx(1 / 121) and middle.p_value == 1.0


def test_without_calibration_groups_there_is_no_p_value_and_nothing_is_kept() -> None:
    (found,) = Calibration([]).calibrate([Group("declared", 30, 2.0)])
    assert found.p_value is None and found.e_value is None and found.n == 0 and not found.kept


def test_p_values_within_strata_stay_valid_where_the_strata_differ() -> None:
    """Large calibration groups come close to the threshold; small ones must not make them look unusual."""
    draw, hits, rounds = rng(), {10: 0, 200: 0}, 600
    for _ in range(rounds):
        threshold_ratios = {10: draw.normal(0.2, 0.1, 151), 200: draw.normal(0.8, 0.1, 151)}
        null = [g for size, m in threshold_ratios.items() for g in groups_of(m[1:].tolist(), entities=size)]
        calibrated = Calibration(null)
        for size, m in threshold_ratios.items():
            p = calibrated.calibrate([Group("declared", size, float(m[0]))])[0].p_value
            hits[size] += p is not None and p <= 0.1
    assert all(n / rounds <= 0.1 + 4 * np.sqrt(0.09 / rounds) for n in hits.values()), hits


# ---- e-values ------------------------------------------------------------------------------------------------------


def null_e_values(draw: np.random.Generator, n: int, beyond: float, rounds: int) -> np.ndarray:
    """E-values of calibration groups among n others, each beyond the threshold with the same chance."""
    return np.array(
        [
            e_value(float(m[0]), sorted(m[1:].tolist()))
            for m in np.where(draw.random((rounds, n + 1)) < beyond, THRESHOLD + 1.0, 0.0)
        ]
    )


@pytest.mark.parametrize(("n", "beyond"), [(20, 0.05), (100, 0.02), (100, 0.3)])
def test_e_values_of_calibration_groups_average_at_most_one(n: int, beyond: float) -> None:
    found = null_e_values(rng(), n, beyond, 20_000)
    assert found.mean() <= 1 + 4 * found.std() / np.sqrt(len(found))
    assert found.mean() > 0.5, "no group reached the threshold, so the mean shows nothing"


def test_an_e_value_is_zero_below_the_threshold() -> None:
    assert e_value(np.nextafter(THRESHOLD, 0), [0.1] * 500) == 0.0
    assert e_value(THRESHOLD, [0.1] * 500) == 501.0
    assert e_value(THRESHOLD, [0.1] * 490 + [THRESHOLD] * 10) == pytest.approx(501 / 11)


def days(draw: np.random.Generator, rounds: int, length: int, n: int) -> np.ndarray:
    """E-values of one honest group per day, its threshold ratio autocorrelated. Shape (rounds, days)."""
    out = np.empty((rounds, length))
    for i in range(rounds):
        null = sorted(draw.normal(0, 0.6, n).tolist())
        threshold_ratio = draw.normal(0, 0.6)
        for day in range(length):
            threshold_ratio = 0.8 * threshold_ratio + 0.6 * draw.normal(0, 0.6)  # the same law every day
            out[i, day] = e_value(threshold_ratio, null)
    return out


def test_averages_over_days_stay_e_values_and_running_maxima_do_not() -> None:
    """Scanning every day and keeping the largest value would flag an honest customer in the end."""
    found = days(rng(), 3000, 30, 60)
    means = np.array([averaged(row) for row in found.tolist()])
    assert means.mean() <= 1 + 4 * means.std() / np.sqrt(len(means))
    assert found.max(axis=1).mean() > 2
    # One group needs an e-value of twenty at a false discovery rate of 5 %: Markov's bound holds for means only.
    strict = np.array([averaged(row) >= 20 for row in found.tolist()]).mean()
    assert strict <= 0.05
    assert averaged([]) == 0.0


# ---- false discoveries ---------------------------------------------------------------------------------------------


def test_the_largest_e_values_are_kept_together() -> None:
    assert e_bh([200.0, 0.0, 1.0], 0.05) == {0}
    assert e_bh([59.0, 0.0, 0.0], 0.05) == set(), "one of three needs sixty"
    assert e_bh([30.0, 31.0, 0.0], 0.05) == {0, 1}
    assert e_bh([], 0.05) == set()


def test_false_discoveries_are_bounded_where_null_groups_rise_and_fall_together() -> None:
    """After a holiday or a new app, honest groups of one log depend on each other. The bound still holds."""
    draw, false, found = rng(), [], 0
    nulls, harvests = 18, 4
    for _ in range(1500):
        null = sorted(np.where(draw.random(300) < 0.02, THRESHOLD + 0.5, 0.2).tolist())
        shared = draw.random() < 0.02  # one event raises all null groups of a log at once
        threshold_ratios = [THRESHOLD + 0.5 if shared else 0.2] * nulls + [THRESHOLD + 1.0] * harvests
        kept = e_bh([e_value(m, null) for m in threshold_ratios], 0.05)
        wrong = sum(i < nulls for i in kept)
        false.append(wrong / max(1, len(kept)))
        found += len(kept) - wrong
    assert np.mean(false) <= 0.05 + 3 * np.std(false) / np.sqrt(len(false))
    assert found > 0, "nothing was ever found, so no discovery could be false"


def test_a_flag_is_withdrawn_when_too_many_calibration_groups_are_beyond_the_threshold() -> None:
    few_beyond = Calibration(groups_of([0.2] * 400))
    many_beyond = Calibration(groups_of([0.2] * 340 + [THRESHOLD + 0.1] * 60))
    mine = [Group("declared", 30, THRESHOLD + 0.4), *groups_of([0.3] * 5)]
    assert [s.kept for s in few_beyond.calibrate(mine)] == [True, *[False] * 5]
    assert [s.kept for s in many_beyond.calibrate(mine)] == [False] * 6


def test_several_groups_beyond_the_threshold_support_each_other() -> None:
    """A single group must be stronger where many are linked; several strong ones need less each."""
    calibrated = Calibration(groups_of([0.2] * 40))
    crowd = groups_of([0.3] * 12)
    assert not calibrated.calibrate([Group("declared", 30, 2.0), *crowd])[0].kept
    both = calibrated.calibrate([Group("declared", 30, 2.0), Group("declared", 30, 1.5), *crowd])
    assert [s.kept for s in both[:2]] == [True, True]


@pytest.mark.parametrize(("n", "found", "bound"), [(400, 10, 0.05), (99, 10, 0.1), (99, 60, 0.25), (0, 3, 0.25)])
def test_the_bound_is_wider_where_there_are_too_few_calibration_groups_for_the_usual_one(
    n: int, found: int, bound: float
) -> None:
    assert Calibration(groups_of([0.2] * n)).bound(groups_of([0.5] * found)) == pytest.approx(bound)


def test_the_bound_does_not_depend_on_how_strong_the_groups_are() -> None:
    """Otherwise it would be chosen after the fact."""
    calibrated = Calibration(groups_of([0.2] * 50))
    assert calibrated.bound(groups_of([0.1] * 8)) == calibrated.bound(groups_of([1.8] * 8)) == pytest.approx(8 / 51)


@pytest.mark.parametrize(("n", "nulls", "beyond"), [(60, 6, 0.05), (300, 12, 0.03), (120, 12, 0.2)])
def test_flags_on_honest_groups_stay_within_the_stated_bound(n: int, nulls: int, beyond: float) -> None:
    """All groups of the scan are honest: every one that is kept is a false discovery."""
    draw, false, bounds = rng(), [], set()
    for _ in range(800):
        threshold_ratios = np.where(draw.random(n + nulls) < beyond, THRESHOLD + 0.2, 0.3)
        calibrated = Calibration(groups_of(threshold_ratios[nulls:].tolist()))
        mine = groups_of(threshold_ratios[:nulls].tolist())
        bounds.add(round(calibrated.bound(mine), 6))
        false.append(any(s.kept for s in calibrated.calibrate(mine)))
    (bound,) = bounds
    assert np.mean(false) <= bound + 3 * np.sqrt(bound / len(false))


# ---- files ---------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "shipped", lambda: Calibration([]))
    mine = Calibration(
        [*groups_of([0.25, 1.75]), *groups_of([0.5], entities=7, trust="behaviour")], logs=3, source="May"
    )
    mine.write(tmp_path / "calibration.json", {"days": 14})
    back = read(tmp_path / "calibration.json")
    assert back.groups == mine.groups and back.logs == 3 and "calibration.json" in back.source
    assert json.loads((tmp_path / "calibration.json").read_text())["about"] == {"days": 14}
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.json"]


def test_own_strata_with_enough_groups_are_used_alone_and_the_others_are_filled_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Calibration([*groups_of([0.1] * 500, entities=10), *groups_of([0.2] * 500, entities=50)])
    monkeypatch.setattr(calibration, "shipped", lambda: ours)
    own = Calibration([*groups_of([0.8] * 100, entities=10), *groups_of([0.9] * 99, entities=50)], logs=1)
    own.write(tmp_path / "own.json", {})
    strata = read(tmp_path / "own.json").describe()["strata"]
    assert strata["declared, under 20 entities"] == 100, "a hundred of the operator's own are enough"
    assert strata["declared, 20 to 79 entities"] == 99 + 500, "ninety-nine are not"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"schema": "clonewatch.calibration.v9", "groups": [], "logs": 0, "source": ""}',
        '{"schema": "clonewatch.calibration.v1", "logs": 0, "source": ""}',
        '{"schema": "clonewatch.calibration.v1", "groups": [["declared", 30]], "logs": 0, "source": ""}',
        '{"schema": "clonewatch.calibration.v1", "groups": [["declared", "many", 0.2]], "logs": 0, "source": ""}',
        '{"schema": "clonewatch.calibration.v1", "groups": 7, "logs": 0, "source": ""}',
    ],
)
def test_a_file_that_is_not_a_calibration_is_refused_with_its_path_and_a_fix(tmp_path: Path, text: str) -> None:
    path = tmp_path / "torn.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a calibration") as caught:
        read(path)
    assert caught.value.where == str(path) and "clonewatch calibrate" in caught.value.fix


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_refused_with_its_path_and_a_fix(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "calibration.json"
    if kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read the calibration") as caught:
        read(path)
    assert caught.value.where == str(path) and caught.value.fix


@pytest.mark.parametrize("threshold_ratio", ["NaN", "Infinity"])
def test_a_threshold_ratio_that_is_not_a_finite_number_is_refused(tmp_path: Path, threshold_ratio: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(
        '{"schema": "clonewatch.calibration.v1", "groups": [["declared", 30, '
        + threshold_ratio
        + ']], "logs": 0, "source": ""}'
    )
    with pytest.raises(InputError):
        read(path)


def test_a_calibration_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write the calibration") as caught:
        Calibration([]).write(tmp_path / "nowhere" / "calibration.json", {})
    assert "calibration.json" in str(caught.value.where)


def test_a_calibration_is_on_the_disk_before_it_replaces_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("earlier")

    def refused(_: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OutputError, match="cannot write the calibration"):
        Calibration([]).write(path, {})
    assert path.read_text() == "earlier" and [one.name for one in tmp_path.iterdir()] == [path.name]


def test_the_shipped_calibration_is_complete() -> None:
    found = shipped()
    assert len(found.groups) >= 100
    assert all(g.trust in ("declared", "behaviour", "none") and g.entities >= 6 for g in found.groups)
    described = found.describe()
    assert described["groups"] == len(found.groups) and described["strata"]["any"] == len(found.groups)
