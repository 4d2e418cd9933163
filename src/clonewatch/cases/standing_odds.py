"""The odds that a case is one covert operator, with what it looks like and what was answered counted in."""

from __future__ import annotations

from clonewatch.cases.records import Answered, Case
from clonewatch.model.questions import BY_ID, Question


def posterior_bits(case: Case) -> float | None:
    """log2 of the odds: of the evidence, what the group resembles, and the answers; None where no scan said any.

    As `campaigns.review` reckons them for the next scan.
    """
    if case.seen.odds_bits is None:
        return None
    return round(case.seen.odds_bits + look_alike_bits(case) + sum(bits(answer) for answer in case.answered), 9)


def look_alike_bits(case: Case) -> float:
    """By how many bits the innocent case that a group resembles moves it; 0 once somebody knows that it is not that."""
    shape = case.seen.look_alike
    denied = any(answer.question == shape and not answer.yes for answer in case.answered)
    return BY_ID[shape].shape_bits if isinstance(shape, str) and shape in BY_ID and not denied else 0.0


def bits(answer: Answered) -> float:
    """By how many bits an answer moves the odds."""
    question = BY_ID.get(answer.question)
    return (question.yes_bits if answer.yes else question.no_bits) if question else 0.0


def questions(case: Case) -> list[Question]:
    """The questions that nobody has answered about a case, the one that the scan would ask first."""
    done = {answer.question for answer in case.answered}
    wanted = case.seen.question
    return sorted((q for q in BY_ID.values() if q.id not in done), key=lambda q: q.id != wanted)
