"""The rulings of a store as the next scan reads them: answers about accounts, with scope and end."""

from __future__ import annotations

from clonewatch.cases.records import ALIVE, NEEDS_MORE, Case, Ruling
from clonewatch.cases.store import Reading
from clonewatch.model.answers import Answer, Ruled


def standing(store: Reading) -> list[Answer]:
    """The newest ruling of every case that is neither merged nor void, oldest first.

    One about a case that was opened again stands for the evidence that it was given on. `needs_more` tells a scan
    nothing.
    """
    held = [(case, case.ruling) for case in store.cases() if case.status in ALIVE and case.ruling]
    told = [_answer(store, case, ruling) for case, ruling in held if ruling.ruling != NEEDS_MORE]
    return sorted(told, key=lambda answer: (answer.at, answer.ruled.case if answer.ruled else ""))


def _answer(store: Reading, case: Case, ruling: Ruling) -> Answer:
    ruled = Ruled(ruling.ruling, ruling.scope, ruling.until, frozenset(ruling.families), ruling.odds_bits, case.case)
    accounts = store.accounts(ruling.accounts)
    return Answer(ruling.explanation, True, accounts, case.seen.group, ruling.at, ruling.by, _note(store, case), ruled)


def _note(store: Reading, case: Case) -> str:
    """What was noted with the newest ruling of a case."""
    numbers = [n for n, entry in store.history(case.case) if entry.what == "rule"]
    note = store.note(numbers[-1]) if numbers else None
    return note.text if note else ""
