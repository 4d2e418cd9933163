"""What is for review and in which order: evidence decides, volume does not, and no answer ever flags a group."""

from __future__ import annotations

from typing import Any

import pytest

from clonewatch.campaigns import fusion
from clonewatch.campaigns.fusion import Criteria, Reading, Verdict
from clonewatch.campaigns.innocent_shapes import next_question, shapes
from clonewatch.campaigns.review import (
    FLAGGED,
    LISTED,
    PRIOR_BITS,
    REVIEW,
    REVIEW_BITS,
    Candidate,
    Standing,
    evidence_bits,
    likelihood_bits,
    review,
)
from clonewatch.model.answers import Answer
from clonewatch.model.criteria import CRITERIA, WRONG_KIND
from clonewatch.model.questions import BY_ID, QUESTIONS
from clonewatch.pipeline.detection.signals import TESTS, signals

FAMILY = {name: TESTS.load(name).signal.card.family for name in TESTS.names()}
SIGNALS_BY_NAME = {signal.name: signal for signal in signals()}
MEMBERS = frozenset(f"a{i}" for i in range(20))
# Links that no innocent explanation claims much of, so that none moves the group down.
PLAIN = {"template": 8.0, "client": 6.0}
# Three families of tests of a harvest.
HARVEST = {"elicitation": 8.0, "regularity": 8.0, "load_balance": 8.0}


def verdict(
    tests: dict[str, float],
    links: dict[str, float] | None = None,
    *,
    cluster: int = 0,
    deception: float = 0.0,
    linkage: float = 1.5,
    flagged: bool = False,
) -> Verdict:
    """A verdict of these tests and links, signal by bits; negative bits are evidence against."""
    readings = tuple(Reading(cluster, s, FAMILY[s], 1.0, 0.1, 99, 0.0, 0.5, 20, bits) for s, bits in tests.items())
    best: dict[str, float] = {}
    for reading in readings:
        best[reading.family] = max(best.get(reading.family, 0.0), reading.bits)
    bits = sum(best.values()) + sum(min(0.0, b) for b in tests.values())
    criteria = Criteria(linkage, min([*best.values(), 0.0]) / 4.5, bits / 12, deception)
    tied = tuple((s, "any", b) for s, b in (PLAIN if links is None else links).items())
    return Verdict(
        cluster,
        bits,
        15.0,
        tuple(best),
        tied,
        readings,
        (),
        min(criteria),
        flagged,
        criteria=criteria,
        strengths=tuple(best.items()),
    )


def group(found: Verdict, *, p: float | None = 0.01, exchanges: int = 1000) -> Candidate:
    return Candidate(found, p, exchanges, MEMBERS, SIGNALS_BY_NAME)


def standing(found: Verdict, *answers: Answer, p: float | None = 0.01) -> Standing:
    return review([group(found, p=p)], answers)[0]


def answer(question: str, yes: bool, accounts: frozenset[str] = MEMBERS) -> Answer:
    return Answer(question, yes, accounts, "C0001", "2026-05-01T09:00:00Z", "ana", "")


def test_a_harvest_that_lacks_one_criterion_is_for_review_and_says_which() -> None:
    found = standing(verdict(HARVEST, deception=0.0))
    assert found.outcome == REVIEW and found.rank == 1
    assert found.limiting_criterion in CRITERIA and found.limiting_ratio == 0.0
    assert found.question == "app_users"


def test_links_alone_are_listed() -> None:
    assert standing(verdict({}), p=0.6).outcome == LISTED


def test_without_a_comparison_with_honest_groups_the_tests_speak_alone() -> None:
    with_p, without = (evidence_bits(verdict(HARVEST), p) for p in (0.004, None))
    assert without < with_p
    assert standing(verdict(HARVEST), p=None).outcome == REVIEW


def test_evidence_against_counts_as_much_as_evidence_for() -> None:
    both = evidence_bits(verdict({"elicitation": 8.0, "work_partition": -8.0}), None)
    assert both == pytest.approx(evidence_bits(verdict({}), None))


@pytest.mark.parametrize("more", [{"deception": 1.2}, {"linkage": 2.0}])
def test_every_kind_of_evidence_raises_the_odds(more: dict[str, Any]) -> None:
    assert evidence_bits(verdict(HARVEST, **more), 0.01) > evidence_bits(verdict(HARVEST), 0.01)


def test_linkage_beyond_twice_its_threshold_adds_nothing() -> None:
    """A large group is linked by more bits, because it is large."""
    assert evidence_bits(verdict({}, linkage=2.0), None) == evidence_bits(verdict({}, linkage=9.0), None)


def test_a_p_value_never_counts_for_more_than_the_likelihood_ratio_it_allows() -> None:
    assert [likelihood_bits(b) < b for b in (1.0, 3.0, 8.0)] == [True] * 3
    values = [likelihood_bits(b / 10) for b in range(200)]
    assert values == sorted(values) and min(values) == 0.0


def test_volume_decides_only_between_groups_of_nearly_the_same_odds() -> None:
    weak, strong = verdict({"elicitation": 8.0}, cluster=0), verdict(HARVEST, cluster=1)
    ranks = [s.rank for s in review([group(weak, exchanges=9_000_000), group(strong, exchanges=10)])]
    assert ranks == [2, 1]
    same = [verdict(HARVEST, cluster=0), verdict(HARVEST, cluster=1)]
    assert [s.rank for s in review([group(same[0], exchanges=10), group(same[1], exchanges=500)])] == [2, 1]


def test_a_group_of_bystanders_alone_is_not_for_review() -> None:
    assert review([group(verdict(HARVEST))._replace(accounts=frozenset())])[0].outcome == LISTED


def test_flagged_groups_come_first_whatever_their_odds() -> None:
    found = review([group(verdict(HARVEST, cluster=0)), group(verdict({}, cluster=1, flagged=True), p=0.6)])
    assert [(s.outcome, s.rank) for s in found] == [(REVIEW, 2), (FLAGGED, 1)]


CLASS = {"referrer": 6.6, "identity_pattern": 8.0, "template": 4.0}


def test_what_looks_like_a_class_moves_down_and_says_why() -> None:
    plain, like = standing(verdict(HARVEST)), standing(verdict(HARVEST, CLASS))
    assert like.look_alike == like.question == "class_or_event" and plain.look_alike is None
    assert like.odds_bits == pytest.approx(plain.odds_bits + BY_ID["class_or_event"].shape_bits)


def test_what_is_known_to_be_no_class_no_longer_moves_down_for_it() -> None:
    before, after = (standing(verdict(HARVEST, CLASS), *given) for given in ((), (answer("class_or_event", False),)))
    assert after.look_alike is None
    gained = BY_ID["class_or_event"].no_bits - BY_ID["class_or_event"].shape_bits
    assert after.odds_bits == pytest.approx(before.odds_bits + gained)


def test_a_yes_takes_a_group_out_of_review_and_a_no_asks_the_next_question() -> None:
    weak = verdict({"elicitation": 8.0, "regularity": 6.0})
    assert standing(weak).outcome == REVIEW
    settled = standing(weak, answer("app_users", True))
    assert settled.outcome == LISTED and settled.answers[0].question == "app_users"
    denied = standing(weak, answer("app_users", False))
    assert denied.outcome == REVIEW and denied.question not in (None, "app_users")


def test_no_answer_ever_flags_a_group_or_brings_one_into_review() -> None:
    no = [answer(question.id, False) for question in QUESTIONS]
    assert standing(verdict(HARVEST), *no).outcome == REVIEW
    listed = verdict({"elicitation": 8.0, "work_partition": -8.0})
    assert standing(listed, *no, p=0.6).odds_bits > REVIEW_BITS and standing(listed, *no, p=0.6).outcome == LISTED


def test_an_answer_does_not_take_a_flag_away() -> None:
    yes = [answer(question.id, True) for question in QUESTIONS]
    assert standing(verdict(HARVEST, flagged=True), *yes).outcome == FLAGGED


def test_the_last_answer_to_a_question_counts() -> None:
    found = standing(verdict(HARVEST), answer("app_users", True), answer("app_users", False))
    assert [a.yes for a in found.answers] == [False]


@pytest.mark.parametrize(("shared", "counts"), [(10, True), (9, False)])
def test_an_answer_is_about_groups_of_which_it_covers_half(shared: int, counts: bool) -> None:
    others = frozenset(f"b{i}" for i in range(100))
    about = answer("app_users", False, frozenset(sorted(MEMBERS)[:shared]) | others)
    assert bool(standing(verdict(HARVEST), about).answers) is counts


@pytest.mark.parametrize(
    ("links", "tests", "question"),
    [
        ({"payment": 6.0, "egress": 6.0}, {}, "one_customer"),
        ({"referrer": 6.6, "template": 10.0}, {"work_partition": -8.0}, "class_or_event"),
        ({"succession": 6.6, "device": 4.0}, {}, "wrongly_banned"),
        ({"system_prompt": 15.0, "tools": 9.0, "egress": 2.0}, {}, "app_users"),
        ({"egress": 12.0}, {}, "public_network"),
        ({"rare_prompt": 8.0, "template": 3.0}, {"release": 6.0, "fixed_order": 8.0}, "benchmark_or_monitor"),
    ],
)
def test_the_first_question_is_about_what_links_the_group(
    links: dict[str, float], tests: dict[str, float], question: str
) -> None:
    assert shapes(verdict(tests, links), SIGNALS_BY_NAME)[0][0] == question


def test_questions_run_out_and_then_none_is_asked() -> None:
    found = verdict(HARVEST)
    everything = {name for name, _ in shapes(found, SIGNALS_BY_NAME)}
    assert everything and next_question(shapes(found, SIGNALS_BY_NAME), everything) is None


def test_signals_point_at_questions_that_exist_and_questions_weigh_as_they_say() -> None:
    pointed = [row for one in SIGNALS_BY_NAME.values() for row in (*one.suggests, *one.denied_suggests)]
    assert {name for name, _ in pointed} == set(BY_ID), "every question is suggested by a signal"
    assert all(0 < share <= 1 for _, share in pointed)
    for question in QUESTIONS:
        assert question.yes_bits < 0 < question.no_bits < -question.yes_bits, question.id
        assert question.yes_bits <= question.shape_bits <= 0, "to resemble says less than to be"
    assert len(BY_ID) == len(QUESTIONS)


def test_the_words_about_criteria_use_the_thresholds_of_the_verdict() -> None:
    assert tuple(CRITERIA) == Criteria._fields
    assert CRITERIA["linkage"].threshold == fusion.LINK_BITS and WRONG_KIND == fusion._HALF
    assert CRITERIA["third_family"].threshold == fusion.FAMILY_BITS
    assert CRITERIA["sum_of_families"].threshold == fusion.FLAG_BITS
    assert f"{fusion._COVERT:.2f} bits by a card" in CRITERIA["deception"].more
    assert f"{fusion.FACT_BITS} bits by a test" in CRITERIA["deception"].more


def test_a_group_for_review_has_evidence_that_doubles_the_prior_odds() -> None:
    assert REVIEW_BITS == PRIOR_BITS + 1
