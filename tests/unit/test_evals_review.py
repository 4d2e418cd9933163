"""The measurement of the list for review: halves that do not meet, an analyst who comes to an end, sums that add up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals import honest_worlds  # noqa: E402
from evals.review import LABORATORY, OTHER, TRUE, WORLDS, analyst, one, sums, worlds  # noqa: E402

from clonewatch.campaigns.fusion import Criteria, Reading, Verdict  # noqa: E402
from clonewatch.campaigns.innocent_shapes import shapes  # noqa: E402
from clonewatch.campaigns.review import Candidate  # noqa: E402
from clonewatch.model.questions import BY_ID  # noqa: E402
from clonewatch.pipeline.detection.signals import signals  # noqa: E402


def candidate(cluster: int, links: tuple[tuple[str, str, float], ...]) -> Candidate:
    """A group with three families of tests that is for review."""
    readings = tuple(
        Reading(cluster, signal, signal, 1.0, 0.1, 99, 0.0, 0.5, 20, 8.0)
        for signal in ("elicitation", "regularity", "load_balance")
    )
    found = Verdict(cluster, 24.0, 15.0, (), links, readings, (), 0.0, False, criteria=Criteria(1.5, 1.0, 2.0, 0.0))
    found = found._replace(strengths=tuple((r.family, r.bits) for r in readings))
    return Candidate(found, 0.01, 100, frozenset({f"a{cluster}"}), {one.name: one for one in signals()})


def test_no_world_of_the_rule_is_reported_and_none_is_of_the_shipped_calibration() -> None:
    chosen, reported = ({world[:3] for world in worlds(half)} for half in WORLDS)
    assert chosen and reported and not chosen & reported
    for generator, name, seed in chosen | reported:
        if generator == LABORATORY and name == "quiet_mixed":
            assert seed > honest_worlds.FIRST_SEED and seed % 2, "even seeds made the calibration"
        else:
            assert seed < 100, "development seeds"


def test_the_truth_answers_only_questions_that_exist() -> None:
    assert {name for names in TRUE.values() for name in names} <= set(BY_ID)


def test_the_analyst_asks_about_a_campaign_until_nothing_is_left_to_ask() -> None:
    group = candidate(0, (("system_prompt", "software", 8.0), ("egress", "network", 6.0)))
    done = analyst([group], ["member"])
    assert done == {"questions": len(shapes(group.verdict, group.signals)), "left": 1}


def test_one_yes_settles_what_the_question_was_about() -> None:
    office = candidate(0, (("payment", "identity", 8.0), ("egress", "network", 6.0)))
    assert analyst([office], ["office"]) == {"questions": 1, "left": 0}


def test_the_sums_count_campaigns_by_place_and_honest_groups_by_log() -> None:
    def group(rank: int, outcome: str, purity: float, score: float = 1.0) -> dict[str, Any]:
        ours = purity > 0.5
        mine = {"rank": rank, "outcome": outcome, "purity": purity, "score": score, "odds_bits": 9.0 - rank}
        return mine | {
            "campaign": "K" if ours else None,
            "role": "member" if ours else "office",
            "question": "one_customer",
        }

    attacked = {
        "generator": LABORATORY,
        "accounts": 900,
        "campaigns": ["K", "L"],
        "groups": [group(1, "review", 1.0, 3.0), group(2, "review", 0.0, 9.0), group(3, "listed", 0.5)],
        "asked": {"questions": 4, "left": 1},
    }
    quiet = attacked | {"accounts": 10_000, "campaigns": [], "groups": [group(1, "review", 0.0)]}
    found = sums([attacked, quiet])
    assert found["campaigns"][LABORATORY] == {
        "campaigns": 2,
        "review": 1,
        "first_line": 1,
        "first_five": 1,
        "by_score_first_line": 1,
        "by_score_first_five": 1,
        "no_pure_group": 1,
    }
    assert (found["quiet"]["honest_for_review"], found["quiet"]["per_10000_accounts"]) == (1, 1.0)
    assert found["quiet"]["large_logs"] == [1] and found["attacked"]["honest_for_review"] == 1
    assert found["first_question_settles"] == "2 of 2"
    assert found["pairs_in_order"] == {"odds_bits": 0.75, "score": 0.5}


def test_a_world_is_scanned_and_its_groups_are_kept_in_order() -> None:
    found = one(OTHER, "slow_drip", 41, 0.2)
    assert [group["rank"] for group in found["groups"]] == list(range(1, len(found["groups"]) + 1))
    assert found["groups"][0]["campaign"] == "slow_drip" and found["groups"][0]["purity"] >= 0.8
    assert found["asked"]["left"] == 0
