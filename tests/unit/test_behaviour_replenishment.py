"""Whether a group refills after bans, or one event happened to follow one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.behaviour.tests.replenishment import TEST, replacements
from clonewatch.campaigns.fusion import strength

HOUR = 3_600_000_000
DAY = 24 * HOUR
WAVES = (5, 12, 19, 26)  # days with a ban


def bits(starts: list[int], waves: tuple[float, ...] = WAVES) -> float:
    """Bits of the test for a group: one account is banned on each of these days, others start at these times."""
    began = [0] * len(waves) + starts
    size = len(began)
    found = replacements(
        pa.table({"cluster": [3] * size, "entity": range(size)}),
        pa.table({"entity": range(size), "first_ts": began, "last_ts": [30 * DAY] * size}),
        pa.table({"account": range(size), "entity": range(size)}),
        pa.table({"kind": ["ban"] * len(waves), "account": range(len(waves)), "ts": [int(day * DAY) for day in waves]}),
    ).to_pylist()
    (one,) = found
    assert one["n"] == len(starts)
    return (
        strength(one["value"], float(np.hypot(TEST.spread, one["error"])), TEST) if np.isfinite(one["error"]) else 0.0
    )


def test_a_pool_that_refills_after_every_ban_is_seen() -> None:
    assert bits([day * DAY + i * HOUR for day in WAVES for i in range(1, 6)]) > 3.3


@pytest.mark.parametrize("strays", [(), (9, 10, 16, 17, 23, 24)])
def test_an_event_whose_guests_come_a_day_after_one_ban_is_no_refilling(strays: tuple[int, ...]) -> None:
    """A hackathon: seventy people sign up on one day, whatever was banned the day before."""
    assert bits([6 * DAY + i * HOUR // 10 for i in range(70)] + [day * DAY for day in strays]) < 2


@pytest.mark.parametrize("wave", [(5,), (5, 5.1, 5.2, 5.3)])
def test_starts_on_many_days_after_the_bans_of_one_are_no_refilling(wave: tuple[float, ...]) -> None:
    """One ban of a stranger in the group, or one wrong wave, and guests or returners on the days that follow."""
    assert bits([int(5.4 * DAY) + i * HOUR for i in range(36)] + [9 * DAY, 15 * DAY], wave) == 0


def test_a_pool_that_refills_after_bans_of_every_day_is_seen() -> None:
    """No day of bans is needed, as each is covered by others."""
    assert bits([day * DAY + i * HOUR for day in range(10, 16) for i in range(1, 9)], tuple(range(10, 15))) > 3.3
