"""What the log records of measures against accounts and of appeals, each as it is after an entry."""

from __future__ import annotations

import msgspec

# What can be done to accounts, the mildest first.
MEASURES = {
    "verify": "a further check of who you are before the account can be used",
    "budget": "a limit on how much the account may use the service",
    "reduce": "answers without reasoning detail and token probabilities",
    "suspend": "suspension of the account",
}
# What became of a containment, and of each account under it. planned: a second person has not approved it. lessened: a
# milder measure after an appeal. ended: its last day is over, or it was ended early. lifted: the accounts were ruled
# innocent. lapsed: nobody answered the appeal in time. overturned: an appeal was right.
PLANNED, STANDING, LESSENED = "planned", "standing", "lessened"
ENDED, LIFTED, LAPSED, OVERTURNED = "ended", "lifted", "lapsed", "overturned"
ACTIVE = (STANDING, LESSENED)
# Whoever is in one of these cannot be acted on again by the same evidence.
CLEARED = (LIFTED, LAPSED, OVERTURNED)
# What an appeal can be. waiting: its holder was asked for more. conditional: the measure ends when a condition is met.
OPEN, WAITING, CONDITIONAL, UPHELD, PARTIAL = "open", "waiting", "conditional", "upheld", "partial"
LIVE = (OPEN, WAITING, CONDITIONAL)


class Apart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account that is in another state than its containment. holder: its place among the sorted accounts."""

    holder: int
    state: str
    measure: str


class Containment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measure against the accounts that a case had when a person asked for it. accounts: digest; size: how many.

    request: entry of the request that a second person approves. days: how long it stands. answer_days: in how many days
    an appeal is answered. families, odds_bits, first, last: the evidence it rests on, and its window. begins: a time;
    until: the last day. apart: accounts in another state.
    """

    containment: str
    version: int
    case: str
    request: int
    accounts: str
    size: int
    measure: str
    ground: str
    automated: bool
    days: int
    answer_days: int
    families: tuple[str, ...]
    odds_bits: float | None
    first: str
    last: str
    asked_by: str
    state: str = PLANNED
    begins: str = ""
    begun_by: str = ""
    until: str = ""
    apart: tuple[Apart, ...] = ()

    def holder(self, number: int) -> Apart:
        """The state of one account."""
        return self.holders((number,))[0]

    def holders(self, numbers: tuple[int, ...] | None = None) -> list[Apart]:
        """The state of accounts by their numbers; of all without."""
        held = {one.holder: one for one in self.apart}
        measure = self.measure if self.state == STANDING else ""
        wanted = range(self.size) if numbers is None else numbers
        return [held.get(number) or Apart(number, self.state, measure) for number in wanted]


class Appeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the holder of one account says against a measure. deadline: a time; without an answer by then it lapses.

    asked: how often the holder was asked for more. answer_by: a time, up to which the holder answers, or meets the
    condition. outcome, answered_at, answered_by: of the newest answer. measure: the milder one of a partial answer.
    """

    appeal: str
    version: int
    containment: str
    holder: int
    state: str
    at: str
    deadline: str
    asked: int = 0
    answer_by: str = ""
    outcome: str = ""
    answered_at: str = ""
    answered_by: str = ""
    measure: str = ""
