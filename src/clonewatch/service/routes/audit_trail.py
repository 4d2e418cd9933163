"""The audit trail: the log of everything, and the proofs that it was not changed."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from clonewatch.cases.log_reading import Filter, entries, proof
from clonewatch.cases.records import What
from clonewatch.service.pages import query, render
from clonewatch.service.visits import Number, Reader

router = APIRouter()
Short = Annotated[str, Query(max_length=100)]


@router.get("/log")
def log(
    visit: Reader,
    by: Short = "",
    what: Short = "",
    case: Short = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """Entries, the newest first."""
    with visit.store.reading() as store:
        found = entries(store, Filter(by, what, case.upper()), page)
    now = {name: value for name, value in found.wanted._asdict().items() if value}
    return render(visit, "log.html.j2", found=found, now=now, whats=get_args(What), query=query)


@router.get("/log/{number}")
def entry(visit: Reader, number: Number) -> HTMLResponse:
    """One entry with the proof that the newest signed head covers it."""
    with visit.store.reading() as store:
        shown = proof(store, number)
    return render(visit, "log_entry.html.j2", found=shown)
