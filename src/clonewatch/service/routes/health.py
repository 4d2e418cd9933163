"""Settings and health: what this console runs on, and whether its log holds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from clonewatch.cases import people, sessions
from clonewatch.cases.database import NEWEST
from clonewatch.cases.log_reading import newest
from clonewatch.cases.queue import counts
from clonewatch.cases.store_checking import check_store
from clonewatch.service.pages import render
from clonewatch.service.visits import Analyst, Reader, store_of

router = APIRouter()


@router.get("/alive")
def alive(request: Request) -> JSONResponse:
    """Whether the store answers, for whoever watches the console; tells nothing else."""
    with store_of(request).reading() as store:
        store.log_key()
    return JSONResponse({"alive": True})


@router.get("/health")
def health(visit: Reader) -> HTMLResponse:
    """How the console is set up, and the newest head of its log."""
    return _health(visit)


@router.post("/health/check")
def check(visit: Analyst) -> HTMLResponse:
    """Check the whole log, and the tables against it, as `clonewatch log verify` does."""
    with visit.store.reading() as store:
        found = check_store(store)
    return _health(visit, found)


def _health(visit: Reader, found: Any = None) -> HTMLResponse:
    settings = visit.settings
    with visit.store.reading() as store:
        shown: dict[str, Any] = {
            "counts": counts(store, settings.clock()[:10]),
            "head": newest(store),
            "key": store.log_key(),
            "people": sum(one.active for one in people.everybody(store.connection)),
            "kind": store.connection.dialect.name,
        }
    shown |= {"where": visit.store.where.shown, "settings": settings, "revision": NEWEST, "checked": found}
    shown |= {
        "idle": sessions.IDLE.seconds // 60,
        "longest": sessions.LONGEST.seconds // 3600,
        "wrong": people.WRONG_PASSWORDS,
        "locked": people.LOCKED_MINUTES,
    }
    return render(visit, "health.html.j2", **shown)
