"""People and their roles, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from clonewatch.cases import people
from clonewatch.service.pages import back, render
from clonewatch.service.visits import Admin

router = APIRouter()
Line = Annotated[str, Form(max_length=200)]


@router.get("/people")
def listed(visit: Admin) -> HTMLResponse:
    """Everybody who may sign in, or might."""
    return _listed(visit)


@router.post("/people")
def add(visit: Admin, name: Line, role: Line) -> HTMLResponse:
    """Add a person, and show the link with which they choose a password: once, as the store keeps its hash only."""
    with visit.store.writing() as store:
        made = people.add(store, name, role, visit.who())
        token = people.new_link(store, made.name, visit.who())
    return _listed(visit, made.name, token)


@router.post("/people/{name}/link")
def link(visit: Admin, name: str) -> HTMLResponse:
    """A new link for a person who forgot a password; their sessions end."""
    with visit.store.writing() as store:
        token = people.new_link(store, name, visit.who())
    return _listed(visit, name, token)


@router.post("/people/{name}/role")
def role(visit: Admin, name: str, role: Line) -> Response:
    """Give a person another role."""
    with visit.store.writing() as store:
        people.give_role(store, name, role, visit.who())
    return back("/people", "changed")


@router.post("/people/{name}/active")
def active(visit: Admin, name: str, active: Annotated[str, Form(pattern="^(yes|no)$")]) -> Response:
    """Keep a person out, or let them in again."""
    with visit.store.writing() as store:
        people.let_in(store, name, active == "yes", visit.who())
    return back("/people", "changed")


def _listed(visit: Admin, linked: str = "", token: str = "") -> HTMLResponse:
    with visit.store.reading() as store:
        found = people.everybody(store.connection)
    link = f"{visit.settings.url.rstrip('/')}/welcome/{token}" if token else ""
    now = visit.settings.clock()
    return render(visit, "people.html.j2", people=found, may_do=people.MAY, linked=linked, link=link, now=now)
