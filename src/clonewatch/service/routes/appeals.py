"""Appeals: which to answer first, what was written, the answers that can be given, and figures about all of them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from clonewatch.cases import appeal_clock, attachments
from clonewatch.cases.appeal_figures import DEFINED, figures
from clonewatch.cases.appeals import OUTCOMES, Answer, appeal, appeals, decide, messages, milder, refusal
from clonewatch.cases.changes import day
from clonewatch.cases.containments import containments, numbered, told
from clonewatch.cases.measures import LIVE, MEASURES, PLANNED, STANDING
from clonewatch.model.errors import ClonewatchError, InputError, StaleError
from clonewatch.model.questions import QUESTIONS
from clonewatch.service.pages import back, render
from clonewatch.service.visits import Analyst, Line, Long, Number, Reader, Version

router = APIRouter()
WINDOW_DAYS = 30
ANSWERED_SHOWN = 100
Day = Annotated[str, Query(max_length=10)]


@router.get("/appeals")
def listed(visit: Reader, since: Day = "", until: Day = "") -> HTMLResponse:
    """Appeals that wait, the earliest deadline first; measures; figures of a window of days."""
    now = visit.settings.clock()
    last = day(until) if until else now[:10]
    first = day(since) if since else (date.fromisoformat(last) - timedelta(days=WINDOW_DAYS)).isoformat()
    with visit.store.reading() as store:
        every, measures = appeals(store), containments(store)
        waiting = [one for one in every if one.state in LIVE]
        shown: dict[str, Any] = {
            "figures": figures(store, first, last, now)._asdict(),
            "in_force": len(appeal_clock.in_force(store, now)),
            "untold": {one.containment for one in measures if one.state == STANDING and told(store, one) is None},
        }
    answered = sorted((one for one in every if one.state not in LIVE), key=lambda one: one.answered_at, reverse=True)
    shown |= {
        "to_answer": waiting,
        "answered": answered[:ANSWERED_SHOWN],
        "more": max(0, len(answered) - ANSWERED_SHOWN),
        "measures": [one for one in measures if one.state in (PLANNED, STANDING)],
        "ended": [one for one in measures if one.state not in (PLANNED, STANDING)][:ANSWERED_SHOWN],
        "cases": {one.containment: one.case for one in measures},
        "late": sum(one.deadline < now for one in waiting),
        "over": sum(one.state == STANDING and one.until < now[:10] for one in measures),
    }
    return render(visit, "appeals.html.j2", now=now, defined=DEFINED, first=first, last=last, **shown)


@router.post("/appeals/lapse")
def lapse(visit: Analyst) -> Response:
    """End what is over: what nobody answered in time, what is past its last day, and what holds innocents."""
    with visit.store.writing() as store:
        done = appeal_clock.run(store, visit.who())
    return back("/appeals", "lapsed" if done else "nothing")


@router.get("/appeals/{name}")
def page(visit: Reader, name: str) -> HTMLResponse:
    """One appeal: what both sides wrote, and the answers that can be given."""
    who = visit.who()
    with visit.store.reading() as store:
        held = appeal(store, name)
        against = numbered(store, held.containment, held.holder)
        said = messages(store, held)
    refused = {one: refusal(held, against, one, who, held.version) for one in OUTCOMES}
    return render(
        visit,
        "appeal.html.j2",
        held=held,
        against=against,
        said=said,
        may_give={one: error is None for one, error in refused.items()},
        reasons=list(dict.fromkeys(_said(one) for one in refused.values() if one)),
        milder=milder(against.measure),
        measures=MEASURES,
        explanations=QUESTIONS,
        now=who.at,
        late=held.state in LIVE and held.deadline < who.at,
    )


@router.post("/appeals/{name}/answer")
def answer(
    visit: Analyst,
    name: str,
    outcome: Line,
    text: Long,
    version: Version,
    measure: Line = "",
    until: Line = "",
    whole: bool = False,
    explanation: Line = "wrongly_banned",
) -> Response:
    """Answer an appeal as it was shown. The store refuses who may not, and what came too late."""
    given = Answer(outcome, measure, until, whole, explanation)
    with visit.store.writing() as store:
        held = decide(store, name, given, text.strip(), visit.who(), version)
    return back(f"/appeals/{held.appeal}", "decided")


@router.get("/appeals/{name}/files/{entry}/{number}")
def file(visit: Analyst, name: str, entry: Number, number: Number) -> Response:
    """A file that came with this appeal, to download under a harmless name; it is never shown in the browser."""
    with visit.store.reading() as store:
        said = messages(store, appeal(store, name))
        found = [one for message in said for one in message.files if (one.entry, one.number) == (entry, number)]
        if not found:
            raise InputError(f"there is no such file in {name}")
        content = attachments.content(store, found[0])
    named = f'attachment; filename="{found[0].file_name}"'
    return Response(content, media_type=found[0].media_type, headers={"content-disposition": named})


def _said(error: ClonewatchError) -> str:
    fix = "" if isinstance(error, StaleError) or "clonewatch " in error.fix else error.fix
    return " ".join(f"{one}." for one in (error.what, fix) if one)
