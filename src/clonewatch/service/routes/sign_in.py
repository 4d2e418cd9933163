"""Signing in and out, and the one-time link with which a person chooses a password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clonewatch.cases import people, sessions
from clonewatch.cases.changes import Who
from clonewatch.cases.people import Person
from clonewatch.cases.records import CONSOLE, Entry
from clonewatch.cases.store import Writing
from clonewatch.model.errors import SetupError
from clonewatch.service import passwords
from clonewatch.service.before import Before, from_our_form, with_before
from clonewatch.service.pages import back, bare, is_local
from clonewatch.service.settings import Settings
from clonewatch.service.visits import Reader, cookie_name, settings_of, store_of

router = APIRouter()
_WRONG = "Name or password is wrong, or too many were wrong: after five in a row it takes a quarter of an hour."

Text = Annotated[str, Form(max_length=2000)]


@router.get("/sign-in")
def form(request: Request, next: str = "/") -> HTMLResponse:
    """The form to sign in."""
    return _form(request, next)


@router.post("/sign-in")
def sign_in(
    request: Request, name: Text, password: Text, csrf: Text = "", next: Text = "/", before: Before = ""
) -> Response:
    """Sign somebody in, in a session of a new id."""
    from_our_form(csrf, before)
    settings, store = settings_of(request), store_of(request)
    at = settings.clock()
    with store.reading() as held:
        found = people.find(held.connection, name)
    fits = passwords.fits(found.password if found else "", password)
    if not found or not fits or not found.active or found.locked_until > at:
        if found and not fits:
            with store.writing() as change:
                people.failed(change, name, Who(found.name, at, CONSOLE))
        return _form(request, next, _WRONG, name, 401)
    with store.writing() as change:
        token = enter(request, change, found, "password")
    return entered(settings, token, next)


@router.post("/sign-out")
def sign_out(visit: Reader) -> Response:
    """End the session."""
    with visit.store.writing() as store:
        sessions.end(store.connection, visit.token)
        who = visit.who()
        store.add(Entry("sign-out", who.at, who.by, (), via=who.via))
    gone = RedirectResponse("/sign-in", 303)
    gone.delete_cookie(cookie_name(visit.settings), path="/", secure=visit.settings.secure, httponly=True)
    return gone


@router.get("/welcome/{token}")
def welcome(request: Request, token: str) -> HTMLResponse:
    """Where a one-time link leads: choose a password."""
    return _welcome(request, token)


@router.post("/welcome/{token}")
def choose(request: Request, token: str, password: Text, again: Text, csrf: Text = "", before: Before = "") -> Response:
    """Set the password, and sign in; the link is used up."""
    from_our_form(csrf, before)
    settings, store = settings_of(request), store_of(request)
    at = settings.clock()
    with store.reading() as held:
        found = people.of_link(held.connection, token, at)
    if found is None:
        return _welcome(request, token)
    try:
        if password != again:
            raise SetupError("both passwords differ", fix="Write the same twice")
        kept = passwords.hashed(password, found.name)
    except SetupError as error:
        return _welcome(request, token, f"{error.what[:1].upper()}{error.what[1:]}. {error.fix}.")
    with store.writing() as change:
        # Asked again: of two who follow one link at once, one is too late.
        held_by = people.of_link(change.connection, token, at)
        if held_by is None:
            raise SetupError("this link was used just now", fix="Ask an admin for another")
        person = people.set_password(change, held_by.name, kept, Who(held_by.name, at, CONSOLE))
        session = enter(request, change, person, "one-time link")
    return entered(settings, session, "/")


def enter(request: Request, store: Writing, person: Person, how: str) -> str:
    """Begin a session for a person, and log it; the one that the browser had ends. Returns the session's secret."""
    settings = settings_of(request)
    who = Who(person.name, settings.clock(), CONSOLE)
    if old := request.cookies.get(cookie_name(settings)):
        sessions.end(store.connection, old)
    people.came(store, person, who, how)
    return sessions.begin(store.connection, person.name, who.at)


def entered(settings: Settings, token: str, place: str) -> Response:
    """Go on with the cookie of a new session."""
    done = back(place)
    done.set_cookie(cookie_name(settings), token, path="/", secure=settings.secure, httponly=True, samesite="lax")
    return done


def _form(request: Request, place: str, wrong: str = "", name: str = "", status: int = 200) -> HTMLResponse:
    settings = settings_of(request)
    with store_of(request).reading() as held:
        nobody = not people.everybody(held.connection)
    shown = {"next": place if is_local(place) else "/", "wrong": wrong, "name": name, "nobody": nobody}
    return with_before(request, "sign_in.html.j2", status, provider=settings.provider, **shown)


def _welcome(request: Request, token: str, wrong: str = "") -> HTMLResponse:
    with store_of(request).reading() as held:
        found = people.of_link(held.connection, token, settings_of(request).clock())
    if found is None:
        said = "This link was used, or its day is over."
        return bare(request, "message.html.j2", 404, title="No such link", said=said, fix="Ask an admin for another.")
    shown = {"name": found.name, "token": token, "wrong": wrong, "shortest": passwords.SHORTEST}
    return with_before(request, "welcome.html.j2", 400 if wrong else 200, **shown)
