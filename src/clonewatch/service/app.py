"""The console as an application: its pages, what protects them, and what it says when something is wrong."""

from __future__ import annotations

import secrets
from importlib import import_module
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.sessions import SessionMiddleware

from clonewatch.cases.store import opened
from clonewatch.model.errors import ClonewatchError, InputError, StaleError, StoreError
from clonewatch.model.version import __version__
from clonewatch.service.pages import HERE, advice, bare
from clonewatch.service.protection import Protection
from clonewatch.service.routes import provider
from clonewatch.service.settings import Settings, check
from clonewatch.service.visits import SignInNeededError, no_nulls

ROUTES = "clonewatch.service.routes"
SUBJECTS = (
    "sign_in",
    "provider",
    "queue",
    "case",
    "case_changes",
    "approvals",
    "audit_trail",
    "people",
    "health",
    "evidence",
    "dossiers",
    "appeals",
    "containments",
    "policies",
    "live",
    "holder",
)
FLOW_SECONDS = 600
MEGABYTE = 1 << 20
# Bodies that may be larger: accounts of a split, attachments of an appeal.
LARGE = {"/cases/": 2 * MEGABYTE, "/appeal/write": 12 * MEGABYTE}


def create_app(settings: Settings) -> FastAPI:
    """The console of a store. Raises SetupError, StoreError where there is no store."""
    check(settings)
    app = FastAPI(
        title="Clonewatch console",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(no_nulls)],
    )
    app.state.settings, app.state.store = settings, opened(settings.store, settings.log_key)
    held = [import_module(f"{ROUTES}.{name}") for name in SUBJECTS]
    for module in held:
        app.include_router(module.router)
    app.state.pages = [route for module in held for route in module.router.routes]
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    if settings.provider:
        app.add_middleware(
            SessionMiddleware,
            secret_key=secrets.token_hex(),
            session_cookie="clonewatch-provider",
            max_age=FLOW_SECONDS,
            path=provider.PATH,
            https_only=settings.secure,
        )
    app.add_middleware(Protection, settings=settings, large=LARGE)
    app.add_exception_handler(SignInNeededError, _sign_in)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(404, _refused)
    app.add_exception_handler(405, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ClonewatchError, _wrong)
    return app


def _sign_in(request: Request, _error: Exception) -> Response:
    """To the sign-in page, and from there to where somebody wanted to go; a form is not sent again."""
    if request.method not in ("GET", "HEAD"):
        return bare(request, "message.html.j2", 401, title="Sign in again", said="Your session is over.", fix="")
    query = f"?{request.url.query}" if request.url.query else ""
    place = f"/sign-in?next={quote(request.url.path + query, safe='')}"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    return RedirectResponse("/sign-in" if request.url.path == "/" and not query else place, 303)


def _refused(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    said = {404: "There is no such page.", 405: "This page does not take that."}.get(status, str(_detail(error)))
    title = {403: "Not allowed", 404: "Not found"}.get(status, "That did not work")
    return bare(request, "message.html.j2", status, title=title, said=said, fix="")


def _malformed(request: Request, error: Exception) -> Response:
    fields = (
        sorted({str(one["loc"][-1]) for one in error.errors()}) if isinstance(error, RequestValidationError) else []
    )
    said = f"The form is not complete: {', '.join(fields)}."
    return bare(request, "message.html.j2", 422, title="That did not work", said=said, fix="")


def _wrong(request: Request, error: Exception) -> Response:
    """A page for what a person can mend."""
    status = 409 if isinstance(error, StaleError) else 503 if isinstance(error, StoreError) else 400
    if isinstance(error, InputError) and error.what.startswith("there is no"):
        status = 404
    said, fix = advice(error)
    return bare(request, "message.html.j2", status, title="That did not work", said=said, fix=fix)


def _detail(error: Exception) -> object:
    return getattr(error, "detail", "")
