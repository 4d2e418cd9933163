"""Measures against the accounts of a case: asked for, begun by another person, told to the holders, and ended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from msgspec import UNSET
from msgspec.structs import replace

from clonewatch.cases import appeals, approvals, containments
from clonewatch.cases.containments import Holder, Link, Plan, linked
from clonewatch.cases.measures import ACTIVE, MEASURES, PLANNED, STANDING, Containment
from clonewatch.cases.notices import PAGE, REDRESS, letter, notice, statement
from clonewatch.cases.records import Entry
from clonewatch.cases.store import Reading
from clonewatch.model.errors import ClonewatchError
from clonewatch.service.pages import back, render
from clonewatch.service.visits import Analyst, Approver, Line, Long, Reader, Version, Visit

router = APIRouter()
ACCOUNTS_SHOWN = 100
Ground = Annotated[str, Form(max_length=2_000)]
Days = Annotated[int, Form(ge=1, le=1_000)]


class Under(NamedTuple):
    """One page of the accounts of a containment: each with its state and measure. total: of those that fit."""

    shown: list[tuple[str, str, str]]
    total: int
    text: str
    page: int
    pages: int


@router.post("/cases/{name}/contain")
def ask(
    visit: Analyst,
    name: str,
    version: Version,
    measure: Line,
    ground: Ground,
    why: Long,
    days: Days = containments.DAYS,
    answer_days: Days = containments.ANSWER_DAYS,
    automated: bool = False,
) -> Response:
    """Ask a second person for a measure against all accounts of a case."""
    plan = Plan(measure, ground, days, answer_days, automated)
    with visit.store.writing() as store:
        made = containments.ask(store, name, plan, why.strip(), visit.who(), version)
    return back(f"/containments/{made.containment}", "asked")


@router.get("/containments/{name}")
def page(
    visit: Reader,
    name: str,
    account: Annotated[str, Query(max_length=200)] = "",
    page_: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """A measure: what it is, what its holders read, who is under it, and what can be done about it."""
    return _page(visit, name, account, page_)


@router.post("/containments/{name}/begin")
def begin(visit: Approver, name: str) -> Response:
    """Approve and begin what another person asked for. The notices are written next: until then no link holds."""
    with visit.store.writing() as store:
        begun, _ = containments.begin(store, name, visit.who())
    return back(f"/containments/{begun.containment}", "begun")


@router.post("/containments/{name}/notices")
def notices(visit: Approver, name: str, redress: Ground = REDRESS) -> Response:
    """The notices of all holders with new links, as a file that is made once: the store keeps hashes of the links."""
    with visit.store.writing() as store:
        links = containments.renew_all(store, name, visit.who())
        held = containments.containment(store, name)
    named = f'attachment; filename="{held.containment}-notices.jsonl"'
    lines = _lines(held, links, visit.settings.url, redress.strip() or REDRESS)
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"content-disposition": named})


@router.post("/containments/{name}/link")
def link(visit: Approver, name: str, account: Line) -> HTMLResponse:
    """A new link for the holder of one account, shown once with the letter; the old one ends."""
    with visit.store.writing() as store:
        new = containments.renew(store, name, account.strip(), visit.who())
        told = notice(containments.numbered(store, name, new.number), new, visit.settings.url)
    return _page(visit, name, account.strip(), 1, told)


@router.post("/containments/{name}/receive")
def receive(visit: Analyst, name: str, account: Line, text: Long) -> Response:
    """Record an appeal, or a reply, that came by another way than the link."""
    with visit.store.writing() as store:
        holder = containments.holder(store, name, account.strip())
        held = appeals.write(store, holder, text.strip(), visit.who())
    return back(f"/appeals/{held.appeal}", "received")


@router.post("/containments/{name}/end")
def end(visit: Analyst, name: str, note: Long) -> Response:
    """End a measure before its last day, for all accounts."""
    with visit.store.writing() as store:
        held = containments.end(store, name, note.strip(), visit.who())
    return back(f"/containments/{held.containment}", "ended")


def _page(
    visit: Visit, name: str, account: str = "", number: int = 1, told: dict[str, Any] | None = None
) -> HTMLResponse:
    now = visit.settings.clock()
    with visit.store.reading() as store:
        held = containments.containment(store, name)
        asked = approvals.request(store, held.request)
        accounts = sorted(store.accounts(held.accounts))
        shown: dict[str, Any] = {
            "held": held,
            "asked": asked,
            "why_not": _why_not(store, visit, held, asked) if held.state == PLANNED else "",
            "told": containments.told(store, held),
            "steps": _steps(store, held),
            "appeals": appeals.appeals(store, held.containment),
        }
    shown |= {
        "under": _under(held, accounts, account, number),
        "active": sum(one.state in ACTIVE for one in held.holders()),
        "over": held.state == STANDING and held.until < now[:10],
        "preview": letter(statement(_example(held, accounts[0], now), f"{visit.settings.url.rstrip('/')}{PAGE}#…")),
        "new": told,
    }
    return render(visit, "containment.html.j2", measures=MEASURES, redress=REDRESS, now=now, **shown)


def _why_not(store: Reading, visit: Visit, held: Containment, asked: approvals.Approval) -> str:
    """Why this person cannot begin a measure; empty where they can."""
    if asked.state not in (approvals.WAITING, approvals.APPROVED):
        return f"It was {asked.state} by {asked.decided_by} on {asked.decided_at[:10]}."
    if not approvals.current(store, asked):
        return f"Accounts or ruling of {held.case} changed since {asked.by} asked. Whoever still wants it asks again."
    try:
        containments.refuse_cleared(store, held)
    except ClonewatchError as error:
        return f"{error.what[:1].upper()}{error.what[1:]}."
    if asked.by.casefold() == visit.person.name.casefold() and asked.state == approvals.WAITING:
        return "You asked for it: another person has to begin it."
    return "" if visit.may("approver") else "It takes the role approver to begin it."


def _steps(store: Reading, held: Containment) -> list[tuple[int, Entry, str]]:
    """The entries about a containment, the newest first, with their notes: not those of its appeals."""
    found = []
    for number, entry in reversed(store.history(held.case)):
        mine = entry.containment is not UNSET and entry.containment.containment == held.containment
        if number != held.request and not mine and entry.because[:1] != (held.containment,):
            continue
        note = store.note(number) if entry.note and entry.appeal is UNSET else None
        found.append((number, entry, note.text if note else ""))
    return found


def _under(held: Containment, accounts: Sequence[str], text: str, page: int) -> Under:
    states = zip(accounts, held.holders(), strict=True)
    planned = held.measure if held.state == PLANNED else ""
    found = [(name, one.state, one.measure or planned) for name, one in states if text.casefold() in name.casefold()]
    pages = max(1, -(-len(found) // ACCOUNTS_SHOWN))
    page = min(page, pages)
    return Under(found[(page - 1) * ACCOUNTS_SHOWN : page * ACCOUNTS_SHOWN], len(found), text, page, pages)


def _example(held: Containment, account: str, now: str) -> Holder:
    """The first account as its holder is told; of a planned containment, as if it began now."""
    if held.state == PLANNED:
        until = (date.fromisoformat(now[:10]) + timedelta(days=held.days)).isoformat()
        held = replace(held, state=STANDING, begins=now, until=until)
    return next(linked(held, [Link(held.containment, 0, account, "")]))


def _lines(held: Containment, links: Sequence[Link], url: str, redress: str) -> Iterator[str]:
    for holder, one in zip(linked(held, links), links, strict=True):
        yield f"{json.dumps(notice(holder, one, url, redress), ensure_ascii=False)}\n"
