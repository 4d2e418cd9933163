"""The queue: cases to look at, filtered, sorted, searched and cut into pages by the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, case, func, or_, select

from clonewatch.cases.records import MERGED, OPEN, RULED, RULINGS, VOID, Case
from clonewatch.cases.store import Reading, hashed
from clonewatch.cases.tables import CASE_ACCOUNTS, CASES, NOTES, TOUCHED

PER_PAGE = 50
ANY = "any"
NOBODY = "nobody"
STATUSES = (OPEN, RULED, MERGED, VOID, ANY)
OUTCOMES = ("flagged", "review", "listed")
_MOST_TEXT = 200
_FLAGGED_FIRST = case((CASES.c.outcome == "flagged", 0), (CASES.c.outcome == "review", 1), else_=2)
_ODDS = func.coalesce(CASES.c.whole_bits, -99).desc()
SORTS: Mapping[str, tuple[Any, ...]] = {
    "rank": (_FLAGGED_FIRST, _ODDS, CASES.c.exchanges.desc()),
    "odds": (func.coalesce(CASES.c.odds_bits, -99.0).desc(),),
    "exchanges": (CASES.c.exchanges.desc(),),
    "accounts": (CASES.c.size.desc(),),
    "seen": (CASES.c.last.desc(),),
    "due": (CASES.c.due == "", CASES.c.due),
    "case": (),
}


class Wanted(NamedTuple):
    """What to show. status: one of STATUSES. outcome, ruling, assignee: empty for any. sort: one of SORTS.

    text: part of the id of a case, of an assignee or of a note, or an account id in full. page: from 1.
    """

    status: str = OPEN
    outcome: str = ""
    ruling: str = ""
    assignee: str = ""
    text: str = ""
    sort: str = "rank"
    page: int = 1

    def cleaned(self) -> Wanted:
        """Without what there is not."""
        return self._replace(
            status=self.status if self.status in STATUSES else OPEN,
            outcome=self.outcome if self.outcome in OUTCOMES else "",
            ruling=self.ruling if self.ruling in RULINGS else "",
            text=self.text.strip()[:_MOST_TEXT],
            sort=self.sort if self.sort in SORTS else "rank",
            page=max(1, self.page),
        )


class Found(NamedTuple):
    """One page. total: cases that fit, on all pages. pages: how many; at least 1."""

    wanted: Wanted
    cases: list[Case]
    total: int
    pages: int


class Counts(NamedTuple):
    """Cases of the whole store. overdue: open ones whose deadline is past."""

    flagged: int
    review: int
    ruled: int
    overdue: int
    all: int


def page(store: Reading, wanted: Wanted) -> Found:
    """The cases that are wanted; the last page where there is none of that number."""
    wanted = wanted.cleaned()
    total = store.connection.execute(_filtered(select(func.count()).select_from(CASES), wanted)).scalar_one()
    pages = max(1, -(-total // PER_PAGE))
    wanted = wanted._replace(page=min(wanted.page, pages))
    rows = _filtered(select(CASES.c.case_id), wanted).order_by(*SORTS[wanted.sort], CASES.c.case_id)
    # Sorted by the columns alone, so that bodies are read for one page only.
    ids = store.connection.execute(rows.limit(PER_PAGE).offset((wanted.page - 1) * PER_PAGE)).scalars().all()
    held = store.connection.execute(select(CASES.c.case_id, CASES.c.body).where(CASES.c.case_id.in_(ids)))
    bodies = {row.case_id: row.body for row in held}
    return Found(wanted, [msgspec.json.decode(bodies[name], type=Case) for name in ids], total, pages)


def counts(store: Reading, today: str) -> Counts:
    """How many cases there are of each kind."""
    wanted = select(CASES.c.status, CASES.c.outcome, func.count()).group_by(CASES.c.status, CASES.c.outcome)
    held: dict[tuple[str, str], int] = {(row[0], row[1]): row[2] for row in store.connection.execute(wanted)}
    late = select(func.count()).select_from(CASES).where(CASES.c.status == OPEN, CASES.c.due != "", CASES.c.due < today)
    return Counts(
        flagged=held.get((OPEN, "flagged"), 0),
        review=held.get((OPEN, "review"), 0),
        ruled=sum(n for (status, _), n in held.items() if status == RULED),
        overdue=store.connection.execute(late).scalar_one(),
        all=sum(held.values()),
    )


def assignees(store: Reading) -> list[str]:
    """Everybody who has an open case."""
    wanted = select(CASES.c.assignee).where(CASES.c.status == OPEN, CASES.c.assignee != "").distinct()
    return sorted(store.connection.execute(wanted).scalars())


def holds(store: Reading, account: str) -> bool:
    """Whether an account is in any case."""
    wanted = select(CASE_ACCOUNTS.c.case_id).where(CASE_ACCOUNTS.c.account == hashed(account)).limit(1)
    return store.connection.execute(wanted).first() is not None


def _filtered(query: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.status != ANY:
        query = query.where(CASES.c.status == wanted.status)
    if wanted.outcome:
        query = query.where(CASES.c.outcome == wanted.outcome)
    if wanted.ruling:
        query = query.where(CASES.c.ruling == wanted.ruling)
    if wanted.assignee:
        query = query.where(CASES.c.assignee == ("" if wanted.assignee == NOBODY else wanted.assignee))
    return query.where(_matches(wanted.text)) if wanted.text else query


def _matches(text: str) -> ColumnElement[bool]:
    low = text.casefold()
    noted = (
        select(TOUCHED.c.case_id)
        .join(NOTES, NOTES.c.entry == TOUCHED.c.entry)
        .where(func.lower(NOTES.c.text).contains(low, autoescape=True))
    )
    holding = select(CASE_ACCOUNTS.c.case_id).where(CASE_ACCOUNTS.c.account == hashed(text))
    return or_(
        func.lower(CASES.c.case_id).contains(low, autoescape=True),
        func.lower(CASES.c.assignee).contains(low, autoescape=True),
        CASES.c.case_id.in_(noted),
        CASES.c.case_id.in_(holding),
    )
