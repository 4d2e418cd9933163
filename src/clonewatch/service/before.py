"""Forms of people who have no session: they carry what a cookie of the same page holds."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import Cookie, HTTPException, Request
from fastapi.responses import HTMLResponse

from clonewatch.service.pages import bare
from clonewatch.service.visits import settings_of

_BEFORE = "clonewatch-before"
_BEFORE_SECONDS = 3600

Before = Annotated[str, Cookie(alias=_BEFORE, max_length=200)]


def from_our_form(csrf: str, before: str) -> None:
    """Raise 403 for a form that no page of ours gave to this browser."""
    if not before or not hmac.compare_digest(csrf.encode(), before.encode()):
        raise HTTPException(403, "This form was too old, or not ours. Open the page again.")


def with_before(request: Request, template: str, status: int, **values: object) -> HTMLResponse:
    """A page whose forms carry what its cookie holds."""
    before = request.cookies.get(_BEFORE) or secrets.token_urlsafe(32)
    page = bare(request, template, status, **{**values, "before": before})
    page.set_cookie(
        _BEFORE, before, max_age=_BEFORE_SECONDS, httponly=True, samesite="strict", secure=settings_of(request).secure
    )
    return page
