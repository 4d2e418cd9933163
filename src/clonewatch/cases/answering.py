"""What people answer to the questions about a case: each answer moves its odds, and goes to the next scan."""

from __future__ import annotations

import msgspec

from clonewatch.cases.changes import Who, add_entry, alive, following
from clonewatch.cases.records import Answered, Case
from clonewatch.cases.store import Writing
from clonewatch.model.errors import SetupError
from clonewatch.model.questions import BY_ID


def answer(
    store: Writing, name: str, question: str, yes: bool, who: Who, note: str = "", version: int | None = None
) -> Case:
    """Answer a question about a case, in place of an earlier answer to it. version: of the case as it was looked at.

    Raises SetupError for a question that there is not, StaleError where the case changed since that version.
    """
    if question not in BY_ID:
        raise SetupError(f"there is no question {question!r}", fix=f"Use one of: {', '.join(BY_ID)}")
    (case,) = alive(store, [name], version)
    given = Answered(question, yes, case.accounts, who.at, who.by)
    others = tuple(a for a in case.answered if a.question != question)
    changed = msgspec.structs.replace(following(case), answers=(*others, given))
    add_entry(store, "answer", who, (changed,), note=note, because=(question, "yes" if yes else "no"))
    return changed
