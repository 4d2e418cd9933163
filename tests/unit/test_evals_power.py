"""The chance that a campaign is found: by size, rate and what a log lacks, from a model of simulated logs."""

from __future__ import annotations

import math

import pytest
from evals import power as study
from evals.power import GAPS, USUAL, Power, features

from clonewatch.campaigns import fusion
from clonewatch.lab import gaps
from clonewatch.pipeline.detection.reach import least_ring

MODEL = Power(
    flagged={"constant": -7.0, "accounts": 1.0, "per_day": 0.5, "without payment": -2.0},
    listed={"constant": -5.0, "accounts": 1.0, "per_day": 0.5, "without payment": -1.0},
    about={},
)


def test_chances_grow_with_size_and_rate_and_fall_with_what_a_log_lacks() -> None:
    small, large, faster = (MODEL.chances(*size, ()) for size in ((30, 4), (300, 4), (30, 16)))
    assert small < large and small < faster
    assert MODEL.chances(30, 4, ["payment"]) < small
    assert all(flagged <= listed for flagged, listed in (small, large, faster))


def test_the_smallest_campaign_is_the_first_that_is_usually_found() -> None:
    least = MODEL.smallest(4, ())
    assert least is not None
    assert MODEL.chances(least, 4, ())[0] >= USUAL > MODEL.chances(least - 1, 4, ())[0]
    listed = MODEL.smallest(4, (), "listed")
    assert listed is not None and listed < least
    never = Power({"constant": -50.0, "accounts": 1.0}, {"constant": -50.0}, {})
    assert never.smallest(4, ()) is None


def test_the_laboratory_can_leave_out_what_a_log_may_lack() -> None:
    assert set(GAPS) <= set(gaps.GAPS)


def _run(seed: int, accounts: int, without: list[str]) -> dict[str, object]:
    found = accounts >= (200 if without else 50)
    return {
        "seed": seed,
        "family": "s01_shared_cards",
        "log": 1000,
        "accounts": accounts,
        "per_day": 4.0,
        "without": without,
        "flagged": found,
        "listed": accounts >= 20,
        "honest_flagged": 0,
    }


RUNS = [_run(i, 8 + 7 * i, ["payment"] if i % 3 == 0 else []) for i in range(90)]


def test_the_fitted_model_finds_where_campaigns_begin_to_be_found() -> None:
    model = Power(study.fit(RUNS, "flagged"), study.fit(RUNS, "listed"), {})
    complete, poor = (model.smallest(4, gap) for gap in ((), ("payment",)))
    assert complete is not None and poor is not None
    assert 35 < complete < 90 and 140 < poor < 330
    assert list(model.flagged) == list(features(1, 1, ()))


def test_the_page_says_what_was_found_and_how_far_the_model_holds() -> None:
    model = Power(study.fit(RUNS, "flagged"), study.fit(RUNS, "listed"), {})
    page = study.report(RUNS, model)
    assert "90 drawn worlds" in page and "Honest accounts flagged in these logs: 0 of" in page
    assert "| `s01_shared_cards` | 90 |" in page
    chances = study.out_of_fold(RUNS, "flagged")
    found = [run["flagged"] for run in RUNS]
    assert sum(abs(a - b) for a, b in zip(chances, found, strict=True)) / len(RUNS) == pytest.approx(0.1, abs=0.08)


def test_one_shared_thing_links_fewer_accounts_the_more_are_trusted() -> None:
    rings = [least_ring(share) for share in (0.03, 0.1, 0.3)]
    assert rings == sorted(rings, reverse=True) and least_ring(1.0) is None
    ring = least_ring(0.1)
    assert ring is not None and ring * math.log2(1 / 0.9) >= fusion.LINK_BITS > (ring - 1) * math.log2(1 / 0.9)
