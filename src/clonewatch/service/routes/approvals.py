"""Requests that take a second person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from clonewatch.cases import approvals
from clonewatch.cases.containments import containments
from clonewatch.model.errors import SetupError
from clonewatch.service.pages import back, render
from clonewatch.service.visits import Analyst, Number, Reader

router = APIRouter()
_SHOWN = 200


@router.get("/approvals")
def listed(visit: Reader) -> HTMLResponse:
    """What waits for a second person, and what was decided."""
    with visit.store.reading() as store:
        found = approvals.requests(store)
        waiting = [one for one in found if one.state == approvals.WAITING]
        current = {one.entry: approvals.current(store, one) for one in waiting}
        measures = {held.request: held for held in containments(store)}
    decided = [one for one in found if one.state != approvals.WAITING]
    shown: dict[str, Any] = {"requests": waiting, "decided": decided[:_SHOWN], "more": max(0, len(decided) - _SHOWN)}
    return render(visit, "approvals.html.j2", current=current, measures=measures, kinds=approvals.KINDS, **shown)


@router.post("/approvals/{number}")
def decide(
    visit: Analyst, number: Number, state: Annotated[str, Form(max_length=20)], here: str = Form("")
) -> Response:
    """Approve or decline what another asked for, or withdraw a request of one's own."""
    if state != approvals.WITHDRAWN and not visit.may("approver"):
        raise SetupError("to approve and to decline takes the role approver", fix="Let somebody with that role decide")
    with visit.store.writing() as store:
        if state == approvals.APPROVED and approvals.request(store, number).what == approvals.BLOCK:
            raise SetupError("a measure begins when it is approved", fix="Open its own page, read it, and begin it")
        approvals.decide(store, number, state, visit.who())
    return back(here or "/approvals", state)
