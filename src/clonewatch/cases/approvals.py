"""What takes two persons: one asks, another approves or declines. Both are entries of the log."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, insert, select, update

from clonewatch.cases.changes import Who, add_entry, alive
from clonewatch.cases.records import CONFIRMED, RULED, Case, What
from clonewatch.cases.store import Reading, Writing
from clonewatch.cases.tables import APPROVALS, NOTES
from clonewatch.model.errors import InputError, SetupError, StaleError

WAITING, APPROVED, DECLINED, WITHDRAWN = "waiting", "approved", "declined", "withdrawn"
BLOCK, EXPORT, SHARE = "block", "export", "share"
KINDS = {
    BLOCK: "A measure against the accounts of this case",
    EXPORT: "Take the file of this case out of the house",
}
# Asked for by commands of its own, since what leaves is made first and shown (`sharing`).
_ALSO = (*KINDS, SHARE)
# How the log calls what became of a request.
DECIDED: dict[str, What] = {APPROVED: "approve", DECLINED: "decline", WITHDRAWN: "withdraw"}


_WITH_WHY = select(APPROVALS, func.coalesce(NOTES.c.text, "")).outerjoin(NOTES, NOTES.c.entry == APPROVALS.c.entry)


class Approval(NamedTuple):
    """A request and what became of it. entry: number of the request in the log, its id. why: the note of that entry."""

    entry: int
    case_id: str
    version: int
    what: str
    state: str
    by: str
    at: str
    decided_entry: int | None
    decided_by: str
    decided_at: str
    why: str


def requests(store: Reading, case: str | None = None, state: str | None = None) -> list[Approval]:
    """Requests, the newest first."""
    wanted = _WITH_WHY.order_by(APPROVALS.c.entry.desc())
    if case is not None:
        wanted = wanted.where(APPROVALS.c.case_id == case)
    if state is not None:
        wanted = wanted.where(APPROVALS.c.state == state)
    return [Approval(*row) for row in store.connection.execute(wanted)]


def request(store: Reading, number: int) -> Approval:
    """One request. Raises InputError."""
    row = store.connection.execute(_WITH_WHY.where(APPROVALS.c.entry == number)).first()
    if row is None:
        raise InputError(f"there is no request {number}")
    return Approval(*row)


def ask(store: Writing, name: str, what: str, why: str, who: Who, version: int | None = None) -> Approval:
    """Ask a second person for something about a case as it is. Raises SetupError for what cannot be asked for.

    version: that of the case as it was looked at; StaleError where it changed since.
    """
    if what not in _ALSO:
        raise SetupError(f"nothing is called {what!r}", fix=f"Use one of: {', '.join(_ALSO)}")
    if not why.strip():
        raise SetupError("the reason is missing", fix="Say why, for whoever approves it and for whoever reads the log")
    (case,) = alive(store, [name], version)
    if what in (BLOCK, SHARE) and not _confirmed(case):
        done = "blocked" if what == BLOCK else "told to others"
        raise SetupError(
            f"{case.case} is not ruled confirmed", fix=f"Rule on it first: only what is confirmed is {done}"
        )
    if any(one.what == what for one in requests(store, case.case, WAITING)):
        raise SetupError(f"that was asked for already about {case.case}", fix="Wait for it to be decided")
    number = add_entry(store, "request", who, (), (case.case,), because=(what, f"version {case.version}"), note=why)
    made = Approval(number, case.case, case.version, what, WAITING, who.by, who.at, None, "", "", why)
    store.connection.execute(insert(APPROVALS).values(**_row(made)))
    return made


def decide(store: Writing, number: int, state: str, who: Who) -> Approval:
    """Approve, decline or withdraw a request.

    Raises SetupError where the one who asked would approve, or another would withdraw; StaleError where it was decided
    before, or the case is no longer what it was about.
    """
    held = request(store, number)
    if held.state != WAITING:
        raise StaleError(
            f"request {number} was {held.state} by {held.decided_by} on {held.decided_at}", fix="Look at it again"
        )
    if state not in DECIDED:
        raise SetupError(f"a request cannot be {state!r}")
    same = who.by.casefold() == held.by.casefold()
    if state == WITHDRAWN and not same:
        raise SetupError("only who asked can withdraw it", fix="Decline it")
    if state != WITHDRAWN and same:
        raise SetupError("it takes another person than the one who asked", fix="Let somebody else decide")
    if state == APPROVED and not current(store, held):
        raise StaleError(
            f"{held.case_id} was changed since {held.by} asked", fix="Decline it; whoever still wants it asks again"
        )
    entry = add_entry(store, DECIDED[state], who, (), (held.case_id,), because=(held.what, f"request {number}"))
    decided = held._replace(state=state, decided_entry=entry, decided_by=who.by, decided_at=who.at)
    store.connection.execute(update(APPROVALS).where(APPROVALS.c.entry == number).values(**_row(decided)))
    return decided


def stands(store: Reading, case: str, what: str) -> Approval | None:
    """The newest approval about a case as it is now; None where there is none."""
    found = [one for one in requests(store, case, APPROVED) if one.what == what and current(store, one)]
    return found[0] if found else None


def current(store: Reading, held: Approval) -> bool:
    """Whether a case still has the accounts and the ruling that it had when somebody asked."""
    now = store.case(held.case_id)
    past = [one for _, entry in store.history(held.case_id) for one in entry.cases if one.case == held.case_id]
    then = next(one for one in past if one.version == held.version)
    return (then.accounts, then.ruling, then.status) == (now.accounts, now.ruling, now.status)


def _row(held: Approval) -> dict[str, object]:
    """A request as table `approvals` holds it."""
    return {name: value for name, value in held._asdict().items() if name != "why"}


def _confirmed(case: Case) -> bool:
    return case.status == RULED and case.ruling is not None and case.ruling.ruling == CONFIRMED
