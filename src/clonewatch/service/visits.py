"""Who is asking: the person behind a session, what they may do, and that a form came from a page of their own."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Form, HTTPException, Path, Request

from clonewatch.cases import approvals, sessions
from clonewatch.cases.changes import Who
from clonewatch.cases.people import ADMIN, ANALYST, APPROVER, VIEWER, Person
from clonewatch.cases.records import CONSOLE
from clonewatch.cases.store import Store
from clonewatch.service.protection import SAFE_METHODS
from clonewatch.service.settings import Settings

# The number of an entry of the log, as tables hold it.
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
# What forms carry: a line, a text, and the version of what was looked at.
Line = Annotated[str, Form(max_length=500)]
Long = Annotated[str, Form(max_length=10_000)]
Version = Annotated[int, Form(ge=1, le=2**31 - 1)]
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"


class SignInNeededError(Exception):
    """Nobody is signed in."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who signed in. waiting: requests that this person could decide. token: of the session."""

    request: Request
    store: Store
    settings: Settings
    person: Person
    token: str
    waiting: int

    @property
    def csrf(self) -> str:
        """What every form of this session carries."""
        return sessions.csrf(self.token)

    def who(self) -> Who:
        """Who changes something, and when, for the log."""
        return Who(self.person.name, self.settings.clock(), CONSOLE)

    def may(self, role: str) -> bool:
        """Whether this person may do what a role may."""
        return self.person.may(role)


def settings_of(request: Request) -> Settings:
    """How this console is set up."""
    return cast(Settings, request.app.state.settings)


def store_of(request: Request) -> Store:
    """The store behind this console."""
    return cast(Store, request.app.state.store)


def cookie_name(settings: Settings) -> str:
    """The session's cookie; over TLS bound to this host."""
    return "__Host-clonewatch" if settings.secure else "clonewatch"


async def no_nulls(request: Request) -> None:
    """Refuse text with a null character, wherever it came in: no page has a use for it, and databases differ on it."""
    given = [*request.path_params.values(), *request.query_params.values()]
    if request.method not in SAFE_METHODS:
        given += (await request.form()).values()
    if any(isinstance(one, str) and "\0" in one for one in given):
        raise HTTPException(400, "A null character is in the text.")


async def sent_token(request: Request) -> str:
    """What a form or a script sent to show that it came from a page of the session; empty for none."""
    if request.method in SAFE_METHODS:
        return ""
    if CSRF_HEADER in request.headers:
        return request.headers[CSRF_HEADER]
    sent = (await request.form()).get(CSRF_FIELD, "")
    return sent if isinstance(sent, str) else ""


def visit(request: Request, sent: Annotated[str, Depends(sent_token)]) -> Visit:
    """The visit of whoever is signed in. Raises SignInNeededError; 403 for a form from elsewhere."""
    settings, store = settings_of(request), store_of(request)
    token, at = request.cookies.get(cookie_name(settings), ""), settings.clock()
    with store.reading() as held:
        found = sessions.bearer(held.connection, token, at) if token else None
        waiting = approvals.requests(held, state=approvals.WAITING) if found else []
    if found is None:
        raise SignInNeededError
    person, stale = found
    if request.method not in SAFE_METHODS and not hmac.compare_digest(sent, sessions.csrf(token)):
        raise HTTPException(403, "This form is not of your session. Open the page again and send it anew.")
    if stale:
        with store.tending() as connection:
            sessions.used(connection, token, at)
    decidable = sum(one.by != person.name for one in waiting) if person.may(APPROVER) else 0
    return Visit(request, store, settings, person, token, decidable)


def at_least(role: str) -> Callable[[Visit], Visit]:
    """A dependency that lets in those who may do what a role may."""

    def allowed(found: Annotated[Visit, Depends(visit)]) -> Visit:
        if not found.may(role):
            raise HTTPException(403, f"This takes the role {role}. You are {found.person.role}.")
        return found

    allowed.role = role  # type: ignore[attr-defined]
    return allowed


Reader = Annotated[Visit, Depends(at_least(VIEWER))]
Analyst = Annotated[Visit, Depends(at_least(ANALYST))]
Approver = Annotated[Visit, Depends(at_least(APPROVER))]
Admin = Annotated[Visit, Depends(at_least(ADMIN))]
