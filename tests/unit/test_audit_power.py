"""Power: the curves that ship are those of the study, they foretell seeds they did not see, and say where they end."""

import json

import pytest
from evals import audit_study
from evals.audit import curves

from clonewatch.audit import power
from clonewatch.audit.power import Curve
from clonewatch.model.errors import InputError

SUMS = json.loads(audit_study.RESULTS.read_text(encoding="utf-8"))
FOUND = curves.evidence(-3.0)


def test_the_curves_that_ship_are_fitted_to_the_rows_of_the_study() -> None:
    shipped = json.loads(curves.FILE.read_text(encoding="utf-8"))
    rows = curves.points(SUMS)
    assert set(shipped) == {row.curve for row in rows}
    for row in rows:
        mean = Curve(**shipped[row.curve]).mean(row.share, row.n)
        # Within a third and two deviations of every row: figures of another study would not fit.
        assert abs(row.evidence - mean) < 2.5 + mean / 3, row


def test_seeds_that_a_curve_was_not_fitted_to_are_found_as_often_as_it_says() -> None:
    told = curves.predicted(curves.points(SUMS))
    assert {row.curve.split("/")[0] for row, _, _ in told} == {"transformer", "trigram"}
    sure = [row.evidence >= FOUND for row, _, chance in told if chance > 0.9]
    hopeless = [row.evidence >= FOUND for row, _, chance in told if chance < 0.1]
    assert len(sure) > 50 and sum(sure) >= 0.9 * len(sure)
    assert len(hopeless) > 30 and sum(hopeless) <= 0.1 * len(hopeless)


def test_a_curve_is_found_again_from_rows_that_it_made() -> None:
    made = Curve(0.3, 0.9, 50_000)
    rows = [
        curves.Point("x", 1, share, n, made.mean(share, n))
        for share in (0.02, 0.05, 0.1, 0.25)
        for n in (5_000, 20_000, 90_000)
    ]
    for share, n in ((0.03, 30_000), (0.2, 60_000)):
        assert curves.fit(rows).mean(share, n) == pytest.approx(made.mean(share, n), rel=0.02)


def test_power_grows_with_share_and_tokens_and_falls_with_every_further_test() -> None:
    curve = power.measured("kgw", "text")
    assert curve is not None
    assert power.power(curve, 0.05, 50_000, 1e-3) < power.power(curve, 0.1, 50_000, 1e-3)
    assert power.power(curve, 0.1, 10_000, 1e-3) < power.power(curve, 0.1, 50_000, 1e-3)
    assert power.power(curve, 0.1, 50_000, 1e-3, tests=20) < power.power(curve, 0.1, 50_000, 1e-3)
    least = power.smallest(curve, 50_000, 1e-3)
    assert power.power(curve, least, 50_000, 1e-3) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("kind", ["gumbel", "canary"])
def test_what_was_not_measured_has_no_curve(kind: str) -> None:
    assert power.measured(kind, "text") is None


def test_a_share_or_an_alpha_that_is_none_is_refused() -> None:
    for share, alpha in ((1.5, 1e-3), (0.1, 0.0)):
        with pytest.raises(InputError, match="no power for"):
            power.power(Curve(0.2), share, 1_000, alpha)
