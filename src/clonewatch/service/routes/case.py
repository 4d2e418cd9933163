"""One case: what the scan saw, what people found out, and what was done."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from clonewatch.cases import approvals
from clonewatch.cases.containments import became, containments
from clonewatch.cases.measures import MEASURES
from clonewatch.cases.people import everybody
from clonewatch.cases.records import ALIVE, Answered, Case, Entry
from clonewatch.cases.standing_odds import bits, look_alike_bits, posterior_bits, questions
from clonewatch.cases.store import Reading
from clonewatch.model.questions import BY_ID, QUESTIONS, Question
from clonewatch.service.pages import render
from clonewatch.service.visits import Reader

router = APIRouter()
ACCOUNTS_SHOWN = 200
_LIVE = (approvals.WAITING, approvals.APPROVED)


class Step(NamedTuple):
    """One entry about a case, with its note."""

    number: int
    entry: Entry
    note: str


class Answer(NamedTuple):
    """An answer that stands, with its question."""

    given: Answered
    question: Question | None
    bits: float


class Accounts(NamedTuple):
    """One page of the accounts of a case. total: of those that fit the search."""

    shown: list[str]
    total: int
    text: str
    page: int
    pages: int


@router.get("/cases/{name}")
def case(
    visit: Reader,
    name: str,
    account: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """A case with everything that can be done to it."""
    with visit.store.reading() as store:
        found = store.case(name)
        shown: dict[str, Any] = {
            "case": found,
            "steps": history(store, found.case),
            "accounts": accounts(store, found, account, page),
            "requests": (asked := approvals.requests(store, found.case)),
            "standing": {one.entry for one in asked if one.state in _LIVE and approvals.current(store, one)},
            "measures": (held := containments(store, found.case)),
            "planned": {one.containment: became(store, one) for one in held},
            "released": approvals.stands(store, found.case, approvals.EXPORT),
            "people": [one.name for one in everybody(store.connection) if one.active],
        }
    return render(
        visit,
        "case.html.j2",
        **shown,
        alive=found.status in ALIVE,
        today=visit.settings.clock()[:10],
        answers=[Answer(given, BY_ID.get(given.question), bits(given)) for given in found.answered],
        questions=questions(found),
        explanations=QUESTIONS,
        odds=posterior_bits(found),
        look_alike=look_alike_bits(found),
        kinds=approvals.KINDS,
        kinds_of_measure=MEASURES,
        with_measure={one.request for one in shown["measures"]},
        waiting_for={one.entry for one in shown["requests"] if one.state == approvals.WAITING},
    )


def history(store: Reading, name: str) -> list[Step]:
    """What was done to a case, the newest first."""
    found = []
    for number, entry in reversed(store.history(name)):
        note = store.note(number) if entry.note else None
        found.append(Step(number, entry, note.text if note else ""))
    return found


def accounts(store: Reading, found: Case, text: str, page: int) -> Accounts:
    """The accounts of a case whose id holds a text, by id."""
    held = sorted(one for one in store.accounts(found.accounts) if text.casefold() in one.casefold())
    pages = max(1, -(-len(held) // ACCOUNTS_SHOWN))
    page = min(page, pages)
    return Accounts(held[(page - 1) * ACCOUNTS_SHOWN : page * ACCOUNTS_SHOWN], len(held), text, page, pages)
