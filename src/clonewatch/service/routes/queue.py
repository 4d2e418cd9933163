"""The queue: which case to look at first, and why it is there."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, Response

from clonewatch.cases import saved_views
from clonewatch.cases.changes import Decision, rule
from clonewatch.cases.queue import NOBODY, SORTS, STATUSES, Wanted, assignees, counts, holds, page
from clonewatch.cases.standing_odds import questions
from clonewatch.model.errors import SetupError
from clonewatch.model.questions import QUESTIONS
from clonewatch.service.pages import back, query, render
from clonewatch.service.visits import Analyst, Reader

router = APIRouter()
Short = Annotated[str, Query(max_length=200)]
Line = Annotated[str, Form(max_length=500)]
TITLES = {
    "rank": "first to look at",
    "odds": "odds",
    "exchanges": "exchanges",
    "accounts": "accounts",
    "seen": "last seen",
    "due": "deadline",
    "case": "case",
}


@router.get("/")
def queue(
    visit: Reader,
    status: Short = "open",
    outcome: Short = "",
    ruling: Short = "",
    assignee: Short = "",
    text: Short = "",
    sort: Short = "rank",
    page_: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """Cases, the first to look at first."""
    today = visit.settings.clock()[:10]
    with visit.store.reading() as store:
        found = page(store, Wanted(status, outcome, ruling, assignee, text, sort, page_))
        shown: dict[str, Any] = {
            "found": found,
            "counts": counts(store, today),
            "account": text if text and holds(store, text) else "",
            "assignees": sorted({*assignees(store), visit.person.name, NOBODY}),
            "views": saved_views.saved(store.connection, visit.person.name),
        }
    now = {name: value for name, value in found.wanted._asdict().items() if value != Wanted()._asdict()[name]}
    return render(
        visit,
        "queue.html.j2",
        **shown,
        now=now,
        here=f"/{query(now)}".removesuffix("?"),
        today=today,
        statuses=STATUSES,
        sorts={name: TITLES[name] for name in SORTS},
        asked={case.case: questions(case)[:1] for case in found.cases},
        explanations=QUESTIONS,
    )


@router.post("/cases/rule")
def rule_on_several(
    visit: Analyst,
    case: Annotated[list[str], Form()],
    ruling: Line,
    explanation: Line = "",
    until: Line = "",
    note: Annotated[str, Form(max_length=10_000)] = "",
    here: Line = "/",
) -> Response:
    """Rule on all chosen cases, as they were shown, or on none. case: ids with versions, as in K0001@3."""
    decision = Decision(ruling, explanation if ruling == "innocent" else "", "evidence", until)
    with visit.store.writing() as store:
        for one in case:
            name, _, version = one.partition("@")
            if not version.isdecimal():
                raise SetupError("a case was chosen without its version", fix="Load the queue again")
            rule(store, [name], decision, visit.who(), note, int(version[:9]))
    return back(here, "ruled")


@router.post("/views")
def save_view(visit: Reader, name: Line, here: Line) -> Response:
    """Keep the filters that are set under a name."""
    held = [pair for pair in parse_qsl(here.partition("?")[2]) if pair[0] in Wanted._fields and pair[0] != "page"]
    with visit.store.tending() as connection:
        saved_views.save(connection, visit.person.name, name, query(dict(held)))
    return back(here, "saved")


@router.post("/views/forget")
def forget_view(visit: Reader, name: Line, here: Line) -> Response:
    """Remove a saved view."""
    with visit.store.tending() as connection:
        saved_views.forget(connection, visit.person.name, name)
    return back(here, "removed")
