"""What a piece of evidence says: true of this log, and one thing at a time."""

import pytest

from clonewatch.campaigns import sentences
from clonewatch.campaigns.fusion import FEWEST_REFERENCES, Reading
from clonewatch.model.rulings import OPEN, ruled_out
from clonewatch.pipeline.detection.signals import behavioural_tests, linking_signals
from clonewatch.ports.behaviour import BehaviouralTest

TESTS, LINKS = behavioural_tests(topics=True), linking_signals()


def reading(name: str, *, value: float = 1.0, bits: float = 8.0, references: int = 54) -> Reading:
    return Reading(1, name, TESTS[name].signal.card.family, value, 0.1, 900, -3.0, 1.0, references, bits)


@pytest.mark.parametrize("test", TESTS.values(), ids=list(TESTS))
def test_a_log_without_enough_reference_communities_is_not_said_to_have_any(test: BehaviouralTest) -> None:
    for bits in (4.0, -4.0):
        found = reading(test.signal.name, value=-2.0, bits=bits, references=FEWEST_REFERENCES - 1)
        assert "of this log" not in sentences.of_reading(found, test).replace("of this log's", "")


def test_the_usual_value_comes_from_the_log_or_from_simulation_and_the_sentence_says_which() -> None:
    test = TESTS["elicitation"]
    assert "in reference communities of this log 5% do" in sentences.of_reading(reading("elicitation"), test)
    few = sentences.of_reading(reading("elicitation", references=0), test)
    assert "in typical honest groups (by simulation) 5% do" in few


@pytest.mark.parametrize("test", [t for t in TESTS.values() if t.against is not None], ids=lambda t: t.signal.name)
def test_evidence_against_is_a_sentence_with_units(test: BehaviouralTest) -> None:
    assert test.denies or test.in_bits
    said = sentences.of_reading(reading(test.signal.name, value=-2.75, bits=-5.0), test)
    assert said.startswith("Counts against a campaign. ") and "opposite" not in said and "-2.75" not in said


@pytest.mark.parametrize("references", [0, FEWEST_REFERENCES - 1])
def test_with_too_few_reference_communities_no_explanation_is_ruled_out(references: int) -> None:
    assert not ruled_out(sentences.behaviour_ruling(accuses=True, alike=0, references=references))


def test_a_ruling_on_behaviour_ends_with_the_finding() -> None:
    assert (
        sentences.behaviour_ruling(accuses=True, alike=0, references=54)
        == "None of the 54 reference communities of this log is as extreme."
    )
    assert sentences.behaviour_ruling(accuses=True, alike=3, references=54).startswith(OPEN)


def test_a_link_that_few_share_rules_nothing_out_by_itself() -> None:
    few = sentences.link_ruling(LINKS["payment"], 8, 0, 0.3, "declared")
    many = sentences.link_ruling(LINKS["payment"], 18, 0, 0.3, "declared")
    assert not ruled_out(few) and "they make up 0.0%" in few
    assert ruled_out(many) and many.startswith("If that were the explanation, accounts that the provider trusts")
