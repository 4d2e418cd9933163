"""The evidence: a group, an account, two groups compared, pools over time, and the rows behind their figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from clonewatch.cases.records import CONSOLE, Case, Entry
from clonewatch.model import schema
from clonewatch.model.errors import ClonewatchError, InputError
from clonewatch.report import numerals, phrases, standing
from clonewatch.service.pages import render
from clonewatch.service.views.account import account as explain
from clonewatch.service.views.campaign import campaign
from clonewatch.service.views.comparison import comparison
from clonewatch.service.views.glossary import DEFINED
from clonewatch.service.views.listing import Wanted, listed
from clonewatch.service.views.pools import pool, pools
from clonewatch.service.views.results import Result, cards, exchanges, opened
from clonewatch.service.views.texts import kept, text
from clonewatch.service.views.worth import worth
from clonewatch.service.visits import Analyst, Reader, Visit


@asynccontextmanager
async def _ready(app: FastAPI) -> AsyncIterator[None]:
    """Load the signals, and compare the result with its manifest, before somebody waits for the first page."""
    cards()
    # What is wrong with a result, its pages say.
    with suppress(ClonewatchError), opened(app.state.settings.result):
        pass
    yield


router = APIRouter(lifespan=_ready)
Text = Annotated[str, Query(max_length=500)]
Count = Annotated[int, Query(ge=1, le=1_000_000)]
# As many accounts of a group are looked up to find the cases that it belongs to.
_LOOKED_UP = 200
# What the templates say with the report's own words.
VOCABULARY: dict[str, Any] = {
    "share": numerals.share,
    "sentence": numerals.sentence,
    "short": numerals.short,
    "plain": phrases.plain,
    "role_of": phrases.role,
    "ladder": phrases.LADDER,
    "outcome_of": standing.outcome,
    "seen": standing.seen,
    "honest": standing.honest,
    "steady": standing.steady,
    "told_apart": standing.told_apart,
}


def _wanted(
    text: Text = "",
    role: Text = "",
    fate: Text = "",
    pattern: Text = "",
    attribute: Annotated[int, Query(ge=0, le=100)] = 0,
    sort: Text = "membership",
    turned: Annotated[int, Query(ge=0, le=1)] = 0,
    page: Count = 1,
) -> Wanted:
    return Wanted(text, role, fate, pattern, attribute, sort, turned, page)


Listing = Annotated[Wanted, Depends(_wanted)]


@router.get("/campaigns/{group}")
def show_campaign(visit: Reader, group: str, wanted: Listing, scan: Text = "") -> HTMLResponse:
    """A group with its evidence. scan: of the case that somebody came from."""
    with opened(visit.settings.result, scan) as result:
        found, rows = campaign(result, group), listed(result, group, wanted)
        return _page(
            visit,
            result,
            "campaign.html.j2",
            group=group,
            found=found,
            listed=rows,
            cases=_cases(visit, result, group),
            worth=worth(visit.settings.worths, result, group),
        )


@router.get("/campaigns/{group}/accounts")
def list_accounts(visit: Reader, group: str, wanted: Listing) -> HTMLResponse:
    """All accounts of a group, page by page."""
    with opened(visit.settings.result) as result:
        return _page(visit, result, "accounts.html.j2", group=group, listed=listed(result, group, wanted))


@router.get("/campaigns/{group}/exchanges")
def list_exchanges(
    visit: Reader, group: str, account: Text = "", after: Text = "", exchange: Text = ""
) -> HTMLResponse:
    """The exchanges of a group or of one of its accounts, or one of them."""
    with opened(visit.settings.result) as result:
        row = result.group(group)
        rows = exchanges(result, group, account, after, exchange)
        shown: dict[str, Any] = {
            "group": group,
            "row": row,
            "account": account,
            "after": after,
            "found": rows,
            "texts": kept(result),
        }
        return _page(visit, result, "exchanges.html.j2", **shown)


@router.post("/campaigns/{group}/text")
def show_text(visit: Analyst, group: str, exchange: Annotated[str, Form(max_length=4_000)]) -> HTMLResponse:
    """The kept text of one exchange of a group; that somebody read it is in the log before they do."""
    with opened(visit.settings.result) as result:
        row = result.group(group)
        if not exchanges(result, group, only=exchange).rows:
            raise InputError(f"there is no exchange {exchange!r} in this group", where=str(result.folder))
        parts, cases = text(result, exchange), _cases(visit, result, group)
        # As accounts, exchanges are in the log as hashes only.
        said = (f"an exchange of {group}", f"SHA-256 {sha256(exchange.encode()).hexdigest()}", f"scan {result.scan}")
        who = visit.who()
        with visit.store.writing() as store:
            store.add(Entry("read", who.at, who.by, tuple(case.case for case in cases), because=said, via=CONSOLE))
        return _page(visit, result, "text.html.j2", row=row, exchange=exchange, parts=parts)


@router.get("/accounts")
def find_account(visit: Reader, account: Text = "") -> Response:
    """To the page of an account that somebody asked for."""
    return RedirectResponse(f"/accounts/{quote(account.strip(), safe='')}" if account.strip() else "/", 303)


@router.get("/accounts/{account:path}")
def show_account(visit: Reader, account: str) -> HTMLResponse:
    """An account: why it is in a group, and why perhaps not."""
    with opened(visit.settings.result) as result:
        found = explain(result, account)
        with visit.store.reading() as store:
            cases = store.sharing([account])
        status = 200 if found.places or cases else 404
        return _page(visit, result, "account.html.j2", status, found=found, cases=cases)


@router.get("/compare")
def compare(visit: Reader, one: Text = "", other: Text = "") -> HTMLResponse:
    """Two groups side by side."""
    with opened(visit.settings.result) as result:
        found = comparison(result, one, other) if one and other and one != other else None
        return _page(visit, result, "compare.html.j2", one=one, other=other, found=found)


@router.get("/pools")
def list_pools(visit: Reader, page: Count = 1) -> HTMLResponse:
    """All groups of the result as pools of accounts."""
    with opened(visit.settings.result) as result:
        return _page(visit, result, "pools.html.j2", found=pools(result, page))


@router.get("/pools/{group}")
def show_pool(visit: Reader, group: str) -> HTMLResponse:
    """One group over time."""
    with opened(visit.settings.result) as result:
        return _page(visit, result, "pool.html.j2", group=group, found=pool(result, group))


def _page(visit: Visit, result: Result, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return render(visit, template, status, result=result, defined=DEFINED, **(VOCABULARY | values))


def _cases(visit: Visit, result: Result, group: str) -> list[Case]:
    """The cases that a group belongs to, as some of its accounts tell."""
    members = result.table(schema.MEMBERS, ("account_id",), campaign_id=group)["account_id"].drop_null()
    with visit.store.reading() as store:
        return store.sharing(members.slice(0, _LOOKED_UP).to_pylist())
