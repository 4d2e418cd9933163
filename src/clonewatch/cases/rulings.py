"""Rulings and answers of a store as the next scan reads them: answers about accounts, a ruling's with scope and end."""

from __future__ import annotations

from clonewatch.cases.records import ALIVE, NEEDS_MORE, Case, Ruling
from clonewatch.cases.store import Reading
from clonewatch.model.answers import Answer, Ruled


def standing(store: Reading) -> list[Answer]:
    """The newest ruling and the answers of every case that is neither merged nor void, oldest first.

    One about a case that was opened again stands for the evidence that it was given on. `needs_more` tells a scan
    nothing.
    """
    alive = [case for case in store.cases() if case.status in ALIVE]
    held = [(case, case.ruling) for case in alive if case.ruling]
    told = [_ruling(store, case, ruling) for case, ruling in held if ruling.ruling != NEEDS_MORE]
    told += [
        Answer(a.question, a.yes, store.accounts(a.accounts), case.seen.group, a.at, a.by, f"case {case.case}")
        for case in alive
        for a in case.answered
    ]
    return sorted(told, key=lambda answer: (answer.at, answer.ruled.case if answer.ruled else answer.group))


def _ruling(store: Reading, case: Case, ruling: Ruling) -> Answer:
    ruled = Ruled(ruling.ruling, ruling.scope, ruling.until, frozenset(ruling.families), ruling.odds_bits, case.case)
    accounts = store.accounts(ruling.accounts)
    return Answer(ruling.explanation, True, accounts, case.seen.group, ruling.at, ruling.by, _note(store, case), ruled)


def _note(store: Reading, case: Case) -> str:
    """What was noted with the newest ruling of a case."""
    numbers = [n for n, entry in store.history(case.case) if entry.what == "rule"]
    note = store.note(numbers[-1]) if numbers else None
    return note.text if note else ""
