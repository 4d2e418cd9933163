"""The model that competes with the rules: monotone weights, a threshold from honest groups alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from evals import likelihood_ratios as ratios

from clonewatch.campaigns.fusion import Criteria, Reading, Verdict


def made(generator: str, harvest: float, against: float, purity: float, **changes: Any) -> dict[str, Any]:
    found = {"+harvest": harvest, "-pacing": against, "linkage": 10.0}
    return {
        "generator": generator,
        "purity": purity,
        "flagged": harvest > 7,
        "reported": True,
        "odds_bits": harvest,
        "evidence": found,
    } | changes


def rows(generator: str, shift: float = 0.0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    ours = [made(generator, 6 + rng.random() + shift, 0.0, 1.0) for _ in range(20)]
    return ours + [made(generator, 2 * rng.random(), 4 * rng.random(), 0.0) for _ in range(60)]


def test_the_model_separates_what_it_was_fitted_on_and_never_turns_evidence_round() -> None:
    model = ratios.fit(rows("a"))
    assert dict(zip(("+harvest", "-pacing", "linkage"), np.sign(model.weights), strict=True)) == {
        "+harvest": 1.0,
        "-pacing": -1.0,
        "linkage": 0.0,
    }
    scores = model.score(rows("a"))
    assert scores[:20].min() > scores[20:].max()


def test_a_contest_counts_what_each_judge_flags_among_groups_of_the_other_generators() -> None:
    mixed = made("b", 9.0, 0.0, 0.5)
    found = ratios.contest([*rows("a"), *rows("b", shift=1.5), mixed], ("a",), ("b",))
    assert (found["campaigns"], found["honest_groups"]) == (20, 60), "a group of both kinds counts for neither"
    assert found["flagged_by_rules"] == [20, 0] and found["flagged_by_ratios"] == [20, 0]
    assert found["reported_pairs_in_order_by_rules"] == 1.0


@pytest.mark.parametrize(("value", "side"), [(2.0, "+coverage"), (-2.0, "-coverage")])
def test_evidence_is_the_tail_of_a_value_on_its_side_in_bits(value: float, side: str) -> None:
    reading = Reading(0, "coverage_uniformity", "coverage", value, 0.0, 50, 0.0, 1.0, 20, 0.0)
    links = (("payment", "identity", 3.0), ("device", "identity", 5.0), ("egress", "network", 2.0))
    verdict = Verdict(0, 0.0, 7.0, (), links, (reading,), (), 0.0, False, criteria=Criteria(0.7, 0.0, 0.0, 9.0))
    found = ratios.evidence(verdict)
    assert found[side] == pytest.approx(4.46, abs=0.01)
    assert sum(bits for name, bits in found.items() if name[0] in "+-") == found[side]
    assert (found["linkage"], found["linking_families"], found["deception"]) == (7.0, 2.0, 4.0)


def test_a_stolen_key_counts_with_those_who_use_it() -> None:
    verdict = Verdict(0, 0.0, 0.0, (), (), (), (), 0.0, False)
    assert ratios.row("a", verdict, Counter(member=3, victim=5, private=2), 10)["purity"] == 0.8


def test_no_world_of_the_contest_is_reported_on_elsewhere() -> None:
    seeds = {(generator, seed) for generator, _, seed, _ in ratios.worlds()}
    assert all(seed < 100 for generator, seed in seeds if generator != ratios.LABORATORY)
    assert all(seed < 100 or 5000 < seed < 5200 for _, seed in seeds)


def test_every_cluster_of_a_world_is_kept_with_its_evidence_and_what_it_is() -> None:
    found = ratios.one(ratios.SECOND, "slow_drip", 41, 0.2)
    assert max(row["purity"] for row in found) >= 0.8 and min(row["purity"] for row in found) == 0.0
    assert any(row["flagged"] for row in found) and not all(row["reported"] for row in found)
    assert len({tuple(row["evidence"]) for row in found}) == 1, "one order of the kinds of evidence"
