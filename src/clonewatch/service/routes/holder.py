"""The page of whoever holds an account under a measure: why, what they say against it, and what is answered.

It takes no account of the console. The secret of a link is behind its `#`, which browsers keep to themselves; a script
of the page, or its reader, hands it over in a form, and it goes into a cookie of this page alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clonewatch.cases import attachments
from clonewatch.cases.appeals import HOLDER, MOST_MESSAGES, MOST_TEXT, Message, messages, of_holder, write
from clonewatch.cases.attachments import MOST_BYTES, MOST_FILES, MOST_TOTAL
from clonewatch.cases.changes import Who
from clonewatch.cases.containments import Holder, bearer
from clonewatch.cases.measures import LAPSED, LIVE, OVERTURNED, Appeal
from clonewatch.cases.notices import PAGE, statement
from clonewatch.cases.records import APPEAL_LINK
from clonewatch.cases.sessions import csrf
from clonewatch.model.errors import InputError, SetupError
from clonewatch.service.before import Before, from_our_form, with_before
from clonewatch.service.holder_words import state
from clonewatch.service.pages import advice
from clonewatch.service.settings import Settings
from clonewatch.service.visits import settings_of, store_of

router = APIRouter()
_SECONDS = 3600
_CODE_LENGTH = 2_000
# The log says nothing else of who wrote: the entry names the account.
_BY = "account holder"
Code = Annotated[str, Form(max_length=_CODE_LENGTH)]


@router.get(PAGE)
def page(request: Request) -> HTMLResponse:
    """What happened to an account and what can be done, or the form that takes the code of a link."""
    return _page(request)


@router.post(PAGE)
def enter(request: Request, code: Code = "", before_: Code = "", before: Before = "") -> Response:
    """Take the code of a link, or the whole link, and go on with it in a cookie."""
    from_our_form(before_, before)
    settings, token = settings_of(request), code.strip().rpartition("#")[2].rstrip(".,;:)>")
    with store_of(request).reading() as store:
        try:
            bearer(store, token, settings.clock())
        except InputError as error:
            return _form(request, error, 404)
    done = RedirectResponse(PAGE, 303)
    done.set_cookie(
        _cookie(settings), token, _SECONDS, path=PAGE, secure=settings.secure, httponly=True, samesite="strict"
    )
    return done


@router.post(f"{PAGE}/write")
def say(
    request: Request,
    text: Annotated[str, Form(max_length=2 * MOST_TEXT)] = "",
    sent: Annotated[str, Form(alias="csrf", max_length=_CODE_LENGTH)] = "",
    files: Annotated[Sequence[UploadFile], File()] = (),
) -> Response:
    """Appeal, or reply. What cannot be taken is said on the page, which keeps the text."""
    settings, token = settings_of(request), _token(request)
    if not token or not hmac.compare_digest(sent.encode(), csrf(token).encode()):
        raise HTTPException(403, "This form is too old. Open your link again; nothing was sent.")
    who = Who(_BY, settings.clock(), APPEAL_LINK)
    # A browser sends an empty part where no file was chosen. Never more of a file is read than is taken.
    chosen = [one for one in files if one.filename]
    try:
        held = [attachments.File(one.filename or "", one.file.read(MOST_BYTES + 1)) for one in chosen[: MOST_FILES + 1]]
        with store_of(request).writing() as store:
            write(store, bearer(store, token, who.at), text.strip(), who, held)
    except SetupError as error:
        return _page(request, error, text)
    return RedirectResponse(f"{PAGE}?done=sent", 303)


@router.post(f"{PAGE}/leave")
def leave(request: Request) -> Response:
    """Forget the code in this browser."""
    settings = settings_of(request)
    gone = RedirectResponse(PAGE, 303)
    gone.delete_cookie(_cookie(settings), path=PAGE, secure=settings.secure, httponly=True, samesite="strict")
    return gone


def _page(request: Request, error: SetupError | None = None, text: str = "") -> HTMLResponse:
    settings, token = settings_of(request), _token(request)
    if not token:
        return _form(request)
    now = settings.clock()
    with store_of(request).reading() as store:
        try:
            holder = bearer(store, token, now)
        except InputError as gone:
            return _form(request, gone, 404)
        held = of_holder(store, holder)
        said = messages(store, held) if held else []
    return with_before(
        request,
        "holder.html.j2",
        400 if error else 200,
        told=statement(holder),
        holder=holder,
        held=held,
        said=said,
        state=state(holder, held, now),
        closed=_closed(holder, held, said),
        wrong=_said(error),
        text=text,
        csrf=csrf(token),
        most={"text": MOST_TEXT, "files": MOST_FILES, "bytes": MOST_BYTES >> 20, "total": MOST_TOTAL >> 20},
    )


def _closed(holder: Holder, held: Appeal | None, said: Sequence[Message]) -> str:
    """Why nothing can be written any more; empty while it can."""
    if held is None:
        return "" if holder.state not in (LAPSED, OVERTURNED) else "Nothing stands against your account any more."
    if held.state not in LIVE:
        return "This appeal is closed."
    if sum(one.speaker == HOLDER for one in said) >= MOST_MESSAGES:
        return "You wrote as much as one appeal takes. Please wait for our answer."
    return ""


def _form(request: Request, error: InputError | None = None, status: int = 200) -> HTMLResponse:
    return with_before(request, "holder_code.html.j2", status, wrong=_said(error))


def _said(error: SetupError | None) -> str:
    return " ".join(f"{one.rstrip('.')}." for one in advice(error) if one) if error else ""


def _token(request: Request) -> str:
    return request.cookies.get(_cookie(settings_of(request)), "")


def _cookie(settings: Settings) -> str:
    return "__Secure-clonewatch-appeal" if settings.secure else "clonewatch-appeal"
