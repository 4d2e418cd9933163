"""What people found out about groups: answers to questions, and rulings on cases, which are answers that can end."""

from __future__ import annotations

from typing import NamedTuple

from clonewatch.model.questions import BY_ID
from clonewatch.model.same_evidence import EVIDENCE

INNOCENT, CONFIRMED = "innocent", "confirmed"


class Ruled(NamedTuple):
    """What makes an answer a ruling. ruling: INNOCENT or CONFIRMED. scope: EVIDENCE or ACCOUNTS (`same_evidence`).

    until: last day on which it holds; empty for no end. families, odds_bits: the evidence that it was given on. case:
    the id of the case.
    """

    ruling: str
    scope: str = EVIDENCE
    until: str = ""
    families: frozenset[str] = frozenset()
    odds_bits: float | None = None
    case: str = ""


class Answer(NamedTuple):
    """One answer. group: the id of the group in the scan that it was given on. at: ISO 8601, UTC. by: a user's name.

    An innocent ruling is a yes to the question of its explanation. One that confirms answers no question.
    """

    question: str
    yes: bool
    accounts: frozenset[str]
    group: str
    at: str
    by: str
    note: str
    ruled: Ruled | None = None

    @property
    def bits(self) -> float:
        """By how many bits it moves the odds that the group is one covert operator."""
        if self.question not in BY_ID:
            return 0.0
        question = BY_ID[self.question]
        return question.yes_bits if self.yes else question.no_bits

    def holds(self, day: str) -> bool:
        """Whether it still holds on a day, as in 2026-05-01."""
        return not (self.ruled and self.ruled.until and self.ruled.until < day)
